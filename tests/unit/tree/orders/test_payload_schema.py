import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.tree.orders.payload_schema import PayloadType, SchemaError

PORT = {"type": "integer", "minimum": 1, "maximum": 65535}


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({}, ["{}", '{"a":1}'], ["[]", "1", "{", ""]),
        ({"properties": {"port": PORT}, "required": ["port"]}, ['{"port":1}'], ["{}", '{"port":0}', '{"port":"1"}']),
        ({"properties": {"port": PORT}}, ["{}", '{"x":1}'], ['{"port":null}', '{"port":true}']),
        ({"properties": {"port": PORT}, "additionalProperties": False}, ["{}"], ['{"x":1}']),
        ({"required": ["any"]}, ['{"any":null}', '{"any":[1]}'], ["{}"]),
        ({"additionalProperties": PORT}, ["{}", '{"a":1,"b":2}'], ['{"a":0}']),
        ({"properties": {"a": {"enum": ["on", "off"]}}}, ['{"a":"on"}'], ['{"a":"On"}', '{"a":1}']),
        ({"properties": {"a": {"const": 1}}}, ['{"a":1}'], ['{"a":2}', '{"a":"1"}']),
        (
            {"properties": {"a": {"type": ["string", "null"], "maxLength": 2}}},
            ['{"a":null}', '{"a":"xy"}'],
            ['{"a":"xyz"}'],
        ),
        ({"properties": {"a": {"anyOf": [PORT, {"type": "null"}]}}}, ['{"a":null}', '{"a":7}'], ['{"a":0}']),
        (
            {"properties": {"a": {"type": "array", "items": PORT, "maxItems": 2}}},
            ['{"a":[]}'],
            ['{"a":[1,2,3]}', '{"a":[0]}'],
        ),
        ({"properties": {"a": {"type": "string", "pattern": "^a+$"}}}, ['{"a":"aa"}'], ['{"a":"ab"}']),
        ({"properties": {"a": {"$ref": "#/$defs/p"}}, "$defs": {"p": PORT}}, ['{"a":1}'], ['{"a":0}']),
        ({"properties": {"a": {"type": "null"}}}, ['{"a":null}', "{}"], ['{"a":0}']),
        ({"properties": {"a-b": {"type": "object", "required": ["x"]}}}, ['{"a-b":{"x":1}}'], ['{"a-b":{}}']),
    ],
)
def test_payloads(schema: dict[str, Any], right: list[str], wrong: list[str]) -> None:
    compiled = PayloadType({"type": "object", **schema})
    assert [compiled.error(payload.encode()) for payload in right] == [""] * len(right)
    assert [payload for payload in wrong if not compiled.error(payload.encode())] == []


def test_an_error_says_where_in_the_payload() -> None:
    compiled = PayloadType({"type": "object", "properties": {"ports": {"type": "array", "items": PORT}}})
    assert "`$.ports[1]`" in compiled.error(b'{"ports":[80,0]}')


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "array"}, "/type"),
        ({}, "/type"),
        ({"type": "object", "minProperties": 1}, "/minProperties"),
        ({"type": "object", "properties": {"a": {"type": "string", "format": "ipv4"}}}, "/properties/a/format"),
        ({"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 2}}}, "/properties/a/multipleOf"),
        ({"type": "object", "properties": {"a": {"type": "string", "minimum": 2}}}, "/properties/a/minimum"),
        ({"type": "object", "properties": {"a": {}}}, "/properties/a/type"),
        ({"type": "object", "properties": {"a": {"type": ["string", "integer"]}}}, "/properties/a/type"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}, "/properties/a/pattern"),
        ({"type": "object", "properties": {"a": {"type": "string", "maxLength": "2"}}}, "/properties/a/maxLength"),
        ({"type": "object", "properties": {"a": {"enum": []}}}, "/properties/a/enum"),
        ({"type": "object", "properties": {"a": {"enum": [True]}}}, "/properties/a/enum"),
        ({"type": "object", "properties": {"a": {"enum": ["x"], "type": "integer"}}}, "/properties/a/enum"),
        ({"type": "object", "properties": {"a": {"$ref": "http://x/y"}}}, "/properties/a/$ref"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}}, "/properties/a/$ref"),
        (
            {"$ref": "#/$defs/x", "$defs": {"x": {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}}}},
            "/$defs/x/properties/x/$ref",
        ),
        ({"$ref": "#/$defs/x", "$defs": {"x": PORT}}, "/type"),
        ({"type": "object", "properties": []}, "/properties"),
        ({"type": "object", "required": "a"}, "/required"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "/required"),
        ({"type": "object", "properties": {"a": PORT}, "additionalProperties": PORT}, "/additionalProperties"),
        ({"type": "object", "properties": {"a": {"anyOf": [PORT, PORT]}}}, "/properties/a/anyOf"),
        ({"type": "object", "properties": {'a"b': PORT}}, "/properties"),
    ],
)
def test_what_is_not_understood_is_an_error_when_declared(schema: dict[str, Any], pointer: str) -> None:
    with pytest.raises(SchemaError) as error:
        PayloadType(schema)
    assert error.value.pointer == pointer


class Endpoint(msgspec.Struct):
    address: str
    port: int | None = None


class Block(msgspec.Struct):
    endpoints: list[Endpoint]
    why: str = ""


def test_the_schema_that_msgspec_writes_for_a_struct_is_understood() -> None:
    compiled = PayloadType(msgspec.json.schema(Block))
    assert compiled.error(b'{"endpoints":[{"address":"192.0.2.1","port":null}]}') == ""
    assert compiled.error(b'{"endpoints":[{"port":1}]}') != ""


names = st.sampled_from(["a", "b", "c"])
strings = st.builds(
    lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
    st.integers(0, 2),
    st.integers(0, 2),
)
integers = st.builds(
    lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, st.integers(-2, 2), st.integers(0, 3)
)
numbers = st.builds(lambda low: {"type": "number", "exclusiveMinimum": low, "maximum": low + 2}, st.integers(-2, 2))
leaves = st.one_of(
    strings,
    integers,
    numbers,
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"enum": ["x", 1]}, {"type": ["integer", "null"]}, {"const": "x"}]
    ),
)


def _objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda properties, required, others: {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": others,
        },
        st.dictionaries(names, inner, max_size=3),
        st.lists(names, unique=True, max_size=2),
        st.booleans(),
    )


schemas = _objects(
    st.recursive(
        leaves,
        lambda inner: st.one_of(
            _objects(inner), st.builds(lambda items: {"type": "array", "items": items, "maxItems": 2}, inner)
        ),
        max_leaves=4,
    )
)
# Without fractions that are whole: there we are stricter on purpose.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-4, 6),
    st.sampled_from([0.5, -1.5, 2.25]),
    st.text("xy帶\U0001f600", max_size=4),
)
values = st.dictionaries(
    names,
    st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
        max_leaves=4,
    ),
    max_size=3,
)


def satisfiable(schema: dict[str, Any]) -> bool:
    """Whether no object of the schema must have a property that it must not have: we refuse such a schema."""
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False and not properties.keys() >= set(schema["required"]):
        return False
    return all(satisfiable(inner) for inner in [*properties.values(), *filter(None, [schema.get("items")])])


@given(schemas, values)
def test_the_same_payloads_are_right_as_for_jsonschema(schema: dict[str, Any], value: dict[str, Any]) -> None:
    theirs = jsonschema.Draft202012Validator(schema).is_valid(value)
    if not satisfiable(schema):
        with pytest.raises(SchemaError, match="required"):
            PayloadType(schema)
        return
    compiled = PayloadType(schema)
    assert (compiled.error(json.dumps(value).encode()) == "") is theirs


@pytest.mark.parametrize("payload", [b'{"a":"\xb0"}', b'{"a":' + b"[" * 100_000, b"\xff"])
def test_bytes_that_are_no_json_are_an_error_not_an_exception(payload: bytes) -> None:
    assert PayloadType({"type": "object"}).error(payload) != ""
