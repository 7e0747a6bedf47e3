"""The S7 driver: reads blocks of bytes, writes with read-back, and says when a data block is optimised."""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from snap7.async_client import AsyncClient
from snap7.error import S7ConnectionError, S7Error, S7TimeoutError
from snap7.type import Area

from gongfu.connect.kit.hints import refused_figures
from gongfu.connect.kit.manifest import load_manifest
from gongfu.connect.kit.polling import Poller
from gongfu.connect.kit.types import (
    Address,
    Context,
    DriverError,
    Found,
    Manifest,
    NodePage,
    Reading,
    Reason,
    Sink,
    Value,
    WriteResult,
)
from gongfu.connect.kit.variables import nodes_of_variables
from gongfu.connect.s7.addressing import decode, encode, parse, plan, value_type_of
from gongfu.kernel.quality import Quality

logging.getLogger("snap7").setLevel(logging.CRITICAL)

_PORT = 102
_AREAS = {"DB": Area.DB, "M": Area.MK, "I": Area.PE, "Q": Area.PA}
_CODE = re.compile(r"\(0x([0-9a-f]{2})\)")
# By return code of an item: reason, what it means, what to do.
_CODES = {
    0x03: (
        Reason.CREDENTIALS,
        "the PLC does not allow access",
        "Switch on PUT/GET communication in the CPU's protection settings.",
    ),
    0x05: (
        Reason.RANGE,
        "the data block is shorter than that, or optimised",
        "Compare with the block's layout; switch off 'Optimized block access' in TIA Portal and compile.",
    ),
    0x06: (Reason.UNSUPPORTED, "the PLC does not take this type here", "Address bytes instead."),
    0x0A: (
        Reason.ADDRESS_UNKNOWN,
        "the PLC has no such data block, or it is optimised",
        "Compare with the project; switch off 'Optimized block access' in TIA Portal, compile and download.",
    ),
}


class S7Driver:
    """Implements ``Driver`` over ``python-snap7``'s asynchronous client. Requests wait for each other."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent / "manifest.toml")

    def __init__(self, context: Context) -> None:
        parts = urlsplit(context.url)
        path = [text for text in parts.path.split("/") if text]
        options = context.options
        self._host, self._port = parts.hostname or "", parts.port or _PORT
        self._rack = int(path[0]) if len(path) == 2 and path[0].isdigit() else int(options.get("rack", 0))
        self._slot = int(path[-1]) if path and path[-1].isdigit() else int(options.get("slot", 1))
        self._timeout = float(options.get("timeout", 5.0))
        self._max_gap = int(options.get("max_gap", 32))
        self._rows: list[Mapping[str, Any]] = list(options.get("variables") or ())
        self._timing = context.timing
        self._client = AsyncClient()
        self._lock = asyncio.Lock()
        self._requests = 0
        self._poller: Poller | None = None
        self._refusals: dict[str, DriverError] = {}

    @property
    def _place(self) -> str:
        return f"{self._host}:{self._port}"

    async def open(self) -> None:
        """Connect; the layout is checked first."""
        nodes_of_variables(self._rows, _type_of)
        if not self._host:
            raise DriverError(Reason.UNREACHABLE, "the URL has no host.", "Say s7://host/rack/slot.")
        try:
            async with asyncio.timeout(self._timeout):
                await self._client.connect(self._host, self._rack, self._slot, self._port)
        except (TimeoutError, S7TimeoutError):
            raise DriverError(
                Reason.UNREACHABLE,
                f"{self._place} does not answer within {self._timeout:g} s.",
                "Check the address, cable and firewalls.",
            ) from None
        except S7Error as error:
            refused = "refused" in str(error).lower() or "Connect call failed" in str(error)
            if refused:
                raise DriverError(
                    Reason.REFUSED,
                    f"{self._place} refuses connections.",
                    "Check the port (102) and the PLC's settings.",
                ) from None
            raise DriverError(
                Reason.UNREACHABLE,
                f"{self._place}, rack {self._rack}, slot {self._slot}: {error}.",
                "Check rack and slot: 0/1 for S7-1200 and 1500, 0/2 for S7-300 and 400; is PUT/GET allowed?",
            ) from None

    async def close(self) -> None:
        """End."""
        await self._client.disconnect()

    async def discover(self) -> list[Found]:
        """Return the racks and slots that answer, among the usual ones."""
        found: list[Found] = []
        for rack, slot in ((0, 1), (0, 2), (0, 0), (0, 3)):
            client = AsyncClient()
            try:
                async with asyncio.timeout(self._timeout):
                    await client.connect(self._host, rack, slot, self._port)
            except (TimeoutError, S7Error):
                continue
            await client.disconnect()
            found.append(Found(url=f"s7://{self._place}/{rack}/{slot}", name=f"{self._place} rack {rack} slot {slot}"))
        if not found:
            raise DriverError(
                Reason.UNREACHABLE,
                f"{self._place} answers at none of the usual slots.",
                "Give rack and slot in the URL.",
            )
        return found

    async def browse(self, parent: str, limit: int, cursor: str = "") -> NodePage:
        """Return the layout. An S7 PLC does not tell the names of its variables."""
        if not self._rows:
            raise DriverError(
                Reason.UNSUPPORTED,
                "an S7 PLC does not say what it has.",
                "Give its layout: --map FILE with name and address (DB1,REAL4), from TIA Portal's block view.",
            )
        start = int(cursor or 0)
        nodes = [] if parent else nodes_of_variables(self._rows, _type_of)
        following = start + limit
        return NodePage(items=nodes[start:following], next=str(following) if following < len(nodes) else "")

    async def read(self, addresses: Sequence[Address]) -> list[Reading]:
        """Read in blocks; what the PLC refuses gives bad readings, and its reason in the figures."""
        specs = [parse(address.where) for address in addresses]
        readings: list[Reading] = []
        for area, block, start, size, members in plan(specs, self._max_gap):
            try:
                data = await self._ask(area, block, start, size)
            except DriverError as error:
                if error.reason in (Reason.UNREACHABLE, Reason.TIMEOUT):
                    raise
                first = next(iter(members))
                if len(members) > 1:
                    readings += await self._one_by_one(addresses, members)
                    continue
                self._refusals[addresses[first].where] = error
                readings.append(Reading(first, None, Quality.BAD_DEVICE))
                continue
            for index in members:
                spec = specs[index]
                value = decode(spec, data, spec.start - start)
                readings.append(Reading(index, value, Quality.GOOD if value is not None else Quality.BAD_DEVICE))
        return readings

    async def subscribe(self, addresses: Sequence[Address], sink: Sink) -> None:
        """Poll from now on; each address is checked first."""
        for address in addresses:
            parse(address.where)
        self._poller = Poller(list(addresses), self.read, sink, self._timing)

    async def wait(self) -> None:
        """Poll until the connection is lost."""
        if self._poller is not None:
            await self._poller.run()
        while self._client.is_alive:
            await self._timing.sleep(1.0)
        raise DriverError(Reason.UNREACHABLE, f"{self._place}: the connection was lost.", "It is opened again.")

    async def write(self, address: Address, value: Value) -> WriteResult:
        """Write a value and read it back. A bit is written with the seven beside it, as they were a moment before."""
        spec = parse(address.where)
        if spec.area == "I":
            raise DriverError(
                Reason.UNSUPPORTED, f"{address.where}: inputs cannot be written.", "Write a block or a flag."
            )
        if spec.kind == "bit":
            if not isinstance(value, (bool, int)) or value not in (0, 1):
                raise DriverError(Reason.TYPE_MISMATCH, f"{value!r} is no state of a bit.", "Write true or false.")
            before = (await self._ask(spec.area, spec.block, spec.start, 1))[0]
            raw = bytes((before & ~(1 << spec.bit) & 0xFF | int(value) << spec.bit,))
            expected: Any = bool(value)
        else:
            raw = encode(spec, value)
            expected = decode(spec, raw, 0)
        await self._ask(spec.area, spec.block, spec.start, len(raw), raw)
        got = decode(spec, await self._ask(spec.area, spec.block, spec.start, spec.size), 0)
        if got == expected:
            return WriteResult(confirmed=True, read_back=got)
        detail = f"{address.where} was written as {expected!r} and reads {got!r}: the program overwrites it"
        return WriteResult(confirmed=False, read_back=got, detail=detail)

    async def health(self) -> Mapping[str, Any]:
        """Return requests, turns left out, and why addresses were refused."""
        figures: dict[str, Any] = {"requests": self._requests}
        if self._poller is not None:
            figures |= {"overruns": self._poller.overruns, "round_seconds": round(self._poller.last_s, 4)}
        if self._refusals:
            where, error = next(iter(self._refusals.items()))
            figures |= refused_figures(sorted(self._refusals)) | {"refusal": f"{where}: {error}"}
        return figures

    async def advise(self, addresses: Sequence[Address], readings: Sequence[Reading]) -> Mapping[int, str]:
        """Return why addresses were refused."""
        refusals = self._refusals
        return {
            reading.address: str(refusals[addresses[reading.address].where])
            for reading in readings
            if addresses[reading.address].where in refusals
        }

    # --- parts ---------------------------------------------------------------------------------------------------

    async def _one_by_one(self, addresses: Sequence[Address], members: Sequence[int]) -> list[Reading]:
        readings: list[Reading] = []
        for index in members:
            (reading,) = await self.read([addresses[index]])
            readings.append(reading._replace(address=index))
        return readings

    async def _ask(self, area: str, block: int, start: int, size: int, raw: bytes | None = None) -> bytes:
        """Read, or write ``raw``."""
        self._requests += 1
        what = f"{self._place} {area}{block or ''} byte {start} to {start + size - 1}"
        try:
            async with self._lock, asyncio.timeout(self._timeout):
                if raw is not None:
                    await self._client.write_area(_AREAS[area], block, start, bytearray(raw))
                    return raw
                return bytes(await self._client.read_area(_AREAS[area], block, start, size))
        except (TimeoutError, S7TimeoutError):
            # The answer may still come; nothing after it could be told from it.
            await self._client.disconnect()
            raise DriverError(
                Reason.TIMEOUT,
                f"{what}: no answer within {self._timeout:g} s.",
                "Ask for less, or give a longer timeout.",
            ) from None
        except (S7ConnectionError, OSError):
            raise DriverError(
                Reason.UNREACHABLE, f"{self._place}: the connection was lost.", "It is opened again."
            ) from None
        except S7Error as error:
            if not self._client.is_alive:
                raise DriverError(
                    Reason.UNREACHABLE, f"{self._place}: the connection was lost.", "It is opened again."
                ) from None
            found = _CODE.search(str(error))
            reason, meaning, advice = _CODES.get(
                int(found[1], 16) if found else -1, (Reason.PROTOCOL, str(error), "Compare with the PLC's project.")
            )
            raise DriverError(reason, f"{what}: {meaning}.", advice) from None


def _type_of(where: str) -> str:
    return value_type_of(parse(where))
