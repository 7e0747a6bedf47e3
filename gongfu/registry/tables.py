"""Tables of the registry. Times are UTC nanoseconds (int64).

Keys are never used again after a delete (``sqlite_autoincrement``): caches and counts of other processes are keyed
by them.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from gongfu.store.records.engine import Key, metadata, name_text

tenant = Table(
    "tenant",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", name_text(120), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

user = Table(
    "app_user",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("name", name_text(120), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("must_change_password", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("language", String(8), nullable=False, default="zh"),
    Column("created_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# Sign-in sessions and API tokens; only the SHA-256 of the token is kept.
access_token = Table(
    "access_token",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", ForeignKey("app_user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("label", String(120), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

asset = Table(
    "asset",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("parent_id", ForeignKey("asset.id"), nullable=True, index=True),
    Column("name", name_text(200), nullable=False),
    # Names from the root joined by "/"; unique in a tenant, so an asset has one address for people and devices.
    Column("path", name_text(1000), nullable=False),
    Column("type", String(120), nullable=False, default=""),
    Column("attributes", JSON, nullable=False, default=dict),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("tenant_id", "path"),
    # Few assets of a large node have one. The migration says so on PostgreSQL, too: here it would import that dialect
    # into every role.
    Index("ix_asset_tenant_id_type", "tenant_id", "type", sqlite_where=text("type <> ''")),
    sqlite_autoincrement=True,
)

device = Table(
    "device",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("name", name_text(200), nullable=False, unique=True),
    # The asset the device reports for; it may write to it and to all below it.
    Column("asset_id", ForeignKey("asset.id"), nullable=False, index=True),
    Column("secret_hash", String(64), nullable=False),
    # TLS client certificate (SHA-256 of the DER form, hex) that authenticates instead of the secret.
    Column("certificate_sha256", String(64), nullable=True, unique=True),
    Column("enabled", Boolean, nullable=False),
    # MQTT topic filters beyond the telemetry topics, which are always allowed.
    Column("publish_filters", JSON, nullable=False, default=list),
    Column("subscribe_filters", JSON, nullable=False, default=list),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_device_tenant_name", "tenant_id", "name"),
    sqlite_autoincrement=True,
)

# id is the series id of the data path: dense.
point = Table(
    "point",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("asset_id", ForeignKey("asset.id"), nullable=False),
    Column("name", name_text(200), nullable=False),
    Column("value_type", Integer, nullable=False),
    Column("unit", String(40), nullable=False, default=""),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("asset_id", "name"),
    Index("ix_point_tenant_id_id", "tenant_id", "id"),
    sqlite_autoincrement=True,
)

# What was rejected or shed, by device and reason; device 0 is a caller that could not be named.
drop_count = Table(
    "drop_count",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True),
    Column("device_id", BigInteger, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("reason", String(60), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("last_detail", Text, nullable=False, default=""),
)

# What single devices and tenants may send, other than the settings of the node say.
# device_id 0 is the tenant itself. NULL leaves the setting of the node as it is; 0 is no limit.
quota = Table(
    "quota",
    metadata,
    Column("tenant_id", BigInteger, primary_key=True, autoincrement=False),
    Column("device_id", BigInteger, primary_key=True, autoincrement=False),
    Column("points_per_second", Float(53), nullable=True),
    Column("messages_per_second", Float(53), nullable=True),
    Column("bytes_per_second", Float(53), nullable=True),
    Column("burst_seconds", Float(53), nullable=True),
    Column("policy", String(16), nullable=True),
)

# Something that happened at or over a time (label windows, maintenance, operator notes).
event = Table(
    "event",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("asset_id", ForeignKey("asset.id"), nullable=False),
    Column("kind", String(60), nullable=False),
    Column("time_from", BigInteger, nullable=False),
    Column("time_to", BigInteger, nullable=False),
    Column("text", Text, nullable=False, default=""),
    Column("source", String(120), nullable=False, default=""),
    # What the thing model of the asset calls the fields of the event; NULL for none.
    Column("fields", JSON(none_as_null=True), nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_event_tenant_asset_time", "tenant_id", "asset_id", "time_from"),
)

# Who did what (append only).
audit = Table(
    "audit",
    metadata,
    Column("id", Key, primary_key=True),
    Column("time", BigInteger, nullable=False, index=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("user_name", String(120), nullable=False),
    Column("action", String(60), nullable=False),
    Column("resource", String(300), nullable=False),
    Column("detail", Text, nullable=False, default=""),
    Index("ix_audit_tenant_id_id", "tenant_id", "id"),
)

# The unit that the machine itself says for a point, and how often that changed: the unit of the point stays as it is.
# Only points whose source says one have a row.
source_unit = Table(
    "source_unit",
    metadata,
    Column("point_id", ForeignKey("point.id", ondelete="CASCADE"), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    # As the machine writes it, and its UCUM code, "" when that is not known.
    Column("text", String(200), nullable=False),
    Column("unit", String(40), nullable=False),
    Column("low", Float(53), nullable=True),
    Column("high", Float(53), nullable=True),
    Column("changes", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_source_unit_tenant_id", "tenant_id", "point_id"),
)
