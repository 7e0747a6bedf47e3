"""What the host does with orders, looks and reports of an app that is slow, fails, does not start, or lies."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from gongfu.appkit.context.messages import AskPublish, Began, Done
from gongfu.appkit.context.order_messages import (
    CallOrder,
    CallProbe,
    CallReport,
    OrderDeclared,
    ProbeDeclared,
    ReportDeclared,
)
from gongfu.appkit.grants import Grants
from gongfu.appkit.host import ordering
from gongfu.appkit.host.answering import Answering
from gongfu.appkit.host.order_calls import OrderAnswer, OrderCall, ProbeQuestion
from gongfu.appkit.host.ordering import Ordering, check_declared
from gongfu.appkit.host.process import AppFailure
from gongfu.appkit.host.reporting import Reporting
from gongfu.appkit.manifest import EventNeed, Needs, parse_manifest
from gongfu.kernel.errors import Problem, invalid, unavailable
from tests.contract.appkit.bed import Points, Services, known

S = 10**9
DECLARED = Began(orders=(OrderDeclared("speed", "slow", S),), probes=(ProbeDeclared("slow", S),))
GRANTS = Grants("test.app", Needs(orders=("speed",), reports=("pumps", "broken")))
Give = Callable[[CallOrder | CallProbe, float], Awaitable[Done | None]]


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        done = False
        while not done:
            await asyncio.sleep(0.001)
            done = condition()


def begun(give: Give) -> Ordering:
    found = Ordering(GRANTS, give)
    found.begin(DECLARED)
    return found


def order(attempt: int = 1) -> OrderCall:
    body = msgspec.Raw(b"{}")
    return OrderCall(
        app="test.app", key="o/n", order="o", kind="speed", body=body, issued=1, issuer="n", attempt=attempt
    )


async def asked_until_answered(orders: Ordering, attempt: int) -> OrderAnswer:
    while True:
        try:
            return await orders.carry_out(order(attempt))
        except Problem as problem:
            if problem.status != 503:
                raise


async def test_a_look_at_an_app_that_does_not_start_ends_and_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ordering, "LOOK_S", 0.01)
    monkeypatch.setattr(ordering, "WAITING", 1)

    async def never(call: CallOrder | CallProbe, seconds: float) -> Done | None:
        await asyncio.Event().wait()

    orders = begun(never)
    for _ in range(3):
        with pytest.raises(Problem, match="did not look") as late:
            await orders.look(ProbeQuestion(app="test.app", kind="speed"))
        assert late.value.status == 503


async def test_who_asks_again_for_the_same_attempt_gets_its_failure_and_not_another_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ordering, "ANSWER_S", 0.01)
    runs: list[int] = []
    done = asyncio.Event()

    async def fail(call: CallOrder | CallProbe, seconds: float) -> Done | None:
        assert isinstance(call, CallOrder)
        runs.append(call.attempt)
        await done.wait()
        return Done(error="no")

    orders = begun(fail)
    # Nobody holds a place of the role for as long as the order takes.
    with pytest.raises(Problem, match="at work with it"):
        await orders.carry_out(order())
    done.set()
    await holds(lambda: orders.failed > 0)
    assert await asked_until_answered(orders, 1) == OrderAnswer(False, "no")
    assert runs == [1]
    assert await asked_until_answered(orders, 2) == OrderAnswer(False, "no")
    assert runs == [1, 2]


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (Began(reports=(ReportDeclared("pumps", 0, 0, S),)), "once a second"),
        (Began(reports=(ReportDeclared("pumps", S, 0, 2**61),)), "timeout of a report"),
        (Began(probes=(ProbeDeclared("slow", 2**61),)), "timeout of a probe"),
    ],
)
def test_what_no_decorator_lets_pass_the_host_does_not_take_either(declared: Began, says: str) -> None:
    manifest = b'[app]\nid = "test.app"\nversion = "1.0.0"\ntitle = { zh = "a", en = "a" }\n'
    with pytest.raises(AppFailure, match=says):
        check_declared(parse_manifest(manifest), declared)


class Node:
    """Takes all statements but that of one period; one of the kinds makes it fail."""

    def __init__(self) -> None:
        self.stated: set[int] = set()
        self.refused = 8

    def now(self) -> int:
        return 10 * S

    async def report_period(self, kind: str) -> int:
        if kind == "broken":
            raise RecursionError("too deep")
        return 1

    async def state_report(self, app: str, kind: str, start: int, cells: bytes) -> None:
        if start == self.refused * S:
            raise invalid("a key is unknown")
        self.stated.add(start // S)


async def test_a_report_or_a_period_that_fails_keeps_no_other_from_being_stated() -> None:
    async def give(call: CallReport, seconds: float) -> Done | None:
        return Done(body=b"[]")

    node, notes = Node(), dict[str, int]()
    reporting = Reporting(GRANTS, node, give, print)
    declared = Began(reports=(ReportDeclared("broken", S, 0, S), ReportDeclared("pumps", S, 0, S)))
    task = asyncio.create_task(reporting.run(declared, {"report pumps": 6 * S}, notes.__setitem__))
    await holds(lambda: len(reporting.trouble) == 2)
    assert not task.done()
    task.cancel()
    assert node.stated == {6, 7, 9, 10}
    assert notes == {}, "what was refused is not tried again"
    assert reporting.trouble == {"broken": "the node failed; its log says why", "pumps": "a key is unknown"}


async def test_a_question_waits_while_the_records_do_not_answer() -> None:
    class Away(Services):
        refusals = 2

        async def publish(self, app: str, asked: AskPublish) -> None:
            if self.refusals:
                self.refusals -= 1
                raise OperationalError("INSERT", {}, Exception("database is locked"))

    grants = Grants("test.app", Needs(events=EventNeed(publish=("seen",))))
    answering = Answering(grants, Away(Points(known(1, "m 1", "a"))), 0)
    question = AskPublish(kind="seen", asset="m 1", time=1, data=b"{}")
    assert (await answering.answer(question)).status == 503
    assert (await answering.answer(question, patient=True)).status == 0


async def test_nothing_more_is_asked_for_while_the_node_takes_nothing() -> None:
    calls: list[int] = []

    async def give(call: CallReport, seconds: float) -> Done | None:
        calls.append(call.start // S)
        raise unavailable("the tree is away")

    reporting = Reporting(GRANTS, Node(), give, print)
    declared = Began(reports=(ReportDeclared("pumps", S, 0, S),))
    task = asyncio.create_task(reporting.run(declared, {"report pumps": 6 * S}, dict[str, int]().__setitem__))
    await holds(lambda: bool(reporting.trouble))
    task.cancel()
    assert calls == [10]
