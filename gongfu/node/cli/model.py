"""``gongfu model``."""

import sys
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import FAILED, Failure
from gongfu.node.cli.node_api import NodeApi, connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table

_FORMATS = ("json", "wot", "aas", "nodeset", "csv")


@click.group("model")
def command() -> None:
    """Import, export, list, show and check thing models (物模型), and let assets be of them."""


@command.command("list")
@click.option("--search", help="Part of the name.")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(search: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List models, each with its newest version."""
    items = connect(**node).items("/thing-models", limit, search=search)
    if as_json:
        print_json(items)
        return
    rows = [(item["reference"], item["state"], item["created_by"], item["created_at"][:19]) for item in items]
    print_table(("model", "state", "by", "made"), rows, "no models")


@command.command("show")
@click.argument("name")
@node_options
def show(name: str, as_json: bool, **node: Any) -> None:
    """Show a version with what it inherits: NAME@VERSION, or NAME for the newest that is published."""
    document = connect(**node).get(f"/thing-models/{segment(name)}")
    if as_json:
        print_json(document)
        return
    model = document["resolved"]
    print(f"{document['reference']} ({document['state']}) {_title(model)}")
    if model.get("extends"):
        print(f"extends {model['extends']}")
    rows = [
        (name, item["data_type"], item.get("unit", ""), _range(item), _title(item))
        for name, item in model.get("properties", {}).items()
    ]
    print_table(("property", "type", "unit", "range", "title"), rows, "no properties")
    for group in ("events", "services", "relations"):
        if model.get(group):
            print(f"{group}: {', '.join(model[group])}")


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: found out by the content.")
@click.option("--publish", is_flag=True, help="Publish at once.")
@click.option("--preview", is_flag=True, help="Say what would be imported, and store nothing.")
@node_options
def import_(file: Path, form: str | None, publish: bool, preview: bool, as_json: bool, **node: Any) -> None:
    """Read models from a file and add each as a version. What a model cannot hold is listed."""
    api = connect(**node)
    found = _read(api, file, form)
    query = {"publish": "true" if publish else None}
    added = [] if preview else [api.post("/thing-models", model, **query) for model in found["models"]]
    if as_json:
        print_json({**found, "added": added})
        return
    for entry in found["left_out"]:
        print(f"left out: {entry['where']}: {entry['what']}", file=sys.stderr)
    if preview:
        for model in found["models"]:
            print(f"{model['name']}: {len(model.get('properties', {}))} properties; nothing was stored")
    for document in added:
        print(f"{document['reference']} ({document['state']}): {len(document['resolved']['properties'])} properties")


@command.command("export")
@click.argument("name")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="wot", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File; default: standard output.")
@node_options
def export(name: str, form: str, output: Path | None, as_json: bool, **node: Any) -> None:
    """Write a model with all it inherits: WoT Thing Model, AAS, OPC UA NodeSet, CSV, or our own JSON."""
    del as_json  # the file is what it is
    answer = connect(**node).get(f"/thing-models/{segment(name)}:export", format=form, wrapped="true")
    for entry in answer["left_out"]:
        print(f"left out: {entry['where']}: {entry['what']}", file=sys.stderr)
    content = answer["content"].encode()
    if output is not None:
        output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)


@command.command("publish")
@click.argument("name")
@node_options
def publish(name: str, as_json: bool, **node: Any) -> None:
    """Publish a draft. From then on it never changes, and assets may be of it."""
    document = connect(**node).post(f"/thing-models/{segment(name)}:publish", None)
    if as_json:
        print_json(document)
    else:
        print(f"{document['reference']}: {document['state']}")


@command.command("diff")
@click.argument("old")
@click.argument("new")
@node_options
def diff(old: str, new: str, as_json: bool, **node: Any) -> None:
    """Say what differs between two versions, and what breaks."""
    found = connect(**node).call("GET", f"/thing-models/{segment(new)}:diff", query={"from": old})
    if as_json:
        print_json(found)
        return
    rows = [
        (item["where"], item["change"], "breaks" if item["breaking"] else "", item["before"], item["after"])
        for item in found["changes"]
    ]
    print_table(("where", "change", "", "before", "after"), rows, "no difference")


@command.command("bind")
@click.argument("name")
@click.argument("paths", nargs=-1, required=True)
@node_options
def bind(name: str, paths: tuple[str, ...], as_json: bool, **node: Any) -> None:
    """Let assets be of a published version; assets and points that are not there are made."""
    body = {"items": [{"path": path} for path in paths]}
    items = connect(**node).post(f"/thing-models/{segment(name)}/instances", body)["items"]
    if as_json:
        print_json(items)
        return
    print_table(
        ("asset", "type", "points", "misfits"),
        [(item["path"], item["type"], item["points"], len(item["misfits"])) for item in items],
    )


@command.command("check")
@click.argument("name")
@node_options
def check(name: str, as_json: bool, **node: Any) -> None:
    """List the points of assets of a model that are not as it says; exit status 1 when there are any."""
    items = connect(**node).items(f"/thing-models/{segment(name)}/instances")
    if as_json:
        print_json(items)
    else:
        rows = [
            (item["path"], item["type"], misfit["point"], misfit["reason"], misfit["detail"])
            for item in items
            for misfit in item["misfits"]
        ]
        print_table(("asset", "model", "point", "reason", "detail"), rows, f"{len(items)} assets, all as it says")
    if any(item["misfits"] for item in items):
        raise Failure("some points are not as their model says", "", FAILED, "misfit")


def _read(api: NodeApi, file: Path, form: str | None) -> Any:
    content = file.read_bytes()
    return api.call("POST", "/thing-models:import", content, {"format": form})


def _title(item: Any) -> str:
    titles = item.get("titles", {})
    return " / ".join(text for text in (titles.get("zh"), titles.get("en")) if text)


def _range(item: Any) -> str:
    low, high = item.get("minimum"), item.get("maximum")
    if item.get("choices"):
        return "|".join(map(str, item["choices"]))
    return "" if low is None and high is None else f"{'' if low is None else low} … {'' if high is None else high}"
