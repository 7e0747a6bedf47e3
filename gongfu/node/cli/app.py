"""``gongfu app``."""

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import FAILED, Failure
from gongfu.node.cli.node_api import NodeApi, connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table
from gongfu.node.cli.store_download import package_file

_MEDIA_TYPE = "application/vnd.gongfu.app"
# Commands of other modules: name -> (module, short help).
_FURTHER = {
    "run": ("app_run", "Run the app of a folder on a node, with its recorded data, while it is being written."),
    "pack": ("app_package", "Pack and sign a folder."),
    "verify": ("app_package", "Check a package."),
    "publish": ("app_package", "Publish a package in the store of a node."),
    "key": ("app_package", "Keys of publishers."),
}
_ORDER = (
    *("new", "test", "run", "pack", "verify", "key", "publish", "install", "upgrade", "rollback"),
    *("grant", "enable", "disable", "allow-key", "remove", "list", "status", "logs"),
)
_FOLDER = click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(), required=False
)


class _Group(click.Group):
    """Imports the commands of other modules when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the documentation."""
        return list(_ORDER)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now."""
        found = super().get_command(ctx, cmd_name)
        if found is not None or cmd_name not in _FURTHER:
            return found
        module, short_help = _FURTHER[cmd_name]
        try:
            loaded = importlib.import_module(f"gongfu.node.cli.{module}")
        except ModuleNotFoundError:
            return None
        commands: list[click.Command] = loaded.COMMANDS
        command = next((one for one in commands if one.name == cmd_name), None)
        if command is not None:
            command.short_help = command.short_help or short_help
        return command


@click.command("app", cls=_Group)
def command() -> None:
    """Make, test, run, install, upgrade and remove apps (工业APP). docs/apps/first-app.md begins here."""


@command.command("new")
@click.argument("name")
@click.option("--publisher", default="local", show_default=True, help="First part of the identifier: com.example.")
@click.option("--in", "parent", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where.")
def new(name: str, publisher: str, parent: Path) -> None:
    """Write a complete small app into a folder NAME: code, page, recorded data, tests. Change it then."""
    from gongfu.appkit.developing.new import NewAppError, write_new_app

    try:
        folder = write_new_app(name, parent, publisher)
    except NewAppError as error:
        raise Failure(str(error), "", code="usage", status=2) from None
    except OSError as error:
        raise Failure(f"{parent / name} cannot be written: {error.strerror}") from None
    print(f"{folder}/ is an app. Next:\n  cd {folder}\n  gongfu app test\n  gongfu app run")


@command.command("test")
@_FOLDER
@click.option("-k", "only", default="", help="Only tests whose name has this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def test(folder: Path, only: str, as_json: bool) -> None:
    """Run the tests of an app on its recorded data, with a virtual clock. No node is needed."""
    from gongfu.appkit.developing.tests_of import run_tests
    from gongfu.appkit.manifest import FILE, ManifestError, read_manifest

    root = folder.resolve()
    try:
        manifest = read_manifest(root / FILE)
    except ManifestError as error:
        raise Failure(str(error), "see docs/apps.md", code="manifest") from None
    outcomes = list(run_tests(root, only))
    failed = [outcome for outcome in outcomes if outcome.trouble]
    if as_json:
        items = [{"name": o.name, "seconds": round(o.seconds, 3), "trouble": o.trouble} for o in outcomes]
        print_json({"app": manifest.app.id, "tests": items})
    else:
        for outcome in outcomes:
            print(f"{'FAILED' if outcome.trouble else 'ok':6}  {outcome.name}  {outcome.seconds:.2f} s")
            for line in outcome.trouble.splitlines():
                print(f"        {line}")
        print(f"{len(outcomes) - len(failed)} of {len(outcomes)} tests passed")
    if failed:
        raise Failure(f"{len(failed)} tests failed", "", FAILED, "tests-failed")
    if not outcomes:
        raise Failure(f"{root / 'tests'} has no test_*.py with tests", "", FAILED, "no-tests")


@command.command("install")
@click.argument("package")
@click.option("--grant-all", is_flag=True, help="Grant what it asks for without asking.")
@click.option("--without", multiple=True, metavar="NAME", help="Refuse an optional permission; may be repeated.")
@click.option("--unsigned", is_flag=True, help="Take a package that nobody signed: for development.")
@click.option("--store-url", help="Node whose store has it, such as the parent; default: this node.")
@click.option("--store-token", help="Bearer token of that node.", envvar="GONGFU_STORE_TOKEN", default="")
@node_options
def install(
    package: str,
    grant_all: bool,
    without: tuple[str, ...],
    unsigned: bool,
    store_url: str | None,
    store_token: str,
    as_json: bool,
    **node: Any,
) -> None:
    """Install a package, after showing what it asks for: a file, or store:ID[@VERSION] of an app store."""
    api = connect(**node)
    with package_file(api, package, store_url, store_token) as (path, note):
        _install(api, path, grant_all, without, unsigned, as_json, upgrade=False)
        note()


@command.command("upgrade")
@click.argument("package")
@click.option("--grant-all", is_flag=True, help="Grant what it asks for in addition without asking.")
@click.option("--without", multiple=True, metavar="NAME", help="Refuse an optional permission; may be repeated.")
@click.option("--unsigned", is_flag=True, help="Take a package that nobody signed: for development.")
@click.option("--store-url", help="Node whose store has it, such as the parent; default: this node.")
@click.option("--store-token", help="Bearer token of that node.", envvar="GONGFU_STORE_TOKEN", default="")
@node_options
def upgrade(
    package: str,
    grant_all: bool,
    without: tuple[str, ...],
    unsigned: bool,
    store_url: str | None,
    store_token: str,
    as_json: bool,
    **node: Any,
) -> None:
    """Upgrade an installed app to a file or to store:ID[@VERSION]. When it fails, the old version and its records
    stay."""
    api = connect(**node)
    with package_file(api, package, store_url, store_token) as (path, note):
        _install(api, path, grant_all, without, unsigned, as_json, upgrade=True)
        note()


@command.command("rollback")
@click.argument("app")
@node_options
def rollback(app: str, as_json: bool, **node: Any) -> None:
    """Go back to the version before, with the records it had then."""
    _print(connect(**node).post(f"/apps/{segment(app)}:rollback", None), as_json)


@command.command("grant")
@click.argument("app")
@click.option("--without", multiple=True, metavar="NAME", help="Refuse an optional permission; may be repeated.")
@node_options
def grant(app: str, without: tuple[str, ...], as_json: bool, **node: Any) -> None:
    """Grant an installed app all it asks for, but the optional permissions that are named. It is started again."""
    made = connect(**node).post(f"/apps/{segment(app)}:grant", None, without=",".join(without))
    _print(made, as_json)


@command.command("enable")
@click.argument("app")
@node_options
def enable(app: str, as_json: bool, **node: Any) -> None:
    """Let a stopped app run again."""
    _print(connect(**node).post(f"/apps/{segment(app)}:enable", None), as_json)


@command.command("allow-key")
@click.argument("app")
@click.option("--reason", help="Why it may run although its publisher's key was revoked; the audit keeps it.")
@click.option("--end", is_flag=True, help="It may no longer.")
@node_options
def allow_key(app: str, reason: str | None, end: bool, as_json: bool, **node: Any) -> None:
    """Let an app run although its publisher's key was revoked: for administrators of the node."""
    if bool(reason) == end:
        raise click.UsageError("give --reason, or --end")
    path = f"/apps/{segment(app)}/key-override"
    api = connect(**node)
    api.call("DELETE", path) if end else api.call("PUT", path, {"reason": reason})
    print_json({}) if as_json else print(f"{app} may {'no longer ' if end else ''}run with a revoked key")


@command.command("disable")
@click.argument("app")
@node_options
def disable(app: str, as_json: bool, **node: Any) -> None:
    """Stop an app, and keep what it has."""
    _print(connect(**node).post(f"/apps/{segment(app)}:disable", None), as_json)


@command.command("remove")
@click.argument("app")
@click.option("--export", type=click.Path(dir_okay=False, path_type=Path), help="First write its records to a file.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@node_options
def remove(app: str, export: Path | None, yes: bool, as_json: bool, **node: Any) -> None:
    """Remove an app with its records, files, models, rules and grants. What it wrote to points stays."""
    api = connect(**node)
    api.get(f"/apps/{segment(app)}")
    if export is not None:
        with export.open("wb") as file:
            for piece in api.download(f"/apps/{segment(app)}/records", None, method="GET"):
                file.write(piece)
        print(f"records written to {export}", file=sys.stderr)
    if not yes and not as_json:
        click.confirm(f"remove {app} and its records?", abort=True, err=True)
    api.call("DELETE", f"/apps/{segment(app)}", timeout=420.0)
    if as_json:
        print_json({"removed": app})
    else:
        print(f"{app} is removed")


@command.command("list")
@node_options
def list_(as_json: bool, **node: Any) -> None:
    """List installed apps and how they run."""
    items = connect(**node).get("/apps")["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["version"],
            _state(item),
            item["publisher"] or "unsigned",
            running["restarts"] if (running := item["running"]) else None,
            running["refusals"] if running else None,
        )
        for item in items
    ]
    print_table(("app", "version", "state", "publisher", "restarts", "refused"), rows, "no apps")


@command.command("status")
@click.argument("app")
@node_options
def status(app: str, as_json: bool, **node: Any) -> None:
    """Show how an app runs, what it may do and what it was refused."""
    item = connect(**node).get(f"/apps/{segment(app)}")
    if as_json:
        print_json(item)
        return
    running = item["running"] or {}
    print(f"{item['id']} {item['version']}  {item['title']['zh']} / {item['title']['en']}  {_state(item)}")
    for name, text in (
        ("not running", item["withheld"]),
        ("runs with a revoked key", (item["key_override"] or {}).get("reason")),
        ("why", running.get("why")),
        ("last error", running.get("error")),
        ("trouble", item["trouble"]),
    ):
        if text:
            print(f"{name}: {text}")
    if running:
        print(
            f"process {running['process']}, {running['restarts']} restarts, {running['cpu_s']:g} s CPU "
            f"({100 * running['cpu']:.1f} % lately), {running['memory_bytes'] / 2**20:.0f} MiB, "
            f"started in {running['start_s']:g} s"
        )
        print(
            f"{running['windows']} windows, {running['failed']} failed, {running['given_up']} given up, "
            f"{running['late']} samples late, {running['shed']} shed, {running['lag_blocks']} blocks behind"
        )
        for missing in running["missing"]:
            print(f"not enforced here: {missing}")
        for one in running["functions"]:
            if one["kind"] == "report" and one["about"]:
                print(f"report {one['name']} does not go up: {one['about']}")
    print("may:")
    for one in item["permissions"]:
        name = f"  ({one['name']}: {'granted' if one['granted'] else 'REFUSED'})" if one["optional"] else ""
        print(f"  {one['line']}{name}")
    for refused in running.get("refused", []):
        print(f"refused {refused['count']} times: {refused['text']}")


@command.command("logs")
@click.argument("app")
@click.option("-n", "lines", type=click.IntRange(1, 500), default=50, show_default=True)
@node_options
def logs(app: str, lines: int, as_json: bool, **node: Any) -> None:
    """Print the last lines of the log of an app."""
    found = connect(**node).get(f"/apps/{segment(app)}/log", lines=lines)["lines"]
    if as_json:
        print_json(found)
    else:
        print("\n".join(found))


def _install(
    api: NodeApi,
    package: Path,
    grant_all: bool,
    without: tuple[str, ...],
    unsigned: bool,
    as_json: bool,
    *,
    upgrade: bool,
) -> None:
    found = inspected(api, package)
    if upgrade and not found["installed"]:
        raise Failure(f"{found['id']} is not installed", "use `gongfu app install`", code="not-installed")
    # What was refused before stays refused unless something is said now.
    refused = list(without) or [one["name"] for one in found["permissions"] if not one["granted"]]
    granted = [one for one in found["permissions"] if not (one["optional"] and one["name"] in refused)]
    fresh = [one for one in granted if one["new"]]
    if not as_json:
        signer = found["publisher"] or ("a key this node does not trust" if found["signed"] else "nobody (unsigned)")
        print(f"{found['id']} {found['version']}  {found['title']['zh']} / {found['title']['en']}  signed by {signer}")
        print("asks for:" if not found["installed"] else f"asks for, beyond {found['installed']}:")
        for one in [one for one in found["permissions"] if one["new"]]:
            print(f"  {_told(one, one not in granted)}")
            if one["reason"]:
                print(f"      {one['reason']['zh']} / {one['reason']['en']}")
        if not found["new"]:
            print("  nothing")
    if not grant_all and fresh:
        if as_json:
            raise Failure("it asks for grants", "look at them, then give --grant-all", code="not-granted")
        click.confirm("grant this?", abort=True, err=True)
    made = installed(api, package, unsigned=unsigned, sha256=str(found["sha256"]), without=refused)
    _print(made, as_json)


def _told(one: dict[str, Any], refused: bool) -> str:
    how = "REFUSED " if refused else f"optional, --without {one['name']} " if one["optional"] else ""
    return f"{one['line']}  ({how.strip()})" if how else str(one["line"])


def inspected(api: NodeApi, package: Path) -> dict[str, Any]:
    """Return what a node says of a package."""
    return dict(_upload(api, "/apps:inspect", package, {}))


def installed(
    api: NodeApi, package: Path, *, unsigned: bool, sha256: str = "", without: list[str] | None = None
) -> dict[str, Any]:
    """Install a package with all it asks for but what is refused (None: what was refused before), if it is still the
    one that was looked at; return the app."""
    query = {"grant": "all", **({"unsigned": "true"} if unsigned else {}), **({"sha256": sha256} if sha256 else {})}
    if without is not None:
        query["without"] = ",".join(without)
    return dict(_upload(api, "/apps:install", package, query))


def _upload(api: NodeApi, path: str, package: Path, query: dict[str, str]) -> Any:
    import json

    with package.open("rb") as file:
        return json.loads(b"".join(api.upload(path, file, {"Content-Type": _MEDIA_TYPE}, query)))


def _print(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        print(f"{item['id']} {item['version']}: {_state(item)}")


def _state(item: dict[str, Any]) -> str:
    if item["status"] != "installed":
        return str(item["status"])
    if not item["enabled"]:
        return "stopped"
    if item["withheld"]:
        return "key revoked"
    return item["running"]["state"] if item["running"] else "unknown"
