"""Handle values as JSON, as the HTTP interface of the Handle System has them (``/api/handles``).

::

    {"index": 1, "type": "URL", "data": {"format": "string", "value": "https://…"},
     "ttl": 86400, "timestamp": "2026-11-22T08:00:00Z", "permissions": "1110", "references": [...]}

Data that are UTF-8 text are ``string``, administrators ``admin``, lists ``vlist``, sites ``site``, all others
``base64``; a client may send ``hex`` too, or a plain text in the place of the object. Permissions are four digits:
administrators read and write, the public reads and writes.
"""

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from gongfu.identify.handle.codes import TtlType
from gongfu.identify.handle.predefined import (
    HS_ADMIN,
    HS_SITE,
    HS_VLIST,
    Administrator,
    Interface,
    Server,
    Site,
    decode_administrator,
    decode_references,
    decode_site,
    encode_administrator,
    encode_references,
    encode_site,
)
from gongfu.identify.handle.values import DEFAULT_PERMISSIONS, DEFAULT_TTL, HandleValue, Reference
from gongfu.identify.handle.wire import MalformedError
from gongfu.kernel.times import format_rfc3339, parse_rfc3339

_SECOND = 1_000_000_000
_TRANSPORTS = {0: "UDP", 1: "TCP", 2: "HTTP", 3: "HTTPS"}
_TRANSPORT_OF = {name: number for number, name in _TRANSPORTS.items()}
_MOST = 2**32 - 1


def to_json(value: HandleValue) -> dict[str, Any]:
    """Return a value as JSON; permissions and references only where they are not the usual ones."""
    ttl: Any = value.ttl
    if value.ttl_type == TtlType.ABSOLUTE:
        ttl = _time(value.ttl)
    document: dict[str, Any] = {
        "index": value.index,
        "type": value.type,
        "data": _data_to_json(value),
        "ttl": ttl,
        "timestamp": _time(value.timestamp),
    }
    if value.permissions != DEFAULT_PERMISSIONS:
        document["permissions"] = f"{value.permissions:04b}"
    if value.references:
        document["references"] = [{"handle": item.handle, "index": item.index} for item in value.references]
    return document


@lru_cache(maxsize=1024)
def _time(seconds: int) -> str:
    """Values of a handle, and handles of a batch, were written in the same second as a rule."""
    return format_rfc3339(seconds * _SECOND)


def _data_to_json(value: HandleValue) -> dict[str, Any]:
    kind, data = value.type.upper(), value.data
    try:
        if kind == HS_ADMIN:
            found = decode_administrator(data)
            return _formatted(
                "admin", {"handle": found.handle, "index": found.index, "permissions": f"{found.permissions:012b}"}
            )
        if kind == HS_VLIST:
            references = decode_references(data)
            return _formatted("vlist", [{"handle": item.handle, "index": item.index} for item in references])
        if kind == HS_SITE:
            return _formatted("site", _site_to_json(decode_site(data)))
    except MalformedError:
        return _formatted("base64", base64.b64encode(data).decode())
    try:
        return _formatted("string", data.decode())
    except UnicodeDecodeError:
        return _formatted("base64", base64.b64encode(data).decode())


def _formatted(form: str, value: Any) -> dict[str, Any]:
    return {"format": form, "value": value}


def _site_to_json(site: Site) -> dict[str, Any]:
    return {
        "version": site.format,
        "protocolVersion": "{}.{}".format(*site.version),
        "serialNumber": site.serial,
        "primarySite": bool(site.primary & 0x80),
        "multiPrimary": bool(site.primary & 0x40),
        "hashOption": site.hash_option,
        "attributes": [{"name": name, "value": value} for name, value in site.attributes],
        "servers": [
            {
                "serverId": server.id,
                "address": server.address,
                "publicKey": _formatted("base64", base64.b64encode(server.public_key).decode()),
                "interfaces": [
                    {
                        "query": bool(item.service & 2),
                        "admin": bool(item.service & 1),
                        "protocol": _TRANSPORTS.get(item.transport, str(item.transport)),
                        "port": item.port,
                    }
                    for item in server.interfaces
                ],
            }
            for server in site.servers
        ],
    }


class _Wire(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends of a value; ``timestamp`` is read and not used: the server's clock counts."""

    index: int
    type: str
    data: Any
    ttl: int | str = DEFAULT_TTL
    timestamp: str | None = None
    permissions: str | None = None


class _WireReference(msgspec.Struct, forbid_unknown_fields=True):
    handle: str
    index: int = 0


def from_json(document: Any, now: int) -> HandleValue:
    """Return the value that a client's JSON says.

    Args:
        document: as ``msgspec.json.decode`` gives it.
        now: UTC seconds: the value's time stamp.

    Raises:
        MalformedError: it says none.
    """
    if not isinstance(document, Mapping):
        raise MalformedError("value", "a value is an object")
    fields = dict(document)
    references = fields.pop("references", None) or []
    try:
        wire = msgspec.convert(fields, _Wire)
        linked = tuple(Reference(i.handle, i.index) for i in msgspec.convert(references, list[_WireReference]))
    except msgspec.ValidationError as error:
        raise MalformedError("value", str(error)) from None
    ttl_type, ttl = _ttl(wire.ttl)
    permissions = int(DEFAULT_PERMISSIONS)
    if wire.permissions is not None:
        if len(wire.permissions) != 4 or not set(wire.permissions) <= {"0", "1"}:
            raise MalformedError("value", "permissions are four digits, 0 or 1")
        permissions = int(wire.permissions, 2)
    if not 1 <= wire.index <= _MOST or any(not 0 <= item.index <= _MOST for item in linked):
        raise MalformedError("value", "an index is 1 to 4294967295")
    data = _data_from_json(wire.data)
    return HandleValue(wire.index, wire.type, data, ttl_type, ttl, now, permissions, linked)


def _ttl(given: int | str) -> tuple[int, int]:
    kind, seconds = TtlType.RELATIVE, given
    if isinstance(given, str):
        try:
            kind, seconds = TtlType.ABSOLUTE, parse_rfc3339(given) // _SECOND
        except ValueError as error:
            raise MalformedError("value", f"ttl: {error}") from None
    assert isinstance(seconds, int)
    if not 0 <= seconds <= _MOST:
        raise MalformedError("value", "ttl is 0 to 4294967295 seconds")
    return kind, seconds


def _data_from_json(data: Any) -> bytes:
    if isinstance(data, str):
        return _text(data)
    if not isinstance(data, Mapping) or "value" not in data:
        raise MalformedError("value", "data are a text, or format and value")
    form, value = data.get("format", "string"), data["value"]
    try:
        if form == "string":
            return _text(value)
        if form == "base64":
            return base64.b64decode(value, validate=True)
        if form == "hex":
            return bytes.fromhex(value)
        if form == "admin":
            permissions = value.get("permissions", "0" * 12)
            return encode_administrator(
                Administrator(int(str(permissions), 2) & 0xFFFF, value["handle"], _index(value["index"]))
            )
        if form == "vlist":
            return encode_references(tuple(Reference(item["handle"], _index(item["index"])) for item in value))
        if form == "site":
            return encode_site(_site_from_json(value))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, binascii.Error) as error:
        raise MalformedError("value", f"data of format {form!r}: {type(error).__name__} {error}"[:200]) from None
    raise MalformedError("value", f"format {str(form)[:40]!r} is not known")


def _index(value: Any) -> int:
    # Clients write it as text too.
    number = int(value)
    if not 0 <= number <= _MOST:
        raise ValueError("an index is 0 to 4294967295")
    return number


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise MalformedError("value", "a text is expected")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise MalformedError("text", "a text is Unicode without surrogates") from None


def _site_from_json(site: Mapping[str, Any]) -> Site:
    major, _, minor = str(site.get("protocolVersion", "2.1")).partition(".")
    servers = tuple(
        Server(
            _index(server["serverId"]),
            server["address"],
            _data_from_json(server.get("publicKey", "")),
            tuple(
                Interface(
                    (2 if item.get("query") else 0) | (1 if item.get("admin") else 0),
                    _TRANSPORT_OF[item["protocol"]],
                    _index(item["port"]),
                )
                for item in server.get("interfaces", ())
            ),
        )
        for server in site["servers"]
    )
    return Site(
        serial=int(site["serialNumber"]),
        primary=(0x80 if site.get("primarySite") else 0) | (0x40 if site.get("multiPrimary") else 0),
        hash_option=int(site.get("hashOption", 2)),
        attributes=tuple((item["name"], item["value"]) for item in site.get("attributes", ())),
        servers=servers,
        format=int(site.get("version", 1)),
        version=(int(major), int(minor or 0)),
    )
