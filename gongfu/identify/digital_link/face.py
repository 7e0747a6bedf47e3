"""The resolver as a face of the identifier service's HTTP: GS1-Conformant Resolver 1.2, without compressed links.

::

    GET /01/09506000134352/21/7                       307, the default link
    GET /01/09506000134352?linkType=gs1:pip           307, the link of that type, by language and media type
    GET /01/09506000134352?linkType=linkset           all links (RFC 9264), also by Accept: application/linkset+json
    GET /.well-known/gs1resolver                      what this resolver can do
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from gongfu.identify.digital_link.application_identifiers import primary_keys
from gongfu.identify.digital_link.errors import GS1Error, Reason
from gongfu.identify.digital_link.handles import handles_of
from gongfu.identify.digital_link.links import Link, carried
from gongfu.identify.digital_link.linkset import CONTEXT, linkset, member
from gongfu.identify.digital_link.linkset import MEDIA_TYPE as LINKSET
from gongfu.identify.digital_link.negotiation import media_weight, weighted, wish_of
from gongfu.identify.digital_link.pages import POLICY, error_page, links_page
from gongfu.identify.digital_link.resolution import (
    Choices,
    Level,
    Missing,
    Redirect,
    company_link,
    levels_of,
    resolve,
)
from gongfu.identify.digital_link.scanning import printed
from gongfu.identify.digital_link.uri import DigitalLink, parse_target, path_of
from gongfu.identify.digital_link.vocabulary import PREFIX, VOCABULARY, link_type
from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.resolution import Lookup
from gongfu.identify.http.types import Request, Response
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem

DESCRIPTION = "/.well-known/gs1resolver"
_METHODS = "GET, HEAD, OPTIONS"
_JSON, _JSON_LD, _HTML = "application/json", "application/ld+json", "text/html"
_PROBLEM = "application/problem+json"
_CONTEXT_LINK = f'<{CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?\Z")
_SHARED = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", _METHODS),
    ("Access-Control-Allow-Headers", "Accept, Accept-Language, Content-Type"),
    ("Access-Control-Expose-Headers", "Link, Location"),
    ("Vary", "Accept, Accept-Language"),
)

Headers = tuple[tuple[str, str], ...]


class DigitalLinkFace:
    """Answers requests for GS1 Digital Links, from the records of one prefix."""

    def __init__(
        self,
        lookup: Lookup,
        prefix: str,
        *,
        root: str = "",
        name: str = "Gongfu",
        counters: Counters | None = None,
    ) -> None:
        """Make it.

        Args:
            lookup: what the store has.
            prefix: of the handles of GS1 identifiers (``handles``); "" for none, and all is 404.
            root: public address of this resolver, as ``https://id.example.org``; "" for the host that a request names.
            name: of this resolver, for people.
            counters: of the process.
        """
        self._lookup = lookup
        self._prefix = prefix
        self._root = root.rstrip("/")
        self._name = name
        self._counters = counters or Counters()

    def __call__(self, request: Request) -> Response:
        """Answer a request."""
        if request.method == "OPTIONS":
            return Response(204, headers=(*_SHARED, ("Allow", _METHODS)))
        if request.method not in ("GET", "HEAD"):
            problem = Problem(405, "method-not-allowed", "Method not allowed", f"{_METHODS} are")
            return self._refusal(request, problem, (("Allow", _METHODS),))
        if request.path.rstrip("/") == DESCRIPTION:
            body = msgspec.json.encode(self._description(request))
            return Response(200, body, (*_SHARED, ("Content-Type", _JSON)))
        try:
            link = parse_target(request.path, request.query)
            return self._answer(request, link)
        except GS1Error as error:
            self._counters.add(f"gs1_requests_refused.{error.reason}")
            if error.reason is Reason.NOT_A_LINK:
                # Clients of the Handle System's HTTP interface read nothing but this number of any answer.
                extra = {"responseCode": int(ResponseCode.SERVER_NOT_RESPONDING)}
                return self._refusal(request, Problem(404, "not-found", "Not found", error.detail, extra))
            problem = Problem(
                400, "invalid-digital-link", "Not a valid GS1 Digital Link", error.detail, {"reason": str(error.reason)}
            )
            return self._refusal(request, problem)

    def _answer(self, request: Request, link: DigitalLink) -> Response:
        accept = request.headers.get("accept", "")
        query = _pairs(request.query)
        asked = next((value for name, value in query if name == "linkType"), "")
        levels = levels_of(link, self._prefix, self._lookup) if self._prefix else []
        unreadable = sum(level.described.unreadable for level in levels)
        if unreadable:
            self._counters.add("gs1_links_unreadable", unreadable)
        if not levels:
            return self._unknown(request, link)
        if asked in ("linkset", "all") or _wants_linkset(accept):
            self._counters.add("gs1_linksets_answered")
            return self._linkset(request, link, levels, accept)
        kind = link_type(asked) if asked else ""
        wish = wish_of(accept, request.headers.get("accept-language", ""), query)
        found = Missing(levels) if kind is None else resolve(levels, kind, wish)
        if isinstance(found, Redirect):
            self._counters.add("gs1_redirects")
            return self._redirect(request, link, found.link.target(request.query))
        if isinstance(found, Choices):
            self._counters.add("gs1_choices_answered")
            return self._choices(request, link, found)
        self._counters.add("gs1_links_not_found")
        return self._missing(request, link, found.levels, asked)

    def _unknown(self, request: Request, link: DigitalLink) -> Response:
        other = company_link(link, self._prefix, self._lookup) if self._prefix else None
        if other is not None:
            self._counters.add("gs1_redirects")
            base = re.split("[?#]", other.target(), maxsplit=1)[0]
            location = base.rstrip("/") + link.path + (f"?{carried(request.query)}" if request.query else "")
            header = ("Link", f'<{location}>; rel="{PREFIX}handledBy"; title="{_quoted(other.title)}"')
            return Response(307, b"", (*_SHARED, ("Location", location), header))
        self._counters.add("gs1_links_not_found")
        return self._refusal(request, Problem(404, "not-found", "Not found", f"nothing is known of {printed(link)}"))

    def _redirect(self, request: Request, link: DigitalLink, location: str) -> Response:
        return Response(307, b"", (*_SHARED, ("Location", location), ("Link", self._linkset_link(request, link))))

    def _linkset_link(self, request: Request, link: DigitalLink) -> str:
        address = f"{self._root_of(request)}{link.stem}{link.path}?linkType=linkset"
        return f'<{address}>; rel="linkset"; type="{LINKSET}"; title="All links"'

    def _members(self, request: Request, link: DigitalLink, levels: Sequence[Level]) -> dict[str, Any]:
        root = self._root_of(request) + link.stem
        return linkset(
            member(root + path_of(level.elements), _description_of(level), level.described.links) for level in levels
        )

    def _linkset(self, request: Request, link: DigitalLink, levels: Sequence[Level], accept: str) -> Response:
        form = _form(accept)
        if form is None:
            detail = f"a linkset is {LINKSET}, {_JSON}, {_JSON_LD} or {_HTML}"
            return self._refusal(request, Problem(406, "not-acceptable", "Not acceptable", detail))
        answer = self._rendered(200, self._members(request, link, levels), form, printed(link))
        # Of all levels, those too that have no record yet.
        depends = tuple(name.key for name in handles_of(link, self._prefix))
        return msgspec.structs.replace(answer, depends=depends)

    def _choices(self, request: Request, link: DigitalLink, choices: Choices) -> Response:
        some = msgspec.structs.replace(choices.level.described, links=_plain(choices.links))
        level = msgspec.structs.replace(choices.level, described=some)
        document = self._members(request, link, [level])
        form = _form(request.headers.get("accept", "")) or LINKSET
        note = "Several links are possible; choose one. 有多个链接，请选择。"
        return self._rendered(300, document, form, printed(link), note, (("Link", self._linkset_link(request, link)),))

    def _missing(self, request: Request, link: DigitalLink, levels: Sequence[Level], asked: str) -> Response:
        detail = f"{printed(link)} has no link of type {asked[:64]}"
        if _form(request.headers.get("accept", "")) == _HTML:
            return self._rendered(404, self._members(request, link, levels), _HTML, "Not found", detail)
        more = (("Link", self._linkset_link(request, link)),)
        return self._refusal(request, Problem(404, "link-type-not-found", "No link of this type", detail), more)

    def _rendered(
        self, status: int, document: dict[str, Any], form: str, title: str, note: str = "", more: Headers = ()
    ) -> Response:
        if form == _HTML:
            body = links_page(title, document, note).encode()
            more = (*more, ("Content-Security-Policy", POLICY))
            form = f"{_HTML}; charset=utf-8"
        else:
            body = msgspec.json.encode({"@context": CONTEXT, **document} if form == _JSON_LD else document)
        return Response(status, body, (*_SHARED, ("Content-Type", form), ("Link", _CONTEXT_LINK), *more))

    def _refusal(self, request: Request, problem: Problem, more: Headers = ()) -> Response:
        if _form(request.headers.get("accept", "")) == _HTML:
            body = error_page(problem.title, problem.detail).encode()
            more = (*more, ("Content-Security-Policy", POLICY))
            kind = f"{_HTML}; charset=utf-8"
        else:
            body, kind = msgspec.json.encode(problem.document()), _PROBLEM
        return Response(problem.status, body, (*_SHARED, ("Content-Type", kind), *more))

    def _root_of(self, request: Request) -> str:
        host = request.headers.get("host", "")
        return self._root or f"http://{host if _HOST.match(host) else 'localhost'}"

    def _description(self, request: Request) -> dict[str, Any]:
        return {
            "name": self._name,
            "resolverRoot": self._root_of(request),
            "supportedPrimaryKeys": sorted(primary_keys()),
            "supportedLinkType": [{"namespace": VOCABULARY, "prefix": PREFIX}],
            "linkTypeDefaultCanBeLinkset": False,
            "validatesAIcombinations": True,
            "supportsLanguageVariants": True,
            "jsonLdContextLocation": CONTEXT,
        }


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a query that have values."""
    pairs = (pair.partition("=") for pair in re.split(r"[&;]", query)[:200])
    return [(unquote_plus(name), unquote_plus(value)) for name, equals, value in pairs if equals]


def _wants_linkset(accept: str) -> bool:
    """Return whether a request wants a linkset more than anything else, by name."""
    ranges = weighted(accept)
    wanted = max((weight for name, weight in ranges if name == LINKSET), default=0.0)
    return wanted > 0 and wanted >= max(weight for _, weight in ranges)


def _form(accept: str) -> str | None:
    """Return the media type in which to answer, None where the client takes none of ours."""
    ranges = weighted(accept)
    if not ranges:
        return LINKSET
    weights = {form: media_weight(form, ranges) for form in (LINKSET, _JSON, _JSON_LD, _HTML)}
    form = max(weights, key=lambda name: weights[name])
    return form if weights[form] > 0 else None


def _description_of(level: Level) -> str:
    if level.described.description:
        return level.described.description
    return "".join(f"({item.ai}){item.value}" for item in level.elements)


def _plain(links: Sequence[Link]) -> tuple[Link, ...]:
    """Return links without marks: among those to choose from there is no default."""
    return tuple(msgspec.structs.replace(link, default=False, default_multi=False) for link in links)


def _quoted(text: str) -> str:
    """Return a text as it stands between quotation marks in a header: ASCII."""
    return re.sub(r"[^ !#-\[\]-~]", "?", text)
