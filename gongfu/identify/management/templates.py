"""Templates and their versions: use cases. A published version never changes; drafts may."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from gongfu.identify.management import template_records as rows
from gongfu.identify.management.documents import NewTemplate, TemplateText
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.templates.types import (
    Template,
    TemplateError,
    TemplateReason,
    TemplateState,
    become,
    check_template,
    next_version,
)
from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing


def template_of(row: Any) -> Template:
    """Return the version that a row says."""
    return msgspec.convert({**row.body, "name": row.name, "version": row.version, "state": row.state}, Template)


class Templates:
    """Use cases, on the event loop."""

    def __init__(self, engine: Engine, clock: Clock, identifiers: Identifiers) -> None:
        """Make it."""
        self._engine = engine
        self._clock = clock
        self._identifiers = identifiers
        self._turn = asyncio.Lock()

    async def page(self, state: str, search: str) -> list[Template]:
        """Return all versions, by name, the newest of each first."""
        if state and state not in {one.value for one in TemplateState}:
            raise invalid(f"state must be one of {', '.join(TemplateState)}")

        def read() -> list[Template]:
            with reading(self._engine) as connection:
                return [template_of(row) for row in rows.all_of(connection)]

        wanted = search.casefold()
        return [
            one
            for one in await asyncio.to_thread(read)
            if (not state or one.state == state)
            and (wanted in one.name or any(wanted in text.casefold() for text in one.title.values()))
        ]

    async def versions(self, name: str) -> list[Template]:
        """Return the versions of a template, newest first.

        Raises:
            Problem: 404.
        """

        def read() -> list[Template]:
            with reading(self._engine) as connection:
                return [template_of(row) for row in rows.versions(connection, name)]

        found = await asyncio.to_thread(read)
        if not found:
            raise not_found(f"template {name[:80]}")
        return found

    async def get(self, name: str, version: int) -> Template:
        """Return a version.

        Raises:
            Problem: 404.
        """

        def read() -> Any:
            with reading(self._engine) as connection:
                return _row(connection, name, version)

        return template_of(await asyncio.to_thread(read))

    async def create(self, subject: Subject, new: NewTemplate) -> Template:
        """Make the first version, a draft.

        Raises:
            Problem: 409 there is one of this name; 400 it contradicts itself.
        """
        template = Template(
            name=new.name, title=new.title, industry=new.industry, attributes=_attributes(new.attributes)
        )
        return await self._insert(subject, "create", lambda connection: _first(connection, template))

    async def copy(self, subject: Subject, name: str, copy: str) -> Template:
        """Make a draft of another name from the newest version.

        Raises:
            Problem: 404; 409 there is one of this name.
        """

        def make(connection: Connection) -> Template:
            newest = template_of(_newest(connection, name))
            draft = msgspec.structs.replace(newest, name=copy, version=1, state=TemplateState.DRAFT)
            return _first(connection, draft)

        return await self._insert(subject, "copy", make)

    async def next_version(self, subject: Subject, name: str) -> Template:
        """Make a draft of the version after the newest.

        Raises:
            Problem: 404; 409 the newest is a draft.
        """
        return await self._insert(subject, "next-version", lambda c: next_version(template_of(_newest(c, name))))

    async def write(self, subject: Subject, name: str, version: int, text: TemplateText) -> Template:
        """Replace what a draft says.

        Raises:
            Problem: 404; 409 it is no draft; 400 it contradicts itself, or an earlier version.
        """

        def change(connection: Connection, row: Any) -> Template:
            _check_draft(row)
            draft = msgspec.structs.replace(
                template_of(row), title=text.title, industry=text.industry, attributes=_attributes(text.attributes)
            )
            return _checked(connection, draft)

        return await self._change(subject, "write", name, version, change)

    async def become(self, subject: Subject, name: str, version: int, state: TemplateState) -> Template:
        """Publish or withdraw a version.

        Raises:
            Problem: 404; 409 not from its present state.
        """
        return await self._change(
            subject, state.value, name, version, lambda connection, row: become(template_of(row), state)
        )

    async def remove(self, subject: Subject, name: str, version: int) -> None:
        """Remove a draft.

        Raises:
            Problem: 404; 409 it is no draft.
        """
        now = self._clock.now_ns()

        def remove() -> None:
            with writing(self._engine) as connection:
                row = _row(connection, name, version)
                _check_draft(row)
                rows.remove(connection, row.number)
                _note(connection, subject, "remove", name, version, now)

        async with self._turn:
            await asyncio.to_thread(remove)

    async def _insert(self, subject: Subject, verb: str, make: Callable[[Connection], Template]) -> Template:
        now = self._clock.now_ns()

        def insert() -> tuple[int, Template]:
            with writing(self._engine) as connection:
                template = _guarded(lambda: _checked(connection, make(connection)))
                values = {"name": template.name, "version": template.version, **_columns(template, now)}
                number = rows.insert(connection, values)
                _note(connection, subject, verb, template.name, template.version, now)
                return number, template

        async with self._turn:
            _, template = await asyncio.to_thread(insert)
        return template

    async def _change(
        self, subject: Subject, verb: str, name: str, version: int, make: Callable[[Connection, Any], Template]
    ) -> Template:
        now = self._clock.now_ns()

        def change() -> tuple[int, Template]:
            with writing(self._engine) as connection:
                row = _row(connection, name, version)
                template = _guarded(lambda: make(connection, row))
                rows.change(connection, row.number, _columns(template, now))
                _note(connection, subject, verb, name, version, now)
                return row.number, template

        async with self._turn:
            number, template = await asyncio.to_thread(change)
            # Records are never made of drafts, which may change.
            if template.state is not TemplateState.DRAFT:
                await self._identifiers.set_template(number, template)
        return template


def _row(connection: Connection, name: str, version: int) -> Any:
    row = rows.find(connection, name, version)
    if row is None:
        raise not_found(f"template {name[:80]} version {version}")
    return row


def _newest(connection: Connection, name: str) -> Any:
    found = rows.versions(connection, name)
    if not found:
        raise not_found(f"template {name[:80]}")
    return found[0]


def _first(connection: Connection, template: Template) -> Template:
    if rows.versions(connection, template.name):
        raise conflict(f"there is a template {template.name}")
    return template


def _checked(connection: Connection, template: Template) -> Template:
    earlier = [template_of(row) for row in rows.versions(connection, template.name) if row.version < template.version]
    return check_template(template, earlier[0] if earlier else None)


def _check_draft(row: Any) -> None:
    if row.state != TemplateState.DRAFT:
        raise Problem(
            409, TemplateReason.STATE.value, "The template cannot be changed", f"it is {row.state}: make a next version"
        )


def _guarded(make: Callable[[], Template]) -> Template:
    try:
        return make()
    except TemplateError as error:
        status = 409 if error.reason is TemplateReason.STATE else 400
        raise Problem(
            status, error.reason.value, "The template is refused", str(error), {"attribute": error.attribute}
        ) from None
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def _attributes(attributes: Any) -> Any:
    return tuple(attributes)


def _columns(template: Template, now: int) -> dict[str, Any]:
    body = msgspec.to_builtins(template)
    for name in ("name", "version", "state"):
        body.pop(name, None)
    return {"state": template.state.value, "body": body, "changed_at": now}


def _note(connection: Connection, subject: Subject, verb: str, name: str, version: int, now: int) -> None:
    audit.record(connection, subject, f"identifier.template-{verb}", f"template/{name}@{version}", now)
