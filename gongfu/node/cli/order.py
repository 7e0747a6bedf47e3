"""``gongfu order``."""

import time
from typing import Any

import click

from gongfu.node.cli import order_watch
from gongfu.node.cli.failures import NOT_FOUND, Failure
from gongfu.node.cli.node_api import NodeApi, connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.order_content import content_options, node_of, split_content
from gongfu.node.cli.order_watch import print_progress
from gongfu.node.cli.output import ago, print_json, print_table

_STATES = ("drafted", "approved", "issued", "closed", "discarded")


@click.group("order")
def command() -> None:
    """Write, approve, issue, watch, revoke and answer orders of the tree."""


command.add_command(order_watch.command)


@command.command("kinds")
@node_options
def kinds(as_json: bool, **node: Any) -> None:
    """List the kinds of orders that this node knows."""
    _print_kinds(connect(**node).items("/order-kinds"), as_json)


@command.command("allow")
@click.argument("kind")
@node_options
def allow(kind: str, as_json: bool, **node: Any) -> None:
    """Let this node obey orders of a kind."""
    _allow(connect(**node), kind, True, as_json)


@command.command("disallow")
@click.argument("kind")
@node_options
def disallow(kind: str, as_json: bool, **node: Any) -> None:
    """Let this node refuse orders of a kind."""
    _allow(connect(**node), kind, False, as_json)


@command.command("draft")
@click.argument("kind")
@content_options
@click.option("--preview", is_flag=True, help="Only show whom it would reach, and what the guard says.")
@click.option("--issue", "at_once", is_flag=True, help="Issue it at once, if its kind needs no approvals.")
@node_options
def draft(kind: str, preview: bool, at_once: bool, as_json: bool, **options: Any) -> int:
    """Write an order. It goes nowhere before it is approved, as often as its kind needs, and issued."""
    api = connect(**node_of(options))
    body = split_content(api, kind, options)
    if preview:
        return _print_preview(api.post("/orders:preview", body), as_json)
    order = api.post("/orders", body)
    if at_once:
        order = api.post(f"/orders/{segment(order['id'])}:issue", None)
    _print_order(order, as_json)
    return 0


@command.command("approve")
@click.argument("order_id")
@click.option("--digest", help="Digest of the text that was read; default: the text is shown and asked for.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@node_options
def approve(order_id: str, digest: str | None, yes: bool, as_json: bool, **node: Any) -> None:
    """Approve exactly the text that is shown."""
    api = connect(**node)
    if digest is None:
        order = api.get(f"/orders/{segment(order_id)}")
        digest = str(order["digest"])
        if not yes:
            _print_text(order)
            click.confirm("Approve this text?", abort=True, err=True)
    _print_order(api.post(f"/orders/{segment(order_id)}:approve", {"digest": digest}), as_json)


@command.command("issue")
@click.argument("order_id")
@node_options
def issue(order_id: str, as_json: bool, **node: Any) -> None:
    """Sign an order and send it out."""
    _print_order(connect(**node).post(f"/orders/{segment(order_id)}:issue", None), as_json)


@command.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(state: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List orders, newest first."""
    orders = connect(**node).items("/orders", limit, state=state)
    if as_json:
        print_json(orders)
        return
    now = time.time_ns()
    print_table(
        ("id", "kind", "issuer", "state", "targets", "verified", "overdue", "issued", "reason"),
        [
            (
                order["id"],
                order["kind"],
                order["issuer"]["name"],
                f"{order['state']}, revoked" if order["revoked"] else order["state"],
                order["targets"],
                order["totals"].get("verified", 0),
                order["overdue"],
                ago(order["issued_at"], now),
                order["reason"],
            )
            for order in orders
        ],
        "no orders",
    )


@command.command("show")
@click.argument("order_id")
@click.option("--targets", is_flag=True, help="Also every target, with what it says and what the probe saw.")
@click.option("--state", "target_state", help="With --targets: only those in this state, such as contradicted.")
@click.option("--audit", is_flag=True, help="Also what happened to it at this node.")
@node_options
def show(order_id: str, targets: bool, target_state: str | None, audit: bool, as_json: bool, **node: Any) -> None:
    """Show an order and how far it is."""
    api = connect(**node)
    address = f"/orders/{segment(order_id)}"
    order = api.get(address)
    found = api.items(f"{address}/targets", state=target_state) if targets or target_state else None
    events = api.items(f"{address}/audit") if audit else None
    if as_json:
        more = {name: items for name, items in (("target_list", found), ("audit", events)) if items is not None}
        print_json({**order, **more})
        return
    _print_text(order)
    print_progress(order)
    if order["here"] is not None:
        waits = ", waits for `gongfu order accept` or `refuse`" if order["here"]["waits"] else ""
        print(f"here      {order['here']['state']} {order['here']['reason']}{waits}".rstrip())
    if found is not None:
        _print_targets(found)
    if events is not None:
        header = ("time", "by", "what", "reason", "detail")
        print_table(header, [(e["time"], e["user"], e["action"], e["reason"], e["detail"]) for e in events])


@command.command("discard")
@click.argument("order_id")
@node_options
def discard(order_id: str, as_json: bool, **node: Any) -> None:
    """Give up an order that was not issued."""
    _print_order(connect(**node).post(f"/orders/{segment(order_id)}:discard", None), as_json)


@command.command("revoke")
@click.argument("order_id")
@click.option("--reason", required=True, help="Why; everybody who got the order can read it.")
@node_options
def revoke(order_id: str, reason: str, as_json: bool, **node: Any) -> None:
    """Take an issued order back, everywhere."""
    _print_order(connect(**node).post(f"/orders/{segment(order_id)}:revoke", {"reason": reason}), as_json)


@command.command("accept")
@click.argument("order_id")
@node_options
def accept(order_id: str, as_json: bool, **node: Any) -> None:
    """Accept an order for this node, in your name."""
    _print_order(connect(**node).post(f"/orders/{segment(order_id)}:accept", None), as_json)


@command.command("refuse")
@click.argument("order_id")
@click.option("--reason", required=True, help="Why.")
@node_options
def refuse(order_id: str, reason: str, as_json: bool, **node: Any) -> None:
    """Refuse an order for this node, in your name."""
    _print_order(connect(**node).post(f"/orders/{segment(order_id)}:refuse", {"reason": reason}), as_json)


def _allow(api: NodeApi, kind: str, allowed: bool, as_json: bool) -> None:
    known = api.post(f"/order-kinds/{segment(kind)}:allow", {"allowed": allowed})["items"]
    found = [item for item in known if item["name"] == kind]
    if not found:
        raise Failure(f"there is no kind {kind!r}", "see `gongfu order kinds`", NOT_FOUND, "not-found")
    _print_kinds(found, as_json)


def _print_kinds(items: list[Any], as_json: bool) -> None:
    if as_json:
        print_json(items)
        return
    print_table(
        ("kind", "title", "approvals", "accept", "probe", "taken back", "issued here", "obeyed here"),
        [
            (
                kind["name"],
                " / ".join(kind["title"].get(language, "") for language in ("zh", "en")),
                kind["approvals"],
                kind["accept"],
                kind["probe"]["name"] if kind["probe"] else None,
                bool(kind["can_roll_back"]),
                bool(kind["issuable_here"]),
                bool(kind["obeyed"]),
            )
            for kind in items
        ],
        "no kinds",
    )


def _print_preview(preview: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(preview)
    else:
        print_table(("tier", "targets"), sorted(preview["by_tier"].items()), "no targets")
        reasons = preview["guard"]["reasons"]
        print("it may be issued" if preview["guard"]["ok"] else f"it may not be issued: {', '.join(reasons)}")
    return 0 if preview["guard"]["ok"] else 1


def _print_order(order: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(order)
        return
    missing = order["approvals_needed"] - len(order["approvals"])
    print(f"{order['kind']} {order['id']}: {order['state']}, {order['targets']} targets")
    if order["state"] == "drafted" and missing > 0:
        print(f"it needs {missing} more approvals: gongfu order approve {order['id']}")
    elif order["state"] == "approved":
        print(f"it can be issued: gongfu order issue {order['id']}")


def _print_text(order: dict[str, Any]) -> None:
    rows = [
        (name, order[name])
        for name in ("id", "kind", "state", "payload", "selection", "priority", "not_before", "deadline", "reason")
    ]
    rows += [
        ("issuer", order["issuer"]["name"]),
        ("authors", ", ".join(order["authors"])),
        (
            "approved",
            f"{', '.join(a['person'] for a in order['approvals']) or '-'} ({order['approvals_needed']} needed)",
        ),
        ("digest", order["digest"]),
    ]
    print_table(("field", "value"), rows)


def _print_targets(targets: list[Any]) -> None:
    print_table(
        ("node", "name", "tier", "state", "it says", "reason", "detail", "the probe saw"),
        [
            (
                target["node"],
                target["name"],
                target["tier"],
                target["state"],
                target["said"],
                target["reason"],
                target["detail"],
                target["verdict"]["evidence"] if target["verdict"] else None,
            )
            for target in targets
        ],
        "no targets",
    )
