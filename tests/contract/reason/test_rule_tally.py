"""How many points a new rule applies to: counted by the database, and the same as matching point by point."""

from typing import Any

import pytest
from sqlalchemy import Engine

from gongfu.kernel.points import ValueType
from gongfu.reason.rules import matching
from gongfu.reason.rules.matching import RuleBook, tally
from gongfu.reason.rules.records import add
from gongfu.reason.rules.types import Kind
from gongfu.store.records.engine import writing
from tests.contract.reason.plant import Plant, body

_PLAIN = [("**", "*"), ("plant/**", "*"), ("plant/**", "temp"), ("plant/l1**", "temp"), ("**", "none"), ("x/**", "*")]
_OTHERS = [("plant/*", "*"), ("plant/l1", "*"), ("plant/**", "t*"), ("**/m1", "temp"), ("pl?nt/**", "*")]


def _fill(engine: Engine) -> None:
    plant = Plant(engine)
    for path in ("plant", "plant/l1", "plant/l1/m1", "plant/l10", "plants/l1", "other/m1"):
        for name, kind in (("temp", ValueType.DOUBLE), ("tag", ValueType.STRING), ("n", ValueType.INT64)):
            plant.point(path, name, kind)
    plant.point("plant/l1", "temp", of=2)


@pytest.mark.parametrize("kind", [Kind.THRESHOLD, Kind.ABSENCE])
def test_tally_is_matching_point_by_point(records: Engine, kind: Kind) -> None:
    _fill(records)
    condition: dict[str, Any] = {"timeout_s": 10.0} if kind is Kind.ABSENCE else {"direction": "above", "limit": 1.0}
    for asset, point in _PLAIN + _OTHERS:
        with writing(records) as connection:
            rule = add(connection, 1, body(kind=kind, asset=asset, point=point, condition=condition), 1)
            slow = RuleBook([rule]).compile(connection)[rule.id]
            quick = tally(connection, rule)
        assert (quick.count, quick.texts) == (slow.count, slow.texts), (asset, point)


def test_plain_patterns_read_no_points(records: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(records)

    def refuse(*_: Any) -> Any:
        raise AssertionError("points were read")

    monkeypatch.setattr(matching, "points_for", refuse)
    for asset, point in _PLAIN:
        with writing(records) as connection:
            tally(connection, add(connection, 1, body(asset=asset, point=point), 1))
