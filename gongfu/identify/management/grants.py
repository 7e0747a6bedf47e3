"""Grants: who besides a handle's administrators may read values that are not public, or change some of them.

A grant is of one handle, of all of a prefix, or of all members of a class of ranges; of all attributes or some.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from gongfu.bus.commands import Command
from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.names import HandleName, folded, parse_handle
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.management import grant_records as rows
from gongfu.identify.management.documents import GrantView, NewGrant
from gongfu.identify.management.requests import GrantList, ListNumbers, OneNumber
from gongfu.identify.service.identifiers import Identifiers
from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339, parse_rfc3339
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

MAX_GRANTS = 100_000
_SCOPES = ("handle", "prefix", "class")
_RIGHTS = ("read", "write")


class Grants:
    """Use cases on the event loop; questions from any thread."""

    def __init__(self, engine: Engine, clock: Clock, identifiers: Identifiers) -> None:
        """Make it; see ``load``."""
        self._engine = engine
        self._clock = clock
        self._identifiers = identifiers
        # By who is granted something; replaced as a whole.
        self._by_grantee: dict[str, Sequence[Any]] = {}

    async def load(self) -> None:
        """Read all grants."""

        def read() -> Sequence[Any]:
            with reading(self._engine) as connection:
                return rows.page(connection, 0, None)

        known: dict[str, list[Any]] = {}
        for row in await asyncio.to_thread(read):
            known.setdefault(parse_handle(row.grantee).key, []).append(row)
        self._by_grantee = dict(known)

    def may_read(self, asker: Asker, name: HandleName, value: HandleValue) -> bool:
        """Return whether somebody was granted to read a value."""
        return self._granted("read", asker, name, value)

    def may_write(self, asker: Asker, name: HandleName, value: HandleValue) -> bool:
        """Return whether somebody was granted to change a value."""
        return self._granted("write", asker, name, value)

    def _granted(self, right: str, asker: Asker, name: HandleName, value: HandleValue) -> bool:
        own = self._by_grantee.get(asker.key)
        if not own:
            return False
        now = self._clock.now_ns()
        return any(
            right in row.rights
            and row.index in (0, asker.index)
            and (not row.until or now < row.until)
            and (not row.attributes or value.type in row.attributes)
            and self._covers(row, name)
            for row in own
        )

    def _covers(self, row: Any, name: HandleName) -> bool:
        if row.scope == "handle":
            return bool(parse_handle(row.target).key == name.key)
        if row.scope == "prefix":
            return folded(row.target) == folded(name.prefix)
        known = self._identifiers.namespace.find_prefix(name.prefix)
        if known is None:
            return False
        member = self._identifiers.namespace.find(known.number, name.suffix)
        if member is not None:
            return str(member.of) == row.target
        stored = self._identifiers.stored(name)
        return stored is not None and bool(stored.of) and str(stored.of) == row.target

    async def create(self, subject: Subject, new: NewGrant) -> GrantView:
        """Grant something.

        Raises:
            Problem: 400.
        """
        values = self._checked(subject, new)

        def insert() -> Any:
            with writing(self._engine) as connection:
                number = rows.insert(connection, values)
                detail = f"{new.grantee} {'+'.join(new.rights)} {new.scope} {new.target}"
                audit.record(connection, subject, "identifier.grant", f"grant/{number}", values["granted_at"], detail)
                return rows.find(connection, number)

        if sum(map(len, self._by_grantee.values())) >= MAX_GRANTS:
            raise invalid(f"there are at most {MAX_GRANTS} grants; grant a prefix or a class instead of handles")
        row = await asyncio.to_thread(insert)
        await self.load()
        return _view(row)

    def _checked(self, subject: Subject, new: NewGrant) -> dict[str, Any]:
        try:
            grantee = str(parse_handle(new.grantee))
            until = parse_rfc3339(new.until) if new.until else 0
            target = str(parse_handle(new.target)) if new.scope == "handle" else new.target
        except (MalformedError, ValueError) as error:
            raise invalid(str(error)) from None
        space = self._identifiers.namespace
        if new.scope not in _SCOPES:
            raise invalid(f"scope must be one of {', '.join(_SCOPES)}")
        if not set(new.rights) <= set(_RIGHTS):
            raise invalid(f"rights are of {', '.join(_RIGHTS)}")
        if new.scope == "prefix" and space.find_prefix(target) is None:
            raise not_found(f"prefix {target[:80]}")
        if new.scope == "class" and target not in {str(number) for number in space.classes}:
            raise not_found(f"class {target[:40]}")
        return {
            "grantee": grantee,
            "index": new.index,
            "scope": new.scope,
            "target": target,
            "attributes": new.attributes,
            "rights": sorted(set(new.rights)),
            "until": until,
            "granted_by": subject.name,
            "granted_at": self._clock.now_ns(),
        }

    async def page(self, wish: ListNumbers) -> GrantList:
        """Return grants by id, and the key of the next page."""

        def read() -> Sequence[Any]:
            with reading(self._engine) as connection:
                return rows.page(connection, wish.after, wish.limit + 1, wish.target, wish.grantee)

        found = await asyncio.to_thread(read)
        views = [_view(row) for row in found[: wish.limit]]
        return GrantList(views, views[-1].id if len(found) > wish.limit else None)

    async def remove(self, subject: Subject, number: int) -> None:
        """Take a grant back.

        Raises:
            Problem: 404.
        """

        def remove() -> None:
            with writing(self._engine) as connection:
                row = rows.find(connection, number)
                if row is None:
                    raise not_found(f"grant {number}")
                rows.remove(connection, number)
                detail = f"{row.grantee} {row.scope} {row.target}"
                now = self._clock.now_ns()
                audit.record(connection, subject, "identifier.grant-remove", f"grant/{number}", now, detail)

        await asyncio.to_thread(remove)
        await self.load()

    def commands(self) -> list[Command]:
        """Return the commands."""

        async def listed(_: Subject, wish: ListNumbers) -> GrantList:
            return await self.page(wish)

        async def create(subject: Subject, new: NewGrant) -> GrantView:
            return await self.create(subject, new)

        async def remove(subject: Subject, one: OneNumber) -> None:
            await self.remove(subject, one.number)

        return [
            Command("grant-list", ListNumbers, listed),
            Command("grant-create", NewGrant, create),
            Command("grant-remove", OneNumber, remove),
        ]


def _view(row: Any) -> GrantView:
    return GrantView(
        row.id,
        row.grantee,
        row.index,
        row.scope,
        row.target,
        list(row.attributes),
        list(row.rights),
        format_rfc3339(row.until) if row.until else None,
        row.granted_by,
        format_rfc3339(row.granted_at),
    )
