"""Our server: browsed, read and subscribed by asyncua and node-opcua clients; strangers stay outside."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from gongfu.connect.kit.types import Address, DriverError, Reason
from gongfu.connect.opcua.certificates import identity
from gongfu.connect.opcua.certificates.trust_list import TrustList
from gongfu.connect.opcua.driver import pki_folder
from gongfu.connect.opcua.server.source import LatestPoint, ShownAsset, ShownPoint
from gongfu.kernel.quality import Quality
from tests.contract.connect.opcua.foreign_process import require, run_program
from tests.contract.connect.opcua.plant import Recorder, connected, driver_of, trust_of, until
from tests.fixtures.nats import free_port

pytest.importorskip("asyncua", reason="the extra opcua is not installed")
pytestmark = pytest.mark.asyncio(loop_scope="module")
SECURE = {"security": "sign-and-encrypt", "username": "甲", "password": "口令-1"}
AT = 1_772_600_767_890_000_000


@dataclass
class Site:
    """Assets and values that a test changes."""

    shown: list = field(default_factory=list)
    measured: list = field(default_factory=list)
    values: dict = field(default_factory=dict)

    async def assets(self):
        return self.shown

    async def points(self):
        return self.measured

    async def latest(self, series):
        return {key: self.values[key] for key in series if key in self.values}

    def may_sign_in(self, name, password):
        return (name, password) == ("甲", "口令-1")


def site():
    return Site(
        [ShownAsset("一号线"), ShownAsset("一号线/泵", "pump@3")],
        [
            ShownPoint(1, "一号线/泵", "压力", "double", "bar"),
            ShownPoint(2, "一号线/泵", "计数", "int64"),
            ShownPoint(3, "一号线/泵", "运行", "boolean"),
            ShownPoint(4, "一号线/泵", "状态", "string"),
            ShownPoint(5, "一号线/泵", "未来", "double"),
        ],
        {
            1: LatestPoint(3.5, 0, AT),
            2: LatestPoint(2**60, 0, AT),
            3: LatestPoint(True, Quality.UNCERTAIN, AT),
            4: LatestPoint("正常", Quality.BAD_DEVICE, AT),
        },
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory):
    from gongfu.connect.opcua.server.server import AssetServer, ServerSettings

    folder, port, shown = tmp_path_factory.mktemp("ours"), free_port(), site()
    server = AssetServer(ServerSettings(port=port, every=0.05, structure_every=0.1), shown, folder)
    await server.start()
    yield server, shown, port, TrustList(folder)
    await server.stop()


async def let_in(tmp_path, trust):
    """Trust each other: our driver's certificate at the server, the server's at the driver."""
    own = identity.load(pki_folder(tmp_path / "c1"), datetime.now(UTC))
    trust.add(own.certificate)


async def test_strangers_and_wrong_passwords_stay_outside(tmp_path, running):
    server, _, port, trust = running
    with pytest.raises(DriverError) as raised:
        await driver_of(tmp_path, port, "/gongfu", security="none").open()
    assert raised.value.reason is Reason.UNSUPPORTED
    with pytest.raises(DriverError) as raised:
        await driver_of(tmp_path, port, "/gongfu", **SECURE).open()
    assert raised.value.reason is Reason.CERTIFICATE_UNTRUSTED
    trust_of(tmp_path).trust(trust_of(tmp_path).listing()[0].fingerprint)

    with pytest.raises(DriverError) as raised:  # now the server does not know us
        await driver_of(tmp_path, port, "/gongfu", **SECURE).open()
    own = identity.load(pki_folder(tmp_path / "c1"), datetime.now(UTC))
    assert raised.value.reason is Reason.CERTIFICATE_UNTRUSTED
    assert own.fingerprint in raised.value.advice
    assert own.fingerprint in [known.fingerprint for known in trust.listing() if known.state == "rejected"]
    trust.trust(own.fingerprint)
    for wrong in ({"password": "x"}, {"username": "乙"}, {"username": "", "password": ""}):
        with pytest.raises(DriverError) as raised:
            await driver_of(tmp_path, port, "/gongfu", **SECURE | wrong).open()
        assert raised.value.reason is Reason.CREDENTIALS
    async with connected(tmp_path, port, "/gongfu", **SECURE):
        pass
    trust.reject(own.fingerprint)
    with pytest.raises(DriverError):
        await driver_of(tmp_path, port, "/gongfu", **SECURE).open()
    assert server.counts["refused"] >= 2


async def test_our_driver_sees_what_the_node_has(tmp_path, running):
    _, shown, port, trust = running
    await let_in(tmp_path, trust)
    with pytest.raises(DriverError):
        await driver_of(tmp_path, port, "/gongfu", **SECURE).open()
    trust_of(tmp_path).trust(trust_of(tmp_path).listing()[0].fingerprint)
    async with connected(tmp_path, port, "/gongfu", **SECURE) as driver:
        folder = next(n for n in (await driver.browse("", 100)).items if n.name == "资产")
        line = (await driver.browse(folder.where, 100)).items[0]
        pump = next(n for n in (await driver.browse(line.where, 100)).items if n.kind == "object")
        assert (line.name, pump.name, pump.type_name) == ("一号线", "泵", "pump")
        nodes = {n.name: n for n in (await driver.browse(pump.where, 100)).items}
        assert (nodes["压力"].unit, nodes["压力"].value_type, nodes["压力"].writable) == ("bar", "double", False)
        addresses = [Address(point=n, where=nodes[n].where) for n in ("压力", "计数", "运行", "状态", "未来")]
        readings = await driver.read(addresses)
        assert [r.value for r in readings][:3] == [3.5, 2**60, True]
        assert [r.quality for r in readings] == [
            0, 0, Quality.UNCERTAIN, Quality.BAD_DEVICE, Quality.BAD_NO_DATA,
        ]  # fmt: skip
        assert readings[0].source_time == AT
        sink = Recorder()
        await driver.subscribe(addresses, sink)
        await until(lambda: sink.last(0) == 3.5, "the first value")
        shown.values[1] = LatestPoint(4.5, 0, AT + 1_000_000_000)
        await until(lambda: sink.last(0) == 4.5, "a change")
        with pytest.raises(DriverError):
            await driver.write(addresses[0], 1.0)

        shown.shown.append(ShownAsset("一号线/阀", "valve@1"))
        shown.measured.append(ShownPoint(6, "一号线/阀", "开度", "double", "%"))
        shown.values[6] = LatestPoint(50.0, 0, AT)
        where = Address(point="v", where="nsu=urn:gongfu:assets;s=一号线/阀//开度")

        await reads(driver, where, 0)
        shown.shown.pop()
        shown.measured.pop()
        await reads(driver, where, Quality.BAD_NO_DATA)


async def reads(driver, address, quality):
    """Wait until the address is read with this quality."""
    for _ in range(600):
        if (await driver.read([address]))[0].quality == quality:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{address.where} never had quality {quality}")


async def test_node_opcua_reads_us(tmp_path, running):
    require()
    _, shown, port, trust = running
    url = f"opc.tcp://127.0.0.1:{port}/gongfu"
    arguments = ("client.js", url, tmp_path, "甲", "口令-1", "资产|一号线|泵")
    found = await run_program(*arguments)
    assert found["error"]  # its certificate is not trusted yet
    stranger = next(
        k for k in trust.listing() if k.state == "rejected" and "foreign" in k.subject.lower() + str(k.uris)
    )
    trust.trust(stranger.fingerprint)
    changing = asyncio.create_task(_change(shown))
    try:
        found = await run_program(*arguments)
    finally:
        changing.cancel()
    assert "error" not in found, found
    assert found["typeName"] == "pump"
    nodes = found["nodes"]
    assert nodes["计数"]["kind"] == "Int64"
    assert nodes["运行"]["value"] is True
    assert nodes["状态"]["status"] == 0x808B0000
    assert nodes["压力"]["time"].startswith("2026-03-04T05:06:")
    assert found["write"] in ("BadUserAccessDenied", "BadNotWritable")
    assert len(found["changed"]) >= 2


async def _change(shown):
    step = 0
    while True:
        step += 1
        shown.values[1] = LatestPoint(float(step), 0, AT + step * 1_000_000)
        await asyncio.sleep(0.1)
