"""Acknowledging conditions at the server.

Source: OPC 10000-9 §5.7.3 (Acknowledge). Each EventId is acknowledged by itself: that of the trunk and
those of branches.
"""

from collections.abc import Sequence
from typing import Any

from gongfu.connect.opcua import failures
from gongfu.connect.opcua.addressing import resolve
from gongfu.connect.opcua.bulk_read import to_node_id
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.targets import namespaces_of

ACKNOWLEDGE = 9111
"""AcknowledgeableConditionType_Acknowledge."""

_DONE_ALREADY = 0x80CF
"""BadConditionBranchAlreadyAcked: somebody was faster."""


async def acknowledge(session: Session, condition: str, events: Sequence[bytes], comment: str) -> bool:
    """Acknowledge events of a condition; False when there were none.

    Args:
        session: an open session.
        condition: NodeId text of the condition.
        events: EventIds that want to be acknowledged.
        comment: kept by the server.

    Raises:
        DriverError: the server does not allow it, or the connection failed.
    """
    if not events:
        return False
    node = to_node_id(resolve(condition, await namespaces_of(session)))
    what = f"Acknowledging {condition} at {session.url}"
    requests: list[Any] = []
    for event in events:
        request = ua.CallMethodRequest()
        request.ObjectId, request.MethodId = node, ua.NodeId(ACKNOWLEDGE)
        request.InputArguments = [
            ua.Variant(event, ua.VariantType.ByteString),
            ua.Variant(ua.LocalizedText(comment), ua.VariantType.LocalizedText),
        ]
        requests.append(request)
    for result in await session.guard(what, session.client.uaclient.session.call(requests)):
        status = result.StatusCode.value
        if status & 0x8000_0000 and status >> 16 != _DONE_ALREADY:
            raise failures.of_status(status, what)
    return True
