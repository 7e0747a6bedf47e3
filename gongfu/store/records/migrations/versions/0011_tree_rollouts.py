"""The tree: effects of drivers that may be taken back, and roll-outs in waves."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tree_driver_effect",
        sa.Column("id", _Key, nullable=False),
        sa.Column("driver", sa.String(100), nullable=False),
        sa.Column("thing", sa.String(300), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("base", sa.JSON(), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_driver_effect"),
        sa.UniqueConstraint("driver", "thing", "order_id", name="uq_tree_driver_effect_driver_thing_order_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tree_driver_effect_driver_order_id", "tree_driver_effect", ["driver", "order_id"])
    op.create_table(
        "tree_rollout",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_rollout"),
        sa.UniqueConstraint("number", name="uq_tree_rollout_number"),
    )
