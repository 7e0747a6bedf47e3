"""Apps and versions of the store in the records."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, insert, or_, select, update

from gongfu.appkit.store.states import State
from gongfu.appkit.store.tables import app, installation, plan, version
from gongfu.appkit.versions import parse_version

OPEN = (State.DRAFT, State.SUBMITTED, State.REVIEWED)


def version_order(text: str) -> int:
    """Return a number that sorts as versions do; each part has at most 6 digits."""
    major, minor, patch = parse_version(text)
    return (major * 10**6 + minor) * 10**6 + patch


def find_app(connection: Connection, identifier: str) -> Row[Any] | None:
    """Return an app."""
    return connection.execute(select(app).where(app.c.identifier == identifier)).one_or_none()


def add_app(connection: Connection, **values: Any) -> int:
    """Add an app that shows nothing yet; return its key."""
    empty = {
        "industry": "", "text": "", "asks": ",", "shown_version": 0, "shown_at": 0, "level": 0, "certified_until": 0,
        "stars": 0, "ratings": 0, "rating": 0,
    }  # fmt: skip
    return connection.execute(insert(app).values(**{**empty, **values}).returning(app.c.id)).scalar_one()


def change_app(connection: Connection, key: int, **values: Any) -> None:
    """Change columns of an app."""
    connection.execute(update(app).where(app.c.id == key).values(**values))


def add_version(connection: Connection, **values: Any) -> int:
    """Add a version; return its key."""
    return connection.execute(insert(version).values(**values).returning(version.c.id)).scalar_one()


def change_version(connection: Connection, key: int, **values: Any) -> None:
    """Change columns of a version."""
    connection.execute(update(version).where(version.c.id == key).values(**values))


def with_app() -> Select[Any]:
    """Return the query of versions with identifier, tenant and title of their app."""
    return select(version, app.c.identifier, app.c.tenant_id, app.c.title).join(app, app.c.id == version.c.app_id)


def find_version(connection: Connection, key: int) -> Row[Any] | None:
    """Return a version, with identifier, tenant and title of its app."""
    return connection.execute(with_app().where(version.c.id == key)).one_or_none()


def named_version(connection: Connection, app_key: int, name: str) -> Row[Any] | None:
    """Return a version of an app by its number, such as ``1.2.0``."""
    return connection.execute(with_app().where(version.c.app_id == app_key, version.c.version == name)).one_or_none()


def versions_of(connection: Connection, app_key: int, limit: int = 200) -> Sequence[Row[Any]]:
    """Return the versions of an app, newest first."""
    query = with_app().where(version.c.app_id == app_key).order_by(version.c.version_order.desc()).limit(limit)
    return connection.execute(query).all()


def newest_published(connection: Connection, app_key: int, below: int | None = None) -> Row[Any] | None:
    """Return the newest published version of an app, or the newest that was, below another (``version_order``)."""
    query = with_app().where(version.c.app_id == app_key, version.c.state == State.PUBLISHED)
    if below is not None:
        query = query.where(version.c.version_order < below)
    return connection.execute(query.order_by(version.c.version_order.desc()).limit(1)).one_or_none()


def in_review(
    connection: Connection, tenant: int | None, after: tuple[int, int] | None, limit: int
) -> Sequence[Row[Any]]:
    """Return versions that are open, oldest change first.

    Args:
        connection: the transaction.
        tenant: whose; None for all.
        after: change and key of the last one that was shown.
        limit: at most.
    """
    query = with_app().where(version.c.state.in_(OPEN))
    if tenant is not None:
        query = query.where(app.c.tenant_id == tenant)
    if after is not None:
        later = and_(version.c.changed_at == after[0], version.c.id > after[1])
        query = query.where(or_(version.c.changed_at > after[0], later))
    return connection.execute(query.order_by(version.c.changed_at, version.c.id).limit(limit)).all()


def package_states(connection: Connection, sha256: str) -> Sequence[Any]:
    """Return state and tenant of the versions that have a package."""
    query = select(version.c.state, version.c.size, app.c.tenant_id).join(app, app.c.id == version.c.app_id)
    return connection.execute(query.where(version.c.sha256 == sha256)).all()


def plan_on(connection: Connection, app_key: int, day: str) -> Row[Any] | None:
    """Return the plan of an app on a day."""
    query = select(plan).where(plan.c.app_id == app_key, plan.c.from_day <= day).order_by(plan.c.from_day.desc())
    return connection.execute(query.limit(1)).one_or_none()


def installs(connection: Connection, keys: Sequence[int]) -> dict[int, int]:
    """Return on how many nodes and tenants apps are installed, by key of the app."""
    query = select(installation.c.app_id, func.count().label("total")).where(
        installation.c.app_id.in_(keys), installation.c.removed_at == 0
    )
    return {row.app_id: row.total for row in connection.execute(query.group_by(installation.c.app_id))}
