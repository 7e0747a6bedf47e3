"""Tables of what a machine has (register maps, layouts), as people write them: CSV and YAML files to rows."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gongfu.connect.kit.types import DriverError, Reason

_TRUE = frozenset({"true", "yes", "1", "x", "rw", "w", "是"})
_FALSE = frozenset({"false", "no", "0", "r", "ro", "否", ""})
_MAX_BYTES = 16 << 20


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a map in a CSV or YAML file, as they stand there.

    Raises:
        DriverError: it cannot be read.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise _wrong(f"{file} is larger than {_MAX_BYTES >> 20} MiB")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _wrong(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _wrong(f"{file} is not UTF-8") from None
    if file.suffix.lower() in (".yaml", ".yml"):
        return _yaml_rows(text, str(file))
    reader = csv.DictReader(io.StringIO(text))
    return [{key: value for key, value in row.items() if value not in (None, "")} for row in reader]


def _yaml_rows(text: str, name: str) -> list[dict[str, Any]]:
    # Imported here: few maps are YAML.
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _wrong(f"{name} is not YAML: {str(error).splitlines()[0]}") from None
    rows: Any = document.get("registers") if isinstance(document, dict) else document  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):  # pyright: ignore[reportUnknownVariableType]
        raise _wrong(f"{name} must be a list of registers, or have one under the key registers")
    return [{str(key): value for key, value in row.items()} for row in rows]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType]


def number_of(row: Mapping[str, Any], column: str, default: float) -> float:
    """Return the number in a column of a row.

    Raises:
        ValueError: it is none.
    """
    given = row.get(column, default)
    try:
        return float(given)
    except (TypeError, ValueError):
        raise ValueError(f"{column} must be a number, not {given!r}") from None


def flag_of(given: Any) -> bool:
    """Return what a cell says: true or false.

    Raises:
        ValueError: neither.
    """
    if isinstance(given, bool):
        return given
    text = str(given).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"must be true or false, not {given!r}")


def _wrong(what: str) -> DriverError:
    return DriverError(Reason.ADDRESS_UNKNOWN, f"{what}.", "Correct the file (docs/connect.md).")
