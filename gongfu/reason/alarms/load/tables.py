"""Tables of operators' load: who looks after which assets, and floods."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, UniqueConstraint

from gongfu.store.records.engine import Key, metadata, name_text

position = Table(
    "alarm_position",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("position", name_text(200), nullable=False),
    Column("asset", name_text(1000), nullable=False),
    UniqueConstraint("tenant_id", "asset"),
    sqlite_autoincrement=True,
)

flood = Table(
    "alarm_flood",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("position", name_text(200), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=True),
    # Annunciations while it lasted, and the most in ten minutes.
    Column("alarms", Integer, nullable=False),
    Column("peak", Integer, nullable=False),
    # Notifications that went into a digest instead of out by themselves.
    Column("collapsed", Integer, nullable=False),
    Index("ix_alarm_flood_tenant_id_began_at", "tenant_id", "began_at"),
    sqlite_autoincrement=True,
)
