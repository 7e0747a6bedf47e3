"""Kind ``alarm-rule`` (规则下发): a rule that raises alarms is in force at the target.

The driver writes the rule under a name that says that it came from above. The probe does not read what is written: it
asks the workers which rule of that name they run, and compares all that it does.
"""

import asyncio
from typing import Any

import msgspec

from gongfu.kernel.permissions import NODE_TENANT
from gongfu.kernel.times import SECOND
from gongfu.node.drivers import standing
from gongfu.node.drivers.context import DriverContext, acting_for
from gongfu.node.drivers.outside import answers_of
from gongfu.reason.rules import records
from gongfu.reason.rules.service import RuleService
from gongfu.reason.rules.types import RuleBody, check_body
from gongfu.reason.running import RunningAnswer, RunningRequest, RunningRule
from gongfu.store.records.engine import reading, writing
from gongfu.tree.orders.kinds import Clock, Guard, OrderKind, Probe, Step
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight

_NAME = "alarm-rule"
_MINUTE = 60 * SECOND
PREFIX = "order: "
"""What the names of rules begin with that came as orders."""

KIND = OrderKind(
    name=_NAME,
    title={"zh": "规则下发", "en": "Alarm rule"},
    schema={
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 190},
            "kind": {"enum": ["threshold", "rate", "absence"]},
            "asset": {"type": "string", "minLength": 1, "maxLength": 1000},
            "point": {"type": "string", "minLength": 1, "maxLength": 200},
            "condition": {"type": "object"},
            "priority": {"enum": ["critical", "high", "medium", "low"]},
            "message": {"type": "string", "maxLength": 500},
        },
        "required": ["name", "kind", "asset", "point", "condition"],
        "additionalProperties": False,
    },
    may_issue=("*",),
    approvals=1,
    guard=Guard(most_targets=10_000, most_share=1.0, most_per_hour=50_000),
    clocks={
        Step.DELIVER: Clock(within=10 * _MINUTE, escalate_after=_MINUTE * 60, escalate_to="operator"),
        Step.EXECUTE: Clock(within=20 * _MINUTE, escalate_after=_MINUTE * 60, escalate_to="operator"),
        Step.VERIFY: Clock(within=30 * _MINUTE, escalate_after=_MINUTE * 60, escalate_to="operator"),
    },
    driver=_NAME,
    probe=Probe(name=_NAME, delay=SECOND, every=2 * SECOND, within=60 * SECOND),
    idempotent=True,
    can_roll_back=True,
)


def rule_of(payload: msgspec.Raw) -> RuleBody:
    """Return the rule of an order, with the name it has here.

    Raises:
        Problem: 400 when the rule makes no sense.
    """
    document: dict[str, Any] = msgspec.json.decode(payload)
    body = msgspec.convert({**document, "name": PREFIX + document["name"], "enabled": True}, RuleBody)
    check_body(body)
    return body


class AlarmRuleDriver:
    """Writes rules. Of several orders about a name the latest that stands decides."""

    def __init__(self, context: DriverContext) -> None:
        self._engine = context.engine
        self._clock = context.clock
        self._rules = RuleService(context.engine, context.clock, lambda change: context.publish("rule", change))

    async def run(self, call: DriverCall) -> DriverResult:
        """Write the rule, or the one that was there before."""
        return await asyncio.to_thread(self._take_back if call.rollback else self._bring_about, call)

    def _bring_about(self, call: DriverCall) -> DriverResult:
        body = rule_of(call.payload)
        with writing(self._engine) as connection:
            due = standing.stand(
                connection,
                _NAME,
                f"rule/{body.name}",
                call.order,
                lambda: self._present(connection, body.name),
                msgspec.to_builtins(body),
                self._clock.now_ns(),
            )
        return DriverResult(True, self._write(call.order, body.name, due))

    def _take_back(self, call: DriverCall) -> DriverResult:
        with reading(self._engine) as connection:
            things = standing.things_of(connection, _NAME, call.order)
        said = [self._write(call.order, thing.removeprefix("rule/"), due) for thing, due in things]
        with writing(self._engine) as connection:
            standing.forget(connection, _NAME, call.order)
        return DriverResult(True, "; ".join(said) or "nothing of this order was in force")

    def _present(self, connection: Any, name: str) -> dict[str, Any] | None:
        rule = records.named(connection, NODE_TENANT, name)
        if rule is None:
            return None
        return msgspec.to_builtins(rule.body())

    def _write(self, order: str, name: str, due: dict[str, Any] | None) -> str:
        subject = acting_for(order)
        with reading(self._engine) as connection:
            present = records.named(connection, NODE_TENANT, name)
        if due is None:
            if present is not None:
                self._rules.remove(subject, present.id)
            return f"no rule {name!r}"
        body = msgspec.convert(due, RuleBody)
        if present is None:
            rule, _ = self._rules.create(subject, body)
        else:
            # Written again even if it is the same: the announcement may be missing.
            rule, _ = self._rules.replace(subject, present.id, body)
        return f"rule {name!r} is {rule.id}"


class AlarmRuleProbe:
    """Asks all workers which rule of the name they run."""

    def __init__(self, context: DriverContext) -> None:
        self._context = context

    async def look(self, call: ProbeCall) -> Seen:
        """Compare what runs with what the order says."""
        wanted = _meaning(rule_of(call.payload))
        request = RunningRequest(NODE_TENANT, [str(wanted["name"])])
        answers = await answers_of(self._context, "worker", "rules", request)
        if answers is None:
            return Seen(Sight.UNKNOWN, "not every worker answers")
        partitions: dict[str, list[RunningRule]] = {}
        for answer in answers:
            partitions.update(msgspec.convert(answer, RunningAnswer).partitions)
        if not partitions:
            return Seen(Sight.UNKNOWN, "no partition is being worked on")
        for partition, rules in sorted(partitions.items()):
            running = [msgspec.to_builtins(rule) for rule in rules]
            found = [{key: value for key, value in rule.items() if key != "id"} for rule in running]
            if found != [wanted]:
                text = msgspec.json.encode(found).decode() if found else "no rule of that name"
                return Seen(Sight.ABSENT, f"partition {partition} runs {text}")
        return Seen(Sight.PRESENT, f"{len(partitions)} partitions run exactly this rule")


def _meaning(body: RuleBody) -> dict[str, Any]:
    return {
        "name": body.name,
        "kind": str(body.kind),
        "asset": body.asset,
        "point": body.point,
        "condition": msgspec.to_builtins(check_body(body)),
        "priority": str(body.priority),
        "message": body.message,
        "unit": body.unit,
        "lateness_s": body.lateness_s,
    }
