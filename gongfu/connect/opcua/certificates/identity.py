"""The node's own OPC UA application certificate: made at first use, kept as files.

Source: OPC 10000-6 §6.2.2 (application instance certificate: application URI and host names as alternative names, key
usages, both extended key usages). RSA 2048 with SHA-256, which every policy from Basic256Sha256 on takes.
"""

import fcntl
import hashlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM
FOLDER = "opcua-pki"
VALID = timedelta(days=5 * 365)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to OPC UA partners.

    Attributes:
        uri: ApplicationUri, the same as in the certificate.
        certificate: DER.
        key: PKCS #8 PEM, without a password; never leaves the node.
        expires: end of validity, UTC.
    """

    uri: str
    certificate: bytes
    key: bytes
    expires: datetime

    @property
    def fingerprint(self) -> str:
        """SHA-1 of the certificate in hexadecimal: the thumbprint that OPC UA tools show."""
        return fingerprint(self.certificate)


def fingerprint(certificate: bytes) -> str:
    """Return the thumbprint (SHA-1 of the DER form, OPC 10000-6 §6.2.2) in upper-case hexadecimal."""
    return hashlib.sha1(certificate, usedforsecurity=False).hexdigest().upper()


def load(folder: Path, now: datetime, hosts: Sequence[str] = ()) -> Identity:
    """Return the identity kept in ``folder``; the first call makes it.

    Args:
        folder: ``<…>/opcua-pki``; made with mode 0700.
        now: present time, UTC.
        hosts: names and addresses to put into a new certificate beside this host's.

    Raises:
        OSError: the folder cannot be written.
        ValueError: the files there are no certificate and key.
    """
    own = folder / "own"
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    # Two connections may be the first at the same time.
    with (own / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (own / "certificate.der").exists():
            _make(own, now, hosts)
    certificate = (own / "certificate.der").read_bytes()
    parsed = x509.load_der_x509_certificate(certificate)
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if not uris:
        raise ValueError(f"{own / 'certificate.der'} names no application URI")
    return Identity(uris[0], certificate, (own / "key.pem").read_bytes(), parsed.not_valid_after_utc)


def _make(own: Path, now: datetime, hosts: Sequence[str]) -> None:
    host = socket.gethostname() or "localhost"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Gongfu@{host}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gongfu"),
        ]
    )
    alternative: list[x509.GeneralName] = [x509.UniformResourceIdentifier(f"urn:{host}:gongfu")]
    alternative += [x509.DNSName(n) for n in dict.fromkeys((host, "localhost", *hosts)) if n.isascii()]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,  # it signs itself, as OPC 10000-6 asks of self-signed ones
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # The certificate last: it says that the pair is complete.
    _write(own / "key.pem", pem)
    _write(own / "certificate.der", certificate.public_bytes(serialization.Encoding.DER))


def _write(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 as a whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
