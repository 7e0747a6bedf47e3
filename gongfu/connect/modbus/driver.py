"""The Modbus driver: polls in blocks, writes with read-back, finds units, tells what looks wrong."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, urlsplit

from gongfu.connect.kit.hints import refused_figures
from gongfu.connect.kit.manifest import load_manifest
from gongfu.connect.kit.polling import Poller
from gongfu.connect.kit.types import (
    Address,
    Context,
    DriverError,
    Found,
    Manifest,
    Node,
    NodePage,
    Reading,
    Reason,
    Sink,
    Value,
    WriteResult,
)
from gongfu.connect.modbus.addressing import BIT_TABLES, TABLES, Spec, parse
from gongfu.connect.modbus.advice import order_hint
from gongfu.connect.modbus.blocks import Block, plan, split
from gongfu.connect.modbus.client import AWAY, ILLEGAL_ADDRESS, ModbusLine, RefusedError
from gongfu.connect.modbus.register_map import nodes_of
from gongfu.connect.modbus.values import BlockBytes, decode, encode, replace_field
from gongfu.kernel.quality import Quality

_PORT = 502
# Units that are looked for: most installations number them from 1; 100, 247 and 255 are common otherwise.
_UNITS = (*range(1, 33), 100, 247, 255)
_PROBE_S = 0.3
# Without a register map so many of each table are looked at, in blocks.
_PROBED, _PROBE_BLOCK = 100, 25
# A register that the device does not have is asked for again after so many turns.
_AGAIN = 60


class _Plan:
    """How some addresses are read: their specs, the requests, and what the device has refused."""

    __slots__ = ("addresses", "blocks", "refused", "specs", "turn")

    def __init__(self, addresses: Sequence[Address], specs: list[Spec], blocks: list[Block]) -> None:
        self.addresses = addresses
        self.specs = specs
        self.blocks = blocks
        # By index of a value that the device does not have: the turn in which it is asked again.
        self.refused: dict[int, int] = {}
        self.turn = 0


class _Where(NamedTuple):
    host: str
    port: int
    rtu: bool
    unit: int


class ModbusDriver:
    """Implements ``Driver``, and ``Advising`` of the wizard."""

    manifest: ClassVar[Manifest] = load_manifest(Path(__file__).parent / "manifest.toml")

    def __init__(self, context: Context) -> None:
        options = context.options
        self._where = _where(context.url, options)
        self._order = str(options.get("order", "abcd"))
        self._max_registers = int(options.get("max_registers", 125))
        self._max_gap = int(options.get("max_gap", 16))
        self._rows: list[Mapping[str, Any]] = list(options.get("registers") or ())
        self._timing = context.timing
        self._line = self._new_line(float(options.get("timeout", 3.0)), int(options.get("retries", 1)))
        self._plans: dict[int, _Plan] = {}
        self._poller: Poller | None = None

    async def open(self) -> None:
        """Connect; the register map is checked first."""
        nodes_of(self._rows, self._where.unit, self._order)
        await self._line.open()

    async def close(self) -> None:
        """End."""
        self._line.close()

    async def discover(self) -> list[Found]:
        """Return the units that answer, among the usual ids."""
        line = self._new_line(_PROBE_S, 0)
        await line.open()
        try:
            found = [unit for unit in _UNITS if await _answers(line, unit)]
        finally:
            line.close()
        scheme = "modbus+rtu" if self._where.rtu else "modbus"
        base = f"{scheme}://{self._where.host}:{self._where.port}"
        if len(found) == len(_UNITS):
            return [Found(url=f"{base}/1", name=self._line.place, description="answers to every unit id")]
        if not found:
            raise DriverError(
                Reason.UNREACHABLE,
                f"{self._line.place} takes connections, but no unit of {_UNITS[0]} to 32, 100, 247, 255 answers.",
                "Give the unit id in the URL: modbus://host:port/<unit>.",
            )
        return [Found(url=f"{base}/{unit}", name=f"{self._line.place} unit {unit}") for unit in found]

    async def browse(self, parent: str, limit: int, cursor: str = "") -> NodePage:
        """Return the register map; without one the tables, and in them what answers among the first registers."""
        start = int(cursor or 0)
        if self._rows:
            nodes = [] if parent else [node for _, node in nodes_of(self._rows, self._where.unit, self._order)]
        elif not parent:
            nodes = [Node(where=table, name=table, kind="folder", has_children=True) for table in TABLES]
        elif parent in TABLES:
            nodes = await self._probe(parent)
        else:
            raise DriverError(
                Reason.ADDRESS_UNKNOWN, f"there is nothing below {parent[:80]!r}.", f"Tables are {', '.join(TABLES)}."
            )
        following = start + limit
        return NodePage(items=nodes[start:following], next=str(following) if following < len(nodes) else "")

    async def read(self, addresses: Sequence[Address]) -> list[Reading]:
        """Read in blocks. What the device does not have gives a bad reading, and so does a unit that is silent."""
        found = self._plan(addresses)
        found.turn += 1
        readings: list[Reading] = []
        failures: list[DriverError] = []
        answered = False
        waiting = list(found.blocks)
        while waiting:
            block = waiting.pop()
            if len(block.members) == 1 and found.refused.get(block.members[0], 0) > found.turn:
                readings.append(Reading(block.members[0], None, Quality.BAD_DEVICE))
                continue
            try:
                raw = await self._line.read(block.unit, block.table, block.start, block.size)
            except RefusedError as error:
                answered = True
                if error.code == ILLEGAL_ADDRESS and (parts := split(block, found.specs)):
                    # Not all of it is there: from now on it is asked for in these parts.
                    found.blocks.remove(block)
                    found.blocks += parts
                    waiting += parts
                    continue
                if error.code == ILLEGAL_ADDRESS:
                    found.refused[block.members[0]] = found.turn + _AGAIN
                quality = Quality.BAD_NO_DATA if error.code in AWAY else Quality.BAD_DEVICE
                readings += [Reading(index, None, quality) for index in block.members]
            except DriverError as error:
                if error.reason is not Reason.TIMEOUT or not self._line.connected:
                    raise
                failures.append(error)
                readings += [Reading(index, None, Quality.BAD_NO_DATA) for index in block.members]
            else:
                answered = True
                _decode_block(block, raw, found.specs, readings)
        if failures and not answered:
            raise failures[0]
        return readings

    async def subscribe(self, addresses: Sequence[Address], sink: Sink) -> None:
        """Poll from now on; each address is checked first, and each rate is read once."""
        for address in addresses:
            self._spec(address)
        self._poller = Poller(list(addresses), self.read, sink, self._timing)

    async def wait(self) -> None:
        """Poll until the line is lost."""
        if self._poller is not None:
            await self._poller.run()
        while self._line.connected:
            await self._timing.sleep(1.0)
        raise DriverError(Reason.UNREACHABLE, f"{self._line.place}: the connection was lost.", "It is opened again.")

    async def write(self, address: Address, value: Value) -> WriteResult:
        """Write a coil, registers or a bit field, and read it back."""
        spec = self._spec(address)
        if spec.table not in ("coil", "holding"):
            raise DriverError(
                Reason.UNSUPPORTED, f"{address.where}: {spec.table} cannot be written.", "Coil and holding can."
            )
        if spec.kind == "bit":
            if not isinstance(value, (bool, int)) or value not in (0, 1):
                raise DriverError(Reason.TYPE_MISMATCH, f"{value!r} is no state of a coil.", "Write true or false.")
            await self._line.write_coil(spec.unit, spec.start, bool(value))
            expected: Any = bool(value)
        else:
            if spec.kind == "field":
                before = await self._line.read(spec.unit, spec.table, spec.start, spec.size)
                registers = replace_field(spec, before, value)
            else:
                registers = encode(spec, value)
            await self._line.write_registers(spec.unit, spec.start, registers)
            expected = decode(spec, BlockBytes(registers), 0)
        back: list[Reading] = []
        raw = await self._line.read(spec.unit, spec.table, spec.start, spec.size)
        _decode_block(Block(spec.unit, spec.table, spec.start, spec.size, (0,)), raw, [spec], back)
        got = back[0].value
        if got == expected:
            return WriteResult(confirmed=True, read_back=got)
        detail = f"{address.where} was written as {expected!r} and reads {got!r}: the device changed or ignored it"
        return WriteResult(confirmed=False, read_back=got, detail=detail)

    async def health(self) -> Mapping[str, Any]:
        """Return requests, time-outs, turns that were left out, and the length of the last round in seconds."""
        figures: dict[str, Any] = {"requests": self._line.requests, "timeouts": self._line.timeouts}
        if self._poller is not None:
            figures |= {"overruns": self._poller.overruns, "round_seconds": round(self._poller.last_s, 4)}
        refused = {one.addresses[index].where for one in self._plans.values() for index in one.refused}
        return {**figures, **refused_figures(sorted(refused))}

    async def advise(self, addresses: Sequence[Address], readings: Sequence[Reading]) -> Mapping[int, str]:
        """Return hints on registers that are not there, and values whose bytes or words look to be in another order."""
        refused = {one.addresses[index].where for one in self._plans.values() for index in one.refused}
        hints = {
            index: f"the device has no {address.where} (Modbus exception 2): see its register map; numbers begin at 0"
            for index, address in enumerate(addresses)
            if address.where in refused
        }
        for reading in readings:
            if hint := order_hint(self._spec(addresses[reading.address]), reading.value):
                hints[reading.address] = hint
        return hints

    # --- parts ---------------------------------------------------------------------------------------------------

    def _new_line(self, timeout: float, retries: int) -> ModbusLine:
        where = self._where
        return ModbusLine(where.host, where.port, where.rtu, timeout, retries)

    def _spec(self, address: Address) -> Spec:
        return parse(address.where, self._where.unit, self._order)

    def _plan(self, addresses: Sequence[Address]) -> _Plan:
        known = self._plans.get(id(addresses))
        if known is not None and known.addresses is addresses:
            return known
        specs = [self._spec(address) for address in addresses]
        made = _Plan(addresses, specs, plan(specs, self._max_registers, self._max_gap))
        if len(self._plans) > 64:
            self._plans.clear()
        self._plans[id(addresses)] = made
        return made

    async def _probe(self, table: str) -> list[Node]:
        """Return the first registers of a table that answer, with what they hold."""
        nodes: list[Node] = []
        for start in range(0, _PROBED, _PROBE_BLOCK):
            try:
                found = await self._line.read(self._where.unit, table, start, _PROBE_BLOCK)
            except RefusedError:
                found = await self._one_by_one(table, start) if start == 0 else []
            if not found:
                break
            kind, value_type = ("", "boolean") if table in BIT_TABLES else (":uint16", "double")
            nodes += [
                Node(
                    where=f"{table}:{start + n}{kind}",
                    name=f"{table} {start + n}",
                    value_type=value_type,
                    writable=table in ("coil", "holding"),
                    sample=value,
                )
                for n, value in enumerate(found[:_PROBE_BLOCK])
            ]
        return nodes

    async def _one_by_one(self, table: str, start: int) -> list[int]:
        found: list[int] = []
        for number in range(start, start + _PROBE_BLOCK):
            try:
                found.append(int((await self._line.read(self._where.unit, table, number, 1))[0]))
            except RefusedError:
                break
        return found


def _decode_block(block: Block, raw: Sequence[Any], specs: Sequence[Spec], readings: list[Reading]) -> None:
    if block.table in BIT_TABLES:
        start = block.start
        readings += [Reading(index, bool(raw[specs[index].start - start])) for index in block.members]
        return
    data = BlockBytes(raw)
    for index in block.members:
        spec = specs[index]
        value = decode(spec, data, spec.start - block.start)
        readings.append(Reading(index, value) if value is not None else Reading(index, None, Quality.BAD_DEVICE))


async def _answers(line: ModbusLine, unit: int) -> bool:
    try:
        await line.read(unit, "holding", 0, 1)
    except RefusedError as error:
        # A gateway tells of units it cannot reach; whatever else is refused, somebody is there.
        return error.code not in AWAY
    except DriverError:
        if not line.connected:
            await asyncio.sleep(0.1)
            await line.open()
        return False
    return True


def _where(url: str, options: Mapping[str, Any]) -> _Where:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    text = parts.path.strip("/") or (query.get("unit") or [""])[0]
    unit = options.get("unit")
    if unit is None:
        unit = text or 1
    if not parts.hostname:
        raise DriverError(Reason.UNREACHABLE, f"{url}: there is no host.", "Say modbus://host:port/unit.")
    if not str(unit).isdigit() or not 0 <= int(unit) <= 255:
        raise DriverError(Reason.RANGE, f"{text!r} is no unit id (0 to 255).", "Say modbus://host:port/unit.")
    return _Where(parts.hostname, parts.port or _PORT, parts.scheme == "modbus+rtu", int(unit))
