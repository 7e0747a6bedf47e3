"""Table of the publishers' keys that this node trusts, or trusts no more. Times are UTC nanoseconds (int64)."""

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table, Text

from gongfu.store.records.engine import metadata

publisher_key = Table(
    "publisher_key",
    metadata,
    # See package.types.key_id.
    Column("id", String(40), primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    # What this node calls the publisher.
    Column("publisher", String(200), nullable=False),
    # trusted, revoked.
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_by", String(200), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
