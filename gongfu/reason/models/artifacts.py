"""Artifacts of tenants: bytes are shared, claims are not. Who sent the bytes may refer to them, nobody else.

A digest is no secret: it stands in documents and logs. So knowing one gives no right; what a tenant may register is
what it has sent itself, and what it has sent counts against its own quota, also when others have sent it as well.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from sqlalchemy import Connection, Engine, and_, delete, exists, func, insert, select, update

from gongfu.kernel.errors import Problem, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, Clock
from gongfu.reason.models.tables import model, model_artifact, model_version
from gongfu.registry.tables import tenant
from gongfu.store.objects.folder import GRACE_S, ObjectFolder, ObjectTooLargeError, Stored
from gongfu.store.records.engine import reading, writing

# Of one tenant, where the settings do not say another.
TENANT_BYTES = 2 * 1024**3


class ArtifactUse(NamedTuple):
    """What a tenant uses: number of artifacts, and their bytes."""

    artifacts: int
    bytes: int


class Artifacts:
    """Artifacts in the object store with who sent them. Methods block on records and disk but ``take``."""

    def __init__(self, engine: Engine, clock: Clock, objects: ObjectFolder | None, tenant_bytes: int = TENANT_BYTES):
        """Keep artifacts in ``objects`` (None: this node keeps none), at most ``tenant_bytes`` of each tenant."""
        self._engine = engine
        self._clock = clock
        self._objects = objects
        self.tenant_bytes = tenant_bytes

    async def take(self, subject: Subject, chunks: AsyncIterator[bytes]) -> Stored:
        """Keep an artifact that comes in pieces, as one that the subject's tenant has sent.

        Raises:
            Problem: 413 ``too-large``, 507 ``artifact-quota-exceeded``; nothing is kept.
        """
        objects = self._folder()
        used = await asyncio.to_thread(self.used, subject.tenant)
        room = self.tenant_bytes - used.bytes

        async def bounded() -> AsyncIterator[bytes]:
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                if size > room:
                    raise self._full(used)
                yield chunk

        try:
            stored = await objects.take(bounded())
        except ObjectTooLargeError as error:
            raise _too_large(error) from None
        await asyncio.to_thread(self._claim, subject, stored)
        return stored

    def put(self, subject: Subject, content: bytes) -> Stored:
        """Keep an artifact as one that the subject's tenant has sent; one that it sent before needs no more room.

        Raises:
            Problem: 413 ``too-large``, 507 ``artifact-quota-exceeded``; nothing is kept.
        """
        objects, tenant_id = self._folder(), subject.tenant
        with reading(self._engine) as connection:
            known = _claimed(connection, tenant_id, hashlib.sha256(content).hexdigest())
            used = use_of(connection, tenant_id)
        if not known and len(content) > self.tenant_bytes - used.bytes:
            raise self._full(used)
        try:
            stored = objects.put(content)
        except ObjectTooLargeError as error:
            raise _too_large(error) from None
        self._claim(subject, stored)
        return stored

    def check(self, subject: Subject, sha256: str) -> None:
        """Check that the subject's tenant has sent an artifact.

        Raises:
            Problem: 404, the same whether or not another tenant has it.
        """
        with reading(self._engine) as connection:
            if not _claimed(connection, subject.tenant, sha256):
                raise not_sent(sha256)

    def used(self, tenant_id: int) -> ArtifactUse:
        """Return what a tenant uses of its quota."""
        with reading(self._engine) as connection:
            return use_of(connection, tenant_id)

    def sweep(self) -> list[Stored]:
        """Remove what no version refers to and was sent more than a day ago; return it."""
        objects, before = self._folder(), self._clock.now_ns() - round(GRACE_S * SECOND)
        with writing(self._engine) as connection:
            drop_unused(connection, before)
            # A version is of a tenant that has sent its artifact, but for damage: then the bytes are kept.
            keep = set(connection.execute(select(model_artifact.c.sha256).distinct()).scalars())
            keep |= set(connection.execute(select(model_version.c.sha256).distinct()).scalars())
        return objects.sweep(keep)

    def _claim(self, subject: Subject, stored: Stored) -> None:
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            if claim_again(connection, subject.tenant, stored.sha256, now):
                return
            # Two uploads at once must not both take the last room; whoever only refers to the tenant is not held up.
            own = select(tenant.c.id).where(tenant.c.id == subject.tenant)
            connection.execute(own.with_for_update(key_share=True))
            used = use_of(connection, subject.tenant)
            if used.bytes + stored.size > self.tenant_bytes:
                raise self._full(used)
            values = {"sha256": stored.sha256, "size": stored.size, "sent_by": subject.name, "sent_at": now}
            if not claim_again(connection, subject.tenant, stored.sha256, now):
                connection.execute(insert(model_artifact).values(tenant_id=subject.tenant, **values))

    def _full(self, used: ArtifactUse) -> Problem:
        return Problem(
            507,
            "artifact-quota-exceeded",
            "The tenant's room for artifacts is used up",
            f"{used.bytes} of {self.tenant_bytes} bytes are used by {used.artifacts} artifacts; remove versions of "
            "models: what nothing refers to is let go a day after it was sent",
            {"used_bytes": used.bytes, "quota_bytes": self.tenant_bytes},
        )

    def _folder(self) -> ObjectFolder:
        if self._objects is None:
            raise invalid("this node keeps no artifacts")
        return self._objects


def not_sent(sha256: str) -> Problem:
    """Return the problem of an artifact that the tenant has not sent (404)."""
    return not_found(f"artifact {sha256[:64]} of this tenant: send it to /v1/models:inspect first")


def _claimed(connection: Connection, tenant_id: int, sha256: str) -> bool:
    c = model_artifact.c
    query = select(c.sha256).where(c.tenant_id == tenant_id, c.sha256 == sha256)
    return connection.execute(query).first() is not None


def claim_again(connection: Connection, tenant_id: int, sha256: str, now: int) -> bool:
    """Note that an artifact of a tenant is used now, so that no sweep takes it; return whether the tenant sent it."""
    c = model_artifact.c
    where = and_(c.tenant_id == tenant_id, c.sha256 == sha256)
    return bool(connection.execute(update(model_artifact).where(where).values(sent_at=now)).rowcount)


def use_of(connection: Connection, tenant_id: int) -> ArtifactUse:
    """Return what a tenant uses of its quota."""
    c = model_artifact.c
    query = select(func.count(), func.coalesce(func.sum(c.size), 0)).where(c.tenant_id == tenant_id)
    number, total = connection.execute(query).one()
    return ArtifactUse(int(number), int(total))


def drop_unused(connection: Connection, before: int) -> None:
    """Drop the claims older than a time (UTC ns) on what no version of their tenant refers to."""
    c, join = model_artifact.c, model_version.join(model, model.c.id == model_version.c.model_id)
    same = and_(model.c.tenant_id == c.tenant_id, model_version.c.sha256 == c.sha256)
    used = exists(select(model_version.c.id).select_from(join).where(same).correlate(model_artifact))
    connection.execute(delete(model_artifact).where(c.sent_at < before, ~used))


def _too_large(error: ObjectTooLargeError) -> Problem:
    return Problem(413, "too-large", "The artifact is too large", str(error))
