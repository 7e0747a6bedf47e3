"""The revisions of the records, read from the files: without SQLAlchemy and alembic, which take 0.3 s to import."""

import ast
from pathlib import Path

VERSIONS = Path(__file__).parent / "migrations" / "versions"


class MigrationError(RuntimeError):
    """The records cannot be brought to the schema of this version."""


def head() -> str:
    """Return the newest revision.

    Raises:
        MigrationError: the revisions do not form one line.
    """
    revisions: dict[str, str | None] = {}
    for path in VERSIONS.glob("[0-9]*.py"):
        names = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in ("revision", "down_revision")
        }
        revisions[names["revision"]] = names["down_revision"]
    heads = set(revisions) - set(revisions.values())
    if len(heads) != 1:
        raise MigrationError(f"migrations do not form one line, their ends are {sorted(heads)}")
    return heads.pop()
