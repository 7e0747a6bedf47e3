"""Registering and removing ranges: on the writer's thread, alone, all or nothing."""

from collections.abc import Callable, Sequence

import msgspec

from gongfu.identify.namespace.types import Prefix, PrefixState
from gongfu.identify.ranges.pattern import parse_range
from gongfu.identify.ranges.series import Registered
from gongfu.identify.service.contents import Contents
from gongfu.identify.service.deciding import Refused
from gongfu.identify.service.group import Group
from gongfu.identify.service.writes import WriteCode
from gongfu.identify.templates.types import TemplateState

# Of one call. Each number that is registered costs nothing, each 65,536 of them a key of the store.
MAX_RANGES = 10_000
MAX_NUMBERS = 2 * 10**10

Told = tuple[frozenset[str], frozenset[str]]


class RangeWish(msgspec.Struct, frozen=True):
    """A range to be registered: prefix, ``head{first..last}tail``, class; ``move``: members get this class."""

    prefix: str
    text: str
    of: int
    move: bool = False


def definer(
    wishes: Sequence[RangeWish], now: Callable[[], int]
) -> Callable[[Contents], tuple[list[Registered], frozenset[str], frozenset[str]]]:
    """Return what registers ranges."""

    def define(contents: Contents) -> tuple[list[Registered], frozenset[str], frozenset[str]]:
        group = Group(contents, now())
        done: list[Registered] = []
        spans = [parse_range(wish.text) for wish in wishes]
        if len(spans) > MAX_RANGES or sum(map(len, spans)) > MAX_NUMBERS:
            raise Refused(WriteCode.INVALID, f"at once at most {MAX_RANGES:,} ranges of {MAX_NUMBERS:,} numbers")
        for wish, span in zip(wishes, spans, strict=True):
            prefix = _active(contents, wish.prefix)
            _check_class(contents, wish.of)
            done.append(group.define(prefix, span, wish.of, move=wish.move))
        group.commit()
        return done, frozenset(), frozenset(group.prefixes)

    return define


def remover(
    prefix: str, text: str, now: Callable[[], int]
) -> Callable[[Contents], tuple[int, frozenset[str], frozenset[str]]]:
    """Return what removes the members of a range."""

    def remove(contents: Contents) -> tuple[int, frozenset[str], frozenset[str]]:
        group = Group(contents, now())
        gone = group.remove(_active(contents, prefix), parse_range(text))
        group.commit()
        return gone, frozenset(), frozenset(group.prefixes)

    return remove


def _active(contents: Contents, name: str) -> Prefix:
    prefix = contents.space.find_prefix(name)
    if prefix is None:
        raise Refused(WriteCode.PREFIX_UNKNOWN, name[:100])
    if prefix.state is PrefixState.SUSPENDED:
        raise Refused(WriteCode.PREFIX_SUSPENDED, prefix.name)
    return prefix


def _check_class(contents: Contents, of: int) -> None:
    item = contents.space.classes.get(of)
    if item is None:
        raise Refused(WriteCode.INVALID, f"there is no class {of}")
    template = contents.space.templates[item.template]
    if template.state is not TemplateState.PUBLISHED:
        raise Refused(WriteCode.INVALID, f"template {template.name} is {template.state}")
