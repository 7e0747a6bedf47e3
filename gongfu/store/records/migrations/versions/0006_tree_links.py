"""The tree: links, their positions and outboxes."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tree_link",
        sa.Column("id", key, nullable=False),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("upward", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_epoch", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_number", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_digest", sa.BigInteger(), nullable=False),
        sa.Column("received_epoch", sa.BigInteger(), nullable=False),
        sa.Column("received_number", sa.BigInteger(), nullable=False),
        sa.Column("received_digest", sa.BigInteger(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.Column("stated", sa.Boolean(), nullable=False),
        sa.Column("clock_offset", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_link"),
        sa.UniqueConstraint("peer", name="uq_tree_link_peer"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tree_outbox",
        sa.Column("link", key, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("link", "epoch", "number", name="pk_tree_outbox"),
        sqlite_with_rowid=False,
    )
