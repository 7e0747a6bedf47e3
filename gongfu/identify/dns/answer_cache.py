"""Answers to queries that were asked before, byte for byte, until what they say changes.

The key is the whole query but its number, in small letters: flags, name, type and EDNS. Only the bytes of a name may be
letters, so a query in which any other byte is one is never kept: what is alike in small letters then asks the same.
"""

from collections.abc import Set

from gongfu.identify.dns.message import HEADER_BYTES, Query

_LETTERS = frozenset(range(0x41, 0x5B)) | frozenset(range(0x61, 0x7B))

Kept = tuple[bytes, bytes, int, bytes]
"""All behind the number, for a question in small letters; for others: header, end of the question, and all behind."""


class AnswerCache:
    """Bounded: the oldest give way. ``get`` is looked up directly by who answers."""

    def __init__(self, entries: int) -> None:
        """Make it for so many answers."""
        self._entries = entries
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
        while len(self._answers) >= self._entries:
            self._drop(next(iter(self._answers)))
        key = data[2:].lower()
        head, rest = answer[2:HEADER_BYTES], answer[end:]
        self._answers[key] = (head + data[HEADER_BYTES:end].lower() + rest, head, end, rest)
        self._names[key] = names
        for name in names:
            self._by_name.setdefault(name, set()).add(key)

    def _drop(self, key: bytes) -> None:
        self._answers.pop(key, None)
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
        self._names.clear()
        self._by_name.clear()
