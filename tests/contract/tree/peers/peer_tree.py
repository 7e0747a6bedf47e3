"""A tree of nine nodes with the section of peers: two provinces, an enterprise and sites below."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.tree.membership.keys import NodeKey
from gongfu.tree.peers.calls import Answer, Call, CallMessage, encode, signed_call
from gongfu.tree.peers.contract import Party
from gongfu.tree.peers.handlers import Echo, NodeSummary, PeerCall
from gongfu.tree.peers.records import find_call
from gongfu.tree.peers.requests import CallResult, ContractDoc, NewCall, NewContract
from gongfu.tree.peers.section import PeersSection
from tests.fixtures.tree import DEADLINE_S, TreeNode, TreeOfHosts

ANN = Subject(1, "ann", 1, Role.ADMIN)
SHAPE = (
    ("nation", ""),
    ("east", "nation"),
    ("west", "nation"),
    ("east-works", "east"),
    ("east-site", "east-works"),
    ("west-works", "west"),
    ("west-site", "west-works"),
)


class Slow:
    """Answers when it is told to, and counts how often it began."""

    def __init__(self, repeatable: bool) -> None:
        self.repeatable = repeatable
        self.begun: list[str] = []
        self.go = asyncio.Event()

    async def answer(self, call: PeerCall) -> Any:
        self.begun.append(call.id)
        await self.go.wait()
        return {"begun": len(self.begun)}


class Broken:
    """Fails as it is asked to."""

    repeatable = True

    async def answer(self, call: PeerCall) -> Any:
        how = msgspec.json.decode(call.payload)
        if how == "value":
            raise ValueError("no such machine")
        if how == "secret":
            raise RuntimeError("password=hunter2")
        return "x" * 5_000


class PeerTree:
    """The tree, with what tests do in it.

    Attributes:
        slow: by whether it is repeatable: the same handler over all restarts of all nodes.
    """

    def __init__(self, make_tree: Callable[..., TreeOfHosts]) -> None:
        self.slow = {repeatable: Slow(repeatable) for repeatable in (True, False)}
        self.tree = make_tree(self._sections)

    def _sections(self, node: TreeNode) -> list[PeersSection]:
        handlers = {
            "echo": Echo(),
            "node-summary": NodeSummary(node.directory, lambda: {"version": "1.0"}),
            "slow": self.slow[True],
            "once": self.slow[False],
            "broken": Broken(),
        }
        return [PeersSection(node.directory, handlers, node.counters)]

    async def grow(self) -> "PeerTree":
        for name, parent in SHAPE:
            await self.tree.add(name, parent)
        await self.tree.idle()
        return self

    def section(self, name: str) -> PeersSection:
        return self.tree.node(name).section(PeersSection)

    async def command(self, name: str, command: str, request: Any) -> Any:
        found = next(c for c in self.section(name).commands() if c.name == command)
        return await found.answer(ANN, msgspec.json.decode(msgspec.json.encode(request), type=found.request))

    async def contract(
        self,
        at: str = "nation",
        caller: str = "east-site",
        callee: str = "west-site",
        seconds: float = 3600,
        whole: bool = False,
        **fields: Any,
    ) -> ContractDoc:
        parties = [Party(self.tree.id(name), whole) for name in (caller, callee)]
        until = format_rfc3339(self.tree.node(at).host.now() + int(seconds * SECOND))
        fields.setdefault("kinds", ("echo", "node-summary", "slow", "once", "broken", "absent"))
        made = await self.command(
            at, "contract-make", NewContract(caller=parties[0], callee=parties[1], valid_until=until, **fields)
        )
        await self.tree.idle()
        return made

    async def call(
        self, contract: str, kind: str = "echo", payload: Any = 1, caller: str = "east-site", **fields: Any
    ) -> CallResult:
        """Call and return the result as it is read over HTTP."""
        data = msgspec.Raw(msgspec.json.encode(payload))
        result = await self.command(caller, "peer-call", NewCall(contract=contract, kind=kind, payload=data, **fields))
        return msgspec.json.decode(msgspec.json.encode(result), type=CallResult)

    async def denied(self, *arguments: Any, **fields: Any) -> tuple[int, str]:
        """Call, and return status and code of the problem."""
        try:
            result = await self.call(*arguments, **fields)
        except Problem as problem:
            return problem.status, problem.code
        raise AssertionError(f"it was answered: {result}")

    async def inject(
        self,
        at: str,
        contract: str,
        kind: str = "echo",
        *,
        caller: str = "",
        callee: str = "west-site",
        key: NodeKey | None = None,
        call_id: str = "",
        payload: bytes = b"1",
        to: str = "",
    ) -> str:
        """Put a call to the parent into a node's outbox as a node would that obeys no rule; return its id."""
        node = self.tree.node(at)
        now = node.host.now()
        call = Call(
            id=call_id or secrets.token_hex(16),
            contract=contract,
            kind=kind,
            caller=self.tree.id(caller or at),
            callee=self.tree.id(callee),
            digest=hashlib.sha256(payload).digest(),
            made_at=now,
            deadline=now + 30 * SECOND,
        )
        message = encode(CallMessage(signed_call(key or node.key, call), payload))
        peer = self.tree.id(to) if to else node.directory.parent
        assert peer is not None
        await node.host.turn(lambda turn: turn.send(peer, "call", message))
        await self.tree.idle()
        return call.id

    async def inject_answer(self, at: str, call: str) -> None:
        node = self.tree.node(at)
        parent = node.directory.parent
        assert parent is not None
        answer = encode(Answer(call, node.id, payload=b"666"))
        await node.host.turn(lambda turn: turn.send(parent, "answer", answer))
        await self.tree.idle()

    async def state(self, at: str, call: str) -> str | None:
        row = await self.tree.node(at).host.read(lambda connection: find_call(connection, call))
        return None if row is None else row.state

    async def becomes(self, at: str, call: str, state: str) -> None:
        """Wait until a call is in this state: who answers it does so beside what makes the tree idle."""
        async with asyncio.timeout(DEADLINE_S):
            found: str | None = ""
            while found != state:
                await asyncio.sleep(0.01)
                found = await self.state(at, call)

    def audited(self, at: str, action: str = "peers.") -> list[str]:
        return [f"{action}: {detail}" for _, action, _, detail in self.tree.node(at).audited(action)]

    def refused(self, at: str, word: str) -> list[str]:
        """Return audit entries of messages that were refused for a reason."""
        return [f"{a}: {d}" for _, a, _, d in self.tree.node(at).audited() if word in f"{a} {d}"]

    def counted(self, at: str, name: str) -> int:
        return self.tree.node(at).counters.snapshot().get(name, 0)
