"""What the commands of ``gongfu connect`` are given: the name of a connection, a value."""

import json
from typing import Any

from gongfu.node.cli.failures import NOT_FOUND, Failure
from gongfu.node.cli.node_api import NodeApi


def value_of(text: str) -> Any:
    """Return a value that is given as JSON, or as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def connection_id(api: NodeApi, name: str) -> int:
    """Return the id of a connection given by name or id.

    Raises:
        Failure: there is none.
    """
    for item in api.items("/connections"):
        if name in (item["name"], str(item["id"])):
            return int(item["id"])
    raise Failure(f"there is no connection {name!r}", "see `gongfu connect list`", NOT_FOUND, "not-found")
