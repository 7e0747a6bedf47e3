"""Calls drivers, each key once at a time, and brings their answers back. On the event loop."""

import asyncio
from collections.abc import Callable

from gongfu.kernel.errors import Problem
from gongfu.tree.orders.context import Context, log
from gongfu.tree.orders.plugins import DriverCall, DriverResult

_AGAIN_SECONDS = 1.0

Finish = Callable[[str, int, DriverResult], Callable[..., object]]
"""(order, attempt, result) → the turn that notes it."""


class Driving:
    """The drivers that run now.

    Args:
        context: of the node.
        finish: makes the turn that stores an answer.
    """

    def __init__(self, context: Context, finish: Finish) -> None:
        self._context = context
        self._finish = finish
        self._room = asyncio.Semaphore(context.limits.calls)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # The last attempt by key: a call that goes on answers for the one that was asked for last.
        self._attempts: dict[str, int] = {}

    def calling(self, key: str) -> bool:
        """Return whether a driver runs with the key; may be asked on any thread."""
        return key in self._tasks

    def call(self, driver: str, call: DriverCall) -> None:
        """Call a driver, unless it runs with the key already."""
        self._attempts[call.key] = call.attempt
        if call.key in self._tasks:
            return
        task = asyncio.get_running_loop().create_task(self._run(driver, call))
        self._tasks[call.key] = task
        task.add_done_callback(lambda _: self._ended(call.key))

    async def stop(self) -> None:
        """Cancel all calls; what they were doing is asked for again at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: str) -> None:
        self._tasks.pop(key, None)
        self._attempts.pop(key, None)

    async def _run(self, name: str, call: DriverCall) -> None:
        async with self._room:
            result = await self._answer(name, call)
        while True:
            try:
                await self._context.host.turn(self._finish(call.order, self._attempts[call.key], result))
                return
            except Problem as problem:
                log.warning("the result of %s waits: %s", call.key, problem)
            except Exception:
                log.exception("the result of %s could not be stored; it is tried again", call.key)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _answer(self, name: str, call: DriverCall) -> DriverResult:
        driver = self._context.drivers.get(name)
        if driver is None:
            return DriverResult(False, f"there is no driver {name} here")
        try:
            result = await asyncio.wait_for(driver.run(call), self._context.limits.driver_seconds)
        except TimeoutError:
            return DriverResult(False, "the driver did not answer in time")
        except Exception as error:
            log.warning("driver %s: %s", name, error)
            return DriverResult(False, f"{type(error).__name__}: {error}"[:1000])
        return DriverResult(result.succeeded, result.detail[:1000])
