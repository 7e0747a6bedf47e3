"""A random tree over links that lose, repeat and delay: when it is quiet, every level's totals are a full recount."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.tree.reports.applied import LedgerError
from gongfu.tree.reports.cells import Cells
from gongfu.tree.reports.decoder import Decoder
from gongfu.tree.reports.encoder import Encoder
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.leaving import Departures, Projection
from gongfu.tree.reports.ledger import Ledger
from gongfu.tree.reports.wire import CodecError
from tests.unit.tree.reports.samples import KIND, Facts, cells_of, content, recount

KEYS = [("110000", "on"), ("110000", "off"), ("440100", "on")]


@dataclass
class Node:
    """A node, and its end of the link upward: everything of an epoch is kept until the parent has it."""

    name: str
    ledger: Ledger
    parent: "Node | None" = None
    facts: Facts = field(default_factory=dict)
    epoch: int = 0
    sent: int = 0
    outbox: list[bytes] = field(default_factory=list)
    encoder: Encoder | None = None
    decoders: dict[str, Decoder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.departures = Departures(self.ledger, Projection(KIND, "site"))

    def work(self, numbers: dict[tuple[str, str], int]) -> None:
        self.facts = {(0, key): (number, frozenset({self.name})) for key, number in numbers.items()}
        self.ledger.state(0, cells_of(KIND, self.facts), 1)

    def begin(self) -> None:
        """Take a new epoch and state everything."""
        self.epoch += 1
        self.encoder, self.outbox, self.sent = Encoder(self.ledger.kind, self.epoch), [], 0
        self.speak(complete=True)

    def speak(self, complete: bool = False) -> None:
        assert self.encoder is not None
        cells: Cells = self.departures.since(self.sent)
        self.sent = self.ledger.revision
        said = (0, self.encoder.sequence + 1) if complete else None
        self.outbox.append(self.encoder.encode(cells, 1, complete=said, coverage=((0, 1, 1),)))

    def hear(self, child: "Node", data: bytes) -> None:
        decoder = self.decoders.setdefault(child.name, Decoder(KIND))
        try:
            statement = decoder.decode(data)
        except CodecError:
            return
        if statement is not None and child.parent is self:
            self.ledger.apply(child.name, statement, 1)

    def received(self, child: "Node") -> int:
        decoder = self.decoders.setdefault(child.name, Decoder(KIND))
        epoch, sequence = decoder.position
        return sequence if epoch == child.epoch else 0


def exchange(child: Node, rnd: random.Random, faulty: bool) -> None:
    """Send what the parent does not have, through a bad link when faulty."""
    parent = child.parent
    if parent is None:
        return
    frames = child.outbox[parent.received(child) :] if not faulty else child.outbox[:]
    if faulty:
        frames = [frame for frame in frames if rnd.random() > 0.3]
        frames += rnd.sample(frames, rnd.randint(0, len(frames)))
        if rnd.random() < 0.5:
            rnd.shuffle(frames)
    for frame in frames:
        parent.hear(child, frame)


def restore(node: Node, kind: ReportKind, rnd: random.Random) -> None:
    """Put a node back to its ledger of some time ago: here, to one that knows of its children but not their cells."""
    fresh = Ledger(kind, node.name)
    for child in node.ledger.children:
        fresh.add_child(child)
        if rnd.random() < 0.5:
            fresh.restore(child, *node.ledger.stored(child))
    keep = dict(list(node.facts.items())[:1])
    node.ledger, node.facts = fresh, keep
    node.departures = Departures(fresh, Projection(KIND, "site"))
    node.ledger.state(0, cells_of(KIND, keep), 1)
    node.decoders.clear()
    node.begin()


def move(node: Node, to: Node) -> None:
    old = node.parent
    assert old is not None
    old.ledger.remove_child(node.name)
    old.decoders.pop(node.name, None)
    node.parent = to
    to.ledger.add_child(node.name)
    to.decoders.pop(node.name, None)
    node.begin()


def below(node: Node, nodes: list[Node]) -> list[Node]:
    return [node] + [n for child in nodes if child.parent is node for n in below(child, nodes)]


@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(1, 40))
@settings(max_examples=120, deadline=None)
def test_every_level_is_a_recount_of_what_is_below_when_it_is_quiet(seed: int, size: int, steps: int) -> None:
    rnd = random.Random(seed)
    nodes = [Node("0", Ledger(KIND, "0"))]
    for i in range(1, size):
        parent = rnd.choice(nodes)
        node = Node(str(i), Ledger(KIND, str(i)), parent)
        parent.ledger.add_child(node.name)
        nodes.append(node)
    for node in nodes:
        node.begin()
    for _ in range(steps):
        node = rnd.choice(nodes)
        what = rnd.random()
        if what < 0.45:
            node.work({key: rnd.randint(0, 200) for key in KEYS if rnd.random() < 0.7})
            node.speak()
        elif what < 0.8:
            exchange(node, rnd, faulty=True)
            if node.parent is not None:
                node.parent.speak()
        elif what < 0.9:
            restore(node, KIND, rnd)
        elif node.parent is not None:
            inside = {n.name for n in below(node, nodes)}
            move(node, rnd.choice([n for n in nodes if n.name not in inside]))
    # Quiet: the links work. Whoever's stream a parent cannot follow, or that has to state everything, begins anew.
    depth = {"0": 0}
    order = [n for root in nodes[:1] for n in below(root, nodes)]
    for node in order[1:]:
        assert node.parent is not None
        depth[node.name] = depth[node.parent.name] + 1
    for node in sorted(order[1:], key=lambda n: -depth[n.name]):
        assert node.parent is not None
        node.speak()
        exchange(node, rnd, faulty=False)
        missing = node.parent.ledger.missing(node.name)
        if node.parent.received(node) < len(node.outbox) or missing.complete or missing.ranges:
            node.begin()
            exchange(node, rnd, faulty=False)
    for node in order:
        facts = [n.facts for n in below(node, nodes)]
        found = content(node.ledger.read(0))
        assert found == recount(KIND, facts)


def test_a_statement_of_a_stranger_is_refused() -> None:
    ledger = Ledger(KIND, "0")
    statement = Decoder(KIND).decode(Encoder(KIND, 1).encode(cells_of(KIND, {}), 1))
    assert statement is not None
    for who in ("1", "0"):
        try:
            ledger.apply(who, statement, 1)
        except LedgerError:
            continue
        raise AssertionError(who)
