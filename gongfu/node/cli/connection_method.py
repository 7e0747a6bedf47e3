"""``gongfu connect browse`` and ``call``: what a connected machine has to show, and its methods."""

from typing import Any

import click

from gongfu.node.cli.connection_lookup import connection_id, value_of
from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table, text_of


@click.command("browse")
@click.argument("name")
@click.argument("parent", default="")
@click.option("--limit", type=click.IntRange(1, 1000), default=200, show_default=True, help="At most this many nodes.")
@node_options
def browse(name: str, parent: str, limit: int, as_json: bool, **node: Any) -> None:
    """Show what a connected machine has below PARENT (an address; default: the top), with its methods."""
    api = connect(**node)
    body = {"target": {"connection": connection_id(api, name)}, "parent": parent, "limit": limit}
    found = api.call("POST", "/connections:browse", body, timeout=120)
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "kind", "type", "value", "unit", "address"),
        [
            (one["name"], one["kind"], one["value_type"] or one["type_name"] or None, text_of(one["sample"]),
             one["unit"] or None, one["where"])
            for one in found["items"]
        ],
        empty="there is nothing below",
    )  # fmt: skip
    if found["next"]:
        print("… and more: see --limit")


@click.command("call")
@click.argument("name")
@click.argument("method")
@click.argument("arguments", nargs=-1)
@click.option("--object", "owner", default="", help="Address of the object; default: the one that has the method.")
@click.option("--signature", is_flag=True, help="Only show what it takes and gives.")
@node_options
def call(
    name: str, method: str, arguments: tuple[str, ...], owner: str, signature: bool, as_json: bool, **node: Any
) -> None:
    """Call METHOD (its address) of a machine with ARGUMENTS (each JSON, or text), in order."""
    api = connect(**node)
    path = f"/connections/{connection_id(api, name)}"
    if signature:
        found = api.call("POST", f"{path}:signature", {"method": method}, timeout=120)
        if as_json:
            print_json(found)
            return
        rows = [(way, one) for way in ("inputs", "outputs") for one in found[way]]
        print_table(
            ("", "name", "type", "description"),
            [(way[:-1], one["name"], one["type_name"] + ("[]" if one["array"] else ""), one["description"] or None)
             for way, one in rows],
            empty="it takes nothing and gives nothing",
        )  # fmt: skip
        return
    given = [value_of(one) for one in arguments]
    body = {"method": method, "object": owner, "arguments": given}
    done = api.call("POST", f"{path}:call", body, timeout=120)
    if as_json:
        print_json(done)
        return
    print(f"{method} was called")
    for output in done["outputs"]:
        print(f"{output['name']} = {text_of(output['value'])}")
