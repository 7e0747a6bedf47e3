"""Backup, verification and restore."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS
from gongfu.store.history import backup
from gongfu.store.history.backup import BackupError, export_history, import_history, verify_history
from tests.contract.history.points import T0, batch, rows
from tests.contract.history.served import ServedHistory

TYPES = (ValueType.DOUBLE, ValueType.INT64, ValueType.BOOLEAN, ValueType.STRING)


async def _fill(served: ServedHistory) -> None:
    store = served.store()
    n = 5000
    random = np.random.default_rng(3)
    times = (T0 - random.integers(0, 10**18, n)).tolist()
    values = random.normal(size=n)
    values[:6] = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308]
    await store.insert([
        batch(ValueType.DOUBLE, random.integers(1, 9, n).tolist(), times, values.tolist(),
              qualities=random.integers(0, 255, n).tolist()),
        batch(ValueType.INT64, [21] * n, times, random.integers(-(2**63), 2**63 - 1, n).tolist()),
        batch(ValueType.BOOLEAN, [22] * n, times, random.integers(0, 2, n).tolist()),
        batch(ValueType.STRING, [23] * 4, times[:4], ["中文", "", "a\0b\n'", "x" * 100_000]),
    ])  # fmt: skip
    # Corrections: all versions are in the backup.
    await store.insert([batch(ValueType.INT64, [21], times[:1], [42], ingested=T0 + 10**9)])
    text = batch(ValueType.STRING, [23], times[1:2], ["改正"]).columns
    await store.correct(ValueType.STRING, text, corrected_by="某人", reason="读错", ingested=T0 + 2 * 10**9)
    await store.close()


async def _all(served: ServedHistory) -> list[bytes]:
    store = served.store()
    held = []
    for value_type in TYPES:
        found = await store.query(value_type, range(1, 30), 0, MAX_NS, limit=10**6)
        values = found.columns.values
        held += [np.asarray(values).tobytes() if isinstance(values, np.ndarray) else "|".join(values).encode()]
        held += [column.tobytes() for column in (found.columns.series, found.columns.times, found.ingested)]
    await store.close()
    return held


async def test_round_trip_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "FILE_ROWS", 1500)
    source, target = ServedHistory(tmp_path / "a"), ServedHistory(tmp_path / "b")
    source.start()
    target.start()
    try:
        await _fill(source)
        store = source.store()
        await asyncio.to_thread(export_history, store, tmp_path / "backup")
        manifest = verify_history(tmp_path / "backup")
        assert manifest.rows == {
            "point_double": 5000, "point_int64": 5000, "point_boolean": 5000, "point_text": 4,
            "point_double_versions": 0, "point_int64_versions": 2, "point_boolean_versions": 0,
            "point_text_versions": 2,
        }  # fmt: skip
        assert [file.rows for file in manifest.files["point_double"]] == [1500, 1500, 1500, 500]
        restored = target.store()
        await asyncio.to_thread(import_history, restored, tmp_path / "backup")
        assert await _all(target) == await _all(source)
        corrected = await restored.query(ValueType.INT64, [21], 0, MAX_NS, limit=10**6)
        assert 42 in [value for _, _, value, _ in rows(corrected)]
        texts = await store.query(ValueType.STRING, [23], 0, MAX_NS)
        moment = next(t for _, t, value, _ in rows(texts) if value == "改正")
        versions = await restored.versions(ValueType.STRING, 23, moment)
        assert [(one.value, one.corrected_by) for one in versions] == [("", ""), ("改正", "某人")]
        with pytest.raises(BackupError, match="not empty"):
            await asyncio.to_thread(import_history, restored, tmp_path / "backup")
        with pytest.raises(FileExistsError):
            await asyncio.to_thread(export_history, store, tmp_path / "backup")
        await store.close()
        await restored.close()
    finally:
        source.kill()
        target.kill()


async def test_damage_is_found(served: ServedHistory, tmp_path: Path) -> None:
    store = served.store()
    await store.insert([batch(ValueType.DOUBLE, [1, 2], [T0, T0], [1.0, 2.0])])
    await asyncio.to_thread(export_history, store, tmp_path / "b")
    await store.close()
    verify_history(tmp_path / "b")
    file = next((tmp_path / "b").glob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    with pytest.raises(BackupError, match="has changed"):
        verify_history(tmp_path / "b")
    file.unlink()
    with pytest.raises(BackupError, match="cannot be read"):
        verify_history(tmp_path / "b")
    (tmp_path / "b" / "manifest.json").write_text("{}")
    with pytest.raises(BackupError, match="damaged"):
        verify_history(tmp_path / "b")
    (tmp_path / "b" / "manifest.json").unlink()
    with pytest.raises(BackupError, match="no complete backup"):
        verify_history(tmp_path / "b")


async def test_backup_while_inserts_go_on(tmp_path: Path) -> None:
    served = ServedHistory(tmp_path / "h")
    served.start()
    try:
        store, writing = served.store(), served.store()
        await store.insert([batch(ValueType.INT64, [1] * 10_000, list(range(T0, T0 + 10_000)), [1] * 10_000)])
        stop = asyncio.Event()

        async def insert() -> None:
            k = 0
            while not stop.is_set():
                k += 1
                await writing.insert(
                    [batch(ValueType.INT64, [1] * 100, list(range(T0 - k * 100, T0 - k * 100 + 100)), [0] * 100)]
                )

        task = asyncio.create_task(insert())
        manifest = await asyncio.to_thread(export_history, store, tmp_path / "b")
        stop.set()
        await task
        assert manifest.rows["point_int64"] >= 10_000
        verify_history(tmp_path / "b")
        await store.close()
        await writing.close()
    finally:
        served.kill()
