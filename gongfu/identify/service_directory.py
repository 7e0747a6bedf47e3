"""The directory of an identifier service: that it was set up, with which root, and where its parts are."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.wire import MalformedError

MAX_PREFIX = 64
_FILE = "service.json"
_SEGMENTS = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*")


class ServiceFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was chosen when the service was set up.

    Attributes:
        root: prefix at or below which this service registers.
        created: UTC ns.
    """

    root: str
    created: int


class ServiceError(ValueError):
    """The service cannot be set up or opened; the text says why."""


def checked_prefix(prefix: str) -> str:
    """Return a prefix.

    Raises:
        ServiceError: it is none, or longer than ``MAX_PREFIX``.
    """
    try:
        parse_handle(f"{prefix}/")
    except MalformedError as error:
        raise ServiceError(f"{prefix[:80]!r} is no prefix: {error}") from None
    if len(prefix) > MAX_PREFIX or not _SEGMENTS.fullmatch(prefix):
        raise ServiceError(
            f"{prefix[:80]!r} is no prefix: segments of ASCII letters, digits, - and _ joined by dots, "
            f"at most {MAX_PREFIX} characters"
        )
    return prefix


@dataclass(frozen=True, slots=True)
class ServiceDirectory:
    """Paths below ``root``, which is there as soon as the service is set up, and whole."""

    root: Path

    @property
    def trust(self) -> Path:
        """Signed batches, and the keys that the operator trusts."""
        return self.root / "trust"

    @property
    def store(self) -> Path:
        """Records, ranges and counts."""
        return self.root / "store"

    @property
    def events(self) -> Path:
        """Events of EPCIS."""
        return self.root / "epcis"

    @property
    def keys(self) -> Path:
        """Keys of the service, mode 0600."""
        return self.root / "trust"

    def exists(self) -> bool:
        """Return whether the service was set up."""
        return (self.root / _FILE).exists()

    def facts(self) -> ServiceFacts:
        """Return what was chosen.

        Raises:
            ServiceError: it was not set up, or the file is damaged.
        """
        try:
            return msgspec.json.decode((self.root / _FILE).read_bytes(), type=ServiceFacts)
        except (OSError, msgspec.MsgspecError) as error:
            raise ServiceError(f"{self.root / _FILE}: {error}") from None

    def create(self, prefix: str, now: int) -> ServiceFacts:
        """Set the service up, at once or not at all.

        Args:
            prefix: the root.
            now: UTC ns.

        Raises:
            ServiceError: it is set up already, or the prefix is none.
            OSError: it cannot be written.
        """
        if self.exists():
            raise ServiceError(f"identifiers are set up already, with the root {self.facts().root}")
        facts = ServiceFacts(checked_prefix(prefix), now)
        self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = self.root.with_name(f".{self.root.name}-{os.getpid()}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            with open(scratch / _FILE, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(facts)))
                file.flush()
                os.fsync(file.fileno())
            scratch.rename(self.root)
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        return facts
