"""``gongfu calls``."""

import json
import time
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import FAILED, Failure
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import ago, print_json, print_table, text_of


@click.group("calls")
def command() -> None:
    """Calls across platforms: offer a model or a route to other nodes, agree to theirs, call, compare the notes."""


@command.command("offer")
@click.argument("kind", type=click.Choice(["model", "route"]))
@click.argument("target")
@click.option("--version", default="", help="Of the model; default: the current one.")
@click.option("--method", default="", help="Of a route, such as GET.")
@click.option("--path", default="", help="Of a route, below the app's own, such as /state.")
@click.option("--to", "to", multiple=True, required=True, help="Node id; '*' for all, who then wait to be accepted.")
@click.option("--text", default="", help="Words of the contract.")
@click.option("--text-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="They are in a file.")
@click.option("--quota", type=click.IntRange(1), default=1000, show_default=True, help="Calls a period.")
@click.option("--period", type=click.IntRange(1), default=86_400, show_default=True, help="Seconds.")
@click.option("--price", type=click.IntRange(0), default=0, show_default=True, help="Of a call, hundredths.")
@click.option("--currency", default="CNY", show_default=True)
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Of a call, seconds.")
@click.option("--until", required=True, help="When it ends, such as 2027-01-01T00:00:00Z.")
@node_options
def offer(kind: str, target: str, text_file: Path | None, as_json: bool, **options: Any) -> None:
    """Offer a model or a route of an app to other nodes."""
    names = ("version", "method", "path", "text", "quota", "price", "currency", "until")
    body: dict[str, Any] = {name: options.pop(name) for name in names}
    body |= {"kind": kind, "target": target, "to": list(options.pop("to")), "period_s": options.pop("period")}
    body["timeout_s"] = options.pop("timeout")
    if text_file is not None:
        body["text"] = text_file.read_text(encoding="utf-8")
    made = connect(**options).post("/calls/offers", body)
    _print(made, as_json, f"{made['terms']['offer']} is {made['state']}")


@command.command("offers")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def offers(limit: int | None, as_json: bool, **node: Any) -> None:
    """List what this node offers."""
    items = connect(**node).items("/calls/offers", limit)
    if as_json:
        print_json(items)
        return
    rows = [(*_terms(item["terms"]), item["state"], item["contracts"]) for item in items]
    print_table(("offer", "kind", "target", "quota", "price", "until", "state", "contracts"), rows, "no offers")


@command.command("revoke")
@click.argument("identifier")
@click.option("--reason", required=True)
@node_options
def revoke(identifier: str, reason: str, as_json: bool, **node: Any) -> None:
    """End an offer and every contract under it, at once."""
    made = connect(**node).post(f"/calls/offers/{segment(identifier)}:revoke", {"reason": reason})
    _print(made, as_json, f"{identifier} is {made['state']}")


@command.command("look")
@click.argument("address")
@node_options
def look(address: str, as_json: bool, **node: Any) -> None:
    """Show what the node at ADDRESS (https://host:port) offers to this one."""
    found = connect(**node).post("/calls:look", {"url": address})
    if as_json:
        print_json(found)
        return
    print(f"{text_of(found['name'])}, node {found['node']}")
    rows = [_terms(terms) for terms in found["offers"]]
    print_table(("offer", "kind", "target", "quota", "price", "until"), rows, "it offers nothing to this node")


@command.command("agree")
@click.argument("address")
@click.argument("identifier")
@click.option("--provider", required=True, help="Node id that is expected there, as `look` shows it.")
@node_options
def agree(address: str, identifier: str, provider: str, as_json: bool, **node: Any) -> None:
    """Agree to an offer of the node at ADDRESS: signed here, and there at once or when a person accepts."""
    body = {"url": address, "offer": identifier, "provider": provider}
    made = connect(**node).post("/calls/contracts", body)
    _print(made, as_json, f"{made['id']} is {made['state']}")


@command.command("contracts")
@click.option("--side", type=click.Choice(["provider", "consumer"]))
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def contracts(side: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List contracts."""
    items = connect(**node).items("/calls/contracts", limit, side=side)
    if as_json:
        print_json(items)
        return
    now = time.time_ns()
    rows = [
        (
            item["id"],
            item["side"],
            item["state"],
            item["peer_name"] or item["peer"],
            f"{item['terms']['kind']} {item['terms']['target']}",
            f"{item['used']}/{item['terms']['quota']}",
            ago(item["changed_at"], now),
            item["reason"],
        )
        for item in items
    ]
    print_table(("contract", "side", "state", "with", "of", "used", "changed", "why"), rows, "no contracts")


@command.command("accept")
@click.argument("contract")
@node_options
def accept(contract: str, as_json: bool, **node: Any) -> None:
    """Sign a contract that another node proposed."""
    made = connect(**node).post(f"/calls/contracts/{segment(contract)}:accept", None)
    _print(made, as_json, f"{contract} is {made['state']}")


@command.command("refresh")
@click.argument("contract")
@node_options
def refresh(contract: str, as_json: bool, **node: Any) -> None:
    """Ask the provider how a contract stands."""
    made = connect(**node).post(f"/calls/contracts/{segment(contract)}:refresh", None)
    _print(made, as_json, f"{contract} is {made['state']}{': ' if made['reason'] else ''}{text_of(made['reason'])}")


@command.command("end")
@click.argument("contract")
@click.option("--reason", required=True)
@node_options
def end(contract: str, reason: str, as_json: bool, **node: Any) -> None:
    """Refuse a proposal, or end a contract, at once."""
    made = connect(**node).post(f"/calls/contracts/{segment(contract)}:end", {"reason": reason})
    _print(made, as_json, f"{contract} is {made['state']}")


@command.command("call")
@click.argument("contract")
@click.option("--column", "columns", multiple=True, help="Of a model: PORT=UNIT:VALUE[,VALUE…], such as flow=m3/h:120.")
@click.option("--parameter", "parameters", multiple=True, help="Of a model: NAME=VALUE.")
@click.option("--body", help="Of a route: JSON.")
@click.option("--key", help="Name of this call: with the same one it is carried out once, however often it is tried.")
@click.option("--timeout", type=float, help="Seconds.")
@node_options
def call(contract: str, as_json: bool, **options: Any) -> None:
    """Make a call under a contract; print its answer."""
    body: dict[str, Any] = {"parameters": {}}
    given, parameters = options.pop("columns"), options.pop("parameters")
    if given:
        body["columns"] = dict(_column(text) for text in given)
    for text in parameters:
        name, _, value = text.partition("=")
        body["parameters"][name] = _number(value, text)
    if (text := options.pop("body")) is not None:
        try:
            body["body"] = json.loads(text)
        except ValueError as error:
            raise Failure(f"--body: {error}", "write JSON", 2, "usage") from None
    for name, member in (("key", "key"), ("timeout", "timeout_s")):
        if (value := options.pop(name)) is not None:
            body[member] = value
    made = connect(**options).post(f"/calls/contracts/{segment(contract)}:call", body)
    print_json(made if as_json else made["answer"])


@command.command("usage")
@click.argument("contract")
@click.option("--since", help="RFC 3339.")
@click.option("--until", help="RFC 3339.")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def usage(contract: str, since: str | None, until: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List the calls under a contract as this node noted them."""
    items = connect(**node).items(f"/calls/contracts/{segment(contract)}/usage", limit, since=since, until=until)
    if as_json:
        print_json(items)
        return
    rows = [
        (item["at"], item["id"], item["state"], item["status"], item["charged"], item["rows"], item["milliseconds"])
        for item in items
    ]
    print_table(("at", "call", "state", "status", "charged", "rows", "ms"), rows, "no calls")


@command.command("reconcile")
@click.argument("contract")
@click.option("--since", help="RFC 3339; default: 31 days before --until.")
@click.option("--until", help="RFC 3339; default: now.")
@node_options
def reconcile(contract: str, since: str | None, until: str | None, as_json: bool, **node: Any) -> int:
    """Compare this node's notes with the provider's. Status 1 when they differ."""
    query = "&".join(f"{name}={segment(value)}" for name, value in (("since", since), ("until", until)) if value)
    path = f"/calls/contracts/{segment(contract)}:reconcile{'?' + query if query else ''}"
    made = connect(**node).post(path, None)
    if as_json:
        print_json(made)
    else:
        for name in ("here", "there"):
            sums = made[name]
            print(f"{name}: {sums['calls']} calls, {sums['charged']} charged, {sums['amount'] / 100:.2f}")
        rows = [(item["id"], item["here"] or "-", item["there"] or "-") for item in made["differences"]]
        print_table(("call", "here", "there"), rows, "no differences")
    return FAILED if made["differences"] else 0


def _print(made: dict[str, Any], as_json: bool, words: str) -> None:
    if as_json:
        print_json(made)
    else:
        print(words)


def _terms(terms: dict[str, Any]) -> tuple[Any, ...]:
    target = f"{terms['target']} {terms['method']} {terms['path']}".strip()
    price = f"{terms['price'] / 100:.2f} {terms['currency']}"
    return terms["offer"], terms["kind"], target, f"{terms['quota']}/{terms['period_s']} s", price, terms["until"]


def _column(text: str) -> tuple[str, dict[str, Any]]:
    name, _, rest = text.partition("=")
    unit, colon, values = rest.rpartition(":")
    if not name or not colon:
        raise Failure(f"--column {text}: write PORT=UNIT:VALUE[,VALUE…]", "such as flow=m3/h:120", 2, "usage")
    return name, {"unit": unit, "values": [_number(value, text) for value in values.split(",")]}


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Failure(f"{whole}: {text!r} is not a number", "", 2, "usage") from None
