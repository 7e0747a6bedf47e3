"""``gongfu id import``."""

import hashlib
import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, text_of

_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
}
_SHOWN_ERRORS = 20
_PIECE = 1 << 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--template", default="", help="Template: NAME (newest published) or NAME@VERSION.")
@click.option("--prefix", default="", help="Prefix of rows that have a suffix only.")
@click.option("--operation", type=click.Choice(["create", "put", "delete"]), default="create", show_default=True)
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path), help="File for what became of each row.")
@click.option("--key", help="Idempotency key; default: the file's own digest, so that a file counts once.")
@node_options
def command(
    file: Path,
    template: str,
    prefix: str,
    operation: str,
    results: Path | None,
    key: str | None,
    as_json: bool,
    **node: Any,
) -> None:
    """Register the rows of FILE: .csv, .ndjson (or .jsonl), .parquet.

    Columns: handle (or suffix, with --prefix), and one for each attribute of the template. An import that was cut off
    can simply be run again: what was taken is not taken twice.
    """
    media_type = _MEDIA_TYPES.get(file.suffix.lower())
    if media_type is None:
        raise Failure(f"{file}: .csv, .ndjson, .jsonl or .parquet is needed", code="usage", status=2)
    wanted = {"template": template, "prefix": prefix, "operation": operation}
    query = {name: value for name, value in wanted.items() if value}
    if results is None:
        query["results"] = "failed"
    api = connect(**node)
    errors: list[dict[str, Any]] = []
    summary: dict[str, Any] | None = None
    out = results.open("wb") if results is not None else None
    try:
        with file.open("rb") as source:
            headers = {"Content-Type": media_type, "Idempotency-Key": key or _digest(source)}
            for line in api.upload("/identifiers:batch", source, headers, query):
                document = json.loads(line)
                if "summary" in document:
                    summary = document["summary"]
                elif "problem" in document:
                    problem = document["problem"]
                    raise Failure(problem.get("detail") or problem["title"], "run it again", code=problem["code"])
                else:
                    if out is not None:
                        out.write(line)
                    if "detail" in document or document["code"] not in _DONE:
                        errors.append(document)
                        del errors[_SHOWN_ERRORS:]
    except (json.JSONDecodeError, http.client.HTTPException) as error:
        raise Failure(f"the node broke off: {error}", "run it again: what was taken is not taken twice") from None
    finally:
        if out is not None:
            out.close()
    if summary is None:
        raise Failure("the node broke off", "run it again: what was taken is not taken twice", code="broken-off")
    _tell(summary, errors, as_json)


_DONE = frozenset({"created", "replaced", "deleted", "unchanged"})


def _tell(summary: dict[str, Any], errors: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({**summary, "errors": errors})
    else:
        done = ", ".join(f"{summary[name]:,} {name}" for name in sorted(_DONE) if summary.get(name))
        print(f"{summary['items']:,} items: {done or 'nothing done'}, {summary['failed']:,} failed")
        for one in errors:
            print(f"line {one['line']}: {one['code']} {text_of(one.get('detail', ''))}".rstrip(), file=sys.stderr)
    if summary["failed"]:
        raise Failure(f"{summary['failed']:,} items were not taken", "correct them and import them anew", code="items")


def _digest(source: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(source):
        digest.update(piece)
    source.seek(0)
    return digest.hexdigest()


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece
