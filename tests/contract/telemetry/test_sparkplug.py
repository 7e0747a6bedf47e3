"""Sparkplug B payloads against a real log and registry."""

import math

import pytest

from gongfu.ingest.types import Form, Receipt
from gongfu.kernel.points import ValueType
from tests.contract.telemetry.sparkplug_bytes import M, payload
from tests.fixtures.telemetry import NOW, Telemetry, points_of

MS = 1_000_000
T = NOW // MS


async def send(telemetry: Telemetry, kind: str, metrics: list[M], where: str = "edge", **more: int) -> Receipt:
    topic = f"spBv1.0/厂 A/{kind}/{where}"
    return await telemetry.send(payload(metrics, **more), Form.SPARKPLUG, context=topic)


async def test_births_name_the_aliases_of_data(telemetry: Telemetry) -> None:
    await send(telemetry, "NBIRTH", [M(8, 7, "bdSeq"), M(10, 1.5, "temp", alias=1), M(11, True, "on", 2)], timestamp=T)
    await send(telemetry, "DBIRTH", [M(3, -5, "level", 1), M(12, "跑", "state", 2)], "edge/pump", timestamp=T + 1)
    for step in range(2, 5):
        # The second and third of these take the planned way.
        data = [M(10, step + 0.5, alias=1, typed=False), M(11, False, alias=2, typed=False)]
        assert (await send(telemetry, "NDATA", data, timestamp=T + step)).accepted == 2
        data = [M(3, -step, alias=1, typed=False, timestamp=T + step + 10), M(12, "", alias=2, typed=False)]
        assert (await send(telemetry, "DDATA", data, "edge/pump", timestamp=T + step)).accepted == 2
    times = [T * MS, *((T + step) * MS for step in range(2, 5))]
    assert await telemetry.stored() == {
        ("a1/厂 A/edge", "temp"): list(zip(times, [0] * 4, [1.5, 2.5, 3.5, 4.5], strict=True)),
        ("a1/厂 A/edge", "on"): list(zip(times, [0] * 4, [True, False, False, False], strict=True)),
        ("a1/厂 A/edge/pump", "level"): [
            ((T + 1) * MS, 0, -5.0),
            *(((T + step + 10) * MS, 0, -float(step)) for step in range(2, 5)),
        ],
        ("a1/厂 A/edge/pump", "state"): [
            ((T + 1) * MS, 0, "跑"),
            *(((T + step) * MS, 0, "") for step in range(2, 5)),
        ],
    }


async def test_every_data_type_has_its_column(telemetry: Telemetry) -> None:
    cases: list[tuple[int, object, ValueType, object]] = [
        (1, -128, ValueType.DOUBLE, -128.0),
        (2, -32768, ValueType.DOUBLE, -32768.0),
        (3, -(2**31), ValueType.DOUBLE, -(2.0**31)),
        (4, -(2**63), ValueType.INT64, -(2**63)),
        (5, 255, ValueType.DOUBLE, 255.0),
        (6, 65535, ValueType.DOUBLE, 65535.0),
        (7, 2**32 - 1, ValueType.DOUBLE, 2.0**32 - 1),
        (8, 2**63 - 1, ValueType.INT64, 2**63 - 1),
        (9, 0.5, ValueType.DOUBLE, 0.5),
        (10, 0.1, ValueType.DOUBLE, 0.1),
        (11, True, ValueType.BOOLEAN, True),
        (12, "x", ValueType.STRING, "x"),
        (13, T, ValueType.INT64, T),
        (14, "text", ValueType.STRING, "text"),
        (15, "0b9b9a3e-0000-4000-8000-000000000000", ValueType.STRING, "0b9b9a3e-0000-4000-8000-000000000000"),
    ]
    metrics = [M(kind, value, f"m{kind}", alias=kind) for kind, value, _, _ in cases]
    for step in range(3):
        assert (await send(telemetry, "NBIRTH", metrics, timestamp=T + step)).accepted == len(cases)
        assert (await send(telemetry, "NDATA", metrics, timestamp=T + step + 10)).accepted == len(cases)
    points, stored = points_of(telemetry.engine), await telemetry.stored()
    for kind, _, value_type, value in cases:
        key = ("a1/厂 A/edge", f"m{kind}")
        assert points[key].value_type is value_type
        assert [entry for _, _, entry in stored[key]] == [value] * 6, kind


async def test_int8_of_one_byte_is_signed_too(telemetry: Telemetry) -> None:
    metric = M(1, 0, "m")
    metric.value = 0x80
    await send(telemetry, "NDATA", [metric], timestamp=T)
    assert [value for _, _, value in (await telemetry.stored())["a1/厂 A/edge", "m"]] == [-128.0]


@pytest.mark.parametrize("kind", [0, 17, 18, 20, 21, 99])
async def test_data_types_without_column_are_counted(telemetry: Telemetry, kind: int) -> None:
    receipt = await send(telemetry, "NBIRTH", [M(kind, b"x", "odd"), M(10, 1.0, "temp")], timestamp=T)
    assert (receipt.accepted, receipt.rejected) == (1, {"datatype_unsupported": 1})
    assert set(points_of(telemetry.engine)) == {("a1/厂 A/edge", "temp")}


async def test_alias_without_birth_is_rejected(telemetry: Telemetry) -> None:
    data = [M(10, 1.0, alias=5, typed=False), M(10, 1.0, alias=6)]
    assert (await send(telemetry, "NDATA", data, timestamp=T)).rejected == {"alias_unknown": 2}
    await send(telemetry, "NBIRTH", [M(10, 1.0, "temp", alias=5)], timestamp=T)
    receipt = await send(telemetry, "NDATA", data, timestamp=T + 1)
    assert (receipt.accepted, receipt.rejected) == (1, {"alias_unknown": 1})
    # Another sender has births of its own.
    topic = "spBv1.0/厂 A/NDATA/edge"
    other = await telemetry.send(payload(data), Form.SPARKPLUG, writer=telemetry.writers[1], context=topic)
    assert other.rejected == {"alias_unknown": 2}


@pytest.mark.parametrize("end", ["NDEATH", "NBIRTH"])
async def test_death_or_new_birth_of_the_node_ends_births_of_its_devices(telemetry: Telemetry, end: str) -> None:
    await send(telemetry, "NBIRTH", [M(10, 1.0, "temp", alias=1)], timestamp=T)
    await send(telemetry, "DBIRTH", [M(10, 1.0, "temp", alias=1)], "edge/pump", timestamp=T)
    data = [M(10, 2.0, alias=1, typed=False)]
    assert (await send(telemetry, "DDATA", data, "edge/pump", timestamp=T + 1)).accepted == 1
    receipt = await send(telemetry, end, [M(8, 1, "bdSeq")], timestamp=T + 2)
    # A death leaves a stale value at each point; a birth without measurements leaves nothing.
    assert (receipt.accepted, receipt.rejected) == (2 if end == "NDEATH" else 0, {})
    assert (await send(telemetry, "DDATA", data, "edge/pump", timestamp=T + 3)).rejected == {"alias_unknown": 1}


async def test_null_nan_quality_and_history(telemetry: Telemetry) -> None:
    metrics = [
        M(10, null=True, name="a"),
        M(10, None, name="b"),
        M(10, math.nan, name="c"),
        M(9, -math.inf, name="d"),
        M(10, 1.0, name="e", quality=0),
        M(10, 1.0, name="f", quality=192),
        M(10, 1.0, name="g", quality=500),
        M(10, 1.0, name="h", quality=7),
        M(10, 1.0, name="i", historical=True, timestamp=1000),
    ]
    receipt = await send(telemetry, "NBIRTH", metrics, timestamp=T)
    # A metric that says that it has no value has a point, which says so; one that says nothing is rejected.
    assert (receipt.accepted, receipt.rejected) == (8, {"null_value": 1})
    assert telemetry.counters.snapshot()["points_marked.null_value"] == 1
    stored = {name: rows[0] for (_, name), rows in (await telemetry.stored()).items()}
    assert {name: quality for name, (_, quality, _) in stored.items()} == {
        "a": 0x84, "c": 0x81, "d": 0x81, "e": 0x80, "f": 0, "g": 0x82, "h": 0x40, "i": 0,
    }  # fmt: skip
    assert math.isnan(stored["c"][2])  # type: ignore[arg-type]
    assert stored["d"][2] == -math.inf
    assert stored["i"][0] == 1000 * MS


async def test_nan_on_the_planned_way_is_marked_too(telemetry: Telemetry) -> None:
    await send(telemetry, "NBIRTH", [M(10, 1.0, "a", alias=1), M(10, 1.0, "b", alias=2)], timestamp=T)
    for step, value in enumerate([2.0, math.nan, math.inf, 3.0], start=1):
        data = [M(10, value, alias=1, typed=False), M(10, 5.0, alias=2, typed=False)]
        assert (await send(telemetry, "NDATA", data, timestamp=T + step)).accepted == 2
    stored = await telemetry.stored()
    assert [quality for _, quality, _ in stored["a1/厂 A/edge", "a"]] == [0, 0, 0x81, 0x81, 0]
    assert [quality for _, quality, _ in stored["a1/厂 A/edge", "b"]] == [0] * 5


async def test_times_and_integers_out_of_bounds(telemetry: Telemetry) -> None:
    metrics = [
        M(10, 1.0, "future", timestamp=T + 86_400_000),
        M(10, 1.0, "beyond", timestamp=2**63),
        M(8, 2**63, "big"),
        M(10, 1.0, "none"),
    ]
    receipt = await send(telemetry, "NBIRTH", metrics)
    assert receipt.accepted == 1
    assert receipt.rejected == {"timestamp_in_future": 1, "timestamp_invalid": 1, "integer_overflow": 1}
    rows = (await telemetry.stored())["a1/厂 A/edge", "none"]
    assert rows == [(telemetry.clock.now // MS * MS, 0, 1.0)]


async def test_planned_way_refuses_the_future_too(telemetry: Telemetry) -> None:
    metrics = [M(10, 1.0, "a", alias=1), M(10, 1.0, "b", alias=2)]
    for _ in range(3):
        assert (await send(telemetry, "NBIRTH", metrics, timestamp=T)).accepted == 2
    assert (await send(telemetry, "NDATA", metrics, timestamp=T + 86_400_000)).rejected == {"timestamp_in_future": 2}


async def test_type_of_a_point_is_fixed(telemetry: Telemetry) -> None:
    await send(telemetry, "NBIRTH", [M(10, 1.5, "a"), M(4, 1, "n"), M(11, True, "b")], timestamp=T)
    receipt = await send(telemetry, "NBIRTH", [M(12, "x", "a"), M(10, 1.5, "n"), M(3, 1, "b")], timestamp=T)
    assert receipt.rejected == {"type_mismatch": 3}
    receipt = await send(telemetry, "NBIRTH", [M(4, 2**53 + 1, "a"), M(3, -7, "n"), M(11, False, "b")], timestamp=T + 1)
    assert (receipt.accepted, receipt.rejected) == (2, {"precision_loss": 1})


@pytest.mark.parametrize(
    "topic",
    [
        "", "spBv1.0", "spBv1.0/g/NBIRTH", "spBv1.0/g/NBIRTH/e/d", "spBv1.0/g/DDATA/e", "spBv1.0/g/NCMD/e",
        "spAv1.0/g/NDATA/e", "spBv1.0//NDATA/e", "spBv1.0/g/DDATA/e/d/x",
    ],
)  # fmt: skip
async def test_other_topics_are_refused(telemetry: Telemetry, topic: str) -> None:
    receipt = await telemetry.send(payload([M(10, 1.0, "a")]), Form.SPARKPLUG, context=topic)
    assert receipt.rejected == {"form_invalid": 1}


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x12\x05\x0a", b"{}", payload([M(10, 1.0, "a")])[:-3]])
async def test_damaged_payload_is_malformed(telemetry: Telemetry, data: bytes) -> None:
    receipt = await telemetry.send(data, Form.SPARKPLUG, context="spBv1.0/g/NBIRTH/e")
    assert (receipt.accepted, receipt.rejected) == (0, {"malformed_sparkplug": 1})


async def test_text_that_is_not_utf8_is_malformed(telemetry: Telemetry) -> None:
    good = payload([M(12, "abc", "name")], timestamp=T)
    receipt = await telemetry.send(good.replace(b"abc", b"a\xffc"), Form.SPARKPLUG, context="spBv1.0/g/NDATA/e")
    assert receipt.rejected == {"malformed_sparkplug": 1}
    for kind in ("NBIRTH", "NDATA"):
        bad = good.replace(b"name", b"na\xffe")
        receipt = await telemetry.send(bad, Form.SPARKPLUG, context=f"spBv1.0/g/{kind}/e")
        assert receipt.rejected == {"malformed_sparkplug": 1}
