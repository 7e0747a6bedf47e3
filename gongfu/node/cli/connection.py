"""``gongfu connect``: the commissioning wizard, and connections to machines."""

import getpass
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli import connection_certificate, connection_method
from gongfu.node.cli.connection_lookup import connection_id, value_of
from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import NodeApi, connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table, text_of

_SETTLE_S = 15.0
_SHOWN = 200


class _MachineGroup(click.Group):
    """A group whose first argument may be the address of a machine."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take an address for the command that looks at it."""
        if args and "://" in args[0]:
            return "URL", machine, args
        return super().resolve_command(ctx, args)


@click.group("connect", cls=_MachineGroup, subcommand_metavar="URL | COMMAND [OPTIONS]")
def command() -> None:
    """Look at a machine and connect it: `gongfu connect modbus://10.0.0.5/1 --map pump.csv`, then again with --apply.

    Without a command, URL is the machine's address; see `gongfu connect URL --help` for the options.
    """


@click.command("URL")
@click.argument("address", metavar="URL")
@click.option(
    "--preview", is_flag=True, help="Show what the machine has, with live values, and what is proposed (default)."
)
@click.option("--apply", "apply_", is_flag=True, help="Make the connection, its asset, device and points.")
@click.option("--discover", is_flag=True, help="Show what answers at the address: servers, endpoints, unit ids.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Record a session to a file (NDJSON).")
@click.option("--seconds", type=click.FloatRange(0.1, 300), default=10.0, show_default=True, help="How long to record.")
@click.option("--map", "register_map", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="What the machine has, as a CSV or YAML table: a register map, a layout.")  # fmt: skip
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Option of the driver.")
@click.option("--secret", "secrets", multiple=True, metavar="NAME",
              help="Option that is a secret (password): asked for, or read from standard input.")  # fmt: skip
@click.option("--name", default="", help="Name of the connection; default after the address.")
@click.option("--asset", default="", help="Path of the asset its points belong to; default: the name.")
@click.option("--model", help="Thing model of its points; machines of one kind share it. Default: the name.")
@click.option("--no-model", is_flag=True, help="Make no thing model.")
@click.option("--parent", default="", help="Look below this node only.")
@click.option(
    "--limit", type=click.IntRange(1, 20_000), default=2000, show_default=True, help="At most this many points."
)
@click.option("--every", type=click.FloatRange(0.01, 86_400), help="Seconds between two values of each point.")
@node_options
def machine(
    address: str,
    preview: bool,
    apply_: bool,
    discover: bool,
    record: Path | None,
    seconds: float,
    register_map: Path | None,
    options: tuple[str, ...],
    secrets: tuple[str, ...],
    name: str,
    asset: str,
    model: str | None,
    no_model: bool,
    parent: str,
    limit: int,
    every: float | None,
    as_json: bool,
    **node: Any,
) -> None:
    """Look at the machine at URL, and connect it with --apply."""
    if preview and apply_:
        raise click.UsageError("give --preview or --apply, not both")
    given = dict(_option(text) for text in options)
    for secret in secrets:
        given[secret] = getpass.getpass(f"{secret}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if register_map is not None:
        given["registers" if address.startswith("modbus") else "variables"] = _rows(register_map)
    api = connect(**node)
    target = {"url": address, "options": given}
    if discover:
        _show_found(api.post("/connections:discover", target)["items"], as_json)
        return
    body = {"target": target, "name": name, "asset": asset, "parent": parent, "limit": limit}
    if record is not None:
        body["record"] = seconds
    proposal = api.call("POST", "/connections:preview", body, timeout=180 + seconds)
    if every is not None:
        for point in proposal["points"]:
            point["address"]["every"] = every
    if record is not None:
        record.write_text(proposal["recording"], encoding="utf-8")
    proposal["recording"] = ""
    proposal["model"] = "" if no_model else model or proposal["model"]
    if not apply_:
        if as_json:
            print_json(proposal)
        else:
            _show_proposal(proposal, record)
        return
    if not any(point["include"] for point in proposal["points"]):
        raise Failure("there is no point that could be read", "; ".join(proposal["warnings"]) or "look with --preview")
    # Secrets are not in the proposal: they go to the node once, and stay there.
    proposal["options"], proposal["url"] = given, address
    made = _settled(api, api.post("/connections:apply", proposal))
    if as_json:
        print_json(made)
        return
    _show_hints(proposal)
    _show(made)


@command.command("list")
@node_options
def list_(as_json: bool, **node: Any) -> None:
    """List connections with their state."""
    items = connect(**node).items("/connections")
    if as_json:
        print_json(items)
        return
    print_table(
        ("id", "name", "protocol", "address", "asset", "points", "state", "values/s", "last error"),
        [
            (
                str(item["id"]),
                item["name"],
                item["protocol"],
                item["url"],
                item["asset_path"],
                item["points"],
                _state(item),
                (item["status"] or {}).get("values_per_second"),
                _error(item["status"]),
            )
            for item in items
        ],
        empty="no connections; make one with: gongfu connect URL --apply",
    )


@command.command("show")
@click.argument("name")
@node_options
def show(name: str, as_json: bool, **node: Any) -> None:
    """Show a connection: state, counters, last error, addresses. NAME may be its id."""
    api = connect(**node)
    found = api.get(f"/connections/{connection_id(api, name)}")
    if as_json:
        print_json(found)
    else:
        _show(found, addresses=True)


@command.command("remove")
@click.argument("name")
@node_options
def remove(name: str, as_json: bool, **node: Any) -> None:
    """Remove a connection and its device; asset, points and history stay."""
    api = connect(**node)
    api.call("DELETE", f"/connections/{connection_id(api, name)}")
    print_json({"removed": name}) if as_json else print(f"{name} is removed; its asset, points and history stay")


@command.command("pause")
@click.argument("name")
@node_options
def pause(name: str, as_json: bool, **node: Any) -> None:
    """Close a connection until it is resumed."""
    _set_paused(name, True, as_json, **node)


@command.command("resume")
@click.argument("name")
@node_options
def resume(name: str, as_json: bool, **node: Any) -> None:
    """Open a paused connection again."""
    _set_paused(name, False, as_json, **node)


@command.command("write")
@click.argument("name")
@click.argument("point")
@click.argument("value")
@click.option("--asset", default="", help="Child asset of the point.")
@node_options
def write(name: str, point: str, value: str, asset: str, as_json: bool, **node: Any) -> None:
    """Write VALUE (JSON, or text) to a writable point of a machine, and read it back."""
    api = connect(**node)
    body = {"point": point, "asset": asset, "value": value_of(value)}
    done = api.call("POST", f"/connections/{connection_id(api, name)}:write", body, timeout=120)
    if as_json:
        print_json(done)
    elif done["confirmed"] is None:
        print(f"{point} is written; {name} cannot be read back")
    elif done["confirmed"]:
        print(f"{point} is written and reads {text_of(done['read_back'])}")
    if done["confirmed"] is False:
        raise Failure(done["detail"], "see whether the machine is in a mode that takes values")


@command.command("drivers")
@node_options
def drivers(as_json: bool, **node: Any) -> None:
    """List the protocols this node speaks."""
    items = connect(**node).get("/drivers")["items"]
    if as_json:
        print_json(items)
        return
    print_table(
        ("protocol", "title", "level", "addresses begin with", "can"),
        [
            (
                item["protocol"],
                item["title"]["en"],
                item["level"],
                " ".join(f"{scheme}://" for scheme in item["schemes"]),
                " ".join(item["capabilities"]),
            )
            for item in items
        ],
    )


for _further in (
    connection_certificate.certificates,
    connection_certificate.trust,
    connection_method.browse,
    connection_method.call,
):
    command.add_command(_further)


# --- parts -----------------------------------------------------------------------------------------------------------


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--option must be NAME=VALUE, not {text!r}")
    return name, value_of(value)


def _rows(file: Path) -> list[dict[str, Any]]:
    from gongfu.connect.kit.table_files import read_rows
    from gongfu.connect.kit.types import DriverError

    try:
        return read_rows(file)
    except DriverError as error:
        raise Failure(error.what, error.advice) from None


def _set_paused(name: str, paused: bool, as_json: bool, **node: Any) -> None:
    api = connect(**node)
    changed = api.call("PATCH", f"/connections/{connection_id(api, name)}", {"paused": paused})
    print_json(changed) if as_json else print(f"{changed['name']} is {'paused' if paused else 'opened again'}")


def _settled(api: NodeApi, made: dict[str, Any]) -> dict[str, Any]:
    """Return a new connection once it stands or has failed; as it is when that takes too long."""
    deadline = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline:
        made = api.get(f"/connections/{made['id']}")
        status = made["status"]
        if status and (status["state"] in ("waiting", "unusable") or status["counters"].get("accepted")):
            break
        time.sleep(0.3)
    return made


def _show_found(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_table(("address", "name", "what"), [(one["url"], one["name"], one["description"]) for one in found])


def _show_proposal(proposal: Mapping[str, Any], record: Path | None) -> None:
    points = proposal["points"]
    print(f"{proposal['url']}: {len(points)} points; proposed as {proposal['name']!r}, asset {proposal['asset']!r}")
    rows: list[tuple[Any, ...]] = []
    for point in points[:_SHOWN]:
        address = point["address"]
        value = point["value"]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = value * address["scale"] + address["offset"]
        rows.append(
            (
                "+" if point["include"] else "-",
                f"{address['asset']}/{address['point']}" if address["asset"] else address["point"],
                text_of(value),
                address["unit"] or None,
                address["value_type"],
                point["quality"],
                address["where"],
                point["description"],
            )
        )
    print_table(("", "point", "value", "unit", "type", "quality", "address", "description"), rows, "no points")
    if len(points) > _SHOWN:
        print(f"… and {len(points) - _SHOWN} more (--json shows all)")
    _show_hints(proposal)
    if record is not None:
        print(f"recorded to {record}; replay it with: gongfu connect recording://{record.absolute()}")
    if points:
        print("Nothing is made yet. Make it with --apply.")


def _show_hints(proposal: Mapping[str, Any]) -> None:
    for point in proposal["points"]:
        if point["hint"]:
            print(f"look: {point['address']['point']} ({point['address']['where']}): {point['hint']}")
    for warning in proposal["warnings"]:
        print(f"note: {warning}")


def _show(found: Mapping[str, Any], *, addresses: bool = False) -> None:
    print(f"{found['name']} (id {found['id']}): {found['protocol']} {found['url']}")
    print(f"asset    {found['asset_path']}   points {found['points']}")
    print(f"state    {_state(found)}")
    status = found["status"]
    if status:
        counters = ", ".join(f"{name} {n}" for name, n in status["counters"].items() if n)
        print(f"values   {status['values_per_second']:g}/s   {counters}")
        for kind in ("rejected", "shed"):
            if status[kind]:
                print(f"{kind:8} {', '.join(f'{reason} {n}' for reason, n in status[kind].items())}")
        if status["detail"]:
            print(f"last     {text_of(status['detail'])}")
        if status["last_error"]:
            print(f"error    {_error(status)}")
            print(f"do       {status['last_error']['advice']}")
        for hint in status["hints"]:
            print(f"look     {text_of(hint['what'])}")
            print(f"do       {hint['advice']}")
        if status["health"]:
            print(f"health   {', '.join(f'{name} {text_of(value)}' for name, value in status['health'].items())}")
    if found["secrets"]:
        print(f"secrets  {', '.join(found['secrets'])} (kept on the node, not shown)")
    if addresses:
        print_table(
            ("point", "asset", "address", "type", "unit", "every"),
            [
                (one["point"], one["asset"], one["where"], one["value_type"], one["unit"], one["every"])
                for one in found["addresses"][:_SHOWN]
            ],
        )


def _state(item: Mapping[str, Any]) -> str:
    if item["paused"]:
        return "paused"
    return item["status"]["state"] if item["status"] else "unknown"


def _error(status: Mapping[str, Any] | None) -> str | None:
    error = (status or {}).get("last_error")
    return text_of(f"{error['reason']}: {error['what']}") if error else None
