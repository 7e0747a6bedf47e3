"""Requests and metrics on a real nats-server."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.bus.connection import subscribe
from gongfu.bus.metrics import MetricsPublisher
from gongfu.bus.requests import request, serve
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem, conflict
from gongfu.kernel.subjects import Subjects
from tests.fixtures.telemetry import NOW, FixedClock

SUBJECTS = Subjects("test")


class Question(msgspec.Struct):
    numbers: list[int]


class Answer(msgspec.Struct):
    total: int


async def add(question: Question) -> Answer:
    if len(question.numbers) > 3:
        raise Problem(409, "too-many", "Too many", "at most three", {"most": 3})
    if not question.numbers:
        raise RuntimeError("secret text")
    return Answer(sum(question.numbers))


async def test_answers_and_problems_come_across(bus: Client) -> None:
    subject = SUBJECTS.service("add")
    await serve(bus, subject, add, Question)
    assert await request(bus, subject, Question([1, 2]), 5, Answer) == Answer(3)
    assert await request(bus, subject, {"numbers": [4]}) == {"total": 4}
    cases: list[tuple[Any, int, str]] = [
        ({"numbers": [1, 2, 3, 4]}, 409, "too-many"),
        ({"numbers": "x"}, 400, "invalid-request"),
        ({"numbers": []}, 500, "internal"),
    ]
    for body, status, code in cases:
        with pytest.raises(Problem) as caught:
            await request(bus, subject, body)
        assert (caught.value.status, caught.value.code) == (status, code)
        assert "secret" not in json.dumps(caught.value.document())
    with pytest.raises(Problem) as caught:
        await request(bus, subject, {"numbers": [1, 2, 3, 4]})
    assert caught.value.document() == Problem(409, "too-many", "Too many", "at most three", {"most": 3}).document()
    with pytest.raises(Problem) as caught:
        await request(bus, subject, Question([1]), 5, int)
    assert caught.value.status == 502


async def test_what_the_bus_does_not_take_is_told_at_once(bus: Client) -> None:
    async def long(letters: int) -> str:
        return "x" * letters

    subject = SUBJECTS.service("long")
    await serve(bus, subject, long, int)
    most = bus.max_payload
    assert len(await request(bus, subject, most // 2, 60, str)) == most // 2
    for body in (most + 1, "x" * most):
        with pytest.raises(Problem) as caught:
            await request(bus, subject, body, 60, str)
        assert (caught.value.status, caught.value.code) == (413, "too-large")


async def test_nobody_and_late_answers_are_unavailable(bus: Client) -> None:
    with pytest.raises(Problem) as caught:
        await request(bus, SUBJECTS.service("nobody"), None)
    assert caught.value.status == 503

    async def never(_: Any) -> None:
        await asyncio.Event().wait()

    await serve(bus, SUBJECTS.service("late"), never)
    with pytest.raises(Problem) as caught:
        await request(bus, SUBJECTS.service("late"), None, 0.2)
    assert caught.value.status == 503

    async def refuse(_: Any) -> None:
        raise conflict("no")

    await serve(bus, SUBJECTS.service("refuse"), refuse, queue="q")
    with pytest.raises(Problem, match="no"):
        await request(bus, SUBJECTS.service("refuse"), None)


async def test_metrics_are_published_at_start_and_at_the_end(bus: Client) -> None:
    seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def receive(message: Msg) -> None:
        seen.put_nowait(json.loads(message.data))

    await subscribe(bus, SUBJECTS.metrics("door"), receive)
    counters = Counters()
    counters.add("messages_received", 3)
    publisher = MetricsPublisher(bus, SUBJECTS, "door", counters, lambda: {"pending_points": 1.5}, FixedClock())
    publisher.start()
    first = await asyncio.wait_for(seen.get(), 5)
    assert (first["role"], first["time"], first["counters"]) == ("door", NOW, {"messages_received": 3})
    assert first["gauges"] == {"pending_points": 1.5}
    assert first["pid"] > 0
    counters.add("messages_received")
    await asyncio.wait_for(publisher.stop(), 5)
    last = await asyncio.wait_for(seen.get(), 5)
    assert last["counters"] == {"messages_received": 4}
