"""Answers to queries that were asked before, byte for byte, until what they say changes.

The key is the whole query but its number, in small letters: flags, name, type and EDNS. Only the bytes of a name may be
letters, so a query in which any other byte is one is never kept: what is alike in small letters then asks the same.
"""

from collections.abc import Set

from gongfu.identify.dns.message import HEADER_BYTES, Query

_LETTERS = frozenset(range(0x41, 0x5B)) | frozenset(range(0x61, 0x7B))

# What Python takes for an entry beside its bytes.
_ENTRY_BYTES = 700

Kept = tuple[bytes, int]
"""All of an answer behind the number, with the question in small letters, and where in the answer that ends."""


class AnswerCache:
    """Bounded: the oldest give way. ``get`` is looked up directly by who answers."""

    def __init__(self, entries: int, size: int) -> None:
        """Make it for so many answers, and so many bytes."""
        self._entries = entries
        self._size = size
        self._used = 0
        self._answers: dict[bytes, Kept] = {}
        self._names: dict[bytes, tuple[str, ...]] = {}
        self._by_name: dict[str, set[bytes]] = {}
        self.get = self._answers.get

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, data: bytes, query: Query, answer: bytes, names: tuple[str, ...]) -> None:
        """Keep an answer.

        Args:
            data: the query as it came.
            query: the same.
            answer: as it was sent.
            names: keys of the handles that it depends on (``HandleName.key``).
        """
        end = HEADER_BYTES + len(query.question)
        if not _LETTERS.isdisjoint(data[2:HEADER_BYTES]) or not _LETTERS.isdisjoint(data[end - 4 :]):
            return
        key = data[2:].lower()
        self._drop(key)
        kept = answer[2:HEADER_BYTES] + data[HEADER_BYTES:end].lower() + answer[end:]
        self._used += len(key) + len(kept) + _ENTRY_BYTES
        while self._answers and (len(self._answers) >= self._entries or self._used > self._size):
            self._drop(next(iter(self._answers)))
        self._answers[key] = (kept, end)
        self._names[key] = names
        for name in names:
            self._by_name.setdefault(name, set()).add(key)

    def _drop(self, key: bytes) -> None:
        kept = self._answers.pop(key, None)
        if kept is not None:
            self._used -= len(key) + len(kept[0]) + _ENTRY_BYTES
        for name in self._names.pop(key, ()):
            keys = self._by_name.get(name)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._by_name[name]

    def forget(self, names: Set[str]) -> None:
        """Forget what depends on these handles."""
        # A batch may have changed far more of them than are kept.
        known = [name for name in self._by_name if name in names] if len(names) > len(self._by_name) else names
        for name in known:
            for key in tuple(self._by_name.get(name, ())):
                self._drop(key)

    def clear(self) -> None:
        """Forget all."""
        self._answers.clear()
        self._used = 0
        self._names.clear()
        self._by_name.clear()
