"""X.509 for TLS between parent and child (RFC 5280): every node has a certificate authority of its own.

An authority signs itself and nothing links it to the parent's: a node believes its parent's authority for the link
up, and its own for the links down, so that a certificate of a sibling's authority opens nothing. What a node may say
is decided by its membership; a certificate only says which node is at the other end.

A child's certificate is for clients only. If it were good for servers, a child could answer its siblings in the place
of their parent, since they believe the same authority.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gongfu.kernel.times import SECOND
from gongfu.tree.membership.keys import NodeKey
from gongfu.tree.membership.refusals import Reason, Refused

PEM_LIMIT = 8 * 1024
SERIAL_BYTES = 16
# Certificates are judged by each machine's own clock, which may be slow.
BACKDATED_S = 3600

_URN = "urn:gongfu:node:"
# 9999-12-31T23:59:59Z, "no well-defined expiration date" (RFC 5280 §4.1.2.5).
_LAST_SECOND = 253_402_300_799


# What the library raises for X.509 that it cannot read; these have no class in common.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InternalError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class Usage(Enum):
    """What a certificate is for: a child that connects, or the node's own port."""

    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
    SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """The authority of a node: its key (Ed25519, other than the node's own, secret) and its certificate (PEM)."""

    key: NodeKey = field(repr=False)
    pem: str

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate, 32 bytes."""
        return fingerprint(self.pem)


def make_authority(seed: bytes, node: str, *, serial: bytes, now: int, valid_until: int) -> CertificateAuthority:
    """Return a new authority.

    Args:
        seed: 32 random bytes, its key.
        node: id of the node whose authority it is.
        serial: 16 random bytes.
        now: UTC ns; the certificate is valid from one hour before.
        valid_until: UTC ns.
    """
    key = NodeKey(seed)
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key()
    name = _name(f"{node} authority")
    usage = _key_usage(authority=True)
    certificate = (
        _builder(name, name, public, serial, _moment(now) - BACKDATED_S, _moment(valid_until))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([_node_uri(node)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(private, None)
    )
    return CertificateAuthority(key, _pem(certificate))


def make_request(key: NodeKey, node: str) -> str:
    """Return a certificate signing request (PKCS #10, PEM) for a TLS key; what it says is not read, the key is."""
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(node)).sign(private, None)
    return request.public_bytes(Encoding.PEM).decode()


def issue(
    authority: CertificateAuthority,
    request: str,
    node: str,
    usage: Usage,
    *,
    serial: bytes,
    now: int,
    valid_until: int,
    hosts: Sequence[str] = (),
) -> str:
    """Return a certificate (PEM) for the key in a request. Names in the request are not believed and not copied.

    Args:
        authority: of the parent, or of the node itself for its own port.
        request: PKCS #10, PEM; an Ed25519 or P-256 key.
        node: id of the node that has the key; the subject's common name and the URI ``urn:gongfu:node:<id>``.
        usage: what it is for.
        serial: 16 random bytes.
        now: UTC ns; the certificate is valid from one hour before.
        valid_until: UTC ns; the authority's own end if that is earlier.
        hosts: DNS names and IP addresses of a server.

    Raises:
        Refused: ``csr-malformed``; ``certificate-wrong``, the authority has ended or a host is not one.
    """
    public = _request_key(request)
    issuer = _load(authority.pem)
    start = max(_moment(now) - BACKDATED_S, int(issuer.not_valid_before_utc.timestamp()))
    end = min(_moment(valid_until), int(issuer.not_valid_after_utc.timestamp()))
    if end <= _moment(now):
        raise Refused(Reason.CERTIFICATE_WRONG, "the authority or the time asked for has ended")
    certificate = (
        _builder(_name(node), issuer.subject, public, serial, start, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage.value]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_node_uri(node), *map(_host, hosts)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(_public(issuer)), critical=False)
        .sign(Ed25519PrivateKey.from_private_bytes(authority.key.seed), None)
    )
    return _pem(certificate)


def fingerprint(pem: str) -> bytes:
    """Return SHA-256 of the DER of a certificate, 32 bytes.

    Raises:
        Refused: ``certificate-malformed``.
    """
    return _load(pem).fingerprint(hashes.SHA256())


def certificate_node(pem: str) -> str:
    """Return the id of the node that a certificate names. Whether it is to be believed, TLS has checked.

    Raises:
        Refused: ``certificate-malformed``; it does not name exactly one node.
    """
    try:
        names = _load(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        raise Refused(Reason.CERTIFICATE_MALFORMED, "it names nobody") from None
    nodes = [uri.removeprefix(_URN) for uri in uris if uri.startswith(_URN)]
    if len(nodes) != 1:
        raise Refused(Reason.CERTIFICATE_MALFORMED, f"it names {len(nodes)} nodes")
    return nodes[0]


def check_issued(pem: str, authority: str, request: str, node: str) -> None:
    """Check that a certificate is what was asked for.

    Args:
        pem: the certificate.
        authority: certificate of the authority, PEM.
        request: what was asked, PEM.
        node: id of the node that asked.

    Raises:
        Refused: ``certificate-malformed``, ``csr-malformed``; ``certificate-wrong``, another authority, key or node.
    """
    certificate = _load(pem)
    # The number of unused bits, before the signature, is signed by nobody.
    if not certificate.public_bytes(Encoding.DER).endswith(b"\0" + certificate.signature):
        raise Refused(Reason.CERTIFICATE_MALFORMED, "bits of the signature are unused")
    try:
        certificate.verify_directly_issued_by(_load(authority))
    except (InvalidSignature, *_UNREADABLE):
        raise Refused(Reason.CERTIFICATE_WRONG, "another authority") from None
    if certificate.public_key() != _request_key(request):
        raise Refused(Reason.CERTIFICATE_WRONG, "another key")
    if certificate_node(pem) != node:
        raise Refused(Reason.CERTIFICATE_WRONG, "another node")


def _load(pem: str) -> x509.Certificate:
    if len(pem) > PEM_LIMIT:
        raise Refused(Reason.CERTIFICATE_MALFORMED, f"more than {PEM_LIMIT} characters")
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        # Both are parsed only when asked for.
        _ = certificate.extensions, certificate.public_key()
    except _UNREADABLE as error:
        raise Refused(Reason.CERTIFICATE_MALFORMED, str(error)[:200]) from None
    return certificate


def _request_key(pem: str) -> Ed25519PublicKey | EllipticCurvePublicKey:
    if len(pem) > PEM_LIMIT:
        raise Refused(Reason.CSR_MALFORMED, f"more than {PEM_LIMIT} characters")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        public = request.public_key()
        proven = request.is_signature_valid
    except _UNREADABLE as error:
        raise Refused(Reason.CSR_MALFORMED, str(error)[:200]) from None
    if not proven:
        raise Refused(Reason.CSR_MALFORMED, "not signed with its own key")
    if isinstance(public, Ed25519PublicKey):
        return public
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return public
    raise Refused(Reason.CSR_MALFORMED, "the key is neither Ed25519 nor P-256")


def _public(certificate: x509.Certificate) -> Ed25519PublicKey:
    public = certificate.public_key()
    if not isinstance(public, Ed25519PublicKey):
        raise Refused(Reason.CERTIFICATE_MALFORMED, "the authority's key is not Ed25519")
    return public


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: Ed25519PublicKey | EllipticCurvePublicKey,
    serial: bytes,
    start: int,
    end: int,
) -> x509.CertificateBuilder:
    if len(serial) != SERIAL_BYTES:
        raise ValueError(f"a serial number has {SERIAL_BYTES} random bytes")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        # Positive and not zero (RFC 5280 §4.1.2.2), whatever the bytes are.
        .serial_number(int.from_bytes(b"\x01" + serial, "big"))
        .not_valid_before(datetime.fromtimestamp(max(start, 0), UTC))
        .not_valid_after(datetime.fromtimestamp(end, UTC))
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gongfu"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _node_uri(node: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(_URN + node)


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except (ValueError, TypeError):
        raise Refused(Reason.CERTIFICATE_WRONG, f"not a host: {text[:100]!r}") from None


def _moment(nanoseconds: int) -> int:
    return min(nanoseconds // SECOND, _LAST_SECOND)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
