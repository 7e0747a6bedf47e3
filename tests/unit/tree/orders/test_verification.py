from itertools import product

import pytest

from gongfu.tree.orders.kinds import Place, Probe
from gongfu.tree.orders.types import Execution, Finding, State
from gongfu.tree.orders.verification import Looked, Refusal, Sight, Watch, claimed, due, probes_here, seen
from tests.unit.tree.orders.nodes import ENTERPRISE, NATION, NOW, SECOND, SITE, order, order_kind

KIND = order_kind(probe=Probe("resolve", delay=SECOND, every=SECOND, within=3 * SECOND))
PROBER = ENTERPRISE.id


def execution(state: State, revision: int = 4, claim: int | None = None) -> Execution:
    return Execution("order-0001", SITE.id, state, revision, NOW, SITE.id, 1, revision if claim is None else claim)


def watching(state: State = State.EXECUTED) -> Watch:
    return claimed(None, execution(state), KIND, PROBER, NOW).watch


def look(watch: Watch, sight: Sight, now: int, evidence: str = "") -> Looked:
    return seen(watch, watch.claim, sight, evidence, KIND, PROBER, now)


CLAIMS = {State.EXECUTED: Sight.PRESENT, State.FAILED: Sight.ABSENT, State.ROLLED_BACK: Sight.ABSENT}


@pytest.mark.parametrize(("state", "sight"), list(product(CLAIMS, Sight)))
def test_what_every_sight_says_of_every_claim(state: State, sight: Sight) -> None:
    watch = watching(state)
    first = look(watch, sight, NOW + SECOND, "seen")
    last = look(watch, sight, NOW + 4 * SECOND, "seen")
    if sight is CLAIMS[state]:
        assert first.verdict is not None
        assert first.verdict.finding is Finding.VERIFIED
        assert (first.verdict.claim, first.verdict.revision, first.verdict.signer) == (4, 1, PROBER)
    else:
        assert first.verdict is None
        assert first.watch.open
        assert last.verdict is not None
        expected = Finding.UNVERIFIABLE if sight is Sight.UNKNOWN else Finding.CONTRADICTED
        assert (last.verdict.finding, last.verdict.evidence) == (expected, "seen")


def test_looks_are_repeated_until_the_deadline_of_the_probe() -> None:
    watch = watching()
    assert not due(watch, NOW + SECOND - 1)
    times = []
    while watch.open:
        assert due(watch, watch.next_at)
        times.append(watch.next_at - NOW)
        watch = look(watch, Sight.ABSENT, watch.next_at).watch
    assert times == [SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND]
    assert not due(watch, NOW + 9 * SECOND)


def test_an_effect_that_takes_its_time_is_verified() -> None:
    watch = look(watching(), Sight.ABSENT, NOW + SECOND, "not yet").watch
    found = look(watch, Sight.PRESENT, NOW + 2 * SECOND, "there")
    assert found.verdict is not None
    assert (found.verdict.finding, found.verdict.evidence) == (Finding.VERIFIED, "there")


def test_what_was_seen_to_be_otherwise_counts_when_the_last_look_sees_nothing() -> None:
    watch = look(watching(), Sight.ABSENT, NOW + SECOND, "NXDOMAIN").watch
    found = look(watch, Sight.UNKNOWN, NOW + 4 * SECOND, "timeout")
    assert found.verdict is not None
    assert (found.verdict.finding, found.verdict.evidence) == (Finding.CONTRADICTED, "NXDOMAIN")


def test_a_prober_that_was_away_decides_with_its_first_look() -> None:
    found = look(watching(), Sight.ABSENT, NOW + 100 * SECOND)
    assert found.verdict is not None
    assert found.verdict.finding is Finding.CONTRADICTED


def test_there_is_one_verdict_a_claim_and_a_new_one_for_a_new_claim() -> None:
    watch = look(watching(), Sight.PRESENT, NOW + SECOND).watch
    assert look(watch, Sight.ABSENT, NOW + SECOND).refused is Refusal.NOT_WATCHING
    # A register that claims nothing new changes nothing.
    assert claimed(watch, execution(State.EXECUTED, revision=5, claim=4), KIND, PROBER, NOW).watch == watch
    rolling = claimed(watch, execution(State.ROLLING_BACK, revision=6, claim=4), KIND, PROBER, NOW).watch
    back = claimed(rolling, execution(State.ROLLED_BACK, revision=7), KIND, PROBER, NOW).watch
    assert (back.claim, back.expected, back.open) == (7, Sight.ABSENT, True)
    found = look(back, Sight.ABSENT, NOW + SECOND)
    assert found.verdict is not None
    assert (found.verdict.revision, found.verdict.claim) == (2, 7)


def test_a_look_at_a_claim_that_is_no_more_does_not_count() -> None:
    watch = watching()
    rolling = claimed(watch, execution(State.ROLLING_BACK, revision=6, claim=4), KIND, PROBER, NOW).watch
    assert look(rolling, Sight.PRESENT, NOW + SECOND).refused is Refusal.NOT_WATCHING
    back = claimed(rolling, execution(State.ROLLED_BACK, revision=7), KIND, PROBER, NOW).watch
    late = seen(back, 4, Sight.PRESENT, "", KIND, PROBER, NOW + 9 * SECOND)
    assert (late.refused, late.watch) == (Refusal.CLAIM_SUPERSEDED, back)


@pytest.mark.parametrize("state", sorted(set(State) - set(CLAIMS)))
def test_other_states_claim_nothing(state: State) -> None:
    looked = claimed(None, execution(state, claim=0), KIND, PROBER, NOW)
    assert looked.verdict is None
    assert not looked.watch.open


def test_without_a_probe_an_effect_is_unverifiable_and_a_failure_is_left_alone() -> None:
    kind = order_kind(probe=None)
    for state in (State.EXECUTED, State.ROLLED_BACK):
        looked = claimed(None, execution(state), kind, PROBER, NOW)
        assert looked.verdict is not None
        assert (looked.verdict.finding, looked.verdict.reason) == (Finding.UNVERIFIABLE, "no-probe")
        assert claimed(looked.watch, execution(state), kind, PROBER, NOW).verdict is None
    assert claimed(None, execution(State.FAILED), kind, PROBER, NOW).verdict is None


@pytest.mark.parametrize(
    ("where", "node", "here"),
    [
        (Place.TARGET, SITE.id, True),
        (Place.TARGET, ENTERPRISE.id, False),
        (Place.PARENT, ENTERPRISE.id, True),
        (Place.PARENT, SITE.id, False),
        (Place.ISSUER, NATION.id, True),
        (Place.ISSUER, SITE.id, False),
    ],
)
def test_where_a_probe_runs(where: Place, node: str, here: bool) -> None:
    kind = order_kind(probe=Probe("resolve", where))
    assert probes_here(kind, order(), node, SITE.id, ENTERPRISE.id) is here


def test_the_root_has_no_parent_to_look_at_it() -> None:
    assert probes_here(order_kind(probe=Probe("resolve", Place.PARENT)), order(), NATION.id, NATION.id, "")
