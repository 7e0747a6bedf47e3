"""Tables of notifications: channels, routes, the outbox, and how far the alarms' journal was read."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from gongfu.store.records.engine import Key, metadata, name_text


def _definitions(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("id", Key, primary_key=True),
        Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
        Column("name", name_text(200), nullable=False),
        Column("definition", JSON, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
        UniqueConstraint("tenant_id", "name"),
        sqlite_autoincrement=True,
    )


channel = _definitions("notify_channel")
route = _definitions("notify_route")

outbox = Table(
    "notify_outbox",
    metadata,
    # Follows from what it tells and whom, so the same notification is queued once.
    Column("id", String(32), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("alarm_id", String(32), nullable=False),
    # Which annunciation of the alarm, UTC ns.
    Column("annunciated_at", BigInteger, nullable=False),
    Column("flood_id", BigInteger, nullable=False),
    Column("route_id", BigInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("recipient", String(300), nullable=False),
    Column("state", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger, nullable=True),
    Column("delivered_at", BigInteger, nullable=True),
    Column("acknowledged_at", BigInteger, nullable=True),
    Column("receipt", String(300), nullable=False),
    Column("error", Text, nullable=False),
    Index("ix_notify_outbox_state_due_at", "state", "due_at"),
    Index("ix_notify_outbox_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
)

feed = Table(
    "notify_feed",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("journal_id", BigInteger, nullable=False),
    Column("overflowed", BigInteger, nullable=False),
)
