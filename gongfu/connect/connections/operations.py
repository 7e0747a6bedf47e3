"""What the role that runs connections does when it is asked: on an open connection, or on a driver opened for it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from gongfu.connect.connections.checking import problem_of
from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.connect.connections.types import (
    Ask,
    Called,
    FoundList,
    NodeList,
    ReadValue,
    Target,
    TestAnswer,
    ValueList,
    Written,
)
from gongfu.connect.kit.loading import driver_of, make_driver
from gongfu.connect.kit.manifest import OptionsError, check_options, secret_names
from gongfu.connect.kit.methods import Calling, Output, Signature, in_order
from gongfu.connect.kit.running import OPEN_S, RunningConnection
from gongfu.connect.kit.types import Context, Driver, DriverError, Reason, Timing
from gongfu.connect.kit.values import Conversion, Rejection
from gongfu.connect.preview.looking import look
from gongfu.kernel.errors import Problem, not_found
from gongfu.kernel.quality import severity
from gongfu.kernel.times import format_rfc3339

T = TypeVar("T")

_REQUEST_S = 60.0


class Operations:
    """Answers ``Ask``. Use from one event loop.

    Args:
        running: returns the connection that runs under an id, None when none does.
        secrets: directories of drivers.
        timing: clocks.
    """

    def __init__(
        self, running: Callable[[int, int], RunningConnection | None], secrets: ConnectionSecrets, timing: Timing
    ) -> None:
        self._running = running
        self._secrets = secrets
        self._timing = timing

    async def answer(self, ask: Ask) -> Any:
        """Return the answer.

        Raises:
            Problem: the machine cannot be asked; with reason, what happened, and what to do.
        """
        operation = {
            "test": self._test,
            "discover": self._discover,
            "browse": self._browse,
            "read": self._read,
            "write": self._write,
            "signature": self._signature,
            "call": self._call,
            "preview": self._preview,
        }[ask.operation]
        try:
            return await operation(ask)
        except DriverError as error:
            raise problem_of(error) from None
        except TimeoutError:
            raise problem_of(
                DriverError(Reason.TIMEOUT, f"the machine did not answer in {_REQUEST_S:g} s.", "Ask for less at once.")
            ) from None

    async def _test(self, ask: Ask) -> TestAnswer:
        began = self._timing.monotonic()

        async def health(driver: Driver) -> dict[str, Any]:
            return dict(await driver.health())

        try:
            figures = await self._with(ask, health)
        except DriverError as error:
            return TestAnswer(ok=False, reason=error.reason.value, what=error.what, advice=error.advice)
        return TestAnswer(ok=True, seconds=round(self._timing.monotonic() - began, 3), health=figures)

    async def _discover(self, ask: Ask) -> FoundList:
        if ask.target.connection:
            return FoundList(await self._with(ask, lambda driver: driver.discover()))
        driver = self._driver(ask.target)
        try:
            async with asyncio.timeout(_REQUEST_S):
                return FoundList(await driver.discover())
        finally:
            await driver.close()

    async def _browse(self, ask: Ask) -> NodeList:
        page = await self._with(ask, lambda driver: driver.browse(ask.parent, ask.limit, ask.cursor))
        return NodeList(page.items, page.next or None)

    async def _read(self, ask: Ask) -> ValueList:
        readings = await self._with(ask, lambda driver: driver.read(ask.addresses))
        return ValueList(
            [
                ReadValue(
                    point=ask.addresses[reading.address].point,
                    asset=ask.addresses[reading.address].asset,
                    where=ask.addresses[reading.address].where,
                    value=reading.value,
                    quality=severity(reading.quality),
                    source_time=format_rfc3339(reading.source_time) if reading.source_time else None,
                )
                for reading in readings
            ]
        )

    async def _write(self, ask: Ask) -> Written:
        result = await self._with(ask, lambda driver: driver.write(ask.addresses[0], ask.value))
        read_back = result.read_back
        if read_back is not None:
            # In the point's terms, as the value was given; what does not fit them stands as it is.
            with suppress(Rejection):
                read_back, _ = Conversion(ask.addresses[0]).store(read_back, 0)
        return Written(confirmed=result.confirmed, read_back=read_back, detail=result.detail)

    async def _signature(self, ask: Ask) -> Signature:
        return await self._with(ask, lambda driver: _calling(driver).signature(ask.method))

    async def _call(self, ask: Ask) -> Called:
        async def work(driver: Driver) -> list[Output]:
            calling = _calling(driver)
            arguments = in_order(ask.arguments, await calling.signature(ask.method), ask.method)
            return await calling.call_method(ask.object, ask.method, arguments)

        return Called(await self._with(ask, work))

    async def _preview(self, ask: Ask) -> Any:
        manifest = driver_of(ask.target.protocol).manifest if ask.target.protocol else None
        hidden = secret_names(manifest) if manifest else frozenset[str]()
        shown = {name: value for name, value in ask.target.options.items() if name not in hidden}
        return await self._with(
            ask,
            lambda driver: look(
                driver,
                self._timing,
                name=ask.name,
                asset=ask.asset,
                url=ask.target.url,
                options=shown,
                parent=ask.parent,
                limit=ask.limit,
                record=ask.record,
            ),
            within=_REQUEST_S + ask.record,
        )

    async def _with(self, ask: Ask, use: Callable[[Driver], Awaitable[T]], within: float = _REQUEST_S) -> T:
        """Let ``use`` have an open driver."""
        target = ask.target
        if target.connection and ask.operation != "preview":
            running = self._running(target.connection, ask.tenant)
            if running is None:
                raise not_found(f"connection {target.connection} does not run: it is paused")
            return await running.request(use, within)
        if target.connection:
            raise Problem(400, "invalid-request", "The request is not valid", "preview needs a url")
        driver = self._driver(target)
        try:
            try:
                async with asyncio.timeout(OPEN_S):
                    await driver.open()
            except TimeoutError:
                raise DriverError(
                    Reason.TIMEOUT,
                    f"{target.url} was not connected within {OPEN_S:g} s.",
                    "See whether the address is right and a firewall drops the answers.",
                ) from None
            async with asyncio.timeout(within):
                return await use(driver)
        finally:
            await driver.close()

    def _driver(self, target: Target) -> Driver:
        available = driver_of(target.protocol)
        try:
            options = check_options(available.manifest, target.options)
        except OptionsError as error:
            raise Problem(400, "invalid-request", "The request is not valid", str(error)) from None
        context = Context(target.url, options, "preview", self._secrets.trial(), self._timing)
        return make_driver(available, context)


def _calling(driver: Driver) -> Calling:
    if isinstance(driver, Calling):
        return driver
    raise DriverError(
        Reason.UNSUPPORTED,
        f"{driver.manifest.protocol} has no methods.",
        "Write to points instead, where it has those.",
    )
