"""The manifest of a driver: read from ``manifest.toml`` beside it; options are checked against its JSON Schema."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gongfu.connect.kit.types import Address, Manifest


class ManifestError(Exception):
    """The manifest of a driver cannot be used."""


class OptionsError(ValueError):
    """Options that a driver does not take; the text names the option and what would be right."""


def load_manifest(file: Path) -> Manifest:
    """Return the manifest in a TOML file.

    Raises:
        ManifestError: it is not there or not valid.
    """
    try:
        manifest = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Manifest)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ManifestError(f"{file}: {error}") from None
    if not manifest.protocol or not manifest.schemes or {"zh", "en"} - set(manifest.title):
        raise ManifestError(f"{file}: protocol, schemes and a title in zh and en are needed")
    return manifest


def check_options(manifest: Manifest, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with defaults filled in.

    Raises:
        OptionsError: one does not fit the schema; the text says which and why.
    """
    # Imported here: only who writes a connection or starts one needs it, and it takes 60 ms.
    from jsonschema import Draft202012Validator

    schema = {"type": "object", "additionalProperties": False, **manifest.options_schema}
    properties: Mapping[str, Any] = schema.get("properties", {})
    for error in sorted(Draft202012Validator(schema).iter_errors(dict(given)), key=lambda e: list(map(str, e.path))):
        place = ".".join(map(str, error.path))
        words = error.message if "writeOnly" not in error.schema else "does not fit"  # pyright: ignore[reportOperatorIssue]
        known = f"; known are {', '.join(sorted(properties))}" if error.validator == "additionalProperties" else ""
        raise OptionsError(f"{f'option {place}: ' if place else 'options: '}{words}{known}")
    defaults = {name: part["default"] for name, part in properties.items() if "default" in part}
    return {**defaults, **given}


def secret_names(manifest: Manifest) -> frozenset[str]:
    """Return the names of options that are secrets: ``writeOnly`` in the schema."""
    properties: Mapping[str, Any] = manifest.options_schema.get("properties", {})
    return frozenset(name for name, part in properties.items() if part.get("writeOnly"))


def address_problems(address: Address) -> Iterator[str]:
    """Yield what is wrong with an address in general; what its ``where`` means only the driver knows."""
    if not 0.01 <= address.every <= 86_400:
        yield "every must be 0.01 to 86400 seconds"
    if address.scale == 0:
        yield "scale must not be 0"
    if address.deadband < 0 or address.swinging_door < 0:
        yield "deadband and swinging_door must not be negative"
    if address.deadband and address.swinging_door:
        yield "give deadband or swinging_door, not both: their errors would add up"
    if (address.deadband or address.swinging_door) and address.value_type not in ("double", "int64"):
        yield f"deadband and swinging_door are for numbers, not {address.value_type}"
