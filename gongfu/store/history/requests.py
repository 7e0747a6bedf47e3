"""What a series query asks for, checked: from the words of a request to numbers. Pure."""

import difflib
from dataclasses import dataclass

from gongfu.kernel.aggregates.types import FOR_TEXT, AggregateConfiguration, AggregateFunction
from gongfu.kernel.errors import invalid
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, MILLISECOND, SECOND, parse_rfc3339
from gongfu.store.history.documents import SeriesQuery
from gongfu.store.history.types import Aggregate, Order

DEFAULT_LIMIT = 10_000
MAX_LIMIT = 1_000_000
# All series of one answer together; the limit of each is cut to its share.
MAX_POINTS = 2_000_000
MAX_STEP_SECONDS = 10 * 366 * 86_400
MAX_TIMES = 10_000

_FUNCTIONS = {function.value.lower(): function for function in AggregateFunction}
_SIMPLE = {how.value: how for how in Aggregate}
_HELD = frozenset({ValueType.BOOLEAN, ValueType.STRING, ValueType.JSON})
TEXT = frozenset({ValueType.STRING, ValueType.JSON})


@dataclass(frozen=True, slots=True)
class GapRule:
    """Which silences count as gaps: longer than ``longer_than`` ns, or ``times_usual`` times the usual interval."""

    longer_than: int | None
    times_usual: float | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked request. Times and steps are ns; ``how`` and ``function`` are never both set."""

    time_from: int
    time_to: int
    order: Order
    limit: int
    how: Aggregate | None
    function: AggregateFunction | None
    step: int
    good_only: bool
    as_of: int | None
    at: tuple[int, ...]
    stepped: bool | None
    configuration: AggregateConfiguration
    gaps: GapRule | None

    def configuration_for(self, value_type: ValueType) -> AggregateConfiguration:
        """Return the aggregate configuration for a type of values.

        Raises:
            Problem: 400 when lines between values of the type were asked for.
        """
        if value_type in _HELD and self.stepped is False:
            raise invalid(f"{value_type.label} values lie on no line: leave stepped out, or true")
        stepped = value_type in _HELD if self.stepped is None else self.stepped
        given = self.configuration
        return AggregateConfiguration(
            given.treat_uncertain_as_bad,
            given.percent_data_bad,
            given.percent_data_good,
            given.use_sloped_extrapolation,
            stepped,
        )

    def check_type(self, value_type: ValueType) -> None:
        """Check that what is asked is defined for a type.

        Raises:
            Problem: 400.
        """
        if self.function is not None and value_type in TEXT and self.function not in FOR_TEXT:
            known = ", ".join(sorted(FOR_TEXT))
            raise invalid(f"{self.function} is not defined for {value_type.label} points; these are: {known}")


def moment_of(value: str | int, name: str) -> int:
    """Return UTC ns of an RFC 3339 time or of milliseconds since 1970.

    Raises:
        Problem: 400.
    """
    if isinstance(value, int):
        if not 0 <= value <= MAX_NS // MILLISECOND:
            raise invalid(f"{name} must be milliseconds since 1970, at most {MAX_NS // MILLISECOND}")
        return value * MILLISECOND
    try:
        return parse_rfc3339(value)
    except ValueError as error:
        raise invalid(f"{name}: {str(error)[:200]}") from None


def aggregate_named(name: str) -> Aggregate | AggregateFunction:
    """Return an aggregate by its name: of Gongfu in lower case, or of OPC UA as the standard writes it.

    Raises:
        Problem: 400 with the names that come nearest.
    """
    if name in _SIMPLE:
        return _SIMPLE[name]
    plain = name.replace("_", "").replace("-", "").lower()
    if name in _FUNCTIONS.values():
        return AggregateFunction(name)
    near = difflib.get_close_matches(plain, [*_SIMPLE, *_FUNCTIONS], n=3, cutoff=0.5)
    shown = [_SIMPLE[one].value if one in _SIMPLE else _FUNCTIONS[one].value for one in near]
    hint = f"did you mean {' or '.join(shown)}?" if shown else f"there are {', '.join(_SIMPLE)} and those of OPC UA"
    raise invalid(f"there is no aggregate {name[:60]!r}; {hint}", did_you_mean=shown)


def wanted(request: SeriesQuery, n: int, now: int) -> Wanted:
    """Check a request for ``n`` series at a present time (UTC ns) and return what it asks.

    Raises:
        Problem: 400 that says what would be right.
    """
    chosen = None if request.aggregate is None else aggregate_named(request.aggregate)
    if (chosen is None) != (request.step is None):
        raise invalid("aggregate and step go together: step is the length of an interval in seconds")
    step = request.step or 0.0
    if chosen is not None and not 1e-9 <= step <= MAX_STEP_SECONDS:
        raise invalid(f"step must be 1e-9 to {MAX_STEP_SECONDS} seconds, not {step}")
    limit = DEFAULT_LIMIT if request.limit is None else request.limit
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid(f"limit must be 1 to {MAX_LIMIT}")
    function = chosen if isinstance(chosen, AggregateFunction) else None
    if request.start is None and not request.at:
        raise invalid("from is missing: the first time to read")
    time_from = 0 if request.start is None else moment_of(request.start, "from")
    open_end = now if function is not None else MAX_NS
    time_to = open_end if request.to is None else moment_of(request.to, "to")
    if time_to < time_from:
        raise invalid("to must not be before from: swap them")
    step_ns = max(1, round(step * SECOND))
    share = min(limit, max(1, MAX_POINTS // n))
    if function is not None:
        _check_intervals(time_from, time_to, step_ns, share)
    good_only = request.quality == "good" if request.quality else isinstance(chosen, Aggregate)
    return Wanted(
        time_from,
        time_to,
        Order(request.order),
        share,
        chosen if isinstance(chosen, Aggregate) else None,
        function,
        step_ns,
        good_only,
        None if request.as_of is None else moment_of(request.as_of, "as_of"),
        _times(request, chosen is not None),
        request.stepped,
        _configuration(request),
        _gap_rule(request),
    )


def _check_intervals(time_from: int, time_to: int, step: int, limit: int) -> None:
    if time_to <= time_from:
        raise invalid("from and to must differ: OPC UA gives no interval of no length")
    intervals = -(-(time_to - time_from) // step)
    if intervals > limit:
        needed = -(-(time_to - time_from) // limit) / SECOND
        raise invalid(
            f"{intervals} intervals of a series are more than {limit}: take a step of {needed:.9g} s or more, "
            f"a shorter range, or a greater limit (at most {MAX_LIMIT})",
            intervals=intervals,
            limit=limit,
        )


def _times(request: SeriesQuery, aggregated: bool) -> tuple[int, ...]:
    if not request.at:
        return ()
    if aggregated:
        raise invalid("at and aggregate exclude each other: at reads interpolated values at single times")
    if len(request.at) > MAX_TIMES:
        raise invalid(f"at has {len(request.at)} times, at most {MAX_TIMES} can be asked for")
    return tuple(moment_of(one, "at") for one in request.at)


def _configuration(request: SeriesQuery) -> AggregateConfiguration:
    for name, value in (
        ("percent_data_bad", request.percent_data_bad),
        ("percent_data_good", request.percent_data_good),
    ):
        if not 0 <= value <= 100:
            raise invalid(f"{name} must be 0 to 100 percent, not {value}")
    return AggregateConfiguration(
        request.treat_uncertain_as_bad,
        request.percent_data_bad,
        request.percent_data_good,
        request.use_sloped_extrapolation,
    )


def _gap_rule(request: SeriesQuery) -> GapRule | None:
    given = request.gaps
    if given is None:
        return None
    if given.longer_than is None and given.times_usual is None:
        raise invalid("gaps needs longer_than (seconds) or times_usual (a factor, such as 5), or both")
    if given.longer_than is not None and not 0 < given.longer_than <= MAX_STEP_SECONDS:
        raise invalid(f"gaps.longer_than must be more than 0 and at most {MAX_STEP_SECONDS} seconds")
    if given.times_usual is not None and not 1 <= given.times_usual <= 1e6:
        raise invalid("gaps.times_usual must be 1 to 1000000")
    longer = None if given.longer_than is None else max(1, round(given.longer_than * SECOND))
    return GapRule(longer, given.times_usual)
