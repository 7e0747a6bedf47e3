"""What a person typed, pasted or scanned, as handles to be looked up: handle, GS1 identifier, OID, DID, URL."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from gongfu.identify.digital_link.errors import GS1Error
from gongfu.identify.digital_link.handles import handles_of
from gongfu.identify.digital_link.scanning import recognise as recognise_gs1
from gongfu.identify.digital_link.uri import DigitalLink
from gongfu.identify.dns.oid import handle_of_oid
from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.wire import MalformedError

_OID = re.compile(r"(?:urn:oid:|oid:)?([0-2](?:\.(?:0|[1-9][0-9]{0,38})){1,60})", re.IGNORECASE)
_SCHEMES = ("hdl:", "handle:", "info:hdl/", "urn:handle:", "doi:")
_PROXY_PATHS = ("/api/handles/",)


class Recognised(msgspec.Struct, frozen=True):
    """What a text means.

    Attributes:
        kind: ``handle``, ``gs1``, ``oid``, ``did``, ``url`` or ``unknown``.
        handles: to be looked up, the first that is found counts.
        link: of GS1.
        detail: why it is unknown.
    """

    kind: str
    handles: tuple[HandleName, ...] = ()
    link: DigitalLink | None = None
    detail: str = ""


def recognise(text: str, *, gs1_prefix: str = "", oids: Mapping[str, str] | None = None) -> Recognised:
    """Return what a text means.

    Args:
        text: any.
        gs1_prefix: prefix of the handles of GS1 identifiers; "" where there are none.
        oids: prefix by the OID that it stands for.
    """
    text = text.strip()
    lower = text.lower()
    for scheme in _SCHEMES:
        if lower.startswith(scheme):
            return _handle(text[len(scheme) :])
    if lower.startswith("did:"):
        return _did(text)
    if (found := _OID.fullmatch(text)) is not None and (lower[0] in "uo" or "/" not in text):
        return _oid(found[1], oids or {})
    if lower.startswith(("http://", "https://")):
        return _url(text, gs1_prefix)
    try:
        link = recognise_gs1(text)
    except GS1Error as error:
        if "/" in text and text[:1] not in "(]^":
            return _handle(text)
        return Recognised("unknown", detail=str(error))
    return _gs1(link, gs1_prefix)


def _handle(text: str) -> Recognised:
    try:
        return Recognised("handle", (parse_handle(text),))
    except MalformedError as error:
        return Recognised("unknown", detail=f"no handle: {error}")


def _gs1(link: DigitalLink, gs1_prefix: str) -> Recognised:
    if not gs1_prefix:
        return Recognised("gs1", (), link, "this service has no prefix for GS1 identifiers ([identifier] gs1_prefix)")
    return Recognised("gs1", handles_of(link, gs1_prefix), link)


def _oid(oid: str, oids: Mapping[str, str]) -> Recognised:
    name = handle_of_oid(oid, oids)
    if isinstance(name, HandleName):
        return Recognised("oid", (name,))
    return Recognised("oid", (), detail=f"no prefix of this service stands for an OID above {oid}")


def _did(text: str) -> Recognised:
    """Return the handle of ``did:web:<host>:<prefix>:<suffix>``; in it what stands between colons is encoded."""
    parts = [unquote(part) for part in text.split(":")]
    if len(parts) < 5 or parts[1] != "web":
        return Recognised("did", (), detail="of DIDs only did:web:<host>:<prefix>:<suffix> is a handle")
    found = _handle(f"{parts[3]}/{':'.join(parts[4:])}")
    return Recognised("did", found.handles, detail=found.detail)


def _url(text: str, gs1_prefix: str) -> Recognised:
    try:
        return _gs1(recognise_gs1(text), gs1_prefix)
    except GS1Error as error:
        wrong = str(error)
    try:
        path = urlsplit(text).path
    except ValueError as error:
        return Recognised("unknown", detail=str(error))
    for start in _PROXY_PATHS:
        if path.startswith(start):
            path = path[len(start) - 1 :]
    found = _handle(unquote(path.lstrip("/")))
    if not found.handles or not found.handles[0].prefix[:1].isdigit():
        return Recognised("url", (), detail=f"neither a GS1 Digital Link ({wrong}) nor the address of a handle")
    return Recognised("url", found.handles)
