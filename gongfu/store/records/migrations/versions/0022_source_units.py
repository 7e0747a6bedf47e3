"""Units that machines say for points; fields of events."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0026"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table and add the column."""
    op.create_table(
        "source_unit",
        sa.Column("point_id", _Key, nullable=False, autoincrement=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("text", sa.String(200), nullable=False),
        sa.Column("unit", sa.String(40), nullable=False),
        sa.Column("low", sa.Float(53), nullable=True),
        sa.Column("high", sa.Float(53), nullable=True),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["point_id"], ["point.id"], name="fk_source_unit_point_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_source_unit_tenant_id"),
        sa.PrimaryKeyConstraint("point_id", name="pk_source_unit"),
    )
    op.create_index("ix_source_unit_tenant_id", "source_unit", ["tenant_id", "point_id"])
    op.add_column("event", sa.Column("fields", sa.JSON(), nullable=True))
