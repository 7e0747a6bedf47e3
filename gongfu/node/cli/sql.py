"""``gongfu sql``."""

import sys
from typing import Any

import click

from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_csv, print_json, print_table


@click.command("sql")
@click.argument("query")
@click.option("--format", "form", type=click.Choice(["table", "csv"]), default="table", show_default=True)
@node_options
def command(query: str, form: str, as_json: bool, **node: Any) -> None:
    """Run a read-only SQL query (ClickHouse dialect) over points and records; QUERY of - reads standard input."""
    text = sys.stdin.read() if query == "-" else query
    answer = connect(**node).post("/sql", {"query": text})
    if as_json:
        print_json(answer)
        return
    header = [column["name"] for column in answer["columns"]]
    if form == "csv":
        print_csv(header, answer["rows"])
    else:
        print_table(header, answer["rows"], "no rows")
    if answer.get("truncated"):
        click.echo("there are more rows: add LIMIT or narrow the query", err=True)
