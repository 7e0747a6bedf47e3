"""Run rule documents of the demo through the node's own rule engine."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.types import Rule, RuleBody, check_body
from gongfu.store.twins.latest import Twins


def compile_rule(identifier: int, document: dict[str, Any]) -> Rule:
    body = msgspec.convert(document, RuleBody)
    return Rule(
        id=identifier,
        tenant=1,
        name=body.name,
        kind=body.kind,
        asset=body.asset,
        point=body.point,
        condition=check_body(body),
        priority=body.priority,
        message=body.message,
        enabled=body.enabled,
    )


def raises(document: dict[str, Any], times: Sequence[int], values: Sequence[float], block: int = 25) -> list[int]:
    """Return the source times (ns) at which the rule raises on one series, given in blocks in order of arrival."""
    engine = RuleEngine()
    engine.assign([Assignment(compile_rule(1, document), np.array([1], dtype=np.uint32))], Twins(), 0)
    found: list[int] = []
    for start in range(0, len(times), block):
        part = slice(start, start + block)
        count = len(times[part])
        columns = Columns(
            np.ones(count, dtype=np.uint32),
            np.array(times[part], dtype=np.int64),
            np.zeros(count, dtype=np.uint8),
            np.array(values[part], dtype=np.float64),
        )
        transitions = engine.evaluate(Block(1, 0, {ValueType.DOUBLE: columns}))
        found += [transition.time for transition in transitions if transition.raised]
    return found
