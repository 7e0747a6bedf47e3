"""Keys that sign: RSA (RS256), Ed25519 (EdDSA) and SM2 with SM3 (GB/T 32918), as JSON Web Keys (RFC 7517, RFC 8037).

SM2 is not registered with JOSE: a key is ``{"kty": "EC", "crv": "SM2", "x", "y"}``, the algorithm is called ``SM2``, a
signature is r and s of 32 bytes each, as with the other curves, and the signer's id is GB/T 35276's default.
"""

import base64
import binascii
import functools
import importlib
from enum import StrEnum
from typing import Any, Protocol, cast

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)


class _Gmssl(Protocol):
    """What is used of GmSSL, which has no type information."""

    GmsslInnerError: type[Exception]
    InvalidValueError: type[Exception]

    def sm2_key_generate(self) -> tuple[bytes, bytes]: ...

    def sm2_sign(self, private_key: bytes, public_key: bytes, message: bytes) -> bytes: ...

    def sm2_verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool: ...


_gmssl = cast(_Gmssl, importlib.import_module("gmssl_pyx"))

_RSA_BITS = 3072
_LEAST_RSA_BITS = 2048
_MOST_RSA_BITS = 8192
_POINT_BYTES = 64


class Algorithm(StrEnum):
    """How a key signs; ``alg`` of JOSE."""

    RS256 = "RS256"
    EDDSA = "EdDSA"
    SM2 = "SM2"


class KeyFormError(ValueError):
    """Some text is no key of these kinds."""


def encode_base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64url(text: str) -> bytes:
    """Return the bytes of base64url without padding.

    Raises:
        ValueError: it is none.
    """
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError(f"no base64url: {error}") from None


class VerifyingKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A public key as JWK: ``n`` and ``e`` of RSA; ``crv`` and ``x`` of Ed25519; ``crv``, ``x``, ``y`` of SM2.

    Two are equal when they are the same key: ``parse_key`` gives the numbers their only form.
    """

    kty: str
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""

    @property
    def algorithm(self) -> Algorithm:
        """How it signs."""
        return {"RSA": Algorithm.RS256, "OKP": Algorithm.EDDSA, "EC": Algorithm.SM2}[self.kty]

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Return whether the signature of the data was made with the private key."""
        try:
            if self.kty == "RSA":
                _rsa(self).verify(signature, data, padding.PKCS1v15(), SHA256())
                return True
            if self.kty == "OKP":
                _ed25519(self).verify(signature, data)
                return True
        except InvalidSignature:
            return False
        return _sm2_verifies(decode_base64url(self.x) + decode_base64url(self.y), data, signature)


def parse_key(document: Any) -> VerifyingKey:
    """Return a public key from its JWK (a mapping); members that are not of the key (``kid``, ``use``) are ignored.

    Raises:
        KeyFormError: it is none, or a weak one: RSA below 2,048 bits.
    """
    try:
        key = msgspec.convert(document, VerifyingKey)
        if key.kty == "RSA":
            return _rsa_jwk(_rsa(msgspec.structs.replace(key, crv="", x="", y="")))
        if (key.kty, key.crv) == ("OKP", "Ed25519"):
            return VerifyingKey(kty="OKP", crv="Ed25519", x=encode_base64url(_ed25519(key).public_bytes_raw()))
        if (key.kty, key.crv) == ("EC", "SM2"):
            x, y = decode_base64url(key.x), decode_base64url(key.y)
            if len(x) != _POINT_BYTES // 2 or len(y) != _POINT_BYTES // 2 or not _on_curve(x, y):
                raise KeyFormError("no point of the curve SM2")
            return VerifyingKey(kty="EC", crv="SM2", x=encode_base64url(x), y=encode_base64url(y))
    except (msgspec.ValidationError, ValueError, UnsupportedAlgorithm) as error:
        raise KeyFormError(str(error)) from None
    raise KeyFormError(f"a key of kind {key.kty[:20]} {key.crv[:20]}")


def to_cryptography(key: VerifyingKey) -> rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    """Return a key of RSA or Ed25519 as the library has it.

    Raises:
        KeyFormError: it is of SM2.
    """
    if key.algorithm is Algorithm.SM2:
        raise KeyFormError("the library has no SM2")
    return _rsa(key) if key.algorithm is Algorithm.RS256 else _ed25519(key)


@functools.lru_cache(maxsize=1000)
def _rsa(key: VerifyingKey) -> rsa.RSAPublicKey:
    modulus = int.from_bytes(decode_base64url(key.n))
    if not _LEAST_RSA_BITS <= modulus.bit_length() <= _MOST_RSA_BITS:
        raise KeyFormError(f"an RSA key of {modulus.bit_length()} bits")
    return rsa.RSAPublicNumbers(int.from_bytes(decode_base64url(key.e)), modulus).public_key()


@functools.lru_cache(maxsize=1000)
def _ed25519(key: VerifyingKey) -> ed25519.Ed25519PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(decode_base64url(key.x))


def _rsa_jwk(key: rsa.RSAPublicKey) -> VerifyingKey:
    numbers = key.public_numbers()
    n, e = (number.to_bytes((number.bit_length() + 7) // 8) for number in (numbers.n, numbers.e))
    return VerifyingKey(kty="RSA", n=encode_base64url(n), e=encode_base64url(e))


# GB/T 32918.5: the recommended curve.
_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93


def _on_curve(x: bytes, y: bytes) -> bool:
    a, b = int.from_bytes(x), int.from_bytes(y)
    return a < _P and b < _P and (b * b - (a * a * a - 3 * a + _B)) % _P == 0


def _sm2_verifies(point: bytes, data: bytes, signature: bytes) -> bool:
    if len(signature) != _POINT_BYTES:
        return False
    half = _POINT_BYTES // 2
    coded = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
    try:
        return _gmssl.sm2_verify(point, data, coded)
    except (_gmssl.GmsslInnerError, _gmssl.InvalidValueError):
        return False


class SigningKey:
    """A private key. Its text form, for a file that only the node reads, is one line: algorithm and base64url."""

    __slots__ = ("_private", "algorithm", "public")

    def __init__(self, algorithm: Algorithm, private: Any, public: VerifyingKey) -> None:
        self.algorithm = algorithm
        self.public = public
        self._private = private

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm})"

    @classmethod
    def generate(cls, algorithm: Algorithm) -> "SigningKey":
        """Return a new key."""
        if algorithm is Algorithm.RS256:
            return cls._of_rsa(rsa.generate_private_key(65537, _RSA_BITS))
        if algorithm is Algorithm.EDDSA:
            return cls._of_ed25519(ed25519.Ed25519PrivateKey.generate())
        point, secret = _gmssl.sm2_key_generate()
        return cls._of_sm2(secret, point)

    @classmethod
    def from_text(cls, text: str) -> "SigningKey":
        """Return the key that a text says.

        Raises:
            KeyFormError: it says none.
        """
        name, _, coded = text.strip().partition(" ")
        try:
            algorithm, data = Algorithm(name), decode_base64url(coded)
            if algorithm is Algorithm.SM2:
                if len(data) != _POINT_BYTES // 2 + _POINT_BYTES:
                    raise KeyFormError("an SM2 key has 96 bytes")
                return cls._of_sm2(data[: _POINT_BYTES // 2], data[_POINT_BYTES // 2 :])
            private = load_der_private_key(data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyFormError("no private key") from None
        if algorithm is Algorithm.RS256 and isinstance(private, rsa.RSAPrivateKey):
            return cls._of_rsa(private)
        if algorithm is Algorithm.EDDSA and isinstance(private, ed25519.Ed25519PrivateKey):
            return cls._of_ed25519(private)
        raise KeyFormError("no private key of that algorithm")

    def to_text(self) -> str:
        """Return the text form, which is secret."""
        if self.algorithm is Algorithm.SM2:
            secret, point = self._private
            return f"{self.algorithm} {encode_base64url(secret + point)}"
        data = self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return f"{self.algorithm} {encode_base64url(data)}"

    @classmethod
    def _of_rsa(cls, private: rsa.RSAPrivateKey) -> "SigningKey":
        return cls(Algorithm.RS256, private, _rsa_jwk(private.public_key()))

    @classmethod
    def _of_ed25519(cls, private: ed25519.Ed25519PrivateKey) -> "SigningKey":
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return cls(Algorithm.EDDSA, private, VerifyingKey(kty="OKP", crv="Ed25519", x=encode_base64url(raw)))

    @classmethod
    def _of_sm2(cls, secret: bytes, point: bytes) -> "SigningKey":
        half = _POINT_BYTES // 2
        public = VerifyingKey(kty="EC", crv="SM2", x=encode_base64url(point[:half]), y=encode_base64url(point[half:]))
        return cls(Algorithm.SM2, (secret, point), public)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of some data."""
        if self.algorithm is Algorithm.RS256:
            return self._private.sign(data, padding.PKCS1v15(), SHA256())
        if self.algorithm is Algorithm.EDDSA:
            return self._private.sign(data)
        secret, point = self._private
        r, s = decode_dss_signature(_gmssl.sm2_sign(secret, point, data))
        return r.to_bytes(_POINT_BYTES // 2) + s.to_bytes(_POINT_BYTES // 2)
