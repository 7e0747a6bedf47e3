"""Configuration of ``tree-nats``: the nats-server that carries frames between a node and its neighbours.

It has two accounts that nothing connects: in ``children`` the node meets its children, in ``parent`` its parent, so
that nothing passes through a node unread. A child's user may publish and receive one subject each. What is above the
link keeps all state, so there is no JetStream.
"""

import json
from dataclasses import dataclass

from gongfu.tree.link.frames import MAX_FRAME_BYTES

CHILDREN_USER = "tree-children"
PARENT_USER = "tree-parent"
SYSTEM_USER = "tree-system"

# Seconds are too coarse: a link shall resume within 2 s.
_RECONNECT = "250ms"
# A frame and the header of its message.
_MAX_PAYLOAD = MAX_FRAME_BYTES + 1024
# What waits for one connection: some windows of a link. Beyond it the connection is ended, and the link begins anew.
_MAX_PENDING = 16 * 1024 * 1024


def user_of(node: str) -> str:
    """Return a child's user: the URI in its certificate."""
    return f"urn:gongfu:node:{node}"


def up_subject(child: str) -> str:
    """Return the subject of frames from a child."""
    return f"tree.up.{child}"


def down_subject(child: str) -> str:
    """Return the subject of frames to a child."""
    return f"tree.down.{child}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files of one end's TLS, PEM: certificate, its key, and the authority that signs the other end's."""

    certificate: str
    key: str
    authority: str


@dataclass(frozen=True, slots=True)
class ChildrenListen:
    """Where children connect.

    Attributes:
        host: address to listen on.
        port: TCP port.
        tls: this node's server certificate, and its authority for its children.
        nodes: ids of the children that may connect.
    """

    host: str
    port: int
    tls: Credentials
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParentRemote:
    """Where the parent is.

    Attributes:
        address: ``host:port``.
        tls: this node's certificate, and the parent's authority.
    """

    address: str
    tls: Credentials


def render_tree_server(
    *,
    port: int,
    token: str,
    name: str,
    host: str = "127.0.0.1",
    children: ChildrenListen | None = None,
    parent: ParentRemote | None = None,
    node: str = "",
) -> str:
    """Return the text of the configuration.

    Args:
        port: for the tree role.
        token: password of the tree role's two users.
        name: server name.
        host: address for the tree role.
        children: where children connect.
        parent: where the parent is.
        node: own id; needed with a parent.

    Raises:
        ValueError: there is no token, or a parent and no id.
    """
    if not token:
        raise ValueError("tree-nats needs a token")
    if parent is not None and not node:
        raise ValueError("a node with a parent needs its id")
    below = [_own_user(CHILDREN_USER, token, ["tree.down.*"], ["tree.up.*", "_INBOX.>"])]
    below += [_child_user(child) for child in sorted(children.nodes)] if children else []
    above = [_own_user(PARENT_USER, token, [up_subject(node or "none")], [down_subject(node or "none"), "_INBOX.>"])]
    return f"""\
server_name: {_quote(name)}
host: {_quote(host)}
port: {port}
max_payload: {_MAX_PAYLOAD}
max_pending: {_MAX_PENDING}
max_control_line: 4096
write_deadline: "5s"
ping_interval: "5s"
ping_max: 2
accounts {{
  children {{ users: [
    {f"{chr(10)}    ".join(below)}
  ] }}
  parent {{ users: [
    {f"{chr(10)}    ".join(above)}
  ] }}
  system {{ users: [ {{ user: {_quote(SYSTEM_USER)}, password: {_quote(token)} }} ] }}
}}
system_account: system
{_leafnodes(children, parent)}"""


def _own_user(name: str, token: str, publish: list[str], subscribe: list[str]) -> str:
    return f"{{ user: {_quote(name)}, password: {_quote(token)}, {_permissions(publish, subscribe)} }}"


def _child_user(node: str) -> str:
    # Known by its certificate, never by a password; the type keeps clients of this port from its name.
    permissions = _permissions([up_subject(node)], [down_subject(node)])
    return f'{{ user: {_quote(user_of(node))}, allowed_connection_types: ["LEAFNODE"], {permissions} }}'


def _permissions(publish: list[str], subscribe: list[str]) -> str:
    return (
        f"permissions: {{ publish: {{ allow: {json.dumps(publish)} }}, "
        f"subscribe: {{ allow: {json.dumps(subscribe)} }} }}"
    )


def _leafnodes(children: ChildrenListen | None, parent: ParentRemote | None) -> str:
    # Said always: a reload cannot change it.
    lines = [f"  reconnect: {_quote(_RECONNECT)}"]
    if children is not None:
        # Children reach this address as they were told it, not as the server sees itself.
        lines += [f"  host: {_quote(children.host)}", f"  port: {children.port}", "  no_advertise: true"]
        lines += [f"  tls {{ {_tls(children.tls)}, verify_and_map: true, timeout: 10 }}"]
    if parent is not None:
        lines += [
            f"  remotes: [ {{ url: {_quote(f'tls://{parent.address}')}, account: parent, "
            f"tls {{ {_tls(parent.tls)}, timeout: 10 }} }} ]",
        ]
    return "leafnodes {\n" + "\n".join(lines) + "\n}\n"


def _tls(files: Credentials) -> str:
    certificate, key, authority = map(_quote, (files.certificate, files.key, files.authority))
    return f"cert_file: {certificate}, key_file: {key}, ca_file: {authority}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
