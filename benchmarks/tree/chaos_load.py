"""Orders and reports while there is trouble, and what of them was confirmed."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.tree.chaos_plugin import NAME
from demo.tree.nodes import NodeTree, TreeNode
from gongfu.kernel.times import SECOND, format_rfc3339

REPORT = "chaos.count"
KEYS = ("red", "green", "blue")
REPORT_KIND = {
    "name": REPORT,
    "keys": ["colour"],
    "measures": [
        {"name": "things", "form": "count", "unit": "{thing}"},
        {"name": "weight", "form": "sum", "unit": "kg", "decimals": 1},
        {"name": "hottest", "form": "max", "unit": "Cel", "decimals": 1},
    ],
    "leaving": [{"tier": "*", "keys": ["colour"], "measures": ["things", "weight", "hottest"]}],
}
_TIMEOUT_S = 6.0
_ORDER_EVERY_S, _REPORT_EVERY_S = 0.35, 0.4
# Deadlines of orders; some are so short that they pass while nobody can be reached.
_DEADLINES_S = (1.5, 3.0, 8.0, 20.0)


class Asker:
    """Requests to one node that give up soon; the node may be down."""

    def __init__(self, node: TreeNode) -> None:
        self.node = node
        self._client: httpx.Client | None = None

    def ask(self, method: str, path: str, body: Any = None, timeout: float = _TIMEOUT_S) -> tuple[int, Any]:
        """Return status and answer; status 0 when there was none."""
        try:
            if self._client is None:
                token = self.node.process.token()
                headers = {"Authorization": f"Bearer {token}"}
                url = f"{self.node.process.url}/v1"
                self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)
            response = self._client.request(method, path, json=body)
            return response.status_code, response.json() if response.content else None
        except (httpx.HTTPError, OSError, ValueError):
            return 0, None


@dataclass
class Load:
    """What was asked and confirmed.

    Attributes:
        tree: the nodes.
        ids: node ids by key.
        below: keys of the nodes below a node, by key.
        confirmed: ids of orders whose issue was answered with success.
        stated: by site: confirmed own cells, and those that may have been taken since.
        asked: requests; ``failed``: those that were not confirmed.
    """

    tree: NodeTree
    ids: dict[str, str]
    below: dict[str, list[str]]
    seed: int
    confirmed: set[str] = field(default_factory=set[str])
    stated: dict[str, tuple[dict[str, int], list[dict[str, int]]]] = field(
        default_factory=dict[str, tuple[dict[str, int], list[dict[str, int]]]]
    )
    asked: int = 0
    failed: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def start(self) -> None:
        """Begin; one thread for orders, one for each site's reports."""
        work = [threading.Thread(target=self._order, daemon=True)]
        sites = [key for key, below in self.below.items() if not below]
        work += [threading.Thread(target=self._report, args=(site,), daemon=True) for site in sites]
        self._threads = work
        for thread in work:
            thread.start()

    def stop(self) -> None:
        """End and wait."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _order(self) -> None:
        chance = random.Random(f"{self.seed} orders")
        askers = {key: Asker(node) for key, node in self.tree.nodes.items()}
        issuers = [key for key, below in self.below.items() if below]
        number = 0
        while not self._stop.wait(_ORDER_EVERY_S * chance.uniform(0.3, 1.7)):
            number += 1
            key = chance.choice(issuers)
            order = f"chaos-{self.seed}-{number:05}"
            some = chance.sample(self.below[key], chance.randint(1, len(self.below[key])))
            by_list = chance.random() < 0.5
            selection: dict[str, Any] = {"nodes": [self.ids[one] for one in some]}
            if not by_list:
                selection = {"query": {"tiers": [chance.choice(("site", "enterprise"))]}}
            deadline = time.time_ns() + int(chance.choice(_DEADLINES_S) * SECOND)
            body = {"id": order, "kind": NAME, "payload": {"number": number}, "selection": selection,
                    "deadline": format_rfc3339(deadline)}  # fmt: skip
            revoke = chance.random() < 0.15
            self.asked += 1
            if not 200 <= askers[key].ask("POST", "/orders", body)[0] < 300:
                self.failed += 1
                continue
            if 200 <= askers[key].ask("POST", f"/orders/{order}:issue")[0] < 300:
                self.confirmed.add(order)
            else:
                self.failed += 1
            if revoke:
                askers[key].ask("POST", f"/orders/{order}:revoke", {"reason": "chaos"})

    def _report(self, site: str) -> None:
        chance = random.Random(f"{self.seed} {site}")
        asker = Asker(self.tree[site])
        last: dict[str, int] = {}
        maybe: list[dict[str, int]] = []
        self.stated[site] = (last, maybe)
        while not self._stop.wait(_REPORT_EVERY_S * chance.uniform(0.3, 1.7)):
            counts = {key: chance.randint(0, 1000) for key in KEYS if chance.random() < 0.8}
            self.asked += 1
            status, _ = asker.ask("POST", f"/reports/{REPORT}/cells", {"cells": cells_of(counts)})
            if 200 <= status < 300:
                last, maybe = counts, []
            else:
                self.failed += 1
                maybe = [*maybe, counts]
            self.stated[site] = (last, maybe)


def cells_of(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Return own cells, in which all measures follow from one number."""
    return [
        {"keys": {"colour": key}, "measures": {"things": n, "weight": n * 1.5, "hottest": n % 97}}
        for key, n in counts.items()
    ]
