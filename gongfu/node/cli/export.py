"""``gongfu export``."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json
from gongfu.node.cli.selection import choose, time_of

_TELL_EVERY_S = 0.5


@click.command("export")
@click.argument("points", nargs=-1, required=True, metavar="POINT...")
@click.option("--from", "start", default="1h", show_default=True, help="RFC 3339 time, or a duration ago.")
@click.option("--to", "end", default="now", show_default=True, help="RFC 3339 time, or a duration ago.")
@click.option("--format", "form", type=click.Choice(["parquet", "csv", "arrow"]), help="Default: by the file's name.")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="File; - is standard output.")
@click.option("--good", is_flag=True, help="Only values of good quality.")
@click.option("--as-of", metavar="TIME", help="As the history knew it then, without later corrections.")
@click.option("--spreadsheet", is_flag=True, help="CSV that spreadsheets open well: UTF-8 mark, times they read.")
@click.option("--zone", default=None, metavar="+HH:MM", help="Zone of the times of a CSV file; default UTC.")
@node_options
def command(
    points: tuple[str, ...],
    start: str,
    end: str,
    form: str | None,
    output: Path,
    good: bool,
    as_of: str | None,
    spreadsheet: bool,
    zone: str | None,
    as_json: bool,
    **node: Any,
) -> None:
    """Write all values of points over a time range to a file: POINT is as in `gongfu query`.

    The file appears under its name when it is complete.
    """
    form = form or _form_of(output)
    if (spreadsheet or zone) and form != "csv":
        raise click.UsageError("--spreadsheet and --zone are for --format csv")
    api = connect(**node)
    now = time.time_ns()
    chosen = choose(api, points)
    body: dict[str, Any] = {
        "series": [point.series for point in chosen],
        "from": time_of(start, now),
        "to": time_of(end, now),
        "format": form,
        "quality": "good" if good else "all",
    }
    if as_of:
        body["as_of"] = time_of(as_of, now)
    if spreadsheet:
        body.update(times="spreadsheet", bom=True)
    if zone:
        body["zone"] = zone
    pieces = api.download("/series:export", body)
    if str(output) == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    size, seconds = _write(pieces, output)
    if as_json:
        print_json({"file": str(output), "format": form, "bytes": size, "series": len(chosen), "seconds": seconds})
    else:
        click.echo(f"{output}: {_size(size)} of {len(chosen)} series in {seconds:.1f} s")


def _form_of(output: Path) -> str:
    forms = {".csv": "csv", ".arrow": "arrow", ".arrows": "arrow"}
    return forms.get(output.suffix.lower(), "parquet")


def _write(pieces: Iterator[bytes], output: Path) -> tuple[int, float]:
    """Write a file beside, then give it its name; tell how far it is when a person looks on."""
    begin = told = time.monotonic()
    size = 0
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                size += len(piece)
                if sys.stderr.isatty() and time.monotonic() - told > _TELL_EVERY_S:
                    told = time.monotonic()
                    click.echo(f"\r{_size(size)}  {_size(round(size / (told - begin)))}/s ", nl=False, err=True)
        beside.replace(output)
    except OSError as error:
        raise Failure(f"{output}: {error.strerror or error}", "choose another file with --output") from None
    finally:
        beside.unlink(missing_ok=True)
        if sys.stderr.isatty():
            click.echo("\r\033[K", nl=False, err=True)
    return size, round(time.monotonic() - begin, 2)


def _size(n: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"
