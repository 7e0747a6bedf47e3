"""What the protocols hand to the columniser and what they get back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

from gongfu.kernel.points import ValueType


class Form(Enum):
    """Form of a telemetry payload (docs/telemetry.md)."""

    JSON = auto()
    JSON_GATEWAY = auto()
    NDJSON = auto()
    ARROW = auto()
    SPARKPLUG = auto()
    COLUMNS = auto()


@dataclass(frozen=True, slots=True)
class Writer:
    """An authenticated device, and the asset below which it may write.

    Attributes:
        tenant: tenant id.
        device: device id.
        name: device name, unique on the node.
        asset: id of its own asset.
        asset_path: path of its own asset.
    """

    tenant: int
    device: int
    name: str
    asset: int
    asset_path: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one payload. ``accepted`` points are durable when the receipt is given.

    Attributes:
        accepted: number of points now durable in the block log.
        rejected: number of points (or 1 for an unreadable payload) by reason code.
        shed: number of points dropped under load by reason code; the sender may send them again.
        detail: the first rejection in words, without secrets, at most 200 characters.
    """

    accepted: int
    rejected: Mapping[str, int] = field(default_factory=dict[str, int])
    shed: Mapping[str, int] = field(default_factory=dict[str, int])
    detail: str = ""


Done = Callable[[Receipt], None]


@dataclass(frozen=True, slots=True)
class ReadingColumns:
    """Readings of one asset and of one type of value, by driver, in the order of their arrival.

    Attributes:
        child: path of the asset below the writer's own, empty for its own.
        value_type: type of all values.
        names: names of points, each once.
        name_of: by reading, index into ``names``.
        values: by reading: float, int within 64 bits, bool, or text (string and compact JSON).
        times: by reading, source time in UTC ns; 0: the time of arrival.
        qualities: by reading, the quality byte.
    """

    child: str
    value_type: ValueType
    names: list[str]
    name_of: list[int]
    values: list[Any]
    times: list[int]
    qualities: list[int]


class ColumnIntake(Protocol):
    """Takes readings of drivers in; the columniser implements it."""

    @property
    def saturated(self) -> bool:
        """True while accepted points wait for durability beyond the bound."""
        ...

    def submit_columns(
        self, writer: Writer, columns: Sequence[ReadingColumns], received: int, done: Done | None = None
    ) -> None:
        """Take readings. Never blocks and never raises; the outcome comes through ``done`` on the same event loop.

        Args:
            writer: the device of the connection.
            columns: what was read.
            received: UTC ns at which it arrived.
            done: called once, when all accepted points are durable or it is known that none will be.
        """
        ...

    def shed_readings(self, writer: Writer, n: int, reason: str) -> None:
        """Count readings of a device that were dropped under load before they were handed over."""
        ...


class Intake(Protocol):
    """Takes telemetry payloads in; the columniser implements it.

    Attributes:
        points_in: points handed over so far, whatever became of them: those of one call are the difference.
    """

    points_in: int

    @property
    def saturated(self) -> bool:
        """True while accepted points wait for durability beyond the bound; protocols then stop reading sockets."""
        ...

    @property
    def busy(self) -> bool:
        """True while so many points wait for durability that only those who seldom send should add to them."""
        ...

    def follow_commits(self, follow: Callable[[float], None]) -> None:
        """Call ``follow`` with the seconds each block took from its end to its durability."""
        ...

    def refuse(
        self,
        writer: Writer,
        form: Form,
        payload: bytes,
        received: int,
        done: Done | None,
        context: str,
        reason: str,
    ) -> None:
        """Shed one payload for a reason (``device_quota`` or ``tenant_quota``): count its points, store none of them.

        The receipt comes at once.
        """
        ...

    def turned_away(self, writer: Writer, reason: str) -> None:
        """Count a request that was told to come later, before anything of it was read."""
        ...

    def delayed(self, writer: Writer, milliseconds: Mapping[str, int]) -> None:
        """Count for how long a device had to wait, by reason."""
        ...

    def submit(
        self, writer: Writer, form: Form, payload: bytes, received: int, done: Done | None = None, context: str = ""
    ) -> None:
        """Take one payload. Never blocks and never raises; the outcome comes through ``done`` on the same event loop.

        Args:
            writer: who sent it.
            form: how to read it.
            payload: the bytes; may be kept.
            received: UTC ns at which it arrived.
            done: called once, when all accepted points are durable or it is known that none will be.
            context: what the form needs beside the payload: the MQTT topic for Sparkplug, else empty.
        """
        ...
