"""Rows of tenants, users and access tokens."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from gongfu.kernel.permissions import Role
from gongfu.registry.tables import access_token, tenant, user

_USER = select(
    user.c.id,
    user.c.tenant_id,
    tenant.c.name.label("tenant_name"),
    user.c.name,
    user.c.role,
    user.c.password_hash,
    user.c.must_change_password,
    user.c.enabled,
    user.c.language,
    user.c.created_at,
).join(tenant, tenant.c.id == user.c.tenant_id)
# Made once: each request of the API asks it.
_TOKEN_USER = (
    _USER.add_columns(access_token.c.kind, access_token.c.expires_at)
    .join(access_token, access_token.c.user_id == user.c.id)
    .where(
        access_token.c.token_hash == bindparam("asked"),
        access_token.c.expires_at > bindparam("now"),
        user.c.enabled.is_(True),
    )
)


def by_name(connection: Connection, name: str) -> Any | None:
    """Return the user of a name."""
    return connection.execute(_USER.where(user.c.name == name)).first()


def by_id(connection: Connection, key: int) -> Any | None:
    """Return the user of an id."""
    return connection.execute(_USER.where(user.c.id == key)).first()


def page(connection: Connection, tenant_id: int, after: str | None, limit: int) -> Sequence[Any]:
    """Return users of a tenant in order of name."""
    query = _USER.where(user.c.tenant_id == tenant_id).order_by(user.c.name).limit(limit)
    return connection.execute(query if after is None else query.where(user.c.name > after)).all()


def count(connection: Connection) -> int:
    """Return the number of users on the node."""
    return connection.execute(select(func.count()).select_from(user)).scalar_one()


def add(connection: Connection, **values: Any) -> int:
    """Add a user and return its id."""
    return connection.execute(insert(user).values(**values).returning(user.c.id)).scalar_one()


def change(connection: Connection, key: int, values: dict[str, Any]) -> None:
    """Change columns of a user."""
    if values:
        connection.execute(update(user).where(user.c.id == key).values(**values))


def remove(connection: Connection, key: int) -> None:
    """Remove a user; its tokens go with it."""
    connection.execute(delete(user).where(user.c.id == key))


def other_admins(connection: Connection, tenant_id: int, key: int) -> int:
    """Return how many enabled admins a tenant has beside one user; locks the tenant, so that two cannot go at once."""
    connection.execute(select(tenant.c.id).where(tenant.c.id == tenant_id).with_for_update())
    query = select(func.count()).where(
        user.c.tenant_id == tenant_id, user.c.role == Role.ADMIN.value, user.c.enabled.is_(True), user.c.id != key
    )
    return connection.execute(query).scalar_one()


def first_admin(connection: Connection, tenant_id: int) -> int | None:
    """Return the id of the oldest enabled admin of a tenant."""
    query = select(func.min(user.c.id)).where(
        user.c.tenant_id == tenant_id, user.c.role == Role.ADMIN.value, user.c.enabled.is_(True)
    )
    return connection.execute(query).scalar()


def tenant_by_id(connection: Connection, key: int) -> Any | None:
    """Return a tenant."""
    return connection.execute(select(tenant).where(tenant.c.id == key)).first()


def tenant_page(connection: Connection, after: int | None, limit: int) -> Sequence[Any]:
    """Return tenants in order of id."""
    query = select(tenant).order_by(tenant.c.id).limit(limit)
    return connection.execute(query if after is None else query.where(tenant.c.id > after)).all()


def add_tenant(connection: Connection, name: str, now: int, key: int | None = None) -> int:
    """Add a tenant and return its id; ``key`` sets the id of the first one."""
    values: dict[str, Any] = {"name": name, "created_at": now}
    if key is not None:
        values["id"] = key
    added = connection.execute(insert(tenant).values(**values).returning(tenant.c.id)).scalar_one()
    if key is not None and connection.dialect.name == "postgresql":
        connection.execute(text("SELECT setval(pg_get_serial_sequence('tenant', 'id'), :key)"), {"key": key})
    return added


def add_token(connection: Connection, token_hash: str, user_id: int, kind: str, label: str, now: int, end: int) -> None:
    """Add an access token by its hash."""
    connection.execute(
        insert(access_token).values(
            token_hash=token_hash, user_id=user_id, kind=kind, label=label, created_at=now, expires_at=end
        )
    )


def token_user(connection: Connection, token_hash: str, now: int) -> Any | None:
    """Return the enabled user of a token that has not expired, with ``kind`` and ``expires_at`` of the token."""
    return connection.execute(_TOKEN_USER, {"asked": token_hash, "now": now}).first()


def extend_token(connection: Connection, token_hash: str, end: int) -> None:
    """Move the end of a token."""
    connection.execute(update(access_token).where(access_token.c.token_hash == token_hash).values(expires_at=end))


def remove_token(connection: Connection, token_hash: str) -> None:
    """Remove a token."""
    connection.execute(delete(access_token).where(access_token.c.token_hash == token_hash))


def remove_tokens(connection: Connection, user_id: int, keep: str = "") -> None:
    """Remove all tokens of a user but one, and but that of the local command line: it stands for the data directory."""
    connection.execute(
        delete(access_token).where(
            access_token.c.user_id == user_id, access_token.c.token_hash != keep, access_token.c.kind != "cli"
        )
    )


def remove_expired_tokens(connection: Connection, now: int) -> None:
    """Remove tokens that have expired."""
    connection.execute(delete(access_token).where(access_token.c.expires_at <= now))
