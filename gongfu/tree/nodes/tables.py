"""Tables of a node's place in the tree. Private keys are in files of the data directory, not here."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from gongfu.store.records.engine import metadata, name_text

NODE = String(24)

# One row: this node.
identity = Table(
    "tree_identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("node", NODE, nullable=False),
    # The chain from the root, as it was signed (membership.chain.encode_chain).
    Column("chain", LargeBinary, nullable=False),
    # Certificate of the node's own authority, PEM; it signs for the children and for the node's own ports.
    Column("authority", Text, nullable=False),
    # The link up: empty at the root.
    Column("parent_address", Text, nullable=False),
    Column("leaf_address", Text, nullable=False),
    Column("parent_authorities", Text, nullable=False),
    Column("certificate", Text, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

# Latest membership of every node that is or was below; the own one is in the chain.
member = Table(
    "tree_member",
    metadata,
    Column("node", NODE, primary_key=True),
    Column("parent", NODE, nullable=False),
    Column("name", name_text(200), nullable=False),
    Column("tier", String(40), nullable=False),
    Column("prefix", String(64), nullable=False),
    Column("state", String(12), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    # As it was signed by its parent (membership.keys.encode_signed).
    Column("signed", LargeBinary, nullable=False),
    # The release by which it came from another parent (encode_signed), for those above; else empty.
    Column("released", LargeBinary, nullable=False),
    # Whether it is below this node still: one that was moved to elsewhere is kept for its revision.
    Column("gone", Integer, nullable=False),
    Index("ix_tree_member_parent", "parent"),
)

# What a node below last said of itself.
status = Table(
    "tree_member_status",
    metadata,
    Column("node", NODE, primary_key=True),
    Column("version", String(40), nullable=False),
    Column("health", String(12), nullable=False),
    Column("console", Text, nullable=False),
    Column("heard_at", BigInteger, nullable=False),
)

# Join tokens by their public names; their texts are kept nowhere.
token = Table(
    "tree_token",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("state", String(12), nullable=False),
    Column("node", String(24), nullable=False),
    Column("tier", String(40), nullable=False),
    Column("prefix", String(64), nullable=False),
    # What the parent knows of the child, JSON; empty when the child says it.
    Column("attributes", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Index("ix_tree_token_created", "created"),
)
