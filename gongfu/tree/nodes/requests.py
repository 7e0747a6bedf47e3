"""What is asked of the nodes of the tree: bodies of the API and of the commands."""

from typing import Annotated

import msgspec

from gongfu.tree.membership.keys import NodeId
from gongfu.tree.membership.token import TOKEN_LIMIT
from gongfu.tree.membership.types import Attributes, Name, NodeState, Prefix, Tier

RELEASE_TEXT_LIMIT = 8_000

TokenText = Annotated[str, msgspec.Meta(min_length=1, max_length=TOKEN_LIMIT)]
ReasonText = Annotated[str, msgspec.Meta(max_length=500)]
# At least a minute, at most 90 days.
TokenSeconds = Annotated[int, msgspec.Meta(ge=60, le=90 * 86_400)]


class Founding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Become the root of a new tree."""

    name: Name
    tier: Tier
    prefix: Prefix = ""
    attributes: Attributes = Attributes()


class Joining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Become a child of the node that made the token; without a tier as the token says."""

    token: TokenText
    name: Name
    attributes: Attributes = Attributes()
    tier: Tier | None = None


class Rehoming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Go to another parent, with its token and the release of the former one."""

    token: TokenText
    release: Annotated[str, msgspec.Meta(min_length=1, max_length=RELEASE_TEXT_LIMIT)]


class NodeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which nodes to list: below this node, by name; ``cursor`` is (name, id) of the last one before."""

    parent: str = ""
    search: str = ""
    state: NodeState | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1001)] = 50
    cursor: tuple[str, str] | None = None


class OneNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node by id."""

    id: str


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something is done to a node."""

    reason: ReasonText = ""


class ChangeNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Suspend, resume or retire a child."""

    id: str
    reason: ReasonText = ""


class Releasing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let a node go to another parent."""

    to: NodeId
    keep_prefix: bool = True
    reason: ReasonText = ""


class ReleaseNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let this node go to another parent."""

    id: str
    to: NodeId
    keep_prefix: bool = True
    reason: ReasonText = ""


class TokenWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new join token. With attributes the child gets these, else those that it says it has."""

    tier: Tier
    prefix: Prefix = ""
    valid_seconds: TokenSeconds = 86_400
    attributes: Attributes | None = None


class TokenQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tokens to list; ``cursor`` is (created, name) of the last one before."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1001)] = 50
    cursor: tuple[int, str] | None = None


class OneToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token by name."""

    name: str
