"""HTTP of traceability and of the links of GS1 identifiers: answers are those of the services as they are."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gongfu.bus.commands import Ask
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.rest.routing import Call, Handler, Route

Document = dict[str, Any]
Thing = Annotated[str, Meta(min_length=1, max_length=2048)]


class TraceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The graph of a thing: where it comes from (``backward``), where it went (``forward``), or both."""

    thing: Thing
    direction: str = "both"
    depth: Annotated[int, Meta(ge=1, le=100)] = 32
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


class ThingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A thing, and how much is told of it."""

    thing: Thing
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


class LinksBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Links of a GS1 identifier, as typed or scanned; no links take them away."""

    text: Thing
    links: Annotated[list[Document], Meta(max_length=200)] = []
    description: Annotated[str, Meta(max_length=500)] = ""


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""

    def told(command: str) -> Handler:
        async def answer(call: Call) -> Document:
            return await ask(call.subject, command, call.body, Document)

        return answer

    async def timeline(call: Call) -> Any:
        return await ask(call.subject, "timeline", call.body)

    async def describe(call: Call) -> Document:
        text = call.query.get("text")
        if not text:
            raise invalid("text is needed: ?text=")
        return await ask(call.subject, "gs1-describe", {"text": text}, Document)

    read, write, gs1 = Action.READ, Action.IDENTIFIER_WRITE, "/identifiers/gs1"
    return [
        Route(
            "POST", "/identifiers:trace", read, told("trace"), "Where a thing comes from and went", TraceBody, Document
        ),
        Route(
            "POST", "/identifiers:recall", read, told("recall"), "What is to be recalled with it", ThingBody, Document
        ),
        Route("POST", "/identifiers:timeline", read, timeline, "What happened to a thing", ThingBody),
        Route("GET", gs1, read, describe, "What a GS1 link, element string or code means (?text)", None, Document),
        Route("PUT", gs1, write, told("gs1-put"), "Set the links of a GS1 identifier", LinksBody, Document),
    ]
