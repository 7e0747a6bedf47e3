"""Prefixes of this service and delegations to others: use cases.

What is decided is committed to the records first and then taken by the store; a start reads the records anew, so a
crash in between changes nothing but the moment.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.identify.handle.json_form import from_json, to_json
from gongfu.identify.handle.names import folded, parents
from gongfu.identify.handle.predefined import HS_SECKEY, HS_SITE
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.management import application_records
from gongfu.identify.management import prefix_records as rows
from gongfu.identify.management.documents import ApplicationView, NewPrefix, PrefixPatch, PrefixView
from gongfu.identify.management.service_sites import address_of, parse_service, site_value
from gongfu.identify.management.write_problems import outcome_problem
from gongfu.identify.namespace.types import Delegation, Prefix, PrefixState
from gongfu.identify.records.keys import Count
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Operation, Write
from gongfu.identify.service_directory import ServiceError, checked_prefix
from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.times import SECOND, Clock
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

OWN, DELEGATED = "own", "delegated"
# Of rows, in ``delegated``: at home here (0), never was, was once. What was keeps its number, and what was registered.
ALWAYS_DELEGATED, DELEGATED_LATER = 1, 2


def prefix_of(row: Any) -> Prefix:
    """Return the prefix that a row says."""
    return Prefix(
        number=row.number,
        name=row.name,
        state=PrefixState.REVOKED if row.delegated else PrefixState(row.state),
        values=_seed_of(row),
        enterprise=row.enterprise,
        industry=row.industry,
        region=row.region,
        quota=row.quota,
    )


def delegation_of(row: Any) -> Delegation:
    """Return the delegation that a row says; of a prefix that is at home here, one that is over."""
    if not row.delegated:
        return Delegation(name=row.name, state=PrefixState.REVOKED)
    return Delegation(name=row.name, state=PrefixState(row.state), values=_seed_of(row))


def _seed_of(row: Any) -> tuple[HandleValue, ...]:
    return tuple(from_json(value, row.created_at // SECOND) for value in row.seed)


class Prefixes:
    """Use cases, on the event loop."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        identifiers: Identifiers,
        root: str,
        seed: Callable[[str], tuple[HandleValue, ...]] = lambda _: (),
    ) -> None:
        """Make it.

        Args:
            engine: migrated records.
            clock: present time.
            identifiers: the store.
            root: prefix at or below which this service registers.
            seed: values of a new prefix by its name: where this service is, who administers it.
        """
        self._engine = engine
        self._clock = clock
        self._identifiers = identifiers
        self.root = root
        self._seed = seed
        self._turn = asyncio.Lock()

    async def make_root(self) -> None:
        """Register the root if it is not yet."""
        node = Subject(0, "node", NODE_TENANT, Role.ADMIN)
        async with self._turn:
            if await asyncio.to_thread(self._row, self.root) is None:
                await self._make(node, NewPrefix(self.root))

    async def heal_delegations(self) -> None:
        """Write service addresses again that a crash kept from the values of their delegations."""

        def read() -> list[Any]:
            with reading(self._engine) as connection:
                return [row for row in rows.all_of(connection) if row.delegated and row.service]

        async with self._turn:
            for row in await asyncio.to_thread(read):
                known = self._identifiers.namespace.delegations.get(row.name_key)
                if known is not None and address_of(known.values) != row.service:
                    await self._place(row)

    async def _place(self, row: Any) -> None:
        """Let the values of a delegation, which are its own by now, say where its service is."""
        site = (site_value(*parse_service(row.service)),)
        write = Write(operation=Operation.ADD_VALUES, handle=f"0.NA/{row.name}", values=site, overwrite=True)
        outcome = (await self._identifiers.write([write]))[0]
        problem = outcome_problem(row.name, outcome)
        if problem is not None:
            raise problem

    async def create(self, subject: Subject, new: NewPrefix) -> PrefixView:
        """Register a prefix, or delegate one.

        Raises:
            Problem: 400; 409 ``prefix-taken``.
        """
        async with self._turn:
            return await self._make(subject, new)

    async def grant(self, subject: Subject, application: ApplicationView, prefix: str, quota: int) -> str:
        """Register the prefix of an application that is approved: the one given, the one wanted, or the next number.

        Raises:
            Problem: 400; 409 ``prefix-taken``.
        """
        async with self._turn:
            name = prefix or application.wanted_prefix or await asyncio.to_thread(self._next)
            row = await asyncio.to_thread(self._row, name)
            if row is not None and not row.enterprise and not row.delegated and folded(row.name) != folded(self.root):
                # Registered before by hand, and nobody's.
                patch = PrefixPatch(None, application.name, application.region, application.industry, quota)
                return (await self._change(subject, row, patch)).name
            new = NewPrefix(name, OWN, application.name, application.region, application.industry, quota)
            return (await self._make(subject, new)).name

    async def become(self, subject: Subject, name: str, state: PrefixState) -> None:
        """Bring a prefix into a state; one that is revoked already, or gone, stays as it is."""
        async with self._turn:
            row = await asyncio.to_thread(self._row, name)
            if row is not None and row.state not in (state.value, PrefixState.REVOKED.value):
                await self._change(subject, row, PrefixPatch(state.value))

    async def change(self, subject: Subject, name: str, patch: PrefixPatch) -> PrefixView:
        """Change a prefix.

        Raises:
            Problem: 404; 400.
        """
        async with self._turn:
            row = await asyncio.to_thread(self._row, name)
            if row is None:
                raise not_found(f"prefix {name[:80]}")
            return await self._change(subject, row, patch)

    async def get(self, name: str) -> PrefixView:
        """Return a prefix.

        Raises:
            Problem: 404.
        """
        row = await asyncio.to_thread(self._row, name)
        if row is None:
            raise not_found(f"prefix {name[:80]}")
        with_application = await asyncio.to_thread(self._application, row.name)
        return self._view(row, with_application)

    async def page(
        self, after: str, limit: int, *, search: str = "", state: str = "", enterprise: str = ""
    ) -> tuple[list[PrefixView], str | None]:
        """Return prefixes by name, and the key of the next page."""

        def read() -> tuple[Any, dict[str, int]]:
            with reading(self._engine) as connection:
                found = rows.page(connection, after, limit + 1, search=search, state=state, enterprise=enterprise)
                return found, application_records.by_prefix(connection)

        found, applications = await asyncio.to_thread(read)
        views = [self._view(row, applications.get(row.name)) for row in found[:limit]]
        return views, found[limit - 1].name_key if len(found) > limit else None

    def _row(self, name: str) -> Any:
        with reading(self._engine) as connection:
            return rows.find(connection, folded(name))

    def _application(self, name: str) -> int | None:
        with reading(self._engine) as connection:
            return application_records.of_prefix(connection, name)

    def _next(self) -> str:
        """Return the prefix with the least number below the root that was not used yet."""
        depth = self.root.count(".") + 1
        with reading(self._engine) as connection:
            taken = {key.split(".")[depth] for key in rows.below(connection, folded(self.root))}
        numbers = [int(segment) for segment in taken if segment.isascii() and segment.isdecimal()]
        return f"{self.root}.{max(numbers, default=0) + 1}"

    async def _make(self, subject: Subject, new: NewPrefix) -> PrefixView:
        try:
            name, key = checked_prefix(new.name), folded(new.name)
        except ServiceError as error:
            raise invalid(str(error)) from None
        if new.kind not in (OWN, DELEGATED):
            raise invalid(f"kind must be {OWN} or {DELEGATED}, not {new.kind[:40]!r}")
        root = folded(self.root)
        if key != root and root not in parents(key):
            raise invalid(f"{name} is not below {self.root}, the root of this service")
        if new.kind == DELEGATED and key == root:
            raise invalid("the root of this service cannot be delegated")
        if (new.kind == DELEGATED) != bool(new.service):
            raise invalid("service goes with kind delegated: where the other node's service is")
        service = _service_text(new.service)
        now = self._clock.now_ns()
        seed = self._seed(name) if new.kind == OWN else (site_value(*parse_service(service)),)

        def insert() -> Any:
            with writing(self._engine) as connection:
                if rows.find(connection, key) is not None:
                    raise Problem(
                        409, "prefix-taken", "The prefix is taken", f"{name} is registered or delegated already"
                    )
                values = {
                    "name": name,
                    "name_key": key,
                    "delegated": int(new.kind == DELEGATED),
                    "state": PrefixState.ACTIVE.value,
                    "enterprise": new.enterprise,
                    "region": new.region,
                    "industry": new.industry,
                    "service": service,
                    "quota": new.quota,
                    "seed": [to_json(value) for value in seed],
                    "created_at": now,
                }
                rows.insert(connection, values)
                audit.record(connection, subject, "identifier.prefix-create", f"prefix/{name}", now, new.enterprise)
                return rows.find(connection, key)

        row = await asyncio.to_thread(insert)
        await self._take(row)
        return await self.get(name)

    async def _change(self, subject: Subject, row: Any, patch: PrefixPatch) -> PrefixView:
        if patch.state is not None and patch.state not in {state.value for state in PrefixState}:
            raise invalid(f"state must be one of {', '.join(PrefixState)}")
        self._check_home(row, patch)
        if row.state == PrefixState.REVOKED and patch.state not in (None, PrefixState.REVOKED.value):
            raise conflict("a revoked prefix stays revoked: its identifiers are not given to another")
        given = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not None}
        if "service" in given:
            given["service"] = _service_text(given["service"])
        if (kind := given.pop("kind", None)) is not None:
            given |= {"delegated": DELEGATED_LATER} if kind == DELEGATED else {"delegated": 0, "service": ""}
        now = self._clock.now_ns()

        def update() -> Any:
            with writing(self._engine) as connection:
                rows.change(connection, row.number, given)
                detail = msgspec.json.encode(given).decode()
                audit.record(connection, subject, "identifier.prefix-change", f"prefix/{row.name}", now, detail)
                return rows.find(connection, row.name_key)

        changed = await asyncio.to_thread(update) if given else row
        await self._take(changed)
        if changed.service and "service" in given:
            await self._place(changed)
        elif row.delegated and not changed.delegated:
            await self._bring_home(changed)
        return await self.get(row.name)

    def _check_home(self, row: Any, patch: PrefixPatch) -> None:
        """Refuse what cannot be at home where it is wished to be.

        Raises:
            Problem: 400, 409.
        """
        if patch.kind not in (None, OWN, DELEGATED):
            raise invalid(f"kind must be {OWN} or {DELEGATED}")
        delegated = bool(row.delegated) if patch.kind is None else patch.kind == DELEGATED
        if patch.service is not None and not delegated:
            raise invalid("only what is delegated to another node has a service of its own")
        if patch.kind is None or delegated == bool(row.delegated):
            return
        if row.state == PrefixState.REVOKED:
            raise conflict("a revoked prefix is at home nowhere")
        if delegated and folded(row.name) == folded(self.root):
            raise invalid("the root of this service cannot be delegated")
        if delegated and not patch.service:
            raise invalid("service is needed: where the other node's service is")

    async def _bring_home(self, row: Any) -> None:
        """Let the values of a prefix say that its service is here. Who administered it does so again."""
        known = self._identifiers.namespace.prefixes[row.name_key]
        there = {value.index for value in known.values}
        here = [value for value in self._seed(row.name) if value.type == HS_SITE or value.index not in there]
        if here:
            write = Write(operation=Operation.ADD_VALUES, handle=f"0.NA/{row.name}", values=tuple(here), overwrite=True)
            problem = outcome_problem(row.name, (await self._identifiers.write([write]))[0])
            if problem is not None:
                raise problem

    async def _take(self, row: Any) -> None:
        known = self._identifiers.namespace
        if row.delegated != ALWAYS_DELEGATED:
            await self._identifiers.set_prefix(prefix_of(row))
        if row.delegated or row.name_key in known.delegations:
            await self._identifiers.set_delegation(delegation_of(row))

    def _view(self, row: Any, application: int | None) -> PrefixView:
        space = self._identifiers.namespace
        own = None if row.delegated else space.prefixes.get(row.name_key)
        count = self._identifiers.count(own) if own is not None else Count()
        known = own or space.delegations.get(row.name_key)
        values = known.values if known is not None else ()
        return PrefixView(
            row.name,
            row.state,
            DELEGATED if row.delegated else OWN,
            row.enterprise,
            application,
            row.region,
            row.industry,
            row.quota,
            count.explicit,
            count.ranged,
            count.total,
            [to_json(value) for value in values if value.type.upper() != HS_SECKEY],
            row.service,
        )


def _service_text(service: str) -> str:
    if not service:
        return ""
    address, port = parse_service(service)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
