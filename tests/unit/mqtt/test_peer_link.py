"""A link between front doors keeps order and loses nothing over a network that loses, doubles and delays."""

from hypothesis import given
from hypothesis import strategies as st

from gongfu.ingest.mqtt.peers.link import PeerLink
from gongfu.ingest.mqtt.peers.wire import Echo, Fence, decode_envelope, encode_item


class Side:
    def __init__(self, generation: int) -> None:
        self.link = PeerLink(generation)
        self.taken: list[int] = []
        self.acknowledged: list[int] = []
        self.said = 0

    def say(self) -> None:
        self.said += 1
        number = self.said
        self.link.queue(encode_item(Fence(number)), lambda: self.acknowledged.append(number))

    def receive(self, data: bytes, now: float) -> None:
        envelope = decode_envelope(data)
        self.link.meet(envelope.mine)
        items = self.link.receive(envelope, now)
        self.taken += [item.number for item in items if isinstance(item, Fence)]
        if items:
            self.link.taken(self.link.position)


steps = st.lists(st.sampled_from(["say 0", "say 1", "send", "lose", "double", "swap", "wait"]), max_size=60)


@given(steps)
def test_all_comes_in_order_once(history: list[str]) -> None:
    sides = Side(1), Side(2)
    wires: list[list[bytes]] = [[], []]
    now = 0.0

    def flush() -> None:
        for index, side in enumerate(sides):
            wires[index] += side.link.due(now)

    for index, side in enumerate(sides):  # what is said before they have met would be said again by the owner
        side.receive(sides[1 - index].link.hello(), now)
    for step in [*history, *["send", "wait"] * 100]:
        if step.startswith("say"):
            sides[int(step[-1])].say()
        elif step == "wait":
            now += 1.1
            for index, side in enumerate(sides):
                wires[index] += side.link.tick(now) or [side.link.hello()]
        else:
            for index, wire in enumerate(wires):
                if step == "swap":
                    wire.reverse()
                elif wire and step == "double":
                    wire.append(wire[0])
                elif wire:
                    data = wire.pop(0)
                    if step == "send":
                        sides[1 - index].receive(data, now)
        flush()
    while any(wires):
        for index, wire in enumerate(wires):
            if wire:
                sides[1 - index].receive(wire.pop(0), now)
    for a, b in (sides, sides[::-1]):
        assert b.taken == list(range(1, a.said + 1))
        assert a.acknowledged == b.taken


def test_a_restart_begins_anew_and_old_frames_are_not_taken() -> None:
    a, b = Side(1), Side(2)
    b.receive(a.link.hello(), 0)
    a.receive(b.link.hello(), 0)
    a.say()
    [old] = a.link.due(0)
    b.link.restart(3)
    b.receive(old, 0)
    assert b.taken == []
    a.receive(b.link.hello(), 0)
    assert a.link.due(0) == []  # what must not be lost is said again by the owner
    a.say()
    [new] = a.link.due(0)
    b.receive(new, 0)
    assert b.taken == [2]
    assert a.acknowledged == []


def test_frames_are_bounded() -> None:
    a, b = Side(1), Side(2)
    b.receive(a.link.hello(), 0)
    a.receive(b.link.hello(), 0)
    for _ in range(200):
        a.link.queue(encode_item(Echo(1)) + b"")
    a.link.queue(b"\xc4\xff" + b"x" * 255)
    assert len(a.link.due(0)) == 1
    assert a.link.unacknowledged > 0
