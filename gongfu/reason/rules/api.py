"""HTTP of rules."""

import asyncio

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.reason.rules.documents import parse_rules, write_rules
from gongfu.reason.rules.service import AppliedRules, RuleDocument, RuleService, document
from gongfu.reason.rules.types import Rule, RuleBody
from gongfu.reason.status import ReasonState, RuleState, Worker
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Raw, Route

_YAML = "application/yaml"  # RFC 9512


class RulePage(msgspec.Struct, frozen=True):
    """A page of rules in order of id."""

    items: list[RuleDocument]
    next: str | None


def _state_of(rule: Rule, state: ReasonState | None) -> RuleState | None:
    if state is None:
        return None
    if not rule.enabled:
        return RuleState(error="disabled")
    return state.rules.get(str(rule.id), RuleState(error="the worker has not compiled it yet"))


def routes(service: RuleService, worker: Worker) -> list[Route]:
    """Return the operations."""

    async def list_rules(call: Call) -> Page:
        after = cursor_of(call, int) or 0
        rules, key = await asyncio.to_thread(service.page, call.subject, after, limit_of(call))
        state = await worker.state([rule.id for rule in rules])
        items = [document(rule, _state_of(rule, state)) for rule in rules]
        return Page(items, None if key is None else encode_cursor(key))

    async def get(call: Call) -> RuleDocument:
        rule = await asyncio.to_thread(service.get, call.subject, call.integer("id"))
        return document(rule, _state_of(rule, await worker.state([rule.id])))

    async def create(call: Call) -> RuleDocument:
        return document(*await asyncio.to_thread(service.create, call.subject, call.body))

    async def replace(call: Call) -> RuleDocument:
        return document(*await asyncio.to_thread(service.replace, call.subject, call.integer("id"), call.body))

    async def remove(call: Call) -> None:
        await asyncio.to_thread(service.remove, call.subject, call.integer("id"))

    async def export(call: Call) -> Raw:
        bodies = await asyncio.to_thread(service.bodies, call.subject)
        text = await asyncio.to_thread(write_rules, bodies)
        return Raw(text.encode(), _YAML, {"content-disposition": 'attachment; filename="rules.yaml"'})

    async def one_as_yaml(call: Call) -> Raw:
        rule = await asyncio.to_thread(service.get, call.subject, call.integer("id"))
        return Raw(write_rules([rule.body()]).encode(), _YAML)

    async def apply(call: Call) -> AppliedRules:
        dry_run = call.query.get("dry_run", "") in ("1", "true", "yes")
        bodies = await asyncio.to_thread(parse_rules, call.body)
        return await asyncio.to_thread(lambda: service.apply(call.subject, bodies, dry_run=dry_run))

    write = Action.RULE_WRITE
    return [
        Route("GET", "/rules", Action.READ, list_rules, "List rules (?limit, ?cursor)", None, RulePage),
        Route("POST", "/rules", write, create, "Add a rule", RuleBody, RuleDocument, 201),
        Route("GET", "/rules:export", Action.READ, export, "Rules of people as a YAML file"),
        Route("POST", "/rules:apply", write, apply, "Add or replace rules by name (YAML)", bytes, AppliedRules),
        Route("GET", "/rules/{id}/yaml", Action.READ, one_as_yaml, "A rule as YAML"),
        Route("GET", "/rules/{id}", Action.READ, get, "A rule with its state", None, RuleDocument),
        Route("PUT", "/rules/{id}", write, replace, "Replace a rule", RuleBody, RuleDocument),
        Route("DELETE", "/rules/{id}", write, remove, "Remove a rule", None, None, 204),
    ]
