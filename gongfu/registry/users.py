"""Users and tenants: who may sign in, with which role, in which tenant."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from gongfu.kernel.errors import conflict, forbidden, not_found
from gongfu.kernel.permissions import NODE_TENANT, Action, Role, Subject, can
from gongfu.kernel.times import Clock, SystemClock, format_rfc3339
from gongfu.registry import audit, passwords, quota_records, user_records
from gongfu.registry.changes import Announce, RegistryChange, silent
from gongfu.registry.names import RowId, check_name
from gongfu.registry.quotas import QuotaDocument, QuotaPatch, change_quota, quota_document
from gongfu.store.records.engine import reading, writing

_USER_NAME_LIMIT = 120
_SYSTEM = Subject(user=0, name="gongfu", tenant=NODE_TENANT, role=Role.ADMIN)


class TenantDocument(msgspec.Struct, frozen=True):
    """A tenant of the node; tenants do not see each other."""

    id: int
    name: str
    created_at: str
    quota: QuotaDocument | None = None


class TenantPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to change a tenant."""

    quota: QuotaPatch | msgspec.UnsetType | None = msgspec.UNSET


class UserDocument(msgspec.Struct, frozen=True):
    """A user; the name is unique on the node."""

    id: int
    name: str
    role: Role
    tenant_id: int
    tenant_name: str
    language: str
    enabled: bool
    must_change_password: bool
    created_at: str


class NewUser(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to add a user. Without a password one is made; either must be changed at the first sign-in."""

    name: str
    role: Role
    password: str | None = None
    tenant_id: RowId | None = None
    language: str = "zh"


class UserPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to change a user; ``reset_password`` makes a new one-time password and ends all sessions."""

    role: Role | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    language: str | msgspec.UnsetType = msgspec.UNSET
    reset_password: bool = False


class UserWithPassword(msgspec.Struct, frozen=True):
    """A user, and the one-time password that is shown this once, or None when none was made."""

    user: UserDocument
    password: str | None


def user_document(row: Any) -> UserDocument:
    """Return the document of a user's row."""
    return UserDocument(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        tenant_id=row.tenant_id,
        tenant_name=row.tenant_name,
        language=row.language,
        enabled=row.enabled,
        must_change_password=row.must_change_password,
        created_at=format_rfc3339(row.created_at),
    )


def check_language(text: str) -> str:
    """Return a language tag the console knows how to ask for: 2 to 8 letters, digits and hyphens (RFC 5646)."""
    return check_name(text, "language", limit=8, without=" /\\\"'<>")


def ensure_first_admin(
    engine: Engine, *, name: str = "admin", tenant_name: str = "node", language: str = "zh", clock: Clock | None = None
) -> str | None:
    """Create the node tenant and its admin when there are no users, and return the one-time password.

    Returns:
        The password, shown to the operator once and stored nowhere, or None when there are users already.
    """
    now = (clock or SystemClock()).now_ns()
    password = passwords.one_time_password()
    hashed = ""
    with reading(engine) as connection:
        if user_records.count(connection):
            return None
    hashed = passwords.hash_password(password)
    with writing(engine) as connection:
        if user_records.count(connection):
            return None
        if user_records.tenant_by_id(connection, NODE_TENANT) is None:
            user_records.add_tenant(connection, tenant_name, now, key=NODE_TENANT)
        user_records.add(
            connection,
            tenant_id=NODE_TENANT,
            name=name,
            role=Role.ADMIN.value,
            password_hash=hashed,
            must_change_password=True,
            enabled=True,
            language=language,
            created_at=now,
        )
        audit.record(connection, _SYSTEM, "user.create", f"user/{name}", now, "first administrator of the node")
    return password


class Users:
    """Users and tenants as the API changes them; every method is one transaction and blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce = silent) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce

    def page(self, subject: Subject, tenant_id: int | None, after: str | None, limit: int) -> list[UserDocument]:
        """Return up to ``limit`` users of a tenant (default: the subject's) after a name, in order of name."""
        chosen = _tenant_to_write(subject, tenant_id)
        with reading(self._engine) as connection:
            return [user_document(row) for row in user_records.page(connection, chosen, after, limit)]

    def create(self, subject: Subject, request: NewUser) -> UserWithPassword:
        """Add a user.

        Raises:
            Problem: 400 for names and passwords, 403 for another tenant, 409 for a name that is taken.
        """
        name = check_name(request.name, "user name", limit=_USER_NAME_LIMIT, without="/:")
        chosen = _tenant_to_write(subject, request.tenant_id)
        language = check_language(request.language)
        made = None
        if request.password is None:
            made = passwords.one_time_password()
        else:
            passwords.check_password(request.password, name)
        hashed = passwords.hash_password(made or request.password or "")
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as connection:
                if user_records.tenant_by_id(connection, chosen) is None:
                    raise not_found(f"tenant {chosen}")
                key = user_records.add(
                    connection,
                    tenant_id=chosen,
                    name=name,
                    role=request.role.value,
                    password_hash=hashed,
                    must_change_password=True,
                    enabled=True,
                    language=language,
                    created_at=now,
                )
                audit.record(connection, subject, "user.create", f"user/{name}", now, request.role.value, chosen)
                return UserWithPassword(user_document(user_records.by_id(connection, key)), made)
        except IntegrityError:
            raise conflict(f"there is a user {name!r} already") from None

    def change(self, subject: Subject, key: int, patch: UserPatch) -> UserWithPassword:
        """Change role, language or state of a user, or reset the password.

        Raises:
            Problem: 404, or 409 when the tenant would be left without an enabled admin.
        """
        made = passwords.one_time_password() if patch.reset_password else None
        hashed = passwords.hash_password(made) if made else ""
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = self._find(connection, subject, key)
            values: dict[str, Any] = {}
            if patch.role is not msgspec.UNSET:
                values["role"] = patch.role.value
            if patch.enabled is not msgspec.UNSET:
                values["enabled"] = patch.enabled
            if patch.language is not msgspec.UNSET:
                values["language"] = check_language(patch.language)
            if values.get("role", Role.ADMIN.value) != Role.ADMIN.value or values.get("enabled") is False:
                _keep_an_admin(connection, row)
            detail = ", ".join(f"{name}={value}" for name, value in values.items())
            if made:
                values |= {"password_hash": hashed, "must_change_password": True}
                detail = (detail + ", " if detail else "") + "password reset"
            if made or values.get("enabled") is False:
                user_records.remove_tokens(connection, key)
            user_records.change(connection, key, values)
            audit.record(connection, subject, "user.update", f"user/{row.name}", now, detail, row.tenant_id)
            return UserWithPassword(user_document(user_records.by_id(connection, key)), made)

    def delete(self, subject: Subject, key: int) -> None:
        """Remove a user and its sessions.

        Raises:
            Problem: 404, or 409 when it is the tenant's last enabled admin.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = self._find(connection, subject, key)
            _keep_an_admin(connection, row)
            user_records.remove(connection, key)
            audit.record(connection, subject, "user.delete", f"user/{row.name}", now, tenant=row.tenant_id)

    def tenants(self, after: int | None, limit: int) -> list[TenantDocument]:
        """Return tenants after an id, in order of id."""
        with reading(self._engine) as connection:
            rows = user_records.tenant_page(connection, after, limit)
            quotas = quota_records.of_tenants(connection, [row.id for row in rows])
        return [
            TenantDocument(row.id, row.name, format_rfc3339(row.created_at), quota_document(quotas.get(row.id)))
            for row in rows
        ]

    def change_tenant(self, subject: Subject, key: int, patch: TenantPatch) -> TenantDocument:
        """Change the quota of a tenant; front doors take it at once.

        Raises:
            Problem: 400 for figures out of range, 404.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = user_records.tenant_by_id(connection, key)
            if row is None:
                raise not_found(f"tenant {key}")
            if patch.quota is not msgspec.UNSET:
                detail = change_quota(connection, key, 0, patch.quota)
                audit.record(connection, subject, "tenant.update", f"tenant/{row.name}", now, detail)
            quota = quota_document(quota_records.one(connection, key, 0))
        if patch.quota is not msgspec.UNSET:
            self._announce(RegistryChange(kind="quota", id=0, name=row.name, tenant=key, change="quota"))
        return TenantDocument(key, row.name, format_rfc3339(row.created_at), quota)

    def create_tenant(self, subject: Subject, name: str) -> TenantDocument:
        """Add a tenant.

        Raises:
            Problem: 400 for the name, 409 when it is taken.
        """
        check_name(name, "tenant name", limit=_USER_NAME_LIMIT)
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as connection:
                key = user_records.add_tenant(connection, name, now)
                audit.record(connection, subject, "tenant.create", f"tenant/{name}", now)
        except IntegrityError:
            raise conflict(f"there is a tenant {name!r} already") from None
        return TenantDocument(key, name, format_rfc3339(now))

    @staticmethod
    def _find(connection: Connection, subject: Subject, key: int) -> Any:
        row = user_records.by_id(connection, key)
        if row is None or not can(subject, Action.USER_WRITE, row.tenant_id):
            raise not_found(f"user {key}")
        return row


def _keep_an_admin(connection: Connection, row: Any) -> None:
    if (
        row.role == Role.ADMIN.value
        and row.enabled
        and not user_records.other_admins(connection, row.tenant_id, row.id)
    ):
        raise conflict(f"{row.name!r} is the last enabled administrator of its tenant")


def _tenant_to_write(subject: Subject, tenant_id: int | None) -> int:
    chosen = subject.tenant if tenant_id is None else tenant_id
    if not can(subject, Action.USER_WRITE, chosen):
        raise forbidden("users of another tenant")
    return chosen
