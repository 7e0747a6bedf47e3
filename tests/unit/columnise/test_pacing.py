"""Blocks are gathered longer where messages trickle in, and never where somebody waits for the acknowledgement."""

import pytest

from gongfu.ingest.columnise.limits import BLOCK_INTERVAL_S
from gongfu.ingest.columnise.pacing import GATEWAY_LATENCY_S, LATENCY_S, SMALL_BLOCK, BlockPace

COMMIT_S = 0.002


class Clients:
    """Closes and settles blocks as an accumulator does; the clients of ``devices`` take turns."""

    def __init__(self, *, devices: int, per_s: float, commit_s: float = COMMIT_S) -> None:
        self.pace = BlockPace()
        self._devices = devices
        self._gap = 1.0 / per_s
        self._commit_s = commit_s
        self.now = 1.0
        self._sent = 0

    def run(self, seconds: float) -> None:
        """Let messages come in whether or not earlier ones were acknowledged."""
        end, due = self.now + seconds, self.now
        while self.now < end:
            closes = max(due, self.now + self.pace.interval_s)
            senders: list[int] = []
            while due <= closes:
                senders.append(self._sent % self._devices)
                self._sent += 1
                due += self._gap
            self.block(closes, senders)

    def block(self, closes: float, senders: list[int]) -> None:
        known = frozenset(senders) if len(senders) <= SMALL_BLOCK else None
        self.now = closes
        self.pace.closed(closes, known, len(senders))
        self.pace.settled(closes + self._commit_s, known, self._commit_s)


@pytest.mark.parametrize("per_s", [300, 1000, 4000])
def test_many_devices_that_send_when_they_like_share_larger_blocks(per_s: float) -> None:
    clients = Clients(devices=10_000, per_s=per_s)
    clients.run(2.0)
    assert 2 * BLOCK_INTERVAL_S <= clients.pace.interval_s <= LATENCY_S - 2 * 0.9 * COMMIT_S


@pytest.mark.parametrize("devices", [1, 3, 20])
def test_clients_that_wait_for_each_acknowledgement_are_not_held_up(devices: int) -> None:
    clients = Clients(devices=10_000, per_s=1000)
    clients.run(2.0)
    assert clients.pace.interval_s > BLOCK_INTERVAL_S
    for _ in range(20):
        clients.block(clients.now + clients.pace.interval_s, list(range(devices)))
    assert clients.pace.interval_s == BLOCK_INTERVAL_S


def test_few_messages_are_not_held_up() -> None:
    clients = Clients(devices=10_000, per_s=50)
    clients.run(4.0)
    assert clients.pace.interval_s == BLOCK_INTERVAL_S


def test_large_blocks_are_not_made_larger() -> None:
    clients = Clients(devices=1_000_000, per_s=100_000)
    clients.run(2.0)
    assert clients.pace.interval_s == BLOCK_INTERVAL_S


def test_a_slow_log_is_made_up_for() -> None:
    clients = Clients(devices=10_000, per_s=1000, commit_s=0.006)
    clients.run(3.0)
    assert clients.pace.interval_s == BLOCK_INTERVAL_S


def test_one_commit_that_takes_long_changes_little() -> None:
    clients = Clients(devices=10_000, per_s=1000)
    clients.run(2.0)
    before = clients.pace.interval_s
    clients.pace.settled(clients.now, frozenset({1}), 1.0)
    clients.run(0.02)
    assert before - 0.001 < clients.pace.interval_s < before


def test_messages_of_gateways_are_gathered_longer_unless_somebody_waits() -> None:
    clients = Clients(devices=400, per_s=333)
    clients.run(2.0)
    assert GATEWAY_LATENCY_S - 2 * COMMIT_S <= clients.pace.gateway_s <= GATEWAY_LATENCY_S
    # Blocks that come as seldom as that: who has its answer from the last one and is in this one has waited.
    for _ in range(20):
        clients.block(clients.now + clients.pace.gateway_s, list(range(10)))
    assert clients.pace.gateway_s == BLOCK_INTERVAL_S
