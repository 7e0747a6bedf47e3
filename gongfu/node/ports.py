"""TCP ports: whether they are free, who has them, and free ones on loopback."""

import contextlib
import errno
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class PortNeed:
    """An address the node will listen on, and the setting it comes from."""

    host: str
    port: int
    setting: str


def port_trouble(need: PortNeed) -> str | None:
    """Return why the address cannot be listened on and what to do, or None when it can."""
    try:
        bind_probe(need.host, need.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder = port_holder(need.port)
            by = f" by {holder}" if holder else ""
            return f"port {need.port} ({need.setting}) is taken{by}; stop that process or change {need.setting}"
        if error.errno == errno.EACCES:
            return f"port {need.port} ({need.setting}) needs privileges; choose one above 1023 or change {need.setting}"
        return f"cannot listen on {need.host}:{need.port} ({need.setting}): {error.strerror or error}"
    return None


def bind_probe(host: str, port: int) -> int:
    """Listen for a moment, without sharing the port, and return the port.

    Raises:
        OSError: the address cannot be listened on.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # Connections in TIME_WAIT are no obstacle; a listener is, even one with SO_REUSEPORT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
        return int(probe.getsockname()[1])


def port_holder(port: int, proc: Path = Path("/proc")) -> str:
    """Return ``process 123 (command)`` of the process that listens on a port, or empty when /proc does not show it."""
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return ""
    for entry in proc.iterdir():
        if entry.name.isdigit() and not inodes.isdisjoint(_socket_inodes(entry)):
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {entry.name} ({command[:120]})"
    return ""


def keep_ports(file: Path, names: tuple[str, ...], taken: frozenset[int]) -> dict[str, int]:
    """Return a free loopback port for each name: the one of last time when it is still free, else a new one.

    Args:
        file: JSON file that keeps the choice.
        names: what the ports are for.
        taken: ports that must not be chosen although nobody listens on them yet.
    """
    try:
        before = json.loads(file.read_bytes())
    except (OSError, ValueError):
        before = {}
    ports: dict[str, int] = {}
    for name in names:
        avoid = taken | frozenset(ports.values())
        port = before.get(name)
        ports[name] = port if isinstance(port, int) and port not in avoid and _is_free(port) else _new_port(avoid)
    if ports != before:
        file.write_text(json.dumps(ports))
    return ports


def _is_free(port: int) -> bool:
    try:
        return bind_probe("127.0.0.1", port) == port
    except (OSError, OverflowError):
        return False


def _new_port(avoid: frozenset[int]) -> int:
    while (port := bind_probe("127.0.0.1", 0)) in avoid:
        pass
    return port


def _listening_inodes(port: int, proc: Path) -> frozenset[str]:
    found: set[str] = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return frozenset(found)


def _socket_inodes(process: Path) -> set[str]:
    links: set[str] = set()
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                links.add(os.readlink(link))
    return links
