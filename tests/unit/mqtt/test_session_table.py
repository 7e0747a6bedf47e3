"""The table of sessions is a mapping like any other, whatever devices have one session and whatever have several."""

from hypothesis import given
from hypothesis import strategies as st

from gongfu.ingest.mqtt.broker.durability import Key
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.outbox import Desk
from gongfu.ingest.mqtt.broker.session_table import SessionTable
from gongfu.ingest.mqtt.broker.sessions import Session
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SystemClock
from tests.unit.mqtt.workbench import Ledger

KEYS = st.tuples(st.integers(1, 3), st.sampled_from(["a", "b", "c"]))


def session(key: Key, prefix: str = "p/") -> Session:
    desk = Desk(Ledger(), Counters(), Limits(), SystemClock())
    return Session(desk, 0, key, 1, prefix, 0)


@given(st.lists(st.tuples(st.booleans(), KEYS)))
def test_it_does_what_a_dictionary_does(steps: list[tuple[bool, Key]]) -> None:
    table, plain = SessionTable(), dict[Key, Session]()
    for put, key in steps:
        if put:
            table[key] = plain[key] = session(key)
        else:
            assert table.pop(key, None) is plain.pop(key, None)
        assert table == plain
        assert len(table) == len(plain)
        assert sorted(table) == sorted(plain)
        assert {id(one) for one in table.values()} == {id(one) for one in plain.values()}
        for device in range(1, 4):
            assert table.of_device(device) == sum(held[0] == device for held in plain)
            for name in "abc":
                assert ((device, name) in table) == ((device, name) in plain)
                assert table.get((device, name)) is plain.get((device, name))


def test_a_session_tells_its_prefix_whether_or_not_it_keeps_it() -> None:
    same, other = session((1, "pump/1"), "v1/devices/pump%2F1/"), session((1, "x"), "v1/devices/pump%2F1/")
    assert same.prefix == other.prefix == "v1/devices/pump%2F1/"
    same.prefix = "v1/devices/renamed/"
    assert same.prefix == "v1/devices/renamed/"


def test_a_session_keeps_its_number_in_the_journal() -> None:
    one = session((1, "a"))
    assert one.identifier == one.identifier > 0
