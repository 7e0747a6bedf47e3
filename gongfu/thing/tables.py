"""Table of thing models."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Integer, String, Table, UniqueConstraint

from gongfu.store.records.engine import Key, metadata, name_text

thing_model = Table(
    "thing_model",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("name", name_text(100), nullable=False),
    Column("version", Integer, nullable=False),
    # draft, published or retired.
    Column("state", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_by", String(120), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("published_at", BigInteger, nullable=False, default=0),
    UniqueConstraint("tenant_id", "name", "version"),
    sqlite_autoincrement=True,
)
