"""The life of an app: install, upgrade, roll back, remove. Whatever breaks off midway is undone or finished.

The records say which generation is in force; changing that is one transaction, and everything before it works on
folders that nobody uses yet. So a crash at any moment leaves the old or the new version, whole: ``recover`` takes away
what belongs to neither, and lets what the app brought (models, rules) follow the version in force. What cannot be done
then is done later by ``keep_up``, which also ends what a revoked key has signed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from gongfu.appkit.context.records import MIGRATIONS, migrations_in
from gongfu.appkit.grants import missing
from gongfu.appkit.host.process import AppFailure
from gongfu.appkit.installed.consenting import still_refused
from gongfu.appkit.installed.executing import Provisions, Runner, SubjectOf
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.key_standing import key_revoked, with_key, withheld
from gongfu.appkit.installed.outcomes import check_settled, failed_problem, not_granted, note_fault, origin_words
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.restoring import INSTALLED, Restoring
from gongfu.appkit.installed.types import InstalledApp, InstalledVersion, KeyOverride
from gongfu.appkit.manifest import ManifestError, Needs, parse_manifest
from gongfu.appkit.package.opening import Package
from gongfu.appkit.package.types import TrustedKeys
from gongfu.appkit.permissions import required, without
from gongfu.appkit.versions import parse_version
from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject

logger = logging.getLogger("gongfu.apps")

READY_S = 20.0


class LifeCycle:
    """Changes installed apps, one at a time."""

    def __init__(
        self,
        records: InstalledRecords,
        folders: Folders,
        runner: Runner,
        provisions: Provisions,
        trusted: Callable[[], TrustedKeys] = TrustedKeys,
    ) -> None:
        """Change apps; ``trusted`` reads whose packages this node takes now."""
        self._trusted = trusted
        self._restoring = Restoring(records, folders, runner, provisions)
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
            raise not_granted(absent)
        version = InstalledVersion(
            version=manifest.app.version,
            generation=1,
            sha256=package.sha256,
            publisher=package.publisher,
            key=package.key,
            manifest=manifest,
            granted=granted,
        )
        async with self._lock:
            if version.key in (revoked := (await asyncio.to_thread(self._trusted)).revoked):
                raise key_revoked(manifest.app.id, f"{version.key}: {revoked[version.key]}")
            app = await asyncio.to_thread(self._records.get, manifest.app.id)
            mine = app is not None and app.tenant == subject.tenant
            more = missing(app.current.granted if app is not None and mine else Needs(), granted)
            if more and not consent:
                raise not_granted(more)
            if app is None:
                return await self._install(subject, manifest.app.id, package, version)
            if app.tenant != subject.tenant:
                raise conflict(f"{app.app} is installed by another tenant of this node")
            return await self._upgrade(subject, app, package, version)

    async def roll_back(self, subject: Subject, app_id: str) -> InstalledApp:
        """Go back to the version before, with the records it had; what was refused since stays refused.

        Raises:
            Problem: 404, 409 when there is no version before, its publisher's key was revoked (``key-revoked``), or
                something else is under way; 422 when it does not start.
        """
        async with self._lock:
            app = await self._settled(subject, app_id)
            if app.previous is None:
                raise conflict(f"{app_id} has no version to go back to")
            if why := await self._withheld(app, app.previous):
                raise key_revoked(app_id, why)
            await self._change(None, app_id, status="rolling-back", pending=app.current)
            await self._runner.stop(app_id)
            try:
                previous = await self._provisions.apply(subject, app, still_refused(app.previous, app.current))
            except Exception as error:
                note_fault(app_id, error)
                await self._again(subject, app)
                raise failed_problem(app_id, app.previous.version, error) from None
            await self._change(
                subject,
                app_id,
                action="app.rollback",
                detail=f"{app.current.version} -> {previous.version}",
                status="installed",
                current=previous,
                previous=None,
                trouble="",
            )
            await self._restoring.let_go(subject, await self._mine(subject, app_id))
            return await self._started(await self._mine(subject, app_id))

    async def grant(self, subject: Subject, app_id: str, refused: Sequence[str]) -> InstalledApp:
        """Grant an installed app all it asks for but the optional things of some names; it is started again.

        Raises:
            Problem: 404; 400 when something cannot be refused; 409 while it is being changed.
        """
        async with self._lock:
            app = await self._settled(subject, app_id)
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
            Problem: 404; 409 ``key-revoked``, or something else is under way; 422 when it does not start.
        """
        async with self._lock:
            app = await self._settled(subject, app_id)
            if enabled and (why := await self._withheld(app, app.current)):
                raise key_revoked(app_id, why)
            action = "app.enable" if enabled else "app.disable"
            await self._change(subject, app_id, action=action, enabled=enabled)
            await self._runner.stop(app_id)
            app = await self._mine(subject, app_id)
            return await self._started(app) if enabled else app

    async def remove(self, subject: Subject, app_id: str) -> None:
        """Remove an app and everything that is its own. What it wrote to points stays: it is the site's.

        Raises:
            Problem: 404; 503 ``not-removed-yet`` when something cannot be taken away now: it is tried again.
        """
        async with self._lock:
            app = await self._mine(subject, app_id)
            await self._change(subject, app_id, action="app.remove", detail=app.current.version, status="removing")
            if why := await self._restoring.remove(subject, await self._mine(subject, app_id)):
                raise Problem(503, "not-removed-yet", "The app is not removed yet", f"it is tried again: {why}")

    async def allow_key(self, subject: Subject, app_id: str, reason: str) -> None:
        """Let an app of any tenant run although the key of its version in force was revoked, or, without a reason, no
        longer.

        Raises:
            Problem: 404; 409 when its key was not revoked, or nothing is allowed.
        """
        async with self._lock:
            app = await asyncio.to_thread(self._records.get, app_id)
            if app is None:
                raise not_found(f"app {app_id!r}")
            key, override = app.current.key, None
            if reason:
                if key not in (await asyncio.to_thread(self._trusted)).revoked:
                    raise conflict(f"the key of {app_id} was not revoked")
                override = KeyOverride(key=key, reason=reason, by=subject.name)
            elif app.key_override is None:
                raise conflict(f"{app_id} is not allowed to run with a revoked key")
            action = "app.key-override" if reason else "app.key-override-end"
            detail = f"{key}: {reason}" if reason else key
            await self._change(subject, app_id, action=action, detail=detail, key_override=override)
            await self._reconcile(app_id)

    async def recover(self, subject_of: SubjectOf) -> list[str]:
        """Finish or undo what a crash broke off; return what was done, for the log.

        Args:
            subject_of: who acts for an app.
        """
        told: list[str] = []
        async with self._lock:
            for app in await asyncio.to_thread(self._records.all):
                await self._learn_keys(app)
                if app.status != INSTALLED or app.pending is not None:
                    found = await self._restoring.settle(subject_of(app), app)
                    told.append(found)
            apps = await asyncio.to_thread(self._records.all)
            for app in apps:
                kept = {app.current.generation, *([app.previous.generation] if app.previous else [])}
                await asyncio.to_thread(self._folders.keep_only, app.app, kept)
            gone = await asyncio.to_thread(self._folders.remove_others, [app.app for app in apps], time.time())
        return told + [f"{name}: its folder belonged to no app and is removed" for name in gone]

    async def _learn_keys(self, app: InstalledApp) -> None:
        """Note the keys of versions that were installed before keys were noted."""
        code, name = self._folders.code, app.app
        current = await asyncio.to_thread(with_key, app.current, code(name, app.current.generation))
        previous = app.previous and await asyncio.to_thread(with_key, app.previous, code(name, app.previous.generation))
        if (current, previous) != (app.current, app.previous):
            await self._change(None, app.app, current=current, previous=previous)

    async def start_all(self) -> None:
        """Run all apps that are to run, one after another, as each is in force at its turn: meanwhile people may change
        them."""
        for listed in await asyncio.to_thread(self._records.all):
            async with self._lock:
                await self._reconcile(listed.app)

    async def keep_up(self, subject_of: SubjectOf) -> None:
        """Try again what could not be finished, end what may not run any more, and start what may and does not."""
        for listed in await asyncio.to_thread(self._records.all):
            async with self._lock:
                app = await asyncio.to_thread(self._records.get, listed.app)
                # Whatever is under way holds the lock: what is seen here was broken off.
                if app is not None and (app.status != INSTALLED or app.pending is not None):
                    logger.warning("%s", await self._restoring.settle(subject_of(app), app))
                await self._reconcile(listed.app)

    async def may_run(self, app_id: str) -> str:
        """Return why the version in force may not run, empty when it may."""
        app = await asyncio.to_thread(self._records.get, app_id)
        return "" if app is None else await self._withheld(app, app.current)

    async def _reconcile(self, app_id: str) -> None:
        """Let an app run if it is to and may, else end it."""
        app = await asyncio.to_thread(self._records.get, app_id)
        if app is None or app.status != INSTALLED or not app.enabled:
            return
        why, runs = await self._withheld(app, app.current), self._runner.keeps(app_id)
        if why and runs:
            await self._runner.stop(app_id)
        elif not why and not runs:
            await self._start(app)
        if why:
            logger.error("%s %s does not run: %s", app_id, app.current.version, why)

    async def _withheld(self, app: InstalledApp, version: InstalledVersion) -> str:
        return withheld(await asyncio.to_thread(self._trusted), app, version)

    async def _install(
        self, subject: Subject, app_id: str, package: Package, version: InstalledVersion
    ) -> InstalledApp:
        app = await asyncio.to_thread(self._records.add, subject, app_id, version)
        try:
            await asyncio.to_thread(self._folders.remove, app_id)
            await asyncio.to_thread(self._extract, app_id, package, version)
            version = await self._provisions.plan(subject, app, version)
            await self._change(None, app_id, current=version)
            await asyncio.to_thread(self._folders.make_state, app_id, version.generation)
            await self._runner.prepare(app, version)
            await self._runner.try_out(app, version)
            version = await self._provisions.apply(subject, app, version)
        except Exception as error:
            note_fault(app_id, error)
            await self._restoring.remove(subject, msgspec.structs.replace(app, current=version))
            raise failed_problem(app_id, version.version, error) from None
        await self._change(
            subject, app_id, action="app.install", detail=origin_words(version), status="installed", current=version
        )
        return await self._started(await self._mine(subject, app_id))

    async def _upgrade(
        self, subject: Subject, app: InstalledApp, package: Package, version: InstalledVersion
    ) -> InstalledApp:
        check_settled(app)
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
            version = await self._provisions.plan(subject, app, version)
            await self._change(None, app.app, pending=version)
            await self._runner.stop(app.app)
            await asyncio.to_thread(self._folders.copy_state, app.app, app.current.generation, generation)
            await self._runner.try_out(app, version)
            version = await self._provisions.apply(subject, app, version)
        except Exception as error:
            note_fault(app.app, error)
            failure = failed_problem(app.app, version.version, error)
            await self._again(subject, app, failure.detail)
            raise failure from None
        await self._change(
            subject,
            app.app,
            action="app.upgrade",
            detail=f"{app.current.version} -> {origin_words(version)}",
            status="installed",
            current=version,
            previous=app.current,
            pending=None,
            trouble="",
        )
        now = await self._mine(subject, app.app)
        try:
            if now.enabled:
                await self._runner.start(now)
        except AppFailure as error:
            failure = failed_problem(app.app, version.version, error)
            await self._runner.stop(app.app)
            await self._change(
                subject,
                app.app,
                action="app.rollback",
                detail=str(error)[:500],
                status="rolling-back",
                current=app.current,
                previous=app.previous,
                pending=version,
            )
            await self._again(subject, app, failure.detail)
            raise failure from None
        await asyncio.to_thread(self._folders.keep_only, app.app, {generation, app.current.generation})
        return now

    async def _again(self, subject: Subject, app: InstalledApp, trouble: str = "") -> None:
        """Let the version in force, which stays, run again, with what it brought."""
        app = await self._mine(subject, app.app)
        if not await self._restoring.restore(subject, app, trouble):
            await self._started(await self._mine(subject, app.app))

    async def _started(self, app: InstalledApp) -> InstalledApp:
        if app.enabled and not await self._withheld(app, app.current):
            await self._start(app)
        return app

    async def _start(self, app: InstalledApp) -> None:
        try:
            await self._runner.start(app)
        except AppFailure as error:
            logger.error("%s %s does not start: %s", app.app, app.current.version, error)
        except Exception:
            logger.exception("%s %s does not start", app.app, app.current.version)

    async def _settled(self, subject: Subject, app_id: str) -> InstalledApp:
        app = await self._mine(subject, app_id)
        check_settled(app)
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
