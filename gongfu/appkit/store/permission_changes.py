"""What an app asks for, in one order and wording, and what changes from one version to the next."""

from typing import Literal

import msgspec

from gongfu.appkit.manifest import Manifest

# Kinds of asking, for the filter of the catalogue.
KINDS = (
    *("read", "write", "history", "alarms", "events", "models"),
    *("orders", "probes", "reports", "records", "objects", "routes"),
)


class Ask(msgspec.Struct, frozen=True, order=True):
    """One thing that an app asks for.

    Attributes:
        kind: one of ``KINDS``, or ``memory``, ``cpu``, ``storage``.
        what: on what: globs as in the manifest, or an amount.
    """

    kind: str
    what: str


class Change(msgspec.Struct, frozen=True):
    """A difference between two versions.

    Attributes:
        change: ``added``, ``removed``, ``more`` or ``less`` (of a resource).
        kind: as of ``Ask``.
        what: of the later version; of the earlier one when it is removed.
        before: of the earlier version, for a resource.
    """

    change: Literal["added", "removed", "more", "less"]
    kind: str
    what: str
    before: str = ""


def asks_of(manifest: Manifest) -> list[Ask]:
    """Return what an app asks for, without its resources; sorted."""
    needs = manifest.needs
    found: set[Ask] = set()
    for need in needs.points:
        what = f"{need.asset} · {need.point}" + (f" · {need.type}" if need.type else "")
        found.add(Ask(need.access, what))
        if need.history:
            found.add(Ask("history", f"{what} · {need.history}"))
    found.update(Ask("events", f"publish {kind}") for kind in needs.events.publish)
    if needs.alarms is not None:
        found.add(Ask("alarms", needs.alarms.assets))
    found.update(Ask("models", model.id) for model in needs.invoked)
    found.update(Ask("orders", kind) for kind in needs.orders)
    found.update(Ask("probes", name) for name in needs.probes)
    found.update(Ask("reports", kind) for kind in needs.reports)
    for kind in ("records", "objects", "routes"):
        if getattr(needs, kind):
            found.add(Ask(kind, ""))
    return sorted(found)


def kinds_of(manifest: Manifest) -> str:
    """Return the kinds that an app asks for, as they are stored for the filter: ``,alarms,read,`` or ``,``."""
    kinds = sorted({ask.kind for ask in asks_of(manifest)})
    return "," + "".join(f"{kind}," for kind in kinds)


def changes(before: Manifest | None, after: Manifest) -> list[Change]:
    """Return what a later version asks for that the earlier one did not, and the other way round.

    Args:
        before: None when there is no earlier version: then everything is added.
        after: of the later version.
    """
    earlier = set(asks_of(before)) if before is not None else set[Ask]()
    later = set(asks_of(after))
    found = [Change("added", ask.kind, ask.what) for ask in sorted(later - earlier)]
    found += [Change("removed", ask.kind, ask.what) for ask in sorted(earlier - later)]
    if before is not None:
        old, new = before.resources, after.resources
        sizes = (
            ("memory", old.memory_bytes, new.memory_bytes, old.memory, new.memory),
            ("cpu", old.cpu, new.cpu, f"{old.cpu:g}", f"{new.cpu:g}"),
            ("storage", old.storage_bytes, new.storage_bytes, old.storage, new.storage),
        )
        for kind, was, is_, was_text, text in sizes:
            if was != is_:
                found.append(Change("more" if is_ > was else "less", kind, text, was_text))
    return found
