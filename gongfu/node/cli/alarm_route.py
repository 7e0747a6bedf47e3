"""``gongfu alarm route``: who is told of which alarms, when."""

import json
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import NodeApi, connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _days(_: click.Context, __: click.Parameter, text: str | None) -> list[int] | None:
    """Return days from ``mon-fri,sun``: 0 is Monday; a range may go over the end of the week."""
    if text is None:
        return None
    found: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.strip().partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise click.BadParameter(f"{part!r} is no day: write mon-fri or sat,sun")
        begin = _DAYS.index(first)
        length = (_DAYS.index(last) - begin) % 7 if dash else 0
        found |= {(begin + n) % 7 for n in range(length + 1)}
    return sorted(found)


def _hours(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    begin, dash, end = text.partition("-")
    if not dash:
        raise click.BadParameter("write 22:00-06:00; a shift over midnight belongs to the day on which it begins")
    return begin, end


def _text(calendar: dict[str, Any] | None) -> str:
    if calendar is None:
        return "always"
    days = ",".join(_DAYS[day] for day in calendar["days"])
    return f"{days} {calendar['begin']}-{calendar['end']} {calendar['timezone']}"


@click.command("route")
@click.argument("name", required=False)
@click.option("-f", "--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON.")
@click.option(
    "--priority", "priorities", multiple=True, type=click.Choice(["critical", "high", "medium", "low", "all"])
)
@click.option("--days", callback=_days, help="Only on these days: mon-fri or sat,sun.")
@click.option("--hours", callback=_hours, help="Only in this shift: 22:00-06:00; 00:00-00:00 is all day.")
@click.option("--timezone", help="Of days and hours, such as Asia/Shanghai; UTC without it.")
@click.option("--always", is_flag=True, help="At all times.")
@click.option("--digest/--no-digest", default=None, help="In a flood one message in 5 minutes for all.")
@click.option("--digest-critical/--no-digest-critical", default=None, help="Critical alarms go into digests, too.")
@click.option("--delete", is_flag=True, help="Remove the route NAME.")
@node_options
def command(
    name: str | None,
    path: Path | None,
    priorities: tuple[str, ...],
    days: list[int] | None,
    hours: tuple[str, str] | None,
    timezone: str | None,
    always: bool,
    digest: bool | None,
    digest_critical: bool | None,
    delete: bool,
    as_json: bool,
    **node: Any,
) -> None:
    """List routes of notifications; write one from a file; change priorities, shift and digests of the route NAME."""
    api = connect(**node)
    shift = days is not None or hours is not None or timezone is not None
    changed = bool(priorities or shift or always or delete) or digest is not None or digest_critical is not None
    if changed and (name is None or path is not None):
        raise click.UsageError("say the NAME of the route that is to be changed, and no file")
    if always and shift:
        raise click.UsageError("--always is without --days, --hours and --timezone")
    if path is not None:
        _show(_write(api, _read(path)), as_json)
        return
    if not changed:
        _list([item for item in _routes(api) if name in (None, item["route"]["name"])], as_json)
        return
    found = next((item for item in _routes(api) if item["route"]["name"] == name), None)
    if found is None:
        raise Failure(f"there is no route {name}", status=5)
    if delete:
        api.call("DELETE", f"/notification-routes/{found['id']}")
        return
    body: dict[str, Any] = found["route"]
    if priorities:
        body["priorities"] = [] if "all" in priorities else list(priorities)
    if always:
        body["calendar"] = None
    if shift:
        known = body["calendar"] or {"days": list(range(7)), "begin": "00:00", "end": "00:00", "timezone": "UTC"}
        begin, end = hours or (known["begin"], known["end"])
        body["calendar"] = {
            "days": known["days"] if days is None else days,
            "begin": begin,
            "end": end,
            "timezone": timezone or known["timezone"],
        }
    if digest is not None:
        body["digest"] = digest
    if digest_critical is not None:
        body["digest_critical"] = digest_critical
    _show(api.call("PUT", f"/notification-routes/{found['id']}", body), as_json)


def _routes(api: NodeApi) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/notification-routes")["items"]
    return found


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{path}: {error}") from None


def _write(api: NodeApi, body: Any) -> dict[str, Any]:
    """Write a route, in place of that with its name."""
    known = {item["route"]["name"]: item["id"] for item in _routes(api)}
    name = body.get("name") if isinstance(body, dict) else None
    target = f"/notification-routes/{known[name]}" if name in known else "/notification-routes"
    made: dict[str, Any] = api.call("PUT" if name in known else "POST", target, body)
    return made


def _show(item: dict[str, Any], as_json: bool) -> None:
    print_json(item) if as_json else _list([item], as_json)


def _list(items: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(items)
        return
    print_table(
        ("id", "name", "priorities", "when", "digests", "enabled"),
        [
            (
                str(item["id"]),
                item["route"]["name"],
                ",".join(item["route"]["priorities"]) or "all",
                _text(item["route"]["calendar"]),
                _digests(item["route"]),
                "yes" if item["route"]["enabled"] else "no",
            )
            for item in items
        ],
        "no routes: nobody is told",
    )


def _digests(route: dict[str, Any]) -> str:
    if not route["digest"]:
        return "no"
    return "yes, critical too" if route["digest_critical"] else "yes"
