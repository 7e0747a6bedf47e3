import msgspec
import pytest

from gongfu.tree.orders.kinds import Clock, Guard, KindError, OrderKind, Probe, Step, allow_list, checked, payload_error
from gongfu.tree.orders.types import MAX_PAYLOAD
from tests.unit.tree.orders.nodes import SECOND, order_kind


def test_a_kind_travels_as_json() -> None:
    kind = order_kind(clocks={Step.DELIVER: Clock(SECOND, SECOND, "province"), Step.VERIFY: Clock(2 * SECOND)})
    assert checked(kind) == kind
    assert msgspec.json.decode(msgspec.json.encode(kind), type=OrderKind) == kind


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "Block"}, "regex"),
        ({"name": "gf.block"}, "regex"),
        ({"may_issue": ()}, "length"),
        ({"approvals": -1}, ">= 0"),
        ({"guard": Guard(most_targets=0)}, ">= 1"),
        ({"guard": Guard(most_share=1.5)}, "<= 1"),
        ({"driver": ""}, "length"),
        ({"probe": Probe("x", every=0)}, "every"),
        ({"schema": {"type": "object", "maxProperties": 1}}, "/maxProperties"),
        ({"clocks": {Step.ACCEPT: Clock(5), Step.EXECUTE: Clock(4)}}, "execute must not be due before"),
    ],
)
def test_declarations_that_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(KindError, match=message):
        checked(order_kind(**changed))


def test_a_step_without_a_clock_is_not_compared() -> None:
    checked(order_kind(clocks={Step.ACCEPT: Clock(5), Step.EXECUTE: Clock(0), Step.VERIFY: Clock(5)}))


def test_a_payload_has_a_largest_size() -> None:
    kind = order_kind(schema={"type": "object"})
    at_most = b'{"a":"' + b"x" * (MAX_PAYLOAD - 8) + b'"}'
    assert payload_error(kind, at_most) == ""
    assert payload_error(kind, at_most.replace(b"x", b"xx", 1)) == f"{MAX_PAYLOAD + 1} bytes; at most {MAX_PAYLOAD}"


def test_a_node_adds_to_the_default_allow_list_and_takes_away() -> None:
    kinds = {kind.name: kind for kind in (order_kind(), order_kind(name="stop", allowed=False))}
    assert allow_list(kinds) == {"block"}
    assert allow_list(kinds, allowed=["stop"]) == {"block", "stop"}
    assert allow_list(kinds, allowed=["stop"], denied=["block", "stop"]) == frozenset()
