"""The rule engine: CPU time a point, and what a hundred thousand rules cost. One process, one thread, CPU time.

Blocks hold 65,536 points; ``wide`` ones hold each series once, ``deep`` ones 32 samples each of 2,048 series. One point
in a thousand is beyond its limit. The bar of the issue is that of a threshold with hysteresis at a million series;
"live rules on 2 cores" is told as the share of a core that a point a second from each of 100,000 rules takes.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from sqlalchemy import insert

from benchmarks.ingest.report import Row
from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.compiler import Compiler
from gongfu.reason.rule_change import Present, prepare_change, take_change
from gongfu.reason.rules import records
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.types import Kind, Priority, Rule, parse_condition
from gongfu.registry.tables import asset, point, tenant
from gongfu.store.records.engine import open_records, writing
from gongfu.store.records.migrations import migrate
from gongfu.store.twins.latest import Twins

SERIES, RULES = 1_000_000, 100_000
POINTS, BLOCKS, WARM = 65_536, 20, 4
START = 1_700_000_000 * SECOND
THRESHOLD: dict[str, Any] = {"direction": "above", "limit": 3.09, "deadband": 0.2}
WINDOW = {"direction": "above", "limit": 3.09, "aggregate": "mean"}
OTHERS: dict[str, tuple[Kind, float | None, dict[str, Any]]] = {
    "threshold that waits 2 s for late samples": (Kind.THRESHOLD, 2.0, THRESHOLD),
    "tumbling mean of 10 s": (Kind.WINDOW, None, {**WINDOW, "window": "tumbling", "size_s": 10.0}),
    "sliding mean of 60 s every 10 s": (
        Kind.WINDOW,
        None,
        {**WINDOW, "window": "sliding", "size_s": 60.0, "every_s": 10.0},
    ),
    "pattern of 2 points": (Kind.PATTERN, None, {"expression": "a > 3 and b < 0"}),
    "deviation from 9 siblings every 10 s": (
        Kind.DEVIATION,
        None,
        {"against": "median", "direction": "above", "limit": 5.0},
    ),
}


def rows() -> list[Row]:
    """Return the measurements; see the module."""
    found: list[Row] = []
    for deep in (False, True):
        engine = RuleEngine(10**9)
        engine.assign([assigned(rule(Kind.THRESHOLD, None, THRESHOLD), SERIES)], Twins(), START)
        name = f"threshold with hysteresis, 1 M series, {'deep' if deep else 'wide'} blocks: CPU"
        found.append(Row(name, cost(engine, SERIES, deep), "us/point", 0.2))
    for name, (kind, lateness, condition) in OTHERS.items():
        engine = RuleEngine(10**9)
        engine.assign([assigned(rule(kind, lateness, condition), RULES)], Twins(), START)
        found.append(Row(f"{name}, 100,000 series: CPU", cost(engine, RULES, False), "us/point"))
    return found + instances() + single_point_rules()


def rule(kind: Kind, lateness: float | None, condition: dict[str, Any], key: int = 1) -> Rule:
    """Return a rule."""
    return Rule(
        id=key, tenant=1, name=f"r{key}", kind=kind, asset="**", point="*", condition=parse_condition(kind, condition),
        priority=Priority.LOW, message="", enabled=True, lateness_s=lateness,
    )  # fmt: skip


def assigned(of: Rule, series: int) -> Assignment:
    """Return a rule with series 1 to ``series``; siblings are ten each."""
    ids = np.arange(1, series + 1, dtype=np.uint32)
    if of.kind is Kind.PATTERN:
        members = ids.reshape(-1, 2)
        one = np.ones(members.shape)
        return Assignment(of, members[:, 0].copy(), members=members, factor=one, offset=0 * one)
    if of.kind is Kind.DEVIATION:
        return Assignment(of, ids, labels=ids.astype(np.int64) // 10, factor=np.ones(series), offset=np.zeros(series))
    return Assignment(of, ids)


def blocks(series: int, deep: bool) -> list[Block]:
    """Return blocks a second of source time apart."""
    choose = np.random.default_rng(1)
    made: list[Block] = []
    for number in range(BLOCKS):
        if deep:
            ids = np.tile(choose.permutation(series)[:2048] + 1, POINTS // 2048)
            times = START + (number * 32 + np.arange(POINTS) // 2048) * SECOND
        else:
            ids = choose.permutation(series)[:POINTS] + 1
            times = np.full(len(ids), START + number * SECOND)
        n = len(ids)
        columns = Columns(ids.astype(np.uint32), times.astype(np.int64), np.zeros(n, np.uint8), choose.normal(size=n))
        made.append(Block(1, START + number * SECOND, {ValueType.DOUBLE: columns}))
    return made


def cost(engine: RuleEngine, series: int, deep: bool) -> float:
    """Return CPU microseconds a point."""
    data = blocks(series, deep)
    for block in data[:WARM]:
        engine.evaluate(block)
    begin = process_time()
    for block in data[WARM:]:
        engine.evaluate(block)
    return (process_time() - begin) / sum(len(block) for block in data[WARM:]) * 1e6


def instances() -> list[Row]:
    """Return what 1,000,000 live instances of ten rules cost a second, with a point a second each."""
    engine = RuleEngine(10**9)
    rules = [rule(Kind.THRESHOLD, None, {**THRESHOLD, "limit": 3.0 + key / 10}, key) for key in range(10)]
    engine.assign([assigned(item, RULES) for item in rules], Twins(), START)
    share = cost(engine, RULES, False) * RULES / 1e6
    begin = process_time()
    for second in range(20):
        engine.tick(START + second * SECOND, 0)
    return [
        Row("live instances of 10 rules on 100,000 points, a point a second each", engine.instances, "instances"),
        Row("share of one core they take", share + (process_time() - begin) / 20, "cores", 1.0),
    ]


def single_point_rules() -> list[Row]:
    """Return what 100,000 rules of one point each cost: compile, memory, evaluate, one of them changed."""
    with tempfile.TemporaryDirectory() as directory:
        engine = open_records(f"sqlite:///{Path(directory) / 'records.db'}")
        migrate(engine)
        fill(engine)
        compiler, rule_engine, twins = Compiler(engine), RuleEngine(10**9), Twins()
        program, compiled = timed(compiler.rules)
        _, assigned_in = timed(lambda: rule_engine.assign(program.assignments(), twins, START))
        program.settle()
        share = cost(rule_engine, RULES, False) * RULES / 1e6
        with writing(engine) as connection:
            body = records.get(connection, 1, RULES // 2)
            assert body is not None
            records.change(connection, 1, body.id, replaced(body), 2)
        present = Present(program, rule_engine.rules, rule_engine.outlines(), program.revision)
        change, beside = timed(lambda: prepare_change(compiler, present))
        _, held = timed(lambda: take_change(change, [], rule_engine, twins, START))
        engine.dispose()
    return [
        Row("100,000 rules of one point each: compile", compiled + assigned_in, "CPU-s"),
        Row("their state", rule_engine.nbytes / RULES, "B/rule"),
        Row("share of one core with a point a second each", share, "cores", 1.0),
        Row("one rule changed: compiled beside the feed", beside, "CPU-s"),
        Row("one rule changed: taken over, the feed waits", held, "CPU-s", 0.02),
    ]


def replaced(of: Rule) -> Any:
    """Return a rule with another limit."""
    import msgspec

    return msgspec.structs.replace(of.body(), condition={**THRESHOLD, "limit": 4.0})


def timed(act: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call gives and its CPU time, s."""
    begin = process_time()
    return act(), process_time() - begin


def fill(engine: Any) -> None:
    """Write 1,000 assets of 100 points, and a rule for each."""
    names = [f"a{number}" for number in range(1000)]
    with writing(engine) as connection:
        connection.execute(insert(tenant), [{"id": 1, "name": "t", "created_at": 1}])
        values = {"tenant_id": 1, "type": "", "attributes": {}, "created_at": 1}
        connection.execute(
            insert(asset), [{"id": key, "name": name, "path": name, **values} for key, name in enumerate(names, 1)]
        )
        further = {"tenant_id": 1, "unit": "", "value_type": int(ValueType.DOUBLE), "description": "", "created_at": 1}
        pairs = [(key, place) for key in range(1, 1001) for place in range(100)]
        for some in range(0, RULES, 10_000):
            chunk = pairs[some : some + 10_000]
            connection.execute(
                insert(point), [{"asset_id": key, "name": f"p{place}", **further} for key, place in chunk]
            )
            connection.execute(
                insert(records.rule),
                [
                    {
                        "tenant_id": 1, "name": f"{key}/{place}", "kind": "threshold", "asset": names[key - 1],
                        "point": f"p{place}", "condition": {**THRESHOLD, "limit": 3.0 + place / 1000},
                        "priority": "low", "message": "", "enabled": True, "created_at": 1, "updated_at": 1,
                    }
                    for key, place in chunk
                ],
            )  # fmt: skip
