"""``gongfu id load``."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.options import json_option, local_configuration, local_options
from gongfu.node.cli.output import print_json
from gongfu.node.data_directory import DataDirectory, DataDirectoryError, DirectoryLock


@click.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--template", required=True, help="Template: NAME (newest published) or NAME@VERSION.")
@click.option("--prefix", default="", help="Prefix of rows that have a suffix only.")
@click.option("--class", "of", type=int, default=0, help="Class whose attributes rows have where they have none.")
@click.option("--overwrite", is_flag=True, help="Take the place of what is there; else what is there stays.")
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path), help="File for the rows that were refused.")
@click.option("--key", default="", help="Idempotency key: the same file with the same key counts once.")
@click.option("--compact", is_flag=True, help="Make few large files of the store's many small ones afterwards.")
@json_option
@local_options
def command(
    file: Path,
    template: str,
    prefix: str,
    of: int,
    overwrite: bool,
    results: Path | None,
    key: str,
    compact: bool,
    as_json: bool,
    config: Path | None,
    data_dir: Path | None,
) -> None:
    """Load FILE (.csv, .ndjson, .parquet) straight into the store of a node that is stopped.

    Columns are those of `gongfu id import`; it is several times as fast, for the millions with which a node begins. Run
    again it registers what is not there yet. A store of many small files takes twice as long to look up in what nobody
    has asked for lately; --compact with the last file takes about 3 seconds for each million records of the store.
    """
    from gongfu.identify.bulk.importing import ImportWish
    from gongfu.identify.bulk.reading import FileError, form_of
    from gongfu.identify.service.bindings import BindingError
    from gongfu.identify.service.deciding import Refused
    from gongfu.identify.service.writes import BatchError
    from gongfu.identify.service_directory import ServiceError

    configuration = local_configuration(config, data_dir)
    directory = DataDirectory(configuration.data_dir)
    started = time.monotonic()
    out = results.open("w", encoding="utf-8") if results is not None else None
    lock = DirectoryLock(directory)
    try:
        wish = ImportWish(
            form=form_of(file), template=template, prefix=prefix, of=of, overwrite=overwrite, key=key.encode()
        )
        lock.acquire("load of identifiers")
        url: str = configuration.records_url or directory.records_url
        counted = asyncio.run(_load(directory, url, configuration.identifier.cache_bytes, file, wish, out, compact))
    except (FileError, BindingError, Refused, BatchError, ServiceError, DataDirectoryError, ValueError) as error:
        said = getattr(error, "detail", "") or str(error)
        raise Failure(said, "what was loaded before is there; run it again after correcting it") from None
    except OSError as error:
        raise Failure(str(error)) from None
    finally:
        lock.release()
        if out is not None:
            out.close()
    rows = sum(counted.values())
    if as_json:
        print_json({"rows": rows, **counted})
    else:
        said = ", ".join(f"{count:,} {code}" for code, count in counted.most_common())
        print(f"{rows:,} rows in {time.monotonic() - started:.1f} s: {said or 'nothing'}")


async def _load(
    directory: DataDirectory, url: str, cache_bytes: int, file: Path, wish: Any, out: IO[str] | None, compact: bool
) -> Counter[str]:
    from gongfu.identify.bulk.importing import import_file
    from gongfu.identify.bulk.preparing import CODES
    from gongfu.identify.management.directory import load_directory
    from gongfu.identify.service.identifiers import Identifiers
    from gongfu.identify.service.writes import DONE
    from gongfu.identify.service_directory import ServiceDirectory
    from gongfu.store.records.engine import open_records, reading

    service = ServiceDirectory(directory.identifiers)
    service.facts()
    engine = open_records(url)
    try:
        with reading(engine) as connection:
            known = load_directory(connection)
    finally:
        engine.dispose()
    identifiers = await Identifiers.open(service.store, known, cache_bytes=cache_bytes)
    counted: Counter[str] = Counter()
    refused = frozenset(number for number, code in enumerate(CODES) if code not in DONE)
    try:
        with file.open("rb") as source:
            async for part in import_file(identifiers, source, wish, now=lambda: int(time.time())):
                counted.update({str(code): count for code, count in part.counts().items()})
                if out is not None and not refused.isdisjoint(part.codes):
                    for place, code in enumerate(part.codes):
                        if code in refused:
                            row = part.first + place
                            said = {"row": row + 1, "code": CODES[code], "detail": part.details.get(row, "")}
                            out.write(json.dumps(said, ensure_ascii=False) + "\n")
        if compact:
            await identifiers.compact()
    finally:
        await identifiers.close()
    return counted
