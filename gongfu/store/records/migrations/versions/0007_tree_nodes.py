"""The tree: identity, members, what they say of themselves, join tokens."""

import sqlalchemy as sa
from alembic import op

from gongfu.store.records.engine import name_text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tree_identity",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("node", sa.String(24), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("parent_address", sa.Text(), nullable=False),
        sa.Column("leaf_address", sa.Text(), nullable=False),
        sa.Column("parent_authorities", sa.Text(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_identity"),
    )
    op.create_table(
        "tree_member",
        sa.Column("node", sa.String(24), nullable=False),
        sa.Column("parent", sa.String(24), nullable=False),
        sa.Column("name", name_text(200), nullable=False),
        sa.Column("tier", sa.String(40), nullable=False),
        sa.Column("prefix", sa.String(64), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("released", sa.LargeBinary(), nullable=False),
        sa.Column("gone", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_tree_member"),
    )
    op.create_index("ix_tree_member_parent", "tree_member", ["parent"])
    op.create_table(
        "tree_member_status",
        sa.Column("node", sa.String(24), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("health", sa.String(12), nullable=False),
        sa.Column("console", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_tree_member_status"),
    )
    op.create_table(
        "tree_token",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("node", sa.String(24), nullable=False),
        sa.Column("tier", sa.String(40), nullable=False),
        sa.Column("prefix", sa.String(64), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tree_token"),
    )
    op.create_index("ix_tree_token_created", "tree_token", ["created"])
