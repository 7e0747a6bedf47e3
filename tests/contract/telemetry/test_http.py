"""``POST /v1/telemetry`` by a foreign HTTP client, against a real log and registry."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.admission.quota import Defaults, Quota
from gongfu.ingest.http.api import HttpTelemetryLimits, telemetry_endpoint
from gongfu.ingest.http.gate import HttpGate
from gongfu.ingest.types import Done, Form, Receipt, Writer
from gongfu.kernel.errors import Problem
from tests.contract.telemetry.test_arrow import GOOD, stream
from tests.fixtures.intake import QuietIntake
from tests.fixtures.nats import NatsServer
from tests.fixtures.telemetry import FixedClock, Telemetry

AUTH = ("d1", "秘密:0123456789abcdef")
LIMITS = HttpTelemetryLimits(max_payload_bytes=10_000, body_timeout_s=0.3)


def client_of(intake: object, clock: FixedClock, writer: Writer, gate: HttpGate | None = None) -> httpx.AsyncClient:
    async def authenticate(name: str, secret: str) -> Writer | None:
        return writer if (name, secret) == AUTH else None

    endpoint = telemetry_endpoint(authenticate, intake, clock, LIMITS, gate)  # type: ignore[arg-type]
    app = Starlette(routes=[Route("/v1/telemetry", endpoint, methods=["POST"])])
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://node", auth=httpx.BasicAuth(*map(str.encode, AUTH)))


@pytest.fixture
async def client(telemetry: Telemetry) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(telemetry.columniser, telemetry.clock, telemetry.writers[0]) as http:
        yield http


async def test_every_form(client: httpx.AsyncClient, telemetry: Telemetry) -> None:
    cases = [
        ("application/json", b'{"ts":1000,"values":{"a":1}}', ""),
        ("application/json; charset=utf-8", b'[{"ts":2000,"values":{"a":2}}]', ""),
        ("application/json", b'{"c":[{"ts":3000,"values":{"a":3}}]}', "?form=gateway"),
        ("application/x-ndjson", b'{"ts":4000,"values":{"a":4}}\n', ""),
        ("application/vnd.apache.arrow.stream", stream(GOOD), ""),
    ]
    for media_type, content, query in cases:
        answer = await client.post("/v1/telemetry" + query, content=content, headers={"Content-Type": media_type})
        assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "rejected": {}, "detail": ""})
    stored = await telemetry.stored()
    assert [value for _, _, value in stored["a1", "a"]] == [1.5, 1.0, 2.0, 4.0]
    assert [value for _, _, value in stored["a1/c", "a"]] == [3.0]


async def test_some_rejected_is_200_and_all_rejected_400(client: httpx.AsyncClient) -> None:
    some = await client.post("/v1/telemetry", json={"a": 1, "b": None})
    assert (some.status_code, some.json()["accepted"], some.json()["rejected"]) == (200, 1, {"null_value": 1})
    every = await client.post("/v1/telemetry", json={"b": None})
    assert every.status_code == 400
    assert every.headers["content-type"] == "application/problem+json"
    assert every.json()["code"] == "telemetry-rejected"
    assert every.json()["rejected"] == {"null_value": 1}
    broken = await client.post("/v1/telemetry", content=b"{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["rejected"]) == (400, {"malformed_json": 1})


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Basic ZDE=", "Bearer x", "Basic ZDE6d3Jvbmc=", "Basic /w=="]
)
async def test_wrong_credentials_are_401(client: httpx.AsyncClient, header: str) -> None:
    request = client.build_request("POST", "/v1/telemetry", json={"a": 1}, headers={"Authorization": header})
    answer = await client.send(request, auth=None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "d1" not in answer.text


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Content-Type": "text/plain"}, "", 415),
        ({"Content-Type": ""}, "", 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "", 415),
        ({"Content-Type": "application/json"}, "?form=D", 400),
        ({"Content-Type": "application/x-ndjson"}, "?form=gateway", 400),
    ],
)
async def test_other_forms_are_refused(
    client: httpx.AsyncClient, headers: dict[str, str], query: str, status: int
) -> None:
    answer = await client.post("/v1/telemetry" + query, content=b'{"a":1}', headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_large_bodies_are_413_announced_or_not(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    announced = await client.post("/v1/telemetry", content=b"x" * 10_001, headers=headers)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    unannounced = await client.post("/v1/telemetry", content=parts(), headers=headers)
    for answer in (announced, unannounced):
        assert (answer.status_code, answer.json()["rejected"]) == (413, {"payload_too_large": 1})


async def test_a_body_that_does_not_come_is_408(client: httpx.AsyncClient) -> None:
    never = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    answer = await client.post("/v1/telemetry", content=parts(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 408


class FullIntake:
    """An intake at its bound; it must not be given anything."""

    saturated = True

    def submit(self, *_: object) -> None:
        raise AssertionError("submitted to a saturated intake")


class SheddingIntake:
    """An intake whose log does not answer."""

    saturated = False

    def submit(
        self, _writer: Writer, _form: Form, _payload: bytes, _received: int, done: Done, _context: str = ""
    ) -> None:
        done(Receipt(1, {}, {"log_unavailable": 2}))


@pytest.mark.parametrize("intake", [FullIntake(), SheddingIntake()])
async def test_no_room_is_503_with_retry_after(intake: object) -> None:
    async with client_of(intake, FixedClock(), Writer(1, 1, "d1", 1, "a1")) as client:
        answer = await client.post("/v1/telemetry", json={"a": 1})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"


async def test_nothing_is_answered_before_it_is_durable(
    client: httpx.AsyncClient, telemetry: Telemetry, nats_server: NatsServer
) -> None:
    assert (await client.post("/v1/telemetry", json={"a": 1})).status_code == 200
    nats_server.kill()
    waiting = asyncio.create_task(client.post("/v1/telemetry", json={"a": 2}))
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    assert not done
    nats_server.start()
    assert (await asyncio.wait_for(waiting, 20)).status_code == 200
    assert [value for _, _, value in (await telemetry.stored())["a1", "a"]] == [1.0, 2.0]


class TakingIntake(QuietIntake):
    """An intake that takes three points of every payload, when the test lets it."""

    saturated = False

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(
        self, _writer: Writer, _form: Form, _payload: bytes, _received: int, done: Done, _context: str = ""
    ) -> None:
        async def answer() -> None:
            await self.open.wait()
            done(Receipt(3))

        task = asyncio.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@dataclass
class Seconds:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


D1, D2 = Writer(1, 1, "d1", 1, "a1"), Writer(1, 2, "d2", 2, "a2")


def gate_of(intake: TakingIntake, defaults: Defaults, slots: int = 64) -> tuple[HttpGate, Seconds]:
    seconds = Seconds()
    return HttpGate(Admission(defaults, seconds), intake, slots), seconds


@pytest.mark.parametrize(
    ("defaults", "reason"),
    [(Defaults(device=Quota(points=1.0, burst_s=2.0)), "device_quota"), (Defaults(tenant=Quota(1.0)), "tenant_quota")],
)
async def test_over_quota_is_429_with_the_seconds_to_wait(defaults: Defaults, reason: str) -> None:
    intake = TakingIntake()
    gate, seconds = gate_of(intake, defaults)
    async with client_of(intake, FixedClock(), D1, gate) as client:
        taken = 0
        while (answer := await client.post("/v1/telemetry", json={"a": 1})).status_code == 200:
            taken += 1
        assert taken == (1 if reason == "device_quota" else 2)  # three points each; bursts of 2 and 5
        assert (answer.status_code, answer.headers["content-type"]) == (429, "application/problem+json")
        document = answer.json()
        assert (document["code"], document["reason"], document["status"]) == ("quota-exceeded", reason, 429)
        wait = int(answer.headers["retry-after"])
        assert wait == document["retry_after"] == 2  # one point over, and one is needed
        assert intake.away == [("d1", reason)]
        seconds.now += wait
        assert (await client.post("/v1/telemetry", json={"a": 1})).status_code == 200


async def test_a_refused_body_is_not_read() -> None:
    intake = TakingIntake()
    gate, _ = gate_of(intake, Defaults(device=Quota(messages=0.1, burst_s=1.0)))

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async with client_of(intake, FixedClock(), D1, gate) as client:
        assert (await client.post("/v1/telemetry", json={"a": 1})).status_code == 200
        answer = await client.post("/v1/telemetry", content=never(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) == 10


async def test_one_device_cannot_take_all_places() -> None:
    intake = TakingIntake()
    gate, _ = gate_of(intake, Defaults(), slots=4)
    accounts = [gate.enter(D1, crowded=False) for _ in range(4)]
    gate.leave(gate.enter(D2, crowded=True), None, 0)
    accounts.append(gate.enter(D2, crowded=True))
    with pytest.raises(Problem) as caught:
        gate.enter(D1, crowded=True)
    assert (caught.value.status, caught.value.extra["reason"]) == (429, "fair_share")
    for account in accounts:
        gate.leave(account, None, 0)
    gate.enter(D1, crowded=True)
