"""One order in a small tree, whatever happens in whatever order (``small_tree``)."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gongfu.tree.orders.combined import Shown, shown, terminal
from gongfu.tree.orders.types import State
from tests.unit.tree.orders.nodes import DEADLINE, NOW, SECOND, order_kind
from tests.unit.tree.orders.small_tree import PARENTS, SmallTree, Target

names = st.sampled_from(sorted(PARENTS))
places = st.integers(0, 1_000)


class OrderInATree(RuleBasedStateMachine):
    tree: SmallTree
    steps: int
    revoked_from: int
    retired_from: int
    late_from: int

    @initialize(
        idempotent=st.booleans(),
        can_roll_back=st.booleans(),
        mode=st.sampled_from(["automatic", "operator"]),
        wait=st.sampled_from([0, 30 * SECOND]),
        turns=st.tuples(*[st.integers(0, 60)] * 3),
    )
    def issue(self, idempotent: bool, can_roll_back: bool, mode: str, wait: int, turns: tuple[int, int, int]) -> None:
        # What ends most stories happens at a step that is drawn: else they would all end before they begin.
        self.steps = 0
        self.revoked_from, self.retired_from, self.late_from = turns
        kind = order_kind(idempotent=idempotent, can_roll_back=can_roll_back, accept=mode)
        self.tree = SmallTree(kind, NOW + wait)

    def living(self, name: str) -> Target | None:
        target = self.tree.targets[name]
        return None if target.retired else target

    @rule(name=names)
    def order_comes(self, name: str) -> None:
        if target := self.living(name):
            self.tree.bring_order(target)

    @rule(name=names)
    def forgery_comes(self, name: str) -> None:
        if target := self.living(name):
            self.tree.bring_forgery(target)

    @rule(name=names)
    def order_is_executed(self, name: str) -> None:
        """The usual way, up to the driver."""
        if target := self.living(name):
            self.tree.bring_order(target)
            self.tree.decide(target, True)
            self.tree.start(target)

    @precondition(lambda self: not self.tree.root.revoked and self.steps >= self.revoked_from)
    @rule()
    def issuer_revokes(self) -> None:
        self.tree.issue_revocation()

    @precondition(lambda self: self.tree.root.revoked)
    @rule(name=names)
    def revocation_comes(self, name: str) -> None:
        if target := self.living(name):
            self.tree.bring_revocation(target)

    @precondition(lambda self: self.tree.kind.accept == "operator")
    @rule(name=names, yes=st.sampled_from([True, True, False]))
    def operator_decides(self, name: str, yes: bool) -> None:
        if target := self.living(name):
            self.tree.decide(target, yes)

    @rule(name=names)
    def time_to_start(self, name: str) -> None:
        if target := self.living(name):
            self.tree.start(target)

    @rule(name=names, effective=st.booleans(), says=st.booleans())
    def driver_runs(self, name: str, effective: bool, says: bool) -> None:
        target = self.living(name)
        if target and target.calls:
            target.run_driver(effective, says)

    @rule(name=names)
    def driver_answers(self, name: str) -> None:
        target = self.living(name)
        if target and target.results:
            self.tree.hear_driver(target)

    @rule(name=names)
    def crash(self, name: str) -> None:
        if target := self.living(name):
            self.tree.crash(target)

    @rule(name=names)
    def backup(self, name: str) -> None:
        target = self.tree.targets[name]
        target.backups.append(target.record)

    @rule(name=names, place=places)
    def restore(self, name: str, place: int) -> None:
        if target := self.living(name):
            self.tree.restore(target, target.backups[place % len(target.backups)])

    @precondition(lambda self: self.steps >= self.retired_from)
    @rule()
    def gamma_retires(self) -> None:
        if target := self.living("gamma"):
            self.tree.retire(target)

    @rule(duration=st.sampled_from([SECOND, 40 * SECOND]))
    def time_passes(self, duration: int) -> None:
        self.tree.pass_time(duration)

    @precondition(lambda self: self.steps >= self.late_from)
    @rule()
    def deadline_passes(self) -> None:
        self.tree.pass_time(max(0, DEADLINE + 1 - self.tree.now))

    @precondition(lambda self: self.tree.up)
    @rule(place=places, again=st.booleans())
    def register_comes(self, place: int, again: bool) -> None:
        self.tree.take(self.tree.up[place % len(self.tree.up)], again)

    @precondition(lambda self: self.tree.to_root)
    @rule(place=places, again=st.booleans())
    def registers_come_to_the_root(self, place: int, again: bool) -> None:
        self.tree.take_at_root(place % len(self.tree.to_root), again)

    @rule(parent=st.sampled_from(sorted(PARENTS)))
    def middle_sends_all_again(self, parent: str) -> None:
        self.tree.send_all_again(PARENTS[parent].id)

    @rule(name=names, sees=st.booleans())
    def probe_looks(self, name: str, sees: bool) -> None:
        target = self.living(name)
        if target and (watch := self.tree.watches.get(target.id)) and watch.open:
            self.tree.look(target, sees)

    @invariant()
    def count(self) -> None:
        self.steps += 1

    @invariant()
    def effects_happen_once(self) -> None:
        for target in self.tree.by_id.values():
            assert target.driver.effects <= 1
            assert target.driver.rollbacks <= 1
            assert target.driver.rollbacks == 0 or self.tree.kind.can_roll_back

    @invariant()
    def progress_is_the_count_of_what_is_shown(self) -> None:
        for level in (self.tree.root, *self.tree.middles.values()):
            states = [shown(registers) for registers in level.registers.values()]
            assert level.progress.totals() == {state: states.count(state) for state in Shown if state in states}

    @invariant()
    def nobody_contradicts_himself(self) -> None:
        for level in (self.tree.root, *self.tree.middles.values()):
            for registers in level.registers.values():
                assert not registers.execution_conflict
                assert not registers.verdict_conflict

    def teardown(self) -> None:
        if not hasattr(self, "tree"):
            return
        tree = self.tree
        tree.everything_arrives()
        for target in tree.by_id.values():
            at_parent = tree.middles[target.parent].registers[target.id]
            assert tree.root.registers[target.id] == at_parent
            assert terminal(at_parent), at_parent
            state = shown(at_parent)
            if not target.retired:
                assert target.record is not None
                assert at_parent.execution == target.record.execution
                if tree.root.revoked and target.record.execution is not None:
                    # Nobody who was told to take it back says nothing but that it is executed.
                    assert target.record.execution.state is not State.EXECUTED or target.record.execution.reason
                if state is Shown.VERIFIED:
                    assert target.driver.present
                if state in (Shown.ROLLED_BACK_VERIFIED, Shown.EXPIRED, Shown.REFUSED, Shown.REVOKED):
                    assert not target.driver.present
                if state is Shown.CONTRADICTED and at_parent.execution is not None:
                    assert target.driver.present is (at_parent.execution.state is not State.EXECUTED)
        assert tree.root.progress.open() == 0
        assert sum(level.progress.targets() for level in tree.middles.values()) == tree.root.progress.targets()
        self.effects_happen_once()
        self.progress_is_the_count_of_what_is_shown()
        self.nobody_contradicts_himself()


@pytest.mark.parametrize("steps", [30, 80])
def test_an_order_in_a_tree(steps: int) -> None:
    run_state_machine_as_test(
        OrderInATree, settings=settings(max_examples=120, stateful_step_count=steps, deadline=None)
    )
