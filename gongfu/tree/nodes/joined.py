"""How other processes see that a node is in a tree, without its keys and records."""

from pathlib import Path

JOINED = "joined"


def joined_file(data_dir: Path) -> Path:
    """Return the file that is there when the node of a data directory is in a tree."""
    return data_dir / "secrets" / "tree" / JOINED
