"""What is asked of roll-outs and what is answered: the documents of the commands and of the API."""

from typing import Annotated

import msgspec
from msgspec import Meta

from gongfu.tree.orders.documents import SelectionDocument
from gongfu.tree.orders.types import Priority
from gongfu.tree.rollouts.waves import OnFailure, Share

Seconds = Annotated[float, Meta(gt=0, le=366 * 86_400)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=366 * 86_400)]


class NewRollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A roll-out to be drafted: ``canaries`` targets first, then until each of ``shares`` of all is reached, then the
    rest. Each wave must come to ``verified_share`` within ``within_seconds``, and stay so for ``soak_seconds``."""

    kind: str
    payload: msgspec.Raw
    selection: SelectionDocument
    deadline: str
    canaries: Annotated[int, Meta(ge=1, le=1000)] = 1
    shares: Annotated[tuple[Share, ...], Meta(max_length=50)] = (0.1, 0.5)
    verified_share: Share = 1.0
    within_seconds: Seconds = 3600.0
    soak_seconds: SecondsOrNone = 0.0
    on_failure: OnFailure = "all"
    priority: Priority = Priority.ROUTINE
    reason: str = ""


class RolloutRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A roll-out by its id."""

    id: str


class RolloutApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A yes to all waves, by the digest of what was seen."""

    id: str
    digest: str


class RolloutStop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a roll-out, by a person; with ``take_back`` all waves are revoked."""

    id: str
    reason: str = ""
    take_back: bool = True


class RolloutPause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A break."""

    id: str
    reason: str = ""


class RolloutsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of roll-outs, newest first."""

    limit: int = 50
    before: int | None = None


class WaveView(msgspec.Struct, frozen=True, kw_only=True):
    """A wave: its order, and how far it is (``waiting``, ``issued``, ``passed``, ``revoked``, ``discarded``)."""

    order: str
    targets: int
    state: str
    issued_at: str | None
    passed_at: str | None
    totals: dict[str, int]


class RolloutView(msgspec.Struct, frozen=True, kw_only=True):
    """A roll-out. ``digest`` is of all that approving it would approve."""

    id: str
    kind: str
    payload: msgspec.Raw
    state: str
    reason: str
    why: str
    author: str
    created_at: str
    targets: int
    verified_share: float
    within_seconds: float
    soak_seconds: float
    on_failure: str
    approvals: list[str]
    approvals_needed: int
    digest: str
    waves: list[WaveView]


class RolloutList(msgspec.Struct, frozen=True):
    """Roll-outs, and the key of the next page."""

    items: list[RolloutView]
    next: int | None
