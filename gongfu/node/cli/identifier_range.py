"""``gongfu id range`` and ``gongfu id class``: numbers (号段), and what they have in common."""

from typing import Any

import click

from gongfu.node.cli.identifier import read_attributes
from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table


@click.group("range")
def command() -> None:
    """Ranges: PREFIX/HEAD{FIRST..LAST}TAIL, such as 99.168.1/M01{00000001..09999999}."""


def _split(text: str) -> tuple[str, str]:
    prefix, slash, rest = text.partition("/")
    if not slash:
        raise click.UsageError("a range is written PREFIX/HEAD{FIRST..LAST}TAIL")
    return prefix, rest


@command.command("add")
@click.argument("text", metavar="RANGE")
@click.option("--template", default="", help="Template of the members: NAME or NAME@VERSION.")
@click.option("--set", "attributes", multiple=True, metavar="NAME=VALUE", help="{suffix}, {number}: the member's own.")
@click.option("--class", "class_number", type=click.IntRange(1), help="A class that is there, instead.")
@click.option("--title", default="", help="Of the class that is made.")
@click.option("--move", is_flag=True, help="Members that are there already get this class.")
@node_options
def add(
    text: str,
    template: str,
    attributes: tuple[str, ...],
    class_number: int | None,
    title: str,
    move: bool,
    as_json: bool,
    **node: Any,
) -> None:
    """Register all numbers of a range; each counts once, and resolves at once."""
    prefix, wanted = _split(text)
    body: dict[str, Any] = {"prefix": prefix, "range": wanted, "move": move}
    if class_number is not None:
        body["class"] = class_number
    if template:
        body |= {"template": template, "attributes": read_attributes(attributes), "title": title}
    done = connect(**node).post_patiently("/identifiers/ranges", body)
    if as_json:
        print_json(done)
    else:
        print(
            f"{done['new']:,} new, {done['present']:,} there already ({done['moved']:,} moved), class {done['class']}"
        )


@command.command("remove")
@click.argument("text", metavar="RANGE")
@click.option("--yes", is_flag=True, help="Do not ask.")
@node_options
def remove(text: str, yes: bool, as_json: bool, **node: Any) -> None:
    """Remove numbers from ranges; records of their own stay."""
    prefix, wanted = _split(text)
    if not yes:
        click.confirm(f"Remove {text}?", abort=True, err=True)
    done = connect(**node).post_patiently("/identifiers/ranges:remove", {"prefix": prefix, "range": wanted})
    if as_json:
        print_json(done)
    else:
        print(f"{done['removed']:,} removed")


@command.command("list")
@click.argument("prefix", required=False)
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@node_options
def list_(prefix: str | None, limit: int | None, as_json: bool, **node: Any) -> None:
    """List ranges with their holes and the members that have records of their own."""
    found = connect(**node).items("/identifiers/ranges", limit, prefix=prefix)
    if as_json:
        print_json(found)
        return
    print_table(
        ("prefix", "numbers", "registered", "holes", "overrides", "classes"),
        [
            (
                one["prefix"],
                one["text"],
                one["registered"],
                one["holes"],
                one["overrides"],
                ", ".join(f"{of}: {count:,}" for of, count in one["classes"].items()),
            )
            for one in found
        ],
        "no ranges",
    )


@click.group("class")
def classes() -> None:
    """What all members of ranges have in common."""


@classes.command("add")
@click.argument("template")
@click.option("--set", "attributes", multiple=True, metavar="NAME=VALUE", help="{suffix}, {number}: the member's own.")
@click.option("--title", default="", help="For people.")
@node_options
def add_class(template: str, attributes: tuple[str, ...], title: str, as_json: bool, **node: Any) -> None:
    """Make a class of a template."""
    body = {"template": template, "attributes": read_attributes(attributes), "title": title}
    _print_class(connect(**node).post("/identifiers/classes", body), as_json)


@classes.command("list")
@node_options
def list_classes(as_json: bool, **node: Any) -> None:
    """List classes."""
    found = connect(**node).items("/identifiers/classes")
    if as_json:
        print_json(found)
    else:
        rows = [(str(one["number"]), one["template"], one["title"], one["attributes"]) for one in found]
        print_table(("number", "template", "title", "attributes"), rows, "no classes")


@classes.command("set")
@click.argument("number", type=click.IntRange(1))
@click.option("--set", "attributes", multiple=True, metavar="NAME=VALUE", help="All that it shall have.")
@node_options
def set_class(number: int, attributes: tuple[str, ...], as_json: bool, **node: Any) -> None:
    """Replace the attributes of a class, and so of all its members."""
    body = {"attributes": read_attributes(attributes)}
    _print_class(connect(**node).call("PUT", f"/identifiers/classes/{number}", body), as_json)


def _print_class(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        print_table(("field", "value"), list(made.items()))
