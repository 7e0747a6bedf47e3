"""Site link: where it goes on, and what is on its way."""

from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gongfu.bus.link_position import (
    Acknowledged,
    ForeignMessageError,
    PositionFile,
    SendWindow,
    Source,
    resume_after,
)
from gongfu.bus.server import LeafListen, LeafRemote, LeafUser, render_server_config

CREATED = "2026-11-22T13:02:33.123456789Z"
SOURCE = Source("events", CREATED)
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@given(NAMES, st.integers(0, 2**63), st.integers(0, 2**63))
def test_the_destination_is_believed_before_the_file(name: str, sequence: int, kept: int) -> None:
    source = Source(name, CREATED)
    remembered = Acknowledged(CREATED, kept)
    assert resume_after(source, source.message_id(sequence), remembered) == sequence
    assert resume_after(source, None, remembered) == kept
    anew = Source(name, "2027-01-01T00:00:00Z")
    assert resume_after(anew, source.message_id(sequence), remembered) == 0
    assert resume_after(anew, None, remembered) == 0
    assert resume_after(anew, source.message_id(sequence), Acknowledged(anew.created, 5)) == 5


@given(st.text(max_size=30))
def test_ids_of_others_are_seen(text: str) -> None:
    if text.startswith("events:") and text.rpartition(":")[2].isdigit():
        return
    with pytest.raises(ForeignMessageError):
        resume_after(SOURCE, text, Acknowledged())


class Link(RuleBasedStateMachine):
    """A source, a wire that loses, and a destination that stores only what comes right after its last message."""

    def __init__(self) -> None:
        super().__init__()
        self.source: list[int] = []
        self.stored: list[int] = []
        self.wire: deque[tuple[int, int]] = deque()
        self.answers: deque[tuple[int, int]] = deque()
        self.begin()

    def begin(self) -> None:
        last = SOURCE.message_id(self.stored[-1]) if self.stored else None
        self.window = SendWindow(resume_after(SOURCE, last, Acknowledged()), len(self.stored), 4, 1000)
        self.answers.clear()

    @rule(gap=st.integers(1, 3))
    def new_message(self, gap: int) -> None:
        self.source.append((self.source[-1] if self.source else 0) + gap)

    @rule()
    def send(self) -> None:
        following = [one for one in self.source if one > self.window.newest]
        if following and self.window.has_room(10):
            self.wire.append((following[0], self.window.send(following[0], 10)))

    @rule()
    def deliver(self) -> None:
        if self.wire:
            sequence, expected = self.wire.popleft()
            if expected == len(self.stored):
                self.stored.append(sequence)
                self.answers.append((expected, len(self.stored)))
            else:
                self.answers.append((expected, -1))

    @rule()
    def lose_a_message(self) -> None:
        if self.wire:
            self.wire.popleft()

    @rule()
    def lose_an_answer(self) -> None:
        if self.answers:
            self.answers.popleft()

    @rule()
    def confirm(self) -> None:
        if self.answers and not self.window.confirm(*self.answers.popleft()):
            self.begin()

    @rule()
    def cut(self) -> None:
        # What was on the wire may still arrive, late.
        self.begin()

    @invariant()
    def nothing_lost_repeated_or_out_of_order(self) -> None:
        assert self.stored == self.source[: len(self.stored)]

    @invariant()
    def confirmed_is_stored(self) -> None:
        assert self.window.position == 0 or self.window.position in self.stored

    def teardown(self) -> None:
        for _ in range(10 * len(self.source) + 10):
            self.begin()
            for _ in range(5):
                self.send()
                self.deliver()
                self.confirm()
            self.wire.clear()
        assert self.stored == self.source


TestLink = Link.TestCase
TestLink.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_a_window_is_bounded_and_one_message_always_fits() -> None:
    window = SendWindow(0, 0, 2, 10)
    assert window.has_room(100)
    window.send(1, 100)
    assert not window.has_room(1)
    assert window.confirm(0, 1)
    window.send(2, 1)
    window.send(3, 1)
    assert not window.has_room(1)
    with pytest.raises(ValueError, match="after"):
        window.send(3, 1)
    assert not window.confirm(2, 3)


@settings(deadline=None)
@given(st.integers(0, 2**63), st.text(max_size=30))
def test_a_position_is_kept(tmp_path_factory: pytest.TempPathFactory, sequence: int, created: str) -> None:
    file = PositionFile(tmp_path_factory.mktemp("link") / "p.json")
    assert file.load() == Acknowledged()
    position = Acknowledged(created.encode("utf-8", "replace").decode(), sequence)
    file.save(position)
    assert file.load() == position


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"created": "x"}', '{"created": "x", "sequence": "y"}', "\x00"])
def test_a_damaged_position_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ValueError, match="not a position file"):
        PositionFile(tmp_path / "p.json").load()


CHILD = LeafUser("site-1", "pw", ("up.site-1.>",), ("link.site-1.>",))


def test_links_are_off_until_they_are_asked_for() -> None:
    assert "leafnodes" not in render_server_config(port=1, store_dir="/x", token="t")
    hub = render_server_config(port=1, store_dir="/x", token="t", domain="hub", children=LeafListen(7422, (CHILD,)))
    assert 'host: "127.0.0.1"\n  port: 7422\n  no_advertise: true' in hub
    assert 'permissions: { publish: { allow: ["up.site-1.>"] }, subscribe: { allow: ["link.site-1.>"] } }' in hub
    assert "authorization { token" not in hub
    site = render_server_config(
        port=1, store_dir="/x", token="t", domain="s", parent=LeafRemote("tls://hq:7422", "site 1", "p@:/")
    )
    assert 'url: "tls://site%201:p%40%3A%2F@hq:7422"' in site
    assert 'deny_exports: ["gf.>"]' in site
    assert "  port: " not in site


def test_links_without_domain_or_secrets_are_refused() -> None:
    for options in (
        {"children": LeafListen(1, (CHILD,))},
        {"domain": "hub", "children": LeafListen(1, (LeafUser("x", "", (), ()),))},
        {"domain": "hub", "children": LeafListen(1, (LeafUser("gongfu", "x", (), ()),))},
        {"domain": "s", "parent": LeafRemote("nats-leaf://user:secret@hq:1", "x", "y")},
    ):
        with pytest.raises(ValueError, match=r"domain|password|credentials"):
            render_server_config(port=1, store_dir="/x", token="t", **options)  # pyright: ignore[reportArgumentType]
