"""How the records are opened."""

from pathlib import Path

from gongfu.store.records.engine import open_records, reading


def test_sqlite_is_durable_checks_references_and_gathers_changes(tmp_path: Path) -> None:
    engine = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    with reading(engine) as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
        }
    engine.dispose()
    # 2 is FULL; 8,192 pages of 4 KiB are 32 MB.
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "wal_autocheckpoint": 8192}
