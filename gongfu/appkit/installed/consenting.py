"""What an app asks for, shown to whoever decides about it; and what it is granted when nobody decided anew."""

import msgspec

from gongfu.appkit.grants import asked_lines
from gongfu.appkit.installed.types import InstalledVersion, PermissionDocument
from gongfu.appkit.manifest import Needs
from gongfu.appkit.permissions import Permission, optional_names, permissions_of, refused_names, without


def granted_permissions(asked: Needs, granted: Needs) -> list[PermissionDocument]:
    """Return what an installed app asked for, and whether it was granted."""
    refused = refused_names(asked, granted)
    return [_document(one, granted=not (one.optional and one.name in refused)) for one in permissions_of(asked)]


def proposed_permissions(asked: Needs, current: InstalledVersion | None) -> list[PermissionDocument]:
    """Return what a package asks for: what is refused to the installed version is proposed to be refused again."""
    refused = refused_names(current.manifest.needs, current.granted) if current is not None else []
    have = set(asked_lines(current.granted)) if current is not None else set[str]()
    return [
        _document(one, granted=not (one.optional and one.name in refused), new=one.line not in have)
        for one in permissions_of(asked)
    ]


def granted_of(asked: Needs, refused: list[str] | None, current: InstalledVersion | None) -> Needs:
    """Return what a package is granted: all it asks for but what is refused now, or, where nothing is said (None), what
    is refused to the installed version.

    Raises:
        ValueError: something cannot be refused.
    """
    if refused is None:
        before = refused_names(current.manifest.needs, current.granted) if current is not None else []
        return without(asked, optional_names(asked) & set(before))
    return without(asked, refused)


def still_refused(version: InstalledVersion, current: InstalledVersion) -> InstalledVersion:
    """Return an earlier version without what of its grants is refused to the present one: nobody gave it back."""
    refused = refused_names(current.manifest.needs, current.granted)
    granted = without(version.granted, optional_names(version.granted) & set(refused))
    return msgspec.structs.replace(version, granted=granted)


def _document(one: Permission, *, granted: bool, new: bool = False) -> PermissionDocument:
    return PermissionDocument(
        kind=one.kind,
        what=one.what,
        line=one.line,
        name=one.name,
        optional=one.optional,
        reason=one.reason,
        granted=granted,
        new=new,
    )
