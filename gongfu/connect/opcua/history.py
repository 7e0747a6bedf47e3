"""Values a server has stored: what was missed is read afterwards.

Source: OPC 10000-11, OPC 10000-4 §5.11.3 (HistoryRead, ReadRawModifiedDetails with continuation points).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gongfu.connect.kit.types import Sink
from gongfu.connect.opcua.bulk_read import read_once, to_node_id
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.limits import Limits
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.sinking import readings
from gongfu.connect.opcua.targets import Target
from gongfu.connect.opcua.wire.responses import History, history_response

ACCESS_LEVEL = 17
_HISTORY_READ = 0x04
_VALUES_A_NODE = 5000
MAX_VALUES = 1_000_000
"""Values read back for one gap; what is beyond stays a gap."""


async def with_history(session: Session, targets: Sequence[Target], limits: Limits) -> list[Target]:
    """Return the targets whose history the server lets us read (AccessLevel, OPC 10000-3 §8.57).

    Raises:
        DriverError: the connection failed.
    """
    levels = await read_once(session, [target.node for target in targets], ACCESS_LEVEL, limits.read)
    return [
        target
        for target, level, status in zip(targets, levels.values, levels.status, strict=True)
        if not status and isinstance(level, int) and level & _HISTORY_READ
    ]


async def backfill(
    session: Session, targets: Sequence[Target], since: int, until: int, sink: Sink, limits: Limits, now: int
) -> tuple[int, list[Target]]:
    """Read stored values between two times into the sink.

    Args:
        session: an open session.
        targets: nodes with history.
        since: UTC ns; values after it.
        until: UTC ns; values before it.
        sink: where the values go.
        limits: of the server.
        now: time of arrival, UTC ns.

    Returns:
        How many values came, and the targets that could not be read to the end.

    Raises:
        DriverError: the connection failed.
    """
    total = 0
    failed: list[Target] = []
    for start in range(0, len(targets), limits.history):
        part = list(targets[start : start + limits.history])
        if total >= MAX_VALUES:
            failed += part
            continue
        came, left = await _part(session, part, since, until, sink, MAX_VALUES - total, now)
        total += came
        failed += left
    return total, failed


async def _part(
    session: Session, targets: list[Target], since: int, until: int, sink: Sink, most: int, now: int
) -> tuple[int, list[Target]]:
    details = ua.ReadRawModifiedDetails()
    details.IsReadModified = False
    details.StartTime = _moment(since)
    details.EndTime = _moment(until)
    details.NumValuesPerNode = _VALUES_A_NODE
    details.ReturnBounds = False
    waiting = [(target, b"") for target in targets]
    failed: list[Target] = []
    total = 0
    while waiting:
        results = await _ask(session, details, waiting)
        more: list[tuple[Target, bytes]] = []
        for (target, _), result in zip(waiting, results, strict=False):
            if result.status & 0x8000_0000:
                failed.append(target)
                continue
            found = readings(result.values, [target.address] * len(result.values))
            # The bounds were received before; the server's clock is what both sides of the comparison come from.
            inside = [reading for reading in found if since < reading.source_time < until]
            if inside:
                sink.take(inside, now)
            total += len(inside)
            if result.more:
                more.append((target, result.more))
        if total >= most:
            return total, failed + [target for target, _ in more]
        waiting = more
    return total, failed


async def _ask(session: Session, details: Any, waiting: list[tuple[Target, bytes]]) -> list[History]:
    parameters = ua.HistoryReadParameters()
    parameters.HistoryReadDetails = details
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    parameters.ReleaseContinuationPoints = False
    for target, point in waiting:
        node = ua.HistoryReadValueId()
        node.NodeId = to_node_id(target.node)
        node.ContinuationPoint = point or None
        parameters.NodesToRead.append(node)
    request = ua.HistoryReadRequest()
    request.Parameters = parameters
    raw = await session.exchange("Reading history", request)

    async def decode() -> list[History]:
        return history_response(raw)

    results = await session.guard("Reading history at " + session.url, decode())
    missing = len(waiting) - len(results)
    if missing:
        from gongfu.connect.opcua.wire.columns import Columns

        results += [History(0x8000_0000, b"", Columns())] * missing
    return results


def _moment(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
