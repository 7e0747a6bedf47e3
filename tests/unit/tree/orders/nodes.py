"""Nodes with real keys, a small tree, and the documents they sign."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Raw

from gongfu.tree.orders.admission import Believed, Standing, believe_order, believe_revocation
from gongfu.tree.orders.kinds import OrderKind, Probe
from gongfu.tree.orders.selection import Member, Query
from gongfu.tree.orders.types import (
    OrderDocument,
    Revocation,
    Signed,
    encode_document,
    order_message,
    revocation_message,
)

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
DEADLINE = NOW + 3600 * SECOND


class Node:
    """A node's key and id."""

    def __init__(self, seed: str) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
        raw = self.key.public_key().public_bytes_raw()
        self.id = base64.b32encode(hashlib.sha256(raw).digest()[:15]).decode().lower()
        PUBLIC[self.id] = self.key.public_key()

    def sign_order(self, document: OrderDocument) -> Signed:
        body = encode_document(document)
        return Signed(body, self.key.sign(order_message(body)))

    def sign_revocation(self, revocation: Revocation) -> Signed:
        body = encode_document(revocation)
        return Signed(body, self.key.sign(revocation_message(body)))


PUBLIC: dict[str, Ed25519PublicKey] = {}


@cache
def node(seed: str) -> Node:
    return Node(seed)


def verify(signer: str, message: bytes, signature: bytes) -> bool:
    try:
        PUBLIC[signer].verify(signature, message)
    except InvalidSignature:
        return False
    return True


NATION, PROVINCE, ENTERPRISE, SITE, SIBLING = (
    node(name) for name in ("nation", "province", "enterprise", "site", "sib")
)
CHAIN = {NATION.id: "nation", PROVINCE.id: "province", ENTERPRISE.id: "enterprise", SITE.id: "site"}
MEMBER = Member(
    SITE.id,
    (NATION.id, PROVINCE.id, ENTERPRISE.id),
    "site",
    region="320102",
    industry="C2614",
    size="large",
    attributes={"ministry": "energy"},
)
SCHEMA = {
    "type": "object",
    "properties": {"address": {"type": "string", "maxLength": 60}},
    "required": ["address"],
    "additionalProperties": False,
}


def order_kind(**changed: object) -> OrderKind:
    declared: dict[str, object] = {
        "name": "block",
        "schema": SCHEMA,
        "may_issue": ("nation", "province"),
        "driver": "firewall",
        "probe": Probe("resolve", delay=SECOND, every=SECOND, within=3 * SECOND),
        "allowed": True,
    }
    return OrderKind(**{**declared, **changed})  # pyright: ignore[reportArgumentType]


def standing(
    *kinds: OrderKind, chain: Mapping[str, str] = CHAIN, member: Member = MEMBER, active: bool = True
) -> Standing:
    known = {kind.name: kind for kind in kinds or (order_kind(),)}
    return Standing(
        member, chain, known, frozenset(name for name, kind in known.items() if kind.allowed), verify, active
    )


def order(**changed: object) -> OrderDocument:
    declared: dict[str, object] = {
        "id": "order-0001",
        "kind": "block",
        "payload": Raw(b'{"address":"192.0.2.1"}'),
        "selection": Query(tiers=("site",)),
        "not_before": NOW,
        "deadline": DEADLINE,
        "issuer": NATION.id,
        "authors": ("ann",),
        "issued_at": NOW,
    }
    return OrderDocument(**{**declared, **changed})  # pyright: ignore[reportArgumentType]


def revocation(**changed: object) -> Revocation:
    declared: dict[str, object] = {
        "order": "order-0001",
        "issuer": NATION.id,
        "person": "ann",
        "reason": "a mistake",
        "deadline": DEADLINE,
        "issued_at": NOW,
    }
    return Revocation(**{**declared, **changed})  # pyright: ignore[reportArgumentType]


def believed(document: OrderDocument, at: Standing, signer: Node = NATION) -> Believed[OrderDocument]:
    found = believe_order(signer.sign_order(document), at)
    assert isinstance(found, Believed)
    return found


def believed_revocation(document: Revocation, at: Standing, signer: Node = NATION) -> Believed[Revocation]:
    found = believe_revocation(signer.sign_revocation(document), at)
    assert isinstance(found, Believed)
    return found
