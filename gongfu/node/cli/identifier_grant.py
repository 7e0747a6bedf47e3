"""``gongfu id grant``."""

from typing import Any

import click

from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table


@click.group("grant")
def command() -> None:
    """Who besides a handle's administrators may read or change values."""


@command.command("add")
@click.argument("grantee", metavar="[INDEX:]HANDLE")
@click.option("--handle", help="A single grant: of this handle.")
@click.option("--prefix", help="Of all handles of this prefix.")
@click.option("--class", "of", type=click.IntRange(1), help="A class-level grant: of all members of this class.")
@click.option("--read", is_flag=True, help="To read values that are not public.")
@click.option("--write", is_flag=True, help="To change values that administrators may change.")
@click.option("--attribute", "attributes", multiple=True, help="Of these attributes only; may be repeated.")
@click.option("--until", help="RFC 3339 time at which it ends.")
@node_options
def add(
    grantee: str,
    handle: str | None,
    prefix: str | None,
    of: int | None,
    read: bool,
    write: bool,
    attributes: tuple[str, ...],
    until: str | None,
    as_json: bool,
    **node: Any,
) -> None:
    """Let whoever holds a key of HANDLE (at INDEX; without, at any) read or change values."""
    targets = [(scope, target) for scope, target in (("handle", handle), ("prefix", prefix), ("class", of)) if target]
    if len(targets) != 1:
        raise click.UsageError("say one of --handle, --prefix, --class")
    rights = [right for right, wanted in (("read", read), ("write", write)) if wanted]
    if not rights:
        raise click.UsageError("say --read, --write or both")
    index, colon, name = grantee.partition(":")
    whole = bool(colon) and index.isdecimal()
    body: dict[str, Any] = {
        "grantee": name if whole else grantee,
        "index": int(index) if whole else 0,
        "scope": targets[0][0],
        "target": str(targets[0][1]),
        "rights": rights,
        "attributes": list(attributes),
        "until": until,
    }
    _print([connect(**node).post("/identifiers/grants", body)], as_json)


@command.command("list")
@click.option("--target", help="Handle, prefix or number of a class.")
@click.option("--grantee", help="Handle.")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(target: str | None, grantee: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List grants."""
    _print(connect(**node).items("/identifiers/grants", limit, target=target, grantee=grantee), as_json)


@command.command("remove")
@click.argument("number", type=click.IntRange(1))
@node_options
def remove(number: int, as_json: bool, **node: Any) -> None:
    """Take a grant back."""
    connect(**node).call("DELETE", f"/identifiers/grants/{number}", None)
    if as_json:
        print_json({"removed": number})
    else:
        print(f"grant {number} is taken back")


def _print(grants: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(grants)
        return
    print_table(
        ("grant", "to", "rights", "of", "attributes", "until", "by"),
        [
            (
                one["id"],
                f"{one['index']}:{one['grantee']}" if one["index"] else one["grantee"],
                "+".join(one["rights"]),
                f"{one['scope']} {one['target']}",
                ", ".join(one["attributes"]) or "all",
                one["until"] or "",
                one["granted_by"],
            )
            for one in grants
        ],
        "no grants",
    )
