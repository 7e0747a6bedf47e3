"""The columniser on its real neighbours: receipts, order, quotas, drop counts, several processes, PostgreSQL."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from nats.aio.client import Client
from sqlalchemy import Engine, select

from gongfu.ingest.types import Form, Receipt, Writer
from gongfu.kernel.points import ValueType
from gongfu.registry.tables import asset, drop_count, point
from gongfu.store.records.engine import open_records
from tests.fixtures.nats import NatsServer
from tests.fixtures.telemetry import Settings, Telemetry, make_registry, open_telemetry, points_of


async def test_receipts_come_after_durability_and_survive_a_kill(telemetry: Telemetry, nats_server: NatsServer) -> None:
    await telemetry.send('{"n":-1}')
    receipts: list[Receipt] = []
    settled = asyncio.Event()

    def done(receipt: Receipt) -> None:
        receipts.append(receipt)
        if len(receipts) == 300:
            settled.set()

    for n in range(300):
        if n == 150:
            nats_server.kill()
        telemetry.clock.now += 10**6
        telemetry.columniser.submit(telemetry.writers[0], Form.JSON, f'{{"n":{n}}}'.encode(), telemetry.clock.now, done)
        if n % 10 == 0:
            await asyncio.sleep(0.002)
    assert len(receipts) < 300
    nats_server.start()
    await asyncio.wait_for(settled.wait(), 30)
    assert {receipt.accepted for receipt in receipts} == {1}
    assert [value for _, _, value in (await telemetry.stored())["a1", "n"]] == [float(n) for n in range(-1, 300)]


async def test_payloads_of_a_device_keep_their_order_while_the_registry_is_asked(telemetry: Telemetry) -> None:
    receipts: list[Receipt] = []
    settled = asyncio.Event()

    def done(receipt: Receipt) -> None:
        receipts.append(receipt)
        if len(receipts) == 40:
            settled.set()

    for n in range(40):
        # Every fourth payload has a new name; all come in one go.
        telemetry.columniser.submit(
            telemetry.writers[0], Form.JSON, json.dumps({"n": n, f"new{n // 4}": n}).encode(), telemetry.clock.now, done
        )
    await asyncio.wait_for(settled.wait(), 20)
    assert sum(receipt.accepted for receipt in receipts) == 80
    stored = await telemetry.stored()
    assert [value for _, _, value in stored["a1", "n"]] == [float(n) for n in range(40)]
    times = [time for time, _, _ in stored["a1", "n"]]
    assert times == sorted(set(times)), "times of arrival are strictly monotonic"


async def test_quotas(telemetry: Telemetry) -> None:
    many = await telemetry.send(json.dumps({f"p{n}": n for n in range(600)}))
    assert (many.accepted, many.rejected) == (500, {"point_quota": 100})
    assert len(points_of(telemetry.engine)) == 500
    again = await telemetry.send('{"other":1,"p0":2}')
    assert (again.accepted, again.rejected) == (1, {"point_quota": 1})
    writer = telemetry.writers[1]
    document = {f"c{n}": {"a": 1} for n in range(25)}
    receipt = await telemetry.send(json.dumps(document), Form.JSON_GATEWAY, writer=writer)
    assert (receipt.accepted, receipt.rejected) == (20, {"asset_quota": 5})
    deep = await telemetry.send('{"x/y":{"a":1}}', Form.JSON_GATEWAY, writer=writer)
    assert deep.rejected == {"asset_quota": 1}
    # A name of an asset above its neighbours by one character is not below it.
    third = await telemetry.send('{"c":{"a":1}}', Form.JSON_GATEWAY, writer=telemetry.writers[2])
    assert third.accepted == 1


async def test_writer_without_asset_is_told_so(telemetry: Telemetry) -> None:
    for ghost in (replace(telemetry.writers[0], asset=999), replace(telemetry.writers[0], tenant=2, device=7)):
        receipt = await telemetry.send('{"a":1}', writer=ghost)
        assert (receipt.accepted, receipt.rejected) == (0, {"asset_unknown": 1})


async def test_drop_counts_add_up_in_the_registry(telemetry: Telemetry) -> None:
    for _ in range(2):
        await telemetry.send("{")
        await telemetry.send('{"a":1,"b":null}')
        await telemetry.columniser._drops.flush()
    with telemetry.engine.connect() as connection:
        rows = {row.reason: row for row in connection.execute(select(drop_count))}
    writer = telemetry.writers[0]
    assert {(row.tenant_id, row.device_id, row.kind) for row in rows.values()} == {(1, writer.device, "rejected")}
    assert {reason: row.count for reason, row in rows.items()} == {"malformed_json": 2, "null_value": 2}
    assert rows["null_value"].last_detail == "'b': value is null"
    assert rows["null_value"].last_at == telemetry.clock.now


async def test_log_that_stays_away_sheds_and_tells(
    bus: Client, nats_server: NatsServer, registry: tuple[Engine, list[Writer]]
) -> None:
    setup = await open_telemetry(bus, registry, Settings())
    await setup.send('{"a":1}')
    setup.columniser._log._deadline_s = 0.5
    nats_server.kill()
    known = asyncio.create_task(setup.send('{"a":2}'))
    other = asyncio.create_task(setup.send('[{"ts":1000,"values":{"a":3}},{"ts":2000,"values":{"a":true}}]'))
    assert await known == Receipt(0, {}, {"log_unavailable": 1})
    receipt = await other
    assert (receipt.accepted, receipt.rejected, receipt.shed) == (0, {"type_mismatch": 1}, {"log_unavailable": 1})
    assert setup.counters.snapshot()["points_shed.log_unavailable"] == 2
    assert not setup.columniser.log_available
    nats_server.start()
    assert (await setup.send('{"a":4}')).accepted == 1
    await setup.columniser.close()
    with setup.engine.connect() as connection:
        rows = connection.execute(select(drop_count.c.kind, drop_count.c.reason, drop_count.c.count)).all()
    assert set(map(tuple, rows)) == {("shed", "log_unavailable", 2), ("rejected", "type_mismatch", 1)}


async def test_registry_announcements_are_heard(telemetry: Telemetry) -> None:
    await telemetry.send('{"a":1}')
    with telemetry.engine.begin() as connection:
        connection.execute(point.delete())
    await telemetry.bus.publish(
        telemetry.subjects.event("registry"),
        b'{"kind":"asset","id":1,"name":"a1","tenant":1,"change":"deleted"}',
    )
    await telemetry.bus.publish(telemetry.subjects.event("registry"), b"not json")
    await telemetry.bus.flush()
    # Until the announcement is heard, the cached point refuses a boolean.
    async with asyncio.timeout(20):
        while (await telemetry.send('{"a":true}')).accepted != 1:
            await telemetry.bus.flush()
    assert points_of(telemetry.engine)["a1", "a"].value_type is ValueType.BOOLEAN


async def test_assets_spread_over_partitions(bus: Client, registry: tuple[Engine, list[Writer]]) -> None:
    setup = await open_telemetry(bus, registry, Settings(partitions=4))
    document = {f"c{n}": {"a": n} for n in range(12)}
    receipt = await setup.send(json.dumps(document), Form.JSON_GATEWAY)
    assert receipt.accepted == 12
    assert [value for (_, name), rows in (await setup.stored()).items() for _, _, value in rows if name == "a"]
    sizes = {block.tenant: 0 for block in await setup.blocks()}
    assert sizes == {1: 0}
    assert len(await setup.blocks()) > 1
    await setup.columniser.close()


async def race(bus: Client, url: str) -> None:
    """Two columnisers, as two front doors, meet the same new names at once."""
    registry = make_registry(url)
    settings = Settings(max_points_per_device=10_000, max_assets_per_device=1000)
    first = await open_telemetry(bus, registry, settings)
    second = await open_telemetry(bus, (open_records(url), registry[1]), settings)
    for round_ in range(5):
        document = {f"c{n}/d{round_}": {f"p{m}": float(n)} for n in range(10) for m in [round_ * 2, round_ * 2 + 1]}
        outcomes = await asyncio.gather(
            *(
                setup.send(json.dumps(document), Form.JSON_GATEWAY, writer=writer)
                for setup in (first, second)
                for writer in registry[1]
            )
        )
        assert {receipt.accepted for receipt in outcomes} == {10}
    with registry[0].connect() as connection:
        paths = connection.execute(select(asset.c.path)).scalars().all()
        names = connection.execute(select(point.c.asset_id, point.c.name)).all()
    assert len(paths) == len(set(paths)) == 3 + 3 * (10 + 50)
    assert len(names) == len(set(names)) == 3 * 50
    stored = await first.stored()
    assert set(stored) == set(points_of(registry[0]))
    assert all(len(rows) == 2 for rows in stored.values())
    for setup in (first, second):
        await setup.send("{")
        await setup.columniser.close()
        setup.engine.dispose()
    engine = open_records(url)
    with engine.connect() as connection:
        assert connection.execute(select(drop_count.c.reason, drop_count.c.count)).all() == [("malformed_json", 2)]
    engine.dispose()


async def test_two_doors_share_new_names_on_sqlite(bus: Client, tmp_path: Path) -> None:
    await race(bus, f"sqlite:///{tmp_path / 'shared.db'}")


async def test_two_doors_share_new_names_on_postgresql(bus: Client, postgres_url: str) -> None:
    await race(bus, postgres_url)
