"""Answers to queries that were asked before, byte for byte, until what they say changes.

The key is the whole query but its number, in small letters: flags, name, type and EDNS. Only the bytes of a name may be
letters, so a query in which any other byte is one is never kept: what is alike in small letters then asks the same.

With millions of answers what Python keeps beside them counts: an answer is one entry of a dictionary of bytes, one of a
dictionary by handle, and two places in the order of age; ``get`` is the dictionary's own.
"""

from collections import deque
from collections.abc import Iterable, Set
from typing import TypeAlias

from gongfu.identify.dns.message import HEADER_BYTES

_LETTERS = frozenset(range(0x41, 0x5B)) | frozenset(range(0x61, 0x7B))

# What Python takes for an entry beside the bytes of query and answer: two objects of bytes, the handle, places in two
# dictionaries and in the order (measured with 1,000,000 of them).
ENTRY_BYTES = 330

_Keys: TypeAlias = bytes | set[bytes]


def may_be_kept(data: bytes, end: int) -> bool:
    """Return whether two queries that are alike in small letters ask the same; the question ends at ``end``."""
    return _LETTERS.isdisjoint(data[2:HEADER_BYTES]) and _LETTERS.isdisjoint(data[end - 4 :])


class AnswerCache:
    """Bounded: the oldest give way. ``get`` is looked up directly by who answers: it is the answer behind its number,
    with the question in small letters."""

    def __init__(self, entries: int, size: int) -> None:
        """Make it for so many answers, and so many bytes."""
        # Two places in the order each.
        self._most = 2 * entries
        self._size = size
        self._used = 0
        self._answers: dict[bytes, bytes] = {}
        self._by_name: dict[str, _Keys] = {}
        # Key and names of each answer in turn, as they were added; some may be gone since.
        self._order: deque[bytes | str | tuple[str, ...]] = deque()
        self.get = self._answers.get

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, data: bytes, end: int, answer: bytes, names: tuple[str, ...]) -> None:
        """Keep an answer.

        Args:
            data: the query as it came.
            end: where the question ends in it.
            answer: as it was sent.
            names: keys of the handles that it depends on (``HandleName.key``).
        """
        if not may_be_kept(data, end):
            return
        kept = answer[2:HEADER_BYTES] + data[HEADER_BYTES:end].lower() + answer[end:]
        self._put(data[2:].lower(), kept, names)

    def add_small(self, key: bytes, kept: bytes, name: str) -> None:
        """Keep an answer to a query that may be kept and has no capitals in its name.

        Args:
            key: the query behind its number.
            kept: the answer behind its number.
            name: key of the handle that it depends on.
        """
        used = self._used + len(key) + len(kept) + ENTRY_BYTES
        if key in self._answers or name in self._by_name or used > self._size or len(self._order) >= self._most:
            self._put(key, kept, (name,))
            return
        # What nobody has asked in any way, and there is room: as ``_put`` does it.
        self._used = used
        self._answers[key] = kept
        self._by_name[name] = key
        self._order += (key, name)

    def _put(self, key: bytes, kept: bytes, names: tuple[str, ...]) -> None:
        answers, order = self._answers, self._order
        if key in answers:
            self._drop(key, names)
        self._used += len(key) + len(kept) + ENTRY_BYTES
        while order and (len(order) >= self._most or self._used > self._size):
            self._drop_oldest()
        answers[key] = kept
        for name in names:
            known = self._by_name.get(name)
            if known is None:
                self._by_name[name] = key
            elif isinstance(known, set):
                known.add(key)
            elif known != key:
                self._by_name[name] = {known, key}
        order.append(key)
        order.append(names[0] if len(names) == 1 else names)

    def _drop_oldest(self) -> None:
        key, named = self._order.popleft(), self._order.popleft()
        assert isinstance(key, bytes)
        self._drop(key, named if isinstance(named, tuple) else (str(named),))

    def _drop(self, key: bytes, names: Iterable[str]) -> None:
        kept = self._answers.pop(key, None)
        if kept is not None:
            self._used -= len(key) + len(kept) + ENTRY_BYTES
        for name in names:
            known = self._by_name.get(name)
            if known == key:
                del self._by_name[name]
            elif isinstance(known, set):
                known.discard(key)
                if not known:
                    del self._by_name[name]

    def forget(self, names: Set[str]) -> None:
        """Forget what depends on these handles."""
        # Most that is written was not asked for lately.
        for name in self._by_name.keys() & names if self._by_name else ():
            known = self._by_name.pop(name)
            for key in known if isinstance(known, set) else (known,):
                self._drop(key, ())

    def clear(self) -> None:
        """Forget all."""
        self._answers.clear()
        self._by_name.clear()
        self._order.clear()
        self._used = 0
