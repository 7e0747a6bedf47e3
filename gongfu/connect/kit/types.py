"""The contract of a driver. One driver speaks one protocol; one instance of it is one connection to a machine.

Times are UTC nanoseconds, durations seconds. A driver runs on one event loop and never blocks it. What it raises is
``DriverError``: what happened, and what the engineer can do about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec

Value = float | int | bool | str | bytes | list[Any] | dict[str, Any] | None
"""Value as the machine gave it. ``None`` goes with a bad quality and means: there is none."""

Level = Literal["bronze", "silver", "gold"]
"""Quality of a driver: bronze reads; silver also browses, writes and says what is wrong; gold is proven against foreign
implementations, with subscriptions, gaps told and a speed that is measured."""

NodeKind = Literal["folder", "object", "variable", "method"]

VALUE_TYPE_NAMES = ("double", "int64", "boolean", "string", "json")


class Reason(StrEnum):
    """Why a driver cannot do something. The word is stable: the console and the API show it."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    CREDENTIALS = "credentials"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    ADDRESS_UNKNOWN = "address-unknown"
    TYPE_MISMATCH = "type-mismatch"
    RANGE = "range"
    BUSY = "busy"
    UNSUPPORTED = "unsupported"


class DriverError(Exception):
    """Something a driver could not do.

    Attributes:
        reason: what kind of failure.
        what: what happened, one sentence with the address or host in question, without secrets.
        advice: what to do about it, one sentence.
    """

    def __init__(self, reason: Reason, what: str, advice: str) -> None:
        super().__init__(f"{what} {advice}".strip())
        self.reason = reason
        self.what = what
        self.advice = advice


class Reading(NamedTuple):
    """One value of one address. Many per second, therefore a tuple.

    Attributes:
        address: index into the addresses that were subscribed or read.
        value: after decoding, before scaling.
        quality: ``gongfu.kernel.quality``.
        source_time: UTC ns of the machine; 0 when it gives none, then the time of arrival is taken.
    """

    address: int
    value: Value
    quality: int = 0
    source_time: int = 0


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One configured point of a connection.

    The stored value is ``value * scale + offset`` for numbers; other types are not scaled.

    Attributes:
        point: name of the point at the asset of the connection; ``asset`` names a child.
        where: the protocol's own text (``holding:40001:float32:badc``, ``ns=2;s=Pump.1``).
        asset: path of a child asset below that of the connection, ``""`` is its own.
        value_type: double, int64, boolean, string or json.
        unit: UCUM code, ``""`` unknown.
        scale: factor.
        offset: added after the factor.
        every: seconds between two reads, or the sampling interval asked of the machine.
        deadband: a value that differs by no more from the last one kept is left out, in scaled units; 0 keeps every
            change.
        swinging_door: largest error of a straight line between two values kept, in scaled units; 0 is off.
        writable: whether ``write`` may be asked for it.
    """

    point: str
    where: str
    asset: str = ""
    value_type: str = "double"
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    every: float = 1.0
    deadband: float = 0.0
    swinging_door: float = 0.0
    writable: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something that answers at a URL: a server's endpoint, a unit on a bus.

    Attributes:
        url: what to connect to.
        name: what it calls itself.
        description: what else is known, in words.
        options: options of the driver to reach it with, without secrets.
    """

    url: str
    name: str
    description: str = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a machine has to show.

    Attributes:
        where: what ``Address.where`` is to be for it; also the parent of what is below it.
        name: the machine's name of it.
        kind: folder, object, variable or method.
        value_type: as of ``Address``, ``""`` unknown.
        unit: UCUM code, ``""`` unknown.
        unit_text: the unit as the machine writes it, where it has no UCUM code.
        writable: whether the machine takes values for it.
        description: in words.
        sample: its present value when that costs nothing to know.
        has_children: whether browsing below it can give something.
        path: names from the first level to this one, without its own.
        type_name: the machine's own type of it (say ``PumpType``), ``""`` unknown.
        suggested: how it should be configured, where the driver knows more than stands here (scale, rate).
    """

    where: str
    name: str
    kind: NodeKind = "variable"
    value_type: str = ""
    unit: str = ""
    unit_text: str = ""
    writable: bool = False
    description: str = ""
    sample: Any = None
    has_children: bool = False
    path: tuple[str, ...] = ()
    type_name: str = ""
    suggested: Address | None = None


class NodePage(msgspec.Struct, frozen=True, kw_only=True):
    """Part of what is below a node; ``next`` continues it, ``""`` at the end."""

    items: list[Node]
    next: str = ""


class WriteResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a write.

    Attributes:
        confirmed: the machine gave the same value back when it was read again; None when the protocol cannot say.
        read_back: the value read again.
        detail: in words when it is not confirmed.
    """

    confirmed: bool | None
    read_back: Value = None
    detail: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a driver says of itself.

    Attributes:
        protocol: name of the driver, as stored with connections (``modbus``).
        schemes: URL schemes it takes (``modbus``, ``modbus+rtu``).
        title: by language, ``zh`` and ``en``.
        version: of the driver.
        level: quality level.
        capabilities: of ``discover``, ``browse``, ``read``, ``subscribe``, ``write``, ``history``, ``events``,
            ``methods``.
        options_schema: JSON Schema of the options; ``writeOnly`` marks secrets.
        address_help: one line on what ``Address.where`` looks like.
    """

    protocol: str
    schemes: tuple[str, ...]
    title: dict[str, str]
    version: str = "1"
    level: Level = "bronze"
    capabilities: tuple[str, ...] = ("read",)
    options_schema: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    address_help: str = ""


class Sink(Protocol):
    """Takes what a driver brings. Never blocks, is bounded, sheds and counts when it is full."""

    def take(self, readings: Sequence[Reading], received: int) -> None:
        """Take readings that arrived at ``received`` (UTC ns), in the order of their arrival."""
        ...

    def gap(self, addresses: Sequence[int], since: int, until: int, reason: str) -> None:
        """Say that values of these addresses are missing between two times (UTC ns).

        The points show a bad quality and an event is raised: a gap is never silent.
        """
        ...

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Pass on an event of the machine: alarms, births and deaths, changes of its model."""
        ...

    @property
    def saturated(self) -> bool:
        """True while no more can be taken without shedding; drivers that can wait then do."""
        ...


class Driver(Protocol):
    """One connection to a machine, made with a ``Context``. One call at a time, but for ``wait`` and ``close``.

    ``open`` first; after ``close``, or a failure, the instance is thrown away and a new one made.
    """

    manifest: ClassVar[Manifest]

    async def open(self) -> None:
        """Connect.

        Raises:
            DriverError: it cannot.
        """
        ...

    async def close(self) -> None:
        """End the connection and give back what it held. Does not raise; may be called at any time."""
        ...

    async def discover(self) -> list[Found]:
        """Return what answers at the URL, whether or not it is open.

        Raises:
            DriverError: nothing does.
        """
        ...

    async def browse(self, parent: str, limit: int, cursor: str = "") -> NodePage:
        """Return at most ``limit`` nodes below ``parent`` (``""`` is the top), after ``cursor``.

        Raises:
            DriverError: it cannot, or there is no such parent.
        """
        ...

    async def read(self, addresses: Sequence[Address]) -> list[Reading]:
        """Read each address once; an address that cannot be read gives a reading of bad quality.

        Raises:
            DriverError: the connection failed, or an address cannot be understood.
        """
        ...

    async def subscribe(self, addresses: Sequence[Address], sink: Sink) -> None:
        """Send values of these addresses to ``sink`` from now on. Returns when it is set up.

        Polls where the protocol has no subscriptions. Called once in the life of an instance.

        Raises:
            DriverError: it cannot be set up, or an address cannot be understood.
        """
        ...

    async def wait(self) -> None:
        """Wait until the connection is lost.

        Raises:
            DriverError: why it was.
        """
        ...

    async def write(self, address: Address, value: Value) -> WriteResult:
        """Write one value, given in the machine's own terms (scaling is already undone), and read it back.

        Raises:
            DriverError: it was not written.
        """
        ...

    async def health(self) -> Mapping[str, Any]:
        """Return figures of the protocol (round trip, server state, lost responses), for the status."""
        ...


class Timing(Protocol):
    """Clocks and sleeping; tests pass simulated ones."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that only goes forward."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a driver is made with: the class that an entry point of group ``gongfu.drivers`` names takes one of these.

    Attributes:
        url: the machine's address, without user and password.
        options: checked against the manifest's schema, defaults filled in, secrets included.
        name: of the connection, for logs and the machine's list of clients.
        directory: a directory that only this connection uses (certificates, positions in files); it may not exist yet.
        timing: clocks.
    """

    url: str
    options: Mapping[str, Any]
    name: str
    directory: Path
    timing: Timing
