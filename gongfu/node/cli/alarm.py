"""``gongfu alarm``."""

import time
from typing import Any

import click

from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import ago, print_json, print_table


@click.group("alarm")
def command() -> None:
    """List and acknowledge alarms, read their journal."""


@command.command("list")
@click.option("--state", type=click.Choice(["active", "unacknowledged", "all"]), default="active", show_default=True)
@click.option("--priority", type=click.Choice(["critical", "high", "medium", "low"]))
@click.option("--asset", help="Path of an asset: its alarms and those below it.")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(state: str, priority: str | None, asset: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List alarms."""
    alarms = connect(**node).items("/alarms", limit, state=state, priority=priority, asset=asset)
    if as_json:
        print_json(alarms)
        return
    now = time.time_ns()
    print_table(
        ("id", "priority", "state", "asset", "point", "message", "value", "raised"),
        [
            (
                str(alarm["id"]),
                alarm["priority"],
                alarm["state"],
                alarm["asset_path"],
                alarm["point"],
                alarm["message"],
                alarm["value"],
                ago(alarm["raised_at"], now),
            )
            for alarm in alarms
        ],
        "no alarms",
    )


@command.command("ack")
@click.argument("alarm_id")
@click.option("--comment", default="", help="Why, or what is done about it.")
@node_options
def acknowledge(alarm_id: str, comment: str, as_json: bool, **node: Any) -> None:
    """Acknowledge an alarm."""
    alarm = connect(**node).post(f"/alarms/{segment(alarm_id)}:acknowledge", {"comment": comment})
    if as_json:
        print_json(alarm)
    else:
        print(f"{alarm['asset_path']} {alarm['point']}: {alarm['state']}")


@command.command("journal")
@click.argument("alarm_id")
@node_options
def journal(alarm_id: str, as_json: bool, **node: Any) -> None:
    """Show an alarm and all its changes."""
    alarm = connect(**node).get(f"/alarms/{segment(alarm_id)}")
    if as_json:
        print_json(alarm)
        return
    print(f"{alarm['asset_path']} {alarm['point']}: {alarm['message']} [{alarm['priority']}, {alarm['state']}]")
    print_table(
        ("time", "change", "by", "value", "comment"),
        [(entry["time"], entry["change"], entry["by"], entry["value"], entry["comment"]) for entry in alarm["journal"]],
    )
