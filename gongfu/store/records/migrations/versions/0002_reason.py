"""Reason: rules, alarms with their journal, bindings of mechanism models."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "rule",
        sa.Column("id", key, nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("asset", sa.String(1000), nullable=False),
        sa.Column("point", sa.String(200), nullable=False),
        sa.Column("condition", sa.JSON(), nullable=False),
        sa.Column("priority", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rule"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_rule_tenant_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rule_tenant_id_id", "rule", ["tenant_id", "id"])
    op.create_table(
        "alarm",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("rule_name", sa.String(200), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column(
            "asset_path",
            sa.String(1000).with_variant(sa.String(1000, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("point", sa.String(200), nullable=False),
        sa.Column("priority", sa.String(16), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(53), nullable=True),
        sa.Column("limit_value", sa.Float(53), nullable=True),
        sa.Column("unit", sa.String(60), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("returned_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.String(120), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarm"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_alarm_tenant_id"),
    )
    op.create_index("ix_alarm_tenant_id_raised_at_id", "alarm", ["tenant_id", "raised_at", "id"])
    op.create_index("ix_alarm_tenant_id_state", "alarm", ["tenant_id", "state"])
    op.create_index("ix_alarm_rule_id_series_state", "alarm", ["rule_id", "series", "state"])
    op.create_table(
        "alarm_journal",
        sa.Column("id", key, nullable=False),
        sa.Column("alarm_id", sa.String(32), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.String(16), nullable=False),
        sa.Column("by_user", sa.String(120), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(53), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alarm_journal"),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarm.id"], name="fk_alarm_journal_alarm_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alarm_journal_alarm_id_id", "alarm_journal", ["alarm_id", "id"])
    op.create_table(
        "model_binding",
        sa.Column("id", key, nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("model_id", sa.String(120), nullable=False),
        sa.Column("asset_id", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.JSON(), nullable=False),
        sa.Column("assume_units", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_binding"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_model_binding_tenant_id"),
        sa.UniqueConstraint("model_id", "asset_id", name="uq_model_binding_model_id_asset_id"),
        sqlite_autoincrement=True,
    )
