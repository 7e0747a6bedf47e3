"""One issuer, two middle nodes and three targets that exchange an order, a revocation and registers.

What a node has stored survives a crash; what it was about to do does not. The network keeps what it is given, and hands
it over in any order and as often as it likes.
"""

import msgspec

from gongfu.tree.orders.admission import Disbelief, Standing, believe_order
from gongfu.tree.orders.combined import (
    NOTHING,
    TERMINAL,
    Registers,
    Shown,
    given_up,
    merge,
    shown,
    with_execution,
    with_verdict,
)
from gongfu.tree.orders.effects import CallDriver, Outcome, Send, TargetRecord
from gongfu.tree.orders.execution import (
    accept,
    begin,
    disbelieved,
    finished,
    receive,
    recover,
    refuse,
    remember,
    revoke,
    tick,
)
from gongfu.tree.orders.kinds import OrderKind
from gongfu.tree.orders.progress import Progress
from gongfu.tree.orders.selection import Member
from gongfu.tree.orders.types import Execution, OrderDocument, Reason, State, Verdict
from gongfu.tree.orders.verification import Looked, Sight, Watch, claimed, seen
from tests.unit.tree.orders.nodes import (
    DEADLINE,
    NATION,
    NOW,
    SECOND,
    SIBLING,
    Node,
    believed,
    believed_revocation,
    node,
    order,
    revocation,
    verify,
)

MIDDLES = (node("east"), node("west"))
PARENTS = {"alpha": MIDDLES[0], "beta": MIDDLES[0], "gamma": MIDDLES[1]}
# What may follow after the end: a probe contradicts a failure, a revocation takes back what has or may have happened.
TAKEN_BACK_FROM = {Shown.VERIFIED, Shown.UNVERIFIABLE, Shown.CONTRADICTED, Shown.FAILED}
AFTER_TAKING_BACK = {
    Shown.ROLLING_BACK,
    Shown.ROLLED_BACK,
    Shown.ROLLED_BACK_VERIFIED,
    Shown.EXECUTED,
} | TAKEN_BACK_FROM


class Driver:
    """Makes an effect, or takes it back. One that is idempotent knows its keys."""

    def __init__(self, idempotent: bool) -> None:
        self.idempotent = idempotent
        self.known: set[str] = set()
        self.effects = 0
        self.rollbacks = 0
        self.present = False

    def run(self, call: CallDriver) -> None:
        if self.idempotent and call.key in self.known:
            return
        self.known.add(call.key)
        if call.rollback:
            self.rollbacks += 1
        else:
            self.effects += 1
        self.present = not call.rollback


class Level:
    """A middle node or the issuer: registers of the targets below, and progress that follows them."""

    def __init__(self, targets: dict[str, str]) -> None:
        self.registers = dict.fromkeys(targets, NOTHING)
        self.groups = {target: ("site", child) for target, child in targets.items()}
        self.progress = Progress()
        for group in self.groups.values():
            self.progress.expect(group)
        self.revoked = False

    def put(self, target: str, registers: Registers) -> bool:
        """Store merged registers; return whether anything is new."""
        old = self.registers[target]
        if registers == old:
            return False
        before, after = shown(old), shown(registers)
        if before in TERMINAL and before is not after:
            contradicted = (before, after) == (Shown.FAILED, Shown.CONTRADICTED)
            taken_back = self.revoked and before in TAKEN_BACK_FROM and after in AFTER_TAKING_BACK
            assert contradicted or taken_back, f"{before} became {after}"
        self.registers[target] = registers
        self.progress.move(self.groups[target], before, after)
        return True


class Target:
    """A site with a driver. ``calls`` and ``results`` are lost in a crash."""

    def __init__(self, key: Node, parent: Node, kind: OrderKind) -> None:
        member = Member(key.id, (NATION.id, parent.id), "site")
        chain = {NATION.id: "nation", parent.id: "province", key.id: "site"}
        self.id, self.parent, self.kind = key.id, parent.id, kind
        self.standing = Standing(member, chain, {kind.name: kind}, frozenset({kind.name}), verify)
        self.record: TargetRecord | None = None
        self.driver = Driver(kind.idempotent)
        self.calls: list[CallDriver] = []
        self.results: list[tuple[int, bool]] = []
        self.backups: list[TargetRecord | None] = [None]
        self.retired = False
        self.has_revocation = False
        self.never = False
        """Whether the driver must never be called for the effect again."""

    @property
    def state(self) -> State | None:
        return None if self.record is None or self.record.execution is None else self.record.execution.state

    def commit(self, outcome: Outcome) -> list[Execution]:
        """Store first, then do; return the registers to send."""
        if outcome.record is not None:
            self.record = outcome.record
        self.calls += [effect for effect in outcome.effects if isinstance(effect, CallDriver)]
        if self.state in (State.EXPIRED, State.REVOKED, State.REFUSED):
            self.never = True
        return [effect.execution for effect in outcome.effects if isinstance(effect, Send)]

    def run_driver(self, effective: bool, says: bool) -> None:
        call = self.calls.pop(0)
        record = self.record
        assert record is not None
        assert record.execution is not None
        assert record.execution.state is (State.ROLLING_BACK if call.rollback else State.EXECUTING)
        assert record.execution.attempt == call.attempt
        assert call.rollback or not self.never, "executed after its end"
        if effective:
            self.driver.run(call)
        self.results.append((call.attempt, says))


class SmallTree:
    """The whole tree, and one order in it."""

    def __init__(self, kind: OrderKind, not_before: int = NOW) -> None:
        self.now = NOW
        self.kind = kind
        self.order: OrderDocument = order(not_before=not_before)
        self.forged: OrderDocument = order(payload=msgspec.Raw(b'{"address":"198.51.100.1"}'))
        self.revocation = revocation()
        self.targets = {name: Target(node(name), parent, kind) for name, parent in PARENTS.items()}
        self.by_id = {target.id: target for target in self.targets.values()}
        self.middles = {
            middle.id: Level({t.id: t.id for t in self.by_id.values() if t.parent == middle.id}) for middle in MIDDLES
        }
        self.root = Level({target.id: target.parent for target in self.by_id.values()})
        self.watches: dict[str, Watch] = {}
        self.up: list[Execution] = []
        self.to_root: list[tuple[str, Registers]] = []

    # Down.

    def bring_order(self, target: Target) -> None:
        self.send(target, receive(target.record, believed(self.order, target.standing), target.standing, self.now))

    def bring_forgery(self, target: Target) -> None:
        """Another order with the same id: from the side, and in the issuer's name."""
        for document in (self.forged, msgspec.structs.replace(self.forged, issuer=SIBLING.id)):
            found = believe_order(SIBLING.sign_order(document), target.standing)
            assert isinstance(found, Disbelief)
            before = target.record
            assert target.commit(disbelieved(found, self.now)) == []
            assert target.record == before

    def issue_revocation(self) -> None:
        for level in (self.root, *self.middles.values()):
            level.revoked = True

    def bring_revocation(self, target: Target) -> None:
        target.has_revocation = True
        if target.state in (None, State.DELIVERED, State.ACCEPTED):
            target.never = True
        back = believed_revocation(self.revocation, target.standing)
        self.send(target, revoke(target.record, back, target.standing, self.now))

    # At a target.

    def send(self, target: Target, outcome: Outcome) -> None:
        self.up += target.commit(outcome)

    def decide(self, target: Target, yes: bool) -> None:
        if target.record is not None:
            record, now = target.record, self.now
            self.send(target, accept(record, "li", now) if yes else refuse(record, "li", "no", now))

    def start(self, target: Target) -> None:
        if target.record is not None:
            self.send(target, begin(target.record, target.standing, self.now))

    def hear_driver(self, target: Target) -> None:
        attempt, says = target.results.pop(0)
        assert target.record is not None
        self.send(target, finished(target.record, attempt, says, "", self.kind, self.now))

    def pass_time(self, duration: int) -> None:
        self.now += duration
        for target in self.by_id.values():
            if target.record is not None and not target.retired:
                self.send(target, tick(target.record, self.now))

    def crash(self, target: Target) -> None:
        target.calls, target.results = [], []
        if target.record is not None:
            self.send(target, recover(target.record, self.kind, self.now))

    def restore(self, target: Target, backup: TargetRecord | None) -> None:
        """The machine dies, an old backup takes its place; the parent tells what it was told, and what was revoked."""
        for execution in [execution for execution in self.up if execution.target == target.id]:
            self.take(execution)
        target.calls, target.results, target.record = [], [], backup
        known = self.middles[target.parent].registers[target.id].execution
        if known is not None:
            self.send(target, remember(target.record, known, target.standing, self.now))
        if target.has_revocation:
            self.bring_revocation(target)
        self.crash(target)

    # Up.

    def take(self, execution: Execution, again: bool = False) -> None:
        """The parent takes a register in."""
        if not again:
            self.up.remove(execution)
        target = self.by_id[execution.target]
        if not target.retired:
            level = self.middles[target.parent]
            self.forward(target, with_execution(level.registers[target.id], execution))

    def forward(self, target: Target, registers: Registers) -> None:
        if self.middles[target.parent].put(target.id, registers):
            self.to_root.append((target.id, registers))
            if registers.execution is not None and not target.retired:
                watch = self.watches.get(target.id)
                self.look_done(target, claimed(watch, registers.execution, self.kind, target.parent, self.now))

    def take_at_root(self, place: int, again: bool = False) -> None:
        target, registers = self.to_root[place] if again else self.to_root.pop(place)
        self.root.put(target, merge(self.root.registers[target], registers))

    def send_all_again(self, parent: str) -> None:
        self.to_root += list(self.middles[parent].registers.items())

    def retire(self, target: Target) -> None:
        target.retired = True
        self.watches.pop(target.id, None)
        known = self.middles[target.parent].registers[target.id]
        after = given_up(known, self.order.id, target.id, target.parent, Reason.TARGET_RETIRED, self.now)
        self.forward(target, after)

    # Probe, at the parent.

    def look(self, target: Target, sees: bool) -> None:
        watch = self.watches[target.id]
        sight = Sight.UNKNOWN
        if sees:
            sight = Sight.PRESENT if target.driver.present else Sight.ABSENT
        self.look_done(target, seen(watch, watch.claim, sight, "", self.kind, target.parent, self.now))

    def look_done(self, target: Target, looked: Looked) -> None:
        self.watches[target.id] = looked.watch
        verdict: Verdict | None = looked.verdict
        if verdict is not None:
            self.forward(target, with_verdict(self.middles[target.parent].registers[target.id], verdict))

    # The end.

    def everything_arrives(self) -> None:
        """All that is on its way comes, drivers answer, probes look, and the deadline passes."""
        living = [target for target in self.by_id.values() if not target.retired]
        for target in living:
            self.bring_order(target)
            if self.root.revoked and not target.has_revocation:
                self.bring_revocation(target)
        self.pass_time(max(0, self.order.not_before - self.now))
        for target in living:
            self.start(target)
        self.pass_time(max(0, DEADLINE + 1 - self.now))
        for target in living:
            while target.calls or target.results:
                if target.calls:
                    target.run_driver(effective=True, says=True)
                self.hear_driver(target)
        while self.up:
            self.take(self.up[-1])
        self.pass_time(100 * SECOND)
        for target in living:
            watch = self.watches.get(target.id)
            if watch is not None and watch.open:
                self.look(target, sees=True)
        while self.to_root:
            self.take_at_root(len(self.to_root) - 1)
