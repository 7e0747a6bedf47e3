"""Registry: tenants, users, tokens, assets, devices, points, drop counts, events, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def name_text(length: int) -> sa.String:
    """Return the type of names that sort by code point."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tenant",
        sa.Column("id", key, nullable=False),
        sa.Column("name", name_text(120), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenant"),
        sa.UniqueConstraint("name", name="uq_tenant_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "app_user",
        sa.Column("id", key, nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("name", name_text(120), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_app_user"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_app_user_tenant_id"),
        sa.UniqueConstraint("name", name="uq_app_user_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "access_token",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_id", key, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("label", sa.String(120), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_access_token"),
        sa.ForeignKeyConstraint(["user_id"], ["app_user.id"], name="fk_access_token_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_access_token_user_id", "access_token", ["user_id"])
    op.create_table(
        "asset",
        sa.Column("id", key, nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("parent_id", key, nullable=True),
        sa.Column("name", name_text(200), nullable=False),
        sa.Column("path", name_text(1000), nullable=False),
        sa.Column("type", sa.String(120), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_asset"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_asset_tenant_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["asset.id"], name="fk_asset_parent_id"),
        sa.UniqueConstraint("tenant_id", "path", name="uq_asset_tenant_id_path"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_asset_parent_id", "asset", ["parent_id"])
    op.create_table(
        "device",
        sa.Column("id", key, nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("name", name_text(200), nullable=False),
        sa.Column("asset_id", key, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("certificate_sha256", sa.String(64), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("publish_filters", sa.JSON(), nullable=False),
        sa.Column("subscribe_filters", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_device"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_device_tenant_id"),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name="fk_device_asset_id"),
        sa.UniqueConstraint("name", name="uq_device_name"),
        sa.UniqueConstraint("certificate_sha256", name="uq_device_certificate_sha256"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_device_asset_id", "device", ["asset_id"])
    op.create_index("ix_device_tenant_name", "device", ["tenant_id", "name"])
    op.create_table(
        "point",
        sa.Column("id", key, nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("asset_id", key, nullable=False),
        sa.Column("name", name_text(200), nullable=False),
        sa.Column("value_type", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(40), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_point"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_point_tenant_id"),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name="fk_point_asset_id"),
        sa.UniqueConstraint("asset_id", "name", name="uq_point_asset_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_point_tenant_id_id", "point", ["tenant_id", "id"])
    op.create_table(
        "drop_count",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(60), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("last_detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "device_id", "kind", "reason", name="pk_drop_count"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("tenant_id", key, nullable=False),
        sa.Column("asset_id", key, nullable=False),
        sa.Column("kind", sa.String(60), nullable=False),
        sa.Column("time_from", sa.BigInteger(), nullable=False),
        sa.Column("time_to", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.String(120), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_event_tenant_id"),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name="fk_event_asset_id"),
    )
    op.create_index("ix_event_tenant_asset_time", "event", ["tenant_id", "asset_id", "time_from"])
    op.create_table(
        "audit",
        sa.Column("id", key, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("user_name", sa.String(120), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("resource", sa.String(300), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_time", "audit", ["time"])
    op.create_index("ix_audit_tenant_id_id", "audit", ["tenant_id", "id"])
