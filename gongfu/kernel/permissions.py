"""Who may do what: roles, and the one permission check."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Role of a user, after the usual plant practice (IEC 62443-3-3 SR 2.1, least privilege)."""

    ADMIN = "admin"
    ENGINEER = "engineer"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Action(StrEnum):
    """What can be done; the name is ``<noun>.<verb>``."""

    READ = "data.read"
    QUERY_SQL = "data.sql"
    ALARM_ACKNOWLEDGE = "alarm.acknowledge"
    DEVICE_SEND = "device.send"
    DEVICE_WRITE = "device.write"
    ASSET_WRITE = "asset.write"
    POINT_WRITE = "point.write"
    RULE_WRITE = "rule.write"
    EVENT_WRITE = "event.write"
    USER_WRITE = "user.write"
    TENANT_WRITE = "tenant.write"
    NODE_OPERATE = "node.operate"
    TELEMETRY_WRITE = "telemetry.write"
    TREE_WRITE = "tree.write"
    ORDER_ANSWER = "order.answer"
    ORDER_WRITE = "order.write"
    ORDER_APPROVE = "order.approve"
    REPORT_WRITE = "report.write"
    IDENTIFIER_WRITE = "identifier.write"
    IDENTIFIER_REVIEW = "identifier.review"
    APP_RATE = "app.rate"
    APP_PUBLISH = "app.publish"
    APP_REVIEW = "app.review"
    APP_INSTALL = "app.install"
    CALL_MAKE = "call.make"
    CALL_WRITE = "call.write"


_VIEWER = frozenset({Action.READ})
_OPERATOR = _VIEWER | {Action.ALARM_ACKNOWLEDGE, Action.ORDER_ANSWER, Action.QUERY_SQL, Action.APP_RATE}
_ENGINEER = _OPERATOR | {
    Action.DEVICE_SEND,
    Action.DEVICE_WRITE,
    Action.ASSET_WRITE,
    Action.POINT_WRITE,
    Action.RULE_WRITE,
    Action.EVENT_WRITE,
    Action.ORDER_WRITE,
    Action.ORDER_APPROVE,
    Action.REPORT_WRITE,
    Action.IDENTIFIER_WRITE,
    Action.APP_PUBLISH,
    Action.CALL_MAKE,
}
_ADMIN = _ENGINEER | {
    Action.USER_WRITE,
    Action.TENANT_WRITE,
    Action.NODE_OPERATE,
    Action.TREE_WRITE,
    Action.IDENTIFIER_REVIEW,
    Action.APP_REVIEW,
    Action.APP_INSTALL,
    Action.CALL_WRITE,
}

GRANTS: dict[Role, frozenset[Action]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ENGINEER: _ENGINEER,
    Role.ADMIN: _ADMIN,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """An authenticated caller: a user of a tenant. Tenant 1 is the node's own; its admins administer the node."""

    user: int
    name: str
    tenant: int
    role: Role


NODE_TENANT = 1
# The place of a node in the tree, its identifiers, what its store has reviewed, and what it offers to other nodes are
# the node's own matter, whatever tenants it has.
_NODE_ONLY = frozenset(
    {
        Action.TENANT_WRITE,
        Action.NODE_OPERATE,
        Action.TREE_WRITE,
        Action.ORDER_ANSWER,
        Action.ORDER_WRITE,
        Action.ORDER_APPROVE,
        Action.REPORT_WRITE,
        Action.IDENTIFIER_WRITE,
        Action.IDENTIFIER_REVIEW,
        Action.APP_REVIEW,
        Action.CALL_MAKE,
        Action.CALL_WRITE,
    }
)


def can(subject: Subject, action: Action, tenant: int | None = None) -> bool:
    """Return whether the subject may do the action on a resource of a tenant (default: its own).

    Tenants are closed to each other. Only admins of the node tenant create tenants or operate the node; they may
    also write users of other tenants, but not read their data.
    """
    if action not in GRANTS[subject.role]:
        return False
    if action in _NODE_ONLY:
        return subject.tenant == NODE_TENANT
    if tenant is None or tenant == subject.tenant:
        return True
    return action is Action.USER_WRITE and subject.tenant == NODE_TENANT
