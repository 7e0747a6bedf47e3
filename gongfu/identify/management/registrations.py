"""Identifiers one at a time: shown with all that is known of them here, made, changed, deleted."""

import time
from collections.abc import Sequence
from typing import Any

from gongfu.identify.bulk.batch_form import ItemError, attribute_texts
from gongfu.identify.handle.codes import Permission
from gongfu.identify.handle.json_form import from_json, to_json
from gongfu.identify.handle.names import HandleName, folded, parse_handle
from gongfu.identify.handle.predefined import HS_SECKEY
from gongfu.identify.handle.resolution import Elsewhere, Found
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.management.record_documents import NewRecord, OutcomeView, RecordChange, RecordView
from gongfu.identify.management.service_sites import address_of
from gongfu.identify.management.write_problems import batch_problem, outcome_problem
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import BatchError, Operation, Outcome, Write
from gongfu.kernel.errors import Problem, invalid, not_found
from gongfu.kernel.permissions import Action, Subject, can
from gongfu.kernel.times import SECOND, format_rfc3339


class Registrations:
    """Use cases, on the event loop."""

    def __init__(self, identifiers: Identifiers) -> None:
        """Make it."""
        self._identifiers = identifiers

    def show(self, subject: Subject, text: str) -> RecordView:
        """Return a record with the values that the subject may see.

        Raises:
            Problem: 400 no handle; 404 ``not-found``, ``elsewhere``.
        """
        name = parsed(text)
        found = self._identifiers.lookup(name)
        if isinstance(found, Elsewhere):
            service = address_of(found.values)
            raise Problem(
                404,
                "elsewhere",
                "Another service has it",
                f"{found.handle} is at {service or 'elsewhere'}",
                {"service": service},
            )
        if not isinstance(found, Found):
            raise not_found(f"handle {text[:300]}")
        return self.view(name, found.values, private=can(subject, Action.IDENTIFIER_WRITE))

    def view(self, name: HandleName, values: Sequence[HandleValue], *, private: bool) -> RecordView:
        """Return the document of a record of this service."""
        space = self._identifiers.namespace
        known = space.prefixes.get(folded(name.prefix))
        stored = self._identifiers.stored(name)
        kind, template, of = "explicit", 0, None
        if stored is not None:
            template, of = stored.template, stored.of or None
        elif known is not None and (member := space.find(known.number, name.suffix)) is not None:
            kind, of = "ranged", member.of
            template = space.classes[of].template
        form = space.templates.get(template)
        shown = [value for value in values if visible(value, private=private)]
        names = {attribute.index: attribute.name for attribute in form.attributes} if form is not None else {}
        prefix = known.name if known is not None else name.prefix
        return RecordView(
            f"{prefix}/{name.suffix}",
            prefix,
            kind,
            f"{form.name}@{form.version}" if form is not None else "",
            of,
            {
                value.type: value.data.decode(errors="replace")
                for value in shown
                if names.get(value.index) == value.type
            },
            [to_json(value) for value in shown],
            format_rfc3339(max((value.timestamp for value in values), default=0) * SECOND),
        )

    def list(self, prefix: str, after: str, limit: int) -> tuple[list[str], str | None]:
        """Return handles of a prefix that have a record of their own, and the suffix after which the next page begins.

        Raises:
            Problem: 404: there is no such prefix here.
        """
        if self._identifiers.namespace.find_prefix(prefix) is None:
            raise not_found(f"prefix {prefix[:80]}")
        found = self._identifiers.handles(prefix, after, limit + 1)
        return found[:limit], found[limit - 1].partition("/")[2] if len(found) > limit else None

    async def put(self, operation: Operation, new: NewRecord) -> OutcomeView:
        """Create a record (``CREATE``), or make or replace it (``PUT``).

        Raises:
            Problem: it was not done.
        """
        try:
            attributes = attribute_texts(new.attributes)
        except ItemError as error:
            raise invalid(str(error)) from None
        write = Write(
            operation=operation,
            handle=str(parsed(new.handle)),
            template=new.template,
            attributes=attributes,
            values=read_values(new.values),
            overwrite=new.overwrite,
        )
        return await self._do(write)

    async def change(self, change: RecordChange) -> OutcomeView:
        """Add, change and remove single values.

        Raises:
            Problem: one kind was not done; the kinds before it were.
        """
        handle = str(parsed(change.handle))
        writes = [
            Write(operation=operation, handle=handle, values=read_values(values))
            for operation, values in (
                (Operation.ADD_VALUES, change.add),
                (Operation.MODIFY_VALUES, change.modify),
            )
            if values
        ]
        if change.remove:
            writes.append(Write(operation=Operation.REMOVE_VALUES, handle=handle, indexes=tuple(change.remove)))
        if not writes:
            raise invalid("add, modify or remove something")
        done = [await self._do(write) for write in writes]
        return done[-1]

    async def delete(self, text: str) -> OutcomeView:
        """Delete a record, or take a member out of its range.

        Raises:
            Problem: 404, 409.
        """
        return await self._do(Write(operation=Operation.DELETE, handle=str(parsed(text))))

    async def _do(self, write: Write) -> OutcomeView:
        try:
            outcome: Outcome = (await self._identifiers.write([write]))[0]
        except BatchError as error:
            raise batch_problem(error) from None
        problem = outcome_problem(write.handle, outcome)
        if problem is not None:
            raise problem
        return OutcomeView(write.handle, outcome.code.value, outcome.detail)


def visible(value: HandleValue, *, private: bool) -> bool:
    """Return whether a value may be shown: never a secret key, to others what the public may read only."""
    if value.type.upper() == HS_SECKEY:
        return False
    return private or bool(value.permissions & Permission.PUBLIC_READ)


def parsed(text: str) -> HandleName:
    """Return the parts of a handle.

    Raises:
        Problem: 400.
    """
    try:
        return parse_handle(text)
    except MalformedError as error:
        raise Problem(400, "invalid", "The identifier is not valid", str(error)) from None


def read_values(documents: Sequence[Any]) -> tuple[HandleValue, ...]:
    """Return values that came as JSON.

    Raises:
        Problem: 400.
    """
    try:
        return tuple(from_json(document, int(time.time())) for document in documents)
    except MalformedError as error:
        raise Problem(400, "invalid", "A value is not valid", str(error)) from None
