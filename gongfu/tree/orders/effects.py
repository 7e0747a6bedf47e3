"""What a target keeps of an order, and what the machine around the pure functions has to do.

The rule of the shell: store the record, the register and the audit entries in one transaction, and only then do the
effects. What was not done before a crash is asked for again by ``execution.recover``.
"""

import msgspec

from gongfu.tree.orders.types import Execution, OrderDocument, Reason, Revocation


class TargetRecord(msgspec.Struct, frozen=True):
    """All a target knows of an order.

    Attributes:
        order: id.
        target: the node itself.
        digest: ``body_digest`` of the order as received; "" when it has not come.
        document: the order; None when only a revocation, or a register it had written earlier, has come.
        execution: its register; None while the order has not been believed.
        revocation: None unless revoked.
    """

    order: str
    target: str
    digest: str = ""
    document: OrderDocument | None = None
    execution: Execution | None = None
    revocation: Revocation | None = None


class CallDriver(msgspec.Struct, frozen=True):
    """Call the driver with this idempotency key, then tell ``execution.finished`` with the same attempt."""

    key: str
    driver: str
    attempt: int
    payload: msgspec.Raw
    rollback: bool = False


class Send(msgspec.Struct, frozen=True):
    """Put the register into the outbox to the parent, and show it to the probe if that is here."""

    execution: Execution


class Wake(msgspec.Struct, frozen=True):
    """Call ``execution.begin`` (accepted) or ``execution.tick`` (not accepted) at this time, in the parent's time."""

    at: int


class AskOperator(msgspec.Struct, frozen=True):
    """A person at this node has to accept or refuse."""

    order: str


class Audit(msgspec.Struct, frozen=True):
    """Write into the audit log. ``who`` is a node id, a person, or "" for the node itself."""

    order: str
    event: str
    at: int
    reason: str = ""
    who: str = ""
    detail: str = ""


Effect = CallDriver | Send | Wake | AskOperator | Audit


class Outcome(msgspec.Struct, frozen=True):
    """What has come of an event.

    ``refused`` says why the event did not fit; the record is then as it was, whatever the effects. A document that is
    believed and not obeyed is not refused in this sense: the register says ``refused``.
    """

    record: TargetRecord | None
    effects: tuple[Effect, ...] = ()
    refused: Reason | None = None
