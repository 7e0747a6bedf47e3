"""The tree: orders, their targets and clocks."""

import sqlalchemy as sa
from alembic import op

from gongfu.store.records.engine import Key, name_text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tree_order",
        sa.Column("key", Key, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(48), nullable=False),
        sa.Column("issuer", sa.String(24), nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("draft", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("targets", sa.Integer(), nullable=False),
        sa.Column("open_targets", sa.Integer(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_tree_order"),
        sa.UniqueConstraint("id", name="uq_tree_order_id"),
    )
    op.create_index("ix_tree_order_issued_at", "tree_order", ["issued_at"])
    _create_targets()
    _create_own()
    op.create_table(
        "tree_order_timer",
        sa.Column("key", Key, nullable=False),
        sa.Column("order_key", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.String(12), nullable=False),
        sa.Column("escalation", sa.Boolean(), nullable=False),
        sa.Column("escalate_to", sa.String(100), nullable=False),
        sa.Column("fired", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_tree_order_timer"),
    )
    op.create_index("ix_tree_order_timer_order_key", "tree_order_timer", ["order_key"])
    op.create_index("ix_tree_order_timer_fired_due", "tree_order_timer", ["fired", "due"])
    op.create_table(
        "tree_order_revocation",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(24), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_order_revocation"),
    )
    op.create_table(
        "tree_order_event",
        sa.Column("key", Key, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("reason", sa.String(60), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_tree_order_event"),
    )
    op.create_index("ix_tree_order_event_at", "tree_order_event", ["at"])
    op.create_index("ix_tree_order_event_id_key", "tree_order_event", ["id", "key"])
    op.create_table(
        "tree_order_kind",
        sa.Column("name", sa.String(48), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.Column("changed_by", sa.String(200), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tree_order_kind"),
    )


def _create_targets() -> None:
    op.create_table(
        "tree_order_target",
        sa.Column("order_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node", sa.String(24), nullable=False),
        sa.Column("child", sa.String(24), nullable=False),
        sa.Column("tier", sa.String(40), nullable=False),
        sa.Column("name", name_text(200), nullable=False),
        sa.Column("shown", sa.String(24), nullable=False),
        sa.Column("registers", sa.LargeBinary(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("order_key", "node", name="pk_tree_order_target"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tree_order_target_node", "tree_order_target", ["node"])
    op.create_index(
        "ix_tree_order_target_change",
        "tree_order_target",
        ["change"],
        sqlite_where=sa.text("change IS NOT NULL"),
        postgresql_where=sa.text("change IS NOT NULL"),
    )
    op.create_table(
        "tree_order_progress",
        sa.Column("order_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tier", sa.String(40), nullable=False),
        sa.Column("child", sa.String(24), nullable=False),
        sa.Column("shown", sa.String(24), nullable=False),
        sa.Column("targets", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("order_key", "tier", "child", "shown", name="pk_tree_order_progress"),
    )
    op.create_table(
        "tree_order_parked",
        sa.Column("key", Key, nullable=False),
        sa.Column("peer", sa.String(24), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("registers", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_tree_order_parked"),
    )
    op.create_table(
        "tree_order_inbox",
        sa.Column("key", Key, nullable=False),
        sa.Column("peer", sa.String(24), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_tree_order_inbox"),
    )
    op.create_table(
        "tree_order_cursor",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tree_order_cursor"),
    )


def _create_own() -> None:
    op.create_table(
        "tree_order_record",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("execution", sa.Text(), nullable=False),
        sa.Column("revocation", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_order_record"),
    )
    op.create_index("ix_tree_order_record_state", "tree_order_record", ["state"])
    op.create_table(
        "tree_order_watch",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("target", sa.String(24), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("watch", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "target", name="pk_tree_order_watch"),
    )
    op.create_index("ix_tree_order_watch_next_at", "tree_order_watch", ["next_at"])
