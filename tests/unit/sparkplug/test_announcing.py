"""When the host says that it is online: to whom, in which format, and what while the block log takes nothing."""

import json

from gongfu.ingest.sparkplug.announcing import PATIENCE_S, Announced, Announcer
from gongfu.ingest.sparkplug.state import read_state, state_messages

SECOND = 1_000_000_000
Sent = list[tuple[int, str, bytes, int, bool]]


class Time:
    now = 1_700_000_000 * SECOND

    def now_ns(self) -> int:
        return self.now


def make(announced: Announced) -> tuple[Announcer, Sent, Time]:
    sent: Sent = []
    clock = Time()

    async def send(tenant: int, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        sent.append((tenant, topic, payload, qos, retain))

    return Announcer(announced, send, clock), sent, clock


async def test_each_tenant_hears_once_and_of_every_host() -> None:
    announcer, sent, _ = make(Announced(("主机", "b")))
    for tenant in (1, 2, 1):
        await announcer.welcome(tenant)
    assert [(tenant, topic) for tenant, topic, *_ in sent] == [
        (1, "spBv1.0/STATE/主机"),
        (1, "spBv1.0/STATE/b"),
        (2, "spBv1.0/STATE/主机"),
        (2, "spBv1.0/STATE/b"),
    ]
    assert {(qos, retain) for *_, qos, retain in sent} == {(1, True)}


async def test_offline_while_the_block_log_is_away_for_longer_than_a_moment() -> None:
    announcer, sent, clock = make(Announced(("h",), version_2=True))
    await announcer.welcome(1)
    for available in (False, True, False):
        clock.now += int((PATIENCE_S - 1) * SECOND)
        await announcer.look(available)
    assert len(sent) == 2
    clock.now += int(PATIENCE_S * SECOND)
    await announcer.look(False)
    await announcer.look(False)
    clock.now += SECOND
    await announcer.look(True)
    await announcer.farewell([5])
    states = [json.loads(payload) for tenant, topic, payload, *_ in sent if tenant == 1 and topic.startswith("sp")]
    assert [state["online"] for state in states] == [True, False, True, False]
    assert [state["timestamp"] for state in states] == sorted(state["timestamp"] for state in states)
    old = [payload for tenant, topic, payload, *_ in sent if tenant == 1 and topic == "STATE/h"]
    assert old == [b"ONLINE", b"OFFLINE", b"ONLINE", b"OFFLINE"]
    assert [payload for tenant, topic, payload, *_ in sent if (tenant, topic) == (5, "STATE/h")] == [b"OFFLINE"]


def test_states_are_read_as_they_are_written() -> None:
    for online in (True, False):
        found = [read_state(*message) for message in state_messages("主机", online, 5 * SECOND, version_2=True)]
        assert found == [("主机", online, 5000), ("主机", online, 0)]
    for topic, payload in (
        ("spBv1.0/STATE/h", b"ONLINE"),
        ("STATE/h", b"{}"),
        ("spBv1.0/STATE/h/x", b'{"online":true,"timestamp":1}'),
        ("spBv1.0/STATE/h", b'{"online":1,"timestamp":1}'),
    ):
        assert read_state(topic, payload) is None
