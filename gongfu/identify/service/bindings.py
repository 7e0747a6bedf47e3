"""What the numbers in a store's keys and records stand for, kept in the store itself.

Prefixes, templates and classes are in the records database, and the store knows them by number only. Beside an older
copy of that database a number would come to mean something else: an enterprise would get another's identifiers. So the
store keeps a fingerprint of each, and is not opened where they differ.
"""

import hashlib
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import IntEnum

from gongfu.identify.namespace.types import ClassRecord, Prefix
from gongfu.identify.records.keys import BINDINGS
from gongfu.identify.templates.types import Template

_NUMBER = struct.Struct(">BI")


class Kind(IntEnum):
    """What has a number."""

    PREFIX = 1
    TEMPLATE = 2
    CLASS = 3


class BindingError(RuntimeError):
    """The records database and the store do not belong together."""


def of_prefix(prefix: Prefix) -> tuple[bytes, bytes]:
    """Return key and fingerprint of a prefix: its name."""
    return _bound(Kind.PREFIX, prefix.number, prefix.key)


def of_template(number: int, template: Template) -> tuple[bytes, bytes]:
    """Return key and fingerprint of a template's version: the order of its attributes, which records depend on."""
    attributes = [f"{attribute.index} {attribute.name} {attribute.type}" for attribute in template.attributes]
    return _bound(Kind.TEMPLATE, number, "\n".join([f"{template.name}@{template.version}", *attributes]))


def of_class(item: ClassRecord) -> tuple[bytes, bytes]:
    """Return key and fingerprint of a class: its template."""
    return _bound(Kind.CLASS, item.number, str(item.template))


def _bound(kind: Kind, number: int, what: str) -> tuple[bytes, bytes]:
    return BINDINGS + _NUMBER.pack(kind, number), hashlib.sha256(what.encode()).digest()[:16]


def missing(present: Mapping[bytes, bytes], wanted: Iterator[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the fingerprints that are not there yet.

    Raises:
        BindingError: one is another's.
    """
    new: dict[bytes, bytes] = {}
    for key, fingerprint in wanted:
        there = present.get(key)
        if there is None:
            new[key] = fingerprint
        elif there != fingerprint:
            kind, number = _NUMBER.unpack_from(key, len(BINDINGS))
            raise BindingError(
                f"{Kind(kind).name.lower()} number {number} of the records database is not the one that the store of "
                "identifiers knows: the two do not belong together"
            )
    return new


def lost(present: Iterable[bytes], kind: Kind, known: Collection[int]) -> list[int]:
    """Return the numbers of a kind that a store has and the directory has not.

    Args:
        present: keys of all fingerprints of the store.
        kind: of what.
        known: the numbers that the directory has.
    """
    numbers = [_NUMBER.unpack_from(key, len(BINDINGS)) for key in present]
    return sorted(number for of, number in numbers if of == kind and number not in known)
