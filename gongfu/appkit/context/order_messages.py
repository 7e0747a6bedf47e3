"""What host and process of an app say to each other about orders, probes and reports; part of ``messages``."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=48)]
Duration = Annotated[int, Meta(ge=0, lt=2**62)]


class CallOrder(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Carry out an order; ``body`` is JSON. Answered with what the function said, as the text of the body."""

    handler: int
    key: str
    order: str
    kind: str
    body: bytes
    issued: int
    issuer: str
    attempt: int
    rollback: bool


class CallProbe(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Ask a probe; ``body`` is JSON. Answered with ``SeenTold`` as JSON."""

    handler: int
    body: bytes
    order: str = ""
    kind: str = ""
    since: int = 0


class CallReport(msgspec.Struct, frozen=True, tag=True):
    """Ask for the cells of a period. Answered with a JSON list of ``{"keys": …, "measures": …}``."""

    handler: int
    kind: str
    start: int
    end: int


class OrderDeclared(msgspec.Struct, frozen=True):
    """``OnOrder`` of a function."""

    kind: Name
    effect: Name
    timeout: Duration


class ProbeDeclared(msgspec.Struct, frozen=True):
    """``OnProbe`` of a function."""

    name: Name
    timeout: Duration


class ReportDeclared(msgspec.Struct, frozen=True):
    """``OnReport`` of a function."""

    kind: Annotated[str, Meta(min_length=1, max_length=255)]
    every: Duration
    late: Duration
    timeout: Duration


class SeenTold(msgspec.Struct, frozen=True):
    """What a probe saw."""

    sight: Literal["present", "absent", "unknown"]
    evidence: Annotated[str, Meta(max_length=4000)] = ""
