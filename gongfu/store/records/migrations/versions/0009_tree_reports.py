"""The tree: report streams, cells, device claims, records."""

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables."""
