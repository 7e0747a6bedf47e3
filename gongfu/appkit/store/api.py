"""HTTP of the app store: ``/v1/store``."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from gongfu.appkit.package.publishers import NewPublisher, PublisherDocument, Publishers, Revoking
from gongfu.appkit.package.types import Bounds
from gongfu.appkit.store.catalogue import Catalogue, Search
from gongfu.appkit.store.checking import Checking
from gongfu.appkit.store.documents import (
    AppDetail,
    AppDocument,
    CertificationDocument,
    Decision,
    Installed,
    Listing,
    NewCertification,
    NewRating,
    RatingDocument,
    Statement,
    VersionDetail,
    VersionDocument,
    Withdrawing,
)
from gongfu.appkit.store.levels import Certifications
from gongfu.appkit.store.meters import Meters
from gongfu.appkit.store.opinions import Ratings
from gongfu.appkit.store.plans import Statements
from gongfu.appkit.store.publications import Publications
from gongfu.kernel.errors import Problem, invalid
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Incoming, Raw, Route, Streamed

MEDIA_TYPE = "application/vnd.gongfu.app"
_PIECE = 256 * 1024
# Of a package in one partial answer; who asks for more asks again.
_PART = 4 << 20
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?\Z", re.ASCII)
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])\Z", re.ASCII)


class AppPage(msgspec.Struct, frozen=True):
    """A page of the catalogue."""

    items: list[AppDocument]
    next: str | None


class VersionPage(msgspec.Struct, frozen=True):
    """A page of versions that are not decided, oldest first."""

    items: list[VersionDocument]
    next: str | None


class RatingPage(msgspec.Struct, frozen=True):
    """A page of ratings, newest first."""

    items: list[RatingDocument]
    next: str | None


class PublisherPage(msgspec.Struct, frozen=True):
    """All publishers' keys."""

    items: list[PublisherDocument]
    next: str | None = None


def catalogue_routes(catalogue: Catalogue, publications: Publications) -> list[Route]:
    """Return the routes of reading: the catalogue, an app, a version, a package."""

    async def search(call: Call) -> AppPage:
        after = cursor_of(call, tuple[int, str])
        items, following = await asyncio.to_thread(catalogue.page, _search_of(call), after, limit_of(call))
        return AppPage(items, encode_cursor(following) if following else None)

    async def app(call: Call) -> AppDetail:
        return await asyncio.to_thread(catalogue.get, call.subject, call.path["app"])

    async def version(call: Call) -> VersionDetail:
        return await asyncio.to_thread(catalogue.version, call.subject, call.integer("id"))

    async def package(call: Call) -> Raw | Streamed:
        path = await asyncio.to_thread(publications.package, call.subject, call.path["sha256"])
        return await asyncio.to_thread(_file, path, call.path["sha256"], call.headers.get("range", ""))

    words = "Search the catalogue (?text, ?industry, ?without=write,…, ?level, ?rating, ?order=name|rating|newest)"
    return [
        Route("GET", "/store/apps", Action.READ, search, words, response=AppPage),
        Route("GET", "/store/apps/{app}", Action.READ, app, "An app with its versions", response=AppDetail),
        Route("GET", "/store/versions/{id}", Action.READ, version, "A version: manifest, provenance, permissions, "
              "what changes, checks, certifications", response=VersionDetail),
        Route("GET", "/store/packages/{sha256}", Action.READ, package, "A package; Range: bytes=N- goes on with one"),
    ]  # fmt: skip


def publishing_routes(catalogue: Catalogue, publications: Publications, checking: Checking) -> list[Route]:
    """Return the routes of publishing and reviewing."""

    async def draft(call: Call) -> VersionDocument:
        data = await _whole(call.body, Bounds().bytes)
        return await asyncio.to_thread(publications.draft, call.subject, data, call.query.get("notes", "")[:4000])

    async def submit(call: Call) -> VersionDocument:
        handed_in = await asyncio.to_thread(publications.submit, call.subject, call.integer("id"))
        checking.soon(handed_in.id)
        return handed_in

    async def decide(call: Call) -> VersionDocument:
        return await asyncio.to_thread(publications.decide, call.subject, call.integer("id"), call.body)

    async def withdraw(call: Call) -> VersionDocument:
        return await asyncio.to_thread(publications.withdraw, call.subject, call.integer("id"), call.body.reason)

    async def queue(call: Call) -> VersionPage:
        after = cursor_of(call, tuple[int, int])
        items, following = await asyncio.to_thread(catalogue.open_versions, call.subject, after, limit_of(call))
        return VersionPage(items, encode_cursor(following) if following else None)

    async def listing(call: Call) -> AppDetail:
        return await asyncio.to_thread(catalogue.list_as, call.subject, call.path["app"], call.body)

    one = "/store/versions/{id}"
    return [
        Route("POST", "/store/versions", Action.APP_PUBLISH, draft, "Bring a package (the body) as a draft (?notes)",
              Incoming, VersionDocument, 201),
        Route("GET", "/store/versions", Action.APP_PUBLISH, queue, "Versions that are not decided", None, VersionPage),
        Route("POST", f"{one}:submit", Action.APP_PUBLISH, submit, "Hand a draft in; the checks begin",
              response=VersionDocument),
        Route("POST", f"{one}:decide", Action.APP_REVIEW, decide, "Publish or refuse a version that somebody else made",
              Decision, VersionDocument),
        Route("POST", f"{one}:withdraw", Action.APP_PUBLISH, withdraw, "Take a version back", Withdrawing,
              VersionDocument),
        Route("PUT", "/store/apps/{app}", Action.APP_PUBLISH, listing, "What the publisher says of an app: "
              "description, industry, price plan", Listing, AppDetail),
    ]  # fmt: skip


def usage_routes(
    ratings: Ratings, certifications: Certifications, meters: Meters, statements: Statements
) -> list[Route]:
    """Return the routes of ratings, certifications, installations and statements."""

    async def rate(call: Call) -> RatingDocument:
        return await asyncio.to_thread(ratings.rate, call.subject, call.path["app"], call.body)

    async def rated(call: Call) -> RatingPage:
        after = cursor_of(call, tuple[int, int])
        items, following = await asyncio.to_thread(ratings.page, call.path["app"], after, limit_of(call))
        return RatingPage(list(items), encode_cursor(following) if following else None)

    async def certify(call: Call) -> CertificationDocument:
        return await asyncio.to_thread(certifications.certify, call.subject, call.integer("id"), call.body)

    async def end(call: Call) -> None:
        await asyncio.to_thread(certifications.end, call.subject, call.integer("id"), call.body.reason)

    async def installed(call: Call) -> None:
        await asyncio.to_thread(meters.installed, call.subject, call.path["app"], call.body)

    async def removed(call: Call) -> None:
        await asyncio.to_thread(meters.removed, call.subject, call.path["app"], call.query.get("node", "")[:24])

    async def statement(call: Call) -> Statement:
        month = call.query.get("month", "")
        if _MONTH.match(month) is None:
            raise invalid("month must be YYYY-MM")
        return await asyncio.to_thread(statements.of_month, call.subject, month)

    one = "/store/apps/{app}"
    return [
        Route("GET", f"{one}/ratings", Action.READ, rated, "Ratings of an app", response=RatingPage),
        Route("PUT", f"{one}/rating", Action.APP_RATE, rate, "Rate an app that the caller's tenant has installed",
              NewRating, RatingDocument),
        Route("POST", "/store/versions/{id}/certifications", Action.APP_REVIEW, certify, "Certify a published version",
              NewCertification, CertificationDocument, 201),
        Route("POST", "/store/certifications/{id}:end", Action.APP_REVIEW, end, "End a certification", Withdrawing,
              status=204),
        Route("POST", f"{one}/installations", Action.APP_INSTALL, installed, "Note that a version was installed, here "
              "or on a node that took it from here", Installed, status=204),
        Route("DELETE", f"{one}/installations", Action.APP_INSTALL, removed, "Note that an app was removed (?node)",
              status=204),
        Route("GET", "/store/statements", Action.READ, statement, "What was used in a month and what it costs (?month)",
              response=Statement),
    ]  # fmt: skip


def publisher_routes(publishers: Publishers) -> list[Route]:
    """Return the routes of publishers' keys."""

    async def page(call: Call) -> PublisherPage:
        return PublisherPage(await asyncio.to_thread(publishers.page))

    async def trust(call: Call) -> PublisherDocument:
        return await asyncio.to_thread(publishers.trust, call.subject, call.body)

    async def revoke(call: Call) -> PublisherDocument:
        return await asyncio.to_thread(publishers.revoke, call.subject, call.path["id"], call.body.reason)

    return [
        Route("GET", "/store/publishers", Action.READ, page, "Publishers' keys: trusted and revoked",
              response=PublisherPage),
        Route("POST", "/store/publishers", Action.APP_REVIEW, trust, "Trust a publisher's key", NewPublisher,
              PublisherDocument, 201),
        Route("POST", "/store/publishers/{id}:revoke", Action.APP_REVIEW, revoke, "Trust a key no more", Revoking,
              PublisherDocument),
    ]  # fmt: skip


def _search_of(call: Call) -> Search:
    query = call.query
    order: Any = query.get("order", "name")
    if order not in ("name", "rating", "newest"):
        raise invalid("order must be name, rating or newest")
    try:
        rating = float(query.get("rating", "0") or 0)
    except ValueError:
        raise invalid("rating must be a number from 0 to 5") from None
    if not 0 <= rating <= 5:
        raise invalid("rating must be a number from 0 to 5")
    return Search(
        text=query.get("text", "")[:200],
        industry=query.get("industry", ""),
        without=tuple(kind for kind in query.get("without", "").split(",") if kind),
        level=query.get("level", "none") or "none",
        rating=rating,
        order=order,
    )


async def _whole(incoming: Incoming, most: int) -> bytes:
    """Return a body.

    Raises:
        Problem: 413 when it has more than ``most`` bytes.
    """
    too_large = Problem(413, "body-too-large", "The package is too large", f"at most {most} bytes")
    if incoming.length is not None and incoming.length > most:
        raise too_large
    data = bytearray()
    async for chunk in incoming.chunks:
        data += chunk
        if len(data) > most:
            raise too_large
    return bytes(data)


def _file(path: Path, sha256: str, wanted: str) -> Raw | Streamed:
    size = path.stat().st_size
    # An object never changes under its name.
    headers = {"etag": f'"{sha256}"', "accept-ranges": "bytes", "cache-control": "private, immutable"}
    if not wanted:
        return Streamed(_pieces(path), MEDIA_TYPE, {**headers, "content-length": str(size)})
    match = _RANGE.match(wanted)
    begin = int(match[1]) if match else size
    if match is None or begin >= size:
        return Raw(b"", MEDIA_TYPE, {**headers, "content-range": f"bytes */{size}"}, 416)
    end = min(int(match[2]) + 1 if match[2] else size, begin + _PART, size)
    with path.open("rb") as file:
        file.seek(begin)
        content = file.read(max(0, end - begin))
    return Raw(content, MEDIA_TYPE, {**headers, "content-range": f"bytes {begin}-{end - 1}/{size}"}, 206)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
    finally:
        file.close()
