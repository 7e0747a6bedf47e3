"""Where a site link continues: pure decisions, and the file that remembers the last acknowledged message.

Every forwarded message carries ``Nats-Msg-Id: <source stream>:<created>:<sequence>``, where ``created`` is the time at
which the source stream was made: sequences of a stream that was made anew are other messages. The destination's last
message therefore tells what has arrived, whatever the sender remembers.
"""

import json
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path


class ForeignMessageError(Exception):
    """The destination's last message was not forwarded from this source: two write to one stream."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source stream: its name and when it was made, as JetStream tells it."""

    stream: str
    created: str

    def message_id(self, sequence: int) -> str:
        """Return the id of a message at the destination."""
        return f"{self.stream}:{self.created}:{sequence}"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The last message that the destination confirmed: when the source was made, and its sequence there; 0 is none."""

    created: str = ""
    sequence: int = 0


def resume_after(source: Source, last_id: str | None, remembered: Acknowledged) -> int:
    """Return the source sequence after which to go on.

    Args:
        source: the source stream as it is now.
        last_id: id of the destination's last message, empty when it has none, None when the destination is empty.
        remembered: what the sender kept.

    Raises:
        ForeignMessageError: the last message is of another sender.
    """
    kept = remembered.sequence if remembered.created == source.created else 0
    if last_id is None:
        return kept
    name, _, rest = last_id.partition(":")
    created, _, sequence = rest.rpartition(":")
    if name != source.stream or not sequence.isascii() or not sequence.isdigit():
        raise ForeignMessageError(f"the destination's last message has the id {last_id[:100]!r}")
    # Of the stream before it was made anew: nothing of this one has arrived, unless it was removed again.
    return int(sequence) if created == source.created else kept


class SendWindow:
    """Messages on their way, in order. The destination's sequence after which each must come makes order certain.

    ``send`` gives the sequence that the destination must have before a message; a message that is lost makes the
    destination refuse all that follow it, so nothing arrives out of order, and nothing twice.
    """

    def __init__(self, position: int, destination_last: int, max_messages: int, max_bytes: int) -> None:
        """Begin after a source sequence, at the last sequence of the destination."""
        self.position = position
        self._last = destination_last
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[int, int, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def newest(self) -> int:
        """Source sequence of the newest message that was sent."""
        return self._waiting[-1][0] if self._waiting else self.position

    def has_room(self, size: int) -> bool:
        """Return whether a message of a size may be sent now; one always may."""
        if not self._waiting:
            return True
        return len(self._waiting) < self._max_messages and self._bytes + size <= self._max_bytes

    def send(self, sequence: int, size: int) -> int:
        """Take a message and return the sequence that the destination must have before it.

        Raises:
            ValueError: not after the newest one.
        """
        if sequence <= self.newest:
            raise ValueError(f"message {sequence} after {self.newest}")
        expected = self._last
        self._waiting.append((sequence, expected, size))
        self._bytes += size
        self._last += 1
        return expected

    def confirm(self, expected: int, stored: int) -> bool:
        """Take the confirmation of the message sent with ``expected``; return whether all is in order.

        Args:
            expected: what ``send`` gave for it.
            stored: its sequence at the destination.
        """
        if not self._waiting or self._waiting[0][1] != expected or stored != expected + 1:
            return False
        self.position, _, size = self._waiting.popleft()
        self._bytes -= size
        return True


class PositionFile:
    """One durable position: written beside, synced, renamed over the old file. Blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Acknowledged:
        """Return the position; none when there is no file.

        Raises:
            ValueError: the file is not a position file.
        """
        try:
            document = json.loads(self._path.read_bytes())
            return Acknowledged(str(document["created"]), int(document["sequence"]))
        except FileNotFoundError:
            return Acknowledged()
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self._path} is not a position file: {error}") from None

    def save(self, position: Acknowledged) -> None:
        """Replace the file; on return it is durable."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(json.dumps({"created": position.created, "sequence": position.sequence}).encode())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
