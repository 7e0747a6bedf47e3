"""Key figures are computed in turn; what is too much is refused with the time to wait."""

import asyncio
import threading

import pytest

from gongfu.kernel.errors import Problem
from gongfu.reason.alarms.kpi.turns import Turns


class Work:
    """A query that lasts until it is let go; counts how many are at work."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.at_work = self.most = 0

    def __call__(self) -> str:
        with self.lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.begun.release()
        assert self.go.wait(60)
        with self.lock:
            self.at_work -= 1
        return "figures"


async def refusal(turns: Turns, tenant: int, work: Work) -> Problem:
    with pytest.raises(Problem) as caught:
        await turns.run(tenant, work)
    return caught.value


def test_few_work_some_wait_and_the_others_are_told_when_to_come_again() -> None:
    async def story() -> None:
        turns, work = Turns(at_once=1, most=4, most_of_tenant=3), Work()
        accepted = [asyncio.create_task(turns.run(1, work)) for _ in range(3)]
        await asyncio.sleep(0)
        own = await refusal(turns, 1, work)
        accepted.append(asyncio.create_task(turns.run(2, work)))
        await asyncio.sleep(0)
        full = await refusal(turns, 3, work)
        assert (own.status, full.status) == (429, 503)
        assert own.extra["retry_after"] == full.extra["retry_after"] >= 1
        work.go.set()
        assert await asyncio.gather(*accepted) == ["figures"] * 4
        assert work.most == 1
        assert await asyncio.gather(*(turns.run(1, work) for _ in range(3))) == ["figures"] * 3

    asyncio.run(story())


def test_who_goes_away_gives_up_a_turn_that_has_not_begun_only() -> None:
    async def story() -> None:
        turns, work = Turns(at_once=1, most=2, most_of_tenant=2), Work()
        first, second = (asyncio.create_task(turns.run(1, work)) for _ in range(2))
        await asyncio.to_thread(work.begun.acquire)
        first.cancel()
        second.cancel()
        await asyncio.wait([first, second])
        # The one that works cannot be stopped, and still counts.
        waiting = asyncio.create_task(turns.run(2, work))
        await asyncio.sleep(0)
        assert (await refusal(turns, 2, work)).status == 503
        work.go.set()
        assert await waiting == "figures"

    asyncio.run(story())


def test_a_failure_gives_its_turn_back() -> None:
    def fails() -> None:
        raise ZeroDivisionError

    async def story() -> None:
        turns = Turns(at_once=1, most=1, most_of_tenant=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await turns.run(1, fails)

    asyncio.run(story())
