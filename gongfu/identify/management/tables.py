"""Tables of identifiers. Times are UTC nanoseconds (int64).

Records, ranges and exact counts are in the store (gongfu/identify/records); what is here is what people decide.
"""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from gongfu.store.records.engine import Key, metadata, name_text

# Prefixes of this service, and those that are delegated to another's. Numbers are in the keys of the store: a prefix
# keeps its own for ever. ``name_key`` is the name as it is compared.
prefix = Table(
    "identifier_prefix",
    metadata,
    Column("number", Key, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("name_key", name_text(64), nullable=False, unique=True),
    Column("delegated", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("enterprise", name_text(200), nullable=False),
    Column("region", String(6), nullable=False),
    Column("industry", String(5), nullable=False),
    Column("service", String(200), nullable=False),
    # Most identifiers in total; 0 is no bound.
    Column("quota", BigInteger, nullable=False),
    # Values of ``0.NA/<name>`` to begin with (JSON as in /api/handles); later ones are in the store.
    Column("seed", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# Versions of templates; records name a version by its number.
template = Table(
    "identifier_template",
    metadata,
    Column("number", Key, primary_key=True),
    Column("name", name_text(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("body", JSON, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("name", "version"),
    sqlite_autoincrement=True,
)

# Classes of ranges: ``attributes`` are pairs of ordinal and text.
range_class = Table(
    "identifier_class",
    metadata,
    Column("number", Key, primary_key=True),
    Column("template", ForeignKey("identifier_template.number"), nullable=False),
    Column("title", String(200), nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

application = Table(
    "identifier_application",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("credit_code", name_text(32), nullable=False, index=True),
    Column("region", String(6), nullable=False),
    Column("industry", String(5), nullable=False),
    Column("contact", String(200), nullable=False),
    Column("wanted_prefix", String(64), nullable=False),
    Column("applicant", String(120), nullable=False),
    Column("prefix", name_text(64), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

application_step = Table(
    "identifier_application_step",
    metadata,
    Column("id", Key, primary_key=True),
    Column("application_id", ForeignKey("identifier_application.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("step", String(16), nullable=False),
    Column("person", String(120), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("words", Text, nullable=False),
    sqlite_autoincrement=True,
)

application_document = Table(
    "identifier_document",
    metadata,
    Column("application_id", ForeignKey("identifier_application.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("media_type", String(120), nullable=False),
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# Who besides the administrators of a handle may read or write its values.
grant = Table(
    "identifier_grant",
    metadata,
    Column("id", Key, primary_key=True),
    Column("grantee", name_text(512), nullable=False, index=True),
    Column("index", BigInteger, nullable=False),
    Column("scope", String(8), nullable=False),
    Column("target", name_text(2048), nullable=False, index=True),
    Column("attributes", JSON, nullable=False),
    Column("rights", JSON, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("granted_by", String(120), nullable=False),
    Column("granted_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# Figures of a prefix at the end of a day (UTC; days since 1970), or so far; "" is the whole service.
day = Table(
    "identifier_day",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("prefix", name_text(64), primary_key=True),
    Column("explicit", BigInteger, nullable=False),
    Column("ranged", BigInteger, nullable=False),
    Column("real", BigInteger, nullable=False),
    Column("replayed", BigInteger, nullable=False),
)
