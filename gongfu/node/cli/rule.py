"""``gongfu rule``."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import FAILED, Failure
from gongfu.node.cli.node_api import NodeApi, connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table

_POLL_S = 0.5


@click.group("rule")
def command() -> None:
    """List rules, apply files of rules, try a rule on history."""


@command.command("list")
@node_options
def list_(as_json: bool, **node: Any) -> None:
    """List rules and what they do."""
    rules = connect(**node).items("/rules")
    if as_json:
        print_json(rules)
        return
    print_table(
        ("id", "name", "kind", "asset", "point", "points", "active", "late", "bad", "owner", "state"),
        [
            (
                str(rule["id"]), rule["name"], rule["kind"], rule["asset"], rule["point"],
                *((rule["status"] or {}).get(member) for member in ("series", "active", "late", "bad")),
                rule["owner"] or None, _state(rule),
            )
            for rule in rules
        ],
        "no rules",
    )  # fmt: skip


def _state(rule: dict[str, Any]) -> str:
    if not rule["enabled"]:
        return "off"
    status = rule["status"]
    return "unknown" if status is None else status["error"] or "runs"


@command.command("show")
@click.argument("rule_id")
@node_options
def show(rule_id: str, as_json: bool, **node: Any) -> None:
    """Show a rule as YAML."""
    api = connect(**node)
    if as_json:
        print_json(api.get(f"/rules/{segment(rule_id)}"))
    else:
        click.echo(_yaml(api, [rule_id]), nl=False)


@command.command("export")
@node_options
def export(as_json: bool, **node: Any) -> None:
    """Print all rules of people as a file for `apply`."""
    api = connect(**node)
    keys = [str(rule["id"]) for rule in api.items("/rules") if not rule["owner"]]
    if as_json:
        print_json([rule for rule in api.items("/rules") if not rule["owner"]])
    else:
        click.echo(_yaml(api, keys), nl=False)


def _yaml(api: NodeApi, keys: list[str]) -> str:
    import msgspec

    from gongfu.reason.rules.documents import write_rules
    from gongfu.reason.rules.types import RuleBody

    found = [api.get(f"/rules/{segment(key)}") for key in keys]
    members = RuleBody.__struct_fields__
    return write_rules([msgspec.convert({name: rule[name] for name in members}, RuleBody) for rule in found])


@command.command("apply")
@click.option("-f", "--file", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--dry-run", is_flag=True, help="Check the file against the node, change nothing.")
@node_options
def apply(file: Path, dry_run: bool, as_json: bool, **node: Any) -> None:
    """Add the rules of a YAML file, or replace those with their names; all of them or none."""
    api = connect(**node)
    try:
        answer = api.call("POST", "/rules:apply", file.read_bytes(), {"dry_run": "true" if dry_run else None})
    except Failure as failure:
        if failure.code == "invalid-request":
            raise Failure(f"{file}: {failure}", failure.remedy, failure.status, failure.code) from None
        raise
    if as_json:
        print_json(answer)
        return
    print_table(
        ("name", "change", "points", "state"),
        [(item["name"], item["change"], item["status"]["series"], item["status"]["error"]) for item in answer["items"]],
    )
    if dry_run:
        print("nothing was changed")


@command.command("delete")
@click.argument("rule_id")
@node_options
def delete(rule_id: str, as_json: bool, **node: Any) -> None:
    """Remove a rule; its standing alarms return, its journal stays."""
    connect(**node).call("DELETE", f"/rules/{segment(rule_id)}")
    if as_json:
        print_json({"deleted": rule_id})
    else:
        print(f"rule {rule_id} removed")


@command.command("backtest")
@click.argument("rule_id", required=False)
@click.option("-f", "--file", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="YAML file.")
@click.option("--name", help="Which rule of the file; default its first.")
@click.option("--from", "begin", help="RFC 3339 time; default 30 days before --to.")
@click.option("--to", "end", help="RFC 3339 time; default now.")
@click.option("--asset", "assets", multiple=True, help="Only this asset; may be given several times.")
@click.option("--alarms", is_flag=True, help="List the alarms, too.")
@node_options
def backtest(
    rule_id: str | None,
    file: Path | None,
    name: str | None,
    begin: str | None,
    end: str | None,
    assets: tuple[str, ...],
    alarms: bool,
    as_json: bool,
    **node: Any,
) -> None:
    """Try a rule of the node, or of a file, on history: the alarms it would have raised."""
    if (rule_id is None) == (file is None):
        raise click.UsageError("give a rule id or --file")
    api = connect(**node)
    last = end or _text(datetime.now(UTC))
    first = begin or _text(datetime.fromisoformat(last) - timedelta(days=30))
    body = {"rule": _rule(api, rule_id, file, name), "from": first, "to": last, "assets": list(assets)}
    job = api.post("/rules:backtest", body)
    address = f"/backtests/{segment(job['id'])}"
    try:
        while job["state"] == "running":
            if not as_json:
                click.echo(f"\r{job['progress']:4.0%}  {job['samples']:,} samples", nl=False, err=True)
            time.sleep(_POLL_S)
            job = api.get(address)
    except KeyboardInterrupt:
        api.call("DELETE", address)
        raise
    if not as_json:
        click.echo("\r" + " " * 40 + "\r", nl=False, err=True)
    if job["state"] != "done":
        raise Failure(f"the back-test has {job['state']}: {job['error']}", "", FAILED, "backtest-failed")
    if as_json:
        print_json(job)
        return
    _print(job, alarms)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rule(api: NodeApi, rule_id: str | None, file: Path | None, name: str | None) -> Any:
    import msgspec

    from gongfu.kernel.errors import Problem
    from gongfu.reason.rules.documents import parse_rules
    from gongfu.reason.rules.types import RuleBody

    if file is None:
        rule = api.get(f"/rules/{segment(rule_id)}")
        return {member: rule[member] for member in RuleBody.__struct_fields__}
    try:
        found = parse_rules(file.read_bytes())
    except Problem as problem:
        raise Failure(f"{file}: {problem.detail}", "", FAILED, "invalid-request") from None
    chosen = [rule for rule in found if name in (None, rule.name)]
    if not chosen:
        raise Failure(f"{file} has no rule {name!r}", "", FAILED, "invalid-request")
    return msgspec.to_builtins(chosen[0])


def _print(job: dict[str, Any], alarms: bool) -> None:
    result = job["result"]
    print(f"{job['name']}, {job['from']} to {job['to']}: {result['samples']:,} samples of {result['series']:,} points")
    if job["warning"]:
        print(job["warning"])
    print(f"{result['raised']} alarms, {result['chattering']} of them chattering, {result['standing']} at the end")
    print(f"at most {result['peak']} in ten minutes; {result['left_out']} samples were bad and left out")
    if result["durations"]:
        lasted = result["durations"]
        print(
            f"they stood {lasted['median']:g} s (median), {lasted['p95']:g} s (95 %), {lasted['longest']:g} s (longest)"
        )
    if found := result["comparison"]:
        print(
            f"{found['real']} alarms were on these points: {found['both']} would-be alarms overlap with one, "
            f"{found['new']} are new, {found['missed']} of those that were have none"
        )
    days = [(day["day"], day["raised"]) for day in result["days"] if day["raised"]]
    print_table(("day", "alarms"), days, "no alarm on any day")
    if result["offenders"]:
        print()
        print_table(
            ("asset", "point", "alarms", "chattering", "stood, s"),
            [
                (one["asset_path"], one["point"], one["raised"], one["chattering"], one["active_s"])
                for one in result["offenders"]
            ],
        )
    if alarms:
        print()
        print_table(
            ("asset", "point", "raised", "returned", "value"),
            [
                (one["asset_path"], one["point"], one["raised_at"], one["returned_at"], one["value"])
                for one in result["alarms"]
            ],
            "no alarms",
        )
        if result["more"]:
            print(f"and {result['more']} more")
