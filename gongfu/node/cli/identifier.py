"""``gongfu id``."""

import importlib
import json
import time
from typing import Any

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import NodeApi, connect
from gongfu.node.cli.options import local_configuration, node_options
from gongfu.node.cli.output import print_json, print_table, text_of
from gongfu.node.data_directory import DataDirectory, lock_holder

# Sub-command -> (module, short help), imported only when used; module or module:name of what it is there.
_GROUPS = {
    "prefix": ("identifier_prefix", "Register, delegate, suspend and revoke prefixes."),
    "application": ("identifier_application", "Apply for prefixes, and decide on applications."),
    "template": ("identifier_template", "Draft, publish and withdraw templates."),
    "class": ("identifier_class", "What all members of ranges have in common."),
    "range": ("identifier_range", "Register ranges of numbers (号段)."),
    "import": ("identifier_import", "Register many from a CSV, NDJSON or Parquet file."),
    "load": ("identifier_load", "Load a file straight into the store of a stopped node."),
    "grant": ("identifier_grant", "Let others read or change values: of a handle, a prefix, a class."),
    "backup": ("identifier_archive:backup", "Back the service up, without the rest of the node."),
    "restore": ("identifier_archive:restore", "Restore it to a stopped node that has none."),
}
READY_S = 60.0
# Of a value's data; --json has all of it.
_DATA_SHOWN = 100


class _Group(click.Group):
    """Imports a group when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *_GROUPS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _GROUPS:
            module, _, name = _GROUPS[cmd_name][0].partition(":")
            found: click.Command = getattr(importlib.import_module(f"gongfu.node.cli.{module}"), name or "command")
            return found
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [(name, command.get_short_help_str(100)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *((name, text) for name, (_, text) in _GROUPS.items())])


@click.group("id", cls=_Group)
def command() -> None:
    """Identifiers: set the service up, register and resolve."""


@command.command("init")
@click.option("--prefix", required=True, help="Root: the prefix at or below which this node registers, such as 99.168.")
@node_options
def init(prefix: str, as_json: bool, **node: Any) -> None:
    """Set the identifier service of this node up. Works while the node runs and while it is stopped."""
    directory = None
    if not node["url"]:
        directory = DataDirectory(local_configuration(node["config"], node["data_dir"]).data_dir)
    if directory is None or lock_holder(directory) is not None:
        api = connect(**node)
        root = api.post("/identifiers:init", {"prefix": prefix})["root"]
        _await_service(api)
        said = "the service runs"
    else:
        from gongfu.identify.service_directory import ServiceDirectory, ServiceError

        try:
            directory.create()
            root = ServiceDirectory(directory.identifiers).create(prefix, time.time_ns()).root
        except ServiceError as error:
            raise Failure(str(error), code="invalid") from None
        said = "it starts with the node: `gongfu up`"
    if as_json:
        print_json({"root": root})
    else:
        print(f"identifiers below {root}: {said}")


def _await_service(api: NodeApi) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            api.get("/identifiers/prefixes", limit=1)
            return
        except Failure as failure:
            if failure.code != "unavailable" or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def read_attributes(given: tuple[str, ...]) -> dict[str, Any]:
    """Return attributes given as NAME=VALUE.

    Raises:
        Failure: one is none.
    """
    attributes: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise Failure(f"attribute {text!r} is not NAME=VALUE", code="usage", status=2)
        attributes[name] = value
    return attributes


def _read_values(given: tuple[str, ...]) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = []
    for text in given:
        head, equals, data = text.partition("=")
        index, colon, kind = head.partition(":")
        if not equals or not colon or not index.isdecimal():
            raise Failure(f"value {text!r} is not INDEX:TYPE=DATA", code="usage", status=2)
        if data.startswith("@"):
            data = _file_text(data[1:])
        values.append({"index": int(index), "type": kind, "data": {"format": "string", "value": data}})
    return values


def _file_text(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as source:
            return source.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: {error}", code="usage", status=2) from None


def _record_options(function: Any) -> Any:
    function = click.option("--template", default="", help="Template: NAME (newest published) or NAME@VERSION.")(
        function
    )
    function = click.option("--set", "attributes", multiple=True, metavar="NAME=VALUE", help="An attribute.")(function)
    return click.option(
        "--value", "values", multiple=True, metavar="INDEX:TYPE=DATA", help="A free value; DATA @FILE reads a file."
    )(function)


@command.command("create")
@click.argument("handle")
@_record_options
@click.option("--overwrite", is_flag=True, help="Take the place of one that is there.")
@node_options
def create(
    handle: str,
    template: str,
    attributes: tuple[str, ...],
    values: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    **node: Any,
) -> None:
    """Register HANDLE (prefix/suffix)."""
    body = {
        "handle": handle,
        "template": template,
        "attributes": read_attributes(attributes),
        "values": _read_values(values),
        "overwrite": overwrite,
    }
    _print_outcome(connect(**node).post("/identifiers/record", body), as_json)


@command.command("put")
@click.argument("handle")
@_record_options
@node_options
def put(
    handle: str, template: str, attributes: tuple[str, ...], values: tuple[str, ...], as_json: bool, **node: Any
) -> None:
    """Register HANDLE, or replace all that it has."""
    body = {
        "handle": handle,
        "template": template,
        "attributes": read_attributes(attributes),
        "values": _read_values(values),
    }
    _print_outcome(connect(**node).call("PUT", "/identifiers/record", body), as_json)


@command.command("show")
@click.argument("handle")
@node_options
def show(handle: str, as_json: bool, **node: Any) -> None:
    """Show an identifier that is registered at this node."""
    record = connect(**node).get("/identifiers/record", handle=handle)
    if as_json:
        print_json(record)
    else:
        print_record(record)


@command.command("delete")
@click.argument("handle")
@click.option("--yes", is_flag=True, help="Do not ask.")
@node_options
def delete(handle: str, yes: bool, as_json: bool, **node: Any) -> None:
    """Delete an identifier; a member of a range becomes a hole."""
    api = connect(**node)
    if not yes:
        click.confirm(f"Delete {handle}?", abort=True, err=True)
    _print_outcome(api.call("DELETE", "/identifiers/record", query={"handle": handle}), as_json)


@command.command("list")
@click.argument("prefix")
@click.option("--from", "start", default="", help="Suffix behind which to begin.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most this many.")
@node_options
def list_(prefix: str, start: str, limit: int, as_json: bool, **node: Any) -> None:
    """List identifiers of a prefix that have a record of their own."""
    query = {"prefix": prefix, **({"from": start} if start else {})}
    found = connect(**node).items("/identifiers/records", limit, **query)
    if as_json:
        print_json(found)
    else:
        for one in found:
            print(text_of(one["handle"]))


@command.command("count")
@click.option(
    "--by", type=click.Choice(["enterprise", "industry", "region", "prefix", "day"]), default="enterprise",
    show_default=True, help="Of what.",
)  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="With --by day.")
@click.option("--prefix", help="With --by day: of one prefix.")
@node_options
def count(by: str, days: int, prefix: str | None, as_json: bool, **node: Any) -> None:
    """Count identifiers, exactly, and how often they were resolved (real, and replayed by the same client)."""
    found = connect(**node).get("/identifiers/statistics", by=by, days=days, prefix=prefix)
    if as_json:
        print_json(found)
        return
    names = ("explicit", "ranged", "total", "added" if by == "day" else "prefixes", "real", "replayed")
    rows = [(one["key"] or "-", *(one[name] for name in names)) for one in found["items"]]
    rows.append(("sum" if by != "day" else "now", *(found["total"][name] for name in names)))
    print_table((by, *names), rows)


@command.command("status")
@node_options
def status(as_json: bool, **node: Any) -> None:
    """Show the service at a glance: what is registered, where it listens."""
    found = connect(**node).get("/identifiers")
    if as_json:
        print_json(found)
        return
    registered, today = found["registered"], found["today"]
    rows = [
        ("root", found["root"]),
        *((name, found[name]) for name in ("prefixes", "delegations", "templates", "classes", "ranges")),
        *((f"registered {name}", f"{value:,}") for name, value in registered.items()),
        *((f"today {name}", value) for name, value in today.items() if name != "day"),
        *((f"applications {name}", value) for name, value in found["applications"].items() if value),
        *((f"face {name}", where or "off") for name, where in found["faces"].items()),
    ]
    print_table(("field", "value"), rows)


@command.command("resolve")
@click.argument("text")
@click.option("--trace", is_flag=True, help="Show each step of the way.")
@click.option("--verify", is_flag=True, help="Check signatures up to a trusted root.")
@click.option("--fresh", is_flag=True, help="Past all caches.")
@node_options
def resolve(text: str, trace: bool, verify: bool, fresh: bool, as_json: bool, **node: Any) -> None:
    """Resolve a handle, GS1 link or code, OID, DID or URL, wherever it is registered."""
    body = {"text": text, "trace": trace, "verify": verify, "fresh": fresh}
    found = connect(**node).post("/identifiers:resolve", body)
    if as_json:
        print_json(found)
    else:
        _print_resolved(found, trace=trace, verify=verify)
    if not found["found"]:
        from gongfu.node.cli.failures import NOT_FOUND

        raise Failure(found["detail"] or f"there is no {text}", status=NOT_FOUND, code="not-found")


@command.command("sign")
@click.argument("handle", required=False)
@click.option("--prefix", help="All records of this prefix, signed once.")
@node_options
def sign(handle: str | None, prefix: str | None, as_json: bool, **node: Any) -> None:
    """Sign the values of HANDLE with the node's key, or all records of a prefix at once."""
    if bool(handle) == bool(prefix):
        raise click.UsageError("give HANDLE, or --prefix")
    api = connect(**node)
    if handle:
        done = api.post("/identifiers:sign", {"handle": handle})
    else:
        done = api.post_patiently("/identifiers:signBatch", {"prefix": prefix})
    if as_json:
        print_json(done)
    else:
        print_table(("field", "value"), [(name, str(value)) for name, value in done.items()])


@command.command("proof")
@click.argument("handle")
@node_options
def proof(handle: str, **node: Any) -> None:
    """Print what proves a record of a signed batch to anybody who trusts the root."""
    node.pop("as_json")
    print_json(connect(**node).get("/identifiers/proof", handle=handle))


def _print_resolved(found: dict[str, Any], *, trace: bool, verify: bool) -> None:
    if trace:
        print_table(
            ("question", "asked", "answer", "cache", "ms", "ttl", "detail"),
            [
                (h["question"], h["server"], h["code"], h["cache"], h["milliseconds"], h["ttl"], h["detail"])
                for h in found["trace"]
            ],
            "no steps",
        )
        print()
    if found["found"]:
        print_record(found["record"], found["source"])
        for link in found["links"]:
            print(f"link     {link['type']} {text_of(link['href'])}")
        for relation in found["relations"]:
            print(f"related  {relation['label']} {text_of(relation['handle'])}")
    if verify:
        trust = found["trust"]
        print(
            f"trust    {trust['state']}" + "".join(f"  {trust[name]}" for name in ("signer", "detail") if trust[name])
        )


def print_record(record: dict[str, Any], source: str = "") -> None:
    """Print a record for people."""
    facts = [record["kind"], record["template"], f"class {record['class']}" if record["class"] else "", source]
    print(f"{text_of(record['handle'])}  ({', '.join(fact for fact in facts if fact)})")
    rows = [
        (str(v["index"]), v["type"], _data_text(v["data"]), str(v["ttl"]), v["timestamp"]) for v in record["values"]
    ]
    print_table(("index", "type", "data", "ttl", "changed"), rows, "no values that you may see")


def _data_text(data: dict[str, Any]) -> str:
    value = data["value"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _DATA_SHOWN else f"{text[: _DATA_SHOWN - 1]}…"


def _print_outcome(outcome: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(outcome)
    else:
        print(f"{outcome['code']}  {text_of(outcome['handle'])}")
