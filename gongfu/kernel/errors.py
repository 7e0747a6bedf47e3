"""One error for everything a caller can get wrong: an RFC 9457 problem."""

from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """A failure the caller can understand and act on.

    Attributes:
        status: HTTP status that fits it.
        code: stable, machine-readable name in kebab case; the problem type is ``/problems/<code>``.
        title: what is wrong, the same words for every occurrence.
        detail: what is wrong this time, without secrets.
        extra: further members of the problem document.
    """

    def __init__(
        self, status: int, code: str, title: str, detail: str = "", extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.extra: dict[str, Any] = dict(extra or {})

    def document(self) -> dict[str, Any]:
        """Return the problem+json document (RFC 9457 §3)."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.detail:
            body["detail"] = self.detail
        return {**self.extra, **body}


def invalid(detail: str, **extra: Any) -> Problem:
    """Return the problem for a request that does not say what the API documents (400)."""
    return Problem(400, "invalid-request", "The request is not valid", detail, extra)


def not_found(what: str) -> Problem:
    """Return the problem for something that is not there or not visible to the caller (404)."""
    return Problem(404, "not-found", "Not found", what)


def conflict(detail: str) -> Problem:
    """Return the problem for a request that contradicts what is stored (409)."""
    return Problem(409, "conflict", "Conflict with what is stored", detail)


def forbidden(detail: str) -> Problem:
    """Return the problem for a subject that may not do this (403)."""
    return Problem(403, "forbidden", "Not permitted", detail)


def unauthenticated(detail: str = "") -> Problem:
    """Return the problem for a missing or wrong credential (401)."""
    return Problem(401, "unauthenticated", "Sign-in needed", detail)


def unavailable(detail: str) -> Problem:
    """Return the problem for a part of the node that does not answer now (503)."""
    return Problem(503, "unavailable", "Not available now", detail)
