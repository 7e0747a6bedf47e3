"""One end of a link, in memory."""

from collections import deque

from gongfu.tree.host.link_records import LinkRow
from gongfu.tree.link.limits import FOREVER
from gongfu.tree.link.position import confirmed
from gongfu.tree.link.session import Session

# Times of storing that are kept of an outbox; more become coarser.
_MARKS = 256


class Link:
    """One end of a link while the host runs."""

    __slots__ = ("changed", "generation", "marks", "offset", "peer", "planned", "row", "session", "up", "upward")

    def __init__(self, row: LinkRow, session: Session) -> None:
        self.peer = row.peer
        self.row = row.id
        self.upward = row.upward
        self.session = session
        self.up = False
        self.changed = 0
        # Grows when deliveries were rolled back; those handed out before are of no account then.
        self.generation = 0
        # (number of the last message, when it was stored), oldest first.
        self.marks: deque[tuple[int, int]] = deque()
        self.planned = FOREVER
        self.offset = row.clock_offset
        if row.oldest:
            self.marks.append((row.last, row.oldest))

    @property
    def waiting(self) -> int:
        """Messages in the outbox that the other end has not acknowledged."""
        out = self.session.outgoing
        return out.last - confirmed(out.epoch, out.acknowledged).number

    def stored(self, last: int, at: int) -> None:
        """Note when messages up to ``last`` were stored."""
        if len(self.marks) >= _MARKS:
            # Every other one, the first of two: what is shown as oldest is not younger than it is.
            kept = list(self.marks)
            self.marks = deque((kept[min(i + 1, len(kept) - 1)][0], kept[i][1]) for i in range(0, len(kept), 2))
        self.marks.append((last, at))

    def forget(self, acknowledged: int) -> None:
        """Messages up to ``acknowledged`` are at the other end."""
        while self.marks and self.marks[0][0] <= acknowledged:
            self.marks.popleft()
