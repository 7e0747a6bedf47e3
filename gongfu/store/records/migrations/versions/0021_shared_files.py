"""Small files that the machines of a cluster share; connections belong to no machine any more."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0022"


def upgrade() -> None:
    """Create the table; let whichever machine has the role run the connections."""
    op.create_table(
        "shared_file",
        sa.Column("folder", sa.String(60), nullable=False),
        sa.Column("path", sa.String(400), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("folder", "path", name="pk_shared_file"),
    )
    op.execute("UPDATE connection SET instance = ''")
