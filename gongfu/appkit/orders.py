"""Orders and probes as an app meets them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Sight = Literal["present", "absent", "unknown"]


@dataclass(frozen=True, slots=True)
class Order:
    """An order that the app is to carry out.

    Attributes:
        key: idempotency key, the same whenever this order is given again; another one for taking it back.
        id: of the order.
        kind: name of its kind.
        body: valid by the kind's schema.
        issued: when it was issued, UTC ns: take times of points, alarms and events from it, never from the clock.
        issuer: id of the node that issued it.
        attempt: 1, 2, …: how often a node has begun to carry it out.
        rollback: the effect is to be taken back (only of kinds with ``can_roll_back``).
    """

    key: str
    id: str
    kind: str
    body: Mapping[str, Any]
    issued: int
    issuer: str
    attempt: int = 1
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a probe is asked.

    Attributes:
        body: of the order whose effect is looked at, or what who asks wrote.
        order: id of that order; empty when it is asked for by itself.
        kind: kind of that order, or empty.
        since: when the node said that the order was carried out, or failed, UTC ns: what is older tells nothing. 0 when
            nobody knows.
    """

    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    order: str = ""
    kind: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a probe saw of the effect, and by what that is known: for people, at most 4,000 characters."""

    sight: Sight
    evidence: str = ""

    def __post_init__(self) -> None:
        if self.sight not in ("present", "absent", "unknown"):
            raise ValueError(f"a probe sees 'present', 'absent' or 'unknown', not {self.sight!r}")
