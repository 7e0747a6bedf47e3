"""Answers by the bytes of their requests, until the handle that they are about changes.

An answer is a function of its request and of what the store has of one handle, so a request that comes again as it was
needs a look into a dictionary and nothing else. Used by the Handle servers and by the HTTP server, each with its own.
"""

from collections.abc import Iterable, Set


class _Generation:
    __slots__ = ("answers", "size", "uses")

    def __init__(self) -> None:
        self.answers: dict[bytes, tuple[bytes, tuple[str, ...]]] = {}
        # Requests by the handles that their answers are about.
        self.uses: dict[str, list[bytes]] = {}
        self.size = 0

    def put(self, request: bytes, answer: bytes, depends: tuple[str, ...]) -> None:
        if request not in self.answers:
            for handle in depends:
                self.uses.setdefault(handle, []).append(request)
            self.size += len(request) + len(answer)
        self.answers[request] = answer, depends

    def forget(self, handles: Set[str]) -> None:
        # Most that is written was not asked for lately: a batch of new handles costs a look at how little there is.
        for handle in self.uses.keys() & handles if self.uses else ():
            for request in self.uses.pop(handle):
                self.answers.pop(request, None)


class AnswerCache:
    """Answers of two generations: when the young one is full it becomes the old one, of which only those go on that are
    asked for again.

    Attributes:
        young: what is kept of the young one, answers first: who is in a hurry looks there before ``get``.
    """

    def __init__(self, *, most: int = 100_000, most_bytes: int = 64 << 20) -> None:
        """Make it.

        Args:
            most: answers.
            most_bytes: of requests and answers.
        """
        self._most = most // 2
        self._most_bytes = most_bytes // 2
        self._young = _Generation()
        self._old = _Generation()
        self.young = self._young.answers

    def __len__(self) -> int:
        return len(self._young.answers) + len(self._old.answers)

    def get(self, request: bytes) -> bytes | None:
        """Return the answer to a request."""
        found = self._young.answers.get(request)
        if found is not None:
            return found[0]
        found = self._old.answers.pop(request, None)
        if found is None:
            return None
        self.put(request, *found)
        return found[0]

    def put(self, request: bytes, answer: bytes, depends: tuple[str, ...]) -> None:
        """Keep the answer to a request until one of the handles that it is about changes (``HandleName.key``)."""
        if len(request) + len(answer) > self._most_bytes // 16:
            return
        if len(self._young.answers) >= self._most or self._young.size >= self._most_bytes:
            self._old, self._young = self._young, _Generation()
            self.young = self._young.answers
        self._young.put(request, answer, depends)

    def forget(self, handles: Iterable[str]) -> None:
        """Forget the answers about some handles."""
        names = handles if isinstance(handles, Set) else frozenset(handles)
        self._young.forget(names)
        self._old.forget(names)

    def clear(self) -> None:
        """Forget all."""
        self._young, self._old = _Generation(), _Generation()
        self.young = self._young.answers
