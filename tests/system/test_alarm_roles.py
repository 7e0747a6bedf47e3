"""Alarms over the roles that have them: reported, shelved, annunciated and told, with kill -9 in between."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gongfu.bus.requests import NobodyServesError
from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.kernel.times import SystemClock
from gongfu.reason.alarms.operations.service import SuppressionService
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.alarms.sources.asking import report_alarms
from gongfu.reason.alarms.sources.types import SourceAlarm, SourceState
from gongfu.reason.alarms.suppression.records import set_until
from gongfu.reason.alarms.suppression.types import ShelveBody
from gongfu.reason.notify.channels.destinations import Destinations
from gongfu.reason.notify.service import NotificationService
from gongfu.reason.notify.types import ChannelBody, RouteBody, Stage, Webhook
from gongfu.reason.rules.types import Priority
from gongfu.store.records.engine import writing
from tests.fixtures.nats import NatsServer
from tests.system.worker_bench import SUBJECTS, Worker, until


@pytest.fixture
def worker(tmp_path: Path, nats_server: NatsServer, sqlite_template: Path) -> Iterator[Worker]:
    found = Worker(tmp_path / "data", nats_server, sqlite_template)
    (found.directory / "secrets").mkdir()
    yield found
    found.close()


@pytest.fixture
def receiver() -> Iterator[tuple[list[dict[str, Any]], str]]:
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield got, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_shelved_alarm_comes_back_by_itself_and_is_told_though_everything_is_killed(
    worker: Worker, bus: Client, receiver: tuple[list[dict[str, Any]], str]
) -> None:
    got, url = receiver
    subject, clock = worker.plant.subject(), SystemClock()
    alarms = AlarmService(worker.engine, clock, lambda event: None)
    shelves = SuppressionService(worker.engine, clock, lambda event: None)
    secrets = ConnectionSecrets(worker.directory / "secrets" / "notify")
    here = Destinations.of(["127.0.0.1"])
    service = NotificationService(worker.engine, clock, secrets, alarms, lambda: None, here)
    body = ChannelBody(name="hook", settings=Webhook(url=url), secret="key")
    channel = service.put_channel(subject, 0, body).id
    service.put_route(subject, 0, RouteBody(name="all", stages=[Stage(channel_id=channel, recipients=["anna"])]))

    shelf = shelves.shelve(subject, ShelveBody(asset="plant/*", reason="noise", seconds=3600))
    await worker.start()
    reports = [
        SourceAlarm(
            tenant=1, source="app:org.example", key="worn", asset_path="plant/pump", point="eta", value=0.4,
            priority=Priority.HIGH, message="worn", active=True, time=time.time_ns(),
        )
    ]  # fmt: skip
    (state,) = await _reported(bus, reports)
    assert (state.state, state.changed) == ("shelved", True)
    worker.kill()
    notify = worker._start("notify")
    await worker.start()
    (again,) = await _reported(bus, reports)
    assert (again.id, again.state, again.changed) == (state.id, "shelved", False)
    with writing(worker.engine) as connection:
        set_until(connection, shelf.id, time.time_ns())

    async def annunciated() -> bool:
        return alarms.get(subject, state.id).state == "unacknowledged_active"

    await until(annunciated, "the shelf ends by itself")
    assert [row.id for row in shelves.list_of(subject, ended=True)] == [shelf.id]
    notify.process.kill()
    notify.wait()
    notify = worker._start("notify")

    async def told() -> bool:
        return bool(got) and service.state(subject).states["delivered"] == 1

    try:
        await until(told, "the notification")
    finally:
        notify.process.terminate()
        notify.wait(60)
    assert {(message["alarm"]["id"], message["kind"]) for message in got} == {(state.id, "alarm")}
    assert len({message["id"] for message in got}) == 1
    assert await worker.stop() == 0


async def _reported(bus: Client, reports: list[SourceAlarm]) -> list[SourceState]:
    """Report alarms; a role reads before the server has heard of all that it serves."""
    answers: list[SourceState] = []

    async def served() -> bool:
        try:
            answers[:] = await report_alarms(bus, SUBJECTS, reports)
        except NobodyServesError:
            return False
        return True

    await until(served, "the worker serves alarms of sources")
    return answers
