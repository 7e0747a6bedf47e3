"""``gongfu id backup`` and ``gongfu id restore``."""

from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.options import json_option, local_configuration, local_options
from gongfu.node.cli.output import print_json
from gongfu.node.data_directory import DataDirectory, DataDirectoryError


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--verify", is_flag=True, help="Check a backup that is there: each file's checksum.")
@local_options
@json_option
def backup(target: Path, verify: bool, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Write the identifier service of the running node to DIR, which must be new or empty; or check one with --verify.

    Identifiers, events, prefixes, templates, applications with their documents, grants and figures as of one moment,
    and the service's keys: keep it as safe as the node itself. `gongfu backup` has all of a node, this too.
    """
    from gongfu.node.identifier_archive import ArchiveError, read_manifest, save

    try:
        if verify:
            manifest = read_manifest(target.absolute())
        else:
            configuration = local_configuration(config, data_dir)
            manifest = save(DataDirectory(configuration.data_dir), target.absolute())
    except ArchiveError as error:
        raise Failure(str(error), code="backup") from None
    _tell(manifest, f"{'whole: ' if verify else ''}identifiers below {manifest.root} in {target}", as_json)


@click.command("restore")
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@local_options
@json_option
def restore(source: Path, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Give a stopped node without an identifier service the one that is in DIR; all identifiers are counted anew."""
    from gongfu.node.identifier_archive import ArchiveError
    from gongfu.node.identifier_archive import restore as restored

    configuration = local_configuration(config, data_dir)
    directory = DataDirectory(configuration.data_dir)
    try:
        manifest = restored(source.absolute(), directory, configuration.records_url or directory.records_url)
    except (ArchiveError, DataDirectoryError) as error:
        raise Failure(str(error), code="restore") from None
    _tell(manifest, f"restored identifiers below {manifest.root}, as of {manifest.created_at}", as_json)


def _tell(manifest: Any, said: str, as_json: bool) -> None:
    counts = manifest.identifiers
    total = counts.explicit + counts.members - counts.overridden
    if as_json:
        print_json({"root": manifest.root, "created_at": manifest.created_at, "total": total, **counts.counts()})
        return
    print(f"{said}: {total:,} identifiers ({counts.explicit:,} with records of their own), {counts.events:,} events")
