"""How much one request may read, and how much of it is held at a time."""

from gongfu.kernel.errors import Problem

# Values held at a time, about 25 MB of them with what is computed.
PIECE = 300_000
# Values that one request may read.
MAX_READ = 20_000_000


class Budget:
    """Values that a request may still read."""

    def __init__(self, values: int = MAX_READ) -> None:
        self._left = values
        self._all = values

    def take(self, n: int) -> None:
        """Take some.

        Raises:
            Problem: 422 when there are no more.
        """
        self._left -= n
        if self._left < 0:
            raise too_many(f"it would read more than {self._all} values: take a shorter range or fewer series")


def too_many(what: str) -> Problem:
    """Return the problem of a query that would read more than one may (422)."""
    return Problem(422, "query-limit", "The query passes a limit", what)
