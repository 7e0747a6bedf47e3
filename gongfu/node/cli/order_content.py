"""What an order says, as it is written on the command line: targets, payload and times."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gongfu.kernel.times import SECOND, format_rfc3339, parse_rfc3339
from gongfu.node.cli.failures import NOT_FOUND, Failure
from gongfu.node.cli.node_api import NodeApi
from gongfu.node.quantities import parse_seconds

F = TypeVar("F", bound=Callable[..., Any])

PRIORITIES = ("routine", "urgent", "immediate", "flash")
_ID = re.compile(r"[a-z2-7]{24}\Z")
_DURATION = re.compile(r"\d+(\.\d+)?\s*(s|m|min|h|d)", re.ASCII)
_QUERY = ("tiers", "regions", "industries", "sizes")
_OPTIONS = ("nodes", "subtree", *_QUERY, "payload", "deadline", "not_before", "priority", "reason", "every_node")


def content_options(function: F) -> F:
    """Add the options of an order's content."""
    choice = click.Choice(PRIORITIES)
    for option in (
        click.option("--payload", default="{}", metavar="JSON|@FILE|-", help="Payload; - reads standard input."),
        click.option("--node", "nodes", multiple=True, metavar="ID|NAME", help="Target, as often as needed."),
        click.option("--every-node", is_flag=True, help="All nodes of this subtree."),
        click.option("--subtree", multiple=True, metavar="ID|NAME", help="Nodes at and below this one."),
        click.option("--tier", "tiers", multiple=True, help="Nodes of this tier."),
        click.option("--region", "regions", multiple=True, help="Nodes of this region (GB/T 2260, by beginning)."),
        click.option("--industry", "industries", multiple=True, help="Nodes of this industry (GB/T 4754)."),
        click.option("--size", "sizes", multiple=True, help="Nodes of this size."),
        click.option("--deadline", default="24h", show_default=True, help="By when it must be accepted."),
        click.option("--not-before", help="When it may start; default: at once."),
        click.option("--priority", type=choice, default="routine", show_default=True),
        click.option("--reason", default="", help="Why; everybody who gets the order can read it."),
    ):
        function = option(function)
    return function


def split_content(api: NodeApi, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a draft, as the API takes it.

    Raises:
        Failure: an option makes no sense.
    """
    now = time.time_ns()
    body: dict[str, Any] = {
        "kind": kind,
        "payload": _payload(options["payload"]),
        "selection": _selection(api, options),
        "deadline": moment(options["deadline"], now),
        "priority": options["priority"],
        "reason": options["reason"],
    }
    if options["not_before"]:
        body["not_before"] = moment(options["not_before"], now)
    return body


def node_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are not about the content: which node to talk to."""
    return {name: value for name, value in options.items() if name not in _OPTIONS}


def moment(text: str, now_ns: int) -> str:
    """Return RFC 3339 of a duration from now (``90s``, ``15m``, ``24h``, ``7d``) or of RFC 3339 with a zone.

    Raises:
        Failure: it is none of these.
    """
    if _DURATION.fullmatch(text):
        return format_rfc3339(now_ns + int(parse_seconds(text) * SECOND))
    try:
        return format_rfc3339(parse_rfc3339(text))
    except ValueError:
        remedy = "write a duration from now such as 24h, or 2026-01-31T08:00:00+08:00"
        raise Failure(f"{text!r} is not a time", remedy, 2, "usage") from None


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``15m``, ``24h`` or ``7d``; ``0`` is none.

    Raises:
        Failure: it is none.
    """
    if text in ("0", "0s"):
        return 0.0
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise Failure(f"a duration {error}", "write it like 15m", 2, "usage") from None


def find_node(api: NodeApi, text: str) -> str:
    """Return the id of a node of the tree by id or exact name.

    Raises:
        Failure: none, or several have the name.
    """
    if _ID.match(text):
        return text
    found = [node for node in api.items("/tree/nodes", search=text) if node["name"] == text]
    if len(found) == 1:
        return str(found[0]["id"])
    if found:
        raise Failure(f"{len(found)} nodes are called {text!r}", "give the id: `gongfu node list`", code="ambiguous")
    raise Failure(f"there is no node {text!r}", "see `gongfu node list`", NOT_FOUND, "not-found")


def _payload(text: str) -> Any:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", "check --payload", 2, "usage") from None
    except ValueError as error:
        raise Failure(f"the payload is not JSON: {error}", "check --payload", 2, "usage") from None


def _selection(api: NodeApi, options: dict[str, Any]) -> dict[str, Any]:
    nodes = [find_node(api, text) for text in options["nodes"]]
    query: dict[str, Any] = {name: list(options[name]) for name in _QUERY if options[name]}
    if options["subtree"]:
        query["subtree"] = [find_node(api, text) for text in options["subtree"]]
    if bool(nodes) + bool(query) + bool(options["every_node"]) != 1:
        remedy = "give --node, or --tier, --subtree and the like, or --every-node"
        raise Failure("an order needs either a list of nodes or a query", remedy, 2, "usage")
    return {"nodes": nodes} if nodes else {"query": query}
