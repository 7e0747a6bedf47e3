"""The catalogue: search, pages by cursor, an app with its versions."""

from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine, Select, and_, or_, select

from gongfu.appkit.store import app_records as records
from gongfu.appkit.store import levels
from gongfu.appkit.store.documents import LEVELS, AppDetail, AppDocument, Listing, VersionDetail, VersionDocument
from gongfu.appkit.store.industries import industry_code
from gongfu.appkit.store.meters import day_of
from gongfu.appkit.store.permission_changes import KINDS
from gongfu.appkit.store.plans import add_plan
from gongfu.appkit.store.shown import (
    app_document,
    certification_document,
    rating_document,
    search_text,
    version_detail,
    version_document,
)
from gongfu.appkit.store.states import State
from gongfu.appkit.store.tables import app, installation, rating, version
from gongfu.kernel.errors import forbidden, invalid, not_found
from gongfu.kernel.permissions import Action, Subject, can
from gongfu.kernel.times import Clock
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

Order = Literal["name", "rating", "newest"]
_WORDS = 8
_LANGUAGES = frozenset({"zh", "en"})


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for.

    Attributes:
        text: words, each of which stands in identifier, titles, descriptions or the publisher's name, in any case.
        industry: GB/T 4754: that section, division, group or class; apps for every industry are found too.
        without: kinds of asking (``permission_changes.KINDS``) that the app must not have.
        level: at least that certification.
        rating: at least so many stars in the mean.
        order: by identifier, best first, or newest first.
    """

    text: str = ""
    industry: str = ""
    without: tuple[str, ...] = ()
    level: str = "none"
    rating: float = 0.0
    order: Order = "name"


class Catalogue:
    """What is published. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def page(
        self, search: Search, after: tuple[int, str] | None, limit: int
    ) -> tuple[list[AppDocument], tuple[int, str] | None]:
        """Return apps and the key after which the next page starts.

        Raises:
            Problem: 400 for what cannot be looked for.
        """
        now = self._clock.now_ns()
        query = _found(search, now)
        sort = {"name": None, "rating": app.c.rating, "newest": app.c.shown_at}[search.order]
        if after is not None:
            beyond = app.c.identifier > after[1]
            query = query.where(
                beyond if sort is None else or_(sort < after[0], and_(sort == after[0], beyond))
            )  # fmt: skip
        query = query.order_by(*([] if sort is None else [sort.desc()]), app.c.identifier).limit(limit + 1)
        self._lapse(now)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
            items = self._documents(connection, rows[:limit], now)
        if len(rows) <= limit:
            return items, None
        last = rows[limit - 1]
        return items, (0 if sort is None else int(getattr(last, sort.name)), last.identifier)

    def get(self, subject: Subject, identifier: str) -> AppDetail:
        """Return an app as the caller may see it: with open versions when it is the caller's, or the caller reviews.

        Raises:
            Problem: 404.
        """
        now = self._clock.now_ns()
        self._lapse(now)
        with reading(self._engine) as connection:
            row = records.find_app(connection, identifier)
            own = row is not None and row.tenant_id == subject.tenant
            every = own or can(subject, Action.APP_REVIEW)
            if row is None or not (row.shown_version or every):
                raise not_found(f"app {identifier[:120]}")
            versions = [
                found
                for found in records.versions_of(connection, row.id)
                if every or found.state in (State.PUBLISHED, State.WITHDRAWN)
            ]
            certified = levels.of_versions(connection, [found.id for found in versions])
            mine = (rating.c.app_id == row.id) & (rating.c.tenant_id == subject.tenant)
            rated = connection.execute(select(rating).where(mine)).one_or_none()
            document = self._documents(connection, [row], now)[0]
            return AppDetail(
                **msgspec.structs.asdict(document),
                own=own,
                installed=installed_version(connection, row.id, subject.tenant),
                rated=rating_document(rated) if rated is not None else None,
                versions=[version_document(found) for found in versions],
                certifications=[certification_document(found, found.version, now) for found in certified],
            )

    def version(self, subject: Subject, key: int) -> VersionDetail:
        """Return a version with what it is made of.

        Raises:
            Problem: 404.
        """
        now = self._clock.now_ns()
        with reading(self._engine) as connection:
            row = records.find_version(connection, key)
            seen = row is not None and (
                row.state in (State.PUBLISHED, State.WITHDRAWN)
                or row.tenant_id == subject.tenant
                or can(subject, Action.APP_REVIEW)
            )
            if row is None or not seen:
                raise not_found(f"version {key}")
            before = records.newest_published(connection, row.app_id, row.version_order)
            certified = levels.of_versions(connection, [key])
            return version_detail(row, before, [certification_document(c, row.version, now) for c in certified])

    def open_versions(
        self, subject: Subject, after: tuple[int, int] | None, limit: int
    ) -> tuple[list[VersionDocument], tuple[int, int] | None]:
        """Return drafts and versions under review, oldest first: all for who reviews, else those of the tenant."""
        tenant = None if can(subject, Action.APP_REVIEW) else subject.tenant
        with reading(self._engine) as connection:
            rows = records.in_review(connection, tenant, after, limit + 1)
        items = [version_document(row) for row in rows[:limit]]
        return items, (rows[limit - 1].changed_at, rows[limit - 1].id) if len(rows) > limit else None

    def list_as(self, subject: Subject, identifier: str, listing: Listing) -> AppDetail:
        """Change what the publisher says of an app.

        Raises:
            Problem: 400, 403 for another tenant's app, 404, 409 for a plan of the past.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = records.find_app(connection, identifier)
            if row is None:
                raise not_found(f"app {identifier[:120]}")
            if row.tenant_id != subject.tenant:
                raise forbidden(f"{identifier} is another tenant's app")
            values: dict[str, Any] = {}
            if listing.industry is not None:
                try:
                    values["industry"] = industry_code(listing.industry)
                except ValueError as error:
                    raise invalid(f"industry: {error}") from None
            if listing.description is not None:
                if set(listing.description) != _LANGUAGES:
                    raise invalid("description has the members zh and en")
                values["description"] = listing.description
                shown = records.find_version(connection, row.shown_version)
                publisher = shown.publisher if shown is not None else ""
                values["text"] = search_text(row.identifier, row.title, listing.description, publisher)
            if values:
                records.change_app(connection, row.id, **values)
            if listing.plan is not None:
                add_plan(connection, row.id, listing.plan, listing.plan_from, subject.name, now)
            audit.record(connection, subject, "store.listing", f"app/{identifier}", now, repr(listing)[:1000])
        return self.get(subject, identifier)

    def _documents(self, connection: Connection, rows: Any, now: int) -> list[AppDocument]:
        keys = [row.id for row in rows]
        shown_keys = [row.shown_version for row in rows if row.shown_version]
        shown = {row.id: row for row in connection.execute(select(version).where(version.c.id.in_(shown_keys)))}
        counts = records.installs(connection, keys)
        today = day_of(now)
        return [
            app_document(
                row,
                shown.get(row.shown_version),
                records.plan_on(connection, row.id, today),
                counts.get(row.id, 0),
                now,
            )
            for row in rows
        ]

    def _lapse(self, now: int) -> None:
        """Where the highest certification has run out, let the next one show."""
        lapsed = select(app.c.id).where(app.c.level > 0, app.c.certified_until <= now).limit(100)
        with reading(self._engine) as connection:
            keys = connection.execute(lapsed).scalars().all()
        if keys:
            with writing(self._engine) as connection:
                for key in keys:
                    levels.refresh_level(connection, key, now)


def installed_version(connection: Connection, app_key: int, tenant: int) -> str:
    """Return the version of an app that a tenant has on this node, "" when none."""
    query = select(installation.c.version).where(
        installation.c.app_id == app_key,
        installation.c.tenant_id == tenant,
        installation.c.node == "",
        installation.c.removed_at == 0,
    )
    return connection.execute(query).scalar() or ""


def _found(search: Search, now: int) -> Select[Any]:
    query = select(app).where(app.c.shown_version > 0)
    words = search.text.lower().split()
    if len(words) > _WORDS:
        raise invalid(f"text: at most {_WORDS} words")
    for word in words:
        query = query.where(app.c.text.contains(word, autoescape=True))
    if search.industry:
        try:
            code = industry_code(search.industry)
        except ValueError as error:
            raise invalid(f"industry: {error}") from None
        # What is made for a whole section is for its classes too.
        wider = [code[:length] for length in (0, 1, 3, 4) if length < len(code)]
        query = query.where(or_(app.c.industry.startswith(code), app.c.industry.in_(wider)))
    for kind in search.without:
        if kind not in KINDS:
            raise invalid(f"without: one of {', '.join(KINDS)}, not {kind[:40]!r}")
        query = query.where(~app.c.asks.contains(f",{kind},"))
    if search.level != "none":
        if search.level not in LEVELS:
            raise invalid(f"level: one of {', '.join(LEVELS)}")
        least = next(index for index, name in enumerate(LEVELS) if name == search.level)
        query = query.where(app.c.level >= least, app.c.certified_until > now)
    if search.rating > 0:
        query = query.where(app.c.rating >= round(search.rating * 100))
    return query
