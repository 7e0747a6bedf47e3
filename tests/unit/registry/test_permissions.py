"""Every action with every role: who may do what, written out once more by hand."""

import itertools

import pytest

from gongfu.kernel.permissions import NODE_TENANT, Action, Role, Subject, can

TABLE = """
                    admin  engineer  operator  viewer
data.read             x       x         x        x
data.sql              x       x         x        -
alarm.acknowledge     x       x         x        -
device.send           x       x         -        -
device.write          x       x         -        -
asset.write           x       x         -        -
point.write           x       x         -        -
rule.write            x       x         -        -
event.write           x       x         -        -
user.write            x       -         -        -
tenant.write          x       -         -        -
node.operate          x       -         -        -
telemetry.write       -       -         -        -
tree.write            x       -         -        -
order.answer          x       x         x        -
order.write           x       x         -        -
order.approve         x       x         -        -
report.write          x       x         -        -
identifier.write      x       x         -        -
identifier.review     x       -         -        -
app.rate              x       x         x        -
app.publish           x       x         -        -
app.review            x       -         -        -
app.install           x       -         -        -
call.make             x       x         -        -
call.write            x       -         -        -
"""
# Only users of the node's own tenant may, and then whatever the tenant of the resource.
NODE_ONLY = {
    "tenant.write",
    "node.operate",
    "tree.write",
    "order.answer",
    "order.write",
    "order.approve",
    "report.write",
    "identifier.write",
    "identifier.review",
    "app.review",
    "call.make",
    "call.write",
}

ROWS = [line.split() for line in TABLE.strip().splitlines()]
GRANTED = {(row[0], role): mark == "x" for row in ROWS[1:] for role, mark in zip(ROWS[0], row[1:], strict=True)}


@pytest.mark.parametrize(("action", "role"), list(itertools.product(Action, Role)))
def test_role_in_its_own_tenant(action: Action, role: Role) -> None:
    subject = Subject(1, "u", NODE_TENANT, role)
    assert can(subject, action) is GRANTED[action.value, role.value]
    assert can(subject, action, NODE_TENANT) is GRANTED[action.value, role.value]


@pytest.mark.parametrize(("action", "role"), list(itertools.product(Action, Role)))
def test_role_of_another_tenant_does_not_operate_the_node(action: Action, role: Role) -> None:
    subject = Subject(1, "u", 7, role)
    expected = GRANTED[action.value, role.value] and action.value not in NODE_ONLY
    assert can(subject, action) is expected


@pytest.mark.parametrize(("action", "role"), list(itertools.product(Action, Role)))
def test_no_role_reaches_into_another_tenant(action: Action, role: Role) -> None:
    assert can(Subject(1, "u", 7, role), action, 8) is False
    # Admins of the node write users of other tenants; their tenant and node rights have no tenant.
    if action.value in NODE_ONLY:
        reach = GRANTED[action.value, role]
    else:
        reach = role is Role.ADMIN and action is Action.USER_WRITE
    assert can(Subject(1, "u", NODE_TENANT, role), action, 8) is reach
