"""84,000 targets addressed one by one: 84 orders with 1,000 node ids each, issued at a nation, stored there with a row
a target, sent to 84 provinces, stored in their outboxes and inboxes, and answered for each target; until the nation has
stored the last answer. Nation and provinces are real hosts on SQLite with synchronous=FULL, all in this process; the
nation runs the order engine, a province answers for the 1,000 enterprises below it, as its engine would. The provinces'
files are in memory (/dev/shm): in a tree their disks are not the nation's.
"""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import func, select

from benchmarks.ingest.report import Row
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.store.records.engine import open_records, reading
from gongfu.store.records.migrations import migrate
from gongfu.tree.host.section import Command, Host, Turn
from gongfu.tree.membership.keys import node_id
from gongfu.tree.membership.types import Attributes, Membership, NodeState
from gongfu.tree.orders import messages
from gongfu.tree.orders.combined import Registers, Shown
from gongfu.tree.orders.documents import DraftRequest, OrderRequest, SelectionDocument
from gongfu.tree.orders.kinds import Guard, OrderKind
from gongfu.tree.orders.section import OrdersSection
from gongfu.tree.orders.tables import target as targets_table
from gongfu.tree.orders.target_records import registers_bytes
from gongfu.tree.orders.types import Execution, State, decode_order
from tests.fixtures.tree import TreeNode, TreeOfHosts, until

PROVINCES, EACH = 84, 1_000
AT_ONCE = 8
BAR_S = 20.0
DEADLINE_S = 240.0
ANN = Subject(1, "ann", 1, Role.ADMIN)
KIND = OrderKind(
    name="block-number",
    schema={"type": "object", "properties": {"number": {"type": "string", "maxLength": 20}}, "required": ["number"],
            "additionalProperties": False},
    may_issue=("nation",),
    driver="absent",
    allowed=True,
    guard=Guard(most_targets=1_000, most_per_hour=1_000_000),
)  # fmt: skip


class Answering:
    """A province that says for every target of an order that it was accepted."""

    topics = (messages.ORDER, messages.REVOCATION, messages.REGISTERS, messages.REMEMBER)

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Answer an order."""
        if topic != messages.ORDER:
            return
        message = messages.decode_order(body)
        order = decode_order(message.body)
        stored = [
            registers_bytes(Registers(Execution(order.id, node, State.ACCEPTED, 2, turn.now, node)))
            for node in message.targets
        ]
        for answer in messages.encode_registers(stored):
            turn.send(peer, messages.REGISTERS, answer)

    def restate(self, turn: Turn, peer: str) -> None:
        """Nothing is said again: no database is restored here."""

    def link_changed(self, peer: str, up: bool) -> None:
        """Nothing."""

    def commands(self) -> Sequence[Command]:
        """None."""
        return ()

    async def start(self, host: Host) -> None:
        """Nothing."""

    async def stop(self) -> None:
        """Nothing."""


def _sections(node: TreeNode) -> list[Any]:
    if node.directory.parent is None:
        return [OrdersSection(node.directory, [KIND], {}, {})]
    return [Answering()]


def _enterprises(province: TreeNode) -> list[Membership]:
    above = province.directory.chain
    made: list[Membership] = []
    for number in range(EACH):
        key = secrets.token_bytes(32)
        made.append(
            Membership(
                node=node_id(key),
                public_key=key,
                name=f"enterprise {number}",
                tier="enterprise",
                parent=province.id,
                path=above.nodes,
                prefix="",
                attributes=Attributes(),
                state=NodeState.ACTIVE,
                revision=1,
                valid_from=above.membership.valid_from,
                valid_until=above.membership.valid_until,
            )
        )
    return made


async def _measure(folder: Path, memory: Path) -> list[Row]:
    template = folder / "template.db"
    engine = open_records(f"sqlite:///{template}")
    migrate(engine)
    engine.dispose()

    def url(name: str) -> str:
        path = (folder if name == "nation" else memory) / f"{name}.db"
        shutil.copyfile(template, path)
        return f"sqlite:///{path}"

    tree = TreeOfHosts(folder, template, _sections, urls=url)
    nation = await tree.add("nation")
    wanted: list[list[str]] = []
    for number in range(PROVINCES):
        province = await tree.add(f"province-{number}", "nation")
        members = _enterprises(province)
        nation.directory.replace(changed=members)
        wanted.append([member.node for member in members])
    await tree.idle()
    section: OrdersSection = nation.section(OrdersSection)
    deadline = format_rfc3339(nation.host.now() + 3600 * SECOND)
    began, cpu = time.perf_counter(), time.process_time()
    at_once = asyncio.Semaphore(AT_ONCE)

    async def issue(number: int, nodes: list[str]) -> None:
        order = DraftRequest(
            kind=KIND.name, payload=msgspec.Raw(b'{"number":"+8610%d"}' % number),
            selection=SelectionDocument(nodes=nodes), deadline=deadline, id=f"order-{number:04}",
        )  # fmt: skip
        async with at_once:
            await section.draft(ANN, order)
            await section.issue(ANN, OrderRequest(f"order-{number:04}"))

    await asyncio.gather(*(issue(number, nodes) for number, nodes in enumerate(wanted)))
    issued = time.perf_counter() - began

    def answered() -> int:
        assert nation.engine is not None
        with reading(nation.engine) as connection:
            query = select(func.count()).where(targets_table.c.shown == Shown.ACCEPTED)
            return connection.execute(query).scalar_one()

    while await asyncio.to_thread(answered) < PROVINCES * EACH:
        if time.perf_counter() - began > DEADLINE_S:
            raise TimeoutError(f"{answered()} of {PROVINCES * EACH} answers")
        await asyncio.sleep(0.05)
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    await until(lambda: nation.host.idle, "all is acknowledged")
    await tree.close()
    name = f"{PROVINCES} orders with {EACH:,} node ids each, SQLite"
    return [
        Row(f"{name}: all {PROVINCES * EACH:,} stored, sent, answered, answers stored", seconds, "s", BAR_S),
        Row(f"{name}: of it until all are issued and stored", issued, "s"),
        Row(f"{name}: CPU of nation and {PROVINCES} provinces together", spent, "s CPU"),
    ]


def measure() -> list[Row]:
    """Return the rows."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="gongfu-tree-") as folder,
        tempfile.TemporaryDirectory(prefix="gongfu-tree-", dir=memory) as elsewhere,
    ):
        return asyncio.run(_measure(Path(folder), Path(elsewhere)))
