"""Hand-over and routing between front doors: random histories with crashes, on real brokers and journals."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.unit.mqtt.federated import Client, Net

DOORS = ("door-1", "door-2", "door-3")
door_names = st.sampled_from(DOORS)


class Federated(RuleBasedStateMachine):
    """One persistent subscriber that wanders among three front doors, publishers at all of them."""

    @initialize()
    def begin(self) -> None:
        self.net = Net(3)
        self.client = Client(self.net, "wanderer")
        self.client.connect(self.net.doors["door-1"])
        self.net.run(1)
        assert self.client.online
        self.sent = 0
        self.acknowledged: list[bytes] = []
        self.crashes = 0

    @rule(name=door_names, qos=st.sampled_from([1, 2]))
    def publish(self, name: str, qos: int) -> None:
        payload = b"%d/%d" % (self.sent, qos)
        self.sent += 1
        self.net.doors[name].publish("t", payload, qos, lambda: self.acknowledged.append(payload))
        self.net.doors[name].step()

    @rule(name=door_names)
    def connect(self, name: str) -> None:
        self.client.connect(self.net.doors[name])
        self.net.doors[name].step()

    @rule()
    def read(self) -> None:
        self.client.read()

    @rule(choice=st.randoms(use_true_random=False), steps=st.integers(1, 20))
    def some_traffic(self, choice: object, steps: int) -> None:
        for _ in range(steps):
            places = [place for place, wire in self.net.wires.items() if wire]
            if places:
                self.net.deliver(choice.choice(places))  # type: ignore[attr-defined]

    @rule(name=door_names)
    def commit(self, name: str) -> None:
        self.net.doors[name].disk.commit()
        self.net.doors[name].step()

    @rule(seconds=st.sampled_from([0.25, 1.25]))
    def wait(self, seconds: float) -> None:
        self.net.forward(seconds)

    @rule()
    def everything_arrives(self) -> None:
        self.net.quiet()

    @precondition(lambda self: self.crashes < 2)
    @rule(name=door_names)
    def crash(self, name: str) -> None:
        self.crashes += 1
        self.net.doors[name].crash()
        self.net.forward(0.25)
        self.net.doors[name].start()
        # As the role does: it listens when the others are there.
        self.net.run(1.5)

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        self.net.run(12)
        self.client.connect(self.net.doors["door-2"])
        for _ in range(3):
            self.net.run(4)
            self.client.read()
        assert self.client.online
        holders = [name for name, door in self.net.doors.items() if self.client.key in door.broker.sessions]
        assert holders == ["door-2"]
        assert not any(door.federation.handover.leaving for door in self.net.doors.values())
        assert set(self.acknowledged) <= set(self.client.got), "an acknowledged message is lost"
        twice = [
            payload for payload in self.client.got if payload.endswith(b"/2") and self.client.got.count(payload) > 1
        ]
        assert not twice, "QoS 2 came twice"


TestFederated = Federated.TestCase
TestFederated.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def wanderer(net: Net) -> Client:
    client = Client(net, "wanderer")
    client.connect(net.doors["door-1"])
    net.run(1)
    return client


def test_a_message_taken_before_a_crash_is_not_taken_again() -> None:
    net = Net(3)
    client = wanderer(net)
    first, second = net.doors["door-1"], net.doors["door-2"]
    second.publish("t", b"once", 2, lambda: None)
    second.step()
    second.disk.commit()
    second.step()
    net.deliver(("door-2", "door-1"))
    first.disk.commit()  # it has the message; its acknowledgement does not get out
    first.crash()
    net.forward(0.25)
    first.start()
    net.run(3)
    client.connect(net.doors["door-3"])
    net.run(3)
    client.read()
    assert client.got == [b"once"]
    assert not second.federation.peers["door-1"].kept


def test_messages_published_while_a_session_moves_come_once_and_in_order() -> None:
    net = Net(3)
    client = wanderer(net)
    publishers = list(net.doors.values())
    client.connect(net.doors["door-2"])
    net.doors["door-2"].step()
    sent: dict[str, list[bytes]] = {door.name: [] for door in publishers}
    for n in range(60):  # one message at each front door between all steps of the hand-over
        for door in publishers:
            payload = f"{door.name} {n}".encode()
            sent[door.name].append(payload)
            door.publish("t", payload, 2, lambda: None)
            door.disk.commit()
            door.step()
        busy = [place for place, wire in net.wires.items() if wire]
        if busy:
            net.deliver(busy[n % len(busy)])
    net.run(3)
    for _ in range(3):  # as far as the receive maximum lets
        client.read()
        net.run(0.5)
    for name, payloads in sent.items():
        assert [p for p in client.got if p.startswith(name.encode())] == payloads
    assert client.key in net.doors["door-2"].broker.sessions
    assert client.key not in net.doors["door-1"].broker.sessions


def test_of_two_connections_at_the_same_time_one_is_left() -> None:
    net = Net(3)
    client, rival = wanderer(net), Client(net, "wanderer")
    rival.connect(net.doors["door-3"])
    client.connect(net.doors["door-2"])
    for door in net.doors.values():
        door.step()
    net.run(5)
    assert client.online is not rival.online
    winner = client if client.online else rival
    assert [door for door in net.doors.values() if client.key in door.broker.sessions] == [winner.door]


def test_an_idle_topic_costs_no_message() -> None:
    net = Net(3)
    wanderer(net)
    for door in net.doors.values():
        door.publish("nobody", b"x", 1, lambda: None)
        door.step()
    assert not any(net.wires.values())
