"""Versions of thing models."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table, and an index of the assets that have a type."""
    op.create_table(
        "thing_model",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("name", sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(120), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_thing_model_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_thing_model"),
        sa.UniqueConstraint("tenant_id", "name", "version", name="uq_thing_model_tenant_id_name_version"),
        sqlite_autoincrement=True,
    )
    typed = sa.text("type <> ''")
    op.create_index(
        "ix_asset_tenant_id_type", "asset", ["tenant_id", "type"], sqlite_where=typed, postgresql_where=typed
    )
