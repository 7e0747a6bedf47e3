"""What an app may do: its manifest's needs as they were granted, asked before every call. Pure.

A refusal is a ``PermissionError`` whose text is what to write into ``app.toml``.
"""

import fnmatch
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from gongfu.appkit.declarations import OnPoints
from gongfu.appkit.globs import asset_glob, point_glob
from gongfu.appkit.manifest import Asked, ModelNeed, Needs, PointNeed
from gongfu.appkit.permissions import permissions_of


@dataclass(frozen=True, slots=True)
class PointPlace:
    """A point as grants see it: path of its asset, name, and the names of the thing models its asset is of."""

    asset: str
    point: str
    types: Collection[str] = ()


@dataclass(frozen=True)
class Grants:
    """What an app may do.

    Attributes:
        app: identifier of the app.
        needs: what was granted.
        own_models: ids of the models it brought, which it may invoke.
        refused: what it asked for and an administrator refused.
    """

    app: str
    needs: Needs
    own_models: frozenset[str] = field(default_factory=frozenset[str])
    refused: Needs = field(default_factory=Needs)

    @cached_property
    def _by_access(self) -> dict[str, list[PointNeed]]:
        return {access: [need for need in self.needs.points if need.access == access] for access in ("read", "write")}

    def allows(self, place: PointPlace, access: Literal["read", "write"]) -> bool:
        """Return whether a point may be read or written."""
        return any(covers(need, place) for need in self._by_access[access])

    def gives(self, handler: OnPoints, place: PointPlace) -> bool:
        """Return whether a function of the app gets the samples of a point: it asks for it, and the app may read it.

        What the app may write it does not get: it would answer itself for ever.
        """
        return asks_for(handler, place) and self.allows(place, "read") and not self.allows(place, "write")

    def history_ns(self, place: PointPlace) -> int:
        """Return how far back a point may be read, in nanoseconds; 0 for not at all."""
        return max((need.history_ns for need in self._by_access["read"] if covers(need, place)), default=0)

    def check_point(self, place: PointPlace, access: Literal["read", "write"]) -> None:
        """Raise unless a point may be read or written.

        Raises:
            PermissionError: with what to ask for.
        """
        if not self.allows(place, access):
            raise PermissionError(self.why_not(place, access))

    def why_not(self, place: PointPlace, access: Literal["read", "write"] = "read") -> str:
        """Return why a point may not be read or written, and who can change that."""
        need = next((n for n in self.refused.points if n.access == access and covers(n, place)), None)
        ask = f'[[needs.points]] asset = "{place.asset}", point = "{place.point}", access = "{access}"'
        return f"{self.app} may not {access} {place.point!r} of {place.asset!r}: {_why(need, ask)}"

    def check_history(self, place: PointPlace, start: int, now: int) -> None:
        """Raise unless a point may be read from a time on (both UTC ns); a minute more is left for clocks.

        Raises:
            PermissionError: with what to ask for.
        """
        self.check_point(place, "read")
        granted = self.history_ns(place)
        if now - start > granted + 60 * 10**9 or not granted:
            days = max(-(-(now - start) // (86_400 * 10**9)), 1)
            had = f"only {granted / 86_400e9:g} d back" if granted else "no history"
            raise PermissionError(
                f"{self.app} was granted {had} of {place.point!r} of {place.asset!r}: ask for it in app.toml with "
                f'history = "{days}d"'
            )

    def check_alarm(self, asset: str) -> None:
        """Raise unless alarms may be raised at an asset.

        Raises:
            PermissionError: with what to ask for.
        """
        need = self.needs.alarms
        if need is None or not asset_glob(need.assets).fullmatch(asset):
            refused = self.refused.alarms
            refused = refused if refused is not None and asset_glob(refused.assets).fullmatch(asset) else None
            raise PermissionError(
                f"{self.app} may not raise alarms at {asset!r}: " + _why(refused, f'[needs.alarms] assets = "{asset}"')
            )

    def check_publish(self, kind: str) -> None:
        """Raise unless events of a kind may be noted.

        Raises:
            PermissionError: with what to ask for.
        """
        if not any(fnmatch.fnmatchcase(kind, wanted) for wanted in self.needs.events.publish):
            refused = any(fnmatch.fnmatchcase(kind, wanted) for wanted in self.refused.events.publish)
            raise PermissionError(
                f"{self.app} may not publish {kind!r}: "
                + _why(self.refused.events if refused else None, f'[needs.events] publish = ["{kind}"]')
            )

    def check_invoke(self, model: str) -> None:
        """Raise unless a model may be invoked.

        Raises:
            PermissionError: with what to ask for.
        """
        if model not in self.own_models and _invoked(self.needs, model) is None:
            raise PermissionError(
                f"{self.app} may not invoke {model!r}: "
                + _why(_invoked(self.refused, model), f'needs.models = ["{model}"]')
            )

    def check_order(self, kind: str) -> None:
        """Raise unless orders of a kind may be carried out.

        Raises:
            PermissionError: with what to ask for.
        """
        if kind not in self.needs.orders:
            raise PermissionError(
                f'{self.app} may not carry out orders {kind!r}: ask for it in app.toml with [needs] orders = ["{kind}"]'
            )

    def check_probe(self, name: str) -> None:
        """Raise unless others may ask a probe.

        Raises:
            PermissionError: with what to ask for.
        """
        if name not in self.needs.probes:
            raise PermissionError(
                f"nobody may ask the probe {name!r} of {self.app}: "
                f'offer it in app.toml with [needs] probes = ["{name}"]'
            )

    def check_report(self, kind: str) -> None:
        """Raise unless reports of a kind may be filed.

        Raises:
            PermissionError: with what to ask for.
        """
        if kind not in self.needs.reports:
            raise PermissionError(
                f'{self.app} may not report {kind!r}: ask for it in app.toml with [needs] reports = ["{kind}"]'
            )

    def check_flag(self, name: Literal["records", "objects", "routes"]) -> None:
        """Raise unless something that is asked for by ``= true`` was.

        Raises:
            PermissionError: with what to ask for.
        """
        if not getattr(self.needs, name):
            raise PermissionError(f"{self.app} has no {name}: ask for them in app.toml with [needs] {name} = true")


def _why(refused: Asked | None, ask: str) -> str:
    """Return why something is not granted: an administrator refused it, or nobody asked for it."""
    if refused is not None:
        return (
            f"the optional permission {refused.name!r} was refused; an administrator gives it with `gongfu app grant`"
        )
    return f"ask for it in app.toml with {ask}"


def _invoked(needs: Needs, model: str) -> ModelNeed | None:
    return next((need for need in needs.invoked if fnmatch.fnmatchcase(model, need.id)), None)


def asks_for(handler: OnPoints, place: PointPlace) -> bool:
    """Return whether a function asks for a point."""
    return (
        any(point_glob(point).fullmatch(place.point) is not None for point in handler.points)
        and asset_glob(handler.asset).fullmatch(place.asset) is not None
        and (not handler.type or handler.type.partition("@")[0] in place.types)
    )


def covers(need: PointNeed, place: PointPlace) -> bool:
    """Return whether a need covers a point."""
    return (
        point_glob(need.point).fullmatch(place.point) is not None
        and asset_glob(need.asset).fullmatch(place.asset) is not None
        and (not need.type or need.type.partition("@")[0] in place.types)
    )


def missing(granted: Needs, asked: Needs) -> list[str]:
    """Return what was not granted of what is asked, each as a line for people; empty when all was."""
    have = set(asked_lines(granted))
    return [line for line in asked_lines(asked) if line not in have]


def asked_lines(needs: Needs) -> list[str]:
    """Return what is asked for, a line each, for people who decide about it."""
    return [permission.line for permission in permissions_of(needs)]
