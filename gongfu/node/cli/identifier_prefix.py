"""``gongfu id prefix``."""

import secrets
from typing import Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table


@click.group("prefix")
def command() -> None:
    """Prefixes of this service, and those that are delegated to other nodes."""


@command.command("add")
@click.argument("name")
@click.option("--enterprise", default="", help="Whose it is.")
@click.option("--region", default="", help="GB/T 2260 code.")
@click.option("--industry", default="", help="GB/T 4754 code.")
@click.option("--quota", type=click.IntRange(0), default=0, help="Most identifiers; 0: no bound.")
@node_options
def add(name: str, enterprise: str, region: str, industry: str, quota: int, as_json: bool, **node: Any) -> None:
    """Register a prefix below the root."""
    body = {"name": name, "enterprise": enterprise, "region": region, "industry": industry, "quota": quota}
    _print(connect(**node).post("/identifiers/prefixes", body), as_json)


@command.command("delegate")
@click.argument("name")
@click.argument("service")
@click.option("--enterprise", default="", help="Whose it is.")
@node_options
def delegate(name: str, service: str, enterprise: str, as_json: bool, **node: Any) -> None:
    """Delegate a prefix below the root to the node whose service is at SERVICE (address:port)."""
    body = {"name": name, "kind": "delegated", "service": service, "enterprise": enterprise}
    _print(connect(**node).post("/identifiers/prefixes", body), as_json)


@command.command("list")
@click.option("--search", help="Beginning of the prefix, or part of the enterprise.")
@click.option("--state", type=click.Choice(["active", "suspended", "revoked"]))
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(search: str | None, state: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List prefixes and how many identifiers they have."""
    found = connect(**node).items("/identifiers/prefixes", limit, search=search, state=state)
    if as_json:
        print_json(found)
        return
    print_table(
        ("prefix", "kind", "state", "enterprise", "region", "industry", "explicit", "ranged", "total"),
        [
            (
                one["name"],
                one["kind"] if one["kind"] == "own" else f"at {one['service']}",
                one["state"],
                one["enterprise"],
                one["region"],
                one["industry"],
                one["explicit"],
                one["ranged"],
                one["total"],
            )
            for one in found
        ],
        "no prefixes",
    )


@command.command("show")
@click.argument("name")
@node_options
def show(name: str, as_json: bool, **node: Any) -> None:
    """Show a prefix."""
    _print(connect(**node).get(f"/identifiers/prefixes/{segment(name)}"), as_json)


@command.command("set")
@click.argument("name")
@click.option("--enterprise", help="Whose it is.")
@click.option("--region", help="GB/T 2260 code.")
@click.option("--industry", help="GB/T 4754 code.")
@click.option("--quota", type=click.IntRange(0), help="Most identifiers; 0: no bound.")
@click.option("--service", help="Of a delegated one: address:port.")
@click.option("--state", type=click.Choice(["active", "suspended", "revoked"]), help="Revoked is for ever.")
@node_options
def set_(name: str, as_json: bool, **options: Any) -> None:
    """Change a prefix, suspend it, let it register again, revoke it."""
    names = ("enterprise", "region", "industry", "quota", "service", "state")
    change = {key: value for key in names if (value := options.pop(key)) is not None}
    if not change:
        raise click.UsageError("say what is to change")
    _print(connect(**options).call("PATCH", f"/identifiers/prefixes/{segment(name)}", change), as_json)


@command.command("home")
@click.argument("name")
@node_options
def home(name: str, as_json: bool, **node: Any) -> None:
    """Take a prefix home (归巢): this node registers and answers for it, with what was registered here before."""
    _print(connect(**node).call("PATCH", f"/identifiers/prefixes/{segment(name)}", {"kind": "own"}), as_json)


@command.command("unhome")
@click.argument("name")
@click.argument("service")
@node_options
def unhome(name: str, service: str, as_json: bool, **node: Any) -> None:
    """Give the home of a prefix up: the node whose service is at SERVICE (address:port) has it from now on.

    Its identifiers are not counted here any more, and not moved: bring them to the other node first.
    """
    body = {"kind": "delegated", "service": service}
    _print(connect(**node).call("PATCH", f"/identifiers/prefixes/{segment(name)}", body), as_json)


@command.command("key")
@click.argument("name")
@click.option(
    "--index", type=click.IntRange(1), default=300, show_default=True, help="Where: 300 is the administrator's."
)
@node_options
def key(name: str, index: int, as_json: bool, **node: Any) -> None:
    """Give the administrator of a prefix a new secret key; the old one is void.

    With it clients administer the identifiers of the prefix: over the Handle protocol, and over HTTP as the password
    of INDEX:0.NA/NAME.
    """
    secret = secrets.token_hex(16)
    value = {"index": index, "type": "HS_SECKEY", "data": secret, "permissions": "1100"}
    api = connect(**node)
    try:
        api.call("PATCH", "/identifiers/record", {"handle": f"0.NA/{name}", "add": [value]})
    except Failure as failure:
        if failure.code != "value-already-exists":
            raise
        api.call("PATCH", "/identifiers/record", {"handle": f"0.NA/{name}", "modify": [value]})
    if as_json:
        print_json({"identity": f"{index}:0.NA/{name}", "secret": secret})
        return
    print(f"identity {index}:0.NA/{name}")
    print(f"secret   {secret}   (shown only now)")


def _print(prefix: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(prefix)
        return
    values = prefix.pop("values")
    shown = [(name, value) for name, value in prefix.items() if value not in ("", None)]
    print_table(("field", "value"), [*shown, *((f"value {one['index']}", one["type"]) for one in values)])
