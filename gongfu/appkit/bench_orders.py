"""Orders, probes and reports on a bench: the app is asked as a node would ask it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from gongfu.appkit.context.messages import Began, Call, Done
from gongfu.appkit.context.order_messages import CallOrder, CallProbe, CallReport, SeenTold
from gongfu.appkit.contract import Cell, Seen
from gongfu.appkit.grants import Grants
from gongfu.appkit.manifest import Manifest
from gongfu.appkit.order_declarations import unmatched
from gongfu.appkit.provided_kinds import order_kind_of
from gongfu.tree.orders.kinds import OrderKind, payload_error
from gongfu.tree.orders.types import Execution, State
from gongfu.tree.orders.verification import Sight, claimed, seen

_NODE = "bench"


@dataclass(slots=True)
class BenchOrder:
    """An order on the bench.

    Attributes:
        id: of the order.
        kind: of it.
        body: of it.
        state: ``refused`` (not granted, or the body is not of the schema), ``executed`` or ``failed``.
        detail: what the app, or the refusal, said.
        finding: ``verified``, ``contradicted`` or ``unverifiable``, as ``verify`` found; empty before.
        evidence: what the probe said last.
    """

    id: str
    kind: str
    body: Mapping[str, Any]
    state: str
    detail: str = ""
    finding: str = ""
    evidence: str = ""
    at: int = 0


class VirtualClock(Protocol):
    """The virtual time of a bench, UTC ns."""

    now: int

    def pass_time(self, nanoseconds: int) -> None:
        """Let time pass; what is due in it happens."""
        ...


class BenchOrders:
    """Gives orders to the app on a bench.

    Args:
        manifest: of the app.
        grants: what it may do.
        declared: what its code declares.
        run: runs a call in the app.
        clock: the virtual time.

    Raises:
        AssertionError: manifest and code do not agree about orders and probes.
    """

    def __init__(
        self,
        manifest: Manifest,
        grants: Grants,
        declared: Began,
        run: Callable[[Call], Done],
        clock: VirtualClock,
    ) -> None:
        self._grants = grants
        self._declared = declared
        self._run = run
        self._clock = clock
        self._kinds: dict[str, OrderKind] = {one.name: order_kind_of(one) for one in manifest.provides.order_kinds}
        self._count = 0
        wrong = unmatched(
            [(order.kind, order.effect) for order in declared.orders],
            [probe.name for probe in declared.probes],
            list(self._kinds),
            manifest.needs.probes,
        )
        assert not wrong, wrong

    def give(self, kind: str, body: Mapping[str, Any], *, id: str = "", rollback: bool = False) -> BenchOrder:
        """Give an order to the app and return what became of it.

        Args:
            kind: of the order.
            body: of the order.
            id: of the order; the same again is not carried out again. A new one by default.
            rollback: take the effect back.
        """
        self._count += 1
        order = BenchOrder(id or f"order-{self._count:04d}", kind, body, "refused", at=self._clock.now)
        payload = msgspec.json.encode(dict(body))
        known = self._kinds.get(kind)
        if known is None or kind not in self._grants.needs.orders:
            order.detail = f"there is no kind {kind!r} here"
        elif wrong := payload_error(known, payload):
            order.detail = wrong
        elif rollback and not known.can_roll_back:
            order.detail = f"orders {kind!r} cannot be taken back"
        else:
            handler = [one.kind for one in self._declared.orders].index(kind)
            call = CallOrder(
                handler=handler,
                key=f"{order.id}/{_NODE}" + ("/rollback" if rollback else ""),
                order=order.id,
                kind=kind,
                body=payload,
                issued=self._clock.now,
                issuer=_NODE,
                attempt=1,
                rollback=rollback,
            )
            done = self._run(call)
            order.state = "failed" if done.error else "rolled_back" if rollback else "executed"
            order.detail = done.error or done.body.decode()
            order.at = self._clock.now
        return order

    def verify(self, order: BenchOrder) -> BenchOrder:
        """Ask the probe of an order, at the times of its kind, until there is a verdict; time passes meanwhile.

        Raises:
            ValueError: the order was refused, so there is no effect to look at.
        """
        if order.state == "refused":
            raise ValueError(f"order {order.id} was refused: {order.detail}")
        kind = self._kinds[order.kind]
        execution = Execution(order.id, _NODE, State(order.state), 1, order.at, _NODE, claim=1)
        looked = claimed(None, execution, kind, _NODE, self._clock.now)
        while looked.verdict is None:
            self._clock.pass_time(max(looked.watch.next_at - self._clock.now, 0))
            found = self._effect(order)
            order.evidence = found.evidence
            sight = Sight(found.sight)
            looked = seen(looked.watch, 1, sight, found.evidence, kind, _NODE, self._clock.now)
        order.finding = str(looked.verdict.finding)
        return order

    def ask(self, probe: str, body: Mapping[str, Any] | None = None) -> Seen:
        """Ask a probe by its name, as users and other parts of a node may.

        Raises:
            PermissionError: ``needs.probes`` does not offer it.
            AssertionError: it failed.
        """
        self._grants.check_probe(probe)
        done = self._probe(probe, CallProbe(handler=0, body=msgspec.json.encode(dict(body or {}))))
        assert not done.error, f"probe {probe}: {done.error}"
        told = msgspec.json.decode(done.body, type=SeenTold)
        return Seen(told.sight, told.evidence)

    def _effect(self, order: BenchOrder) -> Seen:
        effect = next(one.effect for one in self._declared.orders if one.kind == order.kind)
        body = msgspec.json.encode(dict(order.body))
        done = self._probe(effect, CallProbe(handler=0, body=body, order=order.id, kind=order.kind, since=order.at))
        if done.error:
            return Seen("unknown", done.error)
        told = msgspec.json.decode(done.body, type=SeenTold)
        return Seen(told.sight, told.evidence)

    def _probe(self, name: str, call: CallProbe) -> Done:
        handler = [one.name for one in self._declared.probes].index(name)
        return self._run(msgspec.structs.replace(call, handler=handler))


class BenchReports:
    """Asks the app on a bench for reports.

    Args:
        grants: what it may do.
        declared: what its code declares.
        run: runs a call in the app.
    """

    def __init__(self, grants: Grants, declared: Began, run: Callable[[Call], Done]) -> None:
        self._grants = grants
        self._kinds = [report.kind for report in declared.reports]
        self._run = run

    def ask(self, kind: str, start: int, end: int) -> list[Cell]:
        """Return the cells of a period ``[start, end)``, UTC ns, as a node would state them.

        Raises:
            PermissionError: ``needs.reports`` does not name the kind.
            AssertionError: the app has no such report, or it failed.
        """
        self._grants.check_report(kind)
        assert kind in self._kinds, f'the code has no @app.report("{kind}")'
        done = self._run(CallReport(self._kinds.index(kind), kind, start, end))
        assert not done.error, f"report {kind}: {done.error}"
        return [Cell(cell["keys"], cell["measures"]) for cell in msgspec.json.decode(done.body)]


def asked_from_above(
    manifest: Manifest, grants: Grants, declared: Began, run: Callable[[Call], Done], clock: VirtualClock
) -> tuple[BenchOrders, BenchReports]:
    """Return what gives orders to an app on a bench, and what asks it for reports; arguments as of both.

    Raises:
        AssertionError: manifest and code do not agree about orders and probes.
    """
    return BenchOrders(manifest, grants, declared, run, clock), BenchReports(grants, declared, run)
