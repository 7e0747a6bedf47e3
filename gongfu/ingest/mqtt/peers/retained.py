"""Retained messages at several front doors: the later version of a topic wins, cleared topics are remembered."""

from zlib import crc32

from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.mqtt.broker.routing import Router
from gongfu.ingest.mqtt.peers.wire import Digest, Keep

BUCKETS = 256
# Cleared topics that are remembered; without limit a client could fill the memory with them.
MAX_CLEARED = 100_000
ROW_BYTES = 128 * 1024
_MASK = (1 << 64) - 1

Row = tuple[int, str, int, bytes]


class RetainedVersions:
    """Versions of retained messages by tenant and topic.

    Args:
        router: keeps the messages.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._versions: dict[tuple[int, str], int] = {}
        self._cleared: dict[tuple[int, str], None] = {}

    def restore(self, kept: list[tuple[int, str, int]], cleared: list[tuple[int, str, int]]) -> None:
        """Take what the journal kept: (tenant, topic, version) each."""
        for tenant, topic, version in (*kept, *cleared):
            self._versions[tenant, topic] = version
        for tenant, topic, _ in cleared:
            self._cleared[tenant, topic] = None

    def following(self, tenant: int, topic: str, version: int) -> int:
        """Return a version that is later than the one of a topic: ``version``, unless a clock goes wrong."""
        return max(version, self._versions.get((tenant, topic), -1) + 1)

    def keep(self, tenant: int, message: Message, version: int) -> Row | None:
        """Retain or clear a topic; return the row for the other front doors, None when a later version is here."""
        place = tenant, message.topic
        if self._versions.get(place, -1) >= version:
            return None
        self._versions[place] = version
        self._router.retain_here(tenant, message, version)
        if message.payload:
            self._cleared.pop(place, None)
        else:
            self._cleared[place] = None
            if len(self._cleared) > MAX_CLEARED:
                oldest = next(iter(self._cleared))
                del self._cleared[oldest]
                del self._versions[oldest]
                self._router.desk.durability.drop_retained(*oldest)
        return (tenant, message.topic, version, message.to_bytes() if message.payload else b"")

    def keep_alone(self, tenant: int, message: Message, version: int) -> None:
        """The same while there is no other front door: what is cleared need not be remembered."""
        if message.payload:
            self.keep(tenant, message, version)
        else:
            self._versions.pop((tenant, message.topic), None)
            self._router.retain_here(tenant, message)

    def take(self, item: Keep) -> None:
        """Take rows of another front door."""
        now = self._router.desk.clock.now_ns()
        for tenant, topic, version, body in item.rows:
            message = Message.from_bytes(body) if body else Message(topic, b"")
            if not message.expires or message.expires > now:
                self.keep(tenant, message, version)

    def digest(self) -> Digest:
        """Return the sums of all that is kept."""
        sums = [0] * BUCKETS
        for place, version in self._versions.items():
            number = _number(place)
            sums[number % BUCKETS] ^= (number * 0x9E3779B97F4A7C15 ^ version * 0xC2B2AE3D27D4EB4F) & _MASK
        return Digest(sums)

    def differing(self, other: Digest) -> list[Keep]:
        """Return all rows of the buckets in which another front door has something else."""
        if len(other.sums) != BUCKETS:
            return []
        wanted = {index for index, (a, b) in enumerate(zip(self.digest().sums, other.sums, strict=True)) if a != b}
        found: list[Keep] = []
        rows: list[Row] = []
        size = 0
        for place, version in self._versions.items() if wanted else ():
            if _number(place) % BUCKETS not in wanted:
                continue
            tenant, topic = place
            message = self._router.tenant(tenant).retained.get(topic)
            if message is None and place not in self._cleared:
                continue
            body = message.to_bytes() if message is not None else b""
            rows.append((tenant, topic, version, body))
            size += len(body) + len(topic)
            if size > ROW_BYTES:
                found.append(Keep(rows))
                rows, size = [], 0
        return [*found, Keep(rows)] if rows else found


def _number(place: tuple[int, str]) -> int:
    return crc32(place[1].encode(), place[0] & 0xFFFFFFFF)
