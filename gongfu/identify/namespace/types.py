"""Prefixes, delegations and classes of a node."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from gongfu.identify.handle.names import folded
from gongfu.identify.handle.values import HandleValue


class PrefixState(StrEnum):
    """What a prefix does: active registers and resolves, suspended resolves only, revoked does neither."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class Prefix(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix whose identifiers are registered at this node.

    Attributes:
        number: of the prefix at this node, from 1: in the keys of the store; never used again.
        name: such as ``99.1000.1``.
        state: see there.
        values: of the prefix itself, which is the handle ``0.NA/<name>``: administrators, keys, site.
        enterprise: whose it is; what it is counted by, as are:
        industry: GB/T 4754, "" where it is not known.
        region: GB/T 2260, "" where it is not known.
        quota: most identifiers that it may have, 0 is any number.
    """

    number: int
    name: str
    state: PrefixState = PrefixState.ACTIVE
    values: tuple[HandleValue, ...] = ()
    enterprise: str = ""
    industry: str = ""
    region: str = ""
    quota: int = 0

    @property
    def key(self) -> str:
        """The name as it is compared."""
        return folded(self.name)


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix below one of this node's, whose identifiers another node registers.

    Attributes:
        name: such as ``99.1000``.
        state: revoked ones are not referred to.
        values: of ``0.NA/<name>``: where its service is (``HS_SITE``).
    """

    name: str
    state: PrefixState = PrefixState.ACTIVE
    values: tuple[HandleValue, ...] = ()

    @property
    def key(self) -> str:
        """The name as it is compared."""
        return folded(self.name)


class ClassRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What all members of a range have in common (类).

    Attributes:
        number: of the class at this node, from 1.
        template: number of the template's version whose attributes it has.
        attributes: (ordinal in the template, text). In the text ``{suffix}`` stands for the member's suffix,
            ``{number}`` for the digits of its number (all that stand together), ``{number:8}`` for the last 8 of them.
        timestamp: of the last change, seconds since 1970, UTC.
    """

    number: int
    template: int
    attributes: tuple[tuple[Annotated[int, Meta(ge=0)], str], ...]
    timestamp: int = 0
