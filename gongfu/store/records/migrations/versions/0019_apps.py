"""Apps: what is installed, with what was granted."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "installed_app",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("app", sa.String(120).with_variant(sa.String(120, collation="C"), "postgresql"), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("current", sa.JSON(), nullable=False),
        sa.Column("previous", sa.JSON(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("installed_by", sa.String(120), nullable=False),
        sa.Column("installed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_installed_app_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_installed_app"),
        sa.UniqueConstraint("app", name="uq_installed_app_app"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_installed_app_tenant_id", "installed_app", ["tenant_id"])
