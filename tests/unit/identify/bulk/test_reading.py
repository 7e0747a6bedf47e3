"""Files in rows."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from gongfu.identify.bulk.reading import FileError, FileForm, form_of, read

NAMES = ("model", "power")
Rows = dict[int, tuple[str | None, ...]]


def rows(data: bytes, form: FileForm, size: int = 1000) -> tuple[Rows, dict[int, str]]:
    found: Rows = {}
    malformed: dict[int, str] = {}
    for part in read(io.BytesIO(data), form, NAMES, size):
        columns = [part.columns[name] for name in ("handle", *NAMES) if name in part.columns]
        for place, row in enumerate(part.rows):
            assert row not in found
            found[row] = tuple(column[place].as_py() for column in columns)
        malformed |= part.malformed
    return found, malformed


def test_csv() -> None:
    data = 'handle,power,model\n99.1/a,1.5,泵\n\n99.1/b,,"x, ""y"""\n99.1/c,"",\n"99.1/d\nd",2,m\n'.encode()
    found, malformed = rows(data, FileForm.CSV)
    assert found == {
        0: ("99.1/a", "泵", "1.5"),
        1: ("99.1/b", 'x, "y"', None),
        2: ("99.1/c", None, ""),
        3: ("99.1/d\nd", "m", "2"),
    }
    assert not malformed


def test_csv_in_parts_with_malformed_rows() -> None:
    bad = {0, 7, 49_999, 50_000, 119_998, 119_999}
    lines = [f"99.1/{n:06d},{n}" + ",x" * (n in bad) for n in range(120_000)]
    found, malformed = rows("\n".join(["handle,model", *lines]).encode(), FileForm.CSV, 20_000)
    assert set(malformed) == bad
    assert len(found) == 120_000 - len(bad)
    assert all(values == (f"99.1/{row:06d}", str(row)) for row, values in found.items())


def test_ndjson() -> None:
    data = '{"handle": "99.1/a", "model": "泵", "power": 1.50}\n\n{"handle": "99.1/b", "power": null}\n'.encode()
    assert rows(data, FileForm.NDJSON) == ({0: ("99.1/a", "泵", "1.5"), 1: ("99.1/b", None, None)}, {})
    data += b'{"handle": 1, "power": true}\n{"handle": "99.1/c", "colour": "red"}\nx\n[]\n{"handle": "\xff"}\n'
    data += b'{"handle": "99.1/z"}'
    found, malformed = rows(data, FileForm.NDJSON)
    assert found[2] == ("1", None, "true")
    assert found[7] == ("99.1/z", None, None)
    assert set(malformed) == {3, 4, 5, 6}


def test_ndjson_in_parts() -> None:
    data = b"\n".join(b'{"handle":"99.1/%06d","model":"x"}' % n for n in range(60_000))
    found, _ = rows(data, FileForm.NDJSON, 10_000)
    assert [values[0] for values in found.values()] == [f"99.1/{n:06d}" for n in range(60_000)]
    with pytest.raises(FileError, match="a line has more than"):
        rows(b'{"handle": "' + b"x" * 4_000_000, FileForm.NDJSON)


def test_parquet() -> None:
    file = io.BytesIO()
    table = pa.table({"handle": ["99.1/a", "99.1/b", "99.1/c"], "power": [1.5, None, 3.0]})
    pyarrow.parquet.write_table(table, file)
    assert rows(file.getvalue(), FileForm.PARQUET, 2)[0] == {0: ("99.1/a", 1.5), 1: ("99.1/b", None), 2: ("99.1/c", 3)}


@pytest.mark.parametrize(
    ("data", "form", "said"),
    [
        (b"", FileForm.CSV, "[Ee]mpty"),
        (b"model\nx\n", FileForm.CSV, "a column handle"),
        (b"handle,suffix\nx,y\n", FileForm.CSV, "a column handle"),
        (b"handle,colour\nx,y\n", FileForm.CSV, "no attributes of the template: colour"),
        (b"handle,model,model\nx,y,z\n", FileForm.CSV, "twice"),
        (b"handle\n\xff\xfe\n", FileForm.CSV, "UTF8|UTF-8"),
        (b"PAR1 nothing", FileForm.PARQUET, "Parquet"),
    ],
)
def test_refused(data: bytes, form: FileForm, said: str) -> None:
    with pytest.raises(FileError, match=said):
        rows(data, form)


def test_form_of() -> None:
    assert form_of(Path("a/b.JSONL")) is FileForm.NDJSON
    with pytest.raises(FileError, match="ends in"):
        form_of(Path("parts.xls"))
