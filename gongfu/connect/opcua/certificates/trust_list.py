"""Which partners are trusted: certificates as files in ``trusted/`` and ``rejected/``.

A certificate is trusted when it lies in ``trusted/`` itself, or was directly issued by a certificate authority that
lies there (OPC 10000-4 §6.1.3; revocation lists are not read). One that is met for the first time is put into
``rejected/``: an engineer compares its fingerprint with the one the machine shows and trusts it, by the API or by
moving the file. Files are DER or PEM and may be put there by hand; ours are named by their fingerprint.
"""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from gongfu.connect.opcua.certificates.identity import fingerprint

MAX_REJECTED = 200
"""Strangers can fill a folder; beyond this the oldest goes."""

MAX_SIZE = 100_000

Verdict = Literal["trusted", "untrusted", "expired", "not-yet-valid", "invalid"]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate in the list. Times are UTC.

    ``fingerprint``: SHA-1, upper-case hexadecimal, as OPC UA tools show it.
    """

    fingerprint: str
    sha256: str
    state: Literal["trusted", "rejected"]
    subject: str
    issuer: str
    uris: list[str]
    hosts: list[str]
    not_before: datetime
    not_after: datetime
    authority: bool


def first_of_chain(data: bytes) -> bytes:
    """Return the leading certificate of a DER blob that may hold a chain (OPC 10000-6 §6.2.6).

    Raises:
        ValueError: it does not begin with a certificate.
    """
    if len(data) < 4 or data[0] != 0x30 or data[1] not in (0x81, 0x82):
        raise ValueError("no DER certificate")
    size = data[1] & 0x7F
    return data[: 2 + size + int.from_bytes(data[2 : 2 + size], "big")]


class TrustList:
    """The list in a folder. Every question reads the files again: other processes change them."""

    def __init__(self, folder: Path) -> None:
        self._folders = {"trusted": folder / "trusted", "rejected": folder / "rejected"}

    def judge(self, data: bytes, now: datetime) -> Verdict:
        """Say whether a partner's certificate (DER, maybe with its chain) may be talked to at ``now`` (UTC)."""
        try:
            certificate = x509.load_der_x509_certificate(first_of_chain(data))
        except ValueError:
            return "invalid"
        if not self._is_trusted(certificate):
            return "untrusted"
        if now > certificate.not_valid_after_utc:
            return "expired"
        if now < certificate.not_valid_before_utc:
            return "not-yet-valid"
        return "trusted"

    def note_stranger(self, data: bytes) -> str:
        """Keep an untrusted certificate in ``rejected/``; returns its fingerprint.

        Raises:
            ValueError: it is no certificate.
            OSError: the folder cannot be written.
        """
        leading = first_of_chain(data)
        x509.load_der_x509_certificate(leading)
        mark = fingerprint(leading)
        self._put("rejected", mark, leading)
        folder = self._folders["rejected"]
        files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in files[:-MAX_REJECTED]:
            old.unlink(missing_ok=True)
        return mark

    def listing(self) -> list[Known]:
        """Return all certificates, trusted ones first; files that are none are left out."""
        return [
            _known(certificate, state) for state in ("trusted", "rejected") for _, certificate in self._files(state)
        ]

    def add(self, data: bytes) -> Known:
        """Trust a certificate given as DER or PEM.

        Raises:
            ValueError: it is none.
        """
        certificate = _parse(data)
        der = certificate.public_bytes(Encoding.DER)
        self._put("trusted", fingerprint(der), der)
        self._remove("rejected", fingerprint(der))
        return _known(certificate, "trusted")

    def trust(self, mark: str) -> Known:
        """Move the certificate with this fingerprint to ``trusted/``.

        Raises:
            LookupError: there is none.
        """
        return self._move(mark, "rejected", "trusted")

    def reject(self, mark: str) -> Known:
        """Move the certificate with this fingerprint to ``rejected/``; new connections to it then fail.

        Raises:
            LookupError: there is none.
        """
        return self._move(mark, "trusted", "rejected")

    def forget(self, mark: str) -> None:
        """Delete the certificate wherever it lies.

        Raises:
            LookupError: there is none.
        """
        removed = [self._remove(state, mark) for state in ("trusted", "rejected")]
        if not any(removed):
            raise LookupError(mark)

    def _is_trusted(self, certificate: x509.Certificate) -> bool:
        der = certificate.public_bytes(Encoding.DER)
        for _, known in self._files("trusted"):
            if known.public_bytes(Encoding.DER) == der:
                return True
            if _is_authority(known):
                with suppress(ValueError, TypeError, InvalidSignature):
                    certificate.verify_directly_issued_by(known)
                    return True
        return False

    def _files(self, state: str) -> list[tuple[Path, x509.Certificate]]:
        found: list[tuple[Path, x509.Certificate]] = []
        folder = self._folders[state]
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            with suppress(OSError, ValueError):
                if path.stat().st_size <= MAX_SIZE:
                    found.append((path, _parse(path.read_bytes())))
        return found

    def _put(self, state: str, mark: str, der: bytes) -> None:
        folder = self._folders[state]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f".{mark}.part"
        part.write_bytes(der)
        part.replace(folder / f"{mark}.der")

    def _remove(self, state: str, mark: str) -> bool:
        found = [path for path, known in self._files(state) if _mark(known) == mark.upper()]
        for path in found:
            path.unlink(missing_ok=True)
        return bool(found)

    def _move(self, mark: str, source: str, target: Literal["trusted", "rejected"]) -> Known:
        for state in (source, target):
            for _, known in self._files(state):
                if _mark(known) == mark.upper():
                    self._put(target, _mark(known), known.public_bytes(Encoding.DER))
                    self._remove(source, mark)
                    return _known(known, target)
        raise LookupError(mark)


def _parse(data: bytes) -> x509.Certificate:
    if b"-----BEGIN" in data[:200]:
        return x509.load_pem_x509_certificate(data)
    return x509.load_der_x509_certificate(data)


def _mark(certificate: x509.Certificate) -> str:
    return fingerprint(certificate.public_bytes(Encoding.DER))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _known(certificate: x509.Certificate, state: Literal["trusted", "rejected"]) -> Known:
    from cryptography.hazmat.primitives.hashes import SHA256

    uris: list[str] = []
    hosts: list[str] = []
    with suppress(x509.ExtensionNotFound, ValueError):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        hosts = names.get_values_for_type(x509.DNSName)
    return Known(
        fingerprint=_mark(certificate),
        sha256=certificate.fingerprint(SHA256()).hex(),
        state=state,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        uris=uris,
        hosts=hosts,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        authority=_is_authority(certificate),
    )
