"""Queries: parameters made into criteria, and events judged by them. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.findings import Finding
from gongfu.identify.epcis.query_rules import CONTROLS, Parameter, parameter
from gongfu.identify.epcis.query_rules import query as check_query
from gongfu.identify.epcis.query_values import NUMBER_FIELDS, TIME_FIELDS, values_of
from gongfu.identify.epcis.things import canonical, covers, pattern
from gongfu.identify.epcis.uris import Namespaces, time_ns
from gongfu.identify.epcis.vocabulary import term

_TERMS = {
    "bizStep": "bizStep",
    "disposition": "disposition",
    "set": "disposition",
    "unset": "disposition",
    "reason": "reason",
}
_THINGS = frozenset(
    [
        "readPoint",
        "bizLocation",
        "bizTransaction",
        "source",
        "destination",
        "deviceID",
        "microorganism",
        "chemicalSubstance",
    ]
)


class MasterData:
    """What is known of locations and other names besides events: attributes, and what lies below them."""

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return attributes of a name by their URIs."""
        return {}

    def below(self, name: str) -> set[str]:
        """Return the names below it in the hierarchy of locations, itself included."""
        return {name}


class Criterion(NamedTuple):
    """One parameter with its values, ready to be asked."""

    parameter: Parameter
    wanted: tuple[Any, ...]


class Query(NamedTuple):
    """A checked query.

    Attributes:
        criteria: all of which an event meets.
        order_by: ``eventTime``, ``recordTime``, ``quantity``, an extension's name, or "" for none in particular.
        descending: direction.
        limit: ``eventCountLimit``: no more than these.
        most: ``maxEventCount``: a result of more is an error.
        from_record, to_record: bounds of record time in nanoseconds, [from, to).
    """

    criteria: tuple[Criterion, ...] = ()
    order_by: str = ""
    descending: bool = True
    limit: int | None = None
    most: int | None = None
    from_record: int | None = None
    to_record: int | None = None


class QueryError(ValueError):
    """A definition is not one.

    Attributes:
        findings: where and why.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{path.lstrip('/') or 'query'}: {reason}" for path, reason, _ in findings[:10]))
        self.findings = findings


def parse_query(parameters: Mapping[str, Any], namespaces: Namespaces | None = None) -> Query:
    """Return the query of a definition.

    Args:
        parameters: by name, as in the JSON form.
        namespaces: that prefixes in names of extension fields stand for, besides those of its ``@context``.

    Raises:
        QueryError: it is not one.
    """
    definition = dict(parameters)
    if found := check_query(definition):
        raise QueryError(found)
    namespaces = (namespaces or Namespaces()).within(definition.get("@context"))
    criteria = list[Criterion]()
    from_record: int | None = None
    to_record: int | None = None
    for name, value in definition.items():
        if name in CONTROLS:
            continue
        known = parameter(name)
        assert known is not None
        asked = known[0]
        if asked.field == "recordTime":
            # Record times are the order of storing: bounds of them are kept apart.
            if asked.operator == "GE":
                from_record = time_ns(value)
            else:
                to_record = time_ns(value)
            continue
        if asked.extension:
            asked = asked._replace(field=namespaces.expanded(asked.field))
        elif asked.detail and asked.field in _PARTY_TERMS:
            asked = asked._replace(detail=namespaces.expanded(term(_PARTY_TERMS[asked.field], asked.detail)))
        elif asked.operator == "EQATTR":
            asked = asked._replace(detail=namespaces.expanded(asked.detail))
        criteria.append(Criterion(asked, _wanted(asked, value, namespaces)))
    order_by = definition.get("orderBy", "")
    if order_by not in ("", "eventTime", "recordTime", "quantity"):
        order_by = namespaces.expanded(order_by)
    return Query(
        tuple(criteria),
        order_by,
        definition.get("orderDirection", "DESC") == "DESC",
        definition.get("eventCountLimit"),
        definition.get("maxEventCount"),
        from_record,
        to_record,
    )


_PARTY_TERMS = {"bizTransaction": "bizTransactionType", "source": "partyType", "destination": "partyType"}


def _wanted(asked: Parameter, value: Any, namespaces: Namespaces) -> tuple[Any, ...]:
    values = value if isinstance(value, list) else [value]
    if asked.operator == "MATCH":
        return tuple(pattern(namespaces.expanded(uri)) for uri in values)
    if asked.operator in ("GT", "GE", "LT", "LE"):
        return tuple(time_ns(item) if isinstance(item, str) else item for item in values)
    if asked.operator in ("EXISTS", "HASATTR", "EQATTR"):
        return tuple(namespaces.expanded(item) if asked.operator == "HASATTR" else item for item in values)
    if asked.extension:
        return tuple(values)
    if asked.place == "sensorReport" and asked.field == "type":
        return tuple(namespaces.expanded(term("measurementType", item)) for item in values)
    if asked.field in _TERMS:
        return tuple(namespaces.expanded(term(_TERMS[asked.field], item)) for item in values)
    if asked.field in _THINGS:
        return tuple(canonical(namespaces.expanded(item)) for item in values)
    return tuple(values)


def matches(query: Query, facts: Facts, master: MasterData | None = None) -> bool:
    """Tell whether an event meets all criteria but those of record time, which whoever stores it knows."""
    return all(_meets(criterion, facts, master) for criterion in query.criteria)


def _meets(criterion: Criterion, facts: Facts, master: MasterData | None) -> bool:
    asked, wanted = criterion
    operator = asked.operator
    found = values_of(asked, facts)
    if operator == "EXISTS":
        return any(True for _ in found)
    if operator == "MATCH":
        return any(thing == key or (below and covers(key, thing)) for thing in found for key, below in wanted)
    if operator == "WD":
        return any(_within(place, name, master) for place in found for name in wanted)
    if operator == "HASATTR":
        return master is not None and any(name in master.attributes(item) for item in found for name in wanted)
    if operator == "EQATTR":
        return master is not None and any(
            str(master.attributes(item).get(asked.detail)) in wanted for item in found if master.attributes(item)
        )
    if operator == "EQ":
        return _equal(asked, found, wanted)
    return _compared(operator, asked, found, wanted[0])


def _within(place: str, name: str, master: MasterData | None) -> bool:
    wanted = canonical(name)
    if place == wanted or (place.startswith(wanted + "/254/") and "/414/" in wanted):
        return True
    return master is not None and place in master.below(wanted)


def _equal(asked: Parameter, found: Iterable[Any], wanted: tuple[Any, ...]) -> bool:
    if not asked.extension:
        return any(
            item in wanted and not (isinstance(item, bool) and not any(isinstance(want, bool) for want in wanted))
            for item in found
        )
    # Extensions have no types: 5, "5" and "5.0" are equal, and so are two ways to write one moment.
    for item in found:
        for want in wanted:
            if item == want or str(item) == str(want):
                return True
            number = _number(item)
            if number is not None and number == _number(want):
                return True
            if not isinstance(want, str):
                continue
            moment = _moment(item)
            if moment is not None and moment == _moment(want):
                return True
    return False


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "GT": lambda a, b: a > b,
    "GE": lambda a, b: a >= b,
    "LT": lambda a, b: a < b,
    "LE": lambda a, b: a <= b,
}


def _compared(operator: str, asked: Parameter, found: Iterable[Any], bound: Any) -> bool:
    compare = _COMPARE[operator]
    if asked.field in TIME_FIELDS and not asked.extension:
        return any(compare(moment, bound) for item in found if (moment := _moment(item)) is not None)
    if asked.field in NUMBER_FIELDS and not asked.extension:
        return any(compare(number, bound) for item in found if (number := _number(item)) is not None)
    # The bound's own type says which of an extension's values are meant; times are whole nanoseconds, far above.
    as_time = isinstance(bound, int) and abs(bound) > _TIMES_FROM
    for item in found:
        moment = _moment(item) if as_time else None
        number = moment if moment is not None else _number(item)
        if number is not None and compare(number, bound):
            return True
    return False


_TIMES_FROM = 10**13


def _moment(item: Any) -> int | None:
    if isinstance(item, str):
        try:
            return time_ns(item)
        except ValueError:
            return None
    return item if isinstance(item, int) and not isinstance(item, bool) else None


def _number(item: Any) -> float | None:
    if isinstance(item, bool):
        return None
    if isinstance(item, int | float):
        return item
    try:
        number = float(item)
    except (TypeError, ValueError):
        return None
    return number if number == number and number not in (float("inf"), float("-inf")) else None
