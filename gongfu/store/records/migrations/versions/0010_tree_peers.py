"""The tree: contracts between siblings and their calls."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tree_peer_contract",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("ancestor", sa.String(24), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=False),
        sa.Column("end_signed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_peer_contract"),
    )
    op.create_index("ix_tree_peer_contract_made_at", "tree_peer_contract", ["made_at"])
    op.create_table(
        "tree_peer_contract_told",
        sa.Column("contract", sa.String(64), nullable=False),
        sa.Column("child", sa.String(24), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("contract", "child", name="pk_tree_peer_contract_told"),
    )
    op.create_table(
        "tree_peer_call",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("contract", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(48), nullable=False),
        sa.Column("caller", sa.String(24), nullable=False),
        sa.Column("callee", sa.String(24), nullable=False),
        sa.Column("came_from", sa.String(24), nullable=False),
        sa.Column("went_to", sa.String(24), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("admitted", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_peer_call"),
    )
    op.create_index("ix_tree_peer_call_contract_at", "tree_peer_call", ["contract", "at"])
    op.create_index("ix_tree_peer_call_state", "tree_peer_call", ["state"])
    op.create_index("ix_tree_peer_call_deadline", "tree_peer_call", ["deadline"])
