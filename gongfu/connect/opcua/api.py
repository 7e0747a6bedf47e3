"""HTTP of the OPC UA trust list: which machines' certificates this node talks to, and its own certificate."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509

from gongfu.connect.opcua.certificates import identity
from gongfu.connect.opcua.certificates.trust_list import MAX_SIZE, Known, TrustList
from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Action, Subject
from gongfu.kernel.times import Clock
from gongfu.rest.routing import Call, Route

# Notes in the audit who trusted or rejected what: subject, action, fingerprint, detail.
Note = Callable[[Subject, str, str, str], None]


class OwnCertificate(msgspec.Struct, frozen=True):
    """This node's application certificate, to be trusted at the machines. ``pem``: the certificate, no key."""

    uri: str
    fingerprint: str
    expires: datetime
    pem: str


class Certificates(msgspec.Struct, frozen=True):
    """The trust list; ``own`` is None before the first connection."""

    own: OwnCertificate | None
    items: list[Known]


def routes(folder: Path, clock: Clock, note: Note) -> list[Route]:
    """Return the operations.

    Args:
        folder: the node's ``opcua-pki``; it may not be there yet.
        clock: present time.
        note: writes to the audit; blocks.
    """
    trust = TrustList(folder)

    def own() -> OwnCertificate | None:
        if not (folder / "own" / "certificate.der").exists():
            return None
        mine = identity.load(folder, datetime.fromtimestamp(clock.now_ns() / 1e9, UTC))
        pem = x509.load_der_x509_certificate(mine.certificate).public_bytes(identity.PEM).decode("ascii")
        return OwnCertificate(mine.uri, mine.fingerprint, mine.expires, pem)

    async def listing(call: Call) -> Certificates:
        return await asyncio.to_thread(lambda: Certificates(own(), trust.listing()))

    async def add(call: Call) -> Known:
        body: bytes = call.body
        if len(body) > MAX_SIZE:
            raise invalid(f"a certificate has at most {MAX_SIZE} bytes")

        def work() -> Known:
            try:
                known = trust.add(body)
            except ValueError:
                raise invalid("the body must be one certificate, DER or PEM") from None
            note(call.subject, "opcua.trust", known.fingerprint, known.subject)
            return known

        return await asyncio.to_thread(work)

    async def judged(call: Call, action: str) -> Known:
        mark = call.path["fingerprint"]

        def work() -> Known:
            try:
                known = trust.trust(mark) if action == "opcua.trust" else trust.reject(mark)
            except LookupError:
                raise not_found(f"certificate {mark[:40]}") from None
            note(call.subject, action, known.fingerprint, known.subject)
            return known

        return await asyncio.to_thread(work)

    async def trusted(call: Call) -> Known:
        return await judged(call, "opcua.trust")

    async def rejected(call: Call) -> Known:
        return await judged(call, "opcua.reject")

    async def forget(call: Call) -> None:
        mark = call.path["fingerprint"]

        def work() -> None:
            try:
                trust.forget(mark)
            except LookupError:
                raise not_found(f"certificate {mark[:40]}") from None
            note(call.subject, "opcua.forget", mark[:40], "")

        await asyncio.to_thread(work)

    path = "/connections/opcua/certificates"
    one, operate = path + "/{fingerprint}", Action.NODE_OPERATE
    return [
        Route("GET", path, Action.READ, listing, "OPC UA certificates: own, trusted, rejected", None, Certificates),
        Route("POST", path, operate, add, "Trust an OPC UA certificate (DER or PEM)", bytes, Known, 201),
        Route("POST", one + ":trust", operate, trusted, "Trust a certificate that was rejected", None, Known),
        Route("POST", one + ":reject", operate, rejected, "Reject a certificate", None, Known),
        Route("DELETE", one, operate, forget, "Forget a certificate", None, None, 204),
    ]
