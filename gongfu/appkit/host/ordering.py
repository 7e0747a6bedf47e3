"""Orders and probes of one running app: each order is given once at a time, each look has its time."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from gongfu.appkit.context.messages import Began, Done
from gongfu.appkit.context.order_messages import CallOrder, CallProbe, OrderDeclared, ProbeDeclared, SeenTold
from gongfu.appkit.grants import Grants
from gongfu.appkit.host.lane import ATTEMPTS
from gongfu.appkit.host.order_calls import OrderAnswer, OrderCall, ProbeQuestion
from gongfu.appkit.host.process import AppFailure
from gongfu.appkit.manifest import Manifest
from gongfu.appkit.order_declarations import unmatched
from gongfu.kernel.errors import Problem, forbidden, not_found, unavailable

# Orders and questions that wait for an app.
WAITING = 64

# Gives a call to the process, waiting until it runs; None when the process ended over it.
Give = Callable[[CallOrder | CallProbe, float], Awaitable[Done | None]]


class Ordering:
    """Takes what the order engine asks of an app.

    Args:
        grants: what the app may do.
        give: gives a call to its process.
    """

    def __init__(self, grants: Grants, give: Give) -> None:
        self._grants = grants
        self._give = give
        # Set when the code was loaded once: before, nobody knows what the app carries out.
        self._known = asyncio.Event()
        self._orders: dict[str, tuple[int, OrderDeclared]] = {}
        self._probes: dict[str, tuple[int, ProbeDeclared]] = {}
        self._running: dict[str, asyncio.Task[OrderAnswer]] = {}
        self._looking = 0
        self.carried_out = 0
        self.failed = 0

    def begin(self, declared: Began) -> None:
        """Note what the app declares."""
        self._orders = {order.kind: (index, order) for index, order in enumerate(declared.orders)}
        self._probes = {probe.name: (index, probe) for index, probe in enumerate(declared.probes)}
        self._known.set()

    async def close(self) -> None:
        """Wait for nothing any more: who asked is told to ask again."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def carry_out(self, call: OrderCall) -> OrderAnswer:
        """Return what became of an order. Asked again with the same key it waits for the same call.

        Raises:
            Problem: 403 when it was not granted, 404 when the app has no such function, 503 when too many wait, or when
                the app was stopped meanwhile: ask again.
        """
        try:
            self._grants.check_order(call.kind)
        except PermissionError as refusal:
            raise forbidden(str(refusal)) from None
        task = self._running.get(call.key)
        if task is None:
            if len(self._running) >= WAITING:
                raise unavailable(f"{WAITING} orders wait for {call.app}")
            task = asyncio.create_task(self._carry_out(call), name=f"order {call.order}")
            self._running[call.key] = task
            task.add_done_callback(lambda _: self._running.pop(call.key, None))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise unavailable(f"{call.app} was stopped") from None
            raise

    async def look(self, question: ProbeQuestion) -> SeenTold:
        """Return what a probe sees.

        Raises:
            Problem: 403 when others may not ask it, 404 when there is none, 502 when it failed, 503 when too many ask.
        """
        name = question.probe
        try:
            if name:
                self._grants.check_probe(name)
            else:
                self._grants.check_order(question.kind)
        except PermissionError as refusal:
            raise forbidden(str(refusal)) from None
        if not self._known.is_set():
            raise unavailable(f"{self._grants.app} is being started")
        if not name:
            _, order = self._of_kind(question.kind)
            name = order.effect
        if name not in self._probes:
            raise not_found(f"{self._grants.app} has no probe {name[:48]!r}")
        index, probe = self._probes[name]
        call = CallProbe(
            handler=index, body=bytes(question.body), order=question.order, kind=question.kind, since=question.since
        )
        if self._looking >= WAITING:
            raise unavailable(f"{WAITING} questions wait for {self._grants.app}")
        self._looking += 1
        try:
            done = await self._give(call, probe.timeout / 1e9)
        finally:
            self._looking -= 1
        if done is None:
            raise Problem(502, "app-failed", "The app failed over this question", "its process ended")
        if done.error:
            raise Problem(502, "app-failed", "The app failed over this question", done.error)
        try:
            return msgspec.json.decode(done.body, type=SeenTold)
        except msgspec.MsgspecError as error:
            raise Problem(502, "app-failed", "The app answered what is no sight", str(error)) from None

    async def _carry_out(self, call: OrderCall) -> OrderAnswer:
        try:
            async with asyncio.timeout(call.seconds):
                return await self._given(call)
        except TimeoutError:
            # Whoever asked has given up: what has not begun must not begin later.
            self.failed += 1
            return OrderAnswer(False, f"{call.app} did not carry it out within {call.seconds:g} s")

    def _of_kind(self, kind: str) -> tuple[int, OrderDeclared]:
        found = self._orders.get(kind)
        if found is None:
            raise not_found(f"{self._grants.app} carries out no orders {kind[:48]!r}")
        return found

    async def _given(self, call: OrderCall) -> OrderAnswer:
        await self._known.wait()
        index, order = self._of_kind(call.kind)
        given = CallOrder(
            handler=index,
            key=call.key,
            order=call.order,
            kind=call.kind,
            body=bytes(call.body),
            issued=call.issued,
            issuer=call.issuer,
            attempt=call.attempt,
            rollback=call.rollback,
        )
        for _ in range(ATTEMPTS):
            done = await self._give(given, order.timeout / 1e9)
            if done is None:
                continue
            if done.error:
                self.failed += 1
                return OrderAnswer(False, done.error[:1000])
            self.carried_out += 1
            return OrderAnswer(True, done.body.decode(errors="replace")[:1000])
        self.failed += 1
        return OrderAnswer(False, f"the process of {self._grants.app} ended {ATTEMPTS} times over it")


def check_declared(manifest: Manifest, declared: Began) -> Began:
    """Return what the code of an app declares, which is what its manifest says of orders and probes.

    Raises:
        AppFailure: it is not; the text says what to write.
    """
    wrong = unmatched(
        [(order.kind, order.effect) for order in declared.orders],
        [probe.name for probe in declared.probes],
        [kind.name for kind in manifest.provides.order_kinds],
        manifest.needs.probes,
    )
    if wrong:
        raise AppFailure(wrong)
    return declared
