"""Single values of the OPC UA binary encoding: Variant, NodeId, String, DateTime, DiagnosticInfo.

Source: OPC 10000-6 §5.2 (OPC UA Binary). Pure: every function takes the message and a position and returns a value and
the position behind it. Lengths are checked against the message before anything is allocated, so a lying length costs
nothing. This is the slow, complete way; runs of equal shape go through ``columns.py``.
"""

import math
import struct
import uuid
from datetime import UTC, datetime, timedelta

from gongfu.connect.kit.types import Value

MAX_DEPTH = 16
"""Variants in variants and inner diagnostics deeper than this are refused."""

TICKS_AT_UNIX_EPOCH = 116_444_736_000_000_000
"""100 ns ticks from 1601-01-01 to 1970-01-01, OPC 10000-6 §5.2.2.5."""

LATEST_TICKS = TICKS_AT_UNIX_EPOCH + (2**63 - 1) // 100
_YEAR_ONE = datetime(1601, 1, 1, tzinfo=UTC)

_U8, _U16, _I32, _U32, _I64 = (struct.Struct(f) for f in ("<B", "<H", "<i", "<I", "<q"))

SCALARS: dict[int, struct.Struct] = {
    1: struct.Struct("<?"),
    2: struct.Struct("<b"),
    3: struct.Struct("<B"),
    4: struct.Struct("<h"),
    5: struct.Struct("<H"),
    6: struct.Struct("<i"),
    7: struct.Struct("<I"),
    8: struct.Struct("<q"),
    9: struct.Struct("<Q"),
    10: struct.Struct("<f"),
    11: struct.Struct("<d"),
    19: struct.Struct("<I"),
}
"""Built-in types of fixed size (Part 6, table 1): Boolean, integers, Float, Double, StatusCode."""


class WireError(ValueError):
    """The message breaks OPC 10000-6, or ends too early."""


def ticks_to_nanoseconds(ticks: int) -> int:
    """Return UTC nanoseconds since 1970 of a DateTime, 0 where it says "no time" or is outside 1970…2262."""
    if not TICKS_AT_UNIX_EPOCH < ticks <= LATEST_TICKS:
        return 0
    return (ticks - TICKS_AT_UNIX_EPOCH) * 100


def nanoseconds_to_ticks(nanoseconds: int) -> int:
    """Return the DateTime of UTC ``nanoseconds`` since 1970."""
    return nanoseconds // 100 + TICKS_AT_UNIX_EPOCH


def u32(data: bytes, at: int) -> tuple[int, int]:
    """Return the UInt32 at ``at``."""
    return _U32.unpack_from(data, at)[0], at + 4


def i64(data: bytes, at: int) -> tuple[int, int]:
    """Return the Int64 at ``at``."""
    return _I64.unpack_from(data, at)[0], at + 8


def count(data: bytes, at: int, least: int) -> tuple[int, int]:
    """Return the length of an array whose elements take at least ``least`` bytes; a null array has length 0.

    Raises:
        WireError: the message cannot hold that many elements.
    """
    size: int = _I32.unpack_from(data, at)[0]
    at += 4
    if size <= 0:
        return 0, at
    if size * least > len(data) - at:
        raise WireError(f"an array of {size} elements does not fit into the {len(data) - at} bytes that are left")
    return size, at


def byte_string(data: bytes, at: int) -> tuple[bytes | None, int]:
    """Return the ByteString at ``at``; None for the null one."""
    size: int = _I32.unpack_from(data, at)[0]
    at += 4
    if size < 0:
        return None, at
    if size > len(data) - at:
        raise WireError(f"a string of {size} bytes does not fit into the {len(data) - at} bytes that are left")
    return data[at : at + size], at + size


def text(data: bytes, at: int) -> tuple[str | None, int]:
    """Return the String at ``at``; what is not UTF-8 is replaced, for it is shown and never sent back."""
    raw, at = byte_string(data, at)
    return (None if raw is None else raw.decode("utf-8", "replace")), at


def node_id(data: bytes, at: int) -> tuple[str, int]:
    """Return the NodeId or ExpandedNodeId at ``at`` in the notation of Part 6 §5.3.1.10 (``ns=2;s=泵.1``)."""
    encoding: int = data[at]
    kind = encoding & 0x3F
    at += 1
    namespace = 0
    if kind == 0:
        identifier, at = f"i={data[at]}", at + 1
    elif kind == 1:
        namespace, number = struct.unpack_from("<BH", data, at)
        identifier, at = f"i={number}", at + 3
    elif kind == 2:
        namespace, number = struct.unpack_from("<HI", data, at)
        identifier, at = f"i={number}", at + 6
    elif kind in (3, 5):
        namespace = _U16.unpack_from(data, at)[0]
        raw, at = byte_string(data, at + 2)
        raw = raw or b""
        identifier = "s=" + raw.decode("utf-8", "replace") if kind == 3 else "b=" + _base64(raw)
    elif kind == 4:
        namespace = _U16.unpack_from(data, at)[0]
        identifier, at = f"g={guid(data, at + 2)}", at + 18
    else:
        raise WireError(f"NodeId encoding {kind} is unknown")
    uri = None
    if encoding & 0x80:
        uri, at = text(data, at)
    if encoding & 0x40:
        at += 4
    if uri:
        return f"nsu={uri};{identifier}", at
    return (f"ns={namespace};{identifier}" if namespace else identifier), at


def _base64(raw: bytes) -> str:
    import base64

    return base64.b64encode(raw).decode("ascii")


def guid(data: bytes, at: int) -> uuid.UUID:
    """Return the Guid (16 bytes) at ``at``."""
    if at + 16 > len(data):
        raise WireError("a Guid is cut off")
    return uuid.UUID(bytes_le=data[at : at + 16])


def extension_object(data: bytes, at: int) -> tuple[str, bytes, int]:
    """Return type id, body and the position behind the ExtensionObject at ``at``."""
    kind, at = node_id(data, at)
    encoding: int = data[at]
    at += 1
    body: bytes | None = b""
    if encoding in (1, 2):
        body, at = byte_string(data, at)
    return kind, body or b"", at


def diagnostic_info(data: bytes, at: int, depth: int = 0) -> int:
    """Return the position behind the DiagnosticInfo at ``at``."""
    if depth > MAX_DEPTH:
        raise WireError("diagnostics are nested too deeply")
    mask: int = data[at]
    at += 1 + 4 * (mask & 0x0F).bit_count()
    if mask & 0x10:
        _, at = byte_string(data, at)
    if mask & 0x20:
        at += 4
    if mask & 0x40:
        at = diagnostic_info(data, at, depth + 1)
    return at


def date_time(ticks: int) -> str | None:
    """Return a DateTime as RFC 3339 text, None for "no time"."""
    if ticks <= 0:
        return None
    try:
        moment = _YEAR_ONE + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return "9999-12-31T23:59:59Z"
    return moment.isoformat().replace("+00:00", "Z")


def scalar(data: bytes, at: int, kind: int, depth: int) -> tuple[Value, int]:
    """Return one value of built-in type ``kind``.

    DateTime becomes RFC 3339 text, Guid and NodeId their text, LocalizedText its text, a QualifiedName its name, a
    structure (ExtensionObject) the bytes of its body, a DataValue its value.
    """
    fixed = SCALARS.get(kind)
    if fixed is not None:
        return fixed.unpack_from(data, at)[0], at + fixed.size
    if kind in (12, 16):
        return text(data, at)
    if kind == 13:
        return date_time(_I64.unpack_from(data, at)[0]), at + 8
    if kind == 14:
        return str(guid(data, at)), at + 16
    if kind in (17, 18):
        return node_id(data, at)
    if kind == 20:
        return text(data, at + 2)
    if kind == 21:
        mask, shown = data[at], None
        at += 1
        if mask & 1:
            _, at = text(data, at)
        if mask & 2:
            shown, at = text(data, at)
        return shown, at
    if kind == 22:
        _, body, at = extension_object(data, at)
        return body, at
    if kind == 23:
        value, _, _, _, at = data_value(data, at, depth + 1)
        return value, at
    if kind == 24:
        return variant(data, at, depth + 1)
    if kind == 25:
        return None, diagnostic_info(data, at)
    if kind == 15 or 26 <= kind <= 31:  # "future types" are byte strings, Part 6 §5.2.2.16
        return byte_string(data, at)
    raise WireError(f"built-in type {kind} is unknown")


def variant(data: bytes, at: int, depth: int = 0) -> tuple[Value, int]:
    """Return the Variant at ``at``; arrays are lists, several dimensions lists of lists.

    Raises:
        WireError: unknown type, wrong dimensions, nested deeper than MAX_DEPTH.
        struct.error, IndexError: the message ends too early (callers turn them into WireError).
    """
    if depth > MAX_DEPTH:
        raise WireError("variants are nested too deeply")
    encoding: int = data[at]
    kind = encoding & 0x3F
    at += 1
    if not encoding & 0x80:
        return (None, at) if kind == 0 else scalar(data, at, kind, depth)
    if _I32.unpack_from(data, at)[0] < 0:
        flat, at = None, at + 4
    else:
        flat, at = _array(data, at, kind, depth)
    if encoding & 0x40:
        sizes, at = _array(data, at, 6, depth)
        if flat is not None:
            flat = _shaped(flat, sizes)
    return flat, at


def _array(data: bytes, at: int, kind: int, depth: int) -> tuple[list[Value], int]:
    fixed = SCALARS.get(kind)
    size, at = count(data, at, 1 if fixed is None else fixed.size)
    if fixed is not None:
        letter = fixed.format[-1]
        return list(struct.unpack_from(f"<{size}{letter}", data, at)), at + size * fixed.size
    values: list[Value] = []
    for _ in range(size):
        value, at = scalar(data, at, kind, depth)
        values.append(value)
    return values, at


def _shaped(flat: list[Value], dimensions: list[Value]) -> list[Value]:
    sizes = [size for size in dimensions if isinstance(size, int)]
    if math.prod(sizes) != len(flat):
        raise WireError(f"dimensions {sizes} do not match {len(flat)} elements")
    for step in reversed(sizes[1:]):
        flat = [flat[i : i + step] for i in range(0, len(flat), step)] if step else []
    return flat


def data_value(data: bytes, at: int, depth: int = 0) -> tuple[Value, int, int, int, int]:
    """Return value, StatusCode, source and server time (UTC ns, 0: none) and the position behind a DataValue."""
    mask: int = data[at]
    at += 1
    value: Value = None
    status = source = server = 0
    if mask & 1:
        value, at = variant(data, at, depth)
    if mask & 2:
        status, at = u32(data, at)
    if mask & 4:
        source, at = i64(data, at)
    if mask & 16:
        at += 2
    if mask & 8:
        server, at = i64(data, at)
    if mask & 32:
        at += 2
    return value, status, ticks_to_nanoseconds(source), ticks_to_nanoseconds(server), at
