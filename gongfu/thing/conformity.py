"""Whether events and calls are as the thing model of their asset says. What is refused is counted where values are.

A refusal is a row of ``drop_count`` (kind ``rejected``; ``marked`` for what is let through although it does not fit),
by device where one is known, and a counter: ``events_rejected.<reason>``, ``calls_rejected.<reason>``,
``writes_rejected.<reason>``, and the same with ``marked``.
"""

import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.kernel.errors import invalid
from gongfu.kernel.times import Clock
from gongfu.registry import asset_records, drop_records
from gongfu.store.records.engine import reading, writing
from gongfu.thing.inheritance import flatten
from gongfu.thing.members import Fault, Members, Violation
from gongfu.thing.shelf import chain_of
from gongfu.thing.types import parse_reference

logger = logging.getLogger(__name__)

_KEPT = 2000
_DETAIL = 200
REJECTED, MARKED = "rejected", "marked"

# Counts something; called on any thread.
Count = Callable[[str, int], None]


def uncounted(_name: str, _n: int) -> None:
    """Count nothing beside the records."""


class Conformity:
    """Judges by the models in the records; every method blocks on them, and may be called on any thread."""

    def __init__(self, engine: Engine, clock: Clock, count: Count = uncounted) -> None:
        self._engine = engine
        self._clock = clock
        self._count = count
        self._lock = threading.Lock()
        # Published versions never change, so what was found is kept.
        self._known: OrderedDict[tuple[int, str], Members] = OrderedDict()

    def members(self, tenant: int, path: str) -> Members | None:
        """Return events and services of the model of an asset, None for an asset without a model."""
        with reading(self._engine) as connection:
            row = asset_records.by_path(connection, tenant, path)
            name = None if row is None else parse_reference(row.type)
            if row is None or name is None:
                return None
            key = (tenant, row.type)
            with self._lock:
                known = self._known.get(key)
            if known is not None:
                return known
            chain = chain_of(connection, tenant, *name)
        if not chain:
            return None
        made = Members(row.type, flatten(chain))
        with self._lock:
            while len(self._known) >= _KEPT:
                self._known.popitem(last=False)
            self._known[key] = made
        return made

    def check_event(self, tenant: int, path: str, kind: str, fields: Mapping[str, Any]) -> None:
        """Let an event pass, or refuse it.

        Raises:
            Problem: 400 with ``reason``: the model of the asset declares events, and this is none of them, or its
                fields are not as declared.
        """
        members = self.members(tenant, path)
        if members is not None:
            self.refuse(tenant, 0, "events", path, members.event(kind, fields))

    def check_inputs(self, tenant: int, device: int, path: str, service: str, given: Mapping[str, Any]) -> None:
        """Let a call pass, or refuse it.

        Args:
            tenant: whose asset it is.
            device: id of the device whose machine is called, 0 for none.
            path: of the asset.
            service: name of the service.
            given: inputs by name.

        Raises:
            Problem: 400 with ``reason``.
        """
        members = self.members(tenant, path)
        if members is not None:
            self.refuse(tenant, device, "calls", path, members.inputs(service, given))

    def check_writes(self, tenant: int, device: int, path: str, values: Mapping[str, Any]) -> None:
        """Let values be written to points of an asset, or refuse them; arguments and errors as ``check_inputs``."""
        members = self.members(tenant, path)
        if members is not None:
            self.refuse(tenant, device, "writes", path, members.writes(values))

    def judge_outputs(
        self, tenant: int, device: int, path: str, service: str, given: Mapping[str, Any]
    ) -> Sequence[Fault]:
        """Return what is wrong with what a service gave, counted.

        The machine has acted: records that do not answer are told, and make no failed call of it.
        """
        try:
            members = self.members(tenant, path)
        except SQLAlchemyError as error:
            logger.warning("the outputs of a service of %s are not judged: %s", path, type(error).__name__)
            return [Fault(Violation.TYPE, "uncertain", "", "not judged: the records do not answer")]
        faults = [] if members is None else members.outputs(service, given)
        try:
            self._note(tenant, device, "calls", path, faults)
        except SQLAlchemyError as error:
            logger.warning("faults in outputs of a service of %s are not counted: %s", path, type(error).__name__)
        return faults

    def refuse(self, tenant: int, device: int, what: str, path: str, faults: Sequence[Fault]) -> None:
        """Count what is wrong, and raise when it is to be rejected.

        Raises:
            Problem: 400 with ``reason``.
        """
        self._note(tenant, device, what, path, faults)
        for fault in faults:
            if fault.policy == "reject":
                raise invalid(f"{path}: {fault.text}", reason=fault.violation.value)

    def _note(self, tenant: int, device: int, what: str, path: str, faults: Sequence[Fault]) -> None:
        if not faults:
            return
        now = self._clock.now_ns()
        counts: Counter[tuple[str, str]] = Counter()
        details: dict[tuple[str, str], str] = {}
        for fault in faults:
            key = (REJECTED if fault.policy == "reject" else MARKED, fault.violation.value)
            counts[key] += 1
            details.setdefault(key, f"{path}: {fault.text}"[:_DETAIL])
        with writing(self._engine) as connection:
            for (kind, reason), n in counts.items():
                drop_records.add(connection, tenant, device, kind, reason, n, now, details[kind, reason])
        for (kind, reason), n in counts.items():
            self._count(f"{what}_{kind}.{reason}", n)
