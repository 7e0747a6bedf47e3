"""The identifier service put together: store, use cases, the faces that listen, the commands that are answered."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.commands import Command, serve_command
from gongfu.identify.administration.credential import ServerKey
from gongfu.identify.handle.codes import AdminPermission
from gongfu.identify.handle.predefined import HS_ADMIN, HS_SITE, Administrator, Site, encode_administrator, encode_site
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.management import commands as management
from gongfu.identify.management import gs1_links, signatures
from gongfu.identify.management.applications import Applications
from gongfu.identify.management.batches import Batches
from gongfu.identify.management.classes import Classes
from gongfu.identify.management.commands import UseCases
from gongfu.identify.management.directory import load_directory
from gongfu.identify.management.finding import find_through
from gongfu.identify.management.grants import Grants
from gongfu.identify.management.prefixes import Prefixes
from gongfu.identify.management.ranges import Ranges
from gongfu.identify.management.registrations import Registrations
from gongfu.identify.management.resolving import Resolving
from gongfu.identify.management.templates import Templates
from gongfu.identify.management.write_problems import batch_problem
from gongfu.identify.service.backup import BackupError
from gongfu.identify.service.contents import Directory
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import BatchError
from gongfu.identify.service_directory import ServiceDirectory
from gongfu.identify.statistics import commands as statistics
from gongfu.identify.statistics.daily import Daily
from gongfu.identify.statistics.operations import Operations
from gongfu.identify.statistics.resolutions import Resolutions
from gongfu.identify.trust.keys import Algorithm, SigningKey
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import unavailable
from gongfu.kernel.permissions import Subject
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.node.data_directory import DataDirectory
from gongfu.node.identifier_backup import COMMAND, EVENTS, STORE, Copied, CopyWish, count_copy
from gongfu.node.identifier_delegations import IdentifierDelegations
from gongfu.node.identifier_events import BODY_BYTES, PATH, EventService
from gongfu.node.identifier_faces import IdentifierFaces, oids_of
from gongfu.node.identifier_site import KEY_FILE as SERVER_KEY_FILE
from gongfu.node.identifier_site import SERIAL_FILE, own_site, server_key
from gongfu.node.identifier_trust import KEY_FILE, IdentifierTrust, signing_key
from gongfu.node.identifier_watch import IdentifierWatch
from gongfu.node.runtime import Runtime
from gongfu.store.records.engine import reading

# Commands of a name that are answered at the same time.
AT_ONCE = 32
# How long a batch may be sent again with the same key and count once.
BATCHES_KEPT_S = 7 * 86_400
_LOOK_S = 1.0
_DAY_S = 86_400.0
SITE_INDEX, ADMINISTRATOR_INDEX, KEY_INDEX = 1, 100, 300
_ALL_RIGHTS = 0x0FFF & ~(AdminPermission.ADD_NA | AdminPermission.DELETE_NA)


class IdentifierHost:
    """Everything of the role but its process."""

    def __init__(
        self,
        runtime: Runtime,
        directory: ServiceDirectory,
        identifiers: Identifiers,
        engine: Engine,
        clock: Clock,
        counters: Counters,
        key: SigningKey,
        server: ServerKey,
        site: Site | None,
    ) -> None:
        """Put it together; see ``open``."""
        settings = runtime.identifier
        self.root = directory.facts().root
        self._identifiers = identifiers
        self._site = site
        self._prefixes = Prefixes(engine, clock, identifiers, self.root, self._seed)
        self._grants = Grants(engine, clock, identifiers)
        resolutions = Resolutions(time.monotonic)
        self._faces = IdentifierFaces(
            settings, identifiers, counters, site, server, runtime.node, self._grants, resolutions
        )
        self._trust = IdentifierTrust(
            key,
            directory.trust,
            self.root,
            identifiers,
            self._faces.resolver,
            lambda: self._delegations.roots,
            clock,
            counters,
        )
        signing = self._trust.signing
        registrations, classes = Registrations(identifiers), Classes(engine, clock, identifiers)
        applications = Applications(engine, clock)
        resolving = Resolving(
            identifiers,
            registrations,
            find_through(identifiers, self._faces.resolver),
            verify=signing.verify,
            gs1_prefix=settings.gs1_prefix,
            gs1_root=settings.gs1_root,
            oids=oids_of(settings),
        )
        self._daily = Daily(engine, clock, identifiers, resolutions)
        self._watch = IdentifierWatch(settings.host, settings.handle_port, self.root)
        operations = Operations(
            identifiers,
            applications,
            self._daily,
            counters,
            root=self.root,
            store=directory.store,
            faces=self._faces.listening,
            latency=self._watch.latency,
            reporting=self._watch.reporting,
        )
        templates = Templates(engine, clock, identifiers)
        self._faces.mount_templates(identifiers, templates, counters)
        self._events = EventService(directory.events, engine, clock, self._faces.handle)
        self._faces.http.mount(PATH, self._events.face, body_bytes=BODY_BYTES)
        cases = UseCases(
            applications,
            self._prefixes,
            templates,
            classes,
            registrations,
            resolving,
            Ranges(identifiers, classes),
        )
        self._commands = [
            *management.commands(cases),
            *gs1_links.commands(identifiers, settings.gs1_prefix),
            *statistics.commands(self._daily, operations),
            *self._events.commands(),
            *signatures.commands(signing),
            *self._grants.commands(),
            Command(COMMAND, CopyWish, self._copy),
        ]
        self._batches = Batches(identifiers, clock)
        identifiers.watch(lambda names, _: counters.add("identifier_writes", len(names)))
        own = [signing.key_value]
        if self._site is not None:
            own.append(HandleValue(SITE_INDEX, HS_SITE, encode_site(self._site)))
        self._delegations = IdentifierDelegations(
            engine, identifiers, self._faces.resolver, own, counters, certify=signing.certificate_for
        )
        self._faces.roots = lambda: self._delegations.roots

    @classmethod
    async def open(cls, runtime: Runtime, engine: Engine, clock: Clock, counters: Counters) -> "IdentifierHost":
        """Open the store of a node.

        Raises:
            ServiceError: it was not set up.
            OSError: it cannot be opened.
        """
        directory = ServiceDirectory(DataDirectory(Path(runtime.data_dir)).identifiers)
        directory.facts()

        def read() -> Directory:
            with reading(engine) as connection:
                return load_directory(connection)

        known = await asyncio.to_thread(read)
        secrets = DataDirectory(Path(runtime.data_dir)).secrets
        key = await asyncio.to_thread(signing_key, secrets / KEY_FILE, Algorithm(runtime.identifier.signing_algorithm))
        server = await asyncio.to_thread(server_key, secrets / SERVER_KEY_FILE)
        remembered = directory.root / SERIAL_FILE
        site = await asyncio.to_thread(own_site, runtime.identifier, server.public_key, remembered)
        identifiers = await Identifiers.open(directory.store, known, cache_bytes=runtime.identifier.cache_bytes)
        return cls(runtime, directory, identifiers, engine, clock, counters, key, server, site)

    async def start(self, bus: Client, subjects: Subjects) -> None:
        """Listen, and answer commands.

        Raises:
            OSError: an address is taken.
        """
        await self._prefixes.make_root()
        await self._prefixes.heal_delegations()
        await self._grants.load()
        await self._daily.start()
        self._events.start()
        # Before anybody is answered: what was delegated below would seem not to be there.
        await self._delegations.start(bus, subjects)
        await self._trust.start()
        await self._faces.start()
        for command in self._commands:
            await serve_command(bus, subjects.service(f"identify.{command.name}"), command, at_once=AT_ONCE)
        self._watch.start(bus, subjects)
        await self._batches.serve(bus, subjects.service("identify.batch"))

    async def broken(self) -> str:
        """Return when the store must be opened again, with the reason; forget answers of old batches meanwhile."""
        loop = asyncio.get_running_loop()
        forgotten = loop.time()
        while not self._identifiers.failure:
            await asyncio.sleep(_LOOK_S)
            if loop.time() - forgotten > _DAY_S:
                forgotten = loop.time()
                await self._identifiers.forget_batches(int(time.time()) - BATCHES_KEPT_S)
        return self._identifiers.failure

    async def stop(self) -> None:
        """Answer what was taken, and close the store."""
        await self._batches.stop()
        await self._watch.stop()
        await self._faces.stop()
        await self._trust.stop()
        await self._delegations.stop()
        await self._events.close()
        await self._daily.stop()
        await self._identifiers.close()

    async def _copy(self, _: Subject, wish: CopyWish) -> Copied:
        """Write copies of the stores. Not offered by the API: the path is the node's own backup's."""
        target = Path(wish.path)
        try:
            await self._identifiers.backup(target / STORE)
            await asyncio.to_thread(self._events.store.checkpoint, target / EVENTS)
            return await asyncio.to_thread(lambda: count_copy(target, anew=False))
        except (OSError, BackupError) as error:
            raise unavailable(str(error)) from None
        except BatchError as error:
            raise batch_problem(error) from None

    def gauges(self) -> Mapping[str, float]:
        """Return what is measured now."""
        counts = self._identifiers.counts().values()
        return {
            "identifiers": float(sum(count.total for count in counts)),
            "identifiers_explicit": float(sum(count.explicit for count in counts)),
            "identifier_writes_waiting": float(self._identifiers.waiting),
            **{name: float(count) for name, count in self._faces.resolver.figures().items()},
        }

    def listening(self) -> str:
        """Return where the service listens, for people."""
        return ", ".join(f"{face} {where}" for face, where in self._faces.listening().items() if where) or "nowhere"

    def _seed(self, prefix: str) -> tuple[HandleValue, ...]:
        """Return the values that a new prefix begins with: where this service is, and its administrator.

        The administrator has no key yet: until it gets one, only the node's own users change anything.
        """
        administrator = Administrator(_ALL_RIGHTS, f"0.NA/{prefix}", KEY_INDEX)
        values = [HandleValue(ADMINISTRATOR_INDEX, HS_ADMIN, encode_administrator(administrator))]
        if self._site is not None:
            values.insert(0, HandleValue(SITE_INDEX, HS_SITE, encode_site(self._site)))
        return tuple(values)
