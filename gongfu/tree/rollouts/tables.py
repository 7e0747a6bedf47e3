"""Table of the roll-outs of a node."""

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, String, Table, UniqueConstraint

from gongfu.store.records.engine import metadata

rollout = Table(
    "tree_rollout",
    metadata,
    Column("id", String(64), primary_key=True),
    # Counts up; for paging.
    Column("number", BigInteger, nullable=False),
    # Whether something may still happen by itself.
    Column("open", Boolean, nullable=False),
    # ``stored.Stored`` as MessagePack.
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("number"),
)
