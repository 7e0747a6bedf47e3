"""What somebody may read and write: permissions of values, administrators (``HS_ADMIN``), grants (RFC 3651 §3).

- An administrator is named by an ``HS_ADMIN`` value of the handle, itself or by a list (``HS_VLIST``). A handle without
  any, as templates and ranges make them, has those of its prefix (``0.NA/…``).
- To create is a right at the prefix. To take the place of a handle that is there needs the right to delete it, too.
- An ``HS_ADMIN`` value needs rights of its own to be added, changed and removed, also where a value becomes one.
- What the public may write, anybody may change, but neither its type nor who may read and write it.
- Prefixes (``0.NA/…``) are made and removed by the node's own management, never here.
"""

from collections.abc import Callable, Sequence

from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.codes import AdminPermission, Permission
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded, parse_handle
from gongfu.identify.handle.predefined import (
    HS_ADMIN,
    HS_PUBKEY,
    HS_SECKEY,
    HS_VLIST,
    decode_administrator,
    decode_references,
)
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.service.writes import Allowed, Operation, Write

Values = Callable[[HandleName], Sequence[HandleValue] | None]
"""All values of a handle here, those too that nobody may read; None where it is not here. Any thread may ask."""

Granted = Callable[[Asker, HandleName, HandleValue], bool]
"""Whether somebody was granted to read a value that only administrators may."""

# Lists in lists, members that are looked at in all, and administrators of a handle.
_DEEPEST = 8
_MOST_MEMBERS = 1000
_MOST_ADMINISTRATORS = 100
_OF_KEYS = (HS_SECKEY, HS_PUBKEY, HS_VLIST)


def nobody(asker: Asker, name: HandleName, value: HandleValue) -> bool:
    """Grant nothing."""
    return False


def _is_admin(value: HandleValue) -> bool:
    return value.type.upper() == HS_ADMIN


class Authorization:
    """Answers who may do what."""

    def __init__(self, values: Values, granted: Granted = nobody, granted_change: Granted = nobody) -> None:
        """Make it.

        Args:
            values: of handles here.
            granted: who may read single values.
            granted_change: who may change single values; neither their type nor their permissions.
        """
        self._values = values
        self._granted = granted
        self._granted_change = granted_change

    def rights(self, asker: Asker, name: HandleName, current: Sequence[HandleValue]) -> int:
        """Return what somebody may do with a handle (``AdminPermission``) that has these values now."""
        administrators = [value for value in current if _is_admin(value)]
        if not administrators and folded(name.prefix) != NAMING_AUTHORITY:
            return self.prefix_rights(asker, name.prefix)
        return self._named(asker, administrators)

    def prefix_rights(self, asker: Asker, prefix: str) -> int:
        """Return what somebody may do with a prefix (``AdminPermission``): create and list handles."""
        values = self._values(HandleName(NAMING_AUTHORITY, prefix)) or ()
        return self._named(asker, [value for value in values if _is_admin(value)])

    def _named(self, asker: Asker, administrators: Sequence[HandleValue]) -> int:
        rights, members = 0, _MOST_MEMBERS
        known: dict[tuple[str, int], bool] = {}
        for value in administrators[:_MOST_ADMINISTRATORS]:
            try:
                found = decode_administrator(value.data)
            except MalformedError:
                continue
            named = found.handle, found.index
            if named not in known:
                known[named], members = self._means(asker, *named, members)
            if known[named]:
                rights |= found.permissions
        return rights

    def _means(self, asker: Asker, handle: str, index: int, most: int) -> tuple[bool, int]:
        """Return whether a reference is to somebody, or to a list that names them, and how many more members of lists
        may be looked at; ``most`` is how many may now."""
        key, seen = asker.key, set[tuple[str, int]]()
        level = [(handle, index)]
        for _ in range(_DEEPEST):
            below: list[tuple[str, int]] = []
            for at, number in level:
                try:
                    name = parse_handle(at)
                except MalformedError:
                    continue
                if name.key == key and number in (0, asker.index):
                    return True, most
                if (name.key, number) in seen:
                    continue
                seen.add((name.key, number))
                for value in self._values(name) or ():
                    if value.type.upper() == HS_VLIST and number in (0, value.index):
                        below += _members(value)
            most -= len(below)
            if not below or most < 0:
                break
            level = below
        return False, most

    def readable(self, asker: Asker, name: HandleName, current: Sequence[HandleValue]) -> Callable[[HandleValue], bool]:
        """Return what tells of a value that is not public whether somebody may read it."""
        administrator = bool(self.rights(asker, name, current) & AdminPermission.AUTHORIZED_READ)

        def may(value: HandleValue) -> bool:
            if value.type.upper() == HS_SECKEY or not value.permissions & Permission.ADMIN_READ:
                return False
            return administrator or self._granted(asker, name, value)

        return may

    def may_list(self, asker: Asker, prefix: str) -> bool:
        """Return whether somebody may list the handles of a prefix."""
        return bool(self.prefix_rights(asker, prefix) & AdminPermission.LIST_HANDLE)

    def may_write(
        self, asker: Asker | None, name: HandleName, current: Sequence[HandleValue] | None, write: Write
    ) -> bool:
        """Return whether somebody may do a write; the asker is None where nobody has said who asks.

        What needs a handle that is not there may be tried by anybody: the answer is that it is not there.
        """
        if write.operation in (Operation.CREATE, Operation.PUT, Operation.DELETE):
            if folded(name.prefix) == NAMING_AUTHORITY:
                return False
            return self._may_write_whole(asker, name, current, write)
        if current is None:
            return True
        return self._may_write_values(asker, name, current, write)

    def _may_write_whole(
        self, asker: Asker | None, name: HandleName, current: Sequence[HandleValue] | None, write: Write
    ) -> bool:
        if write.operation is Operation.DELETE:
            if current is None:
                return True
            return asker is not None and bool(self.rights(asker, name, current) & AdminPermission.DELETE_HANDLE)
        if asker is None or not self.prefix_rights(asker, name.prefix) & AdminPermission.ADD_HANDLE:
            return False
        replaces = write.overwrite or write.operation is Operation.PUT
        if current is None or not replaces:
            return True
        return bool(self.rights(asker, name, current) & AdminPermission.DELETE_HANDLE)

    def _may_write_values(
        self, asker: Asker | None, name: HandleName, current: Sequence[HandleValue], write: Write
    ) -> bool:
        rights = 0 if asker is None else self.rights(asker, name, current)
        here = {value.index: value for value in current}
        if write.operation is Operation.REMOVE_VALUES:
            return all(_may_remove(here.get(index), rights) for index in write.indexes)
        if write.attributes or write.template:
            # By name, as the node's own management writes them: the protocol's clients write values.
            return False
        adds = write.operation is Operation.ADD_VALUES
        replaces = write.overwrite or not adds
        return all(
            _may_add(value, rights)
            if adds and (value.index not in here or not replaces)
            else _may_modify(here.get(value.index), value, rights)
            or self._was_granted(asker, name, here.get(value.index), value)
            for value in write.values
        )

    def _was_granted(self, asker: Asker | None, name: HandleName, old: HandleValue | None, new: HandleValue) -> bool:
        if asker is None or old is None or old.type.upper() in _OF_KEYS or _is_admin(old):
            return False
        same = old.type == new.type and old.permissions == new.permissions
        return same and bool(old.permissions & Permission.ADMIN_WRITE) and self._granted_change(asker, name, old)

    def allowed(self, asker: Asker | None) -> Allowed:
        """Return what the core asks before each write."""

        def may(name: HandleName, current: Sequence[HandleValue] | None, write: Write) -> bool:
            return self.may_write(asker, name, current, write)

        return may


def _members(value: HandleValue) -> list[tuple[str, int]]:
    try:
        return [(item.handle, item.index) for item in decode_references(value.data)]
    except MalformedError:
        return []


def _may_add(value: HandleValue, rights: int) -> bool:
    return bool(rights & (AdminPermission.ADD_ADMIN if _is_admin(value) else AdminPermission.ADD_VALUE))


def _may_remove(value: HandleValue | None, rights: int) -> bool:
    if value is None or value.permissions & Permission.PUBLIC_WRITE:
        return True
    needed = AdminPermission.REMOVE_ADMIN if _is_admin(value) else AdminPermission.DELETE_VALUE
    return bool(value.permissions & Permission.ADMIN_WRITE) and bool(rights & needed)


def _may_modify(old: HandleValue | None, new: HandleValue, rights: int) -> bool:
    if old is None:
        return True
    same = old.type.upper() == new.type.upper() and old.permissions == new.permissions
    if old.permissions & Permission.PUBLIC_WRITE and same:
        return True
    if _is_admin(old):
        needed = AdminPermission.MODIFY_ADMIN if _is_admin(new) else AdminPermission.REMOVE_ADMIN
    else:
        needed = AdminPermission.ADD_ADMIN if _is_admin(new) else AdminPermission.MODIFY_VALUE
    return bool(old.permissions & Permission.ADMIN_WRITE) and bool(rights & needed)
