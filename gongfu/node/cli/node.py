"""``gongfu node``."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import NOT_FOUND, Failure
from gongfu.node.cli.node_api import NodeApi, connect, reason_text, segment
from gongfu.node.cli.options import local_configuration, node_options
from gongfu.node.cli.output import ago, print_json, print_table
from gongfu.node.data_directory import DataDirectory, lock_holder

_ID = re.compile(r"[a-z2-7]{24}")


@click.group("node")
def command() -> None:
    """Found or join a tree of nodes; list, suspend and move the nodes below."""


@command.command("found")
@click.option("--name", required=True, help="What people call the node.")
@click.option("--tier", required=True, help="What it is in the tree, such as nation.")
@click.option("--prefix", default="", help="Prefix of the identifiers at home here and below.")
@click.option("--region", default="", help="GB/T 2260 code.")
@click.option("--industry", default="", help="GB/T 4754 code.")
@click.option("--size", default="", help="Class of size.")
@node_options
def found(name: str, tier: str, prefix: str, as_json: bool, **options: Any) -> None:
    """Make this node the root of a new tree. Works while it runs and while it is stopped."""
    attributes, node = _attributes(options)
    body = {"name": name, "tier": tier, "prefix": prefix, "attributes": attributes}
    _print_own(_enrol("found", body, **node), as_json)


@command.command("join")
@click.argument("join_token", metavar="TOKEN")
@click.option("--name", help="What people call the node; default: name of the node in the configuration.")
@click.option("--tier", help="What it wants to be; default: what the token says.")
@click.option("--region", default="", help="GB/T 2260 code.")
@click.option("--industry", default="", help="GB/T 4754 code.")
@click.option("--size", default="", help="Class of size.")
@node_options
def join(join_token: str, name: str | None, tier: str | None, as_json: bool, **options: Any) -> None:
    """Make this node a child of the node that issued TOKEN; ``-`` reads it from standard input.

    Works while the node runs and while it is stopped.
    """
    attributes, node = _attributes(options)
    join_token = _read(join_token)
    if name is None and not node["url"]:
        name = local_configuration(node["config"], node["data_dir"]).name
    if name is None:
        raise click.UsageError("--name is needed with --url")
    body = {"token": join_token, "name": name, "attributes": attributes, "tier": tier}
    _print_own(_enrol("join", body, **node), as_json)


@command.command("show")
@click.argument("which", metavar="[NODE]", required=False)
@node_options
def show(which: str | None, as_json: bool, **node: Any) -> None:
    """Show this node's place in the tree, or a node below it."""
    api = connect(**node)
    if which is None:
        _print_own(api.get("/tree/node"), as_json)
        return
    document = api.get(f"/tree/nodes/{segment(_id_of(api, which))}")
    if as_json:
        print_json(document)
        return
    link = document.pop("link") or {}
    path = " / ".join(step["name"] for step in document.pop("path") or [])
    live = document.pop("live", None) or {}
    rows = [("path", path), *document.items(), *((f"link {name}", value) for name, value in link.items())]
    print_table(("node", document["name"]), [*rows, *((f"live {name}", value) for name, value in live.items())])


@command.command("list")
@click.option("--parent", help="Only children of this node (name or id).")
@click.option("--search", help="Part of the name, beginning of the prefix.")
@click.option("--state", type=click.Choice(["active", "suspended", "retired"]))
@node_options
def list_(parent: str | None, search: str | None, state: str | None, as_json: bool, **node: Any) -> None:
    """List the nodes below this one."""
    api = connect(**node)
    nodes = api.items("/tree/nodes", parent=_id_of(api, parent) if parent else None, search=search, state=state)
    if as_json:
        print_json(nodes)
        return
    now = time.time_ns()
    print_table(
        ("id", "name", "tier", "prefix", "state", "health", "heard", "version", "below", "link", "waiting"),
        [
            (
                one["id"],
                one["name"],
                one["tier"],
                one["prefix"],
                one["state"],
                one["health"],
                ago(one["heard_at"], now),
                one["version"],
                one["descendants"],
                _link_word(one["link"]),
                one["link"]["waiting"] if one["link"] else None,
            )
            for one in nodes
        ],
        "no nodes",
    )


@command.group("token")
def token() -> None:
    """Issue, list and revoke tokens with which nodes join below this one."""


@token.command("issue")
@click.option("--tier", required=True, help="What the child will be.")
@click.option("--prefix", default="", help="What the child will have; extends this node's.")
@click.option("--valid", "valid", default="24h", show_default=True, help="How long, such as 30m, 24h or 7d.")
@node_options
def issue(tier: str, prefix: str, valid: str, as_json: bool, **node: Any) -> None:
    """Issue a token; its text is shown now only."""
    from gongfu.node.quantities import parse_seconds

    try:
        seconds = int(parse_seconds(valid))
    except ValueError as error:
        raise Failure(f"--valid: {error}", "write 30m, 24h or 7d", 2, "usage") from None
    document = connect(**node).post("/tree/tokens", {"tier": tier, "prefix": prefix, "valid_seconds": seconds})
    if as_json:
        print_json(document)
        return
    print(document["token"])


@token.command("list")
@node_options
def tokens(as_json: bool, **node: Any) -> None:
    """List tokens, newest first; never their texts."""
    found = connect(**node).items("/tree/tokens")
    if as_json:
        print_json(found)
        return
    fields = ("name", "tier", "prefix", "state", "node", "valid_until")
    print_table(fields, [[one[field] for field in fields] for one in found], "no tokens")


@token.command("revoke")
@click.argument("name")
@node_options
def revoke(name: str, as_json: bool, **node: Any) -> None:
    """Let nobody use a token from now on."""
    document = connect(**node).post(f"/tree/tokens/{segment(name)}:revoke", None)
    if as_json:
        print_json(document)
    else:
        print(f"{document['name']} is {document['state']}")


def _changing(verb: str, text: str) -> Callable[..., None]:
    @command.command(verb, help=text)
    @click.argument("which", metavar="NODE")
    @click.option("--reason", default="", help="Why; it is audited.")
    @node_options
    def change(which: str, reason: str, as_json: bool, **node: Any) -> None:
        api = connect(**node)
        document = api.post(f"/tree/nodes/{segment(_id_of(api, which))}:{verb}", {"reason": reason})
        if as_json:
            print_json(document)
        else:
            print(f"{document['name']} is {document['state']}")

    return change


suspend = _changing(
    "suspend", "Take no part of a child's subtree into account, and close its link, until it is resumed."
)
resume = _changing("resume", "Let a suspended child in again.")
retire = _changing("retire", "End a child's membership for ever.")


@command.command("release")
@click.argument("which", metavar="NODE")
@click.option("--to", required=True, help="New parent (name or id).")
@click.option("--keep-prefix/--drop-prefix", default=True, show_default=True)
@click.option("--reason", default="", help="Why; it is audited.")
@node_options
def release(which: str, to: str, keep_prefix: bool, reason: str, as_json: bool, **node: Any) -> None:
    """Let a node below go to another parent; prints the text that `gongfu node rehome` needs there."""
    api = connect(**node)
    body = {"to": _id_of(api, to), "keep_prefix": keep_prefix, "reason": reason}
    document = api.post(f"/tree/nodes/{segment(_id_of(api, which))}:release", body)
    if as_json:
        print_json(document)
    else:
        print(document["release"])


@command.command("rehome")
@click.argument("join_token", metavar="TOKEN")
@click.argument("text", metavar="RELEASE")
@node_options
def rehome(join_token: str, text: str, as_json: bool, **node: Any) -> None:
    """Move this node to the parent that issued TOKEN (``-`` reads it from standard input), released by RELEASE."""
    body = {"token": _read(join_token), "release": text}
    _print_own(connect(**node).post("/tree:rehome", body), as_json)


def _enrol(
    verb: str, body: dict[str, Any], url: str | None, token: str | None, config: Path | None, data_dir: Path | None
) -> Any:
    """Return the document of the node that was founded or has joined: through its API when it runs."""
    if url is None:
        configuration = local_configuration(config, data_dir)
        directory = DataDirectory(configuration.data_dir)
        if lock_holder(directory) is None:
            return _enrol_stopped(verb, body, configuration, directory)
    return connect(url, token, config, data_dir).post(f"/tree:{verb}", body)


def _enrol_stopped(verb: str, body: dict[str, Any], configuration: Any, directory: DataDirectory) -> Any:
    import msgspec

    from gongfu.kernel.errors import Problem
    from gongfu.kernel.times import SystemClock
    from gongfu.node.data_directory import DataDirectoryError, DirectoryLock
    from gongfu.node.stopped_enrolment import enrol_stopped

    try:
        directory.create()
        with DirectoryLock(directory):
            return enrol_stopped(
                verb, body, configuration.records_url or directory.records_url, directory, SystemClock()
            )
    except Problem as problem:
        raise Failure(reason_text(problem.code, problem.detail), "", code=problem.code) from None
    except msgspec.ValidationError as error:
        raise Failure(str(error), "", 2, "invalid-request") from None
    except (DataDirectoryError, OSError) as error:
        raise Failure(str(error), "", code="data-directory") from None


def _read(text: str) -> str:
    """Return a token; others on the machine can see the command line, but not standard input."""
    return sys.stdin.read().strip() if text == "-" else text


def _attributes(options: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    names = ("region", "industry", "size")
    attributes = {name: options[name] for name in names}
    return attributes, {name: value for name, value in options.items() if name not in names}


def _id_of(api: NodeApi, text: str) -> str:
    """Return the id of a node by id or name.

    Raises:
        Failure: no node has the name, or several have.
    """
    if _ID.fullmatch(text):
        return text
    found = [one["id"] for one in api.items("/tree/nodes", search=text) if one["name"] == text]
    found += [step["id"] for step in api.get("/tree/node").get("path") or [] if step["name"] == text]
    if len(found) != 1:
        what = "there is no node" if not found else f"{len(found)} nodes are called"
        raise Failure(f"{what} {text!r}", "see `gongfu node list` and give the id", NOT_FOUND, "not-found")
    return str(found[0])


def _link_word(link: dict[str, Any] | None) -> str | None:
    if link is None:
        return None
    return ("up" if link["up"] else "down") + (", clock is off" if link["skewed"] else "")


def _print_own(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    if not document["enrolled"]:
        print("this node is in no tree: `gongfu node found`, or `gongfu node join TOKEN`")
        return
    parent, link = document.get("parent"), document.get("link")
    rows = [
        ("path", " / ".join(step["name"] for step in document["path"])),
        *((name, document[name]) for name in ("tier", "prefix", "state", "revision", "valid_until")),
        ("parent", f"{parent['name']} ({parent['id']}) at {parent['address']}" if parent else "none: this is the root"),
        ("link up", _link_word(link) if parent else None),
        ("children", document.get("children")),
        ("nodes below", document.get("descendants")),
    ]
    print_table(("node", document["id"]), rows)
