"""``gongfu id application``."""

import mimetypes
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table, text_of

_ADDRESS = "/identifiers/applications"


@click.group("application")
def command() -> None:
    """Applications of enterprises for prefixes. Who applied does not decide."""


@command.command("add")
@click.argument("name")
@click.option("--credit-code", required=True, help="Unified social credit code (GB 32100), 18 characters.")
@click.option("--region", default="", help="GB/T 2260 code.")
@click.option("--industry", default="", help="GB/T 4754 code.")
@click.option("--contact", default="", help="Whom to ask.")
@click.option("--prefix", default="", help="Prefix that is wished.")
@click.option(
    "--document", "documents", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file to hand in, such as the business licence.",
)  # fmt: skip
@click.option("--submit", is_flag=True, help="Submit it for review.")
@node_options
def add(
    name: str,
    credit_code: str,
    region: str,
    industry: str,
    contact: str,
    prefix: str,
    documents: tuple[Path, ...],
    submit: bool,
    as_json: bool,
    **node: Any,
) -> None:
    """Begin the application of the enterprise NAME."""
    body = {
        "name": name,
        "credit_code": credit_code,
        "region": region,
        "industry": industry,
        "contact": contact,
        "wanted_prefix": prefix,
    }
    api = connect(**node)
    made = api.post(_ADDRESS, body)
    for file in documents:
        made = _hand_in(api, made["id"], file)
    if submit:
        made = api.post(f"{_ADDRESS}/{made['id']}:submit", {})
    _print(made, as_json)


def _hand_in(api: Any, number: int, file: Path, kind: str = "business-licence") -> dict[str, Any]:
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    query = {"kind": kind, "name": file.name}
    with file.open("rb") as source:
        lines = api.upload(f"{_ADDRESS}/{number}/documents", source, {"Content-Type": media_type}, query, method="PUT")
        import json

        return dict(json.loads(b"".join(lines)))


@command.command("document")
@click.argument("number", type=click.IntRange(1))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", default="business-licence", show_default=True, help="What it is.")
@node_options
def document(number: int, file: Path, kind: str, as_json: bool, **node: Any) -> None:
    """Hand FILE in."""
    _print(_hand_in(connect(**node), number, file, kind), as_json)


@command.command("list")
@click.option("--state", help="draft, submitted, returned, refused, approved, suspended or revoked.")
@click.option("--search", help="Part of the name, beginning of credit code or prefix.")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(state: str | None, search: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List applications, newest first."""
    found = connect(**node).items(_ADDRESS, limit, state=state, search=search)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            str(one["id"]),
            one["name"],
            one["credit_code"],
            one["state"],
            one["prefix"] or one["wanted_prefix"],
            one["applicant"],
            len(one["documents"]),
            one["changed_at"],
        )
        for one in found
    ]
    head = ("id", "enterprise", "credit code", "state", "prefix", "applicant", "documents", "changed")
    print_table(head, rows, "no applications")


@command.command("show")
@click.argument("number", type=click.IntRange(1))
@node_options
def show(number: int, as_json: bool, **node: Any) -> None:
    """Show an application and what was done with it."""
    api = connect(**node)
    one, steps = api.get(f"{_ADDRESS}/{number}"), api.get(f"{_ADDRESS}/{number}/audit")["items"]
    if as_json:
        print_json({**one, "audit": steps})
        return
    _print(one, False)
    for step in steps:
        print(f"{step['at']}  {step['step']} by {text_of(step['person'])}  {text_of(step['words'])}".rstrip())


def _step(name: str, words: str, *, reason: bool) -> None:
    @command.command(name, help=words)
    @click.argument("number", type=click.IntRange(1))
    @click.option("--words", required=reason, default="", help="Why.")
    @node_options
    def step(number: int, words: str, as_json: bool, **node: Any) -> None:
        body = {} if name == "submit" else {"words": words}
        _print(connect(**node).post(f"{_ADDRESS}/{number}:{name}", body), as_json)

    assert step.name == name


_step("submit", "Submit it for review.", reason=False)
_step("return", "Send it back to be mended.", reason=True)
_step("refuse", "Refuse it.", reason=True)
_step("suspend", "Suspend its prefix: it resolves, and takes no registrations.", reason=True)
_step("resume", "Let its prefix register again.", reason=False)
_step("revoke", "Revoke its prefix, for ever: nothing below it resolves.", reason=True)


@command.command("approve")
@click.argument("number", type=click.IntRange(1))
@click.option("--prefix", default="", help="Prefix that is granted; default: the one wished, else the next number.")
@click.option("--quota", type=click.IntRange(0), default=0, help="Most identifiers; 0: no bound.")
@click.option("--words", default="", help="For the audit.")
@node_options
def approve(number: int, prefix: str, quota: int, words: str, as_json: bool, **node: Any) -> None:
    """Approve it: grant the prefix."""
    body = {"prefix": prefix, "quota": quota, "words": words}
    _print(connect(**node).post(f"{_ADDRESS}/{number}:approve", body), as_json)


def _print(one: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    documents = one.pop("documents")
    rows = [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in one.items()]
    rows += [("document", f"{item['kind']} {item['name']} ({item['bytes']} bytes)") for item in documents]
    print_table(("field", "value"), [(name, value) for name, value in rows if value not in ("", None)])
