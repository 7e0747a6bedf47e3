"""Seven whole nodes over four levels, each ``gongfu up`` with all its processes, idle but for what is measured.

How long they take to start and enrol; until a changed value of a site is in the nation's report; until an order of the
nation is verified at all six nodes below; how long a call from site to site takes; memory and CPU at rest.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil

from benchmarks.ingest.report import Row
from benchmarks.tree.chaos import SETTINGS
from benchmarks.tree.chaos_faults import kill_all
from benchmarks.tree.chaos_load import REPORT, REPORT_KIND
from benchmarks.tree.chaos_plugin import NAME
from demo.api import Api, ApiError
from demo.tree.nodes import NodeTree, apart
from gongfu.kernel.times import SECOND, format_rfc3339

CHANGES, ORDERS, CALLS = 30, 10, 30
START_BAR_S, FRESH_BAR_S = 60.0, 1.0
_LIMIT_S = 60.0
_REST_S = 10.0


def _until(done: Callable[[], bool], what: str) -> float:
    """Return how long it took."""
    began = time.perf_counter()
    while not done():
        if time.perf_counter() - began > _LIMIT_S:
            raise TimeoutError(f"not within {_LIMIT_S:.0f} s: {what}")
        time.sleep(0.005)
    return time.perf_counter() - began


def _known(api: Api) -> bool:
    try:
        api.get(f"/reports/{REPORT}")
    except ApiError:
        return False
    return True


def _value(api: Api) -> float:
    return sum(cell["measures"]["things"] for cell in api.get(f"/reports/{REPORT}")["items"])


def _freshness(site: Api, nation: Api) -> list[float]:
    nation.post("/report-kinds", {"cells": REPORT_KIND})
    _until(lambda: _known(site), "the kind is known")
    spent: list[float] = []
    for number in range(1, CHANGES + 1):
        began = time.perf_counter()
        measures = {"things": number, "weight": 1.0, "hottest": 1.0}
        site.post(f"/reports/{REPORT}/cells", {"cells": [{"keys": {"colour": "red"}, "measures": measures}]})
        _until(lambda n=number: _value(nation) == n, "the value is at the top")
        spent.append(time.perf_counter() - began)
        # Idle again.
        time.sleep(0.3)
    return sorted(spent)


def _verified(nation: Api) -> list[float]:
    spent: list[float] = []
    for number in range(ORDERS):
        body = {
            "kind": NAME,
            "payload": {"number": number},
            "selection": {"query": {"tiers": ["province", "enterprise", "site"]}},
            "deadline": format_rfc3339(time.time_ns() + 600 * SECOND),
        }
        order = nation.post("/orders", body)["id"]
        began = time.perf_counter()
        nation.post(f"/orders/{order}:issue")
        _until(lambda o=order: nation.get(f"/orders/{o}")["totals"].get("verified") == 6, "all are verified")
        spent.append(time.perf_counter() - began)
    return sorted(spent)


def _calls(tree: NodeTree, ids: dict[str, str]) -> list[float]:
    api = tree["jiangsu"].process.api()
    until = format_rfc3339(time.time_ns() + 3600 * SECOND)
    parties: dict[str, Any] = {"caller": {"node": ids["tanks"]}, "callee": {"node": ids["lathes"]}}
    contract = api.post("/peers/contracts", {**parties, "kinds": ["echo"], "valid_until": until})["id"]
    caller = tree["tanks"].process.api()
    _until(lambda: bool(caller.get("/peers/contracts")["items"]), "the contract is known")
    spent: list[float] = []
    for _ in range(CALLS):
        began = time.perf_counter()
        caller.post("/peers/calls", {"contract": contract, "kind": "echo", "payload": [1]})
        spent.append(time.perf_counter() - began)
    return sorted(spent)


def _processes(tree: NodeTree) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for node in tree.nodes.values():
        supervisor = psutil.Process(node.process.pid)
        found += [supervisor, *supervisor.children(recursive=True)]
    return found


def _cpu(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def measure() -> list[Row]:
    """Return the rows."""
    with tempfile.TemporaryDirectory(prefix="gongfu-tree-", ignore_cleanup_errors=True) as folder:
        tree = NodeTree(Path(folder), SETTINGS, apart())
        try:
            began = time.perf_counter()
            tree.start()
            started = time.perf_counter() - began
            ids = {key: str(node.place()["id"]) for key, node in tree.nodes.items()}
            fresh = _freshness(tree["reactors"].process.api(), tree["nation"].process.api())
            verified = _verified(tree["nation"].process.api())
            calls = _calls(tree, ids)
            processes = _processes(tree)
            spent = _cpu(processes)
            time.sleep(_REST_S)
            rest = (_cpu(processes) - spent) / _REST_S
            memory = sum(msgspec.convert(process.memory_full_info().pss, int) for process in processes)
        finally:
            tree.stop()
            for node in tree.nodes.values():
                kill_all(node)
    name = "7 whole nodes, 4 levels"
    return [
        Row(f"{name}: started and enrolled", started, "s", START_BAR_S),
        Row(f"{name}: changed leaf value at the top, worst of {CHANGES}", fresh[-1], "s", FRESH_BAR_S),
        Row(f"{name}: changed leaf value at the top, median", fresh[len(fresh) // 2], "s"),
        Row(f"{name}: order issued to verified at 6 nodes, worst of {ORDERS}", verified[-1], "s"),
        Row(f"{name}: order issued to verified at 6 nodes, median", verified[len(verified) // 2], "s"),
        Row(f"{name}: call from site to site and back, 6 links, median of {CALLS}", calls[len(calls) // 2], "s"),
        Row(f"{name}: memory at rest, {len(processes)} processes", memory / 2**20, "MiB PSS"),
        Row(f"{name}: CPU at rest", rest, "cores"),
    ]
