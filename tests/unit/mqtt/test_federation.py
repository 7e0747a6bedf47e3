"""Hand-over and routing between front doors: random histories with crashes, on real brokers and journals."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.unit.mqtt.federated import Client, Net

DOORS = ("door-1", "door-2", "door-3")
door_names = st.sampled_from(DOORS)


def one_session_has_all(net: Net, client: Client, acknowledged: list[bytes]) -> None:
    """Let everything arrive: one front door has the session, its client all that was acknowledged, QoS 2 once."""
    net.run(12)
    client.connect(net.doors["door-2"])
    for _ in range(3):
        net.run(4)
        client.read()
    assert client.online
    assert [name for name, door in net.doors.items() if client.key in door.broker.sessions] == ["door-2"]
    assert not any(door.federation.handover.leaving for door in net.doors.values())
    assert set(acknowledged) <= set(client.got), "an acknowledged message is lost"
    twice = [payload for payload in client.got if payload.endswith(b"/2") and client.got.count(payload) > 1]
    assert not twice, "QoS 2 came twice"


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
        if hasattr(self, "client"):
            one_session_has_all(self.net, self.client, self.acknowledged)


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


# --- histories that the state machine has found -----------------------------------------------------------------


def history() -> tuple[Net, Client, Federated]:
    machine = Federated()
    machine.begin()
    return machine.net, machine.client, machine


def delivered(net: Net, *ways: tuple[int, int]) -> None:
    for sender, receiver in ways:
        net.deliver((f"door-{sender}", f"door-{receiver}"))


def test_a_session_given_to_a_door_that_crashes_is_not_missed_by_a_third() -> None:
    """The third asks while the session is on its way to the one that crashes before it has taken it."""
    net, client, machine = history()
    machine.connect("door-3")
    delivered(net, (3, 1))
    machine.connect("door-2")
    machine.publish("door-1", 1)
    machine.crash("door-3")
    machine.connect("door-3")
    assert machine.acknowledged
    one_session_has_all(net, client, machine.acknowledged)


def test_what_follows_a_session_is_not_added_once_more_when_it_comes_back() -> None:
    """The message of QoS 2 goes with the rest of the session and directly; then the session comes back."""
    net, client, machine = history()
    machine.connect("door-3")
    delivered(net, (3, 1), (3, 2), (2, 3))
    machine.crash("door-2")
    machine.connect("door-1")
    machine.publish("door-1", 2)
    one_session_has_all(net, client, machine.acknowledged)


def test_a_door_that_has_given_a_session_does_not_serve_it_again_because_a_later_connection_wins() -> None:
    """Three connections in the same microsecond, the client gives each up for the next."""
    net, client, machine = history()
    machine.connect("door-3")
    delivered(net, (3, 1), (3, 2), (2, 3))
    machine.connect("door-1")
    machine.connect("door-2")
    one_session_has_all(net, client, machine.acknowledged)


def test_a_message_kept_for_the_old_door_by_one_it_does_not_reach_goes_after_the_session() -> None:
    """The old front door has been started again and has not yet met the publisher's, which keeps a message for it."""
    net, client, machine = history()
    machine.connect("door-2")
    machine.everything_arrives()
    machine.connect("door-1")
    machine.publish("door-1", 1)
    machine.publish("door-3", 1)
    machine.commit("door-3")
    machine.crash("door-2")
    assert machine.acknowledged
    one_session_has_all(net, client, machine.acknowledged)


def test_qos_2_is_complete_only_when_it_is_on_disk_also_on_a_new_connection() -> None:
    """The client connects again before its PUBREC is on disk, and has PUBREL at once; then the door crashes."""
    net, client, machine = history()
    machine.publish("door-1", 2)
    machine.everything_arrives()
    machine.read()
    machine.connect("door-1")
    machine.read()
    machine.crash("door-1")
    one_session_has_all(net, client, machine.acknowledged)
