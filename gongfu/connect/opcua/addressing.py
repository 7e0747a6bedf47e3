"""Text of an address: a NodeId as OPC 10000-6 §5.3.1.10 writes it.

``ns=2;s=泵.1``, ``i=2258``, ``nsu=urn:plant;s=Pump`` (the namespace by its URI: index numbers may change when a server
restarts, URIs do not), ``g=…`` and ``b=…``. Pure.
"""

import base64
import binascii
import re
import uuid

from gongfu.connect.kit.types import DriverError, Reason

_FORM = re.compile(r"(?:ns=(?P<ns>\d{1,5});|nsu=(?P<nsu>[^;]+);)?(?P<kind>[isgb])=(?P<id>.*)", re.DOTALL)

Identifier = int | str | uuid.UUID | bytes


def _wrong(where: str, why: str) -> DriverError:
    return DriverError(
        Reason.ADDRESS_UNKNOWN,
        f"{where!r} is no OPC UA address: {why}.",
        "Write it as ns=2;s=Name, ns=2;i=1001 or nsu=urn:of:namespace;s=Name; browsing shows the addresses.",
    )


def parse(where: str) -> tuple[int, str, Identifier]:
    """Return namespace index (0 when a URI is given), namespace URI (or ``""``) and identifier.

    Raises:
        DriverError: the text is no NodeId.
    """
    found = _FORM.fullmatch(where.strip())
    if found is None:
        raise _wrong(where, "it has no ns=…;s=… form")
    namespace = int(found["ns"] or 0)
    if namespace > 0xFFFF:
        raise _wrong(where, "the namespace index is over 65535")
    kind, text = found["kind"], found["id"]
    identifier: Identifier = text
    try:
        if kind == "i":
            identifier = int(text)
            if not 0 <= identifier <= 0xFFFF_FFFF:
                raise ValueError(text)
        elif kind == "g":
            identifier = uuid.UUID(text)
        elif kind == "b":
            identifier = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise _wrong(where, f"the identifier {text!r} is not of type {kind}") from None
    if kind == "s" and (not text or len(text) > 4096):
        raise _wrong(where, "the name is empty or longer than 4096 characters")
    return namespace, found["nsu"] or "", identifier


def encode(namespace: int, identifier: Identifier) -> bytes:
    """Return the binary NodeId (OPC 10000-6 §5.2.2.9)."""
    if isinstance(identifier, int):
        if identifier <= 0xFF and namespace == 0:
            return bytes((0, identifier))
        if identifier <= 0xFFFF and namespace <= 0xFF:
            return bytes((1, namespace)) + identifier.to_bytes(2, "little")
        return b"\x02" + namespace.to_bytes(2, "little") + identifier.to_bytes(4, "little")
    head = namespace.to_bytes(2, "little")
    if isinstance(identifier, uuid.UUID):
        return b"\x04" + head + identifier.bytes_le
    kind = b"\x03" if isinstance(identifier, str) else b"\x05"
    raw = identifier.encode() if isinstance(identifier, str) else identifier
    return kind + head + len(raw).to_bytes(4, "little") + raw


def resolve(where: str, namespaces: list[str]) -> bytes:
    """Return the binary NodeId of an address at a server with these namespace URIs.

    Raises:
        DriverError: the text is no NodeId, or the server has no such namespace.
    """
    namespace, uri, identifier = parse(where)
    if uri:
        if uri not in namespaces:
            raise DriverError(
                Reason.ADDRESS_UNKNOWN,
                f"The server has no namespace {uri!r}, which {where!r} names.",
                f"It has {', '.join(namespaces[:6])}; browse it and correct the address.",
            )
        namespace = namespaces.index(uri)
    return encode(namespace, identifier)
