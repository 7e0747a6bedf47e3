"""Back-test of one rule over 100 million points, as the node does it: the process of the back-test against a history.

One point every 25.92 ms for thirty days, on one series; a wave with noise that crosses its limit often. The bar is the
issue's, on the wall; on a busy machine look at the CPU time of the two processes, which work side by side.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.ingest.report import Row
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.backtest.types import Instances, Source, Task, Told
from gongfu.reason.rules.types import Kind, RuleBody
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.types import HistoryError

POINTS = 100_000_000
PIECES = 10
START, SPAN = 1_700_000_000 * SECOND, 30 * 86_400 * SECOND
STEP = SPAN // POINTS
RULES: dict[str, tuple[Kind, dict[str, Any], float | None]] = {
    "threshold with hysteresis": (Kind.THRESHOLD, {"direction": "above", "limit": 9.0, "deadband": 4.0}, 10.0),
    "tumbling mean of 60 s": (
        Kind.WINDOW,
        {"window": "tumbling", "aggregate": "mean", "size_s": 60, "direction": "above", "limit": 9.0},
        None,
    ),
}


def rows() -> list[Row]:
    """Return the measurements; see the module."""
    found: list[Row] = []
    with history() as (url, password, server):
        fill(url, password)
        for name, (kind, condition, bar) in RULES.items():
            task = Task(
                user="default", password=password, time_from=START, time_to=START + SPAN, memory_bytes=1_500_000_000,
                sources=[Source(url, int(ValueType.DOUBLE), [1])], instances=Instances(series=[1]),
                body=RuleBody(name=name, kind=kind, asset="a", point="p", condition=condition),
            )  # fmt: skip
            before, begin = cpu(server.pid), time.perf_counter()
            told, peak = run(task)
            wall = time.perf_counter() - begin
            subject = f"back-test of a {name} over 100 M points"
            found += [
                Row(f"{subject}: time", wall, "s", bar),
                Row(f"{subject}: CPU of its process", told.seconds, "CPU-s"),
                Row(f"{subject}: CPU of the history", cpu(server.pid) - before, "CPU-s"),
                Row(f"{subject}: memory of its process, most", peak / 1e6, "MB"),
                Row(f"{subject}: alarms", told.raised, "alarms"),
            ]
            if told.samples != POINTS:
                raise RuntimeError(f"{told.samples} of {POINTS} points were read: {told.error}")
    return found


def run(task: Task) -> tuple[Told, int]:
    """Carry out a task in a process of its own; return its last word and the most memory it had, bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gongfu.reason.backtest.process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(task))
    process.stdin.close()
    told, peak = Told(), 0
    for line in process.stdout:
        told = msgspec.json.decode(line, type=Told)
        peak = max(peak, memory(process.pid))
    process.wait()
    return told, peak


def memory(pid: int) -> int:
    """Return the most memory a process had, bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def history() -> Iterator[tuple[str, str, "subprocess.Popen[bytes]"]]:
    """Yield address and password of a history process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        password = secrets.token_hex(8)
        environment = {**os.environ, "GONGFU_HISTORY_PASSWORD": password, "GONGFU_HISTORY_PORT": str(port)}
        server = subprocess.Popen(
            [sys.executable, "-m", "gongfu.store.history.serve", str(Path(directory) / "history")],
            env=environment, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}", password, server
        finally:
            server.terminate()
            server.wait(60)


def fill(url: str, password: str) -> None:
    """Make the points in the history itself: as inserts of a node, and so in several parts."""
    store = ClickHouseHistory(url, "default", password, request_seconds=600)
    for _ in range(100):
        try:
            client = store.client()
            break
        except HistoryError:
            time.sleep(0.2)
    else:
        raise RuntimeError("the history does not start")
    size = POINTS // PIECES
    for piece in range(PIECES):
        client.command(
            f"INSERT INTO gongfu.point_double SELECT 1, fromUnixTimestamp64Nano(toInt64({START}) + toInt64(number) * "
            f"{STEP}), round(sin(number / 50000) * 10 + randCanonical(number) * 2, 3), 0, now64(3) "
            f"FROM numbers({piece * size}, {size})",
            settings={"max_execution_time": 600},
        )
    parts = client.query("SELECT count() FROM system.parts WHERE table = 'point_double' AND active").result_rows
    print(json.dumps({"parts": parts[0][0]}), file=sys.stderr)
    client.close()
