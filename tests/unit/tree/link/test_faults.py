"""Links under loss, repetition, reordering, partitions, crashes at every commit point, and restored databases.

A failure names its seed; the same seed fails again.
"""

import pytest

from gongfu.tree.link import incoming, outgoing
from gongfu.tree.link.effects import Deliver, Effect, Send
from gongfu.tree.link.frames import Ack, Frame
from gongfu.tree.link.session import Session
from simulator.network import Way
from simulator.node import Node
from simulator.run import NotSettledError, Trouble
from tests.unit.tree.link.ledger import CLEAN, check_after_restores, check_agreement, check_exactly_once, run

CRASHES = Trouble(crashes=0.5, commit_crashes=0.01, partitions=0.5)
RESTORES = Trouble(crashes=0.3, commit_crashes=0.005, partitions=0.3, backups=1.0, restores=0.5)


@pytest.mark.parametrize("seed", range(12))
def test_exactly_once_in_order_without_restores(seed: int) -> None:
    print("seed", seed)
    outcome = run(seed, (1,) if seed % 2 else (2, 2), CRASHES)
    check_exactly_once(outcome)
    check_agreement(outcome)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_behind_a_restore_at_either_end(seed: int) -> None:
    print("seed", seed)
    outcome = run(seed, (1,) if seed % 2 else (2, 2), RESTORES)
    check_after_restores(outcome)
    check_agreement(outcome)


def fails(seed: int, trouble: Trouble, way: Way | None = None) -> bool:
    try:
        outcome = run(seed, (1,), trouble, **({"way": way} if way else {}))
        if trouble.restores:
            check_after_restores(outcome)
        else:
            check_exactly_once(outcome)
        check_agreement(outcome)
    except (AssertionError, NotSettledError):
        return True
    return False


class AcknowledgesBeforeCommit(Session):
    __slots__ = ()

    def received(self, t: int, frame: Frame) -> list[Effect]:
        effects = super().received(t, frame)
        early: list[Effect] = [
            Send(Ack(self._peer_tag, e.position.epoch, e.position.number)) for e in effects if isinstance(e, Deliver)
        ]
        return early + effects


def test_acknowledging_before_the_commit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "session_type", AcknowledgesBeforeCommit)
    assert any(fails(seed, CRASHES) for seed in range(5))


def test_positions_without_digest_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (incoming, outgoing):
        monkeypatch.setattr(module, "chain", lambda digest, bodies: 0)
    assert any(fails(seed, RESTORES, CLEAN) for seed in range(10))


def test_believing_every_claim_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "judge", lambda epoch, last, acknowledged, claim: "agreed")
    assert any(fails(seed, RESTORES, CLEAN) for seed in range(5))
