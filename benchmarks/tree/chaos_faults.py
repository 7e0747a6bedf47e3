"""Faults on the processes of a tree: kills, restarts and pauses, drawn from a seed."""

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import psutil

from demo.node import NodeError
from demo.tree.nodes import NodeTree, TreeNode

_START_S = 90.0


class Faults:
    """Lets things go wrong until it is stopped, one after the other and several at once.

    Attributes:
        counts: of faults, by kind.
        log: what was done, in words.
    """

    def __init__(self, tree: NodeTree, seed: int, pause: float) -> None:
        self._tree = tree
        self._chance = random.Random(f"{seed} faults")
        self._pause = pause
        self._stop = threading.Event()
        self._busy: set[str] = set()
        self._began = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []

    def run(self, seconds: float, tell: Callable[[str], None]) -> None:
        """Let things go wrong for so long; at the end everything runs again."""
        kinds: dict[str, Callable[[TreeNode, float], None]] = {
            "node killed": self._kill_node,
            "tree role killed": lambda node, _: self._signal(node, "tree", signal.SIGKILL),
            "link server killed": lambda node, _: self._signal(node, "tree-nats", signal.SIGKILL),
            "bus killed": lambda node, _: self._signal(node, "nats", signal.SIGKILL),
            "cut off": lambda node, pause: self._hold(node, "tree-nats", pause),
            "tree role held": lambda node, pause: self._hold(node, "tree", pause),
            "restarted": self._restart,
        }
        weights = (3, 3, 2, 1, 4, 2, 1)
        pool = ThreadPoolExecutor(4)
        under_way: list[Future[None]] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            kind = self._chance.choices(list(kinds), weights)[0]
            key = self._chance.choice(list(self._tree.nodes))
            pause = self._chance.uniform(0.3, self._pause)
            wait = self._chance.uniform(0.2, self._pause)
            if key not in self._busy:
                words = f"{time.monotonic() - self._began:6.1f} s  {kind}: {key} ({pause:.1f} s)"
                self.counts[kind] += 1
                self.log.append(words)
                tell(words)
                self._busy.add(key)
                under_way.append(pool.submit(self._do, kinds[kind], key, pause))
            self._stop.wait(min(wait, max(0.0, until - time.monotonic())))
        for future in under_way:
            future.result()
        pool.shutdown()

    def _do(self, work: Callable[[TreeNode, float], None], key: str, pause: float) -> None:
        try:
            work(self._tree[key], pause)
        finally:
            self._busy.discard(key)

    @staticmethod
    def _pid(node: TreeNode, role: str) -> int | None:
        """Return the process of a role, when it is one of this node's."""
        try:
            state = json.loads((node.directory / "data" / "run" / "state.json").read_bytes())
            pid = next((int(row["pid"]) for row in state["roles"] if row["role"] == role), None)
            return pid if pid and psutil.Process(pid).ppid() == node.process.pid else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _signal(self, node: TreeNode, role: str, number: signal.Signals) -> None:
        pid = self._pid(node, role)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _hold(self, node: TreeNode, role: str, pause: float) -> None:
        pid = self._pid(node, role)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(pause)
            finally:
                os.kill(pid, signal.SIGCONT)

    def _kill_node(self, node: TreeNode, pause: float) -> None:
        kill_all(node)
        time.sleep(pause)
        self._start(node)

    def _restart(self, node: TreeNode, pause: float) -> None:
        node.process.stop()
        time.sleep(pause)
        self._start(node)

    @staticmethod
    def _start(node: TreeNode) -> None:
        for _ in range(3):
            try:
                node.process.start(_START_S)
                return
            except NodeError:
                kill_all(node)
        raise NodeError(f"{node.member.key} does not start any more; see {node.directory}")


def kill_all(node: TreeNode) -> None:
    """End a node as by a power cut: all its processes at once."""
    if not node.process.running():
        return
    supervisor = psutil.Process(node.process.pid)
    for process in (supervisor, *supervisor.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    node.process.stop()
