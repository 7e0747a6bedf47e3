"""The JSON Schema of a kind's payload, compiled to a msgspec type that does the checking.

A subset of JSON Schema 2020-12, and honestly so: a keyword that is not understood is an error when the kind is
declared, never ignored when an order arrives. Two things are stricter than the standard: an integer is written without
a fraction (``1``, not ``1.0``), and a pattern is Python's regular expression, so declare patterns you trust.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

_ANNOTATIONS = {"title", "description", "default", "examples", "$schema", "$comment", "$defs"}
_KEYWORDS: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set(),
    "null": set(),
}
_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
}
_PLAIN_TYPES: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": NoneType}
_REFERENCE = "#/$defs/"


class SchemaError(ValueError):
    """A schema that is not of the subset. ``pointer`` is the place (RFC 6901)."""

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(f"{pointer or '/'}: {message}")
        self.pointer = pointer


class PayloadType:
    """A compiled schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile a schema whose root is an object.

        Raises:
            SchemaError: it uses what the subset has not.
        """
        self._definitions: Mapping[str, Any] = _mapping(schema.get("$defs", {}), "/$defs")
        compiled = self._compile(schema, "", ())
        if _followed_type(schema, self._definitions) != "object":
            raise SchemaError("a payload is an object", "/type")
        try:
            self._decoder = msgspec.json.Decoder(compiled)
        except (TypeError, ValueError) as error:
            raise SchemaError(str(error), "") from None

    def error(self, payload: bytes) -> str:
        """Return what is wrong with a payload, and where; "" when it is right."""
        try:
            payload.decode()  # msgspec does not look at the text of what it skips.
            self._decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return str(error)
        return ""

    def _compile(self, schema: object, pointer: str, within: tuple[str, ...]) -> Any:
        node = _mapping(schema, pointer)
        if "$ref" in node:
            return self._reference(node, pointer, within)
        if "enum" in node or "const" in node:
            return _choices(node, pointer)
        if "anyOf" in node:
            return self._nullable(node, pointer, within)
        declared = node.get("type")
        if isinstance(declared, list):
            return self._types(node, cast("list[object]", declared), pointer, within)
        if not isinstance(declared, str) or declared not in _KEYWORDS:
            raise SchemaError(f"type must be one of {', '.join(_KEYWORDS)}", f"{pointer}/type")
        _only(node, {"type"} | _KEYWORDS[declared], pointer)
        if declared == "object":
            return self._object(node, pointer, within)
        base = _PLAIN_TYPES.get(declared)
        if declared == "array":
            base = list[self._compile(node["items"], f"{pointer}/items", within)] if "items" in node else list[Any]
        return _bounded(base, node, pointer)

    def _types(self, node: Mapping[str, Any], declared: list[object], pointer: str, within: tuple[str, ...]) -> Any:
        others = [name for name in declared if name != "null"]
        if len(declared) != 2 or len(others) != 1:
            raise SchemaError('of several types only one and "null" are supported', f"{pointer}/type")
        return self._compile({**node, "type": others[0]}, pointer, within) | NoneType

    def _nullable(self, node: Mapping[str, Any], pointer: str, within: tuple[str, ...]) -> Any:
        _only(node, {"anyOf"}, pointer)
        options = node["anyOf"]
        others = [option for option in options if option != {"type": "null"}] if isinstance(options, list) else []
        if len(others) != 1 or len(options) != 2:
            raise SchemaError('anyOf is supported for one schema and {"type": "null"}', f"{pointer}/anyOf")
        return self._compile(others[0], f"{pointer}/anyOf", within) | NoneType

    def _reference(self, node: Mapping[str, Any], pointer: str, within: tuple[str, ...]) -> Any:
        _only(node, {"$ref"}, pointer)
        name = _reference_name(node["$ref"], self._definitions, pointer)
        if name in within:
            raise SchemaError("a schema that contains itself", f"{pointer}/$ref")
        return self._compile(self._definitions[name], f"/$defs/{name}", (*within, name))

    def _object(self, node: Mapping[str, Any], pointer: str, within: tuple[str, ...]) -> Any:
        properties = _mapping(node.get("properties", {}), f"{pointer}/properties")
        required = node.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in cast("list[object]", required)):
            raise SchemaError("a list of names", f"{pointer}/required")
        others = node.get("additionalProperties", True)
        if others is False and not properties.keys() >= set(cast("list[str]", required)):
            raise SchemaError("a property that is required is not among those allowed", f"{pointer}/required")
        if not isinstance(others, bool):
            if properties or required:
                raise SchemaError(
                    "a schema is supported where there are no properties", f"{pointer}/additionalProperties"
                )
            return dict[str, self._compile(others, f"{pointer}/additionalProperties", within)]
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        names: dict[str, str] = {}
        for name in dict.fromkeys([*properties, *cast("list[str]", required)]):
            field = f"f{len(names)}"
            names[field] = name
            kind = (
                self._compile(properties[name], f"{pointer}/properties/{name}", within) if name in properties else Any
            )
            optional = kind if kind is Any else kind | UnsetType
            fields.append((field, kind) if name in required else (field, optional, UNSET))
        try:
            return msgspec.defstruct(
                "Payload", fields, rename=names, forbid_unknown_fields=not others, kw_only=True, frozen=True
            )
        except (TypeError, ValueError) as error:
            raise SchemaError(str(error), f"{pointer}/properties") from None


@lru_cache(maxsize=1024)
def compiled(schema: bytes) -> PayloadType:
    """Return the compiled schema of its JSON text; the same text is compiled once.

    Raises:
        SchemaError: it uses what the subset has not.
        msgspec.DecodeError: not a JSON object.
    """
    return PayloadType(msgspec.json.decode(schema, type=dict[str, Any]))


def _mapping(value: object, pointer: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SchemaError("an object is needed", pointer)
    return cast("Mapping[str, Any]", value)


def _only(node: Mapping[str, Any], allowed: set[str], pointer: str) -> None:
    for name in node:
        if name not in allowed and name not in _ANNOTATIONS:
            raise SchemaError("this keyword is not supported here", f"{pointer}/{name}")


def _reference_name(reference: object, definitions: Mapping[str, Any], pointer: str) -> str:
    if not isinstance(reference, str) or not reference.startswith(_REFERENCE):
        raise SchemaError("only #/$defs/<name> is supported", f"{pointer}/$ref")
    name = reference[len(_REFERENCE) :]
    if name not in definitions:
        raise SchemaError("there is no such definition", f"{pointer}/$ref")
    return name


def _followed_type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> object:
    """Return the type at the end of the references of a schema that has been compiled, so they do end."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"][len(_REFERENCE) :]]
    return schema.get("type")


def _choices(node: Mapping[str, Any], pointer: str) -> Any:
    keyword = "enum" if "enum" in node else "const"
    _only(node, {keyword, "type"}, pointer)
    values: object = node["enum"] if keyword == "enum" else [node["const"]]
    if not isinstance(values, list) or not values:
        raise SchemaError("a list of values is needed", f"{pointer}/{keyword}")
    expected = {"string": str, "integer": int}.get(str(node.get("type", "")))
    if node.get("type") is not None and expected is None:
        raise SchemaError("values may be strings or integers", f"{pointer}/type")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, expected or (str, int)):
            raise SchemaError("values are strings or integers, of the type declared", f"{pointer}/{keyword}")
    return cast("Any", Literal)[tuple(values)]


def _bounded(base: Any, node: Mapping[str, Any], pointer: str) -> Any:
    bounds: dict[str, Any] = {}
    for keyword, name in _BOUNDS.items():
        value = node.get(keyword)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SchemaError("a number is needed", f"{pointer}/{keyword}")
        bounds[name] = value
    if "pattern" in node:
        try:
            re.compile(node["pattern"])
        except (re.error, TypeError) as error:
            raise SchemaError(f"not a regular expression: {error}", f"{pointer}/pattern") from None
        bounds["pattern"] = node["pattern"]
    if not bounds:
        return base
    try:
        return Annotated[base, Meta(**bounds)]
    except (TypeError, ValueError) as error:
        raise SchemaError(str(error), pointer) from None
