"""``gongfu order watch``: an order until it is closed, a bar a tier."""

import sys
import time
from typing import Any

import click

from gongfu.node.cli.failures import FAILED
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.order_content import seconds_of
from gongfu.node.cli.output import print_json_line, print_table

_INTERVAL_S = 0.5
_STATES = (
    *("issued", "delivered", "accepted", "executing", "executed", "rolling_back", "rolled_back"),
    *("verified", "rolled_back_verified", "revoked", "unverifiable", "contradicted"),
    *("refused", "failed", "expired", "undeliverable"),
)
_OVER = ("closed", "discarded")
_NO_EFFECT = {"revoked", "rolled_back_verified", "refused", "expired", "undeliverable"}


@click.command("watch")
@click.argument("order_id")
@click.option("--timeout", help="End with status 1 when it is not closed after this long, such as 10m.")
@node_options
def command(order_id: str, timeout: str | None, as_json: bool, **node: Any) -> int:
    """Show how far an order is until it is closed.

    Status 0: the effect was verified at every target (of a revoked order: at none); 1: not so.
    """
    api = connect(**node)
    deadline = None if timeout is None else time.monotonic() + seconds_of(timeout)
    shown: Any = None
    lines = 0
    while True:
        order = api.get(f"/orders/{segment(order_id)}")
        state = _state(order)
        if state != shown:
            shown = state
            if as_json:
                print_json_line(state)
            else:
                lines = _draw(order, lines)
        if order["state"] in _OVER:
            return 0 if succeeded(order) else FAILED
        if deadline is not None and time.monotonic() > deadline:
            return FAILED
        time.sleep(_INTERVAL_S)


def succeeded(order: dict[str, Any]) -> bool:
    """Return whether an order that is closed came to what was wanted at every target."""
    wanted = _NO_EFFECT if order["revoked"] else {"verified"}
    return order["state"] == "closed" and order["targets"] > 0 and set(order["totals"]) <= wanted


def print_progress(order: dict[str, Any]) -> int:
    """Print targets by tier and state as a table; return how many lines that were."""
    states = [state for state in _STATES if order["totals"].get(state)]
    rows: list[tuple[Any, ...]] = [
        (tier["tier"], sum(tier["counts"].values()), *(tier["counts"].get(state, 0) for state in states))
        for tier in order["progress"]
    ]
    if len(rows) > 1:
        rows.append(("all", order["targets"], *(order["totals"][state] for state in states)))
    print_table(("tier", "targets", *states), rows, "no targets yet")
    return len(rows) + 1 if rows else 1


def _draw(order: dict[str, Any], lines: int) -> int:
    if lines and sys.stdout.isatty():
        print(f"\x1b[{lines}A\x1b[J", end="")
    late = f", {order['overdue']} overdue, {order['escalated']} escalated" if order["overdue"] else ""
    print(f"{order['kind']} {order['id']}: {order['state']}{' (revoked)' if order['revoked'] else ''}{late}")
    drawn = 1 + print_progress(order)
    sys.stdout.flush()
    return drawn


def _state(order: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "kind", "state", "revoked", "targets", "totals", "progress", "overdue", "escalated")
    return {name: order[name] for name in names}
