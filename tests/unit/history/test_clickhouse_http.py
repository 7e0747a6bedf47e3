import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.store.history.clickhouse_http import (
    ProtocolError,
    answer_headers,
    authenticated,
    read_statement,
    status_of,
)


def test_query_in_the_body_with_settings_and_parameters() -> None:
    url = {"database": "gongfu", "max_threads": "1", "param_x": "5", "wait_end_of_query": "1", "query_id": "q"}
    statement = read_statement(url, {}, b"SELECT {x:UInt8}\n FORMAT Native")
    assert statement.sql == "SELECT {x:UInt8}\n FORMAT Native"
    assert (statement.form, statement.database, statement.gives_rows) == ("Native", "gongfu", True)
    assert statement.parameters == {"x": "5"}
    assert statement.settings == {"max_threads": "1"}
    assert statement.insert_form == ""


@pytest.mark.parametrize(
    "head",
    [
        "INSERT INTO gongfu.point_double (series, time) FORMAT Native\n",
        "insert into `a b`.`c` (`x y`, z) format RowBinary\n",
        " \n INSERT INTO TABLE t FORMAT CSV\r\n",
        "INSERT INTO t (a, b)\nFORMAT TSV\n",
    ],
)
def test_insert_data_follows_the_statement(head: str) -> None:
    body = head.encode() + b"\n\n\0data FORMAT x\n"
    statement = read_statement({}, {}, body)
    assert body[statement.data_start :] == b"\n\n\0data FORMAT x\n"
    assert statement.insert_form in ("Native", "RowBinary", "CSV", "TSV")
    assert "FORMAT" not in statement.sql.upper()
    assert not statement.gives_rows


def test_insert_statement_in_the_url() -> None:
    statement = read_statement({"query": "INSERT INTO t (a) FORMAT Native"}, {}, b"INSERT INTO no FORMAT CSV\n")
    assert (statement.sql, statement.insert_form, statement.data_start) == ("INSERT INTO t (a)", "Native", 0)


@pytest.mark.parametrize(
    "text", ["INSERT INTO t VALUES (1, 'FORMAT Native\n')", "INSERT INTO t SELECT 1", "INSERT INTO t (a) VALUES (1)"]
)
def test_other_inserts_stay_whole(text: str) -> None:
    statement = read_statement({}, {}, text.encode())
    assert (statement.sql, statement.insert_form) == (text, "")


@pytest.mark.parametrize(
    ("text", "gives"),
    [("SELECT 1", True), ("(SELECT 1)", True), ("with a as (select 1) select * from a", True), ("SHOW TABLES", True),
     ("CREATE TABLE t (a Int8) ENGINE = Memory", False), ("SET a = 1", False), ("DROP TABLE t", False)],
)  # fmt: skip
def test_which_statements_have_a_result(text: str, gives: bool) -> None:
    statement = read_statement({}, {}, text.encode())
    assert statement.gives_rows is gives
    assert ("X-ClickHouse-Format" in answer_headers(statement, 0, 0)) is gives


@pytest.mark.parametrize(
    ("url", "body"),
    [({}, b""), ({}, b"  \n"), ({"session_id": "s"}, b"SELECT 1"), ({"a b": "1"}, b"SELECT 1"),
     ({"x; DROP": "1"}, b"SELECT 1"), ({"database": "a`b"}, b"SELECT 1"), ({"x'": "1"}, b"SELECT 1")],
)  # fmt: skip
def test_what_is_refused(url: dict[str, str], body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_statement(url, {}, body)


@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3))
def test_any_bytes_are_a_statement_or_refused(body: bytes, url: dict[str, str]) -> None:
    try:
        statement = read_statement(url, {}, body)
    except ProtocolError:
        return
    assert statement.sql.strip()
    assert 0 <= statement.data_start <= len(body)


@given(st.text(max_size=20).filter(lambda text: ":" not in text), st.text(max_size=20))
def test_credentials(user: str, password: str) -> None:
    basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    assert authenticated({"authorization": basic}, {}, user, password)
    assert authenticated({"x-clickhouse-user": user, "x-clickhouse-key": password}, {}, user, password)
    assert authenticated({}, {"user": user, "password": password}, user, password)
    assert not authenticated({"authorization": basic}, {}, user, password + "x")
    assert not authenticated({"authorization": basic}, {}, user + "x", password)
    assert not authenticated({"authorization": "Basic !"}, {}, user, password)
    assert not authenticated({"authorization": basic}, {"user": "other"}, "other", "")


def test_no_credentials_are_the_default_user_without_password() -> None:
    assert not authenticated({}, {}, "gongfu", "secret")
    assert authenticated({}, {}, "default", "")


@pytest.mark.parametrize(("code", "status"), [(62, 400), (60, 404), (164, 403), (516, 401), (159, 408), (999, 500)])
def test_status_by_code(code: int, status: int) -> None:
    assert status_of(code) == status
