"""App store: publishers' keys, publications, reviews, ratings, usage; calls across platforms."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    _publishers()
    _store()
    _calls()


def _publishers() -> None:
    op.create_table(
        "publisher_key",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("publisher", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.String(200), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_publisher_key"),
    )


def _store() -> None:
    op.create_table(
        "store_app",
        sa.Column("id", _Key, nullable=False),
        sa.Column("identifier", _name(120), nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("title", sa.JSON(), nullable=False),
        sa.Column("description", sa.JSON(), nullable=False),
        sa.Column("industry", sa.String(5), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("asks", sa.String(200), nullable=False),
        sa.Column("shown_version", sa.BigInteger(), nullable=False),
        sa.Column("shown_at", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("certified_until", sa.BigInteger(), nullable=False),
        sa.Column("stars", sa.BigInteger(), nullable=False),
        sa.Column("ratings", sa.BigInteger(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_store_app_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_store_app"),
        sa.UniqueConstraint("identifier", name="uq_store_app_identifier"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_store_app_rating", "store_app", ["rating", "identifier"])
    op.create_index("ix_store_app_shown_at", "store_app", ["shown_at", "identifier"])
    op.create_table(
        "store_version",
        sa.Column("id", _Key, nullable=False),
        sa.Column("app_id", _Key, nullable=False),
        sa.Column("version", sa.String(24), nullable=False),
        sa.Column("version_order", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("publisher", sa.String(200), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("reviewer", sa.String(200), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["store_app.id"], name="fk_store_version_app_id"),
        sa.PrimaryKeyConstraint("id", name="pk_store_version"),
        sa.UniqueConstraint("app_id", "version", name="uq_store_version_app_id_version"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_store_version_state", "store_version", ["state", "changed_at"])
    op.create_table(
        "store_certification",
        sa.Column("id", _Key, nullable=False),
        sa.Column("version_id", _Key, nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["store_version.id"], name="fk_store_certification_version_id"),
        sa.PrimaryKeyConstraint("id", name="pk_store_certification"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_store_certification_version_id", "store_certification", ["version_id"])
    op.create_table(
        "store_rating",
        sa.Column("app_id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("version", sa.String(24), nullable=False),
        sa.Column("user_name", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["store_app.id"], name="fk_store_rating_app_id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_store_rating_tenant_id"),
        sa.PrimaryKeyConstraint("app_id", "tenant_id", name="pk_store_rating"),
    )
    op.create_table(
        "store_plan",
        sa.Column("app_id", _Key, nullable=False),
        sa.Column("from_day", sa.String(10), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("included", sa.BigInteger(), nullable=False),
        sa.Column("set_by", sa.String(200), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["store_app.id"], name="fk_store_plan_app_id"),
        sa.PrimaryKeyConstraint("app_id", "from_day", name="pk_store_plan"),
    )
    op.create_table(
        "store_installation",
        sa.Column("app_id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("node", sa.String(24), nullable=False),
        sa.Column("version", sa.String(24), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["store_app.id"], name="fk_store_installation_app_id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_store_installation_tenant_id"),
        sa.PrimaryKeyConstraint("app_id", "tenant_id", "node", name="pk_store_installation"),
    )
    op.create_table(
        "store_meter",
        sa.Column("app_id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["store_app.id"], name="fk_store_meter_app_id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_store_meter_tenant_id"),
        sa.PrimaryKeyConstraint("app_id", "tenant_id", "day", name="pk_store_meter"),
    )


def _calls() -> None:
    op.create_table(
        "call_offer",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made_by", sa.String(200), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_offer"),
    )
    op.create_table(
        "call_contract",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("side", sa.String(16), nullable=False),
        sa.Column("offer", sa.String(40), nullable=False),
        sa.Column("peer", sa.String(24), nullable=False),
        sa.Column("peer_key", sa.LargeBinary(), nullable=False),
        sa.Column("peer_name", sa.String(200), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("agreement", sa.LargeBinary(), nullable=False),
        sa.Column("by_consumer", sa.LargeBinary(), nullable=False),
        sa.Column("by_provider", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(200), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_contract"),
    )
    op.create_index("ix_call_contract_offer", "call_contract", ["offer"])
    op.create_index("ix_call_contract_side", "call_contract", ["side", "made_at"])
    op.create_table(
        "call_usage",
        sa.Column("contract", sa.String(40), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("charged", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("microseconds", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("contract", "id", name="pk_call_usage"),
    )
    op.create_index("ix_call_usage_at", "call_usage", ["at"])
    op.create_index("ix_call_usage_contract_key", "call_usage", ["contract", "key"], unique=True)
    op.create_index("ix_call_usage_contract_period", "call_usage", ["contract", "period"])
