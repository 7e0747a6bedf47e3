"""Alarms by ISA-18.2: suppression, rationalisation, positions, floods, notifications."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AGAIN = "change IN ('unshelved', 'unsuppressed', 'in_service', 'realarmed')"


def _name(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Widen the alarms and create the tables."""
    _widen_alarms()
    _suppressions()
    _master_data()
    _notifications()


def _widen_alarms() -> None:
    for column in (
        sa.Column("source", sa.String(200), nullable=False, server_default=sa.text("''")),
        sa.Column("source_key", sa.String(300), nullable=False, server_default=sa.text("''")),
        sa.Column("latching", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("realarm_s", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("annunciated_at", sa.BigInteger(), nullable=True),
        sa.Column("raised_suppressed", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("suppressed_by", sa.BigInteger(), nullable=True),
    ):
        op.add_column("alarm", column)
    op.execute("UPDATE alarm SET annunciated_at = recorded_at")
    op.create_index("ix_alarm_tenant_id_recorded_at", "alarm", ["tenant_id", "recorded_at"])
    op.create_index(
        "ix_alarm_tenant_id_recorded_at_unseen",
        "alarm",
        ["tenant_id", "recorded_at"],
        sqlite_where=sa.text("raised_suppressed"),
        postgresql_where=sa.text("raised_suppressed"),
    )
    op.create_index("ix_alarm_tenant_id_closed_at", "alarm", ["tenant_id", "closed_at"])
    op.create_index(
        "ix_alarm_source_source_key",
        "alarm",
        ["source", "source_key", "raised_at"],
        sqlite_where=sa.text("source <> ''"),
        postgresql_where=sa.text("source <> ''"),
    )
    op.add_column("alarm_journal", sa.Column("state", sa.String(32), nullable=False, server_default=sa.text("''")))
    op.create_index(
        "ix_alarm_journal_recorded_at_again",
        "alarm_journal",
        ["recorded_at"],
        sqlite_where=sa.text(_AGAIN),
        postgresql_where=sa.text(_AGAIN),
    )


def _suppressions() -> None:
    op.create_table(
        "alarm_suppression",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("asset", _name(1000), nullable=False),
        sa.Column("point", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("work_order", sa.String(120), nullable=False),
        sa.Column("design_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(120), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(120), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_alarm_suppression_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_suppression"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alarm_suppression_ended_at", "alarm_suppression", ["ended_at", "tenant_id"])
    op.create_table(
        "alarm_operation",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.String(32), nullable=False),
        sa.Column("resource", sa.String(300), nullable=False),
        sa.Column("by_user", sa.String(120), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_alarm_operation_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_operation"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alarm_operation_tenant_id_id", "alarm_operation", ["tenant_id", "id"])
    op.create_table(
        "alarm_design",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("name", _name(200), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(120), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_alarm_design_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_design"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_alarm_design_tenant_id_name"),
        sqlite_autoincrement=True,
    )


def _master_data() -> None:
    op.create_table(
        "alarm_rationalisation",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("asset", _name(1000), nullable=False),
        sa.Column("point", sa.String(200), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(120), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_alarm_rationalisation_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_rationalisation"),
        sa.UniqueConstraint(
            "tenant_id", "rule_id", "source", "asset", "point", name="uq_alarm_rationalisation_tenant_id_alarm"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alarm_position",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("position", _name(200), nullable=False),
        sa.Column("asset", _name(1000), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_alarm_position_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_position"),
        sa.UniqueConstraint("tenant_id", "asset", name="uq_alarm_position_tenant_id_asset"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alarm_flood",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("position", _name(200), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("alarms", sa.Integer(), nullable=False),
        sa.Column("peak", sa.Integer(), nullable=False),
        sa.Column("collapsed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_alarm_flood_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_flood"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alarm_flood_tenant_id_began_at", "alarm_flood", ["tenant_id", "began_at"])


def _notifications() -> None:
    for name in ("notify_channel", "notify_route"):
        op.create_table(
            name,
            sa.Column("id", _Key, nullable=False),
            sa.Column("tenant_id", _Key, nullable=False),
            sa.Column("name", _name(200), nullable=False),
            sa.Column("definition", sa.JSON(), nullable=False),
            sa.Column("updated_at", sa.BigInteger(), nullable=False),
            sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=f"fk_{name}_tenant_id"),
            sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
            sa.UniqueConstraint("tenant_id", "name", name=f"uq_{name}_tenant_id_name"),
            sqlite_autoincrement=True,
        )
    op.create_table(
        "notify_outbox",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("alarm_id", sa.String(32), nullable=False),
        sa.Column("annunciated_at", sa.BigInteger(), nullable=False),
        sa.Column("flood_id", sa.BigInteger(), nullable=False),
        sa.Column("route_id", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.String(300), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("receipt", sa.String(300), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_notify_outbox_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notify_outbox"),
    )
    op.create_index("ix_notify_outbox_state_due_at", "notify_outbox", ["state", "due_at"])
    op.create_index("ix_notify_outbox_tenant_id_created_at_id", "notify_outbox", ["tenant_id", "created_at", "id"])
    op.create_table(
        "notify_feed",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("journal_id", sa.BigInteger(), nullable=False),
        sa.Column("overflowed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notify_feed"),
    )
