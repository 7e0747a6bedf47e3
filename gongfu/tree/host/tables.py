"""Tables of the links: positions of both ends, and what waits for a neighbour."""

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, String, Table

from gongfu.store.records.engine import Key, metadata
from gongfu.tree.link.frames import MAX_NODE_LENGTH

# One end of a link (``Durable``). The number of the last message is not here: it is in the outbox, or acknowledged.
tree_link = Table(
    "tree_link",
    metadata,
    Column("id", Key, primary_key=True),
    Column("peer", String(MAX_NODE_LENGTH), nullable=False, unique=True),
    # The peer is the parent.
    Column("upward", Boolean, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("acknowledged_epoch", BigInteger, nullable=False, default=0),
    Column("acknowledged_number", BigInteger, nullable=False, default=0),
    Column("acknowledged_digest", BigInteger, nullable=False, default=0),
    Column("received_epoch", BigInteger, nullable=False, default=0),
    Column("received_number", BigInteger, nullable=False, default=0),
    Column("received_digest", BigInteger, nullable=False, default=0),
    Column("retired", Boolean, nullable=False, default=False),
    # The sections have said what the peer must know since the link began.
    Column("stated", Boolean, nullable=False, default=False),
    Column("clock_offset", BigInteger, nullable=True),
    Column("opened_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# Messages that the other end has not acknowledged, as far as this one knows.
tree_outbox = Table(
    "tree_outbox",
    metadata,
    Column("link", Key, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # MessagePack ``[topic, body]``.
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
