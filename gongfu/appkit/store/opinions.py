"""Ratings: one of each tenant for an app, only of who has it or has had it."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, delete, func, insert, select

from gongfu.appkit.store import app_records as records
from gongfu.appkit.store.documents import NewRating, RatingDocument
from gongfu.appkit.store.shown import rating_document
from gongfu.appkit.store.tables import installation, rating
from gongfu.kernel.errors import Problem, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing


class Ratings:
    """Ratings of apps. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def rate(self, subject: Subject, identifier: str, request: NewRating) -> RatingDocument:
        """Say what the caller's tenant thinks of an app, in place of what it said before.

        Raises:
            Problem: 403 ``not-installed`` or ``own-app``, 404.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = records.find_app(connection, identifier)
            if row is None:
                raise not_found(f"app {identifier[:120]}")
            if row.tenant_id == subject.tenant:
                raise Problem(403, "own-app", "Nobody rates an app of their own", identifier)
            place = (installation.c.app_id == row.id) & (installation.c.tenant_id == subject.tenant)
            newest = select(installation.c.version).where(place).order_by(installation.c.changed_at.desc()).limit(1)
            had = connection.execute(newest).scalar()
            if had is None:
                raise Problem(403, "not-installed", "Only who has installed an app rates it", identifier)
            mine = (rating.c.app_id == row.id) & (rating.c.tenant_id == subject.tenant)
            connection.execute(delete(rating).where(mine))
            connection.execute(
                insert(rating).values(
                    app_id=row.id,
                    tenant_id=subject.tenant,
                    stars=request.stars,
                    comment=request.comment,
                    version=had,
                    user_name=subject.name,
                    at=now,
                )
            )
            _add_up(connection, row.id)
            audit.record(connection, subject, "store.rate", f"app/{identifier}", now, f"{request.stars} stars")
            return rating_document(connection.execute(select(rating).where(mine)).one())

    def page(
        self, identifier: str, after: tuple[int, int] | None, limit: int
    ) -> tuple[Sequence[RatingDocument], tuple[int, int] | None]:
        """Return the ratings of an app, newest first.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            row = records.find_app(connection, identifier)
            if row is None or not row.shown_version:
                raise not_found(f"app {identifier[:120]}")
            query = select(rating).where(rating.c.app_id == row.id)
            if after is not None:
                same = (rating.c.at == after[0]) & (rating.c.tenant_id > after[1])
                query = query.where((rating.c.at < after[0]) | same)
            query = query.order_by(rating.c.at.desc(), rating.c.tenant_id).limit(limit + 1)
            rows = connection.execute(query).all()
        items = [rating_document(row) for row in rows[:limit]]
        return items, (rows[limit - 1].at, rows[limit - 1].tenant_id) if len(rows) > limit else None


def _add_up(connection: Connection, app_key: int) -> None:
    query = select(func.coalesce(func.sum(rating.c.stars), 0), func.count()).where(rating.c.app_id == app_key)
    stars, count = connection.execute(query).one()
    mean = (200 * stars + count) // (2 * count) if count else 0
    records.change_app(connection, app_key, stars=stars, ratings=count, rating=mean)
