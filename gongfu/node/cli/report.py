"""``gongfu report``."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table, text_of


@click.group("report")
def command() -> None:
    """Declare kinds of reports, show cells of the subtree, publish tables, sign records."""


@command.command("kinds")
@node_options
def kinds(as_json: bool, **node: Any) -> None:
    """List the kinds of reports and records that are known here."""
    found = connect(**node).items("/report-kinds")
    if as_json:
        print_json(found)
        return
    rows = [_kind_row(kind) for kind in found]
    print_table(("kind", "version", "of", "declared by", "keys", "measures", "leaves"), rows, "no kinds")


def _kind_row(kind: dict[str, Any]) -> tuple[Any, ...]:
    if kind["state"] == "unknown":
        return (kind["name"], None, "unknown", f"stated by {kind['child']}, {kind['statements']} times", "", "", False)
    document = kind["cells"] or kind["record"]
    return (
        kind["name"],
        kind["version"],
        kind["form"],
        kind["declared_by"] or "built in",
        ",".join(document.get("keys", ())),
        ",".join(measure["name"] for measure in document.get("measures", ())),
        kind["leaves"],
    )


@command.command("declare")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--record", is_flag=True, help="The file declares a kind of signed records, not of cells.")
@node_options
def declare(file: Path, record: bool, as_json: bool, **node: Any) -> None:
    """Declare a kind, from a JSON file (- for standard input), for this node and all below it."""
    form = "record" if record else "cells"
    kind = connect(**node).post("/report-kinds", {form: _document(file)})
    if as_json:
        print_json(kind)
    else:
        print(f"{kind['name']} version {kind['version']} is declared")


@command.command("show")
@click.argument("kind")
@click.option("--period", help="RFC 3339 time in the period; default: the latest.")
@click.option("--node", "of", metavar="ID", help="Only what this child said, of its subtree.")
@click.option("--by", metavar="KEY,KEY", help="Merge the cells to these keys; an empty text for one total.")
@click.option("--measure", help="With --row: publish a table of this measure.")
@click.option("--row", help="Publish by this key: small cells are suppressed.")
@click.option("--column", help="Publish by this key, too.")
@node_options
def show(kind: str, as_json: bool, **options: Any) -> None:
    """Show cells of the subtree, or (with --measure and --row) a table that may be published."""
    names = ("period", "of", "by", "measure", "row", "column")
    wanted = {name: options.pop(name) for name in names}
    api = connect(**options)
    if wanted["row"] or wanted["measure"] or wanted["column"]:
        query = {name: wanted[name] for name in ("period", "measure", "row", "column")}
        table = api.get(f"/reports/{segment(kind)}/publication", **query)
        _print_publication(table, as_json)
        return
    report = api.get(f"/reports/{segment(kind)}", period=wanted["period"], node=wanted["of"], by=wanted["by"])
    if as_json:
        print_json(report)
        return
    measures = list(dict.fromkeys(name for item in report["items"] for name in item["measures"]))
    print_table(
        (*report["by"], *measures, "nodes", "silent"),
        [
            (
                *(item["keys"].get(key, "") for key in report["by"]),
                *(item["measures"].get(name) for name in measures),
                item["nodes"],
                item["silent"],
            )
            for item in report["items"]
        ],
        "no cells",
    )
    coverage = report["coverage"]
    print(f"{coverage['reported']} of {coverage['known']} nodes reported; as of {text_of(report['as_of'])}")
    for word in ("silent", "never"):
        if coverage[word]:
            print(f"{word}: {', '.join(coverage[word])}")


def _print_publication(table: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(table)
        return
    columns = [*table["columns"], "total"] if table["column_key"] else [table["measure"]]
    rows = [
        (name, *("suppressed" if value is None else value for value in values))
        for name, values in zip([*table["rows"], "total"], table["values"], strict=True)
    ]
    print_table((table["row_key"], *columns), rows)
    print(f"{table['measure']} in {table['unit']}, frozen at {table['published_at']}; a cell stands for at least")
    print(f"{table['least_contributors']} enterprises")


@command.command("state")
@click.argument("kind")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--period", help="RFC 3339 time in the period; default: the present one.")
@node_options
def state(kind: str, file: Path, period: str | None, as_json: bool, **node: Any) -> None:
    """State this node's own cells of a period: all of them, from a JSON file (- for standard input).

    The file is a list of {"keys": {…}, "measures": {…}}.
    """
    body = {"cells": _document(file), "period": period}
    stated = connect(**node).post(f"/reports/{segment(kind)}/cells", body)
    if as_json:
        print_json(stated)
    else:
        print(f"{stated['kind']}: {'stated' if stated['changed'] else 'as it was'}")


@command.command("record")
@click.argument("kind")
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Of a list.")
@node_options
def record(kind: str, file: Path | None, limit: int, as_json: bool, **node: Any) -> None:
    """Sign a JSON file (- for standard input) as a record of a kind; without a file list those that are here."""
    api = connect(**node)
    if file is None:
        records = api.items("/records", limit, kind=kind)
    else:
        records = [api.post("/records", {"kind": kind, "body": _document(file)})]
    if as_json:
        print_json(records if file is None else records[0])
        return
    print_table(
        ("id", "node", "sequence", "at", "body"),
        [(r["id"][:16], r["node"], r["sequence"], r["at"], _short(r["body"])) for r in records],
        "no records",
    )


def _short(body: object) -> str:
    text = json.dumps(body, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def _document(file: Path) -> Any:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", "give a file, or -", code="usage", status=2) from None
    except ValueError as error:
        raise Failure(f"{file} is not JSON: {error}", "check the file", code="usage", status=2) from None
