"""``gongfu backup``."""

from pathlib import Path

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.options import json_option, local_configuration, local_options
from gongfu.node.cli.output import print_json
from gongfu.node.data_directory import DataDirectory
from gongfu.node.quantities import format_bytes


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--verify", is_flag=True, help="Check a backup that is there: every file, row count and checksum.")
@local_options
@json_option
def command(target: Path, verify: bool, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Write a consistent backup of the running node to DIR, which must be new or empty; or check one with --verify.

    It holds secrets: keep it as safe as the node itself.
    """
    from gongfu.node.backup import BackupError, as_document, back_up

    try:
        if verify:
            from gongfu.node.restore import verify as check

            manifest = check(target.absolute())
        else:
            configuration = local_configuration(config, data_dir)
            manifest = back_up(DataDirectory(configuration.data_dir), target.absolute())
    except BackupError as error:
        raise Failure(str(error), code="backup") from None
    document = as_document(manifest)
    if as_json:
        print_json({**document, "verified": True} if verify else document)
        return
    if verify:
        print(f"{target} is whole: every file is what was backed up at {manifest.created_at}")
    print(f"backup of {manifest.node!r} in {target}: {len(manifest.files)} files, {format_bytes(document['bytes'])}")
    print(f"  included      {', '.join(manifest.included)}")
    for text in manifest.not_included:
        print(f"  NOT included  {text}")
    for text in manifest.warnings:
        print(f"  WARNING       {text}")
