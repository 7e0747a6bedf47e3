"""Models: versions, artifacts, bindings by type, usage, jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables; bindings to single assets go over into the new one."""
    op.create_table(
        "model",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_model_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_model_tenant_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "model_version",
        sa.Column("id", _Key, nullable=False),
        sa.Column("model_id", _Key, nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_model_version_model_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model_version"),
        sa.UniqueConstraint("model_id", "version", name="uq_model_version_model_id_version"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_model_version_sha256", "model_version", ["sha256"])
    op.create_table(
        "model_scope",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("model", sa.String(120), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("asset_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(300), nullable=False),
        sa.Column("assets", sa.String(1000), nullable=False),
        sa.Column("points", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("assume_units", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_model_scope_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model_scope"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_model_scope_tenant_id_model", "model_scope", ["tenant_id", "model"])
    op.execute(
        "INSERT INTO model_scope (id, tenant_id, model, version, asset_id, type, assets, points, parameters,"
        " assume_units, owner, created_at)"
        " SELECT id, tenant_id, model_id, '', asset_id, '', '', points, '{}', assume_units, '', created_at"
        " FROM model_binding"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "SELECT setval(pg_get_serial_sequence('model_scope', 'id'),"
            " (SELECT coalesce(max(id), 0) + 1 FROM model_scope), false)"
        )
    op.drop_table("model_binding")
    op.create_table(
        "model_usage",
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("model", sa.String(120), nullable=False),
        sa.Column("caller", sa.String(200), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("cpu_us", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_model_usage_tenant_id"),
        sa.PrimaryKeyConstraint("tenant_id", "model", "caller", "hour", name="pk_model_usage"),
    )
    op.create_table(
        "model_job",
        sa.Column("id", _Key, nullable=False),
        sa.Column("tenant_id", _Key, nullable=False),
        sa.Column("model", sa.String(120), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_model_job_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model_job"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_model_job_tenant_id_id", "model_job", ["tenant_id", "id"])
    op.create_index("ix_model_job_state", "model_job", ["state"])
