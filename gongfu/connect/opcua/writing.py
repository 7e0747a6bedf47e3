"""Writing values.

Source: OPC 10000-4 §5.11.4 (Write). A value is sent as the built-in type of the node and read back.
"""

import math

from gongfu.connect.kit.types import DriverError, Reason, Value, WriteResult
from gongfu.connect.opcua import failures
from gongfu.connect.opcua.addressing import resolve
from gongfu.connect.opcua.bulk_read import read_once, to_node_id
from gongfu.connect.opcua.data_types import BUILT_IN, to_machine
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.targets import DATA_TYPE, namespaces_of
from gongfu.connect.opcua.wire.requests import VALUE


async def write(session: Session, where: str, value: Value) -> WriteResult:
    """Write one value and read it back; as ``Driver.write``.

    Raises:
        DriverError: it was not written.
    """
    node = resolve(where, await namespaces_of(session))
    built_in = await _built_in(session, node, where)
    sent = to_machine(value, built_in, where)
    variant = ua.Variant(sent, ua.VariantType(built_in), is_array=isinstance(sent, list))
    if built_in == 21:
        variant = ua.Variant(ua.LocalizedText(str(sent)), ua.VariantType.LocalizedText)
    work = session.client.uaclient.session.write_attributes([to_node_id(node)], [ua.DataValue(variant)])
    status = (await session.guard(f"Writing {where} at {session.url}", work))[0].value
    if status & 0x8000_0000:
        raise failures.of_status(status, f"Writing {where} at {session.url}")
    read = await read_once(session, [node], VALUE, 0)
    back = read.values[0]
    if read.status[0] & 0x8000_0000:
        return WriteResult(confirmed=None, detail="the server took the value, but does not let it be read back")
    if _same(sent, back, built_in):
        return WriteResult(confirmed=True, read_back=back)
    return WriteResult(confirmed=False, read_back=back, detail=f"the server took the value, but shows {back!r}")


def _same(sent: Value, back: Value, built_in: int) -> bool:
    if isinstance(sent, list) and isinstance(back, list):
        return len(sent) == len(back) and all(_same(a, b, built_in) for a, b in zip(sent, back, strict=True))
    if isinstance(sent, float) and isinstance(back, float):
        if math.isnan(sent):
            return math.isnan(back)
        return math.isclose(sent, back, rel_tol=1e-6 if built_in == 10 else 1e-12)
    return sent == back


async def _built_in(session: Session, node: bytes, where: str) -> int:
    """Return the built-in type a node is written as: by its data type, or as its present value is encoded."""
    types = await read_once(session, [node], DATA_TYPE, 0)
    if types.status[0] & 0x8000_0000:
        raise failures.of_status(types.status[0], f"Asking for the type of {where} at {session.url}")
    known = BUILT_IN.get(str(types.values[0]))
    if known is not None and types.values[0] not in ("i=24", "i=26", "i=27", "i=28"):
        return known
    work = session.client.uaclient.session.read_attributes([to_node_id(node)], ua.AttributeIds.Value)
    present = (await session.guard(f"Reading {where} at {session.url}", work))[0]
    if present.Value is None or present.Value.VariantType == ua.VariantType.Null:
        if known is not None:
            return known
        raise DriverError(
            Reason.TYPE_MISMATCH, f"The type of {where} is not known.", "Write it once at the server, then try again."
        )
    return int(present.Value.VariantType.value)
