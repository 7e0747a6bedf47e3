"""``gongfu rollout``."""

import time
from typing import Any

import click

from gongfu.node.cli.failures import FAILED, Failure
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.order_content import content_options, node_of, seconds_of, split_content
from gongfu.node.cli.output import ago, print_json, print_json_line, print_table

_INTERVAL_S = 0.5
_PLAN = ("canaries", "shares", "verified_share", "within", "soak", "on_failure", "start")


@click.group("rollout")
def command() -> None:
    """Send an order out in waves: a few nodes first, the next only when enough of them are verified."""


@command.command("create")
@click.argument("kind")
@content_options
@click.option(
    "--canaries", type=click.IntRange(1, 1000), default=1, show_default=True, help="Targets of the first wave."
)
@click.option("--share", "shares", type=float, multiple=True, help="Then until this share of all; default: 0.1 0.5.")
@click.option("--verified-share", type=float, default=1.0, show_default=True, help="Of a wave, before the next one.")
@click.option("--within", default="1h", show_default=True, help="How long a wave may take to come to that.")
@click.option("--soak", default="0s", show_default=True, help="How long it must have stayed so.")
@click.option(
    "--on-failure",
    type=click.Choice(["all", "wave", "none"]),
    default="all",
    show_default=True,
    help="What is revoked when a wave does not come to that: all waves, that one, or nothing.",
)
@click.option("--start", is_flag=True, help="Start it at once, if its kind needs no approvals.")
@node_options
def create(kind: str, as_json: bool, **options: Any) -> None:
    """Draft a roll-out. Nothing goes out before it is approved, as often as its kind needs, and started."""
    if options["not_before"]:
        raise Failure("the waves of a roll-out start one after the other", "leave --not-before out", 2, "usage")
    plan = {name: options.pop(name) for name in _PLAN}
    api = connect(**node_of(options))
    content = split_content(api, kind, options)
    body = {
        **content,
        "canaries": plan["canaries"],
        "shares": list(plan["shares"]) or [0.1, 0.5],
        "verified_share": plan["verified_share"],
        "within_seconds": seconds_of(plan["within"]),
        "soak_seconds": seconds_of(plan["soak"]),
        "on_failure": plan["on_failure"],
    }
    made = api.post("/rollouts", body)
    if plan["start"]:
        made = api.post(f"/rollouts/{segment(made['id'])}:resume", None)
    _print(made, as_json)


@command.command("list")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(limit: int | None, as_json: bool, **node: Any) -> None:
    """List roll-outs, newest first."""
    items = connect(**node).items("/rollouts", limit)
    if as_json:
        print_json(items)
        return
    now = time.time_ns()
    rows = [
        (
            item["id"],
            item["kind"],
            item["state"],
            item["targets"],
            sum(wave["totals"].get("verified", 0) for wave in item["waves"]),
            f"{sum(wave['state'] == 'passed' for wave in item['waves'])}/{len(item['waves'])}",
            item["author"],
            ago(item["created_at"], now),
            item["why"],
        )
        for item in items
    ]
    header = ("id", "kind", "state", "targets", "verified", "waves", "by", "created", "why")
    print_table(header, rows, "no roll-outs")


@command.command("show")
@click.argument("rollout_id")
@node_options
def show(rollout_id: str, as_json: bool, **node: Any) -> None:
    """Show a roll-out and its waves."""
    _print(connect(**node).get(f"/rollouts/{segment(rollout_id)}"), as_json)


@command.command("approve")
@click.argument("rollout_id")
@click.option("--digest", help="Digest of what was read; default: it is shown and asked for.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@node_options
def approve(rollout_id: str, digest: str | None, yes: bool, as_json: bool, **node: Any) -> None:
    """Approve all waves."""
    api = connect(**node)
    address = f"/rollouts/{segment(rollout_id)}"
    if digest is None:
        seen = api.get(address)
        digest = str(seen["digest"])
        if not yes:
            _print(seen, False)
            click.confirm("Approve all waves?", abort=True, err=True)
    _print(api.post(f"{address}:approve", {"digest": digest}), as_json)


@command.command("start")
@click.argument("rollout_id")
@node_options
def start(rollout_id: str, as_json: bool, **node: Any) -> None:
    """Start it, or go on after a pause."""
    _print(connect(**node).post(f"/rollouts/{segment(rollout_id)}:resume", None), as_json)


@command.command("pause")
@click.argument("rollout_id")
@click.option("--reason", default="", help="Why.")
@node_options
def pause(rollout_id: str, reason: str, as_json: bool, **node: Any) -> None:
    """Issue no further wave until it is started again."""
    _print(connect(**node).post(f"/rollouts/{segment(rollout_id)}:pause", {"reason": reason}), as_json)


@command.command("stop")
@click.argument("rollout_id")
@click.option("--reason", required=True, help="Why; everybody who got an order can read it.")
@click.option("--keep", is_flag=True, help="Leave what was done; default: all waves are revoked.")
@node_options
def stop(rollout_id: str, reason: str, keep: bool, as_json: bool, **node: Any) -> None:
    """End it, and take back what was done."""
    body = {"reason": reason, "take_back": not keep}
    _print(connect(**node).post(f"/rollouts/{segment(rollout_id)}:stop", body), as_json)


@command.command("watch")
@click.argument("rollout_id")
@click.option("--timeout", help="End with status 1 when it is not over after this long, such as 1h.")
@node_options
def watch(rollout_id: str, timeout: str | None, as_json: bool, **node: Any) -> int:
    """Show every change until it is over. Status 0: all waves are through; 1: not so."""
    api = connect(**node)
    deadline = None if timeout is None else time.monotonic() + seconds_of(timeout)
    shown: Any = None
    while True:
        item = api.get(f"/rollouts/{segment(rollout_id)}")
        if item != shown:
            shown = item
            if as_json:
                print_json_line(item)
            else:
                _print(item, False)
        if item["state"] not in ("running", "paused"):
            return 0 if item["state"] == "done" else FAILED
        if deadline is not None and time.monotonic() > deadline:
            return FAILED
        time.sleep(_INTERVAL_S)


def _print(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    why = f" ({item['why']})" if item["why"] else ""
    approvals = f", approved by {len(item['approvals'])} of {item['approvals_needed']}"
    print(f"{item['kind']} {item['id']}: {item['state']}{why}{approvals if item['approvals_needed'] else ''}")
    rows = [
        (
            number,
            wave["order"],
            wave["targets"],
            wave["state"],
            ", ".join(f"{count} {state}" for state, count in wave["totals"].items()),
        )
        for number, wave in enumerate(item["waves"], 1)
    ]
    print_table(("wave", "order", "targets", "state", "targets by state"), rows)
