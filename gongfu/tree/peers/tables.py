"""Tables of contracts between peers and of the calls that are on their way."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from gongfu.store.records.engine import metadata

NODE = String(24)

contract = Table(
    "tree_peer_contract",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("ancestor", NODE, nullable=False),
    # As it was signed (contract.signed_contract).
    Column("signed", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    # 0 unless it was ended; then by whose words.
    Column("ended_at", BigInteger, nullable=False),
    Column("end_reason", Text, nullable=False),
    Column("end_signed", LargeBinary, nullable=False),
    Index("ix_tree_peer_contract_made_at", "made_at"),
)

# What a child was told: the contract, and its end.
told = Table(
    "tree_peer_contract_told",
    metadata,
    Column("contract", String(64), primary_key=True),
    Column("child", NODE, primary_key=True),
    Column("ended_at", BigInteger, nullable=False),
)

# A call at the caller, at each hop and at the callee.
call = Table(
    "tree_peer_call",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("contract", String(64), nullable=False),
    Column("kind", String(48), nullable=False),
    Column("caller", NODE, nullable=False),
    Column("callee", NODE, nullable=False),
    # Neighbour from which it came and to which it went; empty at the caller and the callee.
    Column("came_from", NODE, nullable=False),
    Column("went_to", NODE, nullable=False),
    # open, answered, or the denial.
    Column("state", String(64), nullable=False),
    # 1 when it was let through here; of those that were not, the first of a kind in a minute is kept.
    Column("admitted", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Index("ix_tree_peer_call_contract_at", "contract", "at"),
    Index("ix_tree_peer_call_state", "state"),
    Index("ix_tree_peer_call_deadline", "deadline"),
)
