"""Alarms may have a Chinese text beside the other one."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0021"


def upgrade() -> None:
    """Add the column."""
    op.add_column("alarm", sa.Column("message_zh", sa.Text(), nullable=False, server_default=sa.text("''")))
