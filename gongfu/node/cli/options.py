"""Options that several commands share: which node, and how to print."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gongfu.node.cli.failures import Failure

F = TypeVar("F", bound=Callable[..., Any])


def local_options(function: F) -> F:
    """Add ``--config`` and ``--data-dir``: a node of this machine."""
    function = click.option("--data-dir", type=click.Path(path_type=Path), help="Data directory of the node.")(function)
    return click.option("--config", type=click.Path(path_type=Path), help="Configuration file (gongfu.toml).")(function)


def node_options(function: F) -> F:
    """Add the options of a command that talks to a node, local or remote."""
    function = click.option("--token", help="Bearer token; default $GONGFU_TOKEN.", envvar="GONGFU_TOKEN")(function)
    function = click.option("--url", help="Address of the node; default $GONGFU_URL.", envvar="GONGFU_URL")(function)
    return json_option(local_options(function))


def json_option(function: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def local_configuration(config: Path | None, data_dir: Path | None, overrides: dict[str, Any] | None = None) -> Any:
    """Return the configuration of a node of this machine.

    Raises:
        Failure: the configuration is wrong.
    """
    from gongfu.node.configuration import load_configuration
    from gongfu.node.settings_file import ConfigurationError

    values = dict(overrides or {})
    if data_dir is not None:
        values["node.data_dir"] = str(data_dir.expanduser().absolute())
    try:
        return load_configuration(config, values)
    except ConfigurationError as error:
        raise Failure(str(error), "see docs/configuration.md", code="configuration") from None
