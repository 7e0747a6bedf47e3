"""Telemetry of assets with a thing model, through the columniser into a real log: every way, every policy."""

import asyncio
import json
import struct
from collections.abc import Mapping

import pytest
from sqlalchemy import select, update

from gongfu.ingest.types import Form, ReadingColumns, Receipt, Writer
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.registry.changes import RegistryChange
from gongfu.registry.tables import asset, drop_count, point
from gongfu.thing.instances import Instances, NewInstance, NewInstances
from gongfu.thing.service import ThingModels
from gongfu.thing.types import Field, Model, Property, Service, Validation
from tests.contract.telemetry.sparkplug_bytes import M, number
from tests.fixtures.telemetry import DEADLINE_S, NOW, Telemetry, points_of

ADMIN = Subject(1, "admin", 1, Role.ADMIN)
DOUBLE = 10
PUMP = Model(
    "pump",
    properties={
        "flow": Property("double", unit="m3/h", minimum=0, maximum=100),
        "heat": Property("double", unit="Cel", maximum=90, on_violation="uncertain"),
        "noise": Property("double", maximum=1, on_violation="accept"),
        "starts": Property("int64", minimum=0, maximum=2**62 + 1),
        "state": Property("string", choices=("run", "stop")),
        "on": Property("boolean"),
        "spec": Property("json"),
    },
    services={"start": Service({"speed": Field("double")})},
    validation=Validation(unknown="reject"),
)


def bind(telemetry: Telemetry, path: str, model: Model = PUMP) -> None:
    """Let an asset be of a model, before anything of it is in memory."""
    models = ThingModels(telemetry.engine, telemetry.clock)
    document, _ = models.create(ADMIN, model, publish=True)
    changes: list[RegistryChange] = []
    instances = Instances(telemetry.engine, telemetry.clock, changes.append)
    instances.bind(ADMIN, document.reference, NewInstances([NewInstance(path)]))
    assert changes[0].typed


async def drops(telemetry: Telemetry) -> dict[tuple[str, str], tuple[int, int, str]]:
    await telemetry.columniser._drops.flush()
    with telemetry.engine.connect() as connection:
        rows = connection.execute(select(drop_count))
        return {(row.kind, row.reason): (row.device_id, row.count, row.last_detail) for row in rows}


async def burst(telemetry: Telemetry, payloads: list[bytes], form: Form, context: str = "") -> list[Receipt]:
    """Submit payloads at one moment, as a front door does."""
    writer = telemetry.writers[0]
    futures: list[asyncio.Future[Receipt]] = []
    for payload in payloads:
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        telemetry.clock.now += 1_000_000
        telemetry.columniser.submit(writer, form, payload, telemetry.clock.now, future.set_result, context)
        futures.append(future)
    return await asyncio.wait_for(asyncio.gather(*futures), DEADLINE_S)


async def test_each_value_is_judged_by_its_property(telemetry: Telemetry) -> None:
    bind(telemetry, "a1")
    good = {"flow": 1.5, "heat": 20, "noise": 5, "starts": 3, "state": "run", "on": True, "spec": {"a": 1}}
    assert (await telemetry.send(json.dumps(good))).accepted == 7
    bad = {"flow": -1, "heat": 91, "noise": 6, "starts": 2**62 + 2, "state": "fly", "on": 1, "other": 2, "spec": []}
    receipt = await telemetry.send(json.dumps(bad))
    assert receipt.accepted == 3
    assert receipt.rejected == {"model_range": 3, "model_type": 1, "model_unknown_point": 1}
    assert "'flow': -1.0 is below the minimum 0 m3/h" in receipt.detail or "'on'" in receipt.detail
    assert (await telemetry.send(json.dumps({"starts": 2**62 + 1}))).accepted == 1
    stored = await telemetry.stored()
    assert [value for _, _, value in stored["a1", "flow"]] == [1.5]
    assert [(quality, value) for _, quality, value in stored["a1", "heat"]] == [(0, 20.0), (0x40, 91.0)]
    assert [(quality, value) for _, quality, value in stored["a1", "noise"]] == [(0, 5.0), (0, 6.0)]
    assert [value for _, _, value in stored["a1", "starts"]] == [3, 2**62 + 1]
    assert ("a1", "other") not in points_of(telemetry.engine)
    assert points_of(telemetry.engine)["a1", "starts"].value_type is ValueType.INT64
    found = await drops(telemetry)
    assert {key: (device, n) for key, (device, n, _) in found.items()} == {
        ("rejected", "model_range"): (1, 3),
        ("rejected", "model_type"): (1, 1),
        ("rejected", "model_unknown_point"): (1, 1),
        ("marked", "model_range"): (1, 1),
    }
    assert found["marked", "model_range"][2] == "'heat': 91.0 is above the maximum 90 Cel"
    assert telemetry.counters.snapshot()["points_rejected.model_range"] == 3


async def test_known_shapes_are_screened_together(telemetry: Telemetry) -> None:
    bind(telemetry, "a1")
    for n in range(4):
        assert (await telemetry.send(json.dumps({"ts": 1000 + n, "values": {"flow": n, "heat": n}}))).accepted == 2
    taken = telemetry.columniser._careful.take
    careful: list[bytes] = []

    def noted(job: object) -> None:
        careful.append(job.payload)  # pyright: ignore[reportAttributeAccessIssue]
        taken(job)  # pyright: ignore[reportArgumentType]

    telemetry.columniser._careful.take = noted
    payloads = [json.dumps({"ts": 2000 + n, "values": {"flow": n, "heat": n}}).encode() for n in range(95, 105)]
    receipts = await burst(telemetry, payloads, Form.JSON)
    assert [receipt.accepted for receipt in receipts] == [2] * 6 + [1] * 4
    assert [dict(receipt.rejected) for receipt in receipts] == [{}] * 6 + [{"model_range": 1}] * 4
    assert len(careful) == 10, "all are beyond 90 Cel"
    careful.clear()
    payloads = [json.dumps({"ts": 3000 + n, "values": {"flow": n, "heat": n}}).encode() for n in range(50)]
    assert [receipt.accepted for receipt in await burst(telemetry, payloads, Form.JSON)] == [2] * 50
    assert careful == []
    stored = await telemetry.stored()
    assert [value for _, _, value in stored["a1", "flow"]][-50:] == list(range(50))
    assert {quality for time, quality, _ in stored["a1", "heat"] if 2_000 <= time // 10**6 < 3000} == {0x40}


async def test_payloads_of_mixed_types_are_tested_by_their_plan(telemetry: Telemetry) -> None:
    bind(telemetry, "a1")
    good = {"flow": 1.5, "state": "run", "starts": 3, "on": True}
    assert (await telemetry.send(json.dumps(good))).accepted == 4
    taken = telemetry.columniser._careful.take
    careful: list[object] = []

    def noted(job: object) -> None:
        careful.append(job)
        taken(job)  # pyright: ignore[reportArgumentType]

    telemetry.columniser._careful.take = noted
    assert (await telemetry.send(json.dumps(good | {"state": "stop"}))).accepted == 4
    assert careful == []
    for change, reason in (
        ({"state": "fly"}, "model_range"),
        ({"flow": 101}, "model_range"),
        ({"starts": -1}, "model_range"),
        ({"state": 5}, "model_type"),
        ({"flow": "much"}, "model_type"),
    ):
        receipt = await telemetry.send(json.dumps(good | change))
        assert (receipt.accepted, dict(receipt.rejected)) == (3, {reason: 1})
    assert len(careful) == 5


async def test_gateway_messages_are_screened(telemetry: Telemetry) -> None:
    bind(telemetry, "a1/p 1")
    for n in range(3):
        document = {"p 1": [{"ts": 1000 + n, "values": {"flow": n}}], "q": [{"ts": 1000 + n, "values": {"flow": -n}}]}
        assert (await telemetry.send(json.dumps(document), Form.JSON_GATEWAY)).accepted == 2
    payloads = [
        json.dumps({"p 1": [{"ts": 2000 + n, "values": {"flow": n}}], "q": [{"ts": 2000 + n, "values": {"flow": n}}]})
        for n in (99, 100, 101, 5)
    ]
    receipts = await burst(telemetry, [payload.encode() for payload in payloads], Form.JSON_GATEWAY)
    assert [receipt.accepted for receipt in receipts] == [2, 2, 1, 2]
    assert dict(receipts[2].rejected) == {"model_range": 1}
    stored = await telemetry.stored()
    assert sorted(value for _, _, value in stored["a1/p 1", "flow"]) == [0, 1, 2, 5, 99, 100]
    assert len(stored["a1/q", "flow"]) == 7


async def test_sparkplug_metrics_are_screened(telemetry: Telemetry) -> None:
    bind(telemetry, "a1/g/e")

    def payload(*metrics: M) -> bytes:
        return number(1, NOW // 10**6) + b"".join(
            struct.pack("B", 2 << 3 | 2) + bytes([len(encoded)]) + encoded
            for encoded in (metric.encode() for metric in metrics)
        )

    birth = payload(M(DOUBLE, 1.0, "flow", alias=1), M(DOUBLE, 2.0, "heat", alias=2), M(DOUBLE, 2.0, "else", alias=3))
    receipt = await telemetry.send(birth, Form.SPARKPLUG, context="spBv1.0/g/NBIRTH/e")
    assert (receipt.accepted, dict(receipt.rejected)) == (2, {"model_unknown_point": 1})

    def data(n: float) -> bytes:
        time = NOW // 10**6 + int(n)
        return payload(M(DOUBLE, float(n), alias=1, timestamp=time), M(DOUBLE, float(n), alias=2, timestamp=time))

    for n in range(1, 5):
        assert (await telemetry.send(data(n), Form.SPARKPLUG, context="spBv1.0/g/NDATA/e")).accepted == 2
    receipts = await burst(telemetry, [data(n) for n in (88, 89, 90, 101, 7)], Form.SPARKPLUG, "spBv1.0/g/NDATA/e")
    assert [receipt.accepted for receipt in receipts] == [2, 2, 2, 1, 2]
    stored = await telemetry.stored()
    assert sorted(value for _, _, value in stored["a1/g/e", "flow"]) == [1, 1, 2, 3, 4, 7, 88, 89, 90]
    assert [quality for _, quality, value in stored["a1/g/e", "heat"] if value == 101] == [0x40]


async def test_readings_of_drivers_are_judged(telemetry: Telemetry) -> None:
    bind(telemetry, "a1")
    future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    times = [NOW + n for n in range(4)]
    bad = int(Quality.BAD)
    columns = ReadingColumns(
        "", ValueType.DOUBLE, ["flow", "x"], [0, 0, 0, 1], [1.0, 200.0, -9999.0, 1.0], times, [0, 0, bad, 0]
    )
    telemetry.columniser.submit_columns(telemetry.writers[0], [columns], NOW, future.set_result)
    receipt = await asyncio.wait_for(future, DEADLINE_S)
    assert (receipt.accepted, dict(receipt.rejected)) == (2, {"model_range": 1, "model_unknown_point": 1})
    stored = await telemetry.stored()
    # What its sender calls bad is no value, whatever stands there.
    assert [(quality, value) for _, quality, value in stored["a1", "flow"]] == [(0, 1.0), (bad, -9999.0)]


@pytest.mark.parametrize(("policy", "expected"), [("uncertain", 0x40), ("accept", 0)])
async def test_points_that_were_there_before_or_are_unknown(telemetry: Telemetry, policy: str, expected: int) -> None:
    """A point of another type than the model says keeps its type; the model says what becomes of its values."""
    assert (await telemetry.send('{"flow": "much"}')).accepted == 1
    rules = {"type": policy, "unknown": policy}
    bind(telemetry, "a1", Model("m", properties=PUMP.properties, validation=Validation(**rules)))  # pyright: ignore[reportArgumentType]
    await announce(telemetry, telemetry.writers[0].asset)
    assert (await telemetry.send('{"flow": "little", "other": 7}')).accepted == 2
    stored = await telemetry.stored()
    assert [(quality, value) for _, quality, value in stored["a1", "flow"]] == [(0, "much"), (expected, "little")]
    assert [(quality, value) for _, quality, value in stored["a1", "other"]] == [(expected, 7.0)]


async def announce(telemetry: Telemetry, key: int) -> None:
    """Announce another type of an asset, and wait until it is out of memory."""
    change = {"kind": "asset", "id": key, "name": "a1", "tenant": 1, "change": "updated", "typed": True}
    await telemetry.bus.publish(telemetry.subjects.event("registry"), json.dumps(change).encode())
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if key not in telemetry.columniser._tables:
                return
            await asyncio.sleep(0.02)


async def test_type_given_and_taken_back_takes_effect_while_data_flows(telemetry: Telemetry) -> None:
    writer: Writer = telemetry.writers[0]
    for n in range(3):
        assert (await telemetry.send(json.dumps({"ts": n + 1, "values": {"flow": 500}}))).accepted == 1
    bind(telemetry, "a1")
    await announce(telemetry, writer.asset)
    refused = await telemetry.send('{"ts": 10, "values": {"flow": 500}}')
    assert (refused.accepted, dict(refused.rejected)) == (0, {"model_range": 1})
    with telemetry.engine.begin() as connection:
        connection.execute(update(asset).where(asset.c.id == writer.asset).values(type="pump"))
    await announce(telemetry, writer.asset)
    payloads = [b'{"ts": %d, "values": {"flow": 500}}' % n for n in range(20, 30)]
    assert [receipt.accepted for receipt in await burst(telemetry, payloads, Form.JSON)] == [1] * 10


async def test_first_value_of_a_new_child_gets_the_type_and_unit_of_its_model(telemetry: Telemetry) -> None:
    models = ThingModels(telemetry.engine, telemetry.clock)
    models.create(ADMIN, PUMP, publish=True)
    with telemetry.engine.begin() as connection:
        row = {"tenant_id": 1, "parent_id": 1, "name": "c", "path": "a1/c", "type": "pump@1", "created_at": 0}
        connection.execute(asset.insert().values(attributes={}, **row))
    document: Mapping[str, object] = {"c": {"starts": 5, "flow": 1, "unknown": 1}}
    receipt = await telemetry.send(json.dumps(document), Form.JSON_GATEWAY)
    assert (receipt.accepted, dict(receipt.rejected)) == (2, {"model_unknown_point": 1})
    with telemetry.engine.connect() as connection:
        found = {row.name: (row.value_type, row.unit) for row in connection.execute(select(point))}
    assert found == {"starts": (ValueType.INT64, ""), "flow": (ValueType.DOUBLE, "m3/h")}
