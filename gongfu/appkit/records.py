"""Records of an app as it meets them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Records(Protocol):
    """Tables of the app: an SQLite file of its own, changed by ``migrations/NNNN_name.sql``. ``needs.records``."""

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return the rows of a SELECT; ``?`` stands for a value."""
        ...

    def execute(self, sql: str, *values: Any) -> int:
        """Run a statement, and return how many rows it changed."""
        ...

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row of values, and return how many rows it changed."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All statements inside happen, or none."""
        ...
