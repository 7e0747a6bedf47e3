"""``gongfu query``."""

import time
from collections.abc import Mapping
from typing import Any

import click

from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_csv, print_json, print_table
from gongfu.node.cli.selection import choose, time_of
from gongfu.node.quantities import parse_seconds

AGGREGATES = "avg, min, max, count, first, last, minmax, or one of OPC UA such as TimeAverage2"


def _step(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else parse_seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _gap_rule(text: str) -> dict[str, float]:
    """Return the gap rule of ``5m`` or ``5x``."""
    try:
        if text.endswith("x"):
            return {"times_usual": float(text[:-1])}
        return {"longer_than": parse_seconds(text)}
    except ValueError as error:
        raise click.BadParameter(f"write a time such as 5m, or a factor such as 5x: {error}") from None


def _print_gaps(answer: Any, labels: Mapping[int, str], form: str) -> None:
    rows = [
        (labels.get(series["series"], str(series["series"])), gap["from"], gap["to"], gap["seconds"])
        for series in answer["series"]
        for gap in series["gaps"]
    ]
    header = ("point", "from", "to", "seconds")
    if form == "csv":
        print_csv(header, rows)
    else:
        print_table(header, rows, "no gaps in this time range")


@click.command("query")
@click.argument("points", nargs=-1, required=True, metavar="POINT...")
@click.option("--from", "start", default="1h", show_default=True, help="RFC 3339 time, or a duration ago.")
@click.option("--to", "end", default="now", show_default=True, help="RFC 3339 time, or a duration ago.")
@click.option("--aggregate", metavar="NAME", help=f"One value a step instead of all values: {AGGREGATES}.")
@click.option("--step", callback=_step, help="Length of a step, such as 1m; with --aggregate.")
@click.option("--stepped/--sloped", default=None, help="Values hold until the next, or lie on lines; default by type.")
@click.option("--at", "moments", multiple=True, metavar="TIME", help="Interpolated value at a time; may be repeated.")
@click.option("--as-of", metavar="TIME", help="As the history knew it then, without later corrections.")
@click.option("--gaps", metavar="LIMIT", help="List silences longer than a time (5m) or than the usual (5x).")
@click.option("--order", type=click.Choice(["asc", "desc"]), default="asc", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="At most this many values a point.")
@click.option("--good", is_flag=True, help="Only values of good quality (aggregates always are).")
@click.option("--format", "form", type=click.Choice(["table", "csv"]), default="table", show_default=True)
@node_options
def command(
    points: tuple[str, ...],
    start: str,
    end: str,
    aggregate: str | None,
    step: float | None,
    stepped: bool | None,
    moments: tuple[str, ...],
    as_of: str | None,
    gaps: str | None,
    order: str,
    limit: int | None,
    good: bool,
    form: str,
    as_json: bool,
    **node: Any,
) -> None:
    """Read points over a time range: POINT is a series number, ASSET:POINT, or ASSET for all points below it."""
    if (aggregate is None) != (step is None):
        raise click.UsageError("--aggregate and --step go together")
    api = connect(**node)
    now = time.time_ns()
    chosen = choose(api, points)
    body: dict[str, Any] = {
        "series": [point.series for point in chosen],
        "from": time_of(start, now),
        "to": time_of(end, now),
        "order": order,
    }
    if stepped is not None:
        body["stepped"] = stepped
    if moments:
        body["at"] = [time_of(moment, now) for moment in moments]
    if as_of:
        body["as_of"] = time_of(as_of, now)
    if gaps:
        body["gaps"] = _gap_rule(gaps)
    # Aggregates are of good values unless the node is told otherwise; raw values are shown with their quality.
    if good or not aggregate:
        body["quality"] = "good" if good else "all"
    if aggregate:
        body.update(aggregate=aggregate, step=step)
    if limit:
        body["limit"] = limit
    answer = api.post("/series:query", body)
    if as_json:
        print_json(answer)
        return
    labels = {point.series: point.label for point in chosen}
    if gaps:
        _print_gaps(answer, labels, form)
        return
    rows = [
        (moment, labels.get(series["series"], str(series["series"])), value, series.get("unit", ""), quality)
        for series in answer["series"]
        for moment, value, quality in zip(series["times"], series["values"], series["qualities"], strict=True)
    ]
    header = ("time", "point", "value", "unit", "quality")
    if form == "csv":
        print_csv(header, rows)
    else:
        print_table(header, rows, "no values in this time range")
    if answer.get("truncated"):
        click.echo("there are more values: narrow the range, or use --aggregate or --limit", err=True)
