"""Tables of calls across platforms: offers, contracts, usage. Times are UTC nanoseconds (int64)."""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from gongfu.store.records.engine import metadata

# What this node offers to others.
offer = Table(
    "call_offer",
    metadata,
    Column("id", String(40), primary_key=True),
    # Terms as they are shown and signed (documents.Terms), and what they come to (SHA-256).
    Column("terms", JSON, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    # 0 while it stands.
    Column("revoked_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

# A contract, at both parties: the same id and the same signed bytes.
contract = Table(
    "call_contract",
    metadata,
    Column("id", String(40), primary_key=True),
    # provider or consumer: what this node is.
    Column("side", String(16), nullable=False),
    Column("offer", String(40), nullable=False),
    # The other node: id, public key, name, where it answers (only at the consumer).
    Column("peer", String(24), nullable=False),
    Column("peer_key", LargeBinary, nullable=False),
    Column("peer_name", String(200), nullable=False),
    Column("url", Text, nullable=False),
    # What was agreed (documents.Agreement), and both signatures.
    Column("agreement", LargeBinary, nullable=False),
    Column("by_consumer", LargeBinary, nullable=False),
    Column("by_provider", LargeBinary, nullable=False),
    # proposed, valid, refused, ended.
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_call_contract_side", "side", "made_at"),
    Index("ix_call_contract_offer", "offer"),
)

# A call at either side, under the same id.
usage = Table(
    "call_usage",
    metadata,
    Column("contract", String(40), primary_key=True),
    Column("id", String(32), primary_key=True),
    # Caller's name for it: a call with the same key is not made twice.
    Column("key", String(100), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    # Begin of the period whose quota it counts against.
    Column("period", BigInteger, nullable=False),
    # open, answered, failed, unknown (the caller does not know whether it was carried out).
    Column("state", String(16), nullable=False),
    # HTTP status of the answer, 0 while there is none.
    Column("status", Integer, nullable=False),
    Column("charged", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("microseconds", BigInteger, nullable=False),
    # Kept at the provider for a repetition, and at the consumer for a call under the same key; bounded.
    Column("answer", LargeBinary, nullable=False),
    Index("ix_call_usage_contract_key", "contract", "key", unique=True),
    Index("ix_call_usage_contract_period", "contract", "period"),
    Index("ix_call_usage_at", "at"),
)
