"""The simulator does what it says, and an order reaches a whole tree through loss."""

import pytest

from gongfu.tree.link.effects import ClockSkew
from simulator.fanout import OrderAndReceipts, measure
from simulator.network import Network, Way
from simulator.node import Clock
from simulator.run import NotSettledError, settle
from simulator.simulation import MILLISECOND, SECOND, Simulation
from simulator.store import Store, Transaction
from simulator.tree import Tree
from tests.unit.tree.link.ledger import ROUGH, run
from tests.unit.tree.link.test_faults import RESTORES


def arrivals(way: Way, frames: int = 2000, seed: int = 1) -> list[tuple[int, bytes]]:
    """Send a frame a millisecond; returns (delay, frame) in the order of arrival."""
    simulation = Simulation(seed)
    network, got = Network(simulation, way), list[tuple[int, bytes]]()
    network.attach("b", lambda sender, data: got.append((simulation.now - int(data) * MILLISECOND, data)))
    for i in range(frames):
        simulation.at(i * MILLISECOND, network.send, "a", "b", b"%06d" % i)
    simulation.run(3600 * SECOND)
    return got


class TestNetwork:
    def test_latency_and_jitter(self) -> None:
        delays = [delay for delay, _ in arrivals(Way(latency=5 * MILLISECOND, jitter=10 * MILLISECOND))]
        assert len(delays) == 2000
        assert 5 * MILLISECOND <= min(delays) < 6 * MILLISECOND
        assert 14 * MILLISECOND < max(delays) <= 15 * MILLISECOND

    def test_loss_and_repetition(self) -> None:
        got = arrivals(Way(loss=0.3, duplicate=0.2))
        assert 1300 <= len({data for _, data in got}) <= 1500
        assert 1.1 <= len(got) / len({data for _, data in got}) <= 1.3

    def test_reordering(self) -> None:
        got = [data for _, data in arrivals(Way(reorder=0.1, reorder_delay=SECOND))]
        assert sorted(got) != got
        assert len(got) == 2000

    def test_bandwidth(self) -> None:
        # 6 bytes a millisecond are sent, 3 go through: the last waits as long as all have taken.
        got = arrivals(Way(latency=0, bandwidth=3000))
        assert got[-1][0] == pytest.approx(2 * SECOND, rel=0.01)

    def test_partition(self) -> None:
        simulation = Simulation(1)
        network, got = Network(simulation, Way(latency=MILLISECOND)), list[bytes]()
        network.attach("b", lambda sender, data: got.append(data))
        network.attach("a", lambda sender, data: got.append(data))
        network.cut("a", "b", SECOND)
        network.send("a", "b", b"lost")
        network.send("b", "a", b"the other direction")
        simulation.run(SECOND)
        network.send("a", "b", b"later")
        simulation.run(2 * SECOND)
        assert got == [b"the other direction", b"later"]


class TestStore:
    def test_a_transaction_changes_nothing_before_it_is_applied(self) -> None:
        store = Store()
        transaction = Transaction(store, 0)
        transaction.put("key", 1)
        transaction.append("log", 1)
        assert transaction.get("key") == 1
        assert not store.values
        copy = store.copy()
        transaction.apply()
        assert (store.values, store.logs) == ({"key": 1}, {"log": [1]})
        assert not copy.values
        assert not copy.logs


def test_the_same_seed_gives_the_same_run() -> None:
    counts = [run(5, (2,), RESTORES, way=ROUGH, seconds=5).tree.counters.snapshot() for _ in range(2)]
    assert counts[0] == counts[1]
    assert counts[0] != run(6, (2,), RESTORES, way=ROUGH, seconds=5).tree.counters.snapshot()


def test_waiting_for_quiet_ends_and_names_the_seed() -> None:
    tree = Tree((1,), OrderAndReceipts, seed=77, way=Way(loss=1.0))
    tree.start()
    with pytest.raises(NotSettledError, match=r"seed 77: 2 nodes wait: \['n', 'n.0'\]"):
        settle(tree, 10 * SECOND)


def test_a_clock_that_is_off_or_drifts_is_measured() -> None:
    clocks = {"n": Clock(), "n.0": Clock(-60 * SECOND), "n.1": Clock(drift=0.001)}
    tree = Tree((2,), OrderAndReceipts, clock=clocks.__getitem__, way=Way(jitter=5 * MILLISECOND))
    for node in tree.nodes.values():
        node.watch = True
    tree.start()
    tree.simulation.run(60 * SECOND)
    off, back = (tree.nodes[a].sessions[b].clock.offset for a, b in (("n", "n.0"), ("n.0", "n")))
    assert off == pytest.approx(-60 * SECOND, abs=5 * MILLISECOND)
    assert back == pytest.approx(60 * SECOND, abs=5 * MILLISECOND)
    assert [type(e) for _, _, e in tree.root.effects if isinstance(e, ClockSkew)] == [ClockSkew]
    # One in a thousand fast: 60 ms after a minute, 5 s after 5,000 s and then it is told.
    assert not tree.nodes["n.1"].sessions["n"].clock.skewed
    tree.simulation.run(5300 * SECOND)
    assert tree.nodes["n.1"].sessions["n"].clock.skewed
    # The administrator sets the first one: known at once.
    tree.nodes["n.0"].set_clock(0)
    assert not tree.nodes["n.0"].sessions["n"].clock.skewed


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_an_order_reaches_every_node_and_every_receipt_comes_back(loss: float) -> None:
    """Virtual time: the same on every machine. The whole tree of 9,642 nodes is in ``python -m simulator``."""
    result = measure((10, 10, 10), Way(latency=4 * MILLISECOND, jitter=2 * MILLISECOND, loss=loss), seed=3)
    assert result.nodes == 1111
    assert result.p99 <= (3.0 if loss else 0.1)
    assert result.last <= (10.0 if loss else 0.1)
    assert bool(result.resent > 50) == bool(loss)
