"""Watches the units of subscribed variables: at the start, when the server says that they changed, and now and then.

Source: OPC 10000-4 §7.39.1 (SemanticsChanged), OPC 10000-8 §5.2 (a server sets it when EngineeringUnits change). Many
servers never set the bit, therefore the properties are read again from time to time as well.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gongfu.connect.kit.machine_units import UNITS, document, unit_of
from gongfu.connect.kit.types import Address, DriverError, Sink
from gongfu.connect.opcua.bulk_read import to_node_id
from gongfu.connect.opcua.engineering import Engineering, Place, places_of_units, read_places
from gongfu.connect.opcua.limits import Limits
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.targets import Target

logger = logging.getLogger(__name__)

_RETRY_S = 10.0
# Between two looks, and so many times as long as the last one took: a server may set the bit with every value.
_LEAST_S, _LEAST_TIMES = 1.0, 10
# Variables in one event; more come in several.
_TOLD = 5_000


class UnitWatch:
    """The units of one connection.

    Attributes:
        looks: how often they were read.
    """

    def __init__(
        self,
        session: Session,
        addresses: Sequence[Address],
        targets: Sequence[Target],
        sink: Sink,
        limits: Limits,
        every: float,
    ) -> None:
        """Set up; ``run`` does the work.

        Args:
            session: an open session.
            addresses: what is subscribed.
            targets: the same at the server; those with a bad status have no units.
            sink: hears of units.
            limits: of the server.
            every: seconds between two looks.
        """
        self.looks = 0
        self._session = session
        self._addresses = [addresses[target.address] for target in targets if not target.status & 0x8000_0000]
        self._nodes: list[Any] = [to_node_id(t.node) for t in targets if not t.status & 0x8000_0000]
        self._sink = sink
        self._limits = limits
        self._every = every
        self._places: list[Place] | None = None
        self._breaks = -1
        self._told: list[Engineering] = [Engineering()] * len(self._nodes)
        self._wanted = asyncio.Event()

    def look_now(self) -> None:
        """The server says that something has another meaning now."""
        self._places = None
        self._wanted.set()

    async def run(self) -> None:
        """Look until cancelled; a server that does not answer is asked again later."""
        while True:
            wait, began = self._every, asyncio.get_running_loop().time()
            self._wanted.clear()
            try:
                await self._look()
            except DriverError:
                self._places, wait = None, min(wait, _RETRY_S)
            except Exception:
                # A server may answer anything; the values go on without units.
                logger.exception("units of %s cannot be read", self._session.url)
                self._places = None
            await asyncio.sleep(max(_LEAST_S, (asyncio.get_running_loop().time() - began) * _LEAST_TIMES))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wanted.wait()

    async def _look(self) -> None:
        if self._places is None or self._breaks != self._session.breaks:
            self._breaks = self._session.breaks
            self._places = await places_of_units(self._session, self._nodes, self._limits)
        found = await read_places(self._session, len(self._nodes), self._places, self._limits)
        self.looks += 1
        changed = [n for n, now in enumerate(found) if now.text and now != self._told[n]]
        for n in changed:
            self._told[n] = found[n]
        for start in range(0, len(changed), _TOLD):
            units = [
                unit_of(self._addresses[n], found[n].text, found[n].unit, found[n].low, found[n].high)
                for n in changed[start : start + _TOLD]
            ]
            self._sink.event(UNITS, document(units))
