"""What a server allows at once (OPC 10000-5 §6.3.11 OperationLimits), with our own bounds."""

import msgspec

from gongfu.connect.kit.types import DriverError
from gongfu.connect.opcua.addressing import encode
from gongfu.connect.opcua.bulk_read import DEFAULT_BATCH, read_once
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.wire.requests import VALUE

_NODES = {"read": 11705, "history": 12165, "register": 11711, "browse": 11710, "items": 11714}


class Limits(msgspec.Struct, frozen=True):
    """Nodes or items a request."""

    read: int = DEFAULT_BATCH
    history: int = 100
    register: int = DEFAULT_BATCH
    browse: int = 200
    items: int = 1000


async def limits_of(session: Session) -> Limits:
    """Read the limits; a server without them gets ours."""
    ours = msgspec.structs.asdict(Limits())
    try:
        found = await read_once(session, [encode(0, number) for number in _NODES.values()], VALUE, 0)
    except DriverError:
        return Limits()
    for name, value, status in zip(_NODES, found.values, found.status, strict=True):
        if not status and isinstance(value, int) and value > 0:
            ours[name] = min(value, ours[name])
    return Limits(**ours)
