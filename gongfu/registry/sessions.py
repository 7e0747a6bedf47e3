"""Sessions: sign-in with a password gives a token; the token stands for the user until it ends.

Only the SHA-256 of a token is stored.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.errors import conflict, invalid, unauthenticated
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.times import SECOND, Clock, SystemClock
from gongfu.registry import audit, passwords, user_records
from gongfu.registry.prepared import CLI_MARGIN, cli_token_path
from gongfu.registry.sign_in_limit import SignInLimit
from gongfu.registry.tokens import hash_token, new_token
from gongfu.registry.users import check_language
from gongfu.store.records.engine import reading, writing

SESSION_SECONDS = 12 * 3600
_CLI_SECONDS = 365 * 24 * 3600


class SessionTenant(msgspec.Struct, frozen=True):
    """Tenant of the signed-in user."""

    id: int
    name: str


class SessionUser(msgspec.Struct, frozen=True):
    """The signed-in user as the console sees it."""

    id: int
    name: str
    role: Role
    tenant: SessionTenant
    language: str
    must_change_password: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token stands for.

    Attributes:
        subject: the user for permission checks.
        token_hash: SHA-256 of the token, hex.
        must_change_password: nothing but the own session may be used before the password is changed.
    """

    subject: Subject
    token_hash: str
    must_change_password: bool


class Sessions:
    """Sign-in, sign-out and the meaning of tokens; every method blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, limit: SignInLimit) -> None:
        self._engine = engine
        self._clock = clock
        self._limit = limit

    def sign_in(self, name: str, password: str, address: str) -> tuple[str, SessionUser]:
        """Return a new token and its user.

        Raises:
            Problem: 401 for a wrong name or password (the same words for both), 429 after too many of them.
        """
        now = self._clock.now_ns()
        self._limit.attempt(name, address, now)
        with reading(self._engine) as connection:
            row = user_records.by_name(connection, name)
        # An unknown name takes as long as a wrong password.
        hashed = row.password_hash if row is not None and row.enabled else ""
        if not passwords.verify_password(hashed, password):
            raise unauthenticated("user name or password is wrong")
        self._limit.succeeded(name, address)
        token = new_token()
        assert row is not None
        with writing(self._engine) as connection:
            user_records.remove_expired_tokens(connection, now)
            end = now + SESSION_SECONDS * SECOND
            user_records.add_token(connection, hash_token(token), row.id, "session", address[:120], now, end)
            subject = Subject(row.id, row.name, row.tenant_id, Role(row.role))
            audit.record(connection, subject, "session.create", f"user/{row.name}", now, address)
        return token, _session_user(row)

    def identify(self, token: str) -> Identity | None:
        """Return who a token stands for, None when it is unknown, ended, or its user is disabled.

        A session in use is extended, so it ends 12 hours after its last use (to within half of that).
        """
        now = self._clock.now_ns()
        token_hash = hash_token(token)
        with reading(self._engine) as connection:
            row = user_records.token_user(connection, token_hash, now)
        if row is None:
            return None
        if row.kind == "session" and row.expires_at - now < SESSION_SECONDS * SECOND // 2:
            with writing(self._engine) as connection:
                user_records.extend_token(connection, token_hash, now + SESSION_SECONDS * SECOND)
        subject = Subject(row.id, row.name, row.tenant_id, Role(row.role))
        # The command line runs as the owner of the data directory, who may read the records anyhow.
        return Identity(subject, token_hash, row.must_change_password and row.kind == "session")

    def user(self, subject: Subject) -> SessionUser:
        """Return the signed-in user."""
        with reading(self._engine) as connection:
            row = user_records.by_id(connection, subject.user)
        if row is None:
            raise unauthenticated("the user was removed")
        return _session_user(row)

    def sign_out(self, subject: Subject, token_hash: str) -> None:
        """End a session."""
        with writing(self._engine) as connection:
            user_records.remove_token(connection, token_hash)
            audit.record(connection, subject, "session.delete", f"user/{subject.name}", self._clock.now_ns())

    def change_password(self, subject: Subject, token_hash: str, old: str, new: str, address: str) -> None:
        """Change the own password; all other sessions of the user end.

        Raises:
            Problem: 400 for the new password or a wrong old one, 429 after too many of them.
        """
        now = self._clock.now_ns()
        self._limit.attempt(subject.name, address, now)
        with reading(self._engine) as connection:
            row = user_records.by_id(connection, subject.user)
        if row is None or not passwords.verify_password(row.password_hash, old):
            raise invalid("the old password is wrong")
        self._limit.succeeded(subject.name, address)
        passwords.check_password(new, subject.name)
        if new == old:
            raise invalid("the new password is the old one")
        hashed = passwords.hash_password(new)
        with writing(self._engine) as connection:
            again = user_records.by_id(connection, subject.user)
            if again is None or again.password_hash != row.password_hash:
                raise conflict("the password was changed by someone else meanwhile")
            user_records.change(connection, subject.user, {"password_hash": hashed, "must_change_password": False})
            user_records.remove_tokens(connection, subject.user, keep=token_hash)
            audit.record(connection, subject, "user.password", f"user/{subject.name}", now)

    def set_language(self, subject: Subject, language: str) -> SessionUser:
        """Change the own language."""
        with writing(self._engine) as connection:
            user_records.change(connection, subject.user, {"language": check_language(language)})
            audit.record(connection, subject, "user.language", f"user/{subject.name}", self._clock.now_ns(), language)
        return self.user(subject)


def ensure_cli_token(data_dir: str | Path, engine: Engine, clock: Clock | None = None) -> Path:
    """Make sure that ``<data_dir>/secrets/cli-token`` (mode 0600) holds a valid token of a node admin.

    Whoever can read the data directory can read the records, so the token gives away nothing new.

    Returns:
        The path of the file.
    """
    clock = clock or SystemClock()
    path = cli_token_path(data_dir)
    now = clock.now_ns()
    if path.exists():
        token_hash = hash_token(path.read_text(encoding="utf-8").strip())
        with reading(engine) as connection:
            row = user_records.token_user(connection, token_hash, now + CLI_MARGIN)
        if row is not None and row.role == Role.ADMIN.value and row.tenant_id == NODE_TENANT:
            return path
    token = new_token()
    with writing(engine) as connection:
        admin = user_records.first_admin(connection, NODE_TENANT)
        if admin is None:
            raise RuntimeError("the node has no enabled administrator")
        user_records.add_token(connection, hash_token(token), admin, "cli", "gongfu", now, now + _CLI_SECONDS * SECOND)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_name(f".cli-token.{os.getpid()}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(token + "\n")
    scratch.replace(path)
    return path


def _session_user(user: Any) -> SessionUser:
    return SessionUser(
        id=user.id,
        name=user.name,
        role=Role(user.role),
        tenant=SessionTenant(user.tenant_id, user.tenant_name),
        language=user.language,
        must_change_password=user.must_change_password,
    )
