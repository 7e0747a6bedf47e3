"""Join tokens: one line of text by which a parent lets one child join once.

The text is ``gfj1.`` and base64url (RFC 4648 §5, no padding) of a MessagePack document, its Ed25519 signature (64
bytes) and CRC-32 (4 bytes, big endian) over all before it. CRC-32 finds every error within 32 bits in a row, so every
wrong character and every two that have changed places: ``token-malformed``. What was changed with a new checksum has
a wrong signature: ``token-tampered``. The parent's public key is in the token, so both are seen without asking
anybody; its node id is the digest of that key.
"""

import base64
import binascii
import re
import zlib
from enum import StrEnum
from typing import Annotated

import msgspec

from gongfu.tree.membership.documents import pack
from gongfu.tree.membership.keys import SIGNATURE_BYTES, NodeKey, PublicKey, node_id, verify_bytes
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.types import Instant, Prefix, Tier

TOKEN_CONTEXT = b"gongfu/join-token/1\n"
TOKEN_LIMIT = 600
TOKEN_ID_BYTES = 16

_HEAD = "gfj1."
_CHECKSUM_BYTES = 4
_TAIL_BYTES = SIGNATURE_BYTES + _CHECKSUM_BYTES
_TEXT = re.compile(r"gfj1\.[A-Za-z0-9_-]+")

Address = Annotated[str, msgspec.Meta(min_length=1, max_length=160, pattern=r"^[!-~]+\Z")]


class JoinToken(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a join token says.

    Attributes:
        id: 16 random bytes.
        parent_key: raw public key of the parent.
        address: where the child asks to join, ``host:port`` or a URL, printable ASCII.
        authority: SHA-256 of the DER of the parent's certificate authority.
        tier: what the child will be.
        prefix: what the child will have; empty for none.
        valid_from: UTC ns.
        valid_until: UTC ns, the first moment at which it is not valid.
    """

    id: Annotated[bytes, msgspec.Meta(min_length=TOKEN_ID_BYTES, max_length=TOKEN_ID_BYTES)]
    parent_key: PublicKey
    address: Address
    authority: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    tier: Tier
    prefix: Prefix
    valid_from: Instant
    valid_until: Instant

    @property
    def parent(self) -> str:
        """Id of the parent."""
        return node_id(self.parent_key)

    @property
    def name(self) -> str:
        """The token's id in hexadecimal, by which the ledger knows it. It is no secret; the token's text is."""
        return self.id.hex()


def encode_token(key: NodeKey, token: JoinToken) -> str:
    """Return the text of a token, signed by the parent.

    Raises:
        Refused: ``token-malformed``, a field is outside what its type allows, or the text would have 600 characters or
            more; ``token-wrong-parent``, the key is not that of the token.
    """
    if key.public_key != token.parent_key:
        raise Refused(Reason.TOKEN_WRONG_PARENT, f"{key.id} cannot sign for {token.parent}")
    body = pack(token)
    _decode_body(body)
    data = body + key.sign(TOKEN_CONTEXT + body)
    data += _checksum(data)
    text = _HEAD + base64.urlsafe_b64encode(data).decode().rstrip("=")
    if len(text) >= TOKEN_LIMIT:
        raise Refused(Reason.TOKEN_MALFORMED, f"address, tier and prefix are too long: {len(text)} characters")
    return text


def decode_token(text: str) -> JoinToken:
    """Return what a token says, if it is as its parent made it. Blanks around it do not matter.

    Raises:
        Refused: ``token-malformed`` or ``token-tampered``.
    """
    data = _decode_text(text.strip(" \t\r\n"))
    if _checksum(data[:-_CHECKSUM_BYTES]) != data[-_CHECKSUM_BYTES:]:
        raise Refused(Reason.TOKEN_MALFORMED, "a character is wrong or missing")
    body, signature = data[:-_TAIL_BYTES], data[-_TAIL_BYTES:-_CHECKSUM_BYTES]
    token = _decode_body(body)
    try:
        verify_bytes(token.parent_key, TOKEN_CONTEXT + body, signature)
    except Refused:
        raise Refused(Reason.TOKEN_TAMPERED, "its signature is not that of its parent") from None
    return token


def verify_token(text: str, *, parent: str, tier: str, now: int) -> JoinToken:
    """Return what a token says, if a child of this tier may join this parent with it now, as far as the token tells.

    Whether it was used or revoked the parent's ledger knows: ``redeem``.

    Args:
        text: the token.
        parent: id of the node that was asked.
        tier: what the child wants to be.
        now: UTC ns, the parent's clock.

    Raises:
        Refused: ``token-malformed``, ``token-tampered``, ``token-wrong-parent``, ``token-not-yet-valid``,
            ``token-expired`` or ``tier-wrong``.
    """
    token = decode_token(text)
    if token.parent != parent:
        raise Refused(Reason.TOKEN_WRONG_PARENT, f"it is of {token.parent}")
    if now < token.valid_from:
        raise Refused(Reason.TOKEN_NOT_YET_VALID)
    if now >= token.valid_until:
        raise Refused(Reason.TOKEN_EXPIRED)
    if token.tier != tier:
        raise Refused(Reason.TIER_WRONG, f"it is for a {token.tier}, not for a {tier}")
    return token


class TokenState(StrEnum):
    """What became of a token."""

    ISSUED = "issued"
    USED = "used"
    REVOKED = "revoked"


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parent's ledger knows of a token. It may be forgotten when ``valid_until`` has passed.

    Attributes:
        name: the token's id in hexadecimal.
        state: what became of it.
        valid_until: UTC ns.
        changed: UTC ns of the latest change of state.
        node: who used it; empty for nobody.
    """

    name: str
    state: TokenState
    valid_until: int
    changed: int
    node: str = ""


def issue_record(token: JoinToken, now: int) -> TokenRecord:
    """Return the record of a new token; ``now`` is UTC ns."""
    return TokenRecord(name=token.name, state=TokenState.ISSUED, valid_until=token.valid_until, changed=now)


def redeem(record: TokenRecord | None, node: str, now: int) -> TokenRecord:
    """Return the record after a node has joined with the token; the same record if the same node had already.

    Whoever stores it does so only if the record is still the one that was read: of two nodes that come at the same time
    one gets it.

    Args:
        record: as it is stored; None when there is none.
        node: id of the node that joins.
        now: UTC ns.

    Raises:
        Refused: ``token-unknown``, ``token-revoked``, ``token-expired`` or ``token-used`` (by another node).
    """
    if record is None:
        raise Refused(Reason.TOKEN_UNKNOWN)
    if record.state is TokenState.REVOKED:
        raise Refused(Reason.TOKEN_REVOKED)
    if now >= record.valid_until:
        raise Refused(Reason.TOKEN_EXPIRED)
    if record.state is TokenState.USED:
        if record.node != node:
            raise Refused(Reason.TOKEN_USED, "by another node")
        return record
    return msgspec.structs.replace(record, state=TokenState.USED, node=node, changed=now)


def revoke(record: TokenRecord, now: int) -> TokenRecord:
    """Return the record of a token that nobody may use from now on, not even who has used it; ``now`` is UTC ns."""
    if record.state is TokenState.REVOKED:
        return record
    return msgspec.structs.replace(record, state=TokenState.REVOKED, changed=now)


def _decode_text(text: str) -> bytes:
    if len(text) >= TOKEN_LIMIT or not _TEXT.fullmatch(text):
        raise Refused(Reason.TOKEN_MALFORMED, "not of the form gfj1.…")
    encoded = text[len(_HEAD) :]
    try:
        data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        raise Refused(Reason.TOKEN_MALFORMED, "a character is missing or too many") from None
    # The last character has bits that say nothing; only one way to write them is good.
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != encoded or len(data) <= _TAIL_BYTES:
        raise Refused(Reason.TOKEN_MALFORMED, "a character is wrong or missing")
    return data


def _decode_body(body: bytes) -> JoinToken:
    try:
        return msgspec.msgpack.decode(body, type=JoinToken)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(Reason.TOKEN_MALFORMED, str(error)) from None


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(_HEAD.encode() + data).to_bytes(_CHECKSUM_BYTES, "big")
