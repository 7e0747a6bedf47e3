"""Which standing alarms are a cause for another, found without looking at all of them. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from gongfu.reason.alarms.suppression.types import Place, Scope

# When an alarm was raised, and its id: the order within a first-out group.
Order = tuple[int, str]
# Of what a transaction raises: after all that is on record.
LAST: Order = (2**63 - 1, "")


class Standing(NamedTuple):
    """A standing alarm."""

    order: Order
    place: Place


class Causes:
    """Standing alarms that are causes of one design, by where they speak for.

    Of each such place the two earliest that are different are enough: an alarm is no cause for itself.
    """

    def __init__(self, scope: Scope, standing: Iterable[Standing]) -> None:
        """Set up.

        Args:
            scope: for which assets a cause speaks.
            standing: those that match the design, in any order.
        """
        self._scope = scope
        self._by_place: dict[str, list[Standing]] = {}
        for one in standing:
            self.add(one)

    def add(self, one: Standing) -> None:
        """Take up one more."""
        known = self._by_place.setdefault(self._speaks_for(one.place.asset), [])
        for at, other in enumerate(known):
            if other.place == one.place:
                if one.order < other.order:
                    known[at] = one
                    known.sort()
                return
        known.append(one)
        known.sort()
        del known[2:]

    def hold_for(self, place: Place, before: Order | None = None) -> bool:
        """Return whether another alarm is a cause for one at a place; ``before``: only those earlier than that."""
        return any(
            other.place != place and (before is None or other.order < before)
            for key in self._places(place.asset)
            for other in self._by_place.get(key, ())
        )

    def _speaks_for(self, asset: str) -> str:
        if self._scope is Scope.ANY:
            return ""
        return asset.rpartition("/")[0] if self._scope is Scope.BESIDE else asset

    def _places(self, asset: str) -> list[str]:
        """Return the keys of the causes that speak for an asset (``matching.in_scope``)."""
        if self._scope is Scope.SAME:
            return [asset]
        if self._scope is Scope.ANY:
            return [""]
        parts = asset.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        # Beside: below the parent of the cause, at any depth; a cause at the top speaks for all.
        return [*above, asset] if self._scope is Scope.BELOW else ["", *above]
