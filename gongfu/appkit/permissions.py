"""What an app asks for, one by one: told to people who decide about it, granted, and what of it is refused. Pure."""

from collections.abc import Collection

import msgspec

from gongfu.appkit.manifest import Asked, EventNeed, Needs


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an app asks for.

    Attributes:
        kind: ``read``, ``write``, ``alarms``, ``events``, ``models``, ``orders``, ``probes``, ``reports``,
            ``records``, ``objects``, ``routes``.
        what: on what: globs as in the manifest; empty where the kind says all.
        line: both, in English.
        name: by which it is granted or refused; empty when it has none.
        optional: whether it may be refused.
        reason: why the app asks for it, by language; empty when it does not say.
    """

    kind: str
    what: str
    line: str
    name: str = ""
    optional: bool = False
    reason: dict[str, str] = {}


def permissions_of(needs: Needs) -> list[Permission]:
    """Return what is asked for, in the order of the manifest's documentation."""
    found: list[Permission] = []
    for need in needs.points:
        what = f"{need.point!r} of assets {need.asset!r}" + (f" of type {need.type!r}" if need.type else "")
        back = f", and {need.history} of their history" if need.history else ""
        found.append(_asked(need, need.access, f"{what}{back}", f"{need.access} points {what}{back}"))
    if needs.alarms is not None:
        found.append(
            _asked(needs.alarms, "alarms", needs.alarms.assets, f"raise alarms at assets {needs.alarms.assets!r}")
        )
    found += [_asked(needs.events, "events", kind, f"note events {kind!r}") for kind in needs.events.publish]
    found += [_asked(model, "models", model.id, f"invoke models {model.id!r}") for model in needs.invoked]
    found += [
        Permission(kind="orders", what=kind, line=f"carry out orders {kind!r} of nodes above") for kind in needs.orders
    ]
    found += [Permission(kind="probes", what=name, line=f"answer who asks its probe {name!r}") for name in needs.probes]
    found += [Permission(kind="reports", what=kind, line=f"report {kind!r} to nodes above") for kind in needs.reports]
    flags = (
        ("records", needs.records, "keep tables of its own"),
        ("objects", needs.objects, "keep files of its own"),
        ("routes", needs.routes, "answer calls of users below its own address"),
    )
    return found + [Permission(kind=kind, what="", line=line) for kind, asked, line in flags if asked]


def without(needs: Needs, names: Collection[str]) -> Needs:
    """Return needs without the optional ones of some names.

    Raises:
        ValueError: there is no optional one of a name.
    """
    optional = optional_names(needs)
    wrong = sorted(set(names) - optional)
    if wrong:
        may = ", ".join(sorted(optional)) or "nothing"
        raise ValueError(f"{', '.join(wrong)} cannot be refused; what may be refused is {may}")

    def kept(need: Asked) -> bool:
        return not need.optional or need.name not in names

    return msgspec.structs.replace(
        needs,
        points=tuple(need for need in needs.points if kept(need)),
        alarms=needs.alarms if needs.alarms is not None and kept(needs.alarms) else None,
        events=needs.events if kept(needs.events) else EventNeed(),
        models=tuple(
            one for one, need in zip(needs.models, needs.invoked, strict=True) if kept(need)
        ),
    )  # fmt: skip


def optional_names(needs: Needs) -> set[str]:
    """Return the names of what may be refused."""
    return {need.name for _, need in needs.named if need.optional}


def required(needs: Needs) -> Needs:
    """Return what must be granted, all of it."""
    return without(needs, optional_names(needs))


def refused_names(asked: Needs, granted: Needs) -> list[str]:
    """Return the names of what is asked for and not granted, in order."""
    return sorted(optional_names(asked) - optional_names(granted))


def refused_needs(asked: Needs, granted: Needs) -> Needs:
    """Return only what is asked for and was refused."""
    names = refused_names(asked, granted)

    def kept(need: Asked) -> bool:
        return need.optional and need.name in names

    return Needs(
        points=tuple(need for need in asked.points if kept(need)),
        alarms=asked.alarms if asked.alarms is not None and kept(asked.alarms) else None,
        events=asked.events if kept(asked.events) else EventNeed(),
        models=tuple(need for need in asked.invoked if kept(need)),
    )


def by_name(asked: Needs, granted: Needs) -> dict[str, bool]:
    """Return whether what has a name was granted."""
    refused = refused_names(asked, granted)
    return {need.name: need.name not in refused for _, need in asked.named if need.name}


def _asked(need: Asked, kind: str, what: str, line: str) -> Permission:
    reason = {"zh": need.reason.zh, "en": need.reason.en} if need.reason is not None else {}
    return Permission(kind=kind, what=what, line=line, name=need.name, optional=need.optional, reason=reason)
