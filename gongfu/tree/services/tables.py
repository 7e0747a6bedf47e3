"""Table of the identifier services around a node."""

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from gongfu.store.records.engine import metadata

identifier_service = Table(
    "tree_identifier_service",
    metadata,
    # The node itself, one below it, or "" for the service that it begins with for all that is not below it.
    Column("node", String(24), primary_key=True),
    # ``messages.Values`` as MessagePack.
    Column("body", LargeBinary, nullable=False),
    Column("changed", BigInteger, nullable=False),
)
