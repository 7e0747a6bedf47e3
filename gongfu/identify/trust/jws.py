"""JSON Web Signatures (RFC 7515): the compact form and, when reading, the JSON form with one signature.

What is signed are the bytes as they came; nothing is written anew before it is checked. ``crit`` headers are refused,
``alg`` must be the key's own.
"""

from typing import Any

import msgspec

from gongfu.identify.trust.keys import SigningKey, VerifyingKey, decode_base64url, encode_base64url

MAX_TEXT = 256 * 1024


class JwsError(ValueError):
    """Some text is no JSON Web Signature."""


class Jws(msgspec.Struct, frozen=True, gc=False):
    """A signature and what it is of.

    Attributes:
        algorithm: ``alg`` of its header.
        payload: what is signed.
        signed: header and payload as they were signed.
        signature: bytes.
    """

    algorithm: str
    payload: bytes
    signed: bytes
    signature: bytes

    def verifies(self, key: VerifyingKey) -> bool:
        """Return whether the key has signed it."""
        return self.algorithm == key.algorithm and key.verifies(self.signed, self.signature)


class _Header(msgspec.Struct):
    alg: str
    crit: Any = None


class _Part(msgspec.Struct):
    protected: str
    signature: str


class _JsonForm(msgspec.Struct):
    payload: str
    signatures: list[_Part]


def sign(payload: bytes, key: SigningKey) -> str:
    """Return the compact form of the payload with a signature."""
    header = encode_base64url(msgspec.json.encode({"alg": key.algorithm}))
    signed = f"{header}.{encode_base64url(payload)}"
    return f"{signed}.{encode_base64url(key.sign(signed.encode()))}"


def parse(text: str | bytes) -> Jws:
    """Return the signature that a text says; it is not verified yet.

    Raises:
        JwsError: it says none, or one that this node must not take (``crit``).
    """
    if len(text) > MAX_TEXT:
        raise JwsError(f"a signature of more than {MAX_TEXT} characters")
    try:
        whole = (text.decode() if isinstance(text, bytes) else text).strip()
        if whole.startswith("{"):
            form = msgspec.json.decode(whole, type=_JsonForm)
            if len(form.signatures) != 1:
                raise JwsError("a signature in JSON form has one signature")
            header, payload, signature = form.signatures[0].protected, form.payload, form.signatures[0].signature
        else:
            header, payload, signature = whole.split(".")
        said = msgspec.json.decode(decode_base64url(header), type=_Header)
        if said.crit is not None:
            raise JwsError("the header names extensions that must be understood")
        return Jws(said.alg, decode_base64url(payload), f"{header}.{payload}".encode(), decode_base64url(signature))
    except JwsError:
        raise
    except (ValueError, msgspec.MsgspecError) as error:
        raise JwsError(f"no JSON Web Signature: {error}") from None
