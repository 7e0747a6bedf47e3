"""Which partitions a worker should have: the decisions of one worker from what it sees. Pure.

Every worker renews its entry in the roster and its leases; a *revision* changes with each renewal. Another worker's
lease has ended when its revision has not changed for ``expire_s``, as far as this worker was itself able to write in
that time: while nobody can write, nobody's lease ends. A lease changes hands only by compare-and-set of its revision,
so of several workers that decide alike one gets it, and what decides here on old knowledge changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

FREE = ""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A partition's record as it was read; ``owner`` is empty when nobody has it."""

    owner: str
    revision: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What a worker should do now: partitions to take, with the revision they must still have, and to give back."""

    take: dict[int, int]
    release: list[int]


class LeaseView:
    """What one worker has seen of leases and roster. Times are seconds of its own monotonic clock."""

    def __init__(self, me: str, partitions: int, expire_s: float, own_s: float) -> None:
        """See the world as ``me``, a name that no other worker has.

        Args:
            me: name of this worker.
            partitions: number of partitions.
            expire_s: silence after which another's lease has ended.
            own_s: silence after which a lease of this name that this process does not hold has ended: an earlier
                process, which its supervisor has seen end.
        """
        self._me = me
        self._partitions = partitions
        self._expire_s = expire_s
        self._own_s = own_s
        self._records: dict[int, LeaseRecord] = {}
        self._members: dict[str, int] = {}
        # By partition or member: the revision, and the moment this worker first saw it.
        self._since: dict[int | str, tuple[int, float]] = {}

    def observe(self, now: float, records: Mapping[int, LeaseRecord], members: Mapping[str, int]) -> None:
        """Take what was read.

        Args:
            now: present time.
            records: by partition; one that was never written is left out.
            members: revision of each roster entry by name.
        """
        self._records, self._members = dict(records), dict(members)
        seen: dict[int | str, int] = {partition: record.revision for partition, record in records.items()}
        seen.update(members)
        self._since = {
            key: known if (known := self._since.get(key)) and known[0] == revision else (revision, now)
            for key, revision in seen.items()
        }

    def excuse(self, now: float) -> None:
        """Begin every silence anew: this worker could not write, so others perhaps could not either."""
        self._since = {key: (revision, now) for key, (revision, _) in self._since.items()}

    def _silent(self, key: int | str, now: float, seconds: float | None = None) -> bool:
        return now - self._since[key][1] >= (self._expire_s if seconds is None else seconds)

    def alive(self, now: float) -> list[str]:
        """Return the names of the workers that are there, this one among them, in order."""
        return sorted({self._me, *(name for name in self._members if not self._silent(name, now))})

    def quota(self, now: float) -> int:
        """Return how many partitions this worker should have; the sum over all that see the same is all of them."""
        alive = self.alive(now)
        base, extra = divmod(self._partitions, len(alive))
        held = {name: sum(record.owner == name for record in self._records.values()) for name in alive}
        # Those that have most keep the larger shares, so that as few as possible change hands.
        largest = sorted(alive, key=lambda name: (-held[name], name))[:extra]
        return base + (self._me in largest)

    def decide(self, now: float, held: frozenset[int]) -> Decision:
        """Return what to do.

        Args:
            now: present time.
            held: partitions whose lease this process has.
        """
        quota = self.quota(now)
        if len(held) > quota:
            return Decision({}, sorted(held)[quota:])
        # Workers that look at the same free partitions begin at different ones.
        alive = self.alive(now)
        start = alive.index(self._me) * self._partitions // len(alive)
        order = [(start + n) % self._partitions for n in range(self._partitions)]
        free = [partition for partition in order if partition not in held and self._is_free(partition, now)]
        return Decision({partition: self._revision(partition) for partition in free[: quota - len(held)]}, [])

    def _revision(self, partition: int) -> int:
        record = self._records.get(partition)
        return record.revision if record is not None else 0

    def _is_free(self, partition: int, now: float) -> bool:
        record = self._records.get(partition)
        if record is None or record.owner == FREE:
            return True
        return self._silent(partition, now, self._own_s if record.owner == self._me else None)


class Standing(StrEnum):
    """What the holder of a lease may do by its own clock."""

    SURE = "sure"
    # It was not renewed for a while: nothing new is begun, and what goes on is ended.
    DOUBTFUL = "doubtful"
    # Others may take it from now on.
    OVER = "over"


def standing(now: float, until: float, margin_s: float) -> Standing:
    """Return what a holder may do.

    Args:
        now: present time, in the seconds of ``until``.
        until: until when it trusts its lease; others wait longer before they take it.
        margin_s: time before ``until`` in which what goes on must end.
    """
    if now >= until:
        return Standing.OVER
    return Standing.DOUBTFUL if now >= until - margin_s else Standing.SURE
