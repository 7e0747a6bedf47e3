"""The commands of the identifier role: what the API asks of it on the bus (``identify.<command>``)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gongfu.bus.commands import Command
from gongfu.identify.management import requests as asked
from gongfu.identify.management.applications import Applications
from gongfu.identify.management.classes import Classes
from gongfu.identify.management.documents import (
    ApplicationView,
    NewApplication,
    NewClass,
    NewPrefix,
    NewTemplate,
)
from gongfu.identify.management.prefixes import Prefixes
from gongfu.identify.management.ranges import Ranges
from gongfu.identify.management.record_documents import NewRecord, RecordChange
from gongfu.identify.management.registrations import Registrations
from gongfu.identify.management.resolve_documents import ResolveWish
from gongfu.identify.management.resolving import Resolving
from gongfu.identify.management.templates import Templates
from gongfu.identify.namespace.types import PrefixState
from gongfu.identify.onboarding.application import Step
from gongfu.identify.service.writes import Operation
from gongfu.identify.templates.types import TemplateState
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Subject

Answer = Callable[[Subject, Any], Awaitable[Any]]
# What a step does with the prefix that was granted.
_STATE_AFTER = {
    Step.SUSPEND: PrefixState.SUSPENDED,
    Step.RESUME: PrefixState.ACTIVE,
    Step.REVOKE: PrefixState.REVOKED,
}


@dataclass(frozen=True, slots=True)
class UseCases:
    """All use cases of the service."""

    applications: Applications
    prefixes: Prefixes
    templates: Templates
    classes: Classes
    registrations: Registrations
    resolving: Resolving
    ranges: Ranges


def commands(cases: UseCases) -> list[Command]:
    """Return the commands."""
    return [
        *_of_records(cases.registrations),
        Command("resolve", ResolveWish, cases.resolving.resolve),
        *_of_prefixes(cases.prefixes),
        *_of_applications(cases),
        *_of_templates(cases.templates),
        *_of_classes(cases.classes),
        *_of_ranges(cases.ranges),
    ]


def _of_ranges(ranges: Ranges) -> list[Command]:
    async def listed(_: Subject, wish: asked.ListRanges) -> asked.RangeList:
        return ranges.page(wish)

    async def define(subject: Subject, new: asked.NewRange) -> asked.RangeDone:
        return await ranges.define(subject, new)

    async def remove(_: Subject, one: asked.OneRange) -> asked.RangeRemoved:
        return await ranges.remove(one)

    return [
        Command("range-list", asked.ListRanges, listed),
        Command("range-define", asked.NewRange, define),
        Command("range-remove", asked.OneRange, remove),
    ]


def _of_records(records: Registrations) -> list[Command]:
    async def show(subject: Subject, one: asked.OneHandle) -> Any:
        return records.show(subject, one.handle)

    async def listed(_: Subject, wish: asked.ListHandles) -> asked.HandleList:
        return asked.HandleList(*records.list(wish.prefix, wish.after, wish.limit))

    async def create(_: Subject, new: NewRecord) -> Any:
        return await records.put(Operation.CREATE, new)

    async def put(_: Subject, new: NewRecord) -> Any:
        return await records.put(Operation.PUT, new)

    async def change(_: Subject, wish: RecordChange) -> Any:
        return await records.change(wish)

    async def delete(_: Subject, one: asked.OneHandle) -> Any:
        return await records.delete(one.handle)

    return [
        Command("record-show", asked.OneHandle, show),
        Command("record-list", asked.ListHandles, listed),
        Command("record-create", NewRecord, create),
        Command("record-put", NewRecord, put),
        Command("record-change", RecordChange, change),
        Command("record-delete", asked.OneHandle, delete),
    ]


def _of_prefixes(prefixes: Prefixes) -> list[Command]:
    async def create(subject: Subject, new: NewPrefix) -> Any:
        return await prefixes.create(subject, new)

    async def show(_: Subject, one: asked.OneName) -> Any:
        return await prefixes.get(one.name)

    async def change(subject: Subject, wish: asked.ChangePrefix) -> Any:
        return await prefixes.change(subject, wish.name, wish.change)

    async def listed(_: Subject, wish: asked.ListPrefixes) -> asked.PrefixList:
        found = await prefixes.page(
            wish.after, wish.limit, search=wish.search, state=wish.state, enterprise=wish.enterprise
        )
        return asked.PrefixList(*found)

    return [
        Command("prefix-create", NewPrefix, create),
        Command("prefix-show", asked.OneName, show),
        Command("prefix-change", asked.ChangePrefix, change),
        Command("prefix-list", asked.ListPrefixes, listed),
    ]


def _of_applications(cases: UseCases) -> list[Command]:
    applications, prefixes = cases.applications, cases.prefixes

    async def create(subject: Subject, new: NewApplication) -> Any:
        return await asyncio.to_thread(applications.create, subject, new)

    async def change(subject: Subject, wish: asked.ChangeApplication) -> Any:
        return await asyncio.to_thread(applications.change, subject, wish.number, wish.change)

    async def show(_: Subject, one: asked.OneNumber) -> Any:
        return await asyncio.to_thread(applications.get, one.number)

    async def listed(_: Subject, wish: asked.ListApplications) -> asked.ApplicationList:
        found = await asyncio.to_thread(applications.page, wish.state, wish.search, wish.before, wish.limit)
        return asked.ApplicationList(*found)

    async def steps(_: Subject, one: asked.OneNumber) -> Any:
        return await asyncio.to_thread(applications.steps, one.number)

    async def step(subject: Subject, wish: asked.StepApplication) -> ApplicationView:
        if wish.step not in set(Step) - {Step.APPROVE}:
            raise invalid(f"no such step: {wish.step[:40]!r}")
        taken = Step(wish.step)
        done = await asyncio.to_thread(applications.take, subject, wish.number, taken, wish.words)
        if taken in _STATE_AFTER:
            await prefixes.become(subject, done.prefix, _STATE_AFTER[taken])
        return done

    async def approve(subject: Subject, wish: asked.ApproveApplication) -> ApplicationView:
        approval, loop = wish.approval, asyncio.get_running_loop()

        def grant(application: ApplicationView) -> str:
            granting = prefixes.grant(subject, application, approval.prefix, approval.quota)
            return asyncio.run_coroutine_threadsafe(granting, loop).result()

        return await asyncio.to_thread(applications.take, subject, wish.number, Step.APPROVE, approval.words, grant)

    async def hand_in(subject: Subject, one: asked.HandIn) -> Any:
        return await asyncio.to_thread(
            applications.add_document, subject, one.number, one.kind, one.name, one.media_type, one.content
        )

    async def document(_: Subject, one: asked.OneDocument) -> asked.DocumentContent:
        view, content = await asyncio.to_thread(applications.document, one.number, one.digest)
        return asked.DocumentContent(view.name, view.media_type, content)

    async def take_back(subject: Subject, one: asked.OneDocument) -> Any:
        return await asyncio.to_thread(applications.remove_document, subject, one.number, one.digest)

    return [
        Command("application-create", NewApplication, create),
        Command("application-change", asked.ChangeApplication, change),
        Command("application-show", asked.OneNumber, show),
        Command("application-list", asked.ListApplications, listed),
        Command("application-steps", asked.OneNumber, steps),
        Command("application-step", asked.StepApplication, step),
        Command("application-approve", asked.ApproveApplication, approve),
        Command("document-hand-in", asked.HandIn, hand_in),
        Command("document-show", asked.OneDocument, document),
        Command("document-take-back", asked.OneDocument, take_back),
    ]


def _of_templates(templates: Templates) -> list[Command]:
    async def listed(_: Subject, wish: asked.ListTemplates) -> asked.TemplateList:
        return asked.TemplateList(await templates.page(wish.state, wish.search))

    async def versions(_: Subject, one: asked.OneName) -> asked.TemplateList:
        return asked.TemplateList(await templates.versions(one.name))

    async def show(_: Subject, one: asked.OneVersion) -> Any:
        return await templates.get(one.name, one.version)

    async def create(subject: Subject, new: NewTemplate) -> Any:
        return await templates.create(subject, new)

    async def write(subject: Subject, wish: asked.WriteTemplate) -> Any:
        return await templates.write(subject, wish.name, wish.version, wish.text)

    async def remove(subject: Subject, one: asked.OneVersion) -> None:
        await templates.remove(subject, one.name, one.version)

    def become(state: TemplateState) -> Answer:
        async def answer(subject: Subject, one: asked.OneVersion) -> Any:
            return await templates.become(subject, one.name, one.version, state)

        return answer

    async def next_version(subject: Subject, one: asked.OneName) -> Any:
        return await templates.next_version(subject, one.name)

    async def copy(subject: Subject, wish: asked.CopyOf) -> Any:
        return await templates.copy(subject, wish.name, wish.copy.name)

    return [
        Command("template-list", asked.ListTemplates, listed),
        Command("template-versions", asked.OneName, versions),
        Command("template-show", asked.OneVersion, show),
        Command("template-create", NewTemplate, create),
        Command("template-write", asked.WriteTemplate, write),
        Command("template-remove", asked.OneVersion, remove),
        Command("template-publish", asked.OneVersion, become(TemplateState.PUBLISHED)),
        Command("template-withdraw", asked.OneVersion, become(TemplateState.WITHDRAWN)),
        Command("template-next-version", asked.OneName, next_version),
        Command("template-copy", asked.CopyOf, copy),
    ]


def _of_classes(classes: Classes) -> list[Command]:
    async def listed(_: Subject, wish: asked.ListNumbers) -> asked.ClassList:
        return asked.ClassList(*await classes.page(wish.after, wish.limit))

    async def show(_: Subject, one: asked.OneNumber) -> Any:
        return await classes.get(one.number)

    async def create(subject: Subject, new: NewClass) -> Any:
        return await classes.create(subject, new)

    async def change(subject: Subject, wish: asked.ChangeClass) -> Any:
        return await classes.change(subject, wish.number, wish.change)

    return [
        Command("class-list", asked.ListNumbers, listed),
        Command("class-show", asked.OneNumber, show),
        Command("class-create", NewClass, create),
        Command("class-change", asked.ChangeClass, change),
    ]
