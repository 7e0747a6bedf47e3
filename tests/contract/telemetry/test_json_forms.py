"""The JSON forms as docs/telemetry.md describes them, against a real log and registry."""

import json

import pytest

from gongfu.ingest.types import Form
from gongfu.kernel.points import ValueType
from tests.fixtures.telemetry import NOW, Telemetry, points_of

MS = 1_000_000


async def test_form_a_takes_all_types_at_the_time_of_arrival(telemetry: Telemetry) -> None:
    receipt = await telemetry.send('{"temp":42.5,"count":3,"on":true,"state":"跑","spec":{"a":[1, 2]}}')
    assert (receipt.accepted, receipt.rejected, receipt.shed) == (5, {}, {})
    time = telemetry.clock.now
    assert await telemetry.stored() == {
        ("a1", "temp"): [(time, 0, 42.5)],
        ("a1", "count"): [(time, 0, 3.0)],
        ("a1", "on"): [(time, 0, True)],
        ("a1", "state"): [(time, 0, "跑")],
        ("a1", "spec"): [(time, 0, '{"a":[1,2]}')],
    }


async def test_form_b_gives_time_and_quality(telemetry: Telemetry) -> None:
    ts = NOW // MS - 5
    await telemetry.send(json.dumps({"ts": ts, "values": {"a": 1.5, "b": 2}, "quality": "bad"}))
    await telemetry.send('{"ts":"2023-11-14T22:13:20.000000001+00:00","values":{"a":2.5}}')
    await telemetry.send(json.dumps({"ts": ts + 2, "values": {"a": 3.5, "b": 4}, "quality": {"b": "uncertain"}}))
    assert await telemetry.stored() == {
        ("a1", "a"): [(ts * MS, 0x80, 1.5), ((ts + 2) * MS, 0, 3.5), (NOW + 1, 0, 2.5)],
        ("a1", "b"): [(ts * MS, 0x80, 2.0), ((ts + 2) * MS, 0x40, 4.0)],
    }


async def test_form_c_is_a_list_and_times_without_ts_differ(telemetry: Telemetry) -> None:
    receipt = await telemetry.send('[{"a":1},{"a":2},{"ts":1000,"values":{"a":3}},7]')
    assert (receipt.accepted, receipt.rejected) == (3, {"form_invalid": 1})
    now = telemetry.clock.now
    assert await telemetry.stored() == {("a1", "a"): [(1000 * MS, 0, 3.0), (now, 0, 1.0), (now + 1, 0, 2.0)]}


async def test_gateway_form_makes_child_assets(telemetry: Telemetry) -> None:
    document = {
        "泵 1": [{"ts": 1000, "values": {"p": 1.5}}],
        "line/pump": [{"p": 2.5}, {"ts": 2000, "values": {"q": 1}}],
    }
    receipt = await telemetry.send(json.dumps(document), Form.JSON_GATEWAY)
    assert (receipt.accepted, receipt.rejected) == (3, {})
    assert await telemetry.stored() == {
        ("a1/泵 1", "p"): [(1000 * MS, 0, 1.5)],
        ("a1/line/pump", "p"): [(telemetry.clock.now, 0, 2.5)],
        ("a1/line/pump", "q"): [(2000 * MS, 0, 1.0)],
    }


async def test_ndjson_lines_stand_alone(telemetry: Telemetry) -> None:
    lines = ['{"a":1}', "", '{"asset":"c","ts":1000,"values":{"a":2}}', "{", "[]", '{"ts":2000,"values":{"a":3}}\r']
    receipt = await telemetry.send("\n".join(lines), Form.NDJSON)
    assert (receipt.accepted, receipt.rejected) == (3, {"malformed_json": 1, "form_invalid": 1})
    assert receipt.detail.startswith("line 4")
    assert await telemetry.stored() == {
        ("a1", "a"): [(2000 * MS, 0, 3.0), (telemetry.clock.now, 0, 1.0)],
        ("a1/c", "a"): [(1000 * MS, 0, 2.0)],
    }


@pytest.mark.parametrize(
    ("payload", "rejected"),
    [
        ("", {"malformed_json": 1}),
        ("{", {"malformed_json": 1}),
        ('{"a":NaN}', {"malformed_json": 1}),
        ('{"a":Infinity}', {"malformed_json": 1}),
        ('{"a":-Infinity}', {"malformed_json": 1}),
        ('{"a":1e999}', {"malformed_json": 1}),
        ('{"a":"\\ud800"}', {"malformed_json": 1}),
        (b'{"a":"\xff"}', {"malformed_json": 1}),
        ("[" * 5000 + "]" * 5000, {"malformed_json": 1}),
        ("7", {"form_invalid": 1}),
        ('"text"', {"form_invalid": 1}),
        ('{"ts":1,"values":{"a":1,"b":2},"extra":1}', {"form_invalid": 2}),
        ('{"a":null}', {"null_value": 1}),
        ('{"":1}', {"name_invalid": 1}),
        ('{"a\\u0000":1}', {"name_invalid": 1}),
        ('{"a\\n":1}', {"name_invalid": 1}),
        (json.dumps({"x" * 201: 1}), {"name_invalid": 1}),
        ('{"ts":-1,"values":{"a":1}}', {"timestamp_invalid": 1}),
        ('{"ts":1.5,"values":{"a":1}}', {"timestamp_invalid": 1}),
        ('{"ts":true,"values":{"a":1}}', {"timestamp_invalid": 1}),
        ('{"ts":null,"values":{"a":1,"b":1}}', {"timestamp_invalid": 2}),
        ('{"ts":"yesterday","values":{"a":1}}', {"timestamp_invalid": 1}),
        ('{"ts":"2023-11-14T22:13:20","values":{"a":1}}', {"timestamp_invalid": 1}),
        ('{"ts":99999999999999999999,"values":{"a":1}}', {"timestamp_invalid": 1}),
        ('{"ts":9223372036855,"values":{"a":1}}', {"timestamp_invalid": 1}),
        ('{"ts":1700086400000,"values":{"a":1}}', {"timestamp_in_future": 1}),
        ('{"values":{"a":1},"quality":"fine"}', {"quality_invalid": 1}),
        ('{"values":{"a":1},"quality":{"a":3}}', {"quality_invalid": 1}),
        ('{"n":18446744073709551616}', {"integer_overflow": 1}),
        ('{"n":9223372036854775808}', {"integer_overflow": 1}),
        ('{"n":-9223372036854775809}', {"integer_overflow": 1}),
        (json.dumps({str(n): 1 for n in range(1001)}), {"too_many_points": 1001}),
        (json.dumps({"a": "x" * 100_000}), {"payload_too_large": 1}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value)[:40],
)
async def test_bad_payload_has_its_reason(telemetry: Telemetry, payload: str | bytes, rejected: dict[str, int]) -> None:
    receipt = await telemetry.send(payload)
    assert (receipt.accepted, receipt.rejected) == (0, rejected)
    assert 0 < len(receipt.detail) <= 200
    counters = telemetry.counters.snapshot()
    assert {f"points_rejected.{reason}": n for reason, n in rejected.items()}.items() <= counters.items()
    assert await telemetry.blocks() == []
    assert points_of(telemetry.engine) == {}


async def test_time_ahead_is_taken_up_to_the_bound(telemetry: Telemetry) -> None:
    edge = (telemetry.clock.now + MS) // MS + 300_000
    ahead = await telemetry.send(f'{{"ts":{edge + 1},"values":{{"a":1}}}}')
    at = await telemetry.send(f'{{"ts":{edge},"values":{{"a":1}}}}')
    day_old = await telemetry.send(f'{{"ts":{edge - 86_400_000 - 300_000},"values":{{"a":1}}}}')
    oldest = await telemetry.send('{"ts":0,"values":{"a":1}}')
    assert ahead.rejected == {"timestamp_in_future": 1}
    assert [at.accepted, day_old.accepted, oldest.accepted] == [1, 1, 1]


async def test_integers_beyond_doubles_make_int64_points_and_never_lose_digits(telemetry: Telemetry) -> None:
    big = 2**53 + 1
    await telemetry.send(f'{{"counter":{big},"level":1.5}}')
    assert points_of(telemetry.engine)["a1", "counter"].value_type is ValueType.INT64
    receipt = await telemetry.send(f'{{"counter":{2**63 - 1},"level":{big}}}')
    assert (receipt.accepted, receipt.rejected) == (1, {"precision_loss": 1})
    receipt = await telemetry.send('{"counter":1.5,"level":9007199254740992}')
    assert (receipt.accepted, receipt.rejected) == (1, {"type_mismatch": 1})
    receipt = await telemetry.send(f'{{"counter":{2**63},"level":1e300}}')
    assert (receipt.accepted, receipt.rejected) == (1, {"integer_overflow": 1})
    receipt = await telemetry.send(f'{{"counter":5,"level":{2**64}}}')
    assert (receipt.accepted, receipt.rejected) == (1, {"integer_overflow": 1})
    receipt = await telemetry.send('{"counter":5.0,"level":1e3}')
    assert receipt.accepted == 2
    stored = await telemetry.stored()
    assert [value for _, _, value in stored["a1", "counter"]] == [big, 2**63 - 1, 5, 5]
    assert [value for _, _, value in stored["a1", "level"]] == [1.5, 2.0**53, 1e300, 1000.0]


@pytest.mark.parametrize(
    ("first", "fits", "others"),
    [
        ("1.5", ["2", "-0.0"], ["true", '"x"', "{}", "[]"]),
        ("true", ["false"], ["1", "0", '"true"', "{}"]),
        ('"x"', ['""'], ["1", "true", "{}", "[1]"]),
        ("{}", ["[1]", '{"a":{}}'], ["1", "true", '"x"']),
        ("9007199254740993", ["1", "-9223372036854775808"], ["true", '"1"', "1.5", "[]"]),
    ],
)
async def test_type_of_a_point_is_fixed(telemetry: Telemetry, first: str, fits: list[str], others: list[str]) -> None:
    assert (await telemetry.send(f'{{"p":{first}}}')).accepted == 1
    for value in fits:
        assert (await telemetry.send(f'{{"p":{value}}}')).accepted == 1, value
    for value in others:
        receipt = await telemetry.send(f'{{"p":{value}}}')
        assert (receipt.accepted, receipt.rejected) == (0, {"type_mismatch": 1}), value
    assert len((await telemetry.stored())["a1", "p"]) == 1 + len(fits)


async def test_last_of_duplicate_names_counts(telemetry: Telemetry) -> None:
    assert (await telemetry.send('{"a":1,"a":2}')).accepted == 1
    assert [value for _, _, value in (await telemetry.stored())["a1", "a"]] == [2.0]


async def test_good_points_beside_bad_ones_are_kept(telemetry: Telemetry) -> None:
    await telemetry.send('{"a":1,"b":true}')
    receipt = await telemetry.send('{"a":2,"b":3,"c":null,"d":4}')
    assert (receipt.accepted, receipt.rejected) == (2, {"type_mismatch": 1, "null_value": 1})
    assert receipt.detail == "'b': number at a point of type boolean"


async def test_bad_child_names_are_rejected(telemetry: Telemetry) -> None:
    document = '{"":[{"a":1}],"x//y":[{"a":1,"b":2}],"/x":[{"ts":1,"values":{"a":1}}],"ok":[{"a":1}],"c\\t":{"a":1}}'
    receipt = await telemetry.send(document, Form.JSON_GATEWAY)
    assert (receipt.accepted, receipt.rejected) == (1, {"name_invalid": 5})
    assert (await telemetry.send("[]", Form.JSON_GATEWAY)).rejected == {"form_invalid": 1}


async def test_empty_payloads_are_nothing(telemetry: Telemetry) -> None:
    for payload, form in (("{}", Form.JSON), ("[]", Form.JSON), ("{}", Form.JSON_GATEWAY), ("\n", Form.NDJSON)):
        receipt = await telemetry.send(payload, form)
        assert (receipt.accepted, receipt.rejected, receipt.shed) == (0, {}, {})
