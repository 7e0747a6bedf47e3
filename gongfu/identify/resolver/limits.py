"""Bounds of a resolver."""

import msgspec


class ResolverLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a resolver.

    Attributes:
        questions: of one resolution, over the network.
        recursions: how often a question may have been passed on.
        records: in the cache.
        record_bytes: of all of them together.
        delegations: in the cache.
        running: resolutions at the same time; one more is answered SERVER_BUSY.
        prefetching: of these, those that nobody waits for.
        ttl: the longest that a record is kept, seconds.
        delegation_ttl: the longest that it is kept where a service is.
        negative_ttl: how long it is kept that there is no such handle.
        prefetch_uses: so often a record was used before it is fetched anew ahead of its end.
        prefetch_part: of its life that is left then.
    """

    questions: int = 16
    recursions: int = 10
    records: int = 100_000
    record_bytes: int = 64 << 20
    delegations: int = 50_000
    running: int = 1000
    prefetching: int = 50
    ttl: float = 86_400.0
    delegation_ttl: float = 300.0
    negative_ttl: float = 15.0
    prefetch_uses: int = 3
    prefetch_part: float = 0.1
