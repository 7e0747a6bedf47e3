"""Certification of versions: who says on what evidence that one holds what it promises, and until when."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from gongfu.appkit.store import app_records as records
from gongfu.appkit.store.documents import LEVELS, CertificationDocument, NewCertification
from gongfu.appkit.store.shown import certification_document
from gongfu.appkit.store.states import State
from gongfu.appkit.store.tables import app, certification, version
from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, parse_rfc3339
from gongfu.registry import audit
from gongfu.store.records.engine import writing


class Certifications:
    """Certifications of published versions. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def certify(self, subject: Subject, key: int, request: NewCertification) -> CertificationDocument:
        """Certify a version.

        Raises:
            Problem: 400 for the time, 404, 409 when it is not published.
        """
        now = self._clock.now_ns()
        try:
            until = parse_rfc3339(request.until)
        except ValueError as error:
            raise invalid(f"until: {error}") from None
        if until <= now:
            raise invalid("until must be later than now")
        with writing(self._engine) as connection:
            row = records.find_version(connection, key)
            if row is None:
                raise not_found(f"version {key}")
            if row.state != State.PUBLISHED:
                raise conflict(f"{row.identifier} {row.version} is {row.state}")
            made = connection.execute(
                insert(certification)
                .values(
                    version_id=key,
                    level=request.level,
                    by=request.by,
                    evidence=request.evidence,
                    at=now,
                    until=until,
                    ended_at=0,
                )
                .returning(certification)
            ).one()
            refresh_level(connection, row.app_id, now)
            words = f"{request.level} by {request.by} until {request.until}: {request.evidence}"
            audit.record(connection, subject, "store.certify", f"app/{row.identifier}@{row.version}", now, words)
        return certification_document(made, row.version, now)

    def end(self, subject: Subject, key: int, reason: str) -> None:
        """End a certification before its time.

        Raises:
            Problem: 404, 409 when it has ended.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = connection.execute(
                select(certification, version.c.app_id, version.c.version, app.c.identifier)
                .join(version, version.c.id == certification.c.version_id)
                .join(app, app.c.id == version.c.app_id)
                .where(certification.c.id == key)
            ).one_or_none()
            if row is None:
                raise not_found(f"certification {key}")
            if row.ended_at:
                raise conflict(f"certification {key} has ended")
            connection.execute(update(certification).where(certification.c.id == key).values(ended_at=now))
            refresh_level(connection, row.app_id, now)
            audit.record(connection, subject, "store.uncertify", f"app/{row.identifier}@{row.version}", now, reason)


def of_versions(connection: Connection, keys: Sequence[int]) -> Sequence[Any]:
    """Return the certifications of some versions, with the version's number, newest first."""
    query = select(certification, version.c.version).join(version, version.c.id == certification.c.version_id)
    return connection.execute(query.where(version.c.id.in_(keys)).order_by(certification.c.id.desc()).limit(500)).all()


def refresh_level(connection: Connection, app_key: int, now: int) -> None:
    """Write down the level of the version that an app shows: the highest one that holds, and until when."""
    rows = connection.execute(
        select(certification.c.level, func.max(certification.c.until).label("until"))
        .join(app, app.c.shown_version == certification.c.version_id)
        .where(app.c.id == app_key, certification.c.ended_at == 0, certification.c.until > now)
        .group_by(certification.c.level)
    ).all()
    level, until = max(((LEVELS.index(row.level), row.until) for row in rows), default=(0, 0))
    records.change_app(connection, app_key, level=level, certified_until=until)
