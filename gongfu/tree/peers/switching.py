"""Calls and answers in turns: admitted, passed on, denied; each call has one final state at every node it passed."""

from collections.abc import Callable

from gongfu.kernel.counters import Counters
from gongfu.tree.host.section import Refusal, Turn
from gongfu.tree.membership.types import NodeState
from gongfu.tree.nodes.directory import Directory
from gongfu.tree.peers import records
from gongfu.tree.peers.admission import admission
from gongfu.tree.peers.calls import (
    Answer,
    Call,
    CallMessage,
    check_signature,
    encode,
    read_answer,
    read_call,
    read_message,
    signed_call,
)
from gongfu.tree.peers.contract import Contract, Denial, Disbelieved

CALL, ANSWER = "call", "answer"
MOST_OPEN_HERE = 64
MOST_OPEN_ON_THE_WAY = 4_096
_DETAIL = 1_000

Verdict = tuple[Denial, str]


class Switch:
    """What a node does with calls that come and answers that come back.

    Args:
        directory: who is around.
        counters: of what was admitted and denied.
        begin: called after the commit with a call that this node has to answer.
        answered: called after the commit with the answer to a call of this node.
    """

    def __init__(
        self,
        directory: Directory,
        counters: Counters,
        begin: Callable[[Call, bytes], None],
        answered: Callable[[Answer], None],
    ) -> None:
        self._directory = directory
        self._counters = counters
        self._begin = begin
        self._answered = answered

    def make(self, turn: Turn, call: Call, payload: bytes) -> Verdict | None:
        """Make a call of this node; return why it is denied, None when it is on its way."""
        verdict, _ = self._judged(turn, call, payload, "")
        parent = self._directory.parent
        if verdict is None and parent is None:
            verdict = Denial.ANCESTOR_NOT_ABOVE, "this node is the root"
        if verdict is not None or parent is None:
            assert verdict is not None
            self._note_denied(turn, call, verdict)
            return verdict
        records.add_call(turn.connection, call, turn.now, went_to=parent)
        turn.send(parent, CALL, encode(CallMessage(signed_call(self._directory.key, call), payload)))
        self._count(turn, "peer_calls_made")
        return None

    def take_call(self, turn: Turn, peer: str, body: bytes) -> None:
        """Take a call of a neighbour.

        Raises:
            Refusal: it is not one that this neighbour can bring; nobody is answered.
        """
        try:
            message = read_message(body)
            call = read_call(message)
            self._check_way(peer, call, message)
        except Disbelieved as error:
            raise Refusal(error.denial, error.detail) from None
        if records.find_call(turn.connection, call.id) is not None:
            raise Refusal(Denial.CALL_REPEATED, call.id)
        verdict, contract = self._judged(turn, call, message.payload, peer)
        following = ""
        if verdict is None and contract is not None and call.callee != self._directory.node:
            following = self._next(contract, call, peer)
            if not following:
                verdict = Denial.NODE_UNKNOWN, call.callee
        if verdict is not None:
            self._deny(turn, call, verdict, peer)
        elif following:
            self._pass(turn, call, body, peer, following)
        else:
            records.add_call(turn.connection, call, turn.now, came_from=peer, payload=message.payload)
            turn.then(lambda: self._begin(call, message.payload))
            self._count(turn, "peer_calls_received")

    def _check_way(self, peer: str, call: Call, message: CallMessage) -> None:
        directory = self._directory
        if peer == directory.parent:
            if call.callee != directory.node and directory.towards(call.callee) is None:
                raise Disbelieved(Denial.WRONG_WAY, f"{call.callee} is not here")
            return
        member = directory.member(call.caller)
        if member is None or directory.towards(call.caller) != peer:
            raise Disbelieved(Denial.WRONG_WAY, f"{call.caller} is not below {peer}")
        check_signature(message, member.public_key)

    def _judged(self, turn: Turn, call: Call, payload: bytes, peer: str) -> tuple[Verdict | None, Contract | None]:
        directory = self._directory
        found = records.find_contract(turn.connection, call.contract)
        known = found[0] if found else None
        contract = known.contract if known else None
        if contract is not None and contract.ancestor not in directory.chain.nodes:
            return (Denial.ANCESTOR_NOT_ABOVE, contract.ancestor), contract
        own = directory.node in (call.caller, call.callee)
        most = MOST_OPEN_HERE if own else MOST_OPEN_ON_THE_WAY
        traffic = records.traffic(turn.connection, call.contract, turn.now, most)
        caller, callee = self._path(call.caller), self._path(call.callee)
        verdict = admission(call, payload, known, traffic, turn.now, caller_path=caller, callee_path=callee)
        turns_here = contract is not None and contract.ancestor == directory.node
        if verdict is None and turns_here and (caller is None or callee is None or peer == directory.parent):
            verdict = Denial.NODE_UNKNOWN, call.caller if caller is None else call.callee
        if verdict is None and not self._active(call):
            verdict = Denial.NODE_SUSPENDED, ""
        return verdict, contract

    def _path(self, node: str) -> list[str] | None:
        return [member.node for member in self._directory.path(node)] or None

    def _active(self, call: Call) -> bool:
        states = (self._directory.state(call.caller), self._directory.state(call.callee))
        return self._directory.active and all(state in (None, NodeState.ACTIVE) for state in states)

    def _next(self, contract: Contract, call: Call, peer: str) -> str:
        """Return the neighbour to which a call goes on, "" when there is none."""
        directory = self._directory
        if peer != directory.parent and contract.ancestor != directory.node:
            return directory.parent or ""
        return directory.towards(call.callee) or ""

    def _pass(self, turn: Turn, call: Call, body: bytes, peer: str, following: str) -> None:
        try:
            turn.send(following, CALL, body)
        except KeyError:
            self._deny(turn, call, (Denial.NODE_UNKNOWN, f"no link to {following}"), peer)
            return
        records.add_call(turn.connection, call, turn.now, came_from=peer, went_to=following)
        self._count(turn, "peer_calls_passed")

    def _deny(self, turn: Turn, call: Call, verdict: Verdict, peer: str) -> None:
        self._note_denied(turn, call, verdict)
        turn.send(peer, ANSWER, encode(Answer(call.id, self._directory.node, verdict[0], verdict[1][:_DETAIL])))

    def _note_denied(self, turn: Turn, call: Call, verdict: Verdict) -> None:
        """Audit and keep a denial, the first of its kind in a minute; all are counted."""
        denial, detail = verdict
        self._count(turn, f"peer_calls_denied.{denial}")
        if not records.denied_lately(turn.connection, call.contract, denial, turn.now):
            records.add_call(turn.connection, call, turn.now, state=denial)
            words = f"{denial}: {call.kind} from {call.caller} to {call.callee} {detail}".strip()
            turn.audit("peers.call-denied", f"contract/{call.contract}", words)

    def finish(self, turn: Turn, call: str, answer: Answer) -> None:
        """Send this node's answer to a call, unless there is one."""
        row = records.find_call(turn.connection, call)
        if row is None or not records.close_call(turn.connection, call, answer.denial or records.ANSWERED):
            return
        if answer.denial:
            turn.audit("peers.call-failed", f"contract/{row.contract}", f"{answer.denial}: {row.kind} {answer.detail}")
        self._count(turn, "peer_calls_answered")
        turn.send(row.came_from, ANSWER, encode(answer))

    def take_answer(self, turn: Turn, peer: str, body: bytes) -> None:
        """Take an answer of a neighbour; a second one, or a late one, is counted and otherwise nothing.

        Raises:
            Refusal: this neighbour was not asked.
        """
        try:
            answer = read_answer(body)
        except Disbelieved as error:
            raise Refusal(error.denial, error.detail) from None
        row = records.find_call(turn.connection, answer.call)
        if row is None or row.went_to != peer:
            raise Refusal(Denial.CALL_UNKNOWN, answer.call)
        if not records.close_call(turn.connection, answer.call, answer.denial or records.ANSWERED):
            self._count(turn, "peer_answers_late")
        elif row.came_from:
            turn.send(row.came_from, ANSWER, body)
        else:
            if answer.denial:
                turn.audit("peers.call-denied", f"contract/{row.contract}", f"{answer.denial}: by {answer.by}")
            turn.then(lambda: self._answered(answer))

    def give_up(self, turn: Turn, call: str, denial: Denial) -> bool:
        """Close a call of this node that nobody waits for any more; return whether it was open."""
        row = records.find_call(turn.connection, call)
        if row is None or not records.close_call(turn.connection, call, denial):
            return False
        self._count(turn, f"peer_calls_given_up.{denial}")
        turn.audit("peers.call-given-up", f"contract/{row.contract}", f"{denial}: {row.kind} to {row.callee}")
        return True

    def _count(self, turn: Turn, name: str) -> None:
        turn.then(lambda: self._counters.add(name))
