"""Calls across platforms on this node: who it is, what carries calls out, and their routes. In the role ``web``."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nats.aio.client import Client
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.appkit.calls import api, records
from gongfu.appkit.calls.answering import Answering, Carried
from gongfu.appkit.calls.calling import Calling, RouteCall
from gongfu.appkit.calls.columns import ModelCall
from gongfu.appkit.calls.contracts import Contracts
from gongfu.appkit.calls.documents import PortTerms, Terms
from gongfu.appkit.calls.identity import Identity
from gongfu.appkit.calls.link import Link
from gongfu.appkit.calls.offers import Offers
from gongfu.appkit.catalogue import find_models
from gongfu.appkit.installed import types as installed
from gongfu.bus.requests import request
from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.node.data_directory import DataDirectory
from gongfu.node.runtime import Runtime
from gongfu.reason.models.asking import ModelsRole
from gongfu.reason.models.calling.types import InvokeBody, InvokeRequest
from gongfu.reason.models.catalogue import Catalogue
from gongfu.rest.routing import Route
from gongfu.store.objects.folder import ObjectFolder
from gongfu.store.records.engine import reading, writing
from gongfu.tree.nodes.key_files import KeyFiles

logger = logging.getLogger(__name__)

_ROUTE_S = 60.0
_KEEP = 24 * 3600 * 10**9
_TIDY_S = 3600.0


class Carrier:
    """Carries out calls of other nodes on this one's models and apps."""

    def __init__(self, bus: Client, subjects: Subjects, engine: Engine, directory: DataDirectory) -> None:
        self._bus = bus
        self._subjects = subjects
        self._engine = engine
        self._models = ModelsRole(bus, subjects, directory.want_models)
        self._catalogue = Catalogue(find_models(), ObjectFolder(directory.objects))

    async def ports(
        self, subject: Subject, model: str, version: str
    ) -> tuple[tuple[PortTerms, ...], tuple[PortTerms, ...]]:
        """Return the ports of a model of this node.

        Raises:
            Problem: 404.
        """

        def find() -> tuple[tuple[PortTerms, ...], tuple[PortTerms, ...]]:
            with reading(self._engine) as connection:
                stored = self._catalogue.find(connection, subject.tenant, model, version)
            if stored is None:
                raise not_found(f"model {model[:120]}")
            inputs, outputs = stored.spec.inputs, stored.spec.outputs
            return (
                tuple(PortTerms(port.name, port.unit, port.description[:300]) for port in inputs),
                tuple(PortTerms(port.name, port.unit, port.description[:300]) for port in outputs),
            )

        return await asyncio.to_thread(find)

    async def carry_out(self, terms: Terms, subject: Subject, payload: bytes) -> Carried:
        """Return what a model or a route answers.

        Raises:
            Problem: see there.
        """
        try:
            if terms.kind == "model":
                return await self._model(terms, subject, msgspec.json.decode(payload, type=ModelCall))
            return await self._route(terms, subject, msgspec.json.decode(payload, type=RouteCall))
        except (msgspec.MsgspecError, ValueError) as error:
            raise invalid(str(error)[:300]) from None

    async def _model(self, terms: Terms, subject: Subject, called: ModelCall) -> Carried:
        body = InvokeBody(columns=called.columns, parameters=called.parameters, version=terms.version)
        wanted = InvokeRequest(tenant=NODE_TENANT, caller=subject.name, model=terms.target, body=body)
        answer = await self._models.invoke(wanted)
        return Carried(200, msgspec.json.encode(answer), answer.rows)

    async def _route(self, terms: Terms, subject: Subject, called: RouteCall) -> Carried:
        wanted = installed.RouteCall(
            app=terms.target,
            tenant=NODE_TENANT,
            method=terms.method,
            parts=[part for part in terms.path.split("/") if part],
            query=called.query,
            body=b"" if called.body is None else bytes(called.body),
            user=subject.name,
            role=Role.OPERATOR,
        )
        address = self._subjects.service("apps.route")
        answer = await request(self._bus, address, wanted, _ROUTE_S, installed.RouteAnswer)
        if answer.media_type.partition(";")[0] == "application/json":
            return Carried(answer.status, answer.body)
        return Carried(answer.status, msgspec.json.encode(answer.body.decode(errors="replace")))


@dataclass(slots=True)
class CallsHost:
    """Calls across platforms. ``start`` before serving ``routes``, ``stop`` after."""

    routes: list[Route]
    _engine: Engine
    _clock: Clock
    _link: Link
    _tidying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Close the calls that an earlier life left open, and begin to forget old answers."""
        await asyncio.to_thread(self._close_open)
        self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def stop(self) -> None:
        """End."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        await self._link.close()

    def _close_open(self) -> None:
        with writing(self._engine) as connection:
            records.close_open(connection)

    async def _tidy(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._forget)
            except SQLAlchemyError as error:
                logger.warning("old answers of calls are not dropped yet: %s", type(error).__name__)
            await asyncio.sleep(_TIDY_S)

    def _forget(self) -> None:
        with writing(self._engine) as connection:
            records.forget_answers(connection, self._clock.now_ns() - _KEEP)


def open_calls(runtime: Runtime, bus: Client, subjects: Subjects, engine: Engine, clock: Clock) -> CallsHost:
    """Return the calls of a node.

    Args:
        runtime: addresses and settings.
        bus: an open connection.
        subjects: names on the bus.
        engine: migrated records.
        clock: present time.
    """
    directory = DataDirectory(Path(runtime.data_dir))
    found: list[Identity] = []

    def identity() -> Identity | None:
        if not directory.tree_joined.exists():
            return None
        if not found:
            found.append(Identity(KeyFiles(directory.tree_keys).node_key(), runtime.node))
        return found[0]

    carrier, link = Carrier(bus, subjects, engine, directory), Link()
    contracts = Contracts(engine, clock, identity)
    calling = Calling(engine, clock, identity, contracts, link)
    answering = Answering(engine, clock, identity, contracts, carrier.carry_out)
    routes = [
        *api.offer_routes(Offers(engine, clock, identity), carrier.ports),
        *api.contract_routes(contracts, calling),
        *api.call_routes(engine, clock, contracts, calling, answering),
    ]
    return CallsHost(routes, engine, clock, link)
