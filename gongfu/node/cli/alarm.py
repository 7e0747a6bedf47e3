"""``gongfu alarm``."""

import json
import re
import time
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli import alarm_route
from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import ago, print_json, print_table


@click.group("alarm")
def command() -> None:
    """List and acknowledge alarms, shelve and suppress them, see key figures, say who is told when."""


command.add_command(alarm_route.command)


@command.command("list")
@click.option(
    "--state",
    type=click.Choice(["active", "unacknowledged", "suppressed", "latched", "all"]),
    default="active",
    show_default=True,
)
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


_DURATION = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(_: click.Context, __: click.Parameter, text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise click.BadParameter("write a number and s, m, h or d, such as 8h")
    return int(match[1]) * _SECONDS[match[2]]


@command.command("reset")
@click.argument("alarm_id")
@click.option("--comment", default="", help="Why.")
@node_options
def reset(alarm_id: str, comment: str, as_json: bool, **node: Any) -> None:
    """Reset a latched alarm."""
    alarm = connect(**node).post(f"/alarms/{segment(alarm_id)}:reset", {"comment": comment})
    if as_json:
        print_json(alarm)
    else:
        print(f"{alarm['asset_path']} {alarm['point']}: {alarm['state']}")


@command.command("shelve")
@click.argument("asset")
@click.option("--point", default="*", show_default=True, help="Point, or a pattern.")
@click.option("--rule", "rule_id", type=click.IntRange(0), default=0, help="Number of a rule; any without it.")
@click.option("--for", "seconds", default="8h", show_default=True, callback=_seconds, help="How long: 30m, 8h, 7d.")
@click.option("--reason", required=True, help="Why.")
@node_options
def shelve(asset: str, point: str, rule_id: int, seconds: int, reason: str, as_json: bool, **node: Any) -> None:
    """Shelve the alarms of an ASSET (a path or a pattern) for a while."""
    body = {"asset": asset, "point": point, "rule_id": rule_id, "seconds": seconds, "reason": reason}
    made = connect(**node).post("/alarms:shelve", body)
    if as_json:
        print_json(made)
    else:
        print(f"shelved until {made['until']}; end it with: gongfu alarm unshelve {made['id']}")


@command.command("unshelve")
@click.argument("number", type=click.IntRange(1))
@click.option("--comment", default="", help="Why.")
@node_options
def unshelve(number: int, comment: str, as_json: bool, **node: Any) -> None:
    """End a shelf, or put back in service; what still stands is annunciated."""
    ended = connect(**node).post(f"/alarm-suppressions/{number}:end", {"comment": comment})
    if as_json:
        print_json(ended)
    else:
        print(f"{ended['kind']} {ended['asset']} {ended['point']}: ended")


@command.command("service")
@click.argument("asset")
@click.option("--point", default="*", show_default=True, help="Point, or a pattern.")
@click.option("--rule", "rule_id", type=click.IntRange(0), default=0, help="Number of a rule; any without it.")
@click.option("--work-order", required=True, help="The work order that says so.")
@click.option("--reason", required=True, help="Why.")
@node_options
def service(asset: str, point: str, rule_id: int, work_order: str, reason: str, as_json: bool, **node: Any) -> None:
    """Take the alarms of an ASSET (a path or a pattern) out of service, until `unshelve`."""
    body = {"asset": asset, "point": point, "rule_id": rule_id, "work_order": work_order, "reason": reason}
    made = connect(**node).post("/alarms:out-of-service", body)
    if as_json:
        print_json(made)
    else:
        print(f"out of service by {work_order}; put back with: gongfu alarm unshelve {made['id']}")


@command.command("suppress")
@click.option("-f", "--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON.")
@click.option("--delete", "delete", type=click.IntRange(1), help="Remove the one with this number.")
@node_options
def suppress(path: Path | None, delete: int | None, as_json: bool, **node: Any) -> None:
    """List suppressions by design and what is suppressed; write one from a file; remove one."""
    api = connect(**node)
    if delete is not None:
        api.call("DELETE", f"/alarm-designs/{delete}")
        return
    if path is not None:
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Failure(f"{path}: {error}") from None
        known = {item["design"]["name"]: item["id"] for item in api.get("/alarm-designs")["items"]}
        name = body.get("name") if isinstance(body, dict) else None
        target = f"/alarm-designs/{known[name]}" if name in known else "/alarm-designs"
        made = api.call("PUT" if name in known else "POST", target, body)
        print_json(made) if as_json else print(f"suppression by design {made['id']}: {name}")
        return
    designs, found = api.get("/alarm-designs")["items"], api.get("/alarm-suppressions")["items"]
    if as_json:
        print_json({"designs": designs, "suppressions": found})
        return
    print_table(
        ("id", "design", "cause", "scope", "enabled"),
        [
            (str(item["id"]), item["design"]["name"], item["design"]["cause"]["kind"], item["design"]["scope"],
             "yes" if item["design"]["enabled"] else "no")
            for item in designs
        ],
        "nothing is suppressed by design",
    )  # fmt: skip
    print_table(
        ("id", "kind", "asset", "point", "reason", "by", "until"),
        [
            (str(item["id"]), item["kind"], item["asset"], item["point"], item["reason"], item["created_by"],
             item["until"] or "")
            for item in found
        ],
        "nothing is suppressed",
    )  # fmt: skip


@command.command("kpi")
@click.option("--from", "begin", help="RFC 3339; a day ago without it.")
@click.option("--to", "end", help="RFC 3339; now without it.")
@click.option("--position", help="One operator position only.")
@node_options
def kpi(begin: str | None, end: str | None, position: str | None, as_json: bool, **node: Any) -> None:
    """Show key figures by EEMUA 191 and ISA-18.2."""
    found = connect(**node).get("/alarms:kpi", **{"from": begin, "to": end, "position": position})
    if as_json:
        print_json(found)
        return
    print_table(
        ("position", "alarms", "per 10 min", "peak", "% over 10", "% in flood"),
        [
            (
                item["position"] or "(none)",
                str(item["annunciations"]),
                f"{item['average']:.2f}",
                str(item["peak"]),
                f"{item['percent_periods_over_10']:.1f}",
                f"{item['percent_in_flood']:.1f}",
            )
            for item in found["positions"]
        ],
        "no alarms",
    )
    shares = ", ".join(f"{name} {count}" for name, count in found["priorities"].items())
    print(f"priorities: {shares}")
    print(f"chattering {found['chattering_alarms']}, fleeting {found['fleeting']}, stale {found['stale_alarms']}")
    print(f"acknowledged after {found['acknowledge']['median_s']:.0f} s (median)")
    print(f"top {len(found['top'])}: {found['top_percent']:.0f} % of all")
    print_table(
        ("count", "%", "asset", "point", "rule"),
        [
            (str(item["count"]), f"{item['percent']:.1f}", item["asset_path"], item["point"], item["rule_name"])
            for item in found["top"]
        ],
        "",
    )


@command.command("export")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@node_options
def export(path: Path, as_json: bool, **node: Any) -> None:
    """Write the master alarm database (rationalisation) as CSV to PATH."""
    content = b"".join(connect(**node).download("/alarm-rationalisations:export", None, method="GET"))
    path.write_bytes(content)
    if as_json:
        print_json({"path": str(path), "bytes": len(content)})
    else:
        print(f"{path}: {len(content)} bytes")
