"""Which errors say that the records are away, and which that a statement is wrong."""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError, PendingRollbackError

# SQLite's codes (sqlite.org/rescode.html) for what passes or is of the machine: busy, locked, no memory, read-only,
# interrupted, I/O, corrupt, full, cannot open, protocol, not a database. The rest are faults of the statement.
_SQLITE = frozenset({5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 26})


def is_outage(error: BaseException) -> bool:
    """Return whether a transaction failed because the records cannot be written now: it may be tried again."""
    if isinstance(error, PendingRollbackError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 1) & 0xFF in _SQLITE
    return isinstance(error, OperationalError | InterfaceError | InternalError)
