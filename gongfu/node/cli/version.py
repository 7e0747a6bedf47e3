"""``gongfu version``."""

import platform

import click

import gongfu
from gongfu.node.cli.options import json_option
from gongfu.node.cli.output import print_json


@click.command("version")
@json_option
def command(as_json: bool) -> None:
    """Show the version."""
    facts = {"gongfu": gongfu.__version__, "python": platform.python_version(), "platform": platform.platform()}
    if as_json:
        print_json(facts)
    else:
        print(f"gongfu {facts['gongfu']} (Python {facts['python']}, {facts['platform']})")
