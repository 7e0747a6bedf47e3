"""The API of identifiers on this node: its routes ask the identifier role, or set the service up."""

import asyncio
from pathlib import Path

import msgspec
from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.identify.api import applications, figures, grants, prefixes, records, resolve, templates, tracing, trust
from gongfu.identify.api.asking import open_ask, open_check
from gongfu.identify.api.batch import BatchRoute
from gongfu.identify.service_directory import ServiceDirectory, ServiceError, ServiceFacts
from gongfu.kernel.errors import Problem, forbidden, invalid
from gongfu.kernel.permissions import NODE_TENANT, Action, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.node.data_directory import DataDirectory
from gongfu.node.runtime import Runtime
from gongfu.registry import audit
from gongfu.rest.routing import Call, Incoming, Route, Streamed
from gongfu.store.records.engine import writing


class SettingUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The root: prefix at or below which this service registers."""

    prefix: str


class SetUp(msgspec.Struct, frozen=True):
    """A service that was set up; its role starts within a second."""

    root: str


def identifier_routes(runtime: Runtime, bus: Client, subjects: Subjects, engine: Engine, clock: Clock) -> list[Route]:
    """Return the routes of identifiers.

    Args:
        runtime: addresses and settings.
        bus: an open connection.
        subjects: names on the bus.
        engine: migrated records.
        clock: present time.
    """
    directory = DataDirectory(Path(runtime.data_dir))
    service = ServiceDirectory(directory.identifiers)
    ask = open_ask(bus, subjects, service.exists)
    nouns = (records, prefixes, applications, templates, figures, grants, resolve, tracing, trust)
    return [
        _set_up(service, engine, clock),
        _batch(bus, subjects, service, directory),
        *(route for noun in nouns for route in noun.routes(ask)),
    ]


def _batch(bus: Client, subjects: Subjects, service: ServiceDirectory, directory: DataDirectory) -> Route:
    batch = BatchRoute(bus, subjects.service("identify.batch"), directory.run)
    check = open_check(service.exists)

    async def answer(call: Call) -> Streamed:
        check(call.subject)
        return await batch.answer(call)

    words = (
        "Register, replace or delete many: NDJSON, CSV or Parquet in, NDJSON out; Idempotency-Key makes a retry count "
        "once (?operation=create|put|delete, ?template, ?prefix, ?results=all|failed)"
    )
    return Route("POST", "/identifiers:batch", Action.IDENTIFIER_WRITE, answer, words, Incoming)


def _set_up(service: ServiceDirectory, engine: Engine, clock: Clock) -> Route:
    def create(subject: Subject, prefix: str) -> ServiceFacts:
        facts = service.create(prefix, clock.now_ns())
        with writing(engine) as connection:
            audit.record(connection, subject, "identifier.init", f"prefix/{facts.root}", clock.now_ns())
        return facts

    async def answer(call: Call) -> SetUp:
        if call.subject.tenant != NODE_TENANT:
            raise forbidden("identifiers are the matter of the node, not of its tenants")
        try:
            facts = await asyncio.to_thread(create, call.subject, call.body.prefix)
        except ServiceError as error:
            if service.exists():
                raise Problem(409, "identifiers-exist", "Identifiers are set up already", str(error)) from None
            raise invalid(str(error)) from None
        return SetUp(facts.root)

    words = "Set the identifier service of this node up"
    return Route("POST", "/identifiers:init", Action.IDENTIFIER_REVIEW, answer, words, SettingUp, SetUp, 201)
