"""Tables of the order engine. Times are UTC ns in the parent's time, as ``Turn.now`` gives it."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text, text

from gongfu.store.records.engine import Key, metadata, name_text

NODE = String(24)
ORDER = String(64)
SHOWN = String(24)

# Every order that is known here: being decided, issued here, or come from above. One of which only registers have come
# (its target was re-homed to below this node) has the state ``unknown`` and no body.
order = Table(
    "tree_order",
    metadata,
    Column("key", Key, primary_key=True),
    Column("id", ORDER, nullable=False, unique=True),
    Column("kind", String(48), nullable=False),
    Column("issuer", NODE, nullable=False),
    # Issued, or being decided, here.
    Column("own", Boolean, nullable=False),
    # drafted, approved, issued, discarded, unknown; closed is issued without open targets.
    Column("state", String(12), nullable=False),
    # draft.Draft as JSON; empty for what came from above.
    Column("draft", Text, nullable=False),
    Column("body", LargeBinary),
    Column("signature", LargeBinary),
    Column("digest", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("targets", Integer, nullable=False),
    Column("open_targets", Integer, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Index("ix_tree_order_issued_at", "issued_at"),
)

# What is known of each target at or below this node.
target = Table(
    "tree_order_target",
    metadata,
    Column("order_key", BigInteger, primary_key=True, autoincrement=False),
    Column("node", NODE, primary_key=True),
    # The child through which it is reached; the node itself for this node, empty when it is not below.
    Column("child", NODE, nullable=False),
    Column("tier", String(40), nullable=False),
    Column("name", name_text(200), nullable=False),
    # combined.Shown of the registers; what is counted.
    Column("shown", SHOWN, nullable=False),
    # combined.Registers as MessagePack; None while nothing is known.
    Column("registers", LargeBinary),
    Column("changed_at", BigInteger, nullable=False),
    # Number of the change that the parent has to hear of; None for orders issued here.
    Column("change", BigInteger),
    Index("ix_tree_order_target_node", "node"),
    Index(
        "ix_tree_order_target_change",
        "change",
        sqlite_where=text("change IS NOT NULL"),
        postgresql_where=text("change IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

progress = Table(
    "tree_order_progress",
    metadata,
    Column("order_key", BigInteger, primary_key=True, autoincrement=False),
    Column("tier", String(40), primary_key=True),
    Column("child", NODE, primary_key=True),
    Column("shown", SHOWN, primary_key=True),
    Column("targets", Integer, nullable=False),
)

# This node as a target: effects.TargetRecord without the document, which is in ``tree_order``.
record = Table(
    "tree_order_record",
    metadata,
    Column("id", ORDER, primary_key=True),
    Column("digest", String(64), nullable=False),
    # Of the execution, "" without one.
    Column("state", String(16), nullable=False, index=True),
    # types.Execution and types.Revocation as JSON, empty for none.
    Column("execution", Text, nullable=False),
    Column("revocation", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

# verification.Watch as MessagePack.
watch = Table(
    "tree_order_watch",
    metadata,
    Column("id", ORDER, primary_key=True),
    Column("target", NODE, primary_key=True),
    # When to look; None while there is nothing to look at.
    Column("next_at", BigInteger, index=True),
    Column("watch", LargeBinary, nullable=False),
)

timer = Table(
    "tree_order_timer",
    metadata,
    Column("key", Key, primary_key=True),
    Column("order_key", BigInteger, nullable=False, index=True),
    Column("due", BigInteger, nullable=False),
    Column("step", String(12), nullable=False),
    Column("escalation", Boolean, nullable=False),
    Column("escalate_to", String(100), nullable=False),
    Column("fired", Boolean, nullable=False),
    Index("ix_tree_order_timer_fired_due", "fired", "due"),
)

revocation = Table(
    "tree_order_revocation",
    metadata,
    Column("id", ORDER, primary_key=True),
    Column("issuer", NODE, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("deadline", BigInteger, nullable=False),
)

# What happened to an order at this node, for people.
event = Table(
    "tree_order_event",
    metadata,
    Column("key", Key, primary_key=True),
    Column("id", ORDER, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("event", String(40), nullable=False),
    Column("reason", String(60), nullable=False),
    # A node, a person, or "" for this node.
    Column("who", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_tree_order_event_id_key", "id", "key"),
)

# Registers from a child below which their target is not, as far as the directory knew at that moment.
parked = Table(
    "tree_order_parked",
    metadata,
    Column("key", Key, primary_key=True),
    Column("peer", NODE, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("registers", LargeBinary, nullable=False),
)

# Messages with a few registers each that have been taken and are yet to be merged, many at once.
inbox = Table(
    "tree_order_inbox",
    metadata,
    Column("key", Key, primary_key=True),
    Column("peer", NODE, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# Positions in the changes: ``sent`` is the last one that was put into the outbox to the parent.
cursor = Table(
    "tree_order_cursor",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# Kinds that this node obeys, or does not, other than the kind itself says.
kind = Table(
    "tree_order_kind",
    metadata,
    Column("name", String(48), primary_key=True),
    Column("allowed", Boolean, nullable=False),
    Column("changed_by", String(200), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
