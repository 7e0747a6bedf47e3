"""Whether the records were prepared by an earlier start, asked without SQLAlchemy: importing it takes ten times as long
as the answer, while the front doors wait for it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

from gongfu.kernel.permissions import NODE_TENANT, Role
from gongfu.kernel.times import SECOND
from gongfu.registry.tokens import hash_token
from gongfu.store.records.revisions import head

CLI_MARGIN = 24 * 3600 * SECOND

_PREFIX = "sqlite:///"
_BUSY_S = 5.0
_PREPARED = (
    "SELECT 1 FROM alembic_version, access_token AS t JOIN app_user AS u ON u.id = t.user_id "
    "WHERE version_num = ? AND t.token_hash = ? AND t.expires_at > ? AND u.enabled AND u.role = ? AND u.tenant_id = ?"
)


def cli_token_path(data_dir: str | Path) -> Path:
    """Return where the token of the command line is."""
    return Path(data_dir) / "secrets" / "cli-token"


def is_prepared(records_url: str, data_dir: str | Path, now: int) -> bool:
    """Return whether SQLite records are at the newest revision and ``cli-token`` is that of a node's administrator.

    False says only that the preparation has to look itself: it is so for other databases and whenever anything fails.

    Args:
        records_url: ``sqlite:///path``.
        data_dir: data directory of the node.
        now: UTC ns; the token must be valid for another day.
    """
    path = records_url.removeprefix(_PREFIX)
    if path == records_url or "?" in path:
        return False
    try:
        token = hash_token(cli_token_path(data_dir).read_text(encoding="utf-8").strip())
        # mode=rw: a file that is not there is not made.
        with closing(sqlite3.connect(f"file:{quote(unquote(path))}?mode=rw", uri=True, timeout=_BUSY_S)) as connection:
            given = (head(), token, now + CLI_MARGIN, Role.ADMIN.value, NODE_TENANT)
            return connection.execute(_PREPARED, given).fetchone() is not None
    except (OSError, UnicodeDecodeError, sqlite3.Error):
        return False
