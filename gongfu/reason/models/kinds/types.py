"""What every kind of model offers inside its process. Pure."""

from typing import NamedTuple, Protocol

from gongfu.reason.models.sandbox.types import Column, Description, FailureReason, Rows


class KindError(Exception):
    """An artifact or a call of it is refused, or its code failed; the process lives on.

    Attributes:
        reason: see FailureReason.
        detail: one or two lines for people.
    """

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def refused(detail: str) -> KindError:
    """Return the error for an artifact that is not one, or a request that does not fit it."""
    return KindError(FailureReason.REFUSED, detail)


class Computed(NamedTuple):
    """Outputs of a call, as in sandbox.types.Outcome."""

    columns: dict[str, Column]
    states: list[bytes | None]
    failures: dict[int, str]
    notes: dict[int, str]


class Evaluator(Protocol):
    """A loaded artifact."""

    description: Description

    def evaluate(self, rows: Rows, keep: bool) -> Computed:
        """Compute rows; with ``keep`` the states stay here and the answer holds HELD.

        Raises:
            KindError: see there; anything else is told as what the model raised.
        """
        ...

    def states(self, assets: list[int]) -> list[bytes | None]:
        """Return the states that are kept for assets."""
        ...

    def let_go(self, but: set[int]) -> None:
        """Forget the states of all assets but these."""
        ...
