"""Register maps as data: rows of the connection's options, from CSV or YAML, to addresses. Pure.

Columns: ``name`` and either ``register`` (an address, see ``addressing``) or ``table``, ``address``, ``type``,
``order``, ``bit``, ``unit_id``; further ``asset``, ``unit`` (UCUM), ``scale``, ``offset``, ``every``, ``deadband``,
``swinging_door``, ``writable``, ``description``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gongfu.connect.kit.table_files import flag_of, number_of
from gongfu.connect.kit.types import Address, DriverError, Node, Reason
from gongfu.connect.modbus.addressing import parse, value_type_of

_COLUMNS = frozenset(
    {"name", "register", "table", "address", "type", "order", "bit", "unit_id", "asset", "unit", "scale", "offset",
     "every", "deadband", "swinging_door", "writable", "description"}
)  # fmt: skip
_NUMBERS = {"scale": 1.0, "offset": 0.0, "every": 1.0, "deadband": 0.0, "swinging_door": 0.0}


def nodes_of(rows: Iterable[Mapping[str, Any]], unit: int, order: str) -> list[tuple[Address, Node]]:
    """Return the address and the node of each row.

    Args:
        rows: of a map.
        unit, order: where a row names none.

    Raises:
        DriverError: a row is wrong; the text names its place and its name.
    """
    found: list[tuple[Address, Node]] = []
    for number, row in enumerate(rows, start=1):
        name = str(row.get("name", "")).strip()
        try:
            found.append(_row(row, name, unit, order))
        except (DriverError, ValueError) as error:
            text = error.what if isinstance(error, DriverError) else str(error)
            raise _wrong(f"register {number} of the map ({name or 'without a name'}): {text}") from None
    return found


def _row(row: Mapping[str, Any], name: str, unit: int, order: str) -> tuple[Address, Node]:
    if unknown := sorted(set(row) - _COLUMNS):
        raise ValueError(f"unknown column {unknown[0]!r}; known are {', '.join(sorted(_COLUMNS))}")
    if not name:
        raise ValueError("a name is needed")
    where = str(row.get("register", "")).strip() or _where(row)
    spec = parse(where, unit, order)
    writable = flag_of(row.get("writable", False))
    if writable and spec.table not in ("coil", "holding"):
        raise ValueError(f"{spec.table} cannot be written; coil and holding can")
    numbers = {column: number_of(row, column, default) for column, default in _NUMBERS.items()}
    scaled = numbers["scale"] != 1.0 or numbers["offset"] != 0.0
    value_type = value_type_of(spec)
    asset = str(row.get("asset", "")).strip().strip("/")
    address = Address(
        point=name,
        where=where,
        asset=asset,
        value_type="double" if value_type == "int64" and scaled else value_type,
        unit=str(row.get("unit", "")).strip(),
        writable=writable,
        **numbers,
    )
    node = Node(
        where=where,
        name=name,
        value_type=address.value_type,
        unit=address.unit,
        writable=writable,
        description=str(row.get("description", "")).strip(),
        path=tuple(asset.split("/")) if asset else (),
        suggested=address,
    )
    return address, node


def _where(row: Mapping[str, Any]) -> str:
    number = row.get("address")
    if number is None:
        raise ValueError("register, or table and address, are needed")
    table = str(row.get("table", "holding")).strip()
    kind = str(row.get("type", "")).strip()
    if "bit" in row:
        kind = f"{kind or 'uint16'}.{row['bit']}"
    parts = [table, str(number).strip(), kind, str(row.get("order", "")).strip()]
    while not parts[-1]:
        parts.pop()
    prefix = f"{row['unit_id']}/" if "unit_id" in row else ""
    return prefix + ":".join(parts)


def _wrong(what: str) -> DriverError:
    return DriverError(Reason.ADDRESS_UNKNOWN, f"{what}.", "Correct the register map (docs/connect/modbus.md).")
