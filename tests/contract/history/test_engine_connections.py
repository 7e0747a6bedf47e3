"""Connections of the engine that are kept for the next statement carry nothing over."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gongfu.store.history.engine import Engine, EngineError
from gongfu.store.history.external import ExternalTable

THREADS = "SELECT getSetting('max_threads')"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    directory: Path = tmp_path_factory.mktemp("engine")
    made = Engine(directory)
    yield made
    made.close()


def _opened(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with every connection that is opened."""
    opened: list[str] = []
    library = engine._chdb

    class Counting:
        def connect(self, path: str) -> object:
            opened.append(path)
            return library.connect(path)

    monkeypatch.setattr(engine, "_chdb", Counting())
    return opened


def test_a_read_with_the_same_settings_opens_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.run("SELECT 1", settings={"max_execution_time": "11"})
    opened = _opened(engine, monkeypatch)
    for _ in range(20):
        assert engine.run("SELECT 1", settings={"max_execution_time": "11"}).data == b"1\n"
    assert opened == []


def test_settings_and_databases_are_not_shared(engine: Engine) -> None:
    for _ in range(3):
        for threads in ("1", "2", "3"):
            assert engine.run(THREADS, settings={"max_threads": threads}).data.strip() == threads.encode()
        assert engine.run(THREADS).data.strip() == b"2"
        assert engine.run("SELECT currentDatabase()", database="gongfu_sandbox").data == b"gongfu_sandbox\n"
        assert engine.run("SELECT currentDatabase()").data == b"default\n"


def test_a_reader_never_gets_the_connection_of_a_writer(engine: Engine) -> None:
    engine.run("SELECT 1")
    with pytest.raises(EngineError) as refused:
        engine.run("INSERT INTO gongfu.rollup_day VALUES (1, 1, 0, now())", read_only=True)
    assert refused.value.code == 164


@pytest.mark.parametrize(
    "statement", ["SET max_threads = 7", "SELECT 1; SET max_threads = 7", "CREATE TEMPORARY TABLE left (a UInt8)"]
)
def test_what_changes_its_session_is_not_kept(engine: Engine, statement: str) -> None:
    try:
        engine.run(statement)
    except EngineError:
        # An engine that takes one statement at a time refuses the second.
        assert ";" in statement
    assert engine.run(THREADS).data.strip() == b"2"
    with pytest.raises(EngineError):
        engine.run("SELECT * FROM left")


def test_parameters_and_external_tables_go_with_their_statement(engine: Engine) -> None:
    assert engine.run("SELECT {a:UInt8}", parameters={"a": "5"}).data == b"5\n"
    brought = ExternalTable("brought", "a UInt8", "TabSeparated", memoryview(b"3\n"))
    assert engine.run("SELECT a FROM brought", external=[brought]).data == b"3\n"
    for statement in ("SELECT {a:UInt8}", "SELECT a FROM brought"):
        with pytest.raises(EngineError):
            engine.run(statement)


def test_a_failed_statement_ends_its_connection(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"max_execution_time": "13"}
    with pytest.raises(EngineError):
        engine.run("SELECT throwIf(1)", settings=settings)
    opened = _opened(engine, monkeypatch)
    engine.run("SELECT 1", settings=settings)
    assert len(opened) == 1


def test_threads_beside_each_other_get_their_own_answers(engine: Engine) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        for i in range(100):
            settings = {"max_threads": str(i % 5 + 1)}
            answer = engine.run(f"SELECT {number}, {i}, getSetting('max_threads')", settings=settings).data
            if answer != f"{number}\t{i}\t{i % 5 + 1}\n".encode():
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
