"""Deficit round robin: nobody is lost, and of two that always wait neither is far ahead."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gongfu.ingest.admission.fair import FairQueue

QUANTUM = 100.0


@settings(deadline=None)
@given(
    st.integers(2, 6),
    st.lists(st.floats(1.0, 1000.0), min_size=2, max_size=6),
    st.integers(10, 300),
)
def test_between_always_busy_devices_is_a_quantum_and_one_payload_at_most(
    devices: int, costs: list[float], turns: int
) -> None:
    queue: FairQueue[int] = FairQueue(QUANTUM)
    served = dict.fromkeys(range(devices), 0.0)
    for device in range(devices):
        queue.add(1, device, device)
    for number in range(turns):
        device = queue.take()
        assert device is not None
        cost = costs[(device + number) % len(costs)]
        served[device] += cost
        queue.charge(1, device, cost)
        queue.add(1, device, device)
        amounts = [served[device] for device in range(devices)]
        assert max(amounts) - min(amounts) <= QUANTUM + max(costs) + 1e-6


@settings(deadline=None)
@given(st.integers(1, 20), st.floats(1.0, 400.0), st.floats(1.0, 400.0))
def test_a_tenant_with_many_devices_gets_no_more_than_one_with_few(many: int, one: float, other: float) -> None:
    queue: FairQueue[tuple[int, int]] = FairQueue(QUANTUM)
    served = {1: 0.0, 2: 0.0}
    for device in range(many):
        queue.add(1, device, (1, device))
    queue.add(2, 99, (2, 99))
    for _ in range(200):
        item = queue.take()
        assert item is not None
        cost = one if item[0] == 1 else other
        served[item[0]] += cost
        queue.charge(*item, cost)
        queue.add(*item, item)
        assert abs(served[1] - served[2]) <= QUANTUM + max(one, other) + 1e-6


def test_leaving_does_not_pay_a_debt() -> None:
    queue: FairQueue[str] = FairQueue(QUANTUM)
    for name, device in (("big", 1), ("small", 2)):
        queue.add(1, device, name)
    assert queue.take() == "big"
    queue.charge(1, 1, 10 * QUANTUM)  # a large payload; and then the device has nothing more for a moment
    served: list[str] = []
    for _ in range(8):
        name = queue.take()
        assert name == "small"
        served.append(name)
        queue.charge(1, 2, QUANTUM)
        queue.add(1, 2, "small")
        if len(served) == 2:
            queue.add(1, 1, "big")
    assert served == ["small"] * 8


def test_a_debt_is_nothing_when_nobody_else_waits() -> None:
    queue: FairQueue[str] = FairQueue(QUANTUM)
    queue.add(1, 1, "big")
    assert queue.take() == "big"
    queue.charge(1, 1, 1e9)
    queue.add(1, 1, "big")
    assert queue.take() == "big"
    assert queue.take() is None


class Conservation(RuleBasedStateMachine):
    """What was offered was served or waits; the payloads of one device keep their order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[tuple[int, int, int]] = FairQueue(QUANTUM)
        self.waiting: dict[tuple[int, int], list[int]] = {}
        self.number = 0

    @rule(tenant=st.integers(1, 3), device=st.integers(1, 4))
    def offer(self, tenant: int, device: int) -> None:
        self.number += 1
        self.queue.add(tenant, device, (tenant, device, self.number))
        self.waiting.setdefault((tenant, device), []).append(self.number)

    @rule(cost=st.floats(0.0, 1000.0))
    def serve(self, cost: float) -> None:
        item = self.queue.take()
        if item is None:
            assert not any(self.waiting.values())
            return
        tenant, device, number = item
        assert self.waiting[tenant, device].pop(0) == number
        self.queue.charge(tenant, device, cost)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.queue) == sum(map(len, self.waiting.values()))


TestConservation = Conservation.TestCase
TestConservation.settings = settings(max_examples=50, stateful_step_count=60, deadline=None)
