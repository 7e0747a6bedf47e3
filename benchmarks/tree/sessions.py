"""An order to 10,000 children as separate sessions: in virtual time, and for real through NATS into SQLite.

The virtual one is the simulator: four levels, 5 ms a hop, 1 ms a commit; its seconds are virtual, its CPU is real. The
real one is the worst shape there is, one issuer and 10,000 children directly below it, each with a session, a subject
and an outbox of its own: the issuer in this process, the children in another, a nats-server between them. The issuer
stores the order and 10,000 messages in one transaction, and every receipt in a transaction (synchronous=FULL) before it
is acknowledged; what arrives meanwhile shares the next one. Times are from before the order's transaction to the
commit of the receipt, wall clock.
"""

import asyncio
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nats.aio.client import Client
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    distinct,
    func,
    insert,
    select,
    update,
)

from benchmarks.ingest.report import Row
from benchmarks.tree.ends import Ends
from gongfu.bus.connection import open_bus
from gongfu.store.records.engine import open_records, writing
from gongfu.tree.link.effects import Deliver, Load
from simulator.fanout import measure as simulate
from simulator.network import Way
from simulator.simulation import MILLISECOND
from tests.fixtures.nats import NatsServer

FAN_OUTS = (33, 10, 30)
CHILDREN = 10_000
DOCUMENT = b"o" * 600
ORDER_BODY = b"order" + DOCUMENT
BARS = {0.0: 1.0, 0.05: 3.0}
DEADLINE_S = 120

_tables = MetaData()
ORDERS = Table("orders", _tables, Column("id", String(64), primary_key=True), Column("body", LargeBinary))
OUTBOX = Table(
    "outbox",
    _tables,
    Column("peer", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("body", LargeBinary),
)
POSITIONS = Table(
    "positions",
    _tables,
    Column("peer", Integer, primary_key=True),
    Column("number", BigInteger),
    Column("digest", BigInteger),
)
RECEIPTS = Table(
    "receipts",
    _tables,
    Column("target", Integer, primary_key=True),
    Column("body", LargeBinary),
    Column("at", BigInteger),
)


def virtual() -> list[Row]:
    """Return the rows of the simulator."""
    rows: list[Row] = []
    for loss, bar in BARS.items():
        result = simulate(FAN_OUTS, Way(latency=4 * MILLISECOND, jitter=2 * MILLISECOND, loss=loss))
        name = f"{result.nodes:,} sessions over 4 levels, virtual time, {loss:.0%} loss"
        rows += [
            Row(f"{name}: order to receipt, p99", result.p99, "s virtual", bar),
            Row(f"{name}: order to the last receipt", result.last, "s virtual"),
            Row(f"{name}: CPU of all nodes together", result.cpu, "s CPU"),
            Row(f"{name}: frames sent again", result.resent, "frames"),
        ]
    return rows


class Issuer:
    """The parent's ends, and its records."""

    def __init__(self, folder: Path, children: int, loss: float) -> None:
        self.engine = open_records(f"sqlite:///{folder}/records.sqlite3")
        _tables.create_all(self.engine)
        self.arrived: dict[int, int] = {}
        self.transactions = 0
        self._waiting: list[tuple[int, Deliver]] = []
        self._work = asyncio.Event()
        self.ends = Ends(children, True, self._delivered, self._load, loss)
        with writing(self.engine) as connection:
            connection.execute(insert(POSITIONS), [{"peer": i, "number": 0, "digest": 0} for i in range(children)])

    def _delivered(self, number: int, deliver: Deliver) -> None:
        self._waiting.append((number, deliver))
        self._work.set()

    def _load(self, number: int, load: Load) -> Sequence[bytes]:
        return [ORDER_BODY for i in range(load.first, load.first + load.messages) if i == 1]

    def _store(self, some: list[tuple[int, Deliver]]) -> None:
        now = time.time_ns()
        with writing(self.engine) as connection:
            connection.execute(
                insert(RECEIPTS),
                [{"target": number, "body": body, "at": now} for number, deliver in some for body in deliver.bodies],
            )
            connection.execute(
                update(POSITIONS).where(POSITIONS.c.peer == bindparam("of")),
                [
                    {"of": number, "number": deliver.position.number, "digest": deliver.position.digest}
                    for number, deliver in some
                ],
            )

    async def write(self, bus: Client) -> None:
        """Commit what came, acknowledge it, and so on."""
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._work.clear()
            some, self._waiting = self._waiting, []
            await loop.run_in_executor(None, self._store, some)
            self.transactions += 1
            now = time.perf_counter_ns()
            for number, deliver in some:
                self.arrived[number] = now
                self.ends.act(number, self.ends.sessions[number].committed(deliver.position))
            await self.ends.flush(bus)

    def issue(self) -> None:
        """Store the order and a message for each child; one transaction."""
        with writing(self.engine) as connection:
            connection.execute(insert(ORDERS), [{"id": "order", "body": DOCUMENT}])
            connection.execute(
                insert(OUTBOX),
                [{"peer": i, "number": 1, "body": ORDER_BODY} for i in range(len(self.ends.sessions))],
            )


def _children(port: int, count: int, loss: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.tree.children", str(port), str(count), str(loss)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


async def _measure(children: int, loss: float, folder: Path) -> list[Row]:
    server = NatsServer(folder)
    server.start()
    issuer = Issuer(folder, children, loss)
    bus = await open_bus(server.address, "issuer")
    await issuer.ends.listen(bus)
    process = _children(server.port, children, loss)
    work = [asyncio.create_task(issuer.ends.keep_time(bus)), asyncio.create_task(issuer.write(bus))]
    try:
        for session in issuer.ends.sessions:
            session.connected(time.monotonic_ns(), active=False)
        began = time.perf_counter()
        await _until(lambda: all(session.up for session in issuer.ends.sessions), "all sessions are up")
        connected = time.perf_counter() - began
        # The first pings are over then.
        await asyncio.sleep(7)
        gc.collect()
        gc.freeze()
        cpu, issued = time.process_time(), time.perf_counter_ns()
        await asyncio.get_running_loop().run_in_executor(None, issuer.issue)
        stored = time.perf_counter_ns() - issued
        for number, session in enumerate(issuer.ends.sessions):
            issuer.ends.act(number, session.queued(time.monotonic_ns(), 1, 1, [ORDER_BODY]))
            if number % 100 == 99:
                await issuer.ends.flush(bus)
                await asyncio.sleep(0)
        await issuer.ends.flush(bus)
        await _until(lambda: len(issuer.arrived) == children, "all receipts are stored")
        cpu = time.process_time() - cpu
        gc.unfreeze()
    finally:
        for task in work:
            task.cancel()
        process.kill()
        process.wait()
        await bus.close()
        server.kill()
    times = sorted((at - issued) / 1e9 for at in issuer.arrived.values())
    with issuer.engine.connect() as connection:
        receipts = connection.execute(select(func.count(), func.count(distinct(RECEIPTS.c.target)))).one()
    issuer.engine.dispose()
    wrong = children - receipts[1] + receipts[0] - receipts[1]
    name = f"{children:,} sessions at one issuer, NATS, SQLite, {loss:.0%} loss"
    return [
        Row(f"{name}: order to stored receipt, p99", times[int(len(times) * 0.99)], "s", BARS[loss]),
        Row(f"{name}: order to the last stored receipt", times[-1], "s"),
        Row(f"{name}: of it storing the order and its messages", stored / 1e9, "s"),
        Row(f"{name}: CPU of the issuer's process", cpu, "s CPU"),
        Row(f"{name}: transactions of receipts", issuer.transactions, "transactions"),
        Row(f"{name}: to connect all", connected, "s"),
        Row(f"{name}: receipts missing or twice", wrong, "receipts", 0.0),
    ]


async def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {DEADLINE_S} s: {what}")
        await asyncio.sleep(0.01)


def real(children: int = CHILDREN) -> list[Row]:
    """Return the rows of real time."""
    rows: list[Row] = []
    for loss in BARS:
        with tempfile.TemporaryDirectory(prefix="gongfu-tree-") as folder:
            rows += asyncio.run(_measure(children, loss, Path(folder)))
    return rows
