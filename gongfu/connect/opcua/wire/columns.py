"""Many DataValues at once into columns: the hot part of the driver.

A DataChangeNotification is a list of MonitoredItemNotifications (OPC 10000-4 §7.25.2): client handle, DataValue.
Values of one type sent with the same timestamps have the same shape, so a run of them is an array of records: it is
read by NumPy in one step. The driver creates its monitored items ordered by type, so runs are
long. Short runs of fixed size are read by one precompiled ``struct`` a value, everything else by ``variants.py``.
"""

import struct
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from gongfu.connect.kit.types import Value
from gongfu.connect.opcua.wire import variants
from gongfu.connect.opcua.wire.variants import LATEST_TICKS, TICKS_AT_UNIX_EPOCH, WireError

RUN = 8
"""After so many equal shapes in a row NumPy takes over."""

FIRST_WINDOW = 64


@dataclass(slots=True)
class Columns:
    """Values in the order of the message.

    ``keys``: client handles, or 0, 1, 2… where the message carries none. ``status``: OPC UA StatusCodes.
    ``source`` and ``server``: UTC ns, 0 where the server gave no time.
    """

    keys: list[int] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    server: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class _Shape:
    size: int
    record: struct.Struct
    dtype: np.dtype[np.void]
    value: int  # positions in the unpacked record, -1: not there
    status: int
    source: int
    server: int


@lru_cache(maxsize=1024)
def _shape(keyed: bool, mask: int, kind: int) -> _Shape | None:
    """Return the layout of a DataValue of fixed size; None where the size depends on the value."""
    if mask & ~0x3F or (mask & 1 and kind and kind not in variants.SCALARS):
        return None
    names, codes = ["mask"], ["B"]
    if keyed:
        names, codes = ["key", "mask"], ["I", "B"]
    if mask & 1:
        names.append("kind")
        codes.append("B")
        if kind:
            names.append("value")
            codes.append(variants.SCALARS[kind].format[-1])
    for bit, name, code in (
        (2, "status", "I"),
        (4, "source", "q"),
        (16, "source_part", "H"),
        (8, "server", "q"),
        (32, "server_part", "H"),
    ):
        if mask & bit:
            names.append(name)
            codes.append(code)
    record = struct.Struct("<" + "".join(codes))
    dtype = np.dtype(
        [(n, "u1" if c == "?" else "<" + c if c not in "bB" else c) for n, c in zip(names, codes, strict=True)]
    )
    at = {name: i for i, name in enumerate(names)}
    return _Shape(
        record.size,
        record,
        dtype,
        at.get("value", -1),
        at.get("status", -1),
        at.get("source", -1),
        at.get("server", -1),
    )


def _times(ticks: np.ndarray) -> list[int]:
    inside = (ticks > TICKS_AT_UNIX_EPOCH) & (ticks <= LATEST_TICKS)
    return np.where(inside, (ticks - TICKS_AT_UNIX_EPOCH) * 100, 0).tolist()


def data_values(data: bytes, at: int, total: int, keyed: bool) -> tuple[Columns, int]:
    """Decode ``total`` DataValues from position ``at``, each behind its client handle when ``keyed``.

    Returns:
        The columns and the position behind the last value.

    Raises:
        WireError: the message breaks OPC 10000-6 or ends too early.
    """
    out = Columns()
    try:
        at = _decode(data, at, total, keyed, out)
    except (struct.error, IndexError) as error:
        raise WireError(f"a list of values ends too early: {error}") from None
    if not keyed:
        out.keys = list(range(total))
    return out, at


def _decode(data: bytes, at: int, total: int, keyed: bool, out: Columns) -> int:
    ahead = 4 if keyed else 0
    keys, values, status, source, server = out.keys, out.values, out.status, out.source, out.server
    ticks_to_nanoseconds = variants.ticks_to_nanoseconds
    done, same, before = 0, 0, -1
    while done < total:
        mask = data[at + ahead]
        kind = data[at + ahead + 1] if mask & 1 else 0
        shape = _shape(keyed, mask, kind)
        if shape is None:
            if keyed:
                keys.append(int.from_bytes(data[at : at + 4], "little"))
            value, code, seen, sent, at = variants.data_value(data, at + ahead)
            values.append(value)
            status.append(code)
            source.append(seen)
            server.append(sent)
            done, same, before = done + 1, 0, -1
            continue
        shape_id = mask << 8 | kind
        same = same + 1 if shape_id == before else 0
        before = shape_id
        if same >= RUN and total - done >= RUN:
            taken = _run(data, at, total - done, shape, ahead, mask, kind, out)
            at, done, same = at + taken * shape.size, done + taken, 0
            continue
        record = shape.record.unpack_from(data, at)
        if keyed:
            keys.append(record[0])
        values.append(record[shape.value] if shape.value >= 0 else None)
        status.append(record[shape.status] if shape.status >= 0 else 0)
        source.append(ticks_to_nanoseconds(record[shape.source]) if shape.source >= 0 else 0)
        server.append(ticks_to_nanoseconds(record[shape.server]) if shape.server >= 0 else 0)
        at += shape.size
        done += 1
    return at


def _run(data: bytes, at: int, most: int, shape: _Shape, ahead: int, mask: int, kind: int, out: Columns) -> int:
    """Append the values of equal shape from ``at`` on; returns how many there were, at least one."""
    most = min(most, (len(data) - at) // shape.size)
    if most == 0:
        raise IndexError("the last value is cut off")
    window, found, whole = FIRST_WINDOW, 0, True
    while found < most and whole:  # the window doubles, so that a short run costs little
        size = min(window, most - found)
        rows = np.frombuffer(data, np.uint8, size * shape.size, at + found * shape.size).reshape(size, shape.size)
        wrong = rows[:, ahead] != mask
        if mask & 1:
            wrong |= rows[:, ahead + 1] != kind
        first = int(wrong.argmax())
        whole = not wrong[first]
        found += size if whole else first
        window *= 2
    records = np.frombuffer(data, shape.dtype, found, at)
    if ahead:
        out.keys += records["key"].tolist()
    if shape.value < 0:
        out.values += [None] * found
    elif kind == 1:
        out.values += (records["value"] != 0).tolist()
    else:
        out.values += records["value"].tolist()
    out.status += records["status"].tolist() if shape.status >= 0 else [0] * found
    out.source += _times(records["source"]) if shape.source >= 0 else [0] * found
    out.server += _times(records["server"]) if shape.server >= 0 else [0] * found
    return found
