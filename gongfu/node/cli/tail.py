"""``gongfu tail``."""

from typing import Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_json_line, print_table, text_of
from gongfu.node.cli.selection import Chosen, choose

MAX_SERIES = 500


@click.command("tail")
@click.argument("points", nargs=-1, required=True, metavar="POINT...")
@click.option("--follow", "-f", is_flag=True, help="Go on and print every change until Ctrl-C.")
@click.option("--count", type=click.IntRange(1), help="With --follow: end after this many values.")
@node_options
def command(points: tuple[str, ...], follow: bool, count: int | None, as_json: bool, **node: Any) -> None:
    """Show latest values, and follow them: POINT is a series number, ASSET:POINT, or ASSET for all points below it."""
    api = connect(**node)
    chosen = {point.series: point for point in choose(api, points)}
    if len(chosen) > MAX_SERIES:
        raise Failure(f"{len(chosen)} points are too many, at most {MAX_SERIES}", "name an asset further down")
    series = list(chosen)
    items = api.post("/series:latest", {"series": series})["items"]
    if not follow:
        if as_json:
            print_json(items)
            return
        rows = [_row(chosen, item) for item in items]
        print_table(("time", "point", "value", "unit", "quality"), rows, "no values yet")
        return
    seen = 0
    shown: dict[int, dict[str, Any]] = {}
    for item in items:
        _print(chosen, item, as_json)
        shown[int(item["series"])] = item
    for event, data in api.events("/stream", series=",".join(map(str, series))):
        for item in data if event == "latest" else ():
            # The stream begins with the newest values, which are on the screen already.
            if _same(item, shown.pop(int(item["series"]), None)):
                continue
            _print(chosen, item, as_json)
            seen += 1
            if seen == count:
                return
    raise Failure("the node ended the stream", "it may be restarting: `gongfu status`")


def _same(item: dict[str, Any], shown: dict[str, Any] | None) -> bool:
    return shown is not None and all(item.get(key) == shown.get(key) for key in ("time", "value", "quality"))


def _row(chosen: dict[int, Chosen], item: dict[str, Any]) -> tuple[Any, ...]:
    point = chosen.get(int(item["series"]))
    label, unit = (point.label, point.unit) if point else (str(item["series"]), "")
    return item["time"], label, item["value"], unit, item["quality"]


def _print(chosen: dict[int, Chosen], item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json_line(item)
    else:
        print("  ".join(text_of(cell) for cell in _row(chosen, item)).rstrip(), flush=True)
