"""``gongfu id template``."""

import json
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table


@click.group("template")
def command() -> None:
    """Templates: which attributes records have. A published version never changes."""


def _address(text: str) -> str:
    name, at, version = text.partition("@")
    if not at or not version.isdecimal():
        raise click.UsageError(f"a version of a template is NAME@VERSION, not {text!r}")
    return f"/identifiers/templates/{segment(name)}/versions/{version}"


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError("a template is an object")
    except (OSError, ValueError) as error:
        raise Failure(f"{file}: {error}", code="usage", status=2) from None
    return document


@command.command("list")
@click.option("--state", type=click.Choice(["draft", "published", "withdrawn"]))
@click.option("--search", help="Part of name or title.")
@node_options
def list_(state: str | None, search: str | None, as_json: bool, **node: Any) -> None:
    """List templates."""
    found = connect(**node).get("/identifiers/templates", state=state, search=search)["items"]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{one['name']}@{one['version']}",
            one["state"],
            " / ".join(one["title"].values()),
            one["industry"],
            ", ".join(attribute["name"] for attribute in one["attributes"]),
        )
        for one in found
    ]
    print_table(("template", "state", "title", "industry", "attributes"), rows, "no templates")


@command.command("show")
@click.argument("version", metavar="NAME@VERSION")
@node_options
def show(version: str, as_json: bool, **node: Any) -> None:
    """Show a version of a template."""
    _print(connect(**node).get(_address(version)), as_json)


@command.command("add")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--publish", is_flag=True, help="Publish it at once.")
@node_options
def add(file: Path, publish: bool, as_json: bool, **node: Any) -> None:
    """Draft a template from FILE (JSON: name, title, industry, attributes)."""
    api = connect(**node)
    made = api.post("/identifiers/templates", _read(file))
    if publish:
        made = api.post(f"/identifiers/templates/{segment(made['name'])}/versions/{made['version']}:publish", {})
    _print(made, as_json)


@command.command("write")
@click.argument("version", metavar="NAME@VERSION")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@node_options
def write(version: str, file: Path, as_json: bool, **node: Any) -> None:
    """Replace what a draft says by FILE."""
    _print(connect(**node).call("PUT", _address(version), _read(file)), as_json)


def _step(name: str, verb: str, words: str) -> None:
    @command.command(name, help=words)
    @click.argument("version", metavar="NAME@VERSION")
    @node_options
    def step(version: str, as_json: bool, **node: Any) -> None:
        _print(connect(**node).post(f"{_address(version)}:{verb}", {}), as_json)

    assert step.name == name


_step("publish", "publish", "Publish a draft, or a withdrawn version again.")
_step("withdraw", "withdraw", "No new records of this version; those that are there stay.")


@command.command("next")
@click.argument("name")
@node_options
def next_version(name: str, as_json: bool, **node: Any) -> None:
    """Draft the next version of a template."""
    _print(connect(**node).post(f"/identifiers/templates/{segment(name)}:nextVersion", {}), as_json)


@command.command("copy")
@click.argument("name")
@click.argument("copy")
@node_options
def copy_(name: str, copy: str, as_json: bool, **node: Any) -> None:
    """Draft a template COPY from the newest version of NAME."""
    _print(connect(**node).post(f"/identifiers/templates/{segment(name)}:copy", {"name": copy}), as_json)


@command.command("remove")
@click.argument("version", metavar="NAME@VERSION")
@node_options
def remove(version: str, as_json: bool, **node: Any) -> None:
    """Remove a draft."""
    connect(**node).call("DELETE", _address(version))
    if as_json:
        print_json({"removed": version})
    else:
        print(f"removed {version}")


def _print(template: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(template)
        return
    print(f"{template['name']}@{template['version']}  {template['state']}  {' / '.join(template['title'].values())}")
    rows = [
        (
            str(one["index"]),
            one["name"],
            one.get("type", "text"),
            one.get("required", False),
            one.get("unit", ""),
            one.get("pattern", "") or ", ".join(one.get("choices", [])),
            "" if one.get("public", True) else "private",
        )
        for one in template["attributes"]
    ]
    print_table(("index", "attribute", "type", "required", "unit", "must be", ""), rows)
