"""What a resolution has found, and on which way."""

from enum import StrEnum

import msgspec

from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.values import HandleValue


class CacheState(StrEnum):
    """Where a step's answer is from.

    ``local``: this node is responsible. ``hit``: asked before, and still valid. ``negative``: asked before, and there
    was nothing. ``delegation``: where to ask was known, the answer was not. ``miss``: nothing was known. ``joined``:
    another resolution of the same handle was under way already.
    """

    LOCAL = "local"
    HIT = "hit"
    NEGATIVE = "negative"
    DELEGATION = "delegation"
    MISS = "miss"
    JOINED = "joined"


class SignatureState(StrEnum):
    """What is known of an answer's signature; verification is of values, not of hops, and fills this in."""

    UNCHECKED = "unchecked"
    TRUSTED = "trusted"
    SIGNED = "signed"
    BROKEN = "broken"
    UNSIGNED = "unsigned"


class Hop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a resolution.

    Attributes:
        server: ``udp 192.0.2.1:2641``; ``local`` and ``cache`` were no question over the network.
        question: the handle that was asked for.
        code: of the answer; None where there was none.
        reason: why there was none.
        referral: prefix at whose service to go on.
        milliseconds: how long it took.
        cache: where the answer is from.
        signature: what is known of it.
    """

    server: str
    question: str
    code: ResponseCode | None = None
    reason: str = ""
    referral: str = ""
    milliseconds: float = 0.0
    cache: CacheState = CacheState.MISS
    signature: SignatureState = SignatureState.UNCHECKED

    @property
    def asked(self) -> bool:
        """Whether this was a question over the network."""
        return self.server not in (LOCAL, CACHE)


LOCAL, CACHE = "local", "cache"


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a resolution.

    Attributes:
        code: SUCCESS; HANDLE_NOT_FOUND; VALUES_NOT_FOUND: the handle is there, but not what was wished;
            AUTHENTICATION_NEEDED: the client must ask ``authority`` itself, and prove who it is;
            SERVER_NOT_RESPONDING; RECURSION_LIMIT_EXCEEDED; INVALID_HANDLE.
        handle: that was asked for.
        values: by index, with the time to live that they were given (their signatures are of it, too).
        age: seconds since the authority said so; of the times to live, so much is over.
        authority: prefix at whose service the answer is from; "" is this node.
        sites: data of that service's HS_SITE values.
        hops: all steps.
    """

    code: ResponseCode
    handle: str
    values: tuple[HandleValue, ...] = ()
    age: int = 0
    authority: str = ""
    sites: tuple[HandleValue, ...] = ()
    hops: tuple[Hop, ...] = ()

    @property
    def questions(self) -> int:
        """How often another node was asked."""
        return sum(hop.asked for hop in self.hops)
