"""A recorded session: NDJSON of what a machine showed and of its readings, to be replayed in tests.

The first line is a ``Header``; each further line is one of

- ``{"at": <UTC ns>, "readings": [[address, value, quality, source time], …]}``
- ``{"at": …, "gap": {"addresses": […], "since": …, "until": …, "reason": …}}``
- ``{"at": …, "event": {"kind": …, "detail": {…}}}``

Secrets are never in it: a header has the options as the API shows them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gongfu.connect.kit.types import Address, Node, Reading
from gongfu.connect.preview.types import Proposal

VERSION = 1
MAX_BYTES = 8 << 20


class RecordingError(ValueError):
    """Not a recording of this form; the text says which line."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """First line of a recording."""

    gongfu_recording: int
    protocol: str
    url: str
    options: dict[str, Any]
    addresses: list[Address]
    nodes: list[Node]


class Gap(msgspec.Struct, frozen=True):
    """A gap as the driver told it."""

    addresses: list[int]
    since: int
    until: int
    reason: str


class Happened(msgspec.Struct, frozen=True):
    """An event as the driver told it."""

    kind: str
    detail: dict[str, Any]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line after the first; one of the last three is given."""

    at: int
    readings: list[tuple[int, Any, int, int]] | None = None
    gap: Gap | None = None
    event: Happened | None = None


class Recording(msgspec.Struct, frozen=True):
    """A recording that was read."""

    header: Header
    lines: list[Line]


class RecordingSink:
    """Implements ``Sink``: writes down what comes, up to ``MAX_BYTES``."""

    def __init__(self, proposal: Proposal, nodes: Sequence[Node]) -> None:
        """Record the points of a proposal that are to be made; ``nodes`` are those of all its points."""
        self._proposal = proposal
        chosen = [(point.address, node) for point, node in zip(proposal.points, nodes, strict=True) if point.include]
        self.addresses = [address for address, _ in chosen]
        header = Header(
            gongfu_recording=VERSION,
            protocol=proposal.protocol,
            url=proposal.url,
            options=proposal.options,
            addresses=self.addresses,
            nodes=[node for _, node in chosen],
        )
        self._lines = [msgspec.json.encode(header)]
        self._size = len(self._lines[0])
        self._last = 0

    @property
    def saturated(self) -> bool:
        """True when no more fits."""
        return self._size >= MAX_BYTES

    def take(self, readings: Sequence[Reading], received: int) -> None:
        """Write readings down."""
        self._write(Line(at=received, readings=[(r[0], r[1], r[2], r[3]) for r in readings]))

    def gap(self, addresses: Sequence[int], since: int, until: int, reason: str) -> None:
        """Write a gap down."""
        self._write(Line(at=until, gap=Gap(list(addresses), since, until, reason)))

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Write an event down."""
        self._write(Line(at=self._last, event=Happened(kind, dict(detail))))

    def result(self) -> Proposal:
        """Return the proposal with the recording."""
        warnings = list(self._proposal.warnings)
        if self.saturated:
            warnings.append(f"the recording ends at {MAX_BYTES >> 20} MiB")
        text = b"\n".join([*self._lines, b""]).decode()
        return msgspec.structs.replace(self._proposal, recording=text, warnings=warnings)

    def _write(self, line: Line) -> None:
        if self.saturated:
            return
        self._last = line.at
        self._lines.append(msgspec.json.encode(line))
        self._size += len(self._lines[-1]) + 1


def read_recording(file: Path) -> Recording:
    """Return the recording in a file.

    Raises:
        RecordingError: it cannot be read, or is none.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RecordingError(f"{file}: {error.strerror}") from None
    return parse_recording(content, str(file))


def parse_recording(content: bytes, name: str) -> Recording:
    """Return the recording in some bytes; ``name`` is for messages.

    Raises:
        RecordingError: they are none.
    """
    lines = list(_lines(content))
    try:
        header = msgspec.json.decode(lines[0] if lines else b"", type=Header)
    except msgspec.MsgspecError:
        raise RecordingError(f"{name} is not a recording: its first line is no header") from None
    if header.gongfu_recording != VERSION:
        raise RecordingError(f"{name} is a recording of version {header.gongfu_recording}; {VERSION} can be read")
    decode = msgspec.json.Decoder(Line).decode
    rest: list[Line] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rest.append(decode(line))
        except msgspec.MsgspecError as error:
            raise RecordingError(f"{name}, line {number}: {error}") from None
    return Recording(header, rest)


def _lines(content: bytes) -> Iterator[bytes]:
    return (line for line in content.split(b"\n") if line.strip())
