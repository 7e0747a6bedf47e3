"""Own certificate and trust list: made once, kept private; authorities, expiry, strangers without bound."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gongfu.connect.kit.types import DriverError, Reason
from gongfu.connect.opcua.certificates import identity, trust_list
from gongfu.connect.opcua.certificates.trust_list import TrustList
from gongfu.connect.opcua.security import Endpoint, require_trust

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def issued(name, issuer=None, authority=False, until=NOW + DAY):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, by = (key, subject) if issuer is None else (issuer[1], issuer[0].subject)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    return certificate, key


def der(pair):
    return pair[0].public_bytes(Encoding.DER)


def test_our_own_certificate_is_made_once_and_its_key_is_private(tmp_path):
    first = identity.load(tmp_path / "pki", NOW, ["gateway.example"])
    again = identity.load(tmp_path / "pki", NOW + DAY)
    assert again == first
    assert first.expires > NOW + 4 * 365 * DAY
    for path in (tmp_path / "pki" / "own").iterdir():
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077 or path.name == "lock"
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    certificate = x509.load_der_x509_certificate(first.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [first.uri]
    assert "gateway.example" in names.get_values_for_type(x509.DNSName)
    assert first.fingerprint == certificate.fingerprint(hashes.SHA1()).hex().upper()


def test_a_stranger_is_noted_trusted_and_rejected(tmp_path):
    trust, machine = TrustList(tmp_path), issued("泵")
    assert trust.judge(der(machine), NOW) == "untrusted"
    mark = trust.note_stranger(der(machine))
    assert [(k.state, k.subject) for k in trust.listing()] == [("rejected", "CN=泵")]
    trust.trust(mark.lower())
    assert trust.judge(der(machine), NOW) == "trusted"
    assert trust.judge(der(machine) + der(issued("chain")), NOW) == "trusted"
    assert trust.judge(der(machine), NOW + 2 * DAY) == "expired"
    assert trust.judge(der(machine), NOW - 20 * DAY) == "not-yet-valid"
    trust.reject(mark)
    assert trust.judge(der(machine), NOW) == "untrusted"
    trust.forget(mark)
    for wrong in (mark, "", "../own/key"):
        with pytest.raises(LookupError):
            trust.trust(wrong)
    assert trust.judge(b"", NOW) == "invalid"
    assert trust.judge(b"\x30\x82\xff\xff", NOW) == "invalid"


def test_an_authority_vouches_for_what_it_issued_and_for_nothing_else(tmp_path):
    trust = TrustList(tmp_path)
    authority, leaf = issued("CA", authority=True), issued("leaf")
    trust.add(authority[0].public_bytes(Encoding.PEM))
    trust.add(der(leaf))
    assert trust.judge(der(issued("A", authority)), NOW) == "trusted"
    assert trust.judge(der(issued("A", authority, until=NOW - DAY)), NOW) == "expired"
    assert trust.judge(der(issued("B", leaf)), NOW) == "untrusted"
    impostor = issued("CA", authority=True)
    assert trust.judge(der(issued("C", impostor)), NOW) == "untrusted"


def test_strangers_do_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(trust_list, "MAX_REJECTED", 3)
    trust = TrustList(tmp_path)
    for number in range(6):
        trust.note_stranger(der(issued(f"s{number}")))
    assert len(trust.listing()) == 3
    (tmp_path / "rejected" / "notes.txt").write_text("not a certificate")
    assert len(trust.listing()) == 3
    with pytest.raises(ValueError, match="certificate"):
        trust.note_stranger(b"no certificate at all")


@pytest.mark.parametrize(
    ("trusted", "until", "reason", "word"),
    [
        (False, NOW + DAY, Reason.CERTIFICATE_UNTRUSTED, "thumbprint"),
        (True, NOW - DAY, Reason.CERTIFICATE_EXPIRED, "has expired"),
    ],
)
def test_the_engineer_is_told_what_to_do(tmp_path, trusted, until, reason, word):
    trust, machine = TrustList(tmp_path), issued("plc", until=until)
    if trusted:
        trust.add(der(machine))
    endpoint = Endpoint(
        url="opc.tcp://plc", policy="", mode=3, certificate=der(machine), server_uri="", server_name="PLC", tokens=()
    )
    with pytest.raises(DriverError) as raised:
        require_trust(endpoint, trust, NOW, "opc.tcp://plc:4840")
    assert raised.value.reason is reason
    assert word in raised.value.what
    assert identity.fingerprint(der(machine)) in raised.value.what
    assert raised.value.advice
    assert bool(trust.listing()) is True
