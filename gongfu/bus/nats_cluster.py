"""Configuration of one nats-server of a cluster: what a single one has, and routes to the others."""

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from gongfu.bus.server import render_server_config


def render_cluster_config(
    *,
    name: str,
    port: int,
    route_port: int,
    routes: Sequence[str],
    store_dir: Path | str,
    token: str,
    host: str = "127.0.0.1",
    cluster: str = "gongfu",
) -> str:
    """Return the text of a nats-server configuration.

    Args:
        name: name of this server; each has its own.
        port: port for clients.
        route_port: port for the other servers.
        routes: ``host:port`` of all servers' routes, this one's may be among them.
        store_dir: directory of the block log.
        token: the secret every client must present; the servers present it to each other.
        host: address to listen on.
        cluster: name of the cluster, the same on every server.

    Raises:
        ValueError: the token is empty.
    """
    password = quote(token, safe="")
    urls = ", ".join(json.dumps(f"nats://route:{password}@{route}") for route in routes)
    return (
        render_server_config(port=port, store_dir=store_dir, token=token, host=host, name=name)
        + f"""\
cluster {{
  name: {json.dumps(cluster)}
  host: {json.dumps(host)}
  port: {route_port}
  authorization {{ user: route, password: {json.dumps(token)} }}
  routes: [{urls}]
}}
"""
    )
