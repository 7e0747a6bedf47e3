"""The app store of this node: its services put together, and their routes. It runs in the role ``web``."""

from dataclasses import dataclass

from sqlalchemy import Engine

from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.package.publishers import Publishers
from gongfu.appkit.store import api
from gongfu.appkit.store.catalogue import Catalogue
from gongfu.appkit.store.checking import Checking
from gongfu.appkit.store.levels import Certifications
from gongfu.appkit.store.meters import Meters
from gongfu.appkit.store.observing import Observing
from gongfu.appkit.store.opinions import Ratings
from gongfu.appkit.store.plans import Statements
from gongfu.appkit.store.publications import Publications
from gongfu.appkit.store.self_tests import run_confined
from gongfu.kernel.times import Clock
from gongfu.node.data_directory import DataDirectory
from gongfu.rest.routing import Route
from gongfu.store.objects.folder import ObjectFolder


@dataclass(frozen=True, slots=True)
class StoreHost:
    """The store. ``start`` before serving ``routes``, ``stop`` after."""

    routes: list[Route]
    publishers: Publishers
    publications: Publications
    meters: Meters
    checking: Checking
    observing: Observing

    async def start(self) -> None:
        """Go on with checks that were cut off, and count what is used here."""
        await self.checking.start()
        await self.observing.start()

    async def stop(self) -> None:
        """End."""
        await self.observing.stop()
        await self.checking.stop()


def open_store(directory: DataDirectory, engine: Engine, clock: Clock) -> StoreHost:
    """Return the store of a node.

    Args:
        directory: where packages are kept.
        engine: migrated records.
        clock: present time.
    """
    publishers = Publishers(engine, clock)
    # Beside the objects of models, whose owner removes what it does not refer to.
    objects = ObjectFolder(directory.root / "objects" / "packages")
    # A store never takes what nobody signed: development is `gongfu app run`.
    publications = Publications(engine, clock, objects, publishers.trusted, run_confined)
    catalogue = Catalogue(engine, clock)
    installed = InstalledRecords(engine, clock)

    def present(tenant: int, app: str) -> str:
        found = installed.get(app)
        return found.current.version if found is not None and found.tenant == tenant else ""

    meters, statements = Meters(engine, clock, present), Statements(engine, clock)
    ratings, certifications = Ratings(engine, clock), Certifications(engine, clock)
    checking = Checking(publications)
    routes = [
        *api.catalogue_routes(catalogue, publications),
        *api.publishing_routes(catalogue, publications, checking),
        *api.usage_routes(ratings, certifications, meters, statements),
        *api.publisher_routes(publishers),
    ]
    observing = Observing(engine, clock, installed, meters)
    return StoreHost(routes, publishers, publications, meters, checking, observing)
