"""How long blocks are gathered before they go to the log.

Every block costs an fsync and work in each process after it, however few points it has. Where messages trickle in from
devices that send when they like, gathering them a little longer saves most of that and delays no one's next message.
A sender that waits for each acknowledgement before it sends more would be slowed: it is noticed by its next message,
which comes soon after the last acknowledgement, and then blocks go as often as ever.

A message of a gateway has the values of many devices with times of their own: it is gathered for longer still, until a
message comes that is none.
"""

from collections import deque
from collections.abc import Set

from gongfu.ingest.columnise.limits import BLOCK_INTERVAL_S

# Blocks of more payloads are large enough.
SMALL_BLOCK = 64
# A message that comes within this time after an acknowledgement of its sender may have waited for it.
PROMPT_S = 0.02
# Blocks are gathered longer when less than this part of their senders may have waited, and payloads come this often.
PROMPT_SHARE = 0.1
TRICKLE_PER_S = 200.0
_RATE_WINDOW_S = 0.25
# Gathering and twice the usual time of a commit together.
LATENCY_S = 0.014
_LONGEST_S = 0.012
# The same for messages of gateways.
GATEWAY_LATENCY_S = 0.044
_RISE, _FALL, _COMMIT = 0.3, 0.1, 0.05


class BlockPace:
    """Least time between two blocks of a lane, from what came and how long the log took.

    Attributes:
        interval_s: the time now.
        gateway_s: the time while there are messages of gateways only.
    """

    __slots__ = (
        "_answered", "_closed_at", "_commit_s", "_count", "_counted_from", "_prompt", "_rate", "gateway_s",
        "interval_s",
    )  # fmt: skip

    def __init__(self) -> None:
        self.interval_s = self.gateway_s = BLOCK_INTERVAL_S
        self._closed_at = 0.0
        self._answered: deque[tuple[float, Set[int]]] = deque()
        self._commit_s = 0.0
        self._prompt = 1.0
        self._rate = 0.0
        self._count = 0
        self._counted_from = 0.0

    def closed(self, now: float, senders: Set[int] | None, payloads: int) -> None:
        """Take note of a block that goes to the log.

        Args:
            now: loop time.
            senders: devices of its payloads, None when it is no small block.
            payloads: their number.
        """
        self._count += payloads
        if now - self._counted_from >= _RATE_WINDOW_S:
            self._rate = self._count / (now - self._counted_from)
            self._count, self._counted_from = 0, now
        gathered = min(now - self._closed_at, self.gateway_s)
        self._closed_at = now
        answered, oldest = self._answered, now - max(gathered, self.interval_s) - PROMPT_S
        while answered and answered[0][0] < oldest:
            answered.popleft()
        share = 1.0
        if senders is not None:
            prompt: set[int] = set()
            for _, devices in answered:
                prompt |= senders & devices
            share = len(prompt) / len(senders) if senders else 0.0
        self._prompt += (share - self._prompt) * (_RISE if share > self._prompt else _FALL)
        longer = self._prompt < PROMPT_SHARE and self._rate >= TRICKLE_PER_S
        if longer:
            self.interval_s = max(BLOCK_INTERVAL_S, min(_LONGEST_S, LATENCY_S - 2 * self._commit_s))
            self.gateway_s = GATEWAY_LATENCY_S - 2 * self._commit_s
        else:
            self.interval_s = self.gateway_s = BLOCK_INTERVAL_S

    def settled(self, now: float, senders: Set[int] | None, commit_s: float) -> None:
        """Take note of a block whose senders have their answer, ``commit_s`` after it went to the log."""
        # One that takes very long says little about the next.
        self._commit_s += (min(commit_s, LATENCY_S / 2) - self._commit_s) * _COMMIT
        if senders is not None:
            self._answered.append((now, senders))
