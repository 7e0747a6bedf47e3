"""HTTP of the own session: sign in, sign out, change password and language."""

import asyncio

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.registry.service import Registry
from gongfu.registry.sessions import SessionUser
from gongfu.rest.routing import Call, Raw, Route

COOKIE = "gongfu_session"


class SignIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to sign in."""

    username: str
    password: str


class ChangePassword(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to change the own password."""

    old: str
    new: str


class SessionPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to change the own settings."""

    language: str


class SessionDocument(msgspec.Struct, frozen=True):
    """The session: who is signed in."""

    user: SessionUser


def session_cookie(token: str, *, secure: bool) -> str:
    """Return the Set-Cookie value for a token; an empty token removes it.

    ``SameSite=Strict`` and no ``Max-Age``: the browser drops it when it closes, the server after 12 idle hours.
    """
    end = "" if token else "; Max-Age=0"
    return f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}{end}"


def routes(registry: Registry, *, secure: bool = False) -> list[Route]:
    """Return the operations; ``secure`` marks the cookie for TLS only."""
    sessions = registry.sessions

    async def sign_in(call: Call) -> Raw:
        request: SignIn = call.body
        token, user = await asyncio.to_thread(sessions.sign_in, request.username, request.password, call.address)
        body = msgspec.json.encode(SessionDocument(user))
        return Raw(body, "application/json", {"set-cookie": session_cookie(token, secure=secure)})

    async def get(call: Call) -> SessionDocument:
        return SessionDocument(await asyncio.to_thread(sessions.user, call.subject))

    async def sign_out(call: Call) -> Raw:
        await asyncio.to_thread(sessions.sign_out, call.subject, call.session)
        return Raw(b"", "", {"set-cookie": session_cookie("", secure=secure)}, 204)

    async def change_password(call: Call) -> SessionDocument:
        request: ChangePassword = call.body
        await asyncio.to_thread(
            sessions.change_password, call.subject, call.session, request.old, request.new, call.address
        )
        return await get(call)

    async def patch(call: Call) -> SessionDocument:
        return SessionDocument(await asyncio.to_thread(sessions.set_language, call.subject, call.body.language))

    read = Action.READ
    return [
        Route("POST", "/session", None, sign_in, "Sign in; sets the session cookie", SignIn, SessionDocument),
        Route("GET", "/session", read, get, "Who is signed in", None, SessionDocument, own_session=True),
        Route("DELETE", "/session", read, sign_out, "Sign out", None, None, 204, own_session=True),
        Route(
            "POST",
            "/session:changePassword",
            read,
            change_password,
            "Change the own password; other sessions of the user end",
            ChangePassword,
            SessionDocument,
            own_session=True,
        ),
        Route(
            "PATCH",
            "/session",
            read,
            patch,
            "Change the own settings",
            SessionPatch,
            SessionDocument,
            own_session=True,
        ),
    ]
