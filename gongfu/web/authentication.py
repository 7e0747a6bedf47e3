"""Who calls: the bearer token or the session cookie, and the check against forged requests from other sites."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request

from gongfu.kernel.errors import Problem, forbidden, unauthenticated
from gongfu.kernel.permissions import Action, can
from gongfu.registry.api.session import COOKIE
from gongfu.registry.sessions import Identity

Identify = Callable[[str], Identity | None]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN_LIMIT = 200


def bearer_of(request: Request) -> str | None:
    """Return the token of an ``Authorization: Bearer`` header (RFC 6750 §2.1)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def check_origin(request: Request) -> None:
    """Refuse a write that another site made the browser send.

    A request with a bearer token is not forged: browsers add cookies by themselves, but no such header.

    Raises:
        Problem: 403.
    """
    if request.method in _SAFE_METHODS or bearer_of(request) is not None:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        passed = site in ("same-origin", "none")
    elif origin is not None:
        passed = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    else:
        # Every browser since 2020 sends one of the two with a write; programs use tokens, or sign in without a cookie.
        passed = COOKIE not in request.cookies
    if not passed:
        raise Problem(
            403,
            "cross-site-request",
            "Request from another site",
            "a write with the session cookie must come from the console's own origin; programs use a bearer token",
        )


async def authenticate(request: Request, identify: Identify) -> Identity:
    """Return who calls.

    Raises:
        Problem: 401.
    """
    token = bearer_of(request)
    if token is None:
        token = request.cookies.get(COOKIE)
    if not token:
        raise unauthenticated("sign in, or send Authorization: Bearer")
    identity = await asyncio.to_thread(identify, token) if len(token) <= _TOKEN_LIMIT else None
    if identity is None:
        raise unauthenticated("the session has ended")
    return identity


def authorise(identity: Identity, action: Action, *, own_session: bool = False) -> None:
    """Check that a caller may do an action.

    Raises:
        Problem: 403.
    """
    if identity.must_change_password and not own_session:
        raise Problem(
            403,
            "password-change-needed",
            "Password must be changed first",
            "the one-time password must be changed with POST /v1/session:changePassword",
        )
    if not can(identity.subject, action):
        raise forbidden(f"the role {identity.subject.role.value} does not include {action.value}")
