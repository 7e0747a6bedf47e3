"""Variables of a machine as rows of its connection's options, for protocols that cannot be browsed. Pure.

Columns: ``name``, ``address``; further ``asset``, ``type`` (double, int64, boolean, string, json), ``unit`` (UCUM),
``scale``, ``offset``, ``every``, ``deadband``, ``swinging_door``, ``writable``, ``description``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gongfu.connect.kit.table_files import flag_of, number_of
from gongfu.connect.kit.types import VALUE_TYPE_NAMES, Address, DriverError, Node, Reason

_NUMBERS = {"scale": 1.0, "offset": 0.0, "every": 1.0, "deadband": 0.0, "swinging_door": 0.0}
_COLUMNS = frozenset({"name", "address", "asset", "type", "unit", "writable", "description", *_NUMBERS})


def nodes_of_variables(rows: Iterable[Mapping[str, Any]], type_of: Callable[[str], str]) -> list[Node]:
    """Return a node for each row, with the address it suggests.

    Args:
        rows: of a table.
        type_of: returns the type of a point for an address of the protocol, "" when it does not know; may raise
            ``DriverError`` for one that it does not understand.

    Raises:
        DriverError: a row is wrong; the text names its place and its name.
    """
    found: list[Node] = []
    for number, row in enumerate(rows, start=1):
        name = str(row.get("name", "")).strip()
        try:
            found.append(_node(row, name, type_of))
        except (DriverError, ValueError) as error:
            text = error.what if isinstance(error, DriverError) else str(error)
            raise DriverError(
                Reason.ADDRESS_UNKNOWN,
                f"variable {number} of the table ({name or 'without a name'}): {text}.",
                "Correct the table (docs/connect.md).",
            ) from None
    return found


def _node(row: Mapping[str, Any], name: str, type_of: Callable[[str], str]) -> Node:
    if unknown := sorted(set(row) - _COLUMNS):
        raise ValueError(f"unknown column {unknown[0]!r}; known are {', '.join(sorted(_COLUMNS))}")
    where = str(row.get("address", "")).strip()
    if not name or not where:
        raise ValueError("name and address are needed")
    numbers = {column: number_of(row, column, default) for column, default in _NUMBERS.items()}
    known = type_of(where)
    value_type = str(row.get("type", "")).strip() or known
    if value_type and value_type not in VALUE_TYPE_NAMES:
        raise ValueError(f"type must be one of {', '.join(VALUE_TYPE_NAMES)}, not {value_type!r}")
    if value_type == "int64" and (numbers["scale"] != 1.0 or numbers["offset"] != 0.0):
        value_type = "double"
    asset = str(row.get("asset", "")).strip().strip("/")
    unit, writable = str(row.get("unit", "")).strip(), flag_of(row.get("writable", False))
    address = Address(
        point=name,
        where=where,
        asset=asset,
        value_type=value_type or "double",
        unit=unit,
        writable=writable,
        **numbers,
    )
    return Node(
        where=where,
        name=name,
        value_type=value_type,
        unit=unit,
        writable=writable,
        description=str(row.get("description", "")).strip(),
        path=tuple(asset.split("/")) if asset else (),
        suggested=address,
    )
