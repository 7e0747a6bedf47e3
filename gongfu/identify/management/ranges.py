"""Ranges of numbers (号段): use cases."""

from collections.abc import Sequence

from gongfu.identify.management.classes import Classes
from gongfu.identify.management.documents import NewClass
from gongfu.identify.management.requests import (
    ListRanges,
    NewRange,
    OneRange,
    RangeDone,
    RangeList,
    RangeRemoved,
    RangeView,
)
from gongfu.identify.management.write_problems import batch_problem, outcome_problem
from gongfu.identify.ranges.pattern import RangeError
from gongfu.identify.service.deciding import Refused
from gongfu.identify.service.figures import RangeFigures
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import BatchError, Outcome
from gongfu.kernel.errors import Problem, invalid, not_found
from gongfu.kernel.permissions import Subject


class Ranges:
    """Use cases, on the event loop."""

    def __init__(self, identifiers: Identifiers, classes: Classes) -> None:
        """Make it."""
        self._identifiers = identifiers
        self._classes = classes

    def page(self, wish: ListRanges) -> RangeList:
        """Return ranges of a prefix, or of all, by prefix and pattern.

        Raises:
            Problem: 404: there is no such prefix.
        """
        space = self._identifiers.namespace
        if wish.prefix:
            known = space.find_prefix(wish.prefix)
            if known is None:
                raise not_found(f"prefix {wish.prefix[:80]}")
            names: Sequence[str] = [known.name]
        else:
            names = [prefix.name for _, prefix in sorted(space.prefixes.items())]
        found: list[RangeView] = []
        place = 0
        for name in names:
            ranges = self._identifiers.ranges(name)
            if place + len(ranges) <= wish.after:
                place += len(ranges)
                continue
            for one in ranges:
                place += 1
                if place <= wish.after:
                    continue
                if len(found) == wish.limit:
                    return RangeList(found, place - 1)
                found.append(_view(name, one))
        return RangeList(found, None)

    async def define(self, subject: Subject, new: NewRange) -> RangeDone:
        """Register a range.

        Raises:
            Problem: 400, 404, 409: nothing was registered.
        """
        if (new.class_number is None) == (not new.template):
            raise invalid("give class, or template and attributes, and not both")
        number = new.class_number
        if number is None:
            made = await self._classes.create(subject, NewClass(new.template, new.attributes, new.title or new.range))
            number = made.number
        try:
            done = await self._identifiers.define_range(new.prefix, new.range, number, move=new.move)
        except (RangeError, Refused, BatchError) as error:
            raise _problem(error, new.prefix) from None
        return RangeDone(done.new, done.present, done.moved, number)

    async def remove(self, one: OneRange) -> RangeRemoved:
        """Remove members of ranges; records of their own stay.

        Raises:
            Problem: 400, 404, 409.
        """
        try:
            return RangeRemoved(await self._identifiers.remove_range(one.prefix, one.range))
        except (RangeError, Refused, BatchError) as error:
            raise _problem(error, one.prefix) from None


def _problem(error: RangeError | Refused | BatchError, prefix: str) -> Problem:
    if isinstance(error, BatchError):
        return batch_problem(error)
    if isinstance(error, RangeError):
        return Problem(400, error.reason.value, "The range is refused", str(error).removeprefix(f"{error.reason}: "))
    problem = outcome_problem(prefix, Outcome(error.code, str(error)))
    assert problem is not None
    return problem


def _view(prefix: str, one: RangeFigures) -> RangeView:
    pattern, span = one.pattern, one.span
    first, last = (f"{number:0{pattern.width}d}" for number in (span.first, span.last))
    return RangeView(
        prefix,
        f"{pattern.head}{{{'#' * pattern.width}}}{pattern.tail}",
        f"{pattern.head}{{{first}..{last}}}{pattern.tail}",
        pattern.suffix(span.first),
        pattern.suffix(span.last),
        one.registered,
        one.holes,
        one.overrides,
        {str(of): count for of, count in one.classes.items()},
    )
