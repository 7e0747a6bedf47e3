"""From what a machine shows and the first values to a proposal. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gongfu.connect.kit.types import Address, Node, Reading, Value
from gongfu.connect.preview.types import Proposal, ProposedPoint
from gongfu.kernel.points import EXACT_INTEGER_LIMIT
from gongfu.kernel.quality import severity
from gongfu.kernel.unit_texts import ucum_of_text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NAME = 200


def clean_name(text: str, fallback: str) -> str:
    """Return a name that the registry takes: no control characters, no blanks at the ends, 1 to 200 characters."""
    return _CONTROL.sub(" ", text).strip()[:_NAME].strip() or fallback


def name_of_url(url: str) -> str:
    """Return a name for a connection: protocol, host, and what stands after it."""
    parts = urlsplit(url)
    rest = parts.path.strip("/").rpartition("/")[2]
    host = parts.hostname or ""
    port = f"-{parts.port}" if parts.port else ""
    text = "-".join(part for part in (parts.scheme, f"{host}{port}", rest) if part)
    return re.sub(r"[/+#:\s-]+", "-", clean_name(text, "machine")).strip("-") or "machine"


def address_of(node: Node, every: float) -> Address:
    """Return the address that subscribes to a variable; folders above it become assets."""
    if node.suggested is not None:
        return node.suggested
    asset = "/".join(clean_name(name.replace("/", "∕"), "-") for name in node.path)
    return Address(
        point=clean_name(node.name, node.where[:_NAME]),
        where=node.where,
        asset=asset,
        value_type=node.value_type or type_of_value(node.sample) or "double",
        unit=node.unit,
        every=every,
        writable=node.writable,
    )


def type_of_value(value: Value) -> str:
    """Return the type of a point that takes a value, "" when the value says nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "double" if -EXACT_INTEGER_LIMIT <= value <= EXACT_INTEGER_LIMIT else "int64"
    if isinstance(value, float):
        return "double"
    return "string" if isinstance(value, (str, bytes)) else "json"


def propose(
    *,
    name: str,
    asset: str,
    url: str,
    protocol: str,
    options: Mapping[str, Any],
    addresses: Sequence[Address],
    nodes: Sequence[Node],
    readings: Sequence[Reading],
    hints: Mapping[int, str],
    warnings: Collection[str] = (),
) -> Proposal:
    """Return a proposal.

    Args:
        name, asset: as wished, or "".
        url, protocol, options: how the machine is reached, without secrets.
        addresses: of the variables.
        nodes: those variables, in the same order.
        readings: what was read of the addresses; may lack some.
        hints: by address, what looks wrong.
        warnings: what else to tell.
    """
    read = {reading.address: reading for reading in readings}
    seen: dict[tuple[str, str], int] = {}
    points: list[ProposedPoint] = []
    unread = 0
    for index, (address, node) in enumerate(zip(addresses, nodes, strict=True)):
        reading = read.get(index)
        value = None if reading is None else reading.value
        quality = "bad" if reading is None else severity(reading.quality)
        if not node.value_type and (seen_type := type_of_value(value)):
            address = msgspec.structs.replace(address, value_type=seen_type)
        hint = hints.get(index, "")
        text = node.unit_text
        if address.unit and not _is_unit(address.unit):
            text = text or address.unit
            known = ucum_of_text(address.unit)
            hint = hint or (f"{address.unit!r} is taken as {known}" if known else "")
            address = msgspec.structs.replace(address, unit=known)
        if text and not address.unit:
            told = f"the unit {text!r} has no known UCUM code: it is kept as text, and no unit is set"
            hint = f"{hint}; {told}" if hint else told
        key = (address.asset, address.point)
        number = seen[key] = seen.get(key, 0) + 1
        if number > 1:
            address = msgspec.structs.replace(address, point=f"{address.point[: _NAME - 12]} ({number})")
        usable = not (value is None and quality == "bad")
        if not usable:
            unread += 1
            hint = hint or "it could not be read: check the address, or leave it out"
        points.append(
            ProposedPoint(
                address=address,
                include=usable,
                value=value,
                quality=quality,
                description=node.description,
                hint=hint,
            )
        )
    told = list(warnings)
    if unread:
        told.append(f"{unread} of {len(points)} points could not be read and are left out")
    if not points:
        told.append("the machine shows no variables here; name another parent, or give the addresses")
    name = name or name_of_url(url)
    return Proposal(
        name=name,
        asset=asset or name,
        model=name,
        url=url,
        protocol=protocol,
        options=dict(options),
        points=points,
        warnings=told,
    )


def _is_unit(text: str) -> bool:
    # Imported here: the UCUM tables take memory that a process without proposals never needs.
    from gongfu.kernel.units import check_unit

    try:
        check_unit(text)
    except ValueError:
        return False
    return True
