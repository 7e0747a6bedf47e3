"""Installed apps as the API and the store see them; what changes them is done by the role ``apps``."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.appkit.grants import asked_lines, missing
from gongfu.appkit.host.status import AppStatus
from gongfu.appkit.installed.consenting import granted_permissions, proposed_permissions
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.key_standing import key_state, withheld
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import AppDocument, Inspected, InstalledApp, Operation
from gongfu.appkit.manifest import Manifest, ManifestError, Needs, parse_manifest
from gongfu.appkit.package.opening import Package, open_package
from gongfu.appkit.package.refusal import PackageError
from gongfu.appkit.package.types import Bounds, TrustedKeys
from gongfu.kernel.errors import Problem, conflict, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339

# Asks the role to do something; starts it when it does not run. Returns the app's identifier.
Do = Callable[[Operation], Awaitable[str]]


class InstalledApps:
    """Apps of the caller's tenant."""

    def __init__(
        self, engine: Engine, clock: Clock, folders: Folders, trusted: Callable[[], TrustedKeys], do: Do
    ) -> None:
        self._records = InstalledRecords(engine, clock)
        self._folders = folders
        self._trusted = trusted
        self._do = do

    def all(self, subject: Subject) -> list[InstalledApp]:
        """Return the apps of the tenant in order of their identifiers."""
        return self._records.all(subject.tenant)

    def get(self, subject: Subject, app: str) -> InstalledApp:
        """Return an app.

        Raises:
            Problem: 404.
        """
        found = self._records.get(app)
        if found is None or found.tenant != subject.tenant:
            raise not_found(f"app {app[:120]!r}")
        return found

    async def inspect(self, subject: Subject, chunks: AsyncIterator[bytes]) -> Inspected:
        """Look at a package without installing it.

        Raises:
            Problem: 413, 422 ``package-refused`` with the reason, 400 for the manifest.
        """
        path = await self._take(chunks)
        try:
            return await asyncio.to_thread(self._inspect, subject, path)
        finally:
            path.unlink(missing_ok=True)

    async def install(
        self,
        subject: Subject,
        package: AsyncIterator[bytes] | Path,
        *,
        consent: bool,
        without: list[str] | None = None,
        allow_unsigned: bool,
        sha256: str = "",
    ) -> InstalledApp:
        """Install a package, or upgrade to it.

        Args:
            subject: who installs.
            package: its bytes as they come, or a file, which is left alone.
            consent: whether the caller looked at what it asks for and grants it; else it waits if it asks for more than
                the installed version has.
            without: names of optional permissions that are refused; None: those that are refused already.
            allow_unsigned: take one that nobody signed: for development.
            sha256: of the package that was looked at; empty: not asked.

        Raises:
            Problem: see ``LifeCycle.install`` and ``inspect``; 409 when it is not the package that was looked at.
        """
        chunks = _pieces(package) if isinstance(package, Path) else package
        path = await self._take(chunks)
        try:
            # What is no package is refused here: the role that installs starts only when there is something to do.
            opened = await asyncio.to_thread(self._open, path, None, True)
            if sha256 and opened.sha256 != sha256:
                raise conflict(f"this package is {opened.sha256[:12]}…, not the one that was looked at")
            operation = _operation("install", subject, file=path.name, allow_unsigned=allow_unsigned)
            app = await self._do(msgspec.structs.replace(operation, consent=consent, without=without))
        finally:
            path.unlink(missing_ok=True)
        return await asyncio.to_thread(self.get, subject, app)

    async def change(self, subject: Subject, app: str, verb: str) -> None:
        """Do ``rollback``, ``remove``, ``enable`` or ``disable``.

        Raises:
            Problem: 404 and what the role says.
        """
        await asyncio.to_thread(self.get, subject, app)
        await self._do(_operation(verb, subject, app=app))

    async def grant(self, subject: Subject, app: str, refused: list[str]) -> None:
        """Grant an installed app all it asks for but the optional things of some names.

        Raises:
            Problem: 404 and what the role says.
        """
        await asyncio.to_thread(self.get, subject, app)
        await self._do(msgspec.structs.replace(_operation("grant", subject, app=app), without=refused))

    async def allow_key(self, subject: Subject, app: str, reason: str) -> None:
        """Let an app of any tenant run although its key was revoked; without a reason no longer.

        Raises:
            Problem: 404 and what the role says.
        """
        # Asked here first: the role that does it starts only when there is something to do.
        if await asyncio.to_thread(self._records.get, app) is None:
            raise not_found(f"app {app[:120]!r}")
        await self._do(_operation("allow-key", subject, app=app, reason=reason))

    def document(self, app: InstalledApp, running: AppStatus | None) -> AppDocument:
        """Return the API's form of an app."""
        return document(app, running, self._trusted())

    def page_file(self, app: str, name: str) -> bytes:
        """Return a file of the pages of an app that is installed, whosever it is: pages hold no data.

        Raises:
            Problem: 404.
        """
        found = self._records.get(app)
        if found is None or found.status in ("installing", "removing"):
            raise not_found("page")
        root = (self._folders.code(app, found.current.generation) / "pages").resolve()
        try:
            path = (root / name).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path.read_bytes()
        except (OSError, ValueError):
            pass  # a name that no file can have: anybody may ask
        raise not_found("page")

    def records_file(self, subject: Subject, app: str) -> Path:
        """Return where the records of an app are.

        Raises:
            Problem: 404 when the app or its records are not there.
        """
        found = self.get(subject, app)
        path = self._folders.data(app, found.current.generation) / "records.sqlite"
        # The folder is the app's own: what it puts there may be a link to files that are not.
        if path.is_symlink() or not path.is_file():
            raise not_found(f"records of {app}")
        return path

    def _inspect(self, subject: Subject, path: Path) -> Inspected:
        package = self._open(path, None, allow_unsigned=True)
        trusted = not package.unsigned
        publisher = ""
        try:
            publisher = self._open(path, self._trusted(), allow_unsigned=True).publisher
        except Problem:
            trusted = False
        manifest = _manifest(package)
        installed = self._records.get(manifest.app.id)
        mine = installed if installed is not None and installed.tenant == subject.tenant else None
        return Inspected(
            id=manifest.app.id,
            version=manifest.app.version,
            title=dict(msgspec.to_builtins(manifest.app.title)),
            sha256=package.sha256,
            publisher=publisher,
            signed=not package.unsigned,
            trusted=trusted,
            asks=asked_lines(manifest.needs),
            new=missing(mine.current.granted if mine is not None else Needs(), manifest.needs),
            permissions=proposed_permissions(manifest.needs, mine.current if mine is not None else None),
            installed=mine.current.version if mine is not None else None,
            manifest=msgspec.to_builtins(manifest),
        )

    @staticmethod
    def _open(path: Path, trusted: TrustedKeys | None, allow_unsigned: bool) -> Package:
        try:
            return open_package(path, trusted, allow_unsigned=allow_unsigned)
        except PackageError as error:
            reason = {"reason": str(error.reason)}
            raise Problem(422, "package-refused", "The package is refused", str(error), reason) from None

    async def _take(self, chunks: AsyncIterator[bytes]) -> Path:
        """Write a package that comes into the folder of incoming ones.

        Raises:
            Problem: 413.
        """
        folder = self._folders.incoming
        await asyncio.to_thread(lambda: folder.mkdir(mode=0o700, parents=True, exist_ok=True))
        path, size, bound = folder / f"{secrets.token_hex(16)}.gfapp", 0, Bounds().bytes
        file = await asyncio.to_thread(path.open, "xb")
        try:
            with file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > bound:
                        raise Problem(413, "body-too-large", "The package is too large", f"at most {bound} bytes")
                    await asyncio.to_thread(file.write, chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


def document(app: InstalledApp, running: AppStatus | None, trusted: TrustedKeys) -> AppDocument:
    """Return the API's form of an app."""
    manifest = app.current.manifest
    pages: list[dict[str, Any]] = [
        {"file": page.file.removeprefix("pages/"), "title": msgspec.to_builtins(page.title)}
        for page in manifest.provides.pages
    ]
    return AppDocument(
        id=app.app,
        version=app.current.version,
        previous=app.previous.version if app.previous is not None else None,
        title=dict(msgspec.to_builtins(manifest.app.title)),
        status=app.status,
        enabled=app.enabled,
        publisher=app.current.publisher,
        sha256=app.current.sha256,
        asks=asked_lines(app.current.granted),
        permissions=granted_permissions(manifest.needs, app.current.granted),
        pages=pages,
        models=list(app.current.models),
        trouble=app.trouble,
        installed_by=app.installed_by,
        installed_at=format_rfc3339(app.installed_at),
        changed_at=format_rfc3339(app.changed_at),
        manifest=msgspec.to_builtins(manifest),
        key=app.current.key,
        key_state=key_state(trusted, app.current),
        withheld=withheld(trusted, app, app.current),
        key_override=app.key_override,
        running=running,
    )


def _operation(
    verb: str, subject: Subject, app: str = "", file: str = "", reason: str = "", *, allow_unsigned: bool = False
) -> Operation:
    return Operation(
        verb=verb,
        app=app,
        file=file,
        reason=reason,
        allow_unsigned=allow_unsigned,
        user=subject.user,
        name=subject.name,
        tenant=subject.tenant,
        role=str(subject.role),
    )


def _manifest(package: Package) -> Manifest:
    try:
        return parse_manifest(package.manifest)
    except ManifestError as error:
        raise Problem(400, "bad-manifest", "The manifest is wrong", str(error)) from None


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    with file:
        while chunk := await asyncio.to_thread(file.read, 1 << 20):
            yield chunk
