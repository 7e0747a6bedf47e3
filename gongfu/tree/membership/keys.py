"""Keys of nodes, node ids, and documents signed by a node. Ed25519 (RFC 8032).

The library is imported when a key is used: the API of a node that is in no tree knows these types and has no key, and
the library takes 7 MB.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec

from gongfu.tree.membership.documents import DOCUMENT_LIMIT, pack, unpack
from gongfu.tree.membership.refusals import Reason, Refused

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
CONTEXT_LIMIT = 64
# Body, signature, names and MessagePack's own bytes.
SIGNED_LIMIT = DOCUMENT_LIMIT + 256

_ID_BYTES = 15

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NodeId = Annotated[str, msgspec.Meta(pattern=r"^[a-z2-7]{24}\Z")]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]


def node_id(public_key: bytes) -> str:
    """Return the id of the node with this raw public key: 24 characters, ``a`` to ``z`` and ``2`` to ``7``.

    It is the first 15 bytes of SHA-256 in base32 (RFC 4648 §6), in small letters.
    """
    return base64.b32encode(hashlib.sha256(public_key).digest()[:_ID_BYTES]).decode().lower()


@dataclass(frozen=True, slots=True)
class NodeKey:
    """The private key of a node. Its text form does not show the key.

    Attributes:
        seed: 32 secret bytes.
        public_key: 32 bytes.
        id: the node's id.
    """

    seed: bytes = field(repr=False)
    public_key: bytes = field(init=False, repr=False)
    id: str = field(init=False)
    _private: "Ed25519PrivateKey" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise Refused(Reason.KEY_MALFORMED, f"the seed has {len(self.seed)} bytes, not {SEED_BYTES}")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        public_key = private.public_key().public_bytes_raw()
        # A frozen class is set this way in its own initialisation only.
        object.__setattr__(self, "_private", private)
        object.__setattr__(self, "public_key", public_key)
        object.__setattr__(self, "id", node_id(public_key))

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``, 64 bytes. Documents are signed with ``sign``, which separates contexts."""
        return self._private.sign(data)

    def to_pem(self) -> bytes:
        """Return the key as PKCS #8 PEM (RFC 8410 §7), not encrypted: its file must be readable by the node only."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_from_pem(pem: bytes) -> NodeKey:
    """Return the key that ``NodeKey.to_pem`` wrote.

    Raises:
        Refused: ``key-malformed``; not a PEM private key, encrypted, or not Ed25519.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's words may quote the file.
        raise Refused(Reason.KEY_MALFORMED, "not an unencrypted private key in PEM") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise Refused(Reason.KEY_MALFORMED, "not an Ed25519 key")
    return NodeKey(private.private_bytes_raw())


class Signed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A document and the signature of a node over it.

    Attributes:
        context: what kind of document it is, such as ``b"gongfu/membership/1\\n"``; a signature made in one context is
            not valid in another.
        signer: id of the node that signed.
        body: the bytes that were signed, kept exactly.
        signature: Ed25519 over context and body.
    """

    context: Annotated[bytes, msgspec.Meta(max_length=CONTEXT_LIMIT)]
    signer: NodeId
    body: Annotated[bytes, msgspec.Meta(max_length=DOCUMENT_LIMIT)]
    signature: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


def sign(key: NodeKey, context: bytes, body: bytes) -> Signed:
    """Return ``body`` signed in a context.

    Args:
        key: the signer.
        context: ASCII that ends with its only line feed, so that no context and body read as another pair.
        body: at most ``DOCUMENT_LIMIT`` bytes.

    Raises:
        ValueError: the context is not of that form.
    """
    if context.count(b"\n") != 1 or not context.endswith(b"\n") or len(context) > CONTEXT_LIMIT:
        raise ValueError(f"a context ends with its only line feed: {context!r}")
    return Signed(context, key.id, body, key.sign(context + body))


def verify(public_key: bytes, context: bytes, signed: Signed) -> bytes:
    """Return the body of a document that the owner of ``public_key`` signed in this context.

    Raises:
        Refused: ``context-wrong``, ``signer-wrong``, ``key-malformed`` or ``signature-wrong``.
    """
    if signed.context != context:
        raise Refused(Reason.CONTEXT_WRONG, f"{signed.context[:CONTEXT_LIMIT]!r} where {context!r} is expected")
    signer = node_id(public_key)
    if signed.signer != signer:
        raise Refused(Reason.SIGNER_WRONG, f"signed by {signed.signer}, not by {signer}")
    verify_bytes(public_key, context + signed.body, signed.signature)
    return signed.body


def verify_bytes(public_key: bytes, data: bytes, signature: bytes) -> None:
    """Check a bare signature; documents are checked with ``verify``.

    Raises:
        Refused: ``key-malformed`` or ``signature-wrong``.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except InvalidSignature:
        raise Refused(Reason.SIGNATURE_WRONG) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(Reason.KEY_MALFORMED, "not an Ed25519 public key") from None


def encode_signed(signed: Signed) -> bytes:
    """Return the one byte form of a signed document (MessagePack)."""
    return pack(signed)


def decode_signed(data: bytes) -> Signed:
    """Return the signed document in ``data``; nothing is verified.

    Raises:
        Refused: ``signed-malformed``; not exactly what ``encode_signed`` writes.
    """
    return unpack(data, Signed, Reason.SIGNED_MALFORMED, SIGNED_LIMIT)
