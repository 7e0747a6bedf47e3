"""The life of an app: install, upgrade, roll back, remove. Whatever breaks off midway is undone or finished.

The records say which generation is in force; changing that is one transaction, and everything before it works on
folders that nobody uses yet. So a crash at any moment leaves the old or the new version, whole: ``recover`` takes away
what belongs to neither, and lets what the app brought (models, rules) follow the version in force.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

import msgspec

from gongfu.appkit.context.records import MIGRATIONS, MigrationFailed, migrations_in
from gongfu.appkit.contract import AppError
from gongfu.appkit.grants import missing
from gongfu.appkit.host.process import AppFailure
from gongfu.appkit.installed.executing import Provisions, Runner, SubjectOf
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import InstalledApp, InstalledVersion
from gongfu.appkit.manifest import ManifestError, Needs, parse_manifest
from gongfu.appkit.package.opening import Package
from gongfu.appkit.permissions import refused_names, required, without
from gongfu.appkit.versions import parse_version
from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject

logger = logging.getLogger("gongfu.apps")

READY_S = 20.0
_EXPECTED = (AppFailure, AppError, Problem, OSError, MigrationFailed)


class LifeCycle:
    """Changes installed apps, one at a time."""

    def __init__(self, records: InstalledRecords, folders: Folders, runner: Runner, provisions: Provisions) -> None:
        self._records = records
        self._folders = folders
        self._runner = runner
        self._provisions = provisions
        self._lock = asyncio.Lock()

    async def install(
        self, subject: Subject, package: Package, granted: Needs, *, consent: bool = True
    ) -> InstalledApp:
        """Install an app, or upgrade it when an older version is installed.

        Args:
            subject: who installs; the app is of their tenant.
            package: opened, so its sums, signature and trust were checked.
            granted: what was granted of what the manifest asks for: all of it that is not optional, or it is refused.
            consent: whether somebody looked at what it asks for and agreed; else it may have what the version in force
                has, and waits if it asks for more.

        Raises:
            Problem: 400 for the manifest, 403 ``not-granted`` for missing grants or consent, 409 when it is there, is
                not a newer version or is by another publisher, 422 ``app-failed`` when it does not start; nothing has
                changed then.
        """
        try:
            manifest = parse_manifest(package.manifest)
        except ManifestError as error:
            raise Problem(400, "bad-manifest", "The manifest is wrong", str(error)) from None
        absent = missing(granted, required(manifest.needs))
        if absent:
            raise _not_granted(absent)
        version = InstalledVersion(
            version=manifest.app.version,
            generation=1,
            sha256=package.sha256,
            publisher=package.publisher,
            manifest=manifest,
            granted=granted,
        )
        async with self._lock:
            app = await asyncio.to_thread(self._records.get, manifest.app.id)
            mine = app is not None and app.tenant == subject.tenant
            more = missing(app.current.granted if app is not None and mine else Needs(), granted)
            if more and not consent:
                raise _not_granted(more)
            if app is None:
                return await self._install(subject, manifest.app.id, package, version)
            if app.tenant != subject.tenant:
                raise conflict(f"{app.app} is installed by another tenant of this node")
            return await self._upgrade(subject, app, package, version)

    async def roll_back(self, subject: Subject, app_id: str) -> InstalledApp:
        """Go back to the version before, with the records it had: what was recorded since is gone.

        Raises:
            Problem: 404, 409 when there is no version before; 422 when it does not start.
        """
        async with self._lock:
            app = await self._mine(subject, app_id)
            if app.previous is None:
                raise conflict(f"{app_id} has no version to go back to")
            await self._change(None, app_id, status="rolling-back")
            await self._runner.stop(app_id)
            try:
                previous = await self._provisions.apply(subject, app, app.previous)
            except Exception as error:
                _note(app_id, error)
                await self._again(subject, app)
                raise _failed(app_id, app.previous.version, error) from None
            await self._change(
                subject,
                app_id,
                action="app.rollback",
                detail=f"{app.current.version} -> {previous.version}",
                status="installed",
                current=previous,
                previous=None,
            )
            await asyncio.to_thread(self._folders.keep_only, app_id, {previous.generation})
            return await self._started(await self._mine(subject, app_id))

    async def grant(self, subject: Subject, app_id: str, refused: Sequence[str]) -> InstalledApp:
        """Grant an installed app all it asks for but the optional things of some names; it is started again.

        Raises:
            Problem: 404; 400 when something cannot be refused; 409 while it is being changed.
        """
        async with self._lock:
            app = await self._mine(subject, app_id)
            if app.status != "installed":
                raise conflict(f"{app_id} is {app.status}")
            try:
                granted = without(app.current.manifest.needs, refused)
            except ValueError as error:
                raise invalid(str(error)) from None
            current = msgspec.structs.replace(app.current, granted=granted)
            detail = f"without {', '.join(sorted(refused))}" if refused else "all"
            await self._change(subject, app_id, action="app.grant", detail=detail, current=current)
            await self._runner.stop(app_id)
            return await self._started(await self._mine(subject, app_id))

    async def enable(self, subject: Subject, app_id: str, *, enabled: bool) -> InstalledApp:
        """Let an app run, or not.

        Raises:
            Problem: 404; 422 when it does not start.
        """
        async with self._lock:
            await self._mine(subject, app_id)
            action = "app.enable" if enabled else "app.disable"
            await self._change(subject, app_id, action=action, enabled=enabled)
            await self._runner.stop(app_id)
            app = await self._mine(subject, app_id)
            return await self._started(app) if enabled else app

    async def remove(self, subject: Subject, app_id: str) -> None:
        """Remove an app and everything that is its own. What it wrote to points stays: it is the site's.

        Raises:
            Problem: 404.
        """
        async with self._lock:
            app = await self._mine(subject, app_id)
            await self._change(subject, app_id, action="app.remove", detail=app.current.version, status="removing")
            await self._remove(subject, app)

    async def recover(self, subject_of: SubjectOf) -> list[str]:
        """Finish or undo what a crash broke off; return what was done, for the log.

        Args:
            subject_of: who acts for an app.
        """
        told: list[str] = []
        async with self._lock:
            for app in await asyncio.to_thread(self._records.all):
                subject = subject_of(app)
                if app.status in ("installing", "removing"):
                    try:
                        await self._remove(subject, app)
                    except Exception as error:  # the other apps run all the same
                        told.append(f"{app.app}: {app.status} was broken off, and it cannot be removed: {error}")
                        continue
                    told.append(f"{app.app}: {app.status} was broken off; it is removed")
                elif app.status != "installed":
                    try:
                        await self._provisions.apply(subject, app, app.current)
                    except Exception as error:
                        told.append(f"{app.app}: what it brings cannot be restored, tried again later: {error}")
                        continue
                    trouble = f"{app.status} was broken off; version {app.current.version} is in force"
                    await self._change(None, app.app, status="installed", trouble=trouble)
                    told.append(f"{app.app}: {trouble}")
            apps = await asyncio.to_thread(self._records.all)
            for app in apps:
                kept = {app.current.generation, *([app.previous.generation] if app.previous else [])}
                await asyncio.to_thread(self._folders.keep_only, app.app, kept)
            gone = await asyncio.to_thread(self._folders.remove_others, [app.app for app in apps], time.time())
        return told + [f"{name}: its folder belonged to no app and is removed" for name in gone]

    async def start_all(self) -> None:
        """Run all apps that are to run, one after another, as each is in force at its turn: meanwhile people may change
        them."""
        for listed in await asyncio.to_thread(self._records.all):
            async with self._lock:
                app = await asyncio.to_thread(self._records.get, listed.app)
                if app is None or not app.enabled or app.status != "installed":
                    continue
                try:
                    await self._runner.start(app)
                except AppFailure as failure:
                    logger.error("%s %s does not start: %s", app.app, app.current.version, failure)
                except Exception:
                    logger.exception("%s %s does not start", app.app, app.current.version)

    async def _install(
        self, subject: Subject, app_id: str, package: Package, version: InstalledVersion
    ) -> InstalledApp:
        app = await asyncio.to_thread(self._records.add, subject, app_id, version)
        try:
            await asyncio.to_thread(self._folders.remove, app_id)
            await asyncio.to_thread(self._extract, app_id, package, version)
            await asyncio.to_thread(self._folders.make_state, app_id, version.generation)
            await self._runner.prepare(app, version)
            await self._runner.try_out(app, version)
            version = await self._provisions.apply(subject, app, version)
        except Exception as error:
            _note(app_id, error)
            await self._remove(subject, app)
            raise _failed(app_id, version.version, error) from None
        await self._change(
            subject, app_id, action="app.install", detail=_origin(version), status="installed", current=version
        )
        return await self._started(await self._mine(subject, app_id))

    async def _upgrade(
        self, subject: Subject, app: InstalledApp, package: Package, version: InstalledVersion
    ) -> InstalledApp:
        if app.status != "installed":
            raise conflict(f"{app.app} is {app.status}")
        if parse_version(version.version) <= parse_version(app.current.version):
            raise conflict(
                f"{app.app} {app.current.version} is installed; {version.version} is not newer (go back with rollback)"
            )
        if version.publisher != app.current.publisher and app.current.publisher:
            raise conflict(
                f"{app.app} is by {app.current.publisher}; a package by {version.publisher or 'nobody (unsigned)'} "
                "does not upgrade it. Trust the new key under the same name, or remove the app first"
            )
        generation = app.generation + 1
        version = msgspec.structs.replace(version, generation=generation)
        await self._change(None, app.app, status="upgrading", generation=generation)
        try:
            await asyncio.to_thread(self._extract, app.app, package, version)
            await self._runner.stop(app.app)
            await asyncio.to_thread(self._folders.copy_state, app.app, app.current.generation, generation)
            await self._runner.try_out(app, version)
            version = await self._provisions.apply(subject, app, version)
        except Exception as error:
            _note(app.app, error)
            failure = _failed(app.app, version.version, error)
            await self._again(subject, app, failure.detail)
            raise failure from None
        await self._change(
            subject,
            app.app,
            action="app.upgrade",
            detail=f"{app.current.version} -> {_origin(version)}",
            status="installed",
            current=version,
            previous=app.current,
            trouble="",
        )
        now = await self._mine(subject, app.app)
        try:
            if now.enabled:
                await self._runner.start(now)
        except AppFailure as error:
            failure = _failed(app.app, version.version, error)
            await self._runner.stop(app.app)
            await self._change(
                subject,
                app.app,
                action="app.rollback",
                detail=str(error)[:500],
                current=app.current,
                previous=app.previous,
            )
            await self._again(subject, app, failure.detail)
            raise failure from None
        kept = {generation, app.current.generation}
        await asyncio.to_thread(self._folders.keep_only, app.app, kept)
        return now

    async def _again(self, subject: Subject, app: InstalledApp, trouble: str = "") -> None:
        """Let the version in force, which stays, run again, with what it brought."""
        try:
            await self._provisions.apply(subject, app, app.current)
        except (Problem, AppError) as error:
            trouble = f"{trouble}; what it brings cannot be restored: {error}"
            logger.error("%s: %s", app.app, trouble)
        kept = {app.current.generation, *([app.previous.generation] if app.previous else [])}
        await asyncio.to_thread(self._folders.keep_only, app.app, kept)
        await self._change(None, app.app, status="installed", trouble=trouble)
        if app.enabled:
            try:
                await self._runner.start(app)
            except AppFailure as error:
                logger.error("%s %s does not start again: %s", app.app, app.current.version, error)

    async def _remove(self, subject: Subject, app: InstalledApp) -> None:
        await self._runner.stop(app.app)
        await self._provisions.remove(subject, app)
        await asyncio.to_thread(self._folders.remove, app.app)
        await asyncio.to_thread(self._records.remove, None, app.app)

    async def _started(self, app: InstalledApp) -> InstalledApp:
        if app.enabled:
            try:
                await self._runner.start(app)
            except AppFailure as error:
                logger.error("%s %s does not start: %s", app.app, app.current.version, error)
        return app

    def _extract(self, app_id: str, package: Package, version: InstalledVersion) -> None:
        folder = self._folders.code(app_id, version.generation)
        package.extract(folder)
        migrations_in(folder / MIGRATIONS)
        self._folders.sync(app_id)

    async def _mine(self, subject: Subject, app_id: str) -> InstalledApp:
        app = await asyncio.to_thread(self._records.get, app_id)
        if app is None or app.tenant != subject.tenant:
            raise not_found(f"app {app_id!r}")
        return app

    async def _change(
        self, subject: Subject | None, app_id: str, *, action: str = "", detail: str = "", **values: object
    ) -> None:
        await asyncio.to_thread(lambda: self._records.change(subject, app_id, action, detail, **values))


def _origin(version: InstalledVersion) -> str:
    refused = refused_names(version.manifest.needs, version.granted)
    less = f" without {', '.join(refused)}" if refused else ""
    return f"{version.version} by {version.publisher or 'nobody (unsigned)'} {version.sha256[:12]}{less}"


def _not_granted(absent: list[str]) -> Problem:
    return Problem(403, "not-granted", "Not everything was granted", "; ".join(absent), {"missing": absent})


def _note(app_id: str, error: Exception) -> None:
    if not isinstance(error, _EXPECTED):
        logger.error("%s: the node failed while it installed it", app_id, exc_info=error)


def _failed(app_id: str, version: str, error: Exception) -> Problem:
    detail = error.detail or error.title if isinstance(error, Problem) else str(error)
    return Problem(422, "app-failed", "The app cannot be installed", f"{app_id} {version}: {detail}"[:2000])
