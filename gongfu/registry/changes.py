"""Announcements of the registry: what changed, after it is committed, so that other processes drop what they cached."""

from collections.abc import Callable
from typing import Literal

import msgspec

Change = Literal["created", "updated", "deleted", "secret", "quota"]


class RegistryChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Document of ``evt.registry``.

    Attributes:
        kind: ``device``, ``asset``, ``point``, ``tenant`` or ``quota``.
        id: id of what changed; of a quota the device, 0 for that of the tenant itself.
        name: name of the device, path of the asset, name of the point.
        tenant: tenant id.
        change: ``secret`` means that the old secret of a device is no longer valid.
        moved: an updated asset has another path, and so has all below it.
        typed: an updated asset has another type.
    """

    kind: str
    id: int
    name: str
    tenant: int
    change: Change
    moved: bool = False
    typed: bool = False


# Called on the thread that made the change, after its commit; must not raise and not block.
Announce = Callable[[RegistryChange], None]


def silent(_: RegistryChange) -> None:
    """Announce nothing: for commands that run while no other process does."""
