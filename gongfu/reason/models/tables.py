"""Tables of models. Times are UTC nanoseconds (int64)."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text, UniqueConstraint

from gongfu.store.records.engine import Key, metadata

# Models that tenants registered; shipped ones are in no table. ``version`` is the one that runs where none is said.
model = Table(
    "model",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("name", String(120), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("version", String(40), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("tenant_id", "name"),
    sqlite_autoincrement=True,
)

# A version never changes. ``sha256`` and ``size`` are of the artifact in the object store.
model_version = Table(
    "model_version",
    metadata,
    Column("id", Key, primary_key=True),
    Column("model_id", ForeignKey("model.id"), nullable=False),
    Column("version", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("model_id", "version"),
    Index("ix_model_version_sha256", "sha256"),
    sqlite_autoincrement=True,
)

# Artifacts that a tenant has sent, and so may refer to; the bytes in the object store are shared.
model_artifact = Table(
    "model_artifact",
    metadata,
    Column("tenant_id", ForeignKey("tenant.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("sent_by", String(200), nullable=False),
    # Or used for a version.
    Column("sent_at", BigInteger, nullable=False),
)

# A binding: to one asset (``asset_id``), or to all assets of a type below a pattern (``asset_id`` 0).
model_scope = Table(
    "model_scope",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("model", String(120), nullable=False),
    # Empty: the model's current one.
    Column("version", String(40), nullable=False),
    # No foreign key: a binding outlives its asset, and shows that the asset is gone.
    Column("asset_id", BigInteger, nullable=False),
    # Thing model with or without @version, or another word that assets have as their type; empty: any.
    Column("type", String(300), nullable=False),
    Column("assets", String(1000), nullable=False),
    # Point path by port name, where it is not the port's own.
    Column("points", JSON, nullable=False),
    Column("parameters", JSON, nullable=False),
    # Points that declare no unit are taken to have the port's.
    Column("assume_units", Boolean, nullable=False),
    Column("owner", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_model_scope_tenant_id_model", "tenant_id", "model"),
    sqlite_autoincrement=True,
)

# Calls of a model as a service in an hour (UTC, hours since 1970), by caller: a user's name, or ``app:<id>``.
model_usage = Table(
    "model_usage",
    metadata,
    Column("tenant_id", ForeignKey("tenant.id"), primary_key=True),
    Column("model", String(120), primary_key=True),
    Column("caller", String(200), primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("cpu_us", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
)

# Back-fills.
model_job = Table(
    "model_job",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("model", String(120), nullable=False),
    Column("version", String(40), nullable=False),
    Column("request", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("progress", JSON, nullable=False),
    Column("error", Text, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_model_job_tenant_id_id", "tenant_id", "id"),
    Index("ix_model_job_state", "state"),
    sqlite_autoincrement=True,
)
