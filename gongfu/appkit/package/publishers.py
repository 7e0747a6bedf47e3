"""The publishers' keys that this node trusts: added, revoked, listed."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, Engine, Row, insert, select, update

from gongfu.appkit.package.keys import read_public_key
from gongfu.appkit.package.refusal import PackageError
from gongfu.appkit.package.tables import publisher_key
from gongfu.appkit.package.types import TrustedKeys
from gongfu.kernel.errors import Problem, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

TRUSTED, REVOKED = "trusted", "revoked"
MOST_KEYS = 1_000


class NewPublisher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to trust.

    Attributes:
        key: the public key as its publisher gives it away (``<name>.pub``), a JSON object.
        publisher: what this node calls its owner; default: what the owner calls itself.
        id: as it was compared with the publisher by another way; a key with another id is refused.
    """

    key: msgspec.Raw
    publisher: Annotated[str, Meta(max_length=200)] = ""
    id: Annotated[str, Meta(max_length=40)] = ""


class Revoking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a key is trusted no more."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class PublisherDocument(msgspec.Struct, frozen=True):
    """A key as it is shown; ``state`` is ``trusted`` or ``revoked``."""

    id: str
    publisher: str
    state: str
    reason: str
    changed_by: str
    changed_at: str


class Publishers:
    """Keys of publishers in the records. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def trusted(self) -> TrustedKeys:
        """Return whose packages this node takes now."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(publisher_key)).all()
        return TrustedKeys(
            {row.id: row.publisher for row in rows if row.state == TRUSTED},
            {row.id: row.reason for row in rows if row.state == REVOKED},
        )

    def page(self) -> list[PublisherDocument]:
        """Return all keys, in order of the publishers' names; there are at most ``MOST_KEYS``."""
        with reading(self._engine) as connection:
            query = select(publisher_key).order_by(publisher_key.c.publisher, publisher_key.c.id)
            return [_document(row) for row in connection.execute(query)]

    def trust(self, subject: Subject, request: NewPublisher) -> PublisherDocument:
        """Trust a key; also one that was revoked, which the audit shows.

        Raises:
            Problem: 400 ``invalid-request``: not a key, or not the one whose id is given; 409 when there are too many.
        """
        try:
            public = read_public_key(bytes(request.key))
        except PackageError as error:
            raise invalid(error.detail) from None
        if request.id and request.id != public.id:
            raise invalid(f"the key has the id {public.id}, not {request.id}: it is another one")
        name, now = request.publisher or public.publisher, self._clock.now_ns()
        with writing(self._engine) as connection:
            found = _find(connection, public.id)
            values = {"publisher": name, "state": TRUSTED, "reason": "", "changed_by": subject.name, "changed_at": now}
            if found is None:
                if len(connection.execute(select(publisher_key.c.id)).all()) >= MOST_KEYS:
                    raise Problem(409, "too-many-keys", "Too many publishers' keys", f"at most {MOST_KEYS}")
                connection.execute(insert(publisher_key).values(id=public.id, public_key=public.key, **values))
            else:
                connection.execute(update(publisher_key).where(publisher_key.c.id == public.id).values(**values))
            before = f", {found.state} before" if found is not None else ""
            audit.record(connection, subject, "publisher.trust", f"publisher/{public.id}", now, f"{name}{before}")
        return self.get(public.id)

    def revoke(self, subject: Subject, identifier: str, reason: str) -> PublisherDocument:
        """Trust a key no more: what it signed is not installed from now on. What is installed stays.

        Raises:
            Problem: 404.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            if _find(connection, identifier) is None:
                raise not_found(f"publisher's key {identifier[:60]}")
            values = {"state": REVOKED, "reason": reason, "changed_by": subject.name, "changed_at": now}
            connection.execute(update(publisher_key).where(publisher_key.c.id == identifier).values(**values))
            audit.record(connection, subject, "publisher.revoke", f"publisher/{identifier}", now, reason)
        return self.get(identifier)

    def get(self, identifier: str) -> PublisherDocument:
        """Return a key.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            row = _find(connection, identifier)
        if row is None:
            raise not_found(f"publisher's key {identifier[:60]}")
        return _document(row)


def _document(row: Row[Any]) -> PublisherDocument:
    return PublisherDocument(
        row.id, row.publisher, row.state, row.reason, row.changed_by, format_rfc3339(row.changed_at)
    )


def _find(connection: Connection, identifier: str) -> Row[Any] | None:
    return connection.execute(select(publisher_key).where(publisher_key.c.id == identifier)).one_or_none()
