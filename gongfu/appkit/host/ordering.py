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
from gongfu.appkit.order_declarations import OnOrder, OnProbe, OnReport, OrderDeclarationError, unmatched
from gongfu.kernel.errors import Problem, forbidden, not_found, unavailable

# Orders and questions that wait for an app.
WAITING = 64
# Who asks waits 10 s for an order and 50 s for a look: then nobody takes the answer, and the place is another's.
ANSWER_S = 9.0
LOOK_S = 48.0
# What became of an order is kept so long for who asks again, since an answer may be lost.
KEPT_S = 60.0

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
        # By key: the attempt that it was asked for last, and what becomes of it.
        self._running: dict[str, tuple[int, asyncio.Task[OrderAnswer]]] = {}
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
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def carry_out(self, call: OrderCall) -> OrderAnswer:
        """Return what became of an order. Asked again with the same key it waits for the same call, and gets the same
        answer for a while when it is for the same attempt, too.

        Raises:
            Problem: 403 when it was not granted, 404 when the app has no such function, 503 when too many wait, when it
                takes longer than ``ANSWER_S``, or when the app was stopped meanwhile: ask again.
        """
        try:
            self._grants.check_order(call.kind)
        except PermissionError as refusal:
            raise forbidden(str(refusal)) from None
        attempt, task = self._running.get(call.key, (0, None))
        if task is None or (task.done() and attempt != call.attempt):
            if sum(not one.done() for _, one in self._running.values()) >= WAITING:
                raise unavailable(f"{WAITING} orders wait for {call.app}")
            task = asyncio.create_task(self._carry_out(call), name=f"order {call.order}")
            self._running[call.key] = call.attempt, task
            task.add_done_callback(lambda task: self._ended(call.key, task))
        elif not task.done():
            self._running[call.key] = call.attempt, task
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.shield(task)
        except TimeoutError:
            raise unavailable(f"{call.app} is at work with it") from None
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
            async with asyncio.timeout(LOOK_S):
                done = await self._give(call, probe.timeout / 1e9)
        except TimeoutError:
            raise unavailable(f"{self._grants.app} did not look within {LOOK_S:g} s") from None
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

    def _ended(self, key: str, task: "asyncio.Task[OrderAnswer]") -> None:
        def forget() -> None:
            if self._running.get(key, (0, None))[1] is task:
                del self._running[key]

        if task.cancelled() or task.exception() is not None:
            forget()
        else:
            asyncio.get_running_loop().call_later(KEPT_S, forget)

    async def _carry_out(self, call: OrderCall) -> OrderAnswer:
        try:
            async with asyncio.timeout(call.seconds):
                return await self._given(call)
        except TimeoutError:
            # Whoever asked has given up: what has not begun does not begin later. What has may still be done.
            self.failed += 1
            return OrderAnswer(False, f"{call.app} has not said within {call.seconds:g} s that it carried it out")

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
    """Return what the code of an app declares, which is what its manifest says of orders and probes, within the bounds.

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
    try:
        # The process is not trusted to have asked its decorators.
        for order in declared.orders:
            OnOrder(order.kind, order.effect, order.timeout)
        for probe in declared.probes:
            OnProbe(probe.name, probe.timeout)
        for report in declared.reports:
            OnReport(report.kind, report.every, report.late, report.timeout)
    except OrderDeclarationError as error:
        raise AppFailure(str(error)) from None
    return declared
