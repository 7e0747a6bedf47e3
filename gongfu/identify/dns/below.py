"""Whether names go on below one that has nothing: then it is there, though empty (RFC 8020)."""

from bisect import bisect_left
from collections.abc import Callable

from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded
from gongfu.identify.namespace.lookup import Namespace
from gongfu.identify.service.identifiers import Identifiers


def names_below(identifiers: Identifiers) -> Callable[[HandleName], bool]:
    """Return what tells whether there are prefixes below that of ``0.NA/…``, or handles that go on with a dot."""
    of: Namespace | None = None
    prefixes: list[str] = []

    def below(name: HandleName) -> bool:
        nonlocal of, prefixes
        space = identifiers.namespace
        if folded(name.prefix) == NAMING_AUTHORITY:
            if space is not of:
                of, prefixes = space, sorted({*space.prefixes, *space.delegations})
            start = f"{folded(name.suffix)}."
            at = bisect_left(prefixes, start)
            return at < len(prefixes) and prefixes[at].startswith(start)
        known = space.find_prefix(name.prefix)
        if known is None:
            return False
        if identifiers.has_ranges(known.name):
            # Which numbers of a range go on with a dot is not worth finding out: that a name is there harms nobody.
            return True
        start = f"{name.suffix}."
        return any(
            handle.partition("/")[2].startswith(start) for handle in identifiers.handles(known.name, start, limit=1)
        )

    return below
