"""Who may read and write what."""

from collections.abc import Sequence

import pytest

from gongfu.identify.authentication.authorization import Authorization
from gongfu.identify.authentication.types import Asker
from gongfu.identify.handle.codes import AdminPermission, Permission
from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.predefined import Administrator, encode_administrator, encode_references
from gongfu.identify.handle.values import HandleValue, Reference
from gongfu.identify.service.writes import Operation, Write

ALL = 0xFFF
ADMIN_READ = Permission.ADMIN_READ | Permission.ADMIN_WRITE
NAME = parse_handle("99.1/pump")
OWNER = Asker("99.1/ADMIN", 300, "HS_SECKEY")
STRANGER = Asker("99.1/ADMIN", 301, "HS_SECKEY")


def admin(index: int, handle: str, number: int, rights: int = ALL, permissions: int = ADMIN_READ) -> HandleValue:
    return HandleValue(
        index, "HS_ADMIN", encode_administrator(Administrator(rights, handle, number)), permissions=permissions
    )


URL = HandleValue(1, "URL", b"http://a")
PRICE = HandleValue(2, "PRICE", b"7", permissions=ADMIN_READ)
SEALED = HandleValue(3, "SEALED", b"8", permissions=0)
WALL = HandleValue(4, "NOTE", b"write here", permissions=Permission.PUBLIC_WRITE | Permission.PUBLIC_READ)
KEY = HandleValue(300, "HS_SECKEY", b"key", permissions=ADMIN_READ)
OWN = admin(100, "99.1/ADMIN", 300)
VALUES = (URL, PRICE, SEALED, WALL, OWN, KEY)
PREFIX = admin(100, "99.1/ADMIN", 300)


def authorization(records: dict[str, Sequence[HandleValue]] | None = None) -> Authorization:
    known = {"0.NA/99.1": (PREFIX,), **(records or {})}
    folded = {parse_handle(handle).key: values for handle, values in known.items()}
    return Authorization(lambda name: folded.get(name.key))


def write(operation: Operation, *values: HandleValue, overwrite: bool = False, indexes: tuple[int, ...] = ()) -> Write:
    return Write(operation=operation, handle="99.1/pump", values=values, overwrite=overwrite, indexes=indexes)


CREATE, PUT, DELETE = (write(operation) for operation in (Operation.CREATE, Operation.PUT, Operation.DELETE))


def test_administrators_are_named_in_any_case_of_the_prefix_and_with_the_right_index() -> None:
    may = authorization({"0.NA/9A.1": (admin(1, "9a.1/K", 300),)})
    assert may.prefix_rights(Asker("9A.1/K", 300, ""), "9a.1") == ALL
    assert may.prefix_rights(Asker("9a.1/k", 300, ""), "9a.1") == 0
    assert authorization().rights(OWNER, NAME, VALUES) == ALL
    assert authorization().rights(STRANGER, NAME, VALUES) == 0
    assert authorization().rights(STRANGER, NAME, (admin(1, "99.1/ADMIN", 0, 0x10),)) == 0x10


def test_rights_of_several_administrators_are_joined() -> None:
    values = (admin(1, "99.1/ADMIN", 300, 0x01), admin(2, "99.1/ADMIN", 300, 0x10), HandleValue(3, "HS_ADMIN", b"x"))
    assert authorization().rights(OWNER, NAME, values) == 0x11


def test_a_handle_without_administrators_has_those_of_its_prefix() -> None:
    assert authorization().rights(OWNER, NAME, (URL,)) == ALL
    assert authorization().rights(OWNER, HandleName("0.NA", "99.1"), (URL,)) == 0


def test_lists_of_administrators() -> None:
    def group(index: int, *members: Reference) -> HandleValue:
        return HandleValue(index, "HS_VLIST", encode_references(members))

    records = {
        "99.1/GROUPS": (
            group(1, Reference("99.1/GROUPS", 2)),
            group(2, Reference("99.1/x", 5), Reference("99.1/ADMIN", 300)),
            group(3, Reference("99.1/GROUPS", 4)),
            group(4, Reference("99.1/GROUPS", 3), Reference("nonsense", 1)),
            group(5, *(Reference("99.1/x", n) for n in range(2000))),
        )
    }
    may = authorization(records)
    rights = [may.rights(OWNER, NAME, (admin(9, "99.1/GROUPS", n),)) for n in (1, 2, 3, 5, 0, 6)]
    # Circles end, too long ones are not read.
    assert rights == [ALL, ALL, 0, 0, 0, 0]


def test_lists_are_read_within_bounds_for_all_administrators_together() -> None:
    asked: list[str] = []

    def values(name: HandleName) -> Sequence[HandleValue] | None:
        asked.append(str(name))
        references = tuple(Reference(f"{name}/{n}", 1) for n in range(100))
        return (HandleValue(1, "HS_VLIST", encode_references(references)),)

    many = tuple(admin(n, f"99.1/list{n}", 1) for n in range(1, 500))
    assert Authorization(values).rights(OWNER, NAME, many) == 0
    assert len(asked) < 2000
    # The same list twice counts twice.
    own = {"99.1/G": (HandleValue(1, "HS_VLIST", encode_references((Reference("99.1/ADMIN", 300),))),)}
    twice = (admin(1, "99.1/G", 1, 0x01), admin(2, "99.1/G", 1, 0x10))
    assert authorization(own).rights(OWNER, NAME, twice) == 0x11


@pytest.mark.parametrize(
    ("asker", "index", "readable"),
    [
        (OWNER, 2, True),
        (OWNER, 3, False),
        (OWNER, 300, False),
        (STRANGER, 2, False),
    ],
)
def test_reading(asker: Asker, index: int, readable: bool) -> None:
    may_read = authorization().readable(asker, NAME, VALUES)
    value = next(value for value in VALUES if value.index == index)
    assert may_read(value) is readable


def test_reading_needs_the_right_to() -> None:
    limited = (PRICE, admin(100, "99.1/ADMIN", 300, ALL & ~AdminPermission.AUTHORIZED_READ))
    assert not authorization().readable(OWNER, NAME, limited)(PRICE)


def test_grants_are_of_values_that_administrators_may_read() -> None:
    may = Authorization(lambda name: None, lambda asker, name, value: asker == STRANGER)
    readable = may.readable(STRANGER, NAME, VALUES)
    assert readable(PRICE)
    assert not readable(SEALED)
    assert not readable(KEY)


@pytest.mark.parametrize(
    ("asker", "wished", "there", "allowed"),
    [
        (OWNER, CREATE, False, True),
        (STRANGER, CREATE, False, False),
        (None, CREATE, False, False),
        (OWNER, CREATE, True, True),
        (OWNER, write(Operation.CREATE, overwrite=True), True, True),
        (OWNER, PUT, True, True),
        (STRANGER, PUT, True, False),
        (OWNER, DELETE, True, True),
        (None, DELETE, True, False),
        # There is nothing to guard.
        (None, DELETE, False, True),
        (None, write(Operation.ADD_VALUES, URL), False, True),
    ],
)
def test_whole_handles(asker: Asker | None, wished: Write, there: bool, allowed: bool) -> None:
    assert authorization().may_write(asker, NAME, VALUES if there else None, wished) is allowed


def test_who_may_create_may_not_replace_what_others_own() -> None:
    others = (URL, admin(100, "99.1/OTHER", 300))
    assert not authorization().may_write(OWNER, NAME, others, PUT)
    assert not authorization().may_write(OWNER, NAME, others, write(Operation.CREATE, overwrite=True))
    assert not authorization().may_write(OWNER, NAME, others, DELETE)


def test_prefixes_are_not_made_here() -> None:
    name = parse_handle("0.NA/99.1.5")
    for operation in (Operation.CREATE, Operation.PUT, Operation.DELETE):
        assert not authorization().may_write(OWNER, name, None, Write(operation=operation, handle=str(name)))
    values = (PREFIX, URL)
    change = Write(operation=Operation.MODIFY_VALUES, handle="0.NA/99.1", values=(URL,))
    assert authorization().may_write(OWNER, parse_handle("0.NA/99.1"), values, change)


NEW_ADMIN = admin(1, "99.1/OTHER", 300)
ADD, MODIFY, REMOVE = Operation.ADD_VALUES, Operation.MODIFY_VALUES, Operation.REMOVE_VALUES


@pytest.mark.parametrize(
    ("needed", "wished"),
    [
        (AdminPermission.ADD_VALUE, write(ADD, HandleValue(9, "URL", b""))),
        (AdminPermission.ADD_ADMIN, write(ADD, admin(9, "99.1/OTHER", 300))),
        (AdminPermission.MODIFY_VALUE, write(MODIFY, HandleValue(1, "URL", b"http://b"))),
        (AdminPermission.MODIFY_VALUE, write(ADD, HandleValue(1, "URL", b"http://b"), overwrite=True)),
        (AdminPermission.ADD_ADMIN, write(MODIFY, NEW_ADMIN)),
        (AdminPermission.MODIFY_ADMIN, write(MODIFY, admin(100, "99.1/OTHER", 300))),
        (AdminPermission.REMOVE_ADMIN, write(MODIFY, HandleValue(100, "URL", b""))),
        (AdminPermission.DELETE_VALUE, write(REMOVE, indexes=(1,))),
        (AdminPermission.REMOVE_ADMIN, write(REMOVE, indexes=(100,))),
        (AdminPermission.DELETE_HANDLE, DELETE),
    ],
)
def test_each_right_is_needed_and_enough(needed: AdminPermission, wished: Write) -> None:
    def values(rights: int) -> tuple[HandleValue, ...]:
        return (URL, admin(100, "99.1/ADMIN", 300, rights))

    assert authorization().may_write(OWNER, NAME, values(needed), wished)
    assert not authorization().may_write(OWNER, NAME, values(ALL & ~needed), wished)
    assert not authorization().may_write(None, NAME, values(ALL), wished)


def test_values_that_administrators_may_not_write() -> None:
    assert not authorization().may_write(OWNER, NAME, VALUES, write(MODIFY, HandleValue(3, "SEALED", b"")))
    assert not authorization().may_write(OWNER, NAME, VALUES, write(REMOVE, indexes=(1, 3)))
    assert authorization().may_write(OWNER, NAME, VALUES, write(REMOVE, indexes=(1, 77)))


def test_what_the_public_may_write() -> None:
    def may(wished: Write) -> bool:
        return authorization().may_write(None, NAME, VALUES, wished)

    permissions = WALL.permissions
    assert may(write(MODIFY, HandleValue(4, "note", b"x", permissions=permissions)))
    assert may(write(REMOVE, indexes=(4,)))
    # Not to make an administrator of oneself, nor to keep it from others.
    assert not may(write(MODIFY, admin(4, "99.1/EVIL", 300, permissions=permissions)))
    assert not may(write(MODIFY, HandleValue(4, "NOTE", b"x", permissions=Permission.ADMIN_READ)))
    assert not may(write(REMOVE, indexes=(4, 1)))
    assert not may(write(ADD, HandleValue(5, "NOTE", b"x", permissions=permissions)))
