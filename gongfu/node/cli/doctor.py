"""``gongfu doctor``."""

import dataclasses
import sys
from pathlib import Path

import click

from gongfu.node.cli.failures import FAILED
from gongfu.node.cli.options import json_option, local_configuration, local_options
from gongfu.node.cli.output import print_json

_MARKS = {"good": ("ok", "32"), "warning": ("warn", "33"), "bad": ("BAD", "31")}


@click.command("doctor")
@local_options
@json_option
def command(config: Path | None, data_dir: Path | None, as_json: bool) -> int:
    """Check this machine and the data directory. Exit status 1 when something is bad; warnings do not count."""
    configuration = local_configuration(config, data_dir)
    from gongfu.node.checks import BAD, run_checks

    findings = list(run_checks(configuration))
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.level]
            label = f"\x1b[{colour}m{mark:<4}\x1b[0m" if sys.stdout.isatty() else f"{mark:<4}"
            print(f"{label}  {finding.check:<14}  {finding.text}")
            if finding.remedy:
                print(f"{'':22}-> {finding.remedy}")
    return FAILED if any(finding.level == BAD for finding in findings) else 0
