"""Tables of the app store. Times are UTC nanoseconds (int64); days are ``YYYY-MM-DD`` in UTC.

Packages are objects (gongfu/store/objects) under the SHA-256 of the file.
"""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from gongfu.store.records.engine import Key, metadata, name_text

# An app: what all its versions share. ``shown_version`` is the newest published one, 0 while there is none.
app = Table(
    "store_app",
    metadata,
    Column("id", Key, primary_key=True),
    Column("identifier", name_text(120), nullable=False, unique=True),
    # Whose app it is: only this tenant publishes further versions.
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("title", JSON, nullable=False),
    Column("description", JSON, nullable=False),
    # GB/T 4754, section letter and digits; empty for every industry.
    Column("industry", String(5), nullable=False),
    # What is searched: identifier, titles, descriptions and publisher in small letters.
    Column("text", Text, nullable=False),
    # What the shown version asks for, as ",history,read,routes,".
    Column("asks", String(200), nullable=False),
    Column("shown_version", BigInteger, nullable=False),
    Column("shown_at", BigInteger, nullable=False),
    # Certification of the shown version: 0 none, 1 tested, 2 certified; holds until ``certified_until``.
    Column("level", Integer, nullable=False),
    Column("certified_until", BigInteger, nullable=False),
    # Sum and number of stars; their quotient in hundredths, to sort by.
    Column("stars", BigInteger, nullable=False),
    Column("ratings", BigInteger, nullable=False),
    Column("rating", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_store_app_rating", "rating", "identifier"),
    Index("ix_store_app_shown_at", "shown_at", "identifier"),
    sqlite_autoincrement=True,
)

version = Table(
    "store_version",
    metadata,
    Column("id", Key, primary_key=True),
    Column("app_id", ForeignKey("store_app.id"), nullable=False),
    Column("version", String(24), nullable=False),
    # The same as one number, to sort by.
    Column("version_order", BigInteger, nullable=False),
    # draft, submitted, reviewed, published, refused, withdrawn (states.py).
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("key_id", String(40), nullable=False),
    Column("publisher", String(200), nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("checks", JSON, nullable=False),
    Column("notes", Text, nullable=False),
    Column("author", String(200), nullable=False),
    Column("reviewer", String(200), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("app_id", "version"),
    Index("ix_store_version_state", "state", "changed_at"),
    sqlite_autoincrement=True,
)

certification = Table(
    "store_certification",
    metadata,
    Column("id", Key, primary_key=True),
    Column("version_id", ForeignKey("store_version.id"), nullable=False),
    Column("level", String(16), nullable=False),
    Column("by", String(200), nullable=False),
    Column("evidence", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    # 0 unless it was taken back.
    Column("ended_at", BigInteger, nullable=False),
    Index("ix_store_certification_version_id", "version_id"),
    sqlite_autoincrement=True,
)

rating = Table(
    "store_rating",
    metadata,
    Column("app_id", ForeignKey("store_app.id"), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), primary_key=True),
    Column("stars", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    Column("version", String(24), nullable=False),
    Column("user_name", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
)

# What an app costs from a day on; amounts in hundredths of the currency.
plan = Table(
    "store_plan",
    metadata,
    Column("app_id", ForeignKey("store_app.id"), primary_key=True),
    Column("from_day", String(10), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("included", BigInteger, nullable=False),
    Column("set_by", String(200), nullable=False),
    Column("set_at", BigInteger, nullable=False),
)

# Who took a version, and whether the app is still there.
installation = Table(
    "store_installation",
    metadata,
    Column("app_id", ForeignKey("store_app.id"), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), primary_key=True),
    # Node in the tree that took it, empty for this one.
    Column("node", String(24), primary_key=True),
    Column("version", String(24), nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    # 0 while it is installed.
    Column("removed_at", BigInteger, nullable=False),
)

# Numbers of a day: ``calls`` are added up, ``devices`` is the greatest number that was active.
meter = Table(
    "store_meter",
    metadata,
    Column("app_id", ForeignKey("store_app.id"), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("devices", BigInteger, nullable=False),
)
