"""``make demo-tree`` as a user starts it: seven nodes, live figures at the nation, one killed and started by hand."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from demo.api import Api, ApiError
from demo.tree.layout import MEMBERS

START_S = 180.0
LIVE_S = 90.0
DEVICES = sum(member.machines + member.plant for member in MEMBERS)


def until(done: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


def end(supervisor: psutil.Process) -> None:
    for process in (supervisor, *supervisor.children(recursive=True)):
        process.kill()
    psutil.wait_procs([supervisor], timeout=30)


class Nation:
    """The nation's view of the tree."""

    def __init__(self, data_dir: Path, url: str) -> None:
        self._api = Api(url, (data_dir / "nation" / "data" / "secrets" / "cli-token").read_text().strip())

    def nodes(self) -> dict[str, dict[str, Any]]:
        try:
            return {node["name"]: node for node in self._api.items("/tree/nodes")}
        except ApiError:
            return {}

    def live(self) -> dict[str, Any]:
        """Return the figures of the province, below which all the others are."""
        province = next(member for member in MEMBERS if member.tier == "province")
        return self.nodes().get(province.title, {}).get("live") or {}


def test_seven_nodes_run_and_one_that_was_killed_comes_back_by_the_printed_command(tmp_path: Path) -> None:
    log = (tmp_path / "demo.log").open("w+b")
    command = [sys.executable, "-m", "demo.tree", "--data-dir", str(tmp_path / "tree"), "--apart"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    demo = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    by_hand: subprocess.Popen[bytes] | None = None

    def output() -> str:
        return (tmp_path / "demo.log").read_text()

    try:
        until(lambda: "The tree runs" in output() or demo.poll() is not None, START_S, output)
        assert "The tree runs" in output(), output()
        assert "sign in  admin / " in output()
        url = re.search(r"console  (\S+)", output())
        assert url is not None
        nation = Nation(tmp_path / "tree", url[1])
        assert len(nation.nodes()) == len(MEMBERS) - 1
        until(lambda: nation.live().get("devices") == DEVICES, LIVE_S, lambda: str(nation.live()))
        until(lambda: nation.live().get("online") == DEVICES, LIVE_S, lambda: str(nation.live()))
        until(lambda: nation.live().get("points_per_second", 0) > 0, LIVE_S, lambda: str(nation.live()))
        site = next(member for member in MEMBERS if member.tier == "site")
        found = re.search(rf"{re.escape(site.title)}\s+\S+\s+kill (\d+)", output())
        assert found is not None
        end(psutil.Process(int(found[1])))
        until(lambda: f"{site.title} has ended" in output(), 30, output)
        again = re.search(rf"{re.escape(site.title)} has ended.*\n  (.+)\n", output())
        assert again is not None
        with (tmp_path / "again.log").open("wb") as file:
            by_hand = subprocess.Popen(shlex.split(again[1]), stdout=file, stderr=subprocess.STDOUT)
        killed = time.time()

        def heard_again() -> bool:
            node = nation.nodes().get(site.title, {})
            heard = node.get("heard_at") or ""
            after = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(killed))
            return node.get("health") == "ok" and heard > after and nation.live().get("online") == DEVICES

        until(heard_again, LIVE_S, lambda: str(nation.nodes().get(site.title)))
        demo.send_signal(signal.SIGINT)
        assert demo.wait(90) == 0, output()
        assert "The tree has stopped" in output()
    finally:
        for process in (demo, by_hand):
            if process is not None and process.poll() is None:
                end(psutil.Process(process.pid))
        log.close()
