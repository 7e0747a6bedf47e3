"""Births of edge nodes and devices: names, aliases and data types for the data after them (Sparkplug 3.0.0 §6.4.6)."""

from collections.abc import Sequence
from typing import Any, Protocol

from gongfu.ingest.columnise.reasons import Reason, Reject
from gongfu.ingest.columnise.sparkplug_plan import SparkplugPlan
from gongfu.ingest.columnise.sparkplug_structures import members_of
from gongfu.ingest.columnise.sparkplug_wire import WireTemplate, make_template
from gongfu.ingest.types import Writer

MAX_PLANS = 8
MAX_RELEARNED = 16


class Order(Protocol):
    """Knows how the next payload in order ends (``gongfu.ingest.sparkplug.sessions.EdgeSession``)."""

    @property
    def tail(self) -> bytes:
        """Last bytes of the next payload, with its ``seq``."""
        ...

    def advance(self) -> None:
        """The next payload has come."""
        ...


class Templates(dict[int, WireTemplate | None]):
    """Ways to read payloads by their length; None where there is to be none.

    Attributes:
        order: who knows the order of the payloads, None when any is taken.
    """

    __slots__ = ("order",)

    def __init__(self) -> None:
        super().__init__()
        self.order: Order | None = None


class Birth:
    """What the birth certificate of an edge node or device said.

    Attributes:
        by_alias: (name, data type) by alias.
        types: data type by name.
        plans: ready-made ways to write a payload, by its aliases or names.
        templates: ways to read a payload without parsing it, by its length; empty when the birth has ended.
        relearned: how often a template took the place of another.
    """

    __slots__ = ("by_alias", "plans", "relearned", "templates", "types")

    def __init__(self, definition: "Definition | None" = None) -> None:
        self.by_alias, self.types = ({}, {}) if definition is None else definition
        self.plans: dict[Any, SparkplugPlan] = {}
        self.templates = Templates()
        self.relearned = 0

    def learn(self, payload: bytes, plan: SparkplugPlan) -> None:
        """Make a template from a payload that a plan has written, unless there is one for its length."""
        if any(known is not None and known.table is not plan.table for known in self.templates.values()):
            self.templates.clear()
        size = len(payload)
        if size in self.templates:
            known = self.templates[size]
            if known is None or self.relearned >= MAX_RELEARNED:
                return
            # It did not fit, or had no need to: perhaps payloads of this length have another layout now.
            self.relearned += 1
        if len(self.templates) >= MAX_PLANS:
            self.templates.clear()
        self.templates[size] = make_template(payload, plan)


class BirthRegister:
    """Births by sender and asset (``group/edge[/device]``)."""

    def __init__(self) -> None:
        self._births: dict[tuple[int, str], Birth] = {}
        # Assets with a birth, by sender and edge node: what the death of the node ends.
        self._edges: dict[tuple[int, str], set[str]] = {}

    def find(self, device: int, child: str) -> Birth | None:
        """Return the birth that counts now."""
        return self._births.get((device, child))

    def below(self, device: int, edge: str, child: str) -> list[tuple[str, Birth]]:
        """Return those that the death of ``child`` ends: of a device its own, of an edge node all, with their paths."""
        paths = self._edges.get((device, edge), set()) if child == edge else {child}
        return [(path, birth) for path in sorted(paths) if (birth := self._births.get((device, path))) is not None]

    def born(self, writer: Writer, edge: str, child: str, birth: Birth) -> None:
        """Keep a birth. That of an edge node ends all earlier ones of its devices (§6.4.8)."""
        if child == edge:
            self.died(writer, edge, child)
        self._edges.setdefault((writer.device, edge), set()).add(child)
        self._end(writer.device, child)
        self._births[writer.device, child] = birth

    def died(self, writer: Writer, edge: str, child: str) -> None:
        """Forget a device, or an edge node with its devices (§6.4.11, §6.4.13)."""
        children = self._edges.get((writer.device, edge), set())
        for ended in list(children) if child == edge else [child]:
            children.discard(ended)
            self._end(writer.device, ended)

    def _end(self, device: int, child: str) -> None:
        birth = self._births.pop((device, child), None)
        if birth is not None:
            birth.templates.clear()

    def forget(self, device: int) -> None:
        """Forget everything of a sender."""
        for key in [key for key in self._edges if key[0] == device]:
            for child in self._edges.pop(key):
                self._end(device, child)


# (name, data type) by alias; data type by name. Fleets of edge nodes are alike: each definition is kept once.
Definition = tuple[dict[int, tuple[str, int]], dict[str, int]]
_definitions: dict[tuple[Any, ...], Definition] = {}
MAX_DEFINITIONS = 10_000


def birth_of(metrics: Sequence[Any], reject: Reject) -> Birth | None:
    """Return the birth that the metrics of a birth certificate make, or report what is wrong and return None."""
    parts: list[tuple[str, int | None, int]] = []
    for metric in metrics:
        name = metric.name
        if type(name) is not str:
            reject(Reason.MALFORMED_SPARKPLUG, len(metrics), "a metric name is not UTF-8")
            return None
        parts.append((name, metric.alias if metric.HasField("alias") else None, metric.datatype))
        parts += members_of(name, metric)
    key = tuple(parts)
    known = _definitions.get(key)
    if known is None:
        known = (
            {alias: (name, datatype) for name, alias, datatype in parts if alias is not None},
            {name: datatype for name, _, datatype in parts},
        )
        if len(_definitions) >= MAX_DEFINITIONS:
            _definitions.clear()
        _definitions[key] = known
    return Birth(known)
