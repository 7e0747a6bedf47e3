"""Calls of this node: made, waited for, answered or given up."""

import asyncio
import hashlib
import secrets
import time

import msgspec

from gongfu.kernel.errors import Problem, not_found
from gongfu.kernel.permissions import Subject
from gongfu.tree.host.section import Host, Turn
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.peers import records
from gongfu.tree.peers.calls import Answer, Call
from gongfu.tree.peers.contract import Denial
from gongfu.tree.peers.requests import CallResult, NewCall
from gongfu.tree.peers.switching import Switch

_SECOND = 1_000_000_000
_STATUS = {
    Denial.CONTRACT_UNKNOWN: 404,
    Denial.NODE_UNKNOWN: 404,
    Denial.PAYLOAD_TOO_LARGE: 413,
    Denial.RATE_EXCEEDED: 429,
    Denial.HANDLER_UNKNOWN: 501,
    Denial.HANDLER_FAILED: 502,
    Denial.ANSWER_TOO_LARGE: 502,
    Denial.INTERRUPTED: 502,
    Denial.BUSY: 503,
    Denial.TIMED_OUT: 504,
    Denial.CALL_EXPIRED: 504,
}


class Caller:
    """Makes calls and waits for their answers.

    Attributes:
        host: set when the section starts.
    """

    host: Host

    def __init__(self, directory: Directory, switch: Switch) -> None:
        self._directory = directory
        self._switch = switch
        self._waiting: dict[str, asyncio.Future[Answer]] = {}

    async def call(self, subject: Subject, request: NewCall) -> CallResult:
        """Call a peer and return its answer.

        Raises:
            Problem: the call was denied here or on its way, or there was no answer in time; the code is the reason.
        """
        host, payload = self.host, bytes(request.payload)
        found = await host.read(lambda connection: records.find_contract(connection, request.contract))
        if found is None:
            raise not_found(f"contract {request.contract}")
        now = host.now()
        call = Call(
            id=secrets.token_hex(16),
            contract=request.contract,
            kind=request.kind,
            caller=self._directory.node,
            callee=request.callee or found[0].contract.callee.node,
            digest=hashlib.sha256(payload).digest(),
            made_at=now,
            deadline=now + int(request.timeout_seconds * _SECOND),
        )
        began = time.monotonic()
        future = self._waiting[call.id] = asyncio.get_running_loop().create_future()
        try:

            def work(turn: Turn) -> tuple[Denial, str] | None:
                denied = self._switch.make(turn, call, payload)
                if denied is None:
                    words = f"{call.kind} to {call.callee}"
                    turn.audit("peers.call-made", f"contract/{call.contract}", words, subject=subject)
                return denied

            denied = await host.turn(work)
            if denied is not None:
                raise _problem(denied[0], denied[1], self._directory.node)
            answer = await self._answer_in_time(call, future, began + request.timeout_seconds)
        finally:
            del self._waiting[call.id]
        if answer.denial:
            raise _problem(answer.denial, answer.detail, answer.by)
        milliseconds = (time.monotonic() - began) * 1000
        return CallResult(id=call.id, by=answer.by, answer=msgspec.Raw(answer.payload), milliseconds=milliseconds)

    async def _answer_in_time(self, call: Call, future: "asyncio.Future[Answer]", until: float) -> Answer:
        try:
            return await asyncio.wait_for(asyncio.shield(future), max(0.0, until - time.monotonic()))
        except TimeoutError:
            gave_up = await self.host.turn(lambda turn: self._switch.give_up(turn, call.id, Denial.TIMED_OUT))
        if gave_up:
            return Answer(call.id, self._directory.node, Denial.TIMED_OUT, "no answer in time")
        # It came while it was being given up.
        return await future

    def answered(self, answer: Answer) -> None:
        """An answer was stored."""
        future = self._waiting.get(answer.call)
        if future is not None and not future.done():
            future.set_result(answer)

    def stop(self) -> None:
        """Nobody is waited for any more."""
        for future in self._waiting.values():
            future.cancel()


def _problem(denial: str, detail: str, by: str) -> Problem:
    known = denial in Denial.__members__.values()
    status = _STATUS.get(Denial(denial), 403) if known else 502
    return Problem(status, denial, "The call to a peer was not answered", detail, {"by": by})
