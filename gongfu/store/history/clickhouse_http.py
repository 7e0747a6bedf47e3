"""ClickHouse HTTP protocol: what a request asks for, and how an answer or an error is told. Pure.

Source: ClickHouse documentation, "HTTP Interface". Known parts: query in the URL or in the body, INSERT data after the
statement or as the whole body, ``param_*`` parameters, settings as URL parameters, ``database``, ``default_format``,
``X-ClickHouse-*`` headers; ``external.py`` reads external data. Not known: sessions; they are refused, not ignored.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TRANSPORT = frozenset(
    {
        "query",
        "user",
        "password",
        "database",
        "default_format",
        "buffer_size",
        "wait_end_of_query",
        "query_id",
        "quota_key",
        "client_protocol_version",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "enable_http_compression",
        "cancel_http_readonly_queries_on_client_close",
        "compress",
        "decompress",
        "session_check",
        "session_timeout",
    }
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_INSERT = re.compile(rb"\s*INSERT\s+INTO\s", re.IGNORECASE)
_INSERT_FORMAT = re.compile(
    rb"(\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?:`[^`]+`|\"[^\"]+\"|\w+)(?:\.(?:`[^`]+`|\"[^\"]+\"|\w+))?"
    rb"\s*(?:\((?:[^()]|\([^()]*\))*\))?)"
    rb"\s*FORMAT\s+(\w+)[ \t]*(?:\r?\n|;|\Z)",
    re.IGNORECASE,
)
_TRAILING_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
_RESULT = re.compile(r"\s*(?:\(\s*)*(SELECT|WITH|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN|CHECK)\b", re.IGNORECASE)

_MEDIA_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
}

AUTHENTICATION_FAILED = 516
TOO_MANY_QUERIES = 202
BAD_REQUEST = 36
# ClickHouse's own mapping (HTTPHandler): what is wrong with the text is 400, with the name 404, with rights 403.
_BAD_TEXT = (6, 26, 27, 33, 36, 38, 41, 42, 43, 44, 46, 47, 50, 53, 62, 69, 70, 72, 115, 117, 130, 386, 456)
_STATUS = {
    **dict.fromkeys(_BAD_TEXT, 400),
    **dict.fromkeys((16, 60, 81), 404),
    **dict.fromkeys((164, 291, 497), 403),
    159: 408,
    AUTHENTICATION_FAILED: 401,
    241: 507,
    243: 507,
    TOO_MANY_QUERIES: 503,
}


class ProtocolError(ValueError):
    """The request is not one this server understands."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a request.

    Attributes:
        sql: text without insert data.
        insert_form: input format when the request inserts data, else empty.
        data_start: where the data starts in the body, for inserts.
        form: output format.
        gives_rows: the statement has a result set.
        parameters: values of ``{name:Type}``.
        settings: settings for this statement.
        database: default database.
    """

    sql: str
    insert_form: str
    data_start: int
    form: str
    gives_rows: bool
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    database: str = "default"


def read_statement(url: Mapping[str, str], headers: Mapping[str, str], body: bytes | memoryview) -> Statement:
    """Return the statement of a request.

    Args:
        url: query parameters of the URL.
        headers: request headers with names in lower case.
        body: the first bytes of the body, at least 64 KiB when there are more: the statement of an insert fits.

    Raises:
        ProtocolError: no statement, a session, or a name that is not an identifier.
    """
    if url.get("session_id"):
        raise ProtocolError("sessions are not offered: send settings with each request")
    database = url.get("database") or headers.get("x-clickhouse-database") or "default"
    settings = {name: value for name, value in url.items() if name not in _TRANSPORT and not name.startswith("param_")}
    for name in (database, *settings):
        if not _IDENTIFIER.match(name):
            raise ProtocolError(f"not an identifier: {name[:60]!r}")
    parameters = {name[6:]: value for name, value in url.items() if name.startswith("param_")}
    form = headers.get("x-clickhouse-format") or url.get("default_format") or "TabSeparated"
    in_url = url.get("query", "")
    text = in_url.encode() or bytes(body)
    insert_form, start = "", 0
    if _INSERT.match(text[:64]):
        found = _INSERT_FORMAT.match(text[:65536])
        if found:
            sql = found.group(1).decode(errors="replace")
            insert_form = found.group(2).decode()
            start = 0 if in_url else found.end()
        else:
            sql = (text + (b"\n" + bytes(body) if in_url else b"")).decode(errors="replace")
    else:
        sql = text.decode(errors="replace")
        if in_url and body:
            sql += "\n" + bytes(body).decode(errors="replace")
    if not sql.strip():
        raise ProtocolError("Empty query")
    trailing = _TRAILING_FORMAT.search(sql[-200:])
    if not insert_form and trailing:
        form = trailing.group(1)
    gives_rows = not insert_form and bool(_RESULT.match(sql))
    return Statement(sql, insert_form, start, form, gives_rows, parameters, settings, database)


def authenticated(headers: Mapping[str, str], url: Mapping[str, str], user: str, password: str) -> bool:
    """Return whether a request carries the user and password: Basic, ``X-ClickHouse-User``/``-Key``, or in the URL."""
    given_user, given_password = "default", ""
    authorization = headers.get("authorization", "")
    if authorization[:6].lower() == "basic ":
        try:
            decoded = base64.b64decode(authorization[6:], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        given_user, _, given_password = decoded.partition(":")
    elif "x-clickhouse-user" in headers:
        given_user, given_password = headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
    elif "user" in url:
        given_user, given_password = url["user"], url.get("password", "")
    same_user = hmac.compare_digest(given_user.encode(), user.encode())
    return hmac.compare_digest(given_password.encode(), password.encode()) and same_user


def status_of(code: int) -> int:
    """Return the HTTP status for a ClickHouse error code."""
    return _STATUS.get(code, 500)


def answer_headers(statement: Statement, rows: int, size: int) -> dict[str, str]:
    """Return the headers of a successful answer."""
    inserted = bool(statement.insert_form)
    summary = {
        "read_rows": str(0 if inserted else rows),
        "read_bytes": str(0 if inserted else size),
        "written_rows": str(rows if inserted else 0),
        "written_bytes": str(size if inserted else 0),
    }
    headers = {
        "X-ClickHouse-Summary": json.dumps(summary, separators=(",", ":")),
        "X-ClickHouse-Timezone": "UTC",
        "Content-Type": _MEDIA_TYPES.get(statement.form, "application/octet-stream"),
    }
    if statement.gives_rows:
        headers["X-ClickHouse-Format"] = statement.form
    return headers
