"""Records of an app: migrations in order, each whole or not at all; bounds; transactions."""

from pathlib import Path

import pytest

from gongfu.appkit.context.records import MigrationFailed, SqliteRecords, migrations_in, statements_of
from gongfu.appkit.contract import AppError

MIB = 1 << 20


def migrations(folder: Path, *scripts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, script in enumerate(scripts, 1):
        (folder / f"{number:04}_step.sql").write_text(script)
    return folder


def test_statements_end_where_sqlite_says() -> None:
    script = (
        "-- first; not yet\nCREATE TABLE a (x TEXT DEFAULT ';'); INSERT INTO a VALUES ('b;c');\nDROP TABLE a -- end\n"
    )
    found = [statement.strip() for statement in statements_of(script)]
    assert len(found) == 3
    assert found[1] == "INSERT INTO a VALUES ('b;c');"
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; DELETE FROM b; END;"
    assert list(statements_of(trigger + "\n-- nothing more; really\n")) == [trigger]


def test_migrations_run_once_and_whole(tmp_path: Path) -> None:
    records = SqliteRecords(tmp_path / "r.sqlite", MIB)
    folder = migrations(tmp_path / "m", "CREATE TABLE a (x); INSERT INTO a VALUES (1);")
    assert records.migrate(folder) == 1
    migrations(folder, "CREATE TABLE a (x); INSERT INTO a VALUES (1);", "INSERT INTO a VALUES (2); DROP TABLE missing;")
    with pytest.raises(MigrationFailed, match=r"migrations/0002_step\.sql: no such table"):
        records.migrate(folder)
    assert records.query("SELECT x FROM a") == [{"x": 1}]
    assert records.revision == 1
    with pytest.raises(MigrationFailed, match="newer than this version"):
        records.migrate(migrations(tmp_path / "older"))


def test_numbers_have_no_gaps(tmp_path: Path) -> None:
    folder = migrations(tmp_path / "m", "SELECT 1;")
    (folder / "0003_later.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationFailed, match="without gaps"):
        migrations_in(folder)
    (folder / "notes.txt").write_text("")
    with pytest.raises(MigrationFailed, match=r"notes\.txt"):
        migrations_in(folder)


def test_records_are_bounded_and_closed_to_other_files(tmp_path: Path) -> None:
    records = SqliteRecords(tmp_path / "r.sqlite", MIB)
    records.execute("CREATE TABLE a (x BLOB)")
    with pytest.raises(AppError, match="full"):
        records.execute_many("INSERT INTO a VALUES (zeroblob(?))", [(100_000,)] * 20)
    assert records.query("SELECT count(*) AS n FROM a") == [{"n": 0}]
    with pytest.raises(AppError, match="too many attached"):
        records.execute(f"ATTACH DATABASE '{tmp_path / 'other.sqlite'}' AS other")
    with pytest.raises(ZeroDivisionError), records.transaction():
        assert records.execute("INSERT INTO a VALUES (1)") / 0
    assert records.query("SELECT * FROM a") == []
