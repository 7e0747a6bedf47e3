import asyncio
import time

from gongfu.kernel.counters import Counters
from gongfu.kernel.permissions import Role, Subject
from gongfu.web.stream import QUEUE_EVENTS, Client

SUBJECT = Subject(1, "u", 1, Role.VIEWER)


async def test_client_that_does_not_read_loses_the_oldest_events_and_they_are_counted() -> None:
    counters = Counters()
    client = Client(SUBJECT, frozenset(), counters)
    for number in range(QUEUE_EVENTS + 7):
        client.put("alarm", str(number).encode())
    events = (await client.next(0)).decode().split("\n\n")[:-1]
    assert len(events) == QUEUE_EVENTS
    assert events[0] == "event: alarm\ndata: 7"
    assert events[-1] == f"event: alarm\ndata: {QUEUE_EVENTS + 6}"
    assert counters.snapshot() == {"stream_events_dropped": 7}


async def test_reader_is_woken_by_an_event() -> None:
    client = Client(SUBJECT, frozenset(), Counters())
    asyncio.get_running_loop().call_later(0.02, client.put, "overview", b"{}")
    began = time.monotonic()
    assert await client.next(20) == b"event: overview\ndata: {}\n\n"
    assert time.monotonic() - began < 10


async def test_reader_that_waits_in_vain_gets_nothing() -> None:
    assert await Client(SUBJECT, frozenset(), Counters()).next(0.001) == b""
