"""A small tree whose keys are the same in every run: nation, two provinces, an enterprise, a site; and another tree."""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from gongfu.kernel.times import SECOND
from gongfu.tree.membership.chain import extend_chain, root_membership, sign_membership, verify_chain
from gongfu.tree.membership.keys import NodeKey, Signed
from gongfu.tree.membership.refusals import Reason, Refused
from gongfu.tree.membership.types import Attributes, Chain, Membership, NodeState

DAY = 86_400 * SECOND
# 2026-11-22
NOW = 1_795_305_600 * SECOND
FROM, UNTIL = NOW - DAY, NOW + 365 * DAY


def seed(text: str) -> bytes:
    """Return 32 bytes that are always the same for a text."""
    return hashlib.sha256(text.encode()).digest()


def make_key(text: str) -> NodeKey:
    return NodeKey(seed(text))


def make_child(parent: Membership, key: NodeKey, name: str, tier: str, prefix: str, **changes: Any) -> Membership:
    """Return what ``parent`` says of a child; ``changes`` replace fields, wrong ones too."""
    membership = Membership(
        node=key.id,
        public_key=key.public_key,
        name=name,
        tier=tier,
        parent=parent.node,
        path=(*parent.path, parent.node),
        prefix=prefix,
        attributes=Attributes(region="3201", industry="C34", size="large", free={"park": "2"}),
        state=NodeState.ACTIVE,
        revision=1,
        valid_from=FROM,
        valid_until=UNTIL,
    )
    return msgspec.structs.replace(membership, **changes)


def refused(reason: Reason) -> Any:
    """Return a context in which ``Refused`` with this reason must be raised."""
    return pytest.raises(Refused, check=lambda refusal: refusal.reason is reason)


@dataclass(frozen=True)
class Tree:
    """Keys and verified chains by name."""

    keys: dict[str, NodeKey]
    chains: dict[str, Chain]

    @property
    def root_key(self) -> bytes:
        return self.keys["nation"].public_key

    def signed(self, name: str) -> tuple[Signed, ...]:
        return self.chains[name].signed

    def membership(self, name: str) -> Membership:
        return self.chains[name].membership

    def child_of(self, parent: str, key: NodeKey, prefix: str = "", **changes: Any) -> tuple[Signed, ...]:
        """Return the chain (not verified) of a child that ``parent`` signs."""
        membership = make_child(self.membership(parent), key, "child", "child", prefix, **changes)
        return (*self.signed(parent), sign_membership(self.keys[parent], membership))

    def verify(self, chain: tuple[Signed, ...], node: str, now: int = NOW, **options: Any) -> Chain:
        return verify_chain(chain, self.root_key, now, node, **options)


def make_tree(name: str = "") -> Tree:
    """Return the tree; trees of different names have different keys and the same shape."""
    places = {
        "province": ("nation", "88.1"),
        "sibling": ("nation", "88.2"),
        "enterprise": ("province", "88.1.7"),
        "site": ("enterprise", "88.1.7.1"),
    }
    keys = {place: make_key(name + place) for place in ("nation", *places)}
    root = root_membership(
        keys["nation"], name="nation", tier="nation", prefix="88", valid_from=FROM, valid_until=UNTIL
    )
    signed = sign_membership(keys["nation"], root)
    chains = {"nation": verify_chain([signed], keys["nation"].public_key, NOW, root.node)}
    for place, (parent, prefix) in places.items():
        membership = make_child(chains[parent].membership, keys[place], place, place, prefix)
        chains[place] = extend_chain(chains[parent], sign_membership(keys[parent], membership), NOW)
    return Tree(keys, chains)


TREE = make_tree()
OTHER_TREE = make_tree("other ")
