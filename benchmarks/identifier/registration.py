"""What it costs to register, in CPU seconds of the process that does it, all on the disk; and what it takes there."""

import asyncio
import io
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from benchmarks.identifier import batch_api
from benchmarks.identifier.billions import disk_bytes
from benchmarks.identifier.inventory import classes
from benchmarks.identifier.records import NAMES, PUMP, table
from benchmarks.ingest.report import Row
from gongfu.identify.bulk.importing import ImportWish, import_file
from gongfu.identify.bulk.reading import FileForm
from gongfu.identify.namespace.types import Prefix
from gongfu.identify.service.contents import Directory
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Operation, Write, WriteCode

PREFIX = "99.1000.1"
_BATCH = 2_000


async def _open(path: Path) -> Identifiers:
    directory = Directory(prefixes=[Prefix(number=1, name=PREFIX)], templates={1: PUMP}, classes=classes())
    return await Identifiers.open(path, directory)


def _file(form: FileForm, count: int, *, delta: bool = False, shuffled: bool = False) -> io.BytesIO:
    rows = table(0, count)
    if delta:
        rows = rows.select(["suffix", "serial"])
    if shuffled:
        rows = rows.take(pa.array(np.random.default_rng(5).permutation(count)))
    file = io.BytesIO()
    if form is FileForm.CSV:
        pyarrow.csv.write_csv(rows, file, pyarrow.csv.WriteOptions(quoting_style="needed"))
    elif form is FileForm.PARQUET:
        pyarrow.parquet.write_table(rows, file)
    else:
        encode = msgspec.json.Encoder().encode
        file.write(b"\n".join(map(encode, rows.to_pylist())))
    file.seek(0)
    return file


async def _import(form: FileForm, count: int, *, delta: bool = False, shuffled: bool = False) -> tuple[float, float]:
    """Import a file; returns rows a CPU-second, and bytes a record on the disk."""
    file = _file(form, count, delta=delta, shuffled=shuffled)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "identifiers"
        identifiers = await _open(path)
        wish = ImportWish(form=form, template=PUMP.name, prefix=PREFIX, of=1 if delta else 0, key=b"benchmark")
        start = time.process_time()
        done = 0
        async for part in import_file(identifiers, file, wish, now=lambda: int(time.time())):
            done += part.counts().get(WriteCode.CREATED, 0)
        spent = time.process_time() - start
        await identifiers.close()
        if done != count:
            raise AssertionError(f"{done:,} of {count:,} rows were registered")
        return count / spent, disk_bytes(path) / count


async def _batches(count: int, keyed: bool) -> float:
    """Register in batches; returns records a CPU-second."""
    rows = table(0, count).to_pylist()
    writes = [
        Write(
            operation=Operation.CREATE,
            handle=f"{PREFIX}/{row['suffix']}",
            template=PUMP.name,
            attributes={name: row[name] for name in NAMES},
        )
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as temporary:
        identifiers = await _open(Path(temporary) / "identifiers")
        start = time.process_time()
        for first in range(0, count, _BATCH):
            key = b"%d" % first if keyed else b""
            outcomes = await identifiers.write(writes[first : first + _BATCH], key=key)
            if any(outcome.code is not WriteCode.CREATED for outcome in outcomes):
                raise AssertionError("not all were registered")
        spent = time.process_time() - start
        await identifiers.close()
    return count / spent


def measure(rows: int) -> list[Row]:
    """Measure with so many rows a file."""
    found: list[Row] = []
    rates: list[float] = []
    for form in FileForm:
        rate, _ = asyncio.run(_import(form, rows))
        rates.append(rate)
        found.append(Row(f"file of {rows:,} rows of 7 attributes, {form}", rate, "1/s CPU", better="higher"))
    found.insert(0, Row("registration by file: the slowest form", min(rates), "1/s CPU", 300_000, "higher"))
    rate, _ = asyncio.run(_import(FileForm.CSV, rows, shuffled=True))
    found.append(Row(f"file of {rows:,} rows, csv in no order", rate, "1/s CPU", better="higher"))
    for keyed in (False, True):
        said = "with a key of idempotency" if keyed else "without a key"
        rate = asyncio.run(_batches(100_000, keyed))
        found.append(
            Row(f"batches of {_BATCH:,} by Identifiers.write, fsync each, {said}", rate, "1/s CPU", better="higher")
        )
    by_form = batch_api.measure(rows)
    slowest = min(row.value for row in by_form)
    found.insert(
        0, Row("registration by API batch, whole node: the slowest form", slowest, "1/s CPU", 100_000, "higher")
    )
    found += [Row(row.name, row.value, row.unit, better="higher") for row in by_form]
    return found
