"""Options and output of quotas, the same for devices and tenants."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.output import print_table

F = TypeVar("F", bound=Callable[..., Any])

_NAMES = ("points_per_second", "messages_per_second", "bytes_per_second", "burst_seconds", "policy")
_DEFAULT = "default"


def _figure(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | str | None:
    if text is None or text == _DEFAULT:
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number nor {_DEFAULT!r}") from None


def quota_options(function: F) -> F:
    """Add the options of a quota to a command."""
    for name, text in (
        ("burst_seconds", "Seconds' worth that may come at once."),
        ("bytes_per_second", "0: no limit; default: as the node's settings say."),
        ("messages_per_second", "0: no limit; default: as the node's settings say."),
        ("points_per_second", "0: no limit; default: as the node's settings say."),
    ):
        option = f"--{name.replace('_', '-')}"
        function = click.option(option, name, callback=_figure, metavar="NUMBER|default", help=text)(function)
    choice = click.Choice(["delay", "shed", _DEFAULT])
    return click.option("--policy", type=choice, help="What happens beyond: wait, or be refused.")(function)


def split_quota(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the change of the quota, as the API takes it, and the other options.

    Raises:
        Failure: nothing is to be changed.
    """
    given = {name: options[name] for name in _NAMES if options.get(name) is not None}
    if not given:
        raise Failure(
            "there is nothing to change", "give --points-per-second or another option", code="usage", status=2
        )
    quota = {name: None if value == _DEFAULT else value for name, value in given.items()}
    return quota, {name: value for name, value in options.items() if name not in _NAMES}


def print_quota(name: str, quota: dict[str, Any] | None) -> None:
    """Print a quota as a table."""
    rows = [(field, _shown(field, (quota or {}).get(field))) for field in _NAMES]
    print_table((name, "quota"), rows)


def _shown(field: str, value: Any) -> str:
    if value is None:
        return "as the node's settings say"
    if field == "policy":
        return str(value)
    return "no limit" if value == 0 else f"{value:g}"
