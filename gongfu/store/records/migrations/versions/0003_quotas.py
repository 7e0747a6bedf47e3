"""Quotas of single devices and tenants."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "quota",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("device_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("points_per_second", sa.Float(53), nullable=True),
        sa.Column("messages_per_second", sa.Float(53), nullable=True),
        sa.Column("bytes_per_second", sa.Float(53), nullable=True),
        sa.Column("burst_seconds", sa.Float(53), nullable=True),
        sa.Column("policy", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "device_id", name="pk_quota"),
    )
