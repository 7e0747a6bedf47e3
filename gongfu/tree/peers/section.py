"""Peers in the host: contracts from above, calls through this node, calls of this node and for it.

Messages: ``contract`` and ``contract-end`` downward, ``call`` up to the contract's ancestor and down to the callee,
``answer`` the same way back. Commands: ``contract-list``, ``contract-make``, ``contract-revoke``, ``peer-call``.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.tree.host.section import Command, Host, Refusal, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.peers import records
from gongfu.tree.peers.caller import Caller
from gongfu.tree.peers.calls import Answer, Call
from gongfu.tree.peers.contract import Denial
from gongfu.tree.peers.handlers import Handler, PeerCall
from gongfu.tree.peers.registrar import Registrar
from gongfu.tree.peers.requests import ContractEnding, ContractListing, NewCall, NewContract
from gongfu.tree.peers.switching import ANSWER, CALL, Switch
from gongfu.tree.peers.telling import CONTRACT, CONTRACT_END, bring, bring_all, take_contract, take_end

_log = logging.getLogger(__name__)

_SECOND = 1_000_000_000
_PURGE_EVERY = 60 * _SECOND
# A repeated call is known for so long after its deadline.
_KEEP = 600 * _SECOND


class PeersSection:
    """Contracts and calls between nodes of different branches.

    Args:
        directory: who is around.
        handlers: what this node answers, by kind of call.
        counters: of what was admitted, denied and given up.
    """

    def __init__(self, directory: Directory, handlers: Mapping[str, Handler], counters: Counters | None = None) -> None:
        self._directory = directory
        self._handlers = dict(handlers)
        self._host: Host | None = None
        self._answering: dict[str, asyncio.Task[None]] = {}
        self._bringing = False
        self._unwatch = lambda: None
        self.counters = Counters() if counters is None else counters
        self._switch = Switch(directory, self.counters, self._begin, self._answered)
        self._registrar = Registrar(directory)
        self._caller = Caller(directory, self._switch)

    @property
    def topics(self) -> Collection[str]:
        """Return the topics of messages."""
        return (CONTRACT, CONTRACT_END, CALL, ANSWER)

    def received(self, turn: Turn, peer: str, topic: str, body: bytes) -> None:
        """Take a message of a neighbour.

        Raises:
            Refusal: see ``Denial``.
        """
        if topic == CONTRACT:
            take_contract(self._directory, turn, peer, body)
            turn.then(lambda: self._need().nudge("peers"))
        elif topic == CONTRACT_END:
            take_end(self._directory, turn, peer, body)
            turn.then(lambda: self._need().nudge("peers"))
        elif topic == CALL:
            self._switch.take_call(turn, peer, body)
        elif topic == ANSWER:
            self._switch.take_answer(turn, peer, body)
        else:
            raise Refusal(Denial.MALFORMED, f"topic {topic[:40]!r}")

    def restate(self, turn: Turn, peer: str) -> None:
        """Tell a child all contracts that concern it. Calls are not made again: who waits for one is told in time."""
        if self._directory.towards(peer) == peer:
            records.forget_told(turn.connection, peer)
            bring(self._directory, turn, peer)

    def link_changed(self, peer: str, up: bool) -> None:
        """Nothing: messages wait in the outbox."""

    def commands(self) -> Sequence[Command]:
        """Return the commands."""
        return (
            Command("contract-list", ContractListing, self._registrar.list),
            Command("contract-make", NewContract, self._registrar.make),
            Command("contract-revoke", ContractEnding, self._registrar.revoke),
            Command("peer-call", NewCall, self._caller.call),
        )

    async def start(self, host: Host) -> None:
        """Begin: give up own calls of an earlier life, answer those that were being answered."""
        self._host = host
        self._registrar.host = self._caller.host = host
        self._unwatch = self._directory.watch(self._members_changed)
        for row in await host.read(records.open_calls):
            if row.callee == self._directory.node:
                self._resume(row.id, row)
            elif not row.came_from:
                await host.turn(lambda turn, call=row.id: self._switch.give_up(turn, call, Denial.INTERRUPTED))
        self._purge_later()

    async def stop(self) -> None:
        """End: what is being answered is left for the next start."""
        self._unwatch()
        tasks = list(self._answering.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._caller.stop()

    def _need(self) -> Host:
        assert self._host is not None
        return self._host

    def _members_changed(self) -> None:
        """Nodes have come or moved: other children may have to know a contract. Many changes become one turn."""
        if self._bringing:
            return
        self._bringing = True

        def work(turn: Turn) -> None:
            turn.then(self._brought)
            bring_all(self._directory, turn)

        self._need().at(self._need().now() + _SECOND // 5, lambda: self._need().submit(work))

    def _brought(self) -> None:
        self._bringing = False

    def _purge_later(self) -> None:
        host = self._need()

        def purge() -> None:
            host.submit(lambda turn: records.purge(turn.connection, turn.now, Denial.TIMED_OUT, _KEEP))
            self._purge_later()

        host.at(host.now() + _PURGE_EVERY, purge)

    # Answering.

    def _begin(self, call: Call, payload: bytes) -> None:
        """Let a handler answer a call that was admitted and stored."""
        if call.id not in self._answering:
            task = asyncio.get_running_loop().create_task(self._answer(call, payload))
            self._answering[call.id] = task
            task.add_done_callback(lambda _: self._answering.pop(call.id, None))

    def _resume(self, call: str, row: Row[Any]) -> None:
        handler = self._handlers.get(row.kind)
        made = Call(
            id=call, contract=row.contract, kind=row.kind, caller=row.caller, callee=row.callee, digest=bytes(32),
            made_at=row.at, deadline=row.deadline,
        )  # fmt: skip
        if handler is not None and handler.repeatable:
            self._begin(made, row.payload)
            return
        answer = Answer(call, self._directory.node, Denial.INTERRUPTED)
        self._need().submit(lambda turn: self._switch.finish(turn, call, answer))

    async def _answer(self, call: Call, payload: bytes) -> None:
        host = self._need()
        answer = await self._handled(call, payload)
        try:
            await host.turn(lambda turn: self._switch.finish(turn, call.id, answer))
        except Problem as problem:
            # The call is still open here: it is answered at the next start, or its time runs out.
            _log.warning("the answer to call %s is not stored: %s", call.id, problem.detail)

    async def _handled(self, call: Call, payload: bytes) -> Answer:
        host, own = self._need(), self._directory.node
        handler = self._handlers.get(call.kind)
        if handler is None:
            return Answer(call.id, own, Denial.HANDLER_UNKNOWN, call.kind)
        asked = PeerCall(
            id=call.id, contract=call.contract, kind=call.kind, caller=call.caller, payload=msgspec.Raw(payload),
            deadline=call.deadline,
        )  # fmt: skip
        left = (call.deadline - host.now()) / _SECOND
        try:
            async with asyncio.timeout(max(left, 0.0)):
                data = msgspec.json.encode(await handler.answer(asked))
        except TimeoutError:
            return Answer(call.id, own, Denial.TIMED_OUT)
        except ValueError as error:
            return Answer(call.id, own, Denial.HANDLER_FAILED, str(error)[:1000])
        except Exception:
            _log.exception("the handler of %s failed", call.kind)
            return Answer(call.id, own, Denial.HANDLER_FAILED, "see the log of the node that was called")
        found = await host.read(lambda connection: records.find_contract(connection, call.contract))
        if found is None or len(data) > found[0].contract.payload_bytes:
            return Answer(call.id, own, Denial.ANSWER_TOO_LARGE, f"{len(data)} bytes")
        return Answer(call.id, own, payload=data)

    def _answered(self, answer: Answer) -> None:
        self._caller.answered(answer)
