"""Rules: kinds beyond thresholds, back-tests."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add what rules of all kinds have; null stands for what was before."""
    op.add_column("rule", sa.Column("unit", sa.String(40), nullable=True))
    op.add_column("rule", sa.Column("lateness_s", sa.Float(), nullable=True))
    op.add_column("rule", sa.Column("owner", sa.String(200), nullable=True))
    op.create_index("ix_rule_tenant_id_owner", "rule", ["tenant_id", "owner"])
