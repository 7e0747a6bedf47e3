"""HTTP of back-tests: a job that is started, followed and cancelled."""

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.reason.backtest.jobs import Backtests
from gongfu.reason.backtest.types import Backtest, BacktestBody
from gongfu.rest.routing import Call, Route


class BacktestList(msgspec.Struct, frozen=True):
    """The back-tests of a tenant that are kept, the newest first, without results."""

    items: list[Backtest]


def routes(backtests: Backtests) -> list[Route]:
    """Return the operations."""

    async def start(call: Call) -> Backtest:
        return await backtests.start(call.subject, call.body)

    async def every(call: Call) -> BacktestList:
        return BacktestList(backtests.every(call.subject))

    async def get(call: Call) -> Backtest:
        return backtests.get(call.subject, call.path["id"])

    async def cancel(call: Call) -> None:
        await backtests.cancel(call.subject, call.path["id"])

    write = Action.RULE_WRITE
    return [
        Route("POST", "/rules:backtest", write, start, "Try a rule on history", BacktestBody, Backtest, 202),
        Route("GET", "/backtests", Action.READ, every, "List back-tests", None, BacktestList),
        Route("GET", "/backtests/{id}", Action.READ, get, "A back-test: progress, then its result", None, Backtest),
        Route("DELETE", "/backtests/{id}", write, cancel, "Cancel or forget a back-test", None, None, 204),
    ]
