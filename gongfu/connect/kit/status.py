"""How a connection is: what the API, the console and the bus are told."""

from enum import StrEnum
from typing import Any

import msgspec

from gongfu.connect.kit.hints import Hint


class State(StrEnum):
    """State of a connection."""

    PAUSED = "paused"
    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"
    """The last attempt failed; the next comes by itself."""
    UNUSABLE = "unusable"
    """It cannot work as it is configured; it is tried again when it is changed."""


class Failure(msgspec.Struct, frozen=True):
    """What went wrong last.

    Attributes:
        reason: ``Reason`` of the kit.
        what: what happened.
        advice: what to do.
        at: UTC ns.
    """

    reason: str
    what: str
    advice: str
    at: int


class Status(msgspec.Struct, kw_only=True):
    """Status of one connection; times in UTC ns, 0 never.

    Attributes:
        connection: id.
        tenant: id of its tenant.
        state: see ``State``.
        since: when it came into that state.
        attempts: attempts in a row that failed.
        next_attempt: when the next comes, 0 none is planned.
        last_error: what went wrong last, also when all is well again.
        values_per_second: of the last ten seconds or so.
        counters: since the role started: readings, accepted, compressed, duplicates, late, gaps.
        rejected, shed: dropped, by reason.
        detail: the last rejection in words.
        pending: points that wait for durability.
        health: figures of the protocol, by the driver.
        hints: what keeps some values from being stored while the rest goes on.
    """

    connection: int
    tenant: int = 0
    state: State = State.CONNECTING
    since: int = 0
    attempts: int = 0
    next_attempt: int = 0
    last_error: Failure | None = None
    values_per_second: float = 0.0
    counters: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    rejected: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    shed: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    detail: str = ""
    pending: int = 0
    health: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    hints: list[Hint] = msgspec.field(default_factory=list[Hint])
