"""What the life cycle of apps asks of the node: to run them, to keep what they bring, and who acts for them."""

from typing import Protocol

from gongfu.appkit.installed.types import InstalledApp, InstalledVersion
from gongfu.kernel.permissions import Subject


class Runner(Protocol):
    """Runs apps."""

    async def prepare(self, app: InstalledApp, version: InstalledVersion) -> None:
        """Note where the data begins that a new app gets: now."""
        ...

    async def try_out(self, app: InstalledApp, version: InstalledVersion) -> None:
        """Migrate the records of a version, start it, check it, end it.

        Raises:
            AppFailure: why that was not possible.
        """
        ...

    async def start(self, app: InstalledApp) -> None:
        """Run the version in force.

        Raises:
            AppFailure: it does not run within 20 s.
        """
        ...

    async def stop(self, app: str) -> None:
        """End it if it runs; what it has done is stored."""
        ...

    def keeps(self, app: str) -> bool:
        """Return whether it runs, or is started again and again."""
        ...


class Provisions(Protocol):
    """What an app brings to the node: models, rules, thing models."""

    async def plan(self, subject: Subject, app: InstalledApp, version: InstalledVersion) -> InstalledVersion:
        """Return the version with the thing models that it is going to make; nothing is made.

        Raises:
            Problem, AppError: a file of it cannot be read.
        """
        ...

    async def apply(self, subject: Subject, app: InstalledApp, version: InstalledVersion) -> InstalledVersion:
        """Let exactly what a version brings be there; return the version with what was made. May be repeated.

        Raises:
            Problem, AppError: something cannot be; what the message says of it.
        """
        ...

    async def retire(self, subject: Subject, thing_models: frozenset[str]) -> None:
        """Retire thing models; those that are not there are none. May be repeated."""
        ...

    async def remove(self, subject: Subject, app: InstalledApp) -> None:
        """Take away everything the app brought. May be repeated."""
        ...


class SubjectOf(Protocol):
    """Says who acts for an app when nobody asks."""

    def __call__(self, app: InstalledApp) -> Subject:
        """Return the subject."""
        ...
