"""``gongfu restore``."""

from pathlib import Path

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.options import json_option, local_configuration, local_options
from gongfu.node.cli.output import print_json
from gongfu.node.data_directory import DataDirectory, DataDirectoryError


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path), metavar="DIR")
@local_options
@json_option
def command(source: Path, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Make an empty data directory from the backup in DIR. Every checksum is checked first."""
    configuration = local_configuration(config, data_dir)
    from gongfu.node.backup import BackupError, as_document
    from gongfu.node.restore import restore

    directory = DataDirectory(configuration.data_dir)
    try:
        manifest = restore(source.absolute(), directory)
    except (BackupError, DataDirectoryError) as error:
        raise Failure(str(error), code="restore") from None
    if as_json:
        print_json({**as_document(manifest), "data_dir": str(directory.root)})
        return
    print(f"restored {manifest.node!r} as of {manifest.created_at} to {directory.root}; all counts match")
    for text in manifest.not_included:
        print(f"  NOT included  {text}")
    print(f"start it with `gongfu up --data-dir {directory.root}`")
