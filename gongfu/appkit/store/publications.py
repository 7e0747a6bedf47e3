"""Publish an app: draft, submitted, checked, decided by a second person, published, withdrawn."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from gongfu.appkit.manifest import Manifest, ManifestError
from gongfu.appkit.package import Package, PackageError, TrustedKeys
from gongfu.appkit.store import app_records as records
from gongfu.appkit.store.checks import Previous, RunTests, check_package, check_tests, open_checked
from gongfu.appkit.store.documents import Check, Decision, VersionDocument
from gongfu.appkit.store.levels import refresh_level
from gongfu.appkit.store.permission_changes import kinds_of
from gongfu.appkit.store.shown import manifest_of, search_text, version_document
from gongfu.appkit.store.states import State, Step, after
from gongfu.kernel.errors import Problem, conflict, forbidden, not_found
from gongfu.kernel.permissions import NODE_TENANT, Action, Subject, can
from gongfu.kernel.times import Clock
from gongfu.registry import audit
from gongfu.store.objects.folder import ObjectError, ObjectFolder
from gongfu.store.records.engine import reading, writing

MOST_OPEN = 50


def refused(error: PackageError | ManifestError) -> Problem:
    """Return the problem of a package that is not taken."""
    if isinstance(error, ManifestError):
        return Problem(400, "manifest-invalid", "The manifest of the app is not valid", str(error))
    return Problem(400, "package-refused", "The package is refused", str(error), {"reason": str(error.reason)})


class Publications:
    """Versions on their way into the catalogue. Methods block: call them in a thread."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        objects: ObjectFolder,
        trusted: Callable[[], TrustedKeys],
        run_tests: RunTests,
        *,
        development: bool = False,
    ) -> None:
        """Set up.

        Args:
            engine: migrated records.
            clock: present time.
            objects: where packages are kept.
            trusted: whose packages are taken now.
            run_tests: runs the tests of an app, confined.
            development: whether packages may be unsigned.
        """
        self._engine = engine
        self._clock = clock
        self._objects = objects
        self._trusted = trusted
        self._run_tests = run_tests
        self._development = development

    def draft(self, subject: Subject, data: bytes, notes: str = "") -> VersionDocument:
        """Take a package as a draft; one that is there with the same bytes is returned.

        Raises:
            Problem: 400 ``package-refused`` or ``manifest-invalid``; 403 for an app of another tenant; 409 when the
                version is there with other bytes, is not later than what is published, or too many are open.
        """
        try:
            package, manifest = open_checked(data, self._trusted(), allow_unsigned=self._development)
        except (PackageError, ManifestError) as error:
            raise refused(error) from None
        self._objects.put(data)
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            key = self._app(connection, subject, manifest, now)
            there = records.named_version(connection, key, manifest.app.version)
            if there is not None and there.sha256 == package.sha256 and there.state != State.WITHDRAWN:
                return version_document(there)
            if there is not None and there.state != State.DRAFT:
                raise conflict(f"{manifest.app.id} {manifest.app.version} is {there.state}: give it another version")
            newest = records.newest_published(connection, key)
            if newest is not None and records.version_order(manifest.app.version) <= newest.version_order:
                raise conflict(f"{newest.version} is published: a version after it is needed")
            values = _columns(package, manifest, subject, notes, now)
            if there is None:
                if len(records.in_review(connection, subject.tenant, None, MOST_OPEN)) >= MOST_OPEN:
                    raise conflict(f"{MOST_OPEN} versions of this tenant are open; withdraw some")
                number = records.add_version(connection, app_id=key, state=State.DRAFT, made_at=now, **values)
            else:
                number = there.id
                records.change_version(connection, number, **values)
            detail = f"{package.sha256} signed by {package.key}" if package.key else f"{package.sha256} UNSIGNED"
            audit.record(connection, subject, "store.draft", _name(manifest), now, detail)
            return version_document(records.find_version(connection, number))

    def submit(self, subject: Subject, key: int) -> VersionDocument:
        """Hand a draft in; ``check`` follows.

        Raises:
            Problem: 403, 404, 409.
        """
        return self._step(subject, key, Step.SUBMIT, own=True)

    def check(self, key: int) -> VersionDocument:
        """Run the automatic checks of a version that was handed in, then a person may decide. Takes as long as its
        tests.

        Raises:
            Problem: 404; 409 when it is not handed in.
        """
        with reading(self._engine) as connection:
            row = self._find(connection, key)
            before = records.newest_published(connection, row.app_id, row.version_order)
        previous = Previous(before.version, manifest_of(before), before.key_id) if before is not None else None
        checks = self._checked(row, previous)
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = self._find(connection, key)
            if after(State(row.state), Step.CHECKED) is None:
                raise conflict(f"{row.identifier} {row.version} is {row.state}")
            records.change_version(
                connection, key, checks=msgspec.to_builtins(checks), state=State.REVIEWED, changed_at=now
            )
            return version_document(self._find(connection, key))

    def to_check(self) -> list[int]:
        """Return the keys of versions that were handed in and not checked, such as after a restart."""
        with reading(self._engine) as connection:
            rows = records.in_review(connection, None, None, 1000)
        return [row.id for row in rows if row.state == State.SUBMITTED]

    def decide(self, subject: Subject, key: int, decision: Decision) -> VersionDocument:
        """Publish or refuse a version. Who decides is not who made it.

        Raises:
            Problem: 403 ``same-person``; 404; 409 when the package is another one than was looked at, a check has
                failed, or it is not to be decided.
        """
        now = self._clock.now_ns()
        step = Step.PUBLISH if decision.decision == "publish" else Step.REFUSE
        with writing(self._engine) as connection:
            row = self._find(connection, key)
            self._may_decide(subject, row, decision)
            state = after(State(row.state), step)
            if state is None:
                raise conflict(f"{row.identifier} {row.version} is {row.state}")
            failed = [check["name"] for check in row.checks if check["outcome"] == "failed"]
            if step is Step.PUBLISH and failed:
                raise conflict(f"checks have failed: {', '.join(failed)}")
            if step is Step.PUBLISH and row.key_id in self._trusted().revoked:
                raise conflict(f"the key {row.key_id} was revoked")
            if step is Step.REFUSE and not decision.reason:
                raise conflict("a refusal has a reason")
            records.change_version(
                connection, key, state=state, reason=decision.reason, reviewer=subject.name, changed_at=now
            )
            self._show(connection, row.app_id, now)
            name = f"app/{row.identifier}@{row.version}"
            audit.record(connection, subject, f"store.{decision.decision}", name, now, decision.reason)
            if row.tenant_id != subject.tenant:
                audit.record(
                    connection, subject, f"store.{decision.decision}", name, now, decision.reason, row.tenant_id
                )
            return version_document(self._find(connection, key))

    def withdraw(self, subject: Subject, key: int, reason: str) -> VersionDocument:
        """Take a version back: by its tenant, or by the store's reviewers. It is not given out any more.

        Raises:
            Problem: 403, 404, 409.
        """
        return self._step(subject, key, Step.WITHDRAW, own=not can(subject, Action.APP_REVIEW), reason=reason)

    def package(self, subject: Subject, sha256: str) -> Path:
        """Return the file of a package: published, or of the caller's tenant, or under review for who reviews.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            rows = records.package_states(connection, sha256)
        review = can(subject, Action.APP_REVIEW)
        if not any(row.state == State.PUBLISHED or row.tenant_id == subject.tenant or review for row in rows):
            raise not_found(f"package {sha256[:64]}")
        try:
            path = self._objects.path(sha256)
        except ObjectError:
            raise not_found(f"package {sha256[:64]}") from None
        if not path.is_file():
            raise not_found(f"package {sha256}: its file is gone")
        return path

    def _app(self, connection: Connection, subject: Subject, manifest: Manifest, now: int) -> int:
        found = records.find_app(connection, manifest.app.id)
        if found is not None:
            if found.tenant_id != subject.tenant:
                raise forbidden(f"{manifest.app.id} is another tenant's app")
            return found.id
        about = manifest.app
        description = about.description or about.title
        return records.add_app(
            connection,
            identifier=about.id,
            tenant_id=subject.tenant,
            title={"zh": about.title.zh, "en": about.title.en},
            description={"zh": description.zh, "en": description.en},
            created_at=now,
        )

    def _checked(self, row: Any, previous: Previous | None) -> list[Check]:
        try:
            data = self._objects.read(row.sha256)
        except (ObjectError, OSError) as error:
            return [Check("signature", "failed", f"the package cannot be read: {error}")]
        checks, package = check_package(data, self._trusted(), previous, allow_unsigned=self._development)
        if package is not None and not any(check.outcome == "failed" for check in checks):
            scratch = Path(tempfile.mkdtemp(prefix="gongfu-store-"))
            try:
                checks.append(check_tests(package, self._run_tests, scratch / "app"))
            except OSError as error:
                checks.append(Check("tests", "noted", f"they were not run: {error}"))
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        return checks

    def _may_decide(self, subject: Subject, row: Any, decision: Decision) -> None:
        if subject.tenant != NODE_TENANT:
            raise forbidden("the store is the matter of the node")
        if row.author == subject.name and row.tenant_id == subject.tenant:
            raise Problem(403, "same-person", "Somebody else must decide", f"{subject.name} made this version")
        if row.sha256 != decision.sha256:
            raise conflict("the package is another one than was looked at")

    def _step(self, subject: Subject, key: int, step: Step, *, own: bool, reason: str = "") -> VersionDocument:
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = self._find(connection, key)
            if own and row.tenant_id != subject.tenant:
                # Whether there is one is not the business of others.
                raise not_found(f"version {key}")
            state = after(State(row.state), step)
            if state is None:
                raise conflict(f"{row.identifier} {row.version} is {row.state}")
            records.change_version(connection, key, state=state, reason=reason, changed_at=now)
            self._show(connection, row.app_id, now)
            audit.record(connection, subject, f"store.{step}", f"app/{row.identifier}@{row.version}", now, reason)
            return version_document(self._find(connection, key))

    @staticmethod
    def _show(connection: Connection, app_key: int, now: int) -> None:
        """Let an app show its newest published version."""
        newest = records.newest_published(connection, app_key)
        if newest is None:
            records.change_app(connection, app_key, shown_version=0, level=0, certified_until=0)
            return
        manifest = manifest_of(newest)
        about = manifest.app
        said = about.description or about.title
        title, description = {"zh": about.title.zh, "en": about.title.en}, {"zh": said.zh, "en": said.en}
        records.change_app(
            connection,
            app_key,
            shown_version=newest.id,
            shown_at=newest.changed_at,
            title=title,
            description=description,
            text=search_text(about.id, title, description, newest.publisher),
            asks=kinds_of(manifest),
        )
        refresh_level(connection, app_key, now)

    @staticmethod
    def _find(connection: Connection, key: int) -> Any:
        row = records.find_version(connection, key)
        if row is None:
            raise not_found(f"version {key}")
        return row


def _columns(package: Package, manifest: Manifest, subject: Subject, notes: str, now: int) -> dict[str, Any]:
    return {
        "version": manifest.app.version,
        "version_order": records.version_order(manifest.app.version),
        "reason": "",
        "sha256": package.sha256,
        "size": package.size,
        "key_id": package.key,
        "publisher": package.publisher,
        "manifest": msgspec.to_builtins(manifest),
        "provenance": msgspec.to_builtins(package.provenance),
        "checks": [],
        "notes": notes,
        "author": subject.name,
        "reviewer": "",
        "changed_at": now,
    }


def _name(manifest: Manifest) -> str:
    return f"app/{manifest.app.id}@{manifest.app.version}"
