"""Orders and probes of an app on a bench: carried out once, refused with a reason, verified by the probe alone."""

from pathlib import Path

import pytest

from gongfu.appkit.contract import AppError
from gongfu.appkit.grants import asked_lines
from gongfu.appkit.manifest import ManifestError, parse_manifest
from gongfu.appkit.provided_kinds import RESERVED
from gongfu.appkit.testing import START_NS, Bench
from gongfu.node.drivers.builtin import builtin_kinds

MANIFEST = """\
[app]
id = "test.speed"
version = "1.0.0"
title = { zh = "限速", en = "Speed limit" }
[needs]
records = true
orders = ["speed-limit"]
probes = ["slow"]
[[needs.points]]
point = "speed"
[[needs.points]]
point = "limit"
access = "write"
[[provides.order_kinds]]
name = "speed-limit"
title = { zh = "限速", en = "Speed limit" }
can_roll_back = true
look = { after = "1s", every = "2s", within = "10s" }
[provides.order_kinds.schema]
type = "object"
required = ["asset", "limit"]
additionalProperties = false
properties = { asset = { type = "string" }, limit = { type = "number", minimum = 0 } }
"""
CODE = """\
from gongfu.appkit.contract import App, AppError, Context, Order, Question, Seen

app = App()


@app.order_kind("speed-limit", effect="slow")
def limit(context: Context, order: Order) -> str:
    asset, limit = order.body["asset"], float("nan") if order.rollback else order.body["limit"]
    context.records.execute("INSERT INTO calls VALUES (?)", order.key)
    if asset == "broken":
        raise AppError(409, "the drive does not answer")
    context.write(asset, "limit", [order.issued], [limit])
    return f"limit of {asset} set"


@app.probe("slow")
def slow(context: Context, question: Question) -> Seen:
    if question.body["asset"] == "meddler":
        context.write("meddler", "limit", [1], [1.0])
    if question.body["asset"] == "writer":
        context.records.execute("INSERT INTO calls VALUES ('probe')")
    speed = context.latest(question.body["asset"], "speed")
    if not len(speed.times) or speed.times[-1] < question.since:
        return Seen("unknown", "no speed since then")
    value = float(speed.values[-1])
    return Seen("present" if value <= question.body["limit"] else "absent", f"speed is {value:g}")
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "app.toml").write_text(MANIFEST)
    (tmp_path / "app.py").write_text(CODE)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_calls.sql").write_text("CREATE TABLE calls (key TEXT);")
    return Bench.load(tmp_path)


def calls(bench: Bench) -> list[str]:
    return [row["key"] for row in bench.context.records.query("SELECT key FROM calls")]


def test_an_order_is_carried_out_once_and_its_effect_is_what_the_probe_sees(bench: Bench) -> None:
    body = {"asset": "pump", "limit": 1000}
    order = bench.orders.give("speed-limit", body, id="order-1")
    assert (order.state, order.detail) == ("executed", "limit of pump set")
    again = bench.orders.give("speed-limit", body, id="order-1")
    assert (again.state, again.detail) == ("executed", "limit of pump set")
    assert calls(bench) == ["order-1/bench"]
    assert bench.written("pump", "limit").values.tolist() == [1000.0]
    bench.feed("pump", {"speed": [1400.0]}, [bench.now])
    assert bench.orders.verify(order).finding == "contradicted"
    assert order.evidence == "speed is 1400"
    bench.feed("pump", {"speed": [950.0]}, [bench.now])
    assert bench.orders.verify(again).finding == "verified"


def test_the_word_of_the_app_is_no_effect(bench: Bench) -> None:
    order = bench.orders.give("speed-limit", {"asset": "pump", "limit": 1000})
    before = bench.now
    assert bench.orders.verify(order).finding == "unverifiable"
    assert bench.now - before == 11 * 10**9
    assert order.evidence == "no speed since then"


def test_what_fails_leaves_nothing_in_the_records_and_says_why(bench: Bench) -> None:
    order = bench.orders.give("speed-limit", {"asset": "broken", "limit": 1})
    assert (order.state, order.detail) == ("failed", "the drive does not answer")
    assert calls(bench) == []


def test_what_is_not_of_the_schema_or_not_offered_is_refused(bench: Bench) -> None:
    wrong = bench.orders.give("speed-limit", {"asset": "pump"})
    assert wrong.state == "refused"
    assert "limit" in wrong.detail
    assert bench.orders.give("evacuate", {}).detail == "there is no kind 'evacuate' here"
    with pytest.raises(ValueError, match="was refused"):
        bench.orders.verify(wrong)
    assert calls(bench) == []


def test_an_effect_is_taken_back_under_a_key_of_its_own(bench: Bench) -> None:
    body = {"asset": "pump", "limit": 5}
    bench.orders.give("speed-limit", body, id="order-1")
    assert bench.orders.give("speed-limit", body, id="order-1", rollback=True).state == "rolled_back"
    assert calls(bench) == ["order-1/bench", "order-1/bench/rollback"]


def test_a_probe_changes_nothing(bench: Bench) -> None:
    order = bench.orders.give("speed-limit", {"asset": "meddler", "limit": 5})
    assert bench.orders.verify(order).finding == "unverifiable"
    assert "a probe only looks" in order.evidence
    with pytest.raises(AssertionError, match="readonly"):
        bench.orders.ask("slow", {"asset": "writer", "limit": 5})
    assert "probe" not in calls(bench)
    bench.context.records.execute("INSERT INTO calls VALUES ('afterwards')")


def test_only_a_probe_that_is_offered_is_asked_by_others(bench: Bench) -> None:
    bench.feed("pump", {"speed": [950.0]}, [START_NS + 1])
    assert bench.orders.ask("slow", {"asset": "pump", "limit": 1000}).sight == "present"
    with pytest.raises(PermissionError, match="probes"):
        bench.orders.ask("other")


def test_what_is_asked_for_is_shown() -> None:
    lines = asked_lines(parse_manifest(MANIFEST.encode()).needs)
    assert "carry out orders 'speed-limit' of nodes above" in lines
    assert "answer who asks its probe 'slow'" in lines


@pytest.mark.parametrize(
    ("old", "new", "member", "says"),
    [
        ('orders = ["speed-limit"]\n', "", "provides.order_kinds[0].name", "ask for it with [needs] orders"),
        ('orders = ["speed-limit"]', 'orders = ["speed-limit", "halt"]', "needs.orders", "halt is not described"),
        ("records = true\n", "", "needs.orders", "records = true"),
        ('name = "speed-limit"', 'name = "notice"', "provides.order_kinds[0].name", "comes with every node"),
        ('type = "object"\nrequired', 'type = "objekt"\nrequired', "provides.order_kinds[0].schema", "type must be"),
        ('every = "2s"', 'every = "2 weeks"', "provides.order_kinds[0].look", "not a duration"),
        ('name = "speed-limit"', 'name = "Speed"', "provides.order_kinds[0].name", "Expected `str` matching"),
    ],
)
def test_a_wrong_manifest_is_told_with_its_place(old: str, new: str, member: str, says: str) -> None:
    assert old in MANIFEST
    with pytest.raises(ManifestError) as caught:
        parse_manifest(MANIFEST.replace(old, new, 1).encode())
    assert caught.value.member == member
    assert caught.value.line > 0
    assert says in caught.value.detail


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('@app.order_kind("speed-limit"', '@app.order_kind("halt"', "the code has no @app.order_kind"),
        ('effect="slow"', 'effect="fast"', 'the code has no @app.probe("fast")'),
        ('@app.probe("slow")', '@app.probe("fast")', 'no @app.probe("slow")'),
    ],
)
def test_code_that_does_not_fit_its_manifest_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "app.toml").write_text(MANIFEST)
    (tmp_path / "app.py").write_text(CODE.replace(old, new))
    with pytest.raises(AssertionError) as caught:
        Bench.load(tmp_path)
    assert says in str(caught.value)


def test_reserved_names_are_those_of_the_kinds_that_come_with_a_node() -> None:
    assert {kind.name for kind in builtin_kinds()} == RESERVED


def test_a_transaction_that_the_function_ends_is_an_error(bench: Bench) -> None:
    records = bench.context.records

    def work() -> str:
        records.execute("COMMIT")
        return ""

    with pytest.raises(AppError, match="was ended by its function"):
        records.once("key", 1, work)  # type: ignore[attr-defined]
