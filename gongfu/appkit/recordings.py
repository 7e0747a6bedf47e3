"""Recorded data of apps: CSV files (RFC 4180, UTF-8) with a header line.

Long: ``time,asset,point,value`` and, where they are known, ``unit``, ``type`` and ``quality`` (``good``, ``uncertain``,
``bad``); an empty value is a sample without one, of the quality *bad, no data*. Wide: ``time,asset`` and a column for
each point, its type in braces and its unit in brackets: ``time,asset,vibration [mm/s],parts {int64} [1]``;
an empty cell is no sample. Types are ``double`` (where none is named), ``int64``, ``boolean`` (``true``, ``false``),
``string`` and ``json``. Without ``asset`` all is of the asset ``recorded``. ``time`` is RFC 3339, or seconds since the
beginning of the recording.
"""

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from gongfu.appkit.samples import Samples
from gongfu.appkit.value_columns import fitted, given, qualities_of
from gongfu.kernel.points import VALUE_TYPES, ValueType
from gongfu.kernel.quality import Quality, parse_quality
from gongfu.kernel.times import parse_rfc3339

_POINT = re.compile(rf"(.+?)\s*(?:\{{({'|'.join(VALUE_TYPES)})\}})?\s*(?:\[([^\]]*)\])?")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}

# Of each piece: path of the asset, name of the point, type of the point, samples.
Piece = list[tuple[str, str, ValueType, Samples]]
_Key = tuple[str, str, str, ValueType]
_Rows = dict[_Key, list[tuple[int, Any, int]]]


class RecordingError(ValueError):
    """A recording cannot be read; the text names file and line."""


def read_recording(path: Path, start: int, rows: int = 512) -> Iterator[Piece]:
    """Yield a recording in pieces: of each (asset path, point, type) the samples, in the order of the file.

    Args:
        path: of the file.
        start: where a recording begins whose times are seconds, UTC ns.
        rows: lines in a piece.

    Raises:
        RecordingError: the file is no such recording.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _pieces(file, path, start, rows)
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from None


def _pieces(file: TextIO, path: Path, start: int, rows: int) -> Iterator[Piece]:
    reader = csv.reader(file)
    header = [name.strip() for name in next(reader, [])]
    if "time" not in header or len(header) < 2:
        raise RecordingError(f"{path}, line 1: the header has a column time, and points; see docs/apps.md")
    line = 1
    while lines := list(islice(reader, rows)):
        found: _Rows = {}
        for cells in lines:
            line += 1
            if not cells:
                continue
            try:
                if len(cells) != len(header):
                    raise ValueError(f"has {len(cells)} cells, the header {len(header)}")
                _read(dict(zip(header, cells, strict=True)), start, found)
            except (ValueError, KeyError) as error:
                raise RecordingError(f"{path}, line {line}: {error}") from None
        try:
            piece = [(key[0], key[1], key[3], _samples(rows_of, key)) for key, rows_of in found.items()]
        except ValueError as error:
            raise RecordingError(f"{path}, before line {line + 1}: {error}") from None
        yield piece


def _read(row: dict[str, str], start: int, found: _Rows) -> None:
    text = row.pop("time").strip()
    time = parse_rfc3339(text) if "T" in text else start + round(float(text) * 1e9)
    asset = row.pop("asset", "recorded").strip()
    if "point" in row and "value" in row:
        quality = parse_quality(row.get("quality", "").strip() or "good")
        kind = _type(row.get("type", ""))
        key = (asset, row["point"].strip(), row.get("unit", "").strip(), kind)
        found.setdefault(key, []).append((time, _value(row["value"], kind), int(quality)))
        return
    for name, cell in row.items():
        if cell.strip():
            match = _POINT.fullmatch(name)
            assert match is not None, "every name matches"
            kind = _type(match[2] or "")
            key = (asset, match[1], match[3] or "", kind)
            found.setdefault(key, []).append((time, _value(cell, kind), 0))


def _type(name: str) -> ValueType:
    found = VALUE_TYPES.get(name.strip() or "double")
    if found is None:
        raise ValueError(f"type is one of {', '.join(VALUE_TYPES)}, not {name!r}")
    return found


def _value(cell: str, kind: ValueType) -> Any:
    """Return what a cell says; None where it is empty."""
    if not cell.strip():
        return None
    match kind:
        case ValueType.DOUBLE:
            return float(cell)
        case ValueType.INT64:
            return int(cell)
        case ValueType.BOOLEAN:
            if cell.strip().lower() not in _BOOLEANS:
                raise ValueError(f"a boolean is true or false, not {cell!r}")
            return _BOOLEANS[cell.strip().lower()]
        case ValueType.STRING | ValueType.JSON:
            return cell


def _samples(rows: list[tuple[int, Any, int]], key: _Key) -> Samples:
    """Return rows of a point as samples.

    Raises:
        ValueError: an integer is beyond 64 bits, or a text is no JSON.
    """
    times, values, qualities = zip(*rows, strict=True)
    column, absent = given(values)
    column = fitted(column, absent, key[3])
    known = np.array(qualities, np.uint8)
    # What is said to be bad stays as it is said; what has no value is bad whatever is said.
    found = np.maximum(known, qualities_of(column, absent, Quality.GOOD))
    found[known >= Quality.BAD] = known[known >= Quality.BAD]
    return Samples(np.array(times, np.int64), column, found, key[2])
