"""What batches with a key of idempotency were answered: kept with what they did, by each shard for its own part."""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from gongfu.identify.records.keys import BATCHES, Answered, batch_key, decode_answered, encode_answered
from gongfu.identify.records.shard import Shard
from gongfu.identify.service.writes import BatchError, Outcome, Write, WriteCode, WriteReason

_CODES = tuple(WriteCode)
_PLACES = {code: place for place, code in enumerate(_CODES)}
# Instead of a code: the write was not answered by this shard.
_NOT_HERE = 0xFF
# Answers that are deleted by one write.
_FORGOTTEN = 10_000

_encode_writes = msgspec.msgpack.Encoder().encode


def digest_of(writes: Sequence[Write]) -> bytes:
    """Return what tells a batch from others."""
    return hashlib.blake2b(_encode_writes(writes), digest_size=16).digest()


class Answers:
    """The answers that are kept, and those of a group that is not on the disk yet."""

    def __init__(self, shards: Sequence[Shard], now: int) -> None:
        """Take shards, and the time in UTC seconds."""
        self._shards = shards
        self._now = now
        self._new: dict[tuple[int, bytes], Answered] = {}

    def find(self, key: bytes, digest: bytes, count: int) -> list[Outcome | None]:
        """Return what the writes of a batch were answered, None for those that were not.

        Raises:
            BatchError: KEY_REUSED.
        """
        outcomes: list[Outcome | None] = [None] * count
        for shard in range(len(self._shards)):
            seen = self._seen(shard, key)
            if seen is None:
                continue
            if seen.digest != digest or len(seen.codes) != count:
                raise BatchError(WriteReason.KEY_REUSED, "the key was used for other writes")
            for place, code in enumerate(seen.codes):
                if code != _NOT_HERE:
                    outcomes[place] = Outcome(_CODES[code], seen.details.get(place, ""))
        return outcomes

    def keep(
        self, shard: int, key: bytes, digest: bytes, outcomes: Sequence[Outcome], places: Iterable[int]
    ) -> tuple[bytes, bytes]:
        """Keep what a shard has answered; returns what it has to write: key and bytes.

        Args:
            shard: its number.
            key: of the batch.
            digest: of the batch.
            outcomes: of all writes of the batch.
            places: of the writes of this shard.
        """
        codes = bytearray([_NOT_HERE]) * len(outcomes)
        details: dict[int, str] = {}
        seen = self._seen(shard, key)
        if seen is not None:
            codes, details = bytearray(seen.codes), dict(seen.details)
        for place in places:
            outcome = outcomes[place]
            codes[place] = _PLACES[outcome.code]
            if outcome.detail:
                details[place] = outcome.detail
        answered = self._new[shard, key] = Answered(self._now, digest, bytes(codes), details)
        return batch_key(key), encode_answered(answered)

    def _seen(self, shard: int, key: bytes) -> Answered | None:
        answered = self._new.get((shard, key))
        if answered is not None:
            return answered
        stored = self._shards[shard].read(batch_key(key))
        return None if stored is None else decode_answered(stored)


def forget(shards: Sequence[Shard], before: int) -> int:
    """Forget what batches were answered before a time (UTC seconds), and return how many answers that were."""
    gone = 0
    for shard in shards:
        old = [key for key, value in shard.items(BATCHES) if decode_answered(value).at < before]
        gone += len(old)
        for start in range(0, len(old), _FORGOTTEN):
            shard.write(dict.fromkeys(old[start : start + _FORGOTTEN]))
    return gone
