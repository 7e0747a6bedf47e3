"""What ``gongfu order watch`` calls a success."""

from typing import Any

import pytest

from gongfu.node.cli.order_watch import succeeded


@pytest.mark.parametrize(
    ("totals", "revoked", "expected"),
    [
        ({"verified": 3}, False, True),
        ({"verified": 2, "contradicted": 1}, False, False),
        ({"verified": 2, "unverifiable": 1}, False, False),
        ({"verified": 3}, True, False),
        ({"rolled_back_verified": 2, "revoked": 1, "refused": 1}, True, True),
        ({"rolled_back_verified": 2, "contradicted": 1}, True, False),
        ({}, False, False),
    ],
)
def test_an_effect_counts_when_it_was_verified_everywhere(
    totals: dict[str, int], revoked: bool, expected: bool
) -> None:
    order: dict[str, Any] = {"state": "closed", "targets": sum(totals.values()), "totals": totals, "revoked": revoked}
    assert succeeded(order) is expected
    assert succeeded({**order, "state": "discarded"}) is False
