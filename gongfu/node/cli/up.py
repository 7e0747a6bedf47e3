"""``gongfu up``."""

from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.options import local_configuration, local_options


@click.command("up")
@local_options
@click.option("--name", help="[node] name: name of the node.")
@click.option("--mqtt-host", help="[mqtt] host: address of the front door.")
@click.option("--mqtt-port", type=int, help="[mqtt] port; 0 is off.")
@click.option("--websocket-port", type=int, help="[mqtt] websocket_port; 0 is off.")
@click.option("--web-host", help="[web] host: address of console and API.")
@click.option("--web-port", type=int, help="[web] port.")
@click.option("--quiet", is_flag=True, help="Show only what the supervisor says; logs still go to files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready instead of the banner.")
def command(config: Path | None, data_dir: Path | None, quiet: bool, as_json: bool, **settings: Any) -> int:
    """Run the node until it is stopped.

    Ctrl-C or SIGTERM drains it: what was acknowledged is stored. A second Ctrl-C kills it. SIGHUP has no effect.
    Exit status: 0 stopped, 1 could not start, 130 killed.
    """
    keys = {
        "name": "node.name",
        "mqtt_host": "mqtt.host",
        "mqtt_port": "mqtt.port",
        "websocket_port": "mqtt.websocket_port",
        "web_host": "web.host",
        "web_port": "web.port",
    }
    given = {keys[name]: value for name, value in settings.items() if value is not None}
    configuration = local_configuration(config, data_dir, given)
    from gongfu.node.up import run_node

    return run_node(configuration, quiet=quiet, as_json=as_json)
