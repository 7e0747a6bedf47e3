"""Certificates as files, and a TLS handshake in memory."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from gongfu.tree.membership.certificates import CertificateAuthority, Usage, issue, make_authority, make_request
from gongfu.tree.membership.keys import NodeKey
from tests.unit.tree.membership.trees import make_key, seed


@dataclass(frozen=True)
class Identity:
    """Files of one end: its certificate, its key, and the authority it believes."""

    certificate: Path
    key: Path
    authority: Path


def make_authority_of(name: str, now: int, lifetime: int) -> CertificateAuthority:
    return make_authority(
        seed(name + " authority"), make_key(name).id, serial=seed(name)[:16], now=now, valid_until=now + lifetime
    )


def write_identity(
    directory: Path,
    name: str,
    usage: Usage,
    issuer: CertificateAuthority,
    believed: CertificateAuthority,
    now: int,
    lifetime: int,
    hosts: tuple[str, ...] = (),
) -> Identity:
    """Write the files of a node's end. All ns."""
    key = NodeKey(seed(name + " tls"))
    node = make_key(name).id
    certificate = issue(
        issuer,
        make_request(key, node),
        node,
        usage,
        serial=seed(name + " certificate")[:16],
        now=now,
        valid_until=now + lifetime,
        hosts=hosts,
    )
    directory = directory / f"{name}-{usage.name}-{len(list(directory.iterdir()))}"
    directory.mkdir()
    identity = Identity(directory / "certificate.pem", directory / "key.pem", directory / "authority.pem")
    identity.certificate.write_text(certificate)
    identity.key.write_bytes(key.to_pem())
    identity.authority.write_text(believed.pem)
    return identity


def server_context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _load(context, identity)


def client_context(identity: Identity) -> ssl.SSLContext:
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)


def _load(context: ssl.SSLContext, identity: Identity) -> ssl.SSLContext:
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(identity.certificate, identity.key)
    context.load_verify_locations(identity.authority)
    return context


def exchange(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> tuple[bytes, bytes]:
    """Shake hands and send a word each way.

    Returns:
        The certificates (DER) that the server and the client saw.

    Raises:
        ssl.SSLError: one end refused the other.
    """
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    at_server = server.wrap_bio(up, down, server_side=True)
    at_client = client.wrap_bio(down, up, server_hostname=host)
    waiting = [at_client, at_server]
    # Each needs at most a few turns; who still waits after that waits for ever.
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    at_client.write(b"to the parent")
    assert at_server.read() == b"to the parent"
    at_server.write(b"to the child")
    assert at_client.read() == b"to the child"
    seen = at_server.getpeercert(binary_form=True), at_client.getpeercert(binary_form=True)
    assert seen[0] is not None
    assert seen[1] is not None
    return seen[0], seen[1]
