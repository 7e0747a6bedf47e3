"""Models for property tests: all that the common subset of the formats can hold."""

from typing import Any

from hypothesis import strategies as st

from gongfu.thing.types import Event, Field, Model, Property, Relation, Service, Titles, Validation

UNITS = ("", "Cel", "m3/h", "bar", "%", "/min")
POLICIES = ("reject", "uncertain", "accept")

_LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\ufffe\uffff")
names = st.text(_LETTERS, min_size=1, max_size=40).filter(lambda text: text == text.strip())
model_names = names.filter(lambda text: not set(text) & set("@/:"))
texts = st.text(st.one_of(st.sampled_from("\t\n\r泵"), _LETTERS), max_size=60)
titles = st.builds(Titles, zh=st.text(_LETTERS, max_size=128), en=st.text(_LETTERS, max_size=40))
doubles = st.floats(-1e300, 1e300, allow_nan=False).map(lambda number: number + 0.0)
integers = st.integers(-(2**63), 2**63 - 1)


@st.composite
def bounds(draw: Any, data_type: str) -> tuple[Any, Any]:
    if data_type not in ("double", "int64"):
        return None, None
    numbers = integers if data_type == "int64" else st.one_of(doubles, st.integers(-(2**53), 2**53))
    low, high = draw(st.none() | numbers), draw(st.none() | numbers)
    return (high, low) if low is not None and high is not None and low > high else (low, high)


@st.composite
def fields(draw: Any) -> Field:
    data_type = draw(st.sampled_from(["double", "int64", "boolean", "string", "json"]))
    low, high = draw(bounds(data_type))
    number = data_type in ("double", "int64")
    return Field(data_type, draw(st.sampled_from(UNITS)) if number else "", low, high, draw(st.booleans()), draw(texts))


@st.composite
def properties(draw: Any) -> Property:
    data_type = draw(st.sampled_from(["double", "int64", "boolean", "string", "json"]))
    low, high = draw(bounds(data_type))
    number = data_type in ("double", "int64")
    kinds = {"double": doubles, "int64": integers, "string": texts}
    choices = draw(st.lists(kinds[data_type], max_size=4, unique=True)) if data_type in kinds else []
    return Property(
        data_type=data_type,
        unit=draw(st.sampled_from(UNITS)) if number else "",
        minimum=low,
        maximum=high,
        max_length=draw(st.none() | st.integers(0, 10**6)) if data_type == "string" else None,
        choices=tuple(choices),
        deadband=draw(st.just(0.0) | st.floats(1e-9, 1e9)) if number else 0.0,
        writable=draw(st.booleans()),
        required=draw(st.booleans()),
        on_violation=draw(st.none() | st.sampled_from(POLICIES)),
        titles=draw(titles),
        description=draw(texts),
        semantic=draw(st.just("") | st.just("0173-1#02-AAB713#005") | names),
    )


def _some(items: Any) -> Any:
    return st.dictionaries(names, items, max_size=3)


events = st.builds(
    Event,
    severity=st.sampled_from(["info", "warning", "alarm", "fault"]),
    fields=_some(fields()),
    titles=titles,
    description=texts,
)
services = st.builds(
    Service,
    input=_some(fields()),
    output=_some(fields()),
    asynchronous=st.booleans(),
    titles=titles,
    description=texts,
)
relations = st.builds(Relation, target=st.just("") | model_names, many=st.booleans(), titles=titles, description=texts)
models = st.builds(
    Model,
    name=model_names,
    abstract=st.booleans(),
    titles=titles,
    description=texts,
    identifier=st.just("") | st.just("urn:uuid:0804d572-cce8-422a-bb7c-4412fcd56f06"),
    properties=_some(properties()),
    events=_some(events),
    services=_some(services),
    relations=_some(relations),
    validation=st.builds(
        Validation, range=st.sampled_from(POLICIES), type=st.sampled_from(POLICIES), unknown=st.sampled_from(POLICIES)
    ),
)
