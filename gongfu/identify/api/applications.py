"""HTTP of applications for prefixes, their documents and steps."""

from urllib.parse import quote

import msgspec

from gongfu.bus.commands import Ask
from gongfu.identify.management.applications import MAX_DOCUMENT_BYTES
from gongfu.identify.management.documents import (
    ApplicationPatch,
    ApplicationView,
    Approving,
    Deciding,
    DocumentKind,
    NewApplication,
    StepView,
)
from gongfu.identify.management.requests import (
    ApplicationList,
    ApproveApplication,
    ChangeApplication,
    DocumentContent,
    HandIn,
    ListApplications,
    OneDocument,
    OneNumber,
    StepApplication,
)
from gongfu.kernel.errors import Problem, invalid
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Handler, Incoming, Raw, Route

_MEDIA_TYPE_LENGTH = 120


class ApplicationPage(msgspec.Struct, frozen=True):
    """A page of applications, newest first."""

    items: list[ApplicationView]
    next: str | None


class StepPage(msgspec.Struct, frozen=True):
    """All steps of an application, oldest first."""

    items: list[StepView]
    next: str | None = None


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""
    return [*_text(ask), *_documents(ask), *_steps(ask)]


def _text(ask: Ask) -> list[Route]:
    async def page(call: Call) -> ApplicationPage:
        wish = ListApplications(
            call.query.get("state", ""), call.query.get("search", ""), cursor_of(call, int), limit_of(call)
        )
        found = await ask(call.subject, "application-list", wish, ApplicationList)
        return ApplicationPage(found.items, None if found.next is None else encode_cursor(found.next))

    async def create(call: Call) -> ApplicationView:
        return await ask(call.subject, "application-create", call.body, ApplicationView)

    async def show(call: Call) -> ApplicationView:
        return await ask(call.subject, "application-show", OneNumber(call.integer("id")), ApplicationView)

    async def change(call: Call) -> ApplicationView:
        wish = ChangeApplication(call.integer("id"), call.body)
        return await ask(call.subject, "application-change", wish, ApplicationView)

    listing = "Applications for prefixes, newest first (?state, ?search, ?limit, ?cursor)"
    read, write, all_, one = (
        Action.READ,
        Action.IDENTIFIER_WRITE,
        "/identifiers/applications",
        "/identifiers/applications/{id}",
    )
    return [
        Route("GET", all_, read, page, listing, None, ApplicationPage),
        Route("POST", all_, write, create, "Begin an application for a prefix", NewApplication, ApplicationView, 201),
        Route("GET", one, read, show, "Show an application", None, ApplicationView),
        Route("PATCH", one, write, change, "Change a draft or what was returned", ApplicationPatch, ApplicationView),
    ]


def _documents(ask: Ask) -> list[Route]:
    async def hand_in(call: Call) -> ApplicationView:
        incoming: Incoming = call.body
        try:
            kind = msgspec.convert(call.query.get("kind", "document"), DocumentKind)
        except msgspec.ValidationError:
            raise invalid("kind is lower case letters, digits and -, such as business-licence") from None
        name = call.query.get("name", kind)
        if not 1 <= len(name) <= 200 or not name.isprintable() or "/" in name:
            raise invalid("name is the name of a file, 1 to 200 characters")
        content = bytearray()
        async for piece in incoming.chunks:
            content += piece
            if len(content) > MAX_DOCUMENT_BYTES:
                raise Problem(413, "body-too-large", "The body is too large", f"at most {MAX_DOCUMENT_BYTES} bytes")
        media_type = incoming.media_type[:_MEDIA_TYPE_LENGTH] or "application/octet-stream"
        wish = HandIn(call.integer("id"), kind, name, media_type, bytes(content))
        return await ask(call.subject, "document-hand-in", wish, ApplicationView)

    async def document(call: Call) -> Raw:
        wish = OneDocument(call.integer("id"), call.path["digest"])
        found = await ask(call.subject, "document-show", wish, DocumentContent)
        # Never shown in the console's origin: whoever applies chose the bytes and the media type.
        disposition = f"attachment; filename*=UTF-8''{quote(found.name)}"
        headers = {"content-disposition": disposition, "content-security-policy": "sandbox"}
        return Raw(found.content, found.media_type, headers)

    async def take_back(call: Call) -> ApplicationView:
        wish = OneDocument(call.integer("id"), call.path["digest"])
        return await ask(call.subject, "document-take-back", wish, ApplicationView)

    write, one = Action.IDENTIFIER_WRITE, "/identifiers/applications/{id}/documents/{digest}"
    handing_in = "Hand a document in, its bytes as the body (?kind, ?name)"
    return [
        Route(
            "PUT",
            "/identifiers/applications/{id}/documents",
            write,
            hand_in,
            handing_in,
            Incoming,
            ApplicationView,
        ),
        Route("GET", one, Action.READ, document, "A document's bytes"),
        Route("DELETE", one, write, take_back, "Take a document back", None, ApplicationView),
    ]


def _steps(ask: Ask) -> list[Route]:
    def step(name: str) -> Handler:
        async def answer(call: Call) -> ApplicationView:
            words = call.body.words if call.body is not None else ""
            wish = StepApplication(call.integer("id"), name, words)
            return await ask(call.subject, "application-step", wish, ApplicationView)

        return answer

    async def approve(call: Call) -> ApplicationView:
        wish = ApproveApplication(call.integer("id"), call.body)
        return await ask(call.subject, "application-approve", wish, ApplicationView)

    async def steps(call: Call) -> StepPage:
        number = OneNumber(call.integer("id"))
        return StepPage(await ask(call.subject, "application-steps", number, list[StepView]))

    write, review, one = Action.IDENTIFIER_WRITE, Action.IDENTIFIER_REVIEW, "/identifiers/applications/{id}"
    return [
        Route("POST", f"{one}:submit", write, step("submit"), "Submit it for review", None, ApplicationView),
        Route("POST", f"{one}:approve", review, approve, "Approve it: grant the prefix", Approving, ApplicationView),
        *(
            Route("POST", f"{one}:{name}", review, step(name), words, Deciding, ApplicationView)
            for name, words in (
                ("return", "Send it back to be mended"),
                ("refuse", "Refuse it"),
                ("suspend", "Suspend its prefix: it resolves, and takes no registrations"),
                ("resume", "Let its prefix register again"),
                ("revoke", "Revoke its prefix: nothing below it resolves"),
            )
        ),
        Route("GET", f"{one}/audit", Action.READ, steps, "What was done with it, by whom", None, StepPage),
    ]
