"""Recorded data of apps: CSV files (RFC 4180, UTF-8) with a header line.

Long: ``time,asset,point,value`` and, where they are known, ``unit`` and ``quality`` (``good``, ``uncertain``, ``bad``).
Wide: ``time,asset`` and a column for each point, its unit in brackets: ``time,asset,vibration [mm/s],speed [1/min]``;
an empty cell is no sample. Without ``asset`` all is of the asset ``recorded``. ``time`` is RFC 3339, or seconds since
the beginning of the recording.
"""

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from gongfu.appkit.samples import Samples
from gongfu.kernel.quality import parse_quality
from gongfu.kernel.times import parse_rfc3339

_POINT = re.compile(r"(.+?)\s*\[([^\]]*)\]")

Piece = list[tuple[str, str, Samples]]
_Rows = dict[tuple[str, str, str], list[tuple[int, float, int]]]


class RecordingError(ValueError):
    """A recording cannot be read; the text names file and line."""


def read_recording(path: Path, start: int, rows: int = 512) -> Iterator[Piece]:
    """Yield a recording in pieces: of each (asset path, point) the samples, in the order of the file.

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
        yield [(asset, point, _samples(found[asset, point, unit], unit)) for asset, point, unit in found]


def _read(row: dict[str, str], start: int, found: _Rows) -> None:
    text = row.pop("time").strip()
    time = parse_rfc3339(text) if "T" in text else start + round(float(text) * 1e9)
    asset = row.pop("asset", "recorded").strip()
    if "point" in row and "value" in row:
        quality = parse_quality(row.get("quality", "").strip() or "good")
        key = (asset, row["point"].strip(), row.get("unit", "").strip())
        found.setdefault(key, []).append((time, float(row["value"]), int(quality)))
        return
    for name, cell in row.items():
        if cell.strip():
            match = _POINT.fullmatch(name)
            key = (asset, match[1], match[2]) if match else (asset, name, "")
            found.setdefault(key, []).append((time, float(cell), 0))


def _samples(rows: list[tuple[int, float, int]], unit: str) -> Samples:
    times, values, qualities = zip(*rows, strict=True)
    return Samples(np.array(times, np.int64), np.array(values, np.float64), np.array(qualities, np.uint8), unit)
