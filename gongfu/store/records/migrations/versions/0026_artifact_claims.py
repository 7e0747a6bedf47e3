"""Artifacts that tenants have sent; what is under way with an app, and its publisher's key."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0020"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table of claims, with those that follow from the versions there are; add columns to apps."""
    op.create_table(
        "model_artifact",
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sent_by", sa.String(200), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_model_artifact_tenant_id"),
        sa.PrimaryKeyConstraint("tenant_id", "sha256", name="pk_model_artifact"),
    )
    op.execute(
        "INSERT INTO model_artifact (tenant_id, sha256, size, sent_by, sent_at) "
        "SELECT m.tenant_id, v.sha256, MAX(v.size), MIN(v.created_by), MAX(v.created_at) "
        "FROM model_version v JOIN model m ON m.id = v.model_id GROUP BY m.tenant_id, v.sha256"
    )
    op.add_column("installed_app", sa.Column("pending", sa.JSON(), nullable=True))
    op.add_column("installed_app", sa.Column("key_override", sa.JSON(), nullable=True))
