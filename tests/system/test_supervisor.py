"""The supervisor with a real nats-server and tiny roles: order, restarts, drain, and what it says."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.processes import WatchedProcess, is_alive, wait_until

Start = Callable[..., WatchedProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[WatchedProcess] = []

    def begin(*modes: str) -> WatchedProcess:
        command = [sys.executable, "-m", "tests.fixtures.tiny_node", str(tmp_path / "data"), *modes]
        running.append(WatchedProcess(command))
        return running[-1]

    yield begin
    for process in running:
        process.close()


def roles_of(tmp_path: Path) -> dict[str, dict[str, Any]]:
    state = json.loads((tmp_path / "data" / "run" / "state.json").read_text())
    return {role["role"]: role for role in state["roles"]}


def test_starts_in_order_and_drains_in_reverse(start: Start, tmp_path: Path) -> None:
    node = start()
    output = node.wait_for("ALL READY")
    assert output.index("history started") < output.index("worker started")
    assert set(roles_of(tmp_path)) == {"nats", "history", "door-1", "worker", "web"}
    assert {role["state"] for role in roles_of(tmp_path).values()} == {"ready"}
    pids = [role["pid"] for role in roles_of(tmp_path).values()]
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
    stopped = re.findall(r"gongfu +\| (\S+) stopped in", node.output)
    assert stopped == ["web", "worker", "door-1", "history", "nats"]
    assert "worker drained" in (tmp_path / "data" / "log" / "worker.log").read_text()
    assert not any(map(is_alive, pids))
    assert not (tmp_path / "data" / "run" / "state.json").exists()


@pytest.mark.parametrize("name", ["nats", "history", "door-1", "worker", "web"])
def test_killed_role_is_started_again_and_the_others_stay(start: Start, tmp_path: Path, name: str) -> None:
    node = start()
    node.wait_for("ALL READY")
    before = roles_of(tmp_path)
    os.kill(before[name]["pid"], signal.SIGKILL)
    node.wait_for(f"{name} is ready again")
    after = wait_until(lambda: all_ready(tmp_path), "all roles ready")
    assert after[name]["pid"] != before[name]["pid"]
    assert after[name]["restarts"] == 1
    assert {n: r["pid"] for n, r in after.items() if n != name} == {n: r["pid"] for n, r in before.items() if n != name}
    assert f"{name} ended with signal SIGKILL" in node.output


def all_ready(tmp_path: Path) -> dict[str, dict[str, Any]]:
    roles = roles_of(tmp_path)
    return roles if all(role["state"] == "ready" for role in roles.values()) else {}


def test_crash_loop_is_reported_with_the_last_lines_and_does_not_stop_the_others(start: Start, tmp_path: Path) -> None:
    node = start("worker=crash")
    output = node.wait_for("worker fell 3 times in a row")
    node.wait_for("    reason: the disk is on fire")
    assert "worker ended with exit status 3" in output
    assert "worker.log" in node.wait_for("(all: ")
    assert roles_of(tmp_path)["door-1"]["state"] == "ready"
    node.signal(signal.SIGTERM)
    assert node.wait() == 0


def test_failed_preparation_ends_the_start_with_its_reason(start: Start, tmp_path: Path) -> None:
    node = start("step=fail")
    assert node.wait() == 1
    assert "the node cannot start: the records are of a newer version" in node.output
    assert "door-1 started" not in node.output.partition("cannot start")[0]


def test_role_that_does_not_drain_is_killed_in_time(start: Start, tmp_path: Path) -> None:
    node = start("worker=deaf")
    node.wait_for("ALL READY")
    began = time.monotonic()
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
    assert "worker did not stop within" in node.output
    assert time.monotonic() - began < 10


def test_second_interrupt_kills_the_roles_and_their_children(start: Start, tmp_path: Path) -> None:
    node = start("web=stuck")
    node.wait_for("ALL READY")
    pids = [role["pid"] for role in roles_of(tmp_path).values()]
    child = int(re.findall(r"child (\d+)", node.wait_for("child "))[0])
    node.signal(signal.SIGINT)
    node.wait_for("a second Ctrl-C kills")
    assert is_alive(child)
    node.signal(signal.SIGINT)
    assert node.wait(60) == 130
    wait_until(lambda: not any(map(is_alive, [*pids, child])), "all processes gone")


def test_children_die_with_a_killed_supervisor(start: Start, tmp_path: Path) -> None:
    node = start()
    node.wait_for("ALL READY")
    pids = [role["pid"] for role in roles_of(tmp_path).values()]
    node.signal(signal.SIGKILL)
    node.wait()
    wait_until(lambda: not any(map(is_alive, pids)), "children gone")
    again = start()
    again.wait_for("ALL READY")


def test_second_node_on_the_same_directory_is_refused(start: Start, tmp_path: Path) -> None:
    node = start()
    node.wait_for("ALL READY")
    second = start()
    assert second.wait() == 1
    assert f"process {node.pid}" in second.output


def test_hangup_does_not_stop_it(start: Start, tmp_path: Path) -> None:
    node = start()
    node.wait_for("ALL READY")
    node.signal(signal.SIGHUP)
    node.wait_for("SIGHUP has no effect")
    assert all_ready(tmp_path)
