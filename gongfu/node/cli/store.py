"""``gongfu store``."""

import time
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.node_api import connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import ago, print_json, print_table, text_of
from gongfu.node.cli.store_download import package_of_store


@click.group("store")
def command() -> None:
    """The app store of a node: search, review, certify, statements. `gongfu app publish` brings an app to it."""


@command.command("search")
@click.argument("text", default="")
@click.option("--industry", help="GB/T 4754, such as C38.")
@click.option("--without", help="Kinds of permission it must not ask for, such as write,alarms.")
@click.option("--level", type=click.Choice(["none", "tested", "certified"]), help="At least that certification.")
@click.option("--rating", type=float, help="At least so many stars.")
@click.option("--order", type=click.Choice(["name", "rating", "newest"]), default="name", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def search(text: str, limit: int | None, as_json: bool, **options: Any) -> None:
    """Search the catalogue."""
    query = {name: options.pop(name) for name in ("industry", "without", "level", "rating", "order")}
    items = connect(**options).items("/store/apps", limit, text=text or None, **query)
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["version"],
            item["title"].get("en", ""),
            item["publisher"],
            item["level"],
            item["rating"],
            item["installs"],
            item["plan"]["kind"],
        )
        for item in items
    ]
    print_table(("id", "version", "title", "publisher", "level", "stars", "installed", "plan"), rows, "nothing found")


@command.command("show")
@click.argument("app")
@node_options
def show(app: str, as_json: bool, **node: Any) -> None:
    """Show an app with its versions."""
    item = connect(**node).get(f"/store/apps/{segment(app)}")
    if as_json:
        print_json(item)
        return
    now = time.time_ns()
    title = item["title"]
    print(f"{item['id']} {item['version']}: {text_of(title.get('en', ''))} / {text_of(title.get('zh', ''))}")
    print(text_of(item["description"].get("en", "")))
    plan = item["plan"]
    price = "" if plan["kind"] == "free" else f" {plan['amount'] / 100:.2f} {plan['currency']}"
    print(f"{plan['kind']}{price}, {item['level']}, installed {item['installs']} times, asks for {item['asks']}")
    rows = [
        (v["id"], v["version"], v["state"], v["publisher"], v["sha256"][:16], ago(v["changed_at"], now), v["reason"])
        for v in item["versions"]
    ]
    print_table(("number", "version", "state", "publisher", "sha256", "changed", "why"), rows)


@command.command("fetch")
@click.argument("spec")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True)
@node_options
def fetch(spec: str, output: Path, as_json: bool, **node: Any) -> None:
    """Fetch a package: SPEC is an id, or ID@VERSION. It goes on where it was cut off and is checked by its SHA-256."""
    path, identifier, version = package_of_store(connect(**node), spec, output)
    if as_json:
        print_json({"file": str(path), "id": identifier, "version": version})
        return
    print(path)


@command.command("queue")
@node_options
def queue(as_json: bool, **node: Any) -> None:
    """List drafts and versions under review."""
    items = connect(**node).items("/store/versions")
    if as_json:
        print_json(items)
        return
    now = time.time_ns()
    rows = [
        (item["id"], item["app"], item["version"], item["state"], item["author"], ago(item["changed_at"], now))
        for item in items
    ]
    print_table(("number", "app", "version", "state", "by", "changed"), rows, "nothing waits")


@command.command("decide")
@click.argument("version", type=int)
@click.option("--publish", "decision", flag_value="publish", help="Let it into the catalogue.")
@click.option("--refuse", "decision", flag_value="refuse", help="Refuse it; --reason says why.")
@click.option("--reason", default="")
@node_options
def decide(version: int, decision: str | None, reason: str, as_json: bool, **node: Any) -> None:
    """Look at a version that somebody else made; with --publish or --refuse, decide."""
    api = connect(**node)
    item = api.get(f"/store/versions/{version}")
    if decision is None:
        _print_version(item, as_json)
        return
    body = {"decision": decision, "sha256": item["sha256"], "reason": reason}
    made = api.post(f"/store/versions/{version}:decide", body)
    if as_json:
        print_json(made)
        return
    print(f"{made['app']} {made['version']} is {made['state']}")


@command.command("withdraw")
@click.argument("version", type=int)
@click.option("--reason", required=True, help="Why; shown to those who have it.")
@node_options
def withdraw(version: int, reason: str, as_json: bool, **node: Any) -> None:
    """Take a version back: it is not given out any more."""
    made = connect(**node).post(f"/store/versions/{version}:withdraw", {"reason": reason})
    if as_json:
        print_json(made)
        return
    print(f"{made['app']} {made['version']} is {made['state']}")


@command.command("certify")
@click.argument("version", type=int)
@click.option("--level", type=click.Choice(["tested", "certified"]), required=True)
@click.option("--by", required=True, help="The body or person that says so.")
@click.option("--evidence", required=True, help="What it is founded on: number of a report, an address.")
@click.option("--until", required=True, help="When it ends, such as 2027-01-01T00:00:00Z.")
@node_options
def certify(version: int, as_json: bool, **options: Any) -> None:
    """Certify a published version."""
    body = {name: options.pop(name) for name in ("level", "by", "evidence", "until")}
    made = connect(**options).post(f"/store/versions/{version}/certifications", body)
    if as_json:
        print_json(made)
        return
    print(f"{made['level']} until {made['until']}")


@command.command("rate")
@click.argument("app")
@click.argument("stars", type=click.IntRange(1, 5))
@click.option("--comment", default="")
@node_options
def rate(app: str, stars: int, comment: str, as_json: bool, **node: Any) -> None:
    """Rate an app that this tenant has installed, in place of an earlier rating."""
    body = {"stars": stars, "comment": comment}
    made = connect(**node).call("PUT", f"/store/apps/{segment(app)}/rating", body)
    if as_json:
        print_json(made)
        return
    print(f"{app}: {made['stars']} stars")


@command.command("statement")
@click.argument("month")
@node_options
def statement(month: str, as_json: bool, **node: Any) -> None:
    """Show what was used in a month (YYYY-MM) and what it costs. Nothing is paid here."""
    item = connect(**node).get("/store/statements", month=month)
    if as_json:
        print_json(item)
        return
    rows = [
        (
            line["app"],
            line["tenant_name"],
            line["plan"]["kind"],
            line["calls"],
            line["device_days"],
            f"{line['amount'] / 100:.2f} {line['plan']['currency']}",
        )
        for line in item["lines"]
    ]
    print(f"{item['month']}{'' if item['final'] else ' (so far)'}")
    print_table(("app", "tenant", "plan", "calls", "device-days", "amount"), rows, "nothing was used")


def _print_version(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    print(f"{item['app']} {item['version']}: {item['state']}, by {text_of(item['author'])}, {item['sha256']}")
    print(f"signed by {text_of(item['publisher'])} {item['key_id']}")
    built = item["provenance"] or {}
    print(f"built by {text_of(built.get('built_by', ''))}")
    print(f"source of {built.get('source_time', '-')} {built.get('commit', '')}".rstrip())
    print_table(("check", "outcome", "detail"), [(c["name"], c["outcome"], c["detail"]) for c in item["checks"]], "")
    against = f" (against {item['changes_against']})" if item["changes_against"] else ""
    changes = [(c["change"], c["kind"], c["what"], c["before"]) for c in item["changes"]]
    print_table((f"permissions{against}", "kind", "of", "before"), changes, "the permissions do not change")
