"""``gongfu status``."""

import time
from pathlib import Path
from typing import Any

import click

from gongfu.kernel.times import format_rfc3339
from gongfu.node.cli.failures import FAILED, UNREACHABLE, Failure
from gongfu.node.cli.node_api import connect, running_state
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import ago, print_json, print_table
from gongfu.node.quantities import format_bytes


@click.command("status")
@node_options
def command(config: Path | None, data_dir: Path | None, url: str | None, token: str | None, as_json: bool) -> int:
    """Show what the node does: roles, rates, totals, lag.

    Exit status: 0 all roles are ready, 1 some are not, 3 the node cannot be reached.
    """
    api = connect(url, token, config, data_dir)
    try:
        overview = api.get("/overview")
    except Failure as failure:
        state = running_state(api.local) if api.local and failure.status == UNREACHABLE else None
        if state is None:
            raise
        # The console is down, the supervisor is not: show what it tells.
        if as_json:
            print_json({"reachable": False, **state})
        else:
            print(f"the API does not answer; supervisor (process {state['pid']}) says:")
            _print_roles([{**role, "started_at": format_rfc3339(role["started_at"])} for role in state["roles"]])
        return FAILED
    overview.pop("history", None)
    if as_json:
        print_json({"reachable": True, **overview})
    else:
        _print_overview(overview)
    return 0 if all(role["state"] == "ready" for role in overview["roles"]) else FAILED


def _print_overview(overview: dict[str, Any]) -> None:
    node, rates, totals, lag, disk = (overview[key] for key in ("node", "rates", "totals", "lag", "disk"))
    print(f"node {node['name']}  version {node['version']}  started {ago(node['started_at'], time.time_ns())}")
    print()
    rate_rows = [(name, float(rates[name])) for name in ("messages", "points", "stored", "rejected", "shed")]
    print_table(("rate", "per second"), rate_rows)
    print()
    rows = [(name, value) for name, value in totals.items() if not isinstance(value, dict)]
    for name in ("rejected", "shed", "alarms"):
        rows.extend((f"{name} {reason}", count) for reason, count in totals.get(name, {}).items())
    rows.extend((f"lag {name}", value) for name, value in lag.items())
    print_table(("total", "count"), rows)
    print()
    print(f"disk: {format_bytes(disk['free_bytes'])} free, data {format_bytes(disk['data_bytes'])}")
    print()
    _print_roles(overview["roles"])


def _print_roles(roles: list[dict[str, Any]]) -> None:
    now = time.time_ns()
    print_table(
        ("role", "state", "pid", "restarts", "cpu %", "memory", "started"),
        [
            (
                role["role"],
                role["state"],
                role["pid"],
                role["restarts"],
                role.get("cpu_percent"),
                format_bytes(role["rss_bytes"]) if "rss_bytes" in role else None,
                ago(role["started_at"], now),
            )
            for role in roles
        ],
    )
