"""Migrations: the schema they make is the one the code uses, on both databases, however many start at once."""

import importlib
import multiprocessing
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

import gongfu
from gongfu.store.records.engine import metadata, open_records, writing
from gongfu.store.records.migrations import current, migrate
from gongfu.store.records.revisions import MigrationError, head


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def empty(empty_url: str) -> Iterator[Engine]:
    engine = open_records(empty_url)
    yield engine
    engine.dispose()


def import_all_tables() -> None:
    """Import every module that defines tables: tables.py and records.py of all nouns."""
    for module in pkgutil.walk_packages(gongfu.__path__, "gongfu."):
        if module.name.rpartition(".")[2] in ("tables", "records", "fences"):
            importlib.import_module(module.name)


def test_migrated_schema_is_the_schema_of_the_code(empty: Engine) -> None:
    import_all_tables()
    migrate(empty)
    with empty.connect() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "target_metadata": metadata,
            # Indexes for search that a database has if it can (0004_search).
            "include_name": lambda name, kind, _: (
                not (
                    kind == "table" and name.partition("_text")[0] in ("asset", "device", "search") and "_text" in name
                )
            ),
            # Expressions, which the metadata of a table do not have: 0004_search, 0009_tree_reports.
            "include_object": lambda _item, name, kind, *_: (
                not (kind == "index" and name.endswith(("_trigram", "asset_identifier")))
            ),
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert current(connection) == head()


def test_second_migration_changes_nothing(empty: Engine) -> None:
    migrate(empty)
    with writing(empty) as connection:
        connection.execute(text("INSERT INTO tenant (name, created_at) VALUES ('kept', 1)"))
    migrate(empty)
    with empty.connect() as connection:
        assert connection.execute(text("SELECT name FROM tenant")).scalars().all() == ["kept"]


def _migrate(url: str, barrier: "multiprocessing.synchronize.Barrier", results: "multiprocessing.Queue[str]") -> None:
    engine = open_records(url)
    barrier.wait(30)
    try:
        migrate(engine)
        results.put("")
    except Exception as error:
        results.put(repr(error))


def test_processes_that_start_at_once_migrate_once(empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_migrate, args=(empty_url, barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
    assert outcomes == ["", "", ""]
    engine = open_records(empty_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    engine.dispose()


def test_failed_migration_leaves_nothing(empty: Engine) -> None:
    # A table that is in the way of the last ones: the first ones must not stay.
    with empty.begin() as connection:
        connection.execute(text("CREATE TABLE audit (id INTEGER)"))
    with pytest.raises(Exception, match="audit"):
        migrate(empty)
    assert inspect(empty).get_table_names() == ["audit"]


def test_records_of_a_newer_version_are_refused(empty: Engine) -> None:
    migrate(empty)
    with writing(empty) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(MigrationError, match="newer version"):
        migrate(empty)


def test_up_to_date_records_do_not_load_alembic(empty_url: str, empty: Engine) -> None:
    import subprocess
    import sys

    migrate(empty)
    code = (
        "import sys; from gongfu.store.records.engine import open_records;"
        "from gongfu.store.records.migrations import migrate;"
        f"migrate(open_records({empty_url!r})); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_names_sort_by_code_point_on_both(records: Engine) -> None:
    names = ["Zeta", "alpha", "a/b", "a0", "a-b", "工厂", "ä", "_x"]
    with writing(records) as connection:
        for name in names:
            connection.execute(text("INSERT INTO tenant (name, created_at) VALUES (:name, 1)"), {"name": name})
    with records.connect() as connection:
        stored = connection.execute(text("SELECT name FROM tenant ORDER BY name")).scalars().all()
    assert stored == sorted(names)


def test_writers_that_read_first_wait_for_each_other(records_url: str) -> None:
    """Read, then write, from many threads: none fails with a locked database and no increment is lost on SQLite."""
    from concurrent.futures import ThreadPoolExecutor

    engine = open_records(records_url)
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO tenant (name, created_at) VALUES ('n', 0)"))

    def increment(_: int) -> None:
        lock = " FOR UPDATE" if engine.dialect.name == "postgresql" else ""
        with writing(engine) as connection:
            value = connection.execute(text(f"SELECT created_at FROM tenant WHERE name = 'n'{lock}")).scalar_one()
            connection.execute(text("UPDATE tenant SET created_at = :value"), {"value": value + 1})

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(increment, range(40)))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT created_at FROM tenant WHERE name = 'n'")).scalar() == 40
    engine.dispose()
