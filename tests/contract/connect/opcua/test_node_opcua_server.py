"""The driver against node-opcua, with Basic256Sha256: values, alarms, history, and the server dying in the middle."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from gongfu.connect.kit.machine_alarms import ALARMS
from gongfu.connect.kit.sink import ReadingSink
from gongfu.connect.kit.types import Address, DriverError, Reason
from gongfu.kernel.quality import Quality
from tests.contract.connect.opcua.foreign_process import foreign_server, require
from tests.contract.connect.opcua.plant import Recorder, connected, driver_of, trust_of, until
from tests.fixtures.nats import free_port
from tests.unit.connect.memory_intake import WRITER, MemoryIntake

pytest.importorskip("asyncua", reason="the extra opcua is not installed")


class Holding(ReadingSink):
    """The sink of the kit, that says when a test wants it that it can take no more."""

    holds = False

    @property
    def saturated(self):
        return self.holds


SECURE = {"security": "sign-and-encrypt", "policy": "Basic256Sha256", "username": "操作员", "password": "密码-1"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    """One server for this file; the last test kills it."""
    require()
    async with foreign_server(free_port(), tmp_path_factory.mktemp("foreign")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def as_new(server):
    await server.set("压力", 1.5)
    await server.set("计数", 7)


async def trusting(tmp_path, port):
    """Meet the server's certificate for the first time, and trust it."""
    with pytest.raises(DriverError) as raised:
        await driver_of(tmp_path, port, **SECURE).open()
    assert raised.value.reason is Reason.CERTIFICATE_UNTRUSTED
    known = trust_of(tmp_path).listing()
    assert [k.state for k in known] == ["rejected"]
    assert known[0].fingerprint in raised.value.what
    trust_of(tmp_path).trust(known[0].fingerprint)


async def test_signed_and_encrypted_with_values_alarms_and_wrong_password(tmp_path, server):
    port = server.port
    await trusting(tmp_path, port)
    with pytest.raises(DriverError) as raised:
        await driver_of(tmp_path, port, **SECURE | {"password": "falsch"}).open()
    assert raised.value.reason is Reason.CREDENTIALS
    assert "falsch" not in str(raised.value)

    async with connected(tmp_path, port, **SECURE | {"security": "sign"}) as driver:
        assert (await driver.health())["endpoint"] == "Basic256Sha256/Sign"
        assert (await driver.read([Address(point="s", where="ns=2;s=泵站.状态")]))[0].value == "正常"

    async with connected(tmp_path, port, **SECURE, server_deadband=True) as driver:
        assert (await driver.health())["endpoint"] == "Basic256Sha256/SignAndEncrypt"
        top = await driver.browse("", 1000)
        station = next(n for n in top.items if n.name == "泵站")
        nodes = {n.name: n for n in (await driver.browse(station.where, 1000)).items}
        assert nodes["压力"].unit == "bar"
        assert "range 0…16" in nodes["压力"].description
        assert (nodes["计数"].value_type, nodes["阵列"].value_type) == ("int64", "json")
        sink = Recorder()
        names = ["压力", "计数", "运行", "阵列", "状态"]
        addresses = [
            Address(point=n, where=f"ns=2;s=泵站.{n}", every=0.1, deadband=1.0 if n == "压力" else 0) for n in names
        ]
        await driver.subscribe(addresses, sink)
        await until(lambda: len({r.address for r in sink.readings}) == 5, "first values")
        assert [sink.last(n) for n in range(5)] == [1.5, 7, True, [1.0, 2.0], "正常"]
        for value in (2.0, 2.4, 9.0, 12.5):  # the first two are within the deadband; the last raises the alarm
            await server.set("压力", value)
            await asyncio.sleep(0)
        await until(lambda: sink.last(0) == 12.5, "the value beyond the limit")
        assert not {2.0, 2.4} & set(sink.values(0))
        await until(lambda: any(kind == "opcua.alarm" and d["active"] for kind, d in sink.events), "the alarm")
        detail = next(d for kind, d in sink.events if kind == "opcua.alarm" and d["active"])
        assert (detail["state"], detail["condition_name"]) == ("unacknowledged", "压力报警")
        await server.set("计数", 3, "BadSensorFailure")
        await until(lambda: any(r.quality == Quality.BAD_DEVICE for r in sink.readings), "the broken sensor")
        await server.set("压力", 1.0)
        await until(lambda: any(k == "opcua.alarm" and not d["active"] for k, d in sink.events), "its end")
        assert sink.gaps == []


def alarms_of(sink):
    """What the driver reported of alarms, oldest first; and the last list of those that stand."""
    told = [detail for kind, detail in sink.events if kind == ALARMS]
    standing = [detail["standing"] for detail in told if detail["standing"] is not None]
    return [alarm for detail in told for alarm in detail["alarms"]], standing[-1] if standing else None


async def test_alarms_are_refreshed_after_a_restart_and_acknowledged_at_the_server(tmp_path, server):
    addresses = [Address(point="p", where="ns=2;s=泵站.压力", every=0.1)]
    async with connected(tmp_path, server.port, history=False) as driver:
        sink = Recorder()
        await driver.subscribe(addresses, sink)
        await until(lambda: alarms_of(sink)[1] is not None, "the first refresh")
        await server.set("压力", 12.5)
        await until(lambda: any(alarm["active"] for alarm in alarms_of(sink)[0]), "the alarm")
        (first, *_) = [alarm for alarm in alarms_of(sink)[0] if alarm["active"]]
        assert (first["point"], first["acknowledged"]) == ("压力报警", False)
    # Another instance knows nothing of it: the server is asked.
    async with connected(tmp_path, server.port, history=False) as driver:
        sink = Recorder()
        await driver.subscribe(addresses, sink)
        await until(lambda: alarms_of(sink)[1] == [first["key"]], "the alarm that stands")
        (again,) = [a for a in alarms_of(sink)[0] if (a["active"], a["time"]) == (True, first["time"])]
        assert again["message"] == first["message"]
        assert await driver.acknowledge_alarm(first["key"], "看到了") is True
        await until(lambda: alarms_of(sink)[0][-1]["acknowledged"], "the acknowledgement")
        assert await driver.acknowledge_alarm(first["key"], "noch einmal") is False
        comments = [d.get("comment") for kind, d in sink.events if kind == "opcua.alarm" and d["acknowledged"]]
        assert "看到了" in comments
        await server.set("压力", 1.0)
        await until(lambda: not alarms_of(sink)[0][-1]["active"], "its end")
        await driver.refresh_alarms()
        await until(lambda: alarms_of(sink)[1] == [], "that none stands")


async def test_a_broken_line_is_healed_and_history_is_read_back(tmp_path, port):
    """The line breaks while the server goes on: with its session again, every value comes, in order and once."""
    async with foreign_server(port, tmp_path / "server") as server, connected(tmp_path, port, queue=100) as driver:
        sink = Recorder()
        addresses = [Address(point="p", where="ns=2;s=泵站.压力", every=0.05)]
        await driver.subscribe(addresses, sink)
        await until(lambda: sink.last(0) == 1.5, "the first value")
        driver._session.client.uaclient.protocol.transport.abort()
        for n in range(15):  # slower than they are sampled
            await server.set("压力", 100.0 + n)
            await asyncio.sleep(0.1)
        await until(lambda: sink.last(0) == 114.0, "the last value")
        got = [v for v in sink.values(0) if v >= 100]
        assert got == sorted(got)  # a server may say a value again; the sink knows it by its time
        assert len(set(got)) >= 8
        figures = await driver.health()
        assert (figures["breaks"], figures["remade"], sink.gaps) == (1, 0, [])
        # A gap the server cannot fill by itself is read from its history.
        newest = max(r.source_time for r in sink.readings)
        oldest = min(r.source_time for r in sink.readings if r.value >= 100)
        sink.readings.clear()
        driver._gaps.report([0], oldest - 1_000_000, newest + 1_000_000, "a test")
        await until(lambda: any(k == "opcua.backfilled" for k, _ in sink.events), "the history")
        assert {r.value for r in sink.readings} >= {100.0 + n for n in range(15)}
        assert sink.gaps[-1][3] == "a test"


async def test_subscriptions_are_transferred_to_a_new_session(tmp_path, server):
    """The server has forgotten the session but keeps its subscription: it is moved, and no value is lost."""
    from asyncua.ua.uaerrors import BadSessionIdInvalid

    async with connected(tmp_path, server.port, queue=100, history=False) as driver:
        sink = Recorder()
        await driver.subscribe([Address(point="p", where="ns=2;s=泵站.压力", every=0.05)], sink)
        await until(lambda: sink.last(0) == 1.5, "the first value")
        session, activate = driver._session, driver._session._activate

        async def forgotten(client):
            session._activate = activate
            raise BadSessionIdInvalid

        session._activate = forgotten
        subscription = driver._stream.feeds[0].id
        session.client.uaclient.protocol.transport.abort()
        # At least eight; more where the server is so busy that it samples some of them only.
        n = 0
        while n < 8 or (len({value for value in sink.values(0) if value >= 3}) < 5 and n < 600):
            await server.set("压力", 3.0 + n / 10)
            await asyncio.sleep(0.1)
            n += 1
        await until(lambda: sink.last(0) == 3.0 + (n - 1) / 10, "the last value")
        figures = await driver.health()
        assert (figures["breaks"], figures["moved"], figures["remade"]) == (1, 1, 0)
        assert driver._stream.feeds[0].id == subscription
        assert sink.gaps == []
        got = [value for value in sink.values(0) if value >= 3]
        assert got == sorted(got)
        assert len(set(got)) >= 5
        assert figures["refreshes"] >= 1  # alarms are asked for anew: their queue may have been too short


async def test_a_server_that_freezes_is_lost_and_an_instance_after_it_knows_since_when(tmp_path, server):
    port = server.port
    async with connected(tmp_path, port, history=False) as driver:
        sink = Recorder()
        await driver.subscribe([Address(point="n", where="ns=2;s=泵站.计数", every=0.1)], sink)
        await until(lambda: sink.last(0) == 7, "the first value")
        await server.set("计数", 8)
        await until(lambda: sink.last(0) == 8, "a change")
    os.kill(server.process.pid, signal.SIGSTOP)
    with pytest.raises(DriverError) as raised:
        await driver_of(tmp_path, port, timeout=1.0).open()
    assert raised.value.reason is Reason.TIMEOUT
    os.kill(server.process.pid, signal.SIGCONT)
    async with connected(tmp_path, port, history=False) as driver:
        again = Recorder()
        await driver.subscribe([Address(point="n", where="ns=2;s=泵站.计数", every=0.1)], again)
        ((addresses, since, until_, reason),) = again.gaps
        assert addresses == [0]
        assert reason == "the connection was closed"
        assert until_ > since >= max(r.source_time for r in sink.readings)


async def test_a_queue_that_overflows_is_a_gap_that_is_counted_and_shown(tmp_path, server):
    """OPC 10000-4 §7.39 (Overflow), §5.13.1.5: a queue of 2 at the server, and a sink that takes nothing for a time."""
    intake = MemoryIntake()
    events = []

    def points(name):
        return [(value, quality) for _, point, value, quality, _ in intake.rows if point == name]

    kinds = {"压力": "double", "状态": "string"}
    addresses = [
        Address(point=name, where=f"ns=2;s=泵站.{name}", every=0.1, value_type=kind) for name, kind in kinds.items()
    ]
    sink = Holding(addresses, WRITER, intake, lambda kind, detail: events.append((kind, dict(detail))))
    async with connected(tmp_path, server.port, queue=2, history=False, events=False) as driver:
        await driver.subscribe(addresses, sink)
        await until(lambda: all(map(points, kinds)), "the first values")
        value = 2.0
        while not (await driver.health())["overflows"]:
            sink.holds = True  # four answers are under way; behind them the queue at the server fills
            for _ in range(20):
                value += 0.125
                await server.set("压力", value)
                await asyncio.sleep(0.1)
            sink.holds = False
            await until(lambda last=(value, Quality.GOOD): points("压力")[-1] == last, "the last value")
        figures = await driver.health()
        assert figures["gaps"] >= 1
        assert sink.figures.gaps >= 1
        # The gap is shown at the point that lost values, and at no other.
        assert Quality.BAD_NO_DATA in {quality for _, quality in points("压力")}
        assert {quality for _, quality in points("状态")} == {Quality.GOOD}
        found = [detail for kind, detail in events if kind == "connection.gap"]
        assert {detail["reason"] for detail in found} == {"the server's queue overflowed"}
        assert all(detail["since"] < detail["until"] for detail in found)
        assert figures["breaks"] == figures["remade"] == 0


async def test_kill_and_restart_of_the_server_leaves_no_gap_unreported(tmp_path, server):
    """Values before and after a kill -9; the time between is told for every address."""
    port, sink = server.port, Recorder()
    async with AsyncExitStack() as running:
        driver = await running.enter_async_context(connected(tmp_path, port, history=False))
        await driver.subscribe([Address(point=n, where=f"ns=2;s=泵站.{n}", every=0.1) for n in ("计数", "压力")], sink)
        await server.set("计数", 41)
        await until(lambda: sink.last(0) == 41, "a value before")
        server.kill()
        await server.process.wait()
        second = await running.enter_async_context(foreign_server(port, server.folder))
        await until(lambda: bool(sink.gaps), "the gap to be told")
        await second.set("计数", 42)
        await until(lambda: sink.last(0) == 42, "a value after")

        (told,) = [g for g in sink.gaps if g[3] == "the connection was interrupted"]
        assert sorted(told[0]) == [0, 1]
        before = [r for r in sink.readings if r.value == 41]
        after = [r for r in sink.readings if r.value == 42]
        assert before[0].source_time < after[0].source_time
        assert told[1] < told[2]
        # Nothing that came after the gap lies in it unsaid: the last value before is not newer than its beginning.
        assert told[1] >= max(r.source_time for r in before)
        figures = await driver.health()
        assert (figures["breaks"], figures["remade"]) == (1, 1)
