"""A tree whose nodes write down what they said to whom and what they got; shared by the tests of faults."""

from dataclasses import dataclass

from gongfu.tree.link.effects import NewEpoch
from simulator.network import Way
from simulator.node import Rollback
from simulator.run import Faults, Trouble, settle
from simulator.simulation import MILLISECOND, SECOND
from simulator.store import Transaction
from simulator.tree import Tree

CLEAN = Way(latency=5 * MILLISECOND, jitter=MILLISECOND)
ROUGH = Way(
    latency=5 * MILLISECOND,
    jitter=10 * MILLISECOND,
    loss=0.15,
    duplicate=0.15,
    reorder=0.1,
    reorder_delay=3 * SECOND,
)
# Virtual time within which all must be quiet once the network is whole. A hello is repeated after 5 s at most, a frame
# likewise; a connection that only one end believes in is given up after 60 s.
QUIET_WITHIN = 150 * SECOND


class Ledger:
    """Logs: ("said", peer) and ("got", peer), of (message, virtual time of the commit)."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._number = 0
        # Share of the messages at which the transaction fails.
        self.rollbacks = 0.0
        # (from, to, message) that were taken, also by a database that is no longer.
        self.ever: set[tuple[str, str, bytes]] = set()

    def say(self, node: str, peer: str, kind: str, size: int = 0) -> None:
        """Say something new: a ``fact`` is said again when the other end was restored, an ``event`` is not."""
        self._number += 1
        body = f"{kind} {self._number} ".encode() + b"." * size

        def job(transaction: Transaction) -> None:
            transaction.append(("said", peer), (body, self._tree.simulation.now))
            transaction.queue(peer, body)

        self._tree.nodes[node].submit(job)

    def received(self, transaction: Transaction, node: str, peer: str, body: bytes) -> None:
        if self.rollbacks and self._tree.simulation.rng.random() < self.rollbacks:
            raise Rollback
        transaction.append(("got", peer), (body, self._tree.simulation.now))
        self.ever.add((peer, node, body))

    def resend(self, transaction: Transaction, node: str, peer: str) -> list[bytes]:
        said = self._tree.nodes[node].store.logs.get(("said", peer), [])
        return [body for body, _ in said if body.startswith(b"fact")]


@dataclass(slots=True)
class Outcome:
    """After a run: the tree, what was in each outbox when the trouble ended, and when each node was last restored.

    What the other end had taken before it was restored is left out: the acknowledgement may be on its way still, and
    is as good as one that came before.
    """

    tree: Tree
    waiting: dict[tuple[str, str], list[bytes]]
    restored: dict[str, int]

    @property
    def directions(self) -> list[tuple[str, str]]:
        return list(self.waiting)

    def said(self, node: str, peer: str) -> list[tuple[bytes, int]]:
        return self.tree.nodes[node].store.logs.get(("said", peer), [])

    def got(self, node: str, peer: str) -> list[bytes]:
        """What ``peer`` got from ``node``."""
        return [body for body, _ in self.tree.nodes[peer].store.logs.get(("got", node), [])]

    @property
    def renewals(self) -> list[NewEpoch]:
        found: list[NewEpoch] = []
        for node in self.tree.nodes.values():
            found += [effect for _, _, effect in node.effects if isinstance(effect, NewEpoch)]
        return found


def run(
    seed: int, fan_outs: tuple[int, ...], trouble: Trouble, *, way: Way = ROUGH, seconds: int = 20, rate: float = 20.0
) -> Outcome:
    """Let nodes talk at ``rate`` messages a second in trouble, then whole again; raises NotSettledError."""
    ledgers: list[Ledger] = []

    def application(tree: Tree) -> Ledger:
        ledgers.append(Ledger(tree))
        return ledgers[0]

    tree = Tree(fan_outs, application, seed=seed, way=way, commit_time=2 * MILLISECOND)
    ledger, simulation, rng = ledgers[0], tree.simulation, tree.simulation.rng
    ledger.rollbacks = 0.005
    links = [(name, peer) for name, node in tree.nodes.items() for peer in node.store.links]
    for node in tree.nodes.values():
        node.watch = True

    def talk(until: int) -> None:
        node, peer = rng.choice(links)
        for _ in range(rng.choice((1, 1, 1, 5, 40))):
            ledger.say(node, peer, rng.choice(("fact", "event")), rng.choice((0, 10, 3000)))
        if simulation.now < until:
            simulation.after(int(rng.expovariate(rate) * SECOND), talk, until)

    faults = Faults(tree, trouble)
    tree.start()
    simulation.after(0, talk, seconds * SECOND)
    simulation.run(seconds * SECOND)
    faults.end(CLEAN)
    ledger.rollbacks = 0.0
    waiting: dict[tuple[str, str], list[bytes]] = {}
    for n, p in links:
        has = {body for body, _ in tree.nodes[p].store.logs.get(("got", n), [])}
        outbox = tree.nodes[n].store.links[p].outbox.values()
        waiting[n, p] = [body for body in outbox if body in has or (n, p, body) not in ledger.ever]
    # They go on talking while they find out what happened.
    talk(simulation.now + 5 * SECOND)
    simulation.run(simulation.now + 5 * SECOND)
    settle(tree, QUIET_WITHIN)
    return Outcome(tree, waiting, {name: times[-1] for name, times in faults.restored.items()})


def check_agreement(outcome: Outcome) -> None:
    """Both ends of every link have the same position, and nothing is left over."""
    for node, peer in outcome.directions:
        out, back = outcome.tree.nodes[node].store.links[peer], outcome.tree.nodes[peer].store.links[node]
        assert not out.outbox, (node, peer)
        if out.last:
            assert out.acknowledged == back.received, (node, peer)
            assert (out.epoch, out.last) == (back.received.epoch, back.received.number), (node, peer)


def check_exactly_once(outcome: Outcome) -> None:
    """Without restores: everything said was got once, in order, and no epoch was renewed."""
    for node, peer in outcome.directions:
        assert outcome.got(node, peer) == [body for body, _ in outcome.said(node, peer)], (node, peer)
    assert not outcome.renewals


def check_after_restores(outcome: Outcome) -> None:
    """What was in an outbox, what is a fact, and what was said after the last restore has arrived, the latter once."""
    for node, peer in outcome.directions:
        said, got = outcome.said(node, peer), outcome.got(node, peer)
        missed = [body for body in outcome.waiting[node, peer] if body not in set(got)]
        assert not missed, (node, peer, missed)
        missed = [body for body, _ in said if body.startswith(b"fact") and body not in set(got)]
        assert not missed, (node, peer, missed)
        restored = max(outcome.restored.get(node, -1), outcome.restored.get(peer, -1))
        later = [body for body, at in said if at > restored and body.startswith(b"event")]
        wanted = set(later)
        assert [body for body in got if body in wanted] == later, (node, peer)
