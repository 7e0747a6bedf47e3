"""Servers to be measured, as processes: Gongfu's faces, Debian's knotd and nginx; and the CPU time that they take."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gongfu.node.plan import libraries_of

_PATIENCE_S = 600.0
_NANOSECONDS = 1e9


class PeerError(Exception):
    """A program is not installed, or did not start."""


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        PeerError: it is not installed.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise PeerError(f"{name} is not installed (apt-get install knot dnsperf nginx-light wrk)")
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has just now."""
    opened = [socket.socket() for _ in range(count)]
    try:
        for item in opened:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in opened]
    finally:
        for item in opened:
            item.close()


def cpu_seconds(process: int) -> float:
    """Return what a process and its children have taken, by the scheduler's own account."""
    total = 0
    for task in Path(f"/proc/{process}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
        children = (task / "children").read_text().split()
        total += int(sum(cpu_seconds(int(child)) for child in children) * _NANOSECONDS)
    return total / _NANOSECONDS


@contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program; end it afterwards."""
    process = subprocess.Popen(command, text=True, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, kind: socket.SocketKind, question: bytes) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        with socket.socket(type=kind) as asking:
            asking.settimeout(0.5)
            try:
                asking.connect(("127.0.0.1", port))
                asking.send(question)
                if asking.recv(100):
                    return
            except OSError:
                time.sleep(0.1)
    raise PeerError(f"nobody answers at {port}")


@contextmanager
def gongfu(store: Path, divisor: int, ports: list[int], answers: int, cache: int = 256) -> Iterator[int]:
    """Run the faces over a store; yields the process id."""
    command = [sys.executable, "-m", "benchmarks.identifier.serving", str(store), str(divisor), *map(str, ports)]
    # As the role runs.
    environment = {**os.environ, **libraries_of("identifier")}
    command += ["--answers", str(answers), "--cache", str(cache)]
    with running(command, stdout=subprocess.PIPE, env=environment) as process:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise PeerError("the node did not start")
        yield process.pid


@contextmanager
def knotd(directory: Path, port: int, zone: str, links: dict[str, str]) -> Iterator[int]:
    """Run knotd with one URI record a name (below the zone); yields the process id."""
    directory.mkdir()
    with (directory / "zone").open("w") as file:
        file.write(f"$ORIGIN {zone}.\n$TTL 3600\n@ SOA ns hostmaster 1 3600 600 604800 60\n@ NS ns\nns A 127.0.0.1\n")
        file.writelines(f'{name.removesuffix("." + zone)} URI 10 1 "{link}"\n' for name, link in links.items())
    (directory / "knot.conf").write_text(
        f"server:\n    listen: 127.0.0.1@{port}\n    rundir: {directory}\n    udp-workers: 1\n    tcp-workers: 1\n"
        f"    background-workers: 1\ndatabase:\n    storage: {directory}/db\nlog:\n  - target: stderr\n    any: error\n"
        f"zone:\n  - domain: {zone}\n    file: {directory}/zone\n    zonefile-load: whole\n    journal-content: none\n"
    )
    with running([program("knotd"), "-c", str(directory / "knot.conf")]) as process:
        labels = b"".join(bytes([len(label)]) + label for label in zone.encode().split(b".")) + b"\0"
        _wait_for(port, socket.SOCK_DGRAM, b"\0\1\0\0\0\1\0\0\0\0\0\0" + labels + b"\0\6\0\1")
        yield process.pid


@contextmanager
def nginx(directory: Path, port: int, body: bytes) -> Iterator[int]:
    """Run nginx with one worker that answers a constant; yields the process id."""
    directory.mkdir()
    text = body.decode().replace("\\", "\\\\").replace('"', '\\"').replace("$", "")
    temporary = "".join(
        f"  {kind}_temp_path {directory};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"worker_processes 1;\ndaemon off;\nerror_log stderr error;\npid {directory}/pid;\n"
        f"events {{ worker_connections 512; }}\nhttp {{\n  access_log off;\n  keepalive_requests 100000000;\n"
        f"{temporary}"
        f"  server {{\n    listen 127.0.0.1:{port};\n    location / {{\n      default_type application/json;\n"
        f'      return 200 "{text}";\n    }}\n  }}\n}}\n'
    )
    with running([program("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]) as process:
        _wait_for(port, socket.SOCK_STREAM, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        yield process.pid
