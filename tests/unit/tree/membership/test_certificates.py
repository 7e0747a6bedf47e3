"""Certificates: what is in them, and what real TLS makes of them (OpenSSL, strict RFC 5280 checks)."""

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gongfu.kernel.times import SECOND
from gongfu.tree.membership.certificates import (
    PEM_LIMIT,
    CertificateAuthority,
    Usage,
    certificate_node,
    check_issued,
    fingerprint,
    issue,
    make_authority,
    make_request,
)
from gongfu.tree.membership.keys import NodeKey
from gongfu.tree.membership.refusals import Reason, Refused
from tests.unit.tree.membership.tls import client_context, exchange, make_authority_of, server_context, write_identity
from tests.unit.tree.membership.trees import DAY, NOW, make_key, refused, seed

AUTHORITY = make_authority_of("province", NOW, 365 * DAY)
SIBLING = make_authority_of("sibling", NOW, 365 * DAY)
NODE = make_key("child").id
REQUEST = make_request(NodeKey(seed("child tls")), NODE)


def issue_to_child(request: str = REQUEST, lifetime: int = DAY, now: int = NOW, hosts: tuple[str, ...] = ()) -> str:
    return issue(
        AUTHORITY, request, NODE, Usage.CLIENT, serial=bytes(16), now=now, valid_until=now + lifetime, hosts=hosts
    )


def request_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    )
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:gongfu:node:{make_key('z').id}")])
    return builder.add_extension(names, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_what_is_in_a_childs_certificate() -> None:
    certificate = x509.load_pem_x509_certificate(issue_to_child().encode())
    extensions = certificate.extensions
    assert certificate.subject.rfc4514_string() == f"CN={NODE},O=Gongfu"
    assert certificate.issuer.rfc4514_string() == f"CN={make_key('province').id} authority,O=Gongfu"
    assert certificate.not_valid_before_utc == datetime.fromtimestamp(NOW // SECOND - 3600, UTC)
    assert certificate.not_valid_after_utc == datetime.fromtimestamp((NOW + DAY) // SECOND, UTC)
    assert certificate.serial_number == 1 << 128
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:gongfu:node:{NODE}"]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate_node(issue_to_child()) == NODE
    assert fingerprint(AUTHORITY.pem) == AUTHORITY.fingerprint
    assert len(AUTHORITY.fingerprint) == 32


def test_the_same_arguments_give_the_same_certificate() -> None:
    assert issue_to_child() == issue_to_child()
    assert make_authority_of("province", NOW, 365 * DAY) == AUTHORITY
    assert AUTHORITY.key.seed.hex() not in repr(AUTHORITY)


def test_a_certificate_does_not_outlive_its_authority() -> None:
    certificate = x509.load_pem_x509_certificate(issue_to_child(lifetime=9_000 * DAY).encode())
    authority = x509.load_pem_x509_certificate(AUTHORITY.pem.encode())
    assert certificate.not_valid_after_utc == authority.not_valid_after_utc
    with refused(Reason.CERTIFICATE_WRONG):
        issue_to_child(now=NOW + 365 * DAY)


def test_a_time_without_end_is_the_last_second_of_9999() -> None:
    authority = make_authority_of("eternal", NOW, 2**63 - 1 - NOW)
    assert x509.load_pem_x509_certificate(authority.pem.encode()).not_valid_after_utc.year == 2262


def test_p256_keys_are_good_and_what_the_request_says_is_not_believed() -> None:
    request = request_of(ec.generate_private_key(ec.SECP256R1()))
    certificate = issue_to_child(request)
    assert certificate_node(certificate) == NODE
    check_issued(certificate, AUTHORITY.pem, request, NODE)


def test_other_keys_are_refused() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with refused(Reason.CSR_MALFORMED):
            issue_to_child(request_of(key))


@pytest.mark.parametrize(
    "request_text", ["", "x", REQUEST.replace("REQUEST", "CERTIFICATE"), REQUEST[:200], " " * (PEM_LIMIT + 1), "\ud800"]
)
def test_what_is_no_request_is_refused(request_text: str) -> None:
    with refused(Reason.CSR_MALFORMED):
        issue_to_child(request_text)


@settings(deadline=None)
@given(place=st.integers(0), change=st.integers(1, 255))
def test_a_request_with_a_changed_byte_is_refused(place: int, change: int) -> None:
    der = bytearray(x509.load_pem_x509_csr(REQUEST.encode()).public_bytes(Encoding.DER))
    der[place % len(der)] ^= change
    pem = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    with refused(Reason.CSR_MALFORMED):
        issue_to_child(pem)


@settings(deadline=None)
@given(place=st.integers(0), change=st.integers(1, 255))
@example(place=416, change=1)
def test_a_certificate_with_a_changed_byte_is_refused(place: int, change: int) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(issue_to_child()))
    der[place % len(der)] ^= change
    with pytest.raises(Refused):
        check_issued(ssl.DER_cert_to_PEM_cert(bytes(der)), AUTHORITY.pem, REQUEST, NODE)


def test_a_certificate_that_is_not_what_was_asked_for() -> None:
    certificate = issue_to_child()
    check_issued(certificate, AUTHORITY.pem, REQUEST, NODE)
    with refused(Reason.CERTIFICATE_WRONG):
        check_issued(certificate, SIBLING.pem, REQUEST, NODE)
    with refused(Reason.CERTIFICATE_WRONG):
        check_issued(certificate, AUTHORITY.pem, make_request(NodeKey(seed("z")), NODE), NODE)
    with refused(Reason.CERTIFICATE_WRONG):
        check_issued(certificate, AUTHORITY.pem, REQUEST, make_key("z").id)
    with refused(Reason.CERTIFICATE_MALFORMED):
        check_issued("x", AUTHORITY.pem, REQUEST, NODE)


def self_signed(*uris: str) -> str:
    """Return a certificate with a P-256 key, which names ``uris``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    start = datetime.fromtimestamp(NOW // SECOND, UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=9))
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_a_certificate_names_exactly_one_node() -> None:
    urn = f"urn:gongfu:node:{NODE}"
    assert certificate_node(self_signed("urn:other:1", urn)) == NODE
    for uris in ((), ("urn:other:1",), (urn, "urn:gongfu:node:x")):
        with refused(Reason.CERTIFICATE_MALFORMED):
            certificate_node(self_signed(*uris))


def test_an_authority_with_another_kind_of_key_issues_nothing() -> None:
    strange = CertificateAuthority(AUTHORITY.key, self_signed())
    with refused(Reason.CERTIFICATE_MALFORMED):
        issue(strange, REQUEST, NODE, Usage.CLIENT, serial=bytes(16), now=NOW, valid_until=NOW + DAY)


def test_what_is_too_long_is_not_read() -> None:
    certificate = issue_to_child()
    long = " " * PEM_LIMIT
    assert fingerprint(certificate + " ") == fingerprint(certificate)
    assert issue_to_child(REQUEST + " ") == certificate
    with refused(Reason.CERTIFICATE_MALFORMED):
        fingerprint(certificate + long)
    with refused(Reason.CSR_MALFORMED):
        issue_to_child(REQUEST + long)


def test_a_serial_number_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="serial"):
        make_authority(bytes(32), NODE, serial=b"", now=NOW, valid_until=NOW + DAY)


def test_hosts_of_a_server() -> None:
    certificate = x509.load_pem_x509_certificate(issue_to_child(hosts=("a.example", "::1", "10.0.0.1")).encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["::1", "10.0.0.1"]
    with refused(Reason.CERTIFICATE_WRONG):
        issue_to_child(hosts=("工厂",))


def test_tls_between_parent_and_child(tmp_path: Path) -> None:
    # TLS looks at the machine's clock.
    now = time.time_ns()
    province, sibling = (make_authority_of(name, now, DAY) for name in ("province", "sibling"))
    hosts = ("province.example", "127.0.0.1")
    server = server_context(
        write_identity(tmp_path, "province", Usage.SERVER, province, province, now, DAY, hosts=hosts)
    )
    child = client_context(write_identity(tmp_path, "child", Usage.CLIENT, province, province, now, DAY))
    for host in hosts:
        at_server, at_client = exchange(server, child, host)
        assert certificate_node(ssl.DER_cert_to_PEM_cert(at_server)) == make_key("child").id
        assert certificate_node(ssl.DER_cert_to_PEM_cert(at_client)) == make_key("province").id
    with pytest.raises(ssl.SSLError, match="Hostname mismatch"):
        exchange(server, child, "other.example")
    # A child of the sibling, which says the same of itself, and believes the province.
    stranger = client_context(write_identity(tmp_path, "child", Usage.CLIENT, sibling, province, now, DAY))
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        exchange(server, stranger, hosts[0])
    # A child does not believe a sibling in the place of its parent.
    impostor = server_context(
        write_identity(tmp_path, "province", Usage.SERVER, sibling, province, now, DAY, hosts=hosts)
    )
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        exchange(impostor, child, hosts[0])
    # Nor another child of its parent.
    other = server_context(write_identity(tmp_path, "other", Usage.CLIENT, province, province, now, DAY, hosts=hosts))
    with pytest.raises(ssl.SSLError, match="unsuitable certificate purpose"):
        exchange(other, child, hosts[0])


def test_tls_after_the_end_of_a_certificate(tmp_path: Path) -> None:
    now = time.time_ns()
    province = make_authority_of("province", now - 2 * DAY, 3 * DAY)
    server = server_context(
        write_identity(tmp_path, "province", Usage.SERVER, province, province, now, DAY, hosts=("127.0.0.1",))
    )
    ended = write_identity(tmp_path, "child", Usage.CLIENT, province, province, now - 2 * DAY, DAY)
    with pytest.raises(ssl.SSLError, match="certificate has expired"):
        exchange(server, client_context(ended), "127.0.0.1")
