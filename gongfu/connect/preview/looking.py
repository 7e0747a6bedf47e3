"""Looking at a machine over an open driver: what it shows, the first values, and a recording of some seconds."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from gongfu.connect.kit.types import Address, Driver, DriverError, Node, Reading, Timing
from gongfu.connect.preview.proposal import address_of, propose
from gongfu.connect.preview.recording import RecordingSink
from gongfu.connect.preview.types import Proposal

_PAGE = 500
_READ = 500
_DEEPEST = 12


@runtime_checkable
class Advising(Protocol):
    """A driver that can tell from values that something is configured wrongly."""

    async def advise(self, addresses: Sequence[Address], readings: Sequence[Reading]) -> Mapping[int, str]:
        """Return by index of address what looks wrong and what to do."""
        ...


async def variables_below(driver: Driver, parent: str, limit: int) -> tuple[list[Node], bool]:
    """Return at most ``limit`` variables below a node, breadth first, and whether there are more.

    Raises:
        DriverError: it cannot browse, or the connection failed.
    """
    found: list[Node] = []
    seen = {parent}
    waiting: deque[tuple[str, int]] = deque([(parent, 0)])
    while waiting:
        where, depth = waiting.popleft()
        cursor = ""
        while True:
            page = await driver.browse(where, _PAGE, cursor)
            for node in page.items:
                if node.kind == "variable":
                    if len(found) >= limit:
                        return found, True
                    found.append(node)
                if node.has_children and node.where not in seen and depth < _DEEPEST:
                    seen.add(node.where)
                    waiting.append((node.where, depth + 1))
            cursor = page.next
            if not cursor:
                break
    return found, False


async def look(
    driver: Driver,
    timing: Timing,
    *,
    name: str,
    asset: str,
    url: str,
    options: Mapping[str, Any],
    parent: str = "",
    limit: int = 2000,
    record: float = 0.0,
    every: float = 1.0,
) -> Proposal:
    """Return a proposal for the machine of an open driver.

    Args:
        driver: open.
        timing: clocks.
        name, asset: as wished, or "".
        url, options: how it is reached, without secrets.
        parent: where to look.
        limit: greatest number of points.
        record: seconds to record, 0 none.
        every: seconds between two values.

    Raises:
        DriverError: the machine cannot be asked.
    """
    nodes, more = await variables_below(driver, parent, limit)
    addresses = [address_of(node, every) for node in nodes]
    readings: list[Reading] = []
    for start in range(0, len(addresses), _READ):
        part = await driver.read(addresses[start : start + _READ])
        readings += [reading._replace(address=reading.address + start) for reading in part]
    hints = await driver.advise(addresses, readings) if isinstance(driver, Advising) else {}
    warnings = [f"only the first {limit} points are shown; name a parent, or a greater limit"] if more else []
    proposal = propose(
        name=name,
        asset=asset,
        url=url,
        protocol=driver.manifest.protocol,
        options=options,
        addresses=addresses,
        nodes=nodes,
        readings=readings,
        hints=hints,
        warnings=warnings,
    )
    if record <= 0 or not proposal.points:
        return proposal
    sink = RecordingSink(proposal, nodes)
    await driver.subscribe(sink.addresses, sink)
    lost = asyncio.ensure_future(driver.wait())
    try:
        await asyncio.wait({lost}, timeout=record)
        if lost.done():
            lost.result()
    except DriverError as error:
        proposal.warnings.append(f"the recording ended early: {error}")
    finally:
        lost.cancel()
    return sink.result()
