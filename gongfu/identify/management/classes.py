"""Classes of ranges: what all members have in common. Use cases."""

import asyncio
import re
from typing import Any

from sqlalchemy import Connection, Engine

from gongfu.identify.bulk.batch_form import ItemError, attribute_texts
from gongfu.identify.management import template_records as rows
from gongfu.identify.management.documents import ClassChange, ClassView, NewClass
from gongfu.identify.management.templates import template_of
from gongfu.identify.namespace.types import ClassRecord
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.templates.types import Template, TemplateState
from gongfu.identify.templates.validation import Checker
from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, Clock, format_rfc3339
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

_PLACE = re.compile(r"\{(suffix|number(:[0-9]{1,2})?)\}")


class Classes:
    """Use cases, on the event loop."""

    def __init__(self, engine: Engine, clock: Clock, identifiers: Identifiers) -> None:
        """Make it."""
        self._engine = engine
        self._clock = clock
        self._identifiers = identifiers
        self._turn = asyncio.Lock()

    async def page(self, after: int, limit: int) -> tuple[list[ClassView], int | None]:
        """Return classes by number, and the key of the next page."""

        def read() -> Any:
            with reading(self._engine) as connection:
                return rows.classes(connection, after, limit + 1)

        found = await asyncio.to_thread(read)
        return [self._view(row) for row in found[:limit]], found[limit - 1].number if len(found) > limit else None

    async def get(self, number: int) -> ClassView:
        """Return a class.

        Raises:
            Problem: 404.
        """

        def read() -> Any:
            with reading(self._engine) as connection:
                return _row(connection, number)

        return self._view(await asyncio.to_thread(read))

    async def create(self, subject: Subject, new: NewClass) -> ClassView:
        """Make a class.

        Raises:
            Problem: 400, 404: the template is none, or does not take the attributes.
        """
        now = self._clock.now_ns()

        def insert() -> Any:
            with writing(self._engine) as connection:
                template = _published(connection, new.template)
                attributes = _attributes(template_of(template), new.attributes, now)
                values = {
                    "template": template.number,
                    "title": new.title,
                    "attributes": attributes,
                    "changed_at": now,
                }
                number = rows.insert_class(connection, values)
                audit.record(connection, subject, "identifier.class-create", f"class/{number}", now, new.template)
                return _row(connection, number)

        async with self._turn:
            row = await asyncio.to_thread(insert)
            await self._identifiers.set_class(class_of(row))
        return self._view(row)

    async def change(self, subject: Subject, number: int, change: ClassChange) -> ClassView:
        """Replace the attributes of a class, and so of all members.

        Raises:
            Problem: 404; 400.
        """
        now = self._clock.now_ns()

        def update() -> Any:
            with writing(self._engine) as connection:
                row = _row(connection, number)
                template = self._identifiers.namespace.templates[row.template]
                attributes = _attributes(template, change.attributes, now)
                title = row.title if change.title is None else change.title
                rows.change_class(connection, number, {"attributes": attributes, "title": title, "changed_at": now})
                audit.record(connection, subject, "identifier.class-change", f"class/{number}", now)
                return _row(connection, number)

        async with self._turn:
            row = await asyncio.to_thread(update)
            await self._identifiers.set_class(class_of(row))
        return self._view(row)

    def _view(self, row: Any) -> ClassView:
        template = self._identifiers.namespace.templates[row.template]
        return ClassView(
            row.number,
            f"{template.name}@{template.version}",
            {template.attributes[ordinal].name: text for ordinal, text in row.attributes},
            row.title,
            format_rfc3339(row.changed_at),
        )


def class_of(row: Any) -> ClassRecord:
    """Return the class that a row says."""
    return ClassRecord(
        number=row.number,
        template=row.template,
        attributes=tuple((int(ordinal), str(text)) for ordinal, text in row.attributes),
        timestamp=row.changed_at // SECOND,
    )


def _row(connection: Connection, number: int) -> Any:
    row = rows.find_class(connection, number)
    if row is None:
        raise not_found(f"class {number}")
    return row


def _published(connection: Connection, text: str) -> Any:
    """Return the row of the version that ``name`` (the newest published) or ``name@version`` means.

    Raises:
        Problem: 404; 409 it is not published.
    """
    name, _, version = text.partition("@")
    if version:
        if not version.isascii() or not version.isdecimal() or len(version) > 9:
            raise invalid(f"a template is name or name@version, not {text[:80]!r}")
        row = rows.find(connection, name, int(version))
        if row is not None and row.state != TemplateState.PUBLISHED:
            raise conflict(f"template {text} is {row.state}")
    else:
        found = [row for row in rows.versions(connection, name) if row.state == TemplateState.PUBLISHED]
        row = found[0] if found else None
    if row is None:
        raise not_found(f"published template {text[:80]}")
    return row


def _attributes(template: Template, given: dict[str, Any], now: int) -> list[tuple[int, str]]:
    """Return attributes by ordinal, checked as far as they do not depend on the member.

    Raises:
        Problem: 400 ``invalid`` with all that is wrong.
    """
    try:
        texts = attribute_texts(given)
    except ItemError as error:
        raise invalid(str(error)) from None
    fixed = {name: text for name, text in texts.items() if not _PLACE.search(text)}
    values, wrong = Checker(template).check(fixed, now // SECOND)
    varied = texts.keys() - fixed.keys()
    known = {attribute.name: ordinal for ordinal, attribute in enumerate(template.attributes)}
    # What the members complete is there, whatever it will be.
    wrong = [one for one in wrong if not (one.attribute in varied and one.reason == "missing")]
    unknown = sorted(varied - known.keys())
    if wrong or unknown:
        told = [{"attribute": one.attribute, "reason": one.reason.value, "detail": one.detail} for one in wrong]
        told += [{"attribute": name[:64], "reason": "unknown", "detail": ""} for name in unknown]
        words = "; ".join(f"{one['attribute']}: {one['reason']} {one['detail']}".strip() for one in told)
        raise Problem(400, "invalid", "The attributes are not valid", words[:500], {"wrong": told})
    checked = {value.type: value.data.decode() for value in values} if not wrong else {}
    return sorted((known[name], checked.get(name, text)) for name, text in texts.items())
