"""Query parameters as they stand in a URL, and the headers that say what a client wants."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from gongfu.identify.epcis.query_rules import CONTROLS, MAX_PER_PAGE, Parameter, parameter
from gongfu.identify.epcis.query_values import NUMBER_FIELDS
from gongfu.identify.epcis.rest.problems import EpcisProblem, Kind
from gongfu.identify.epcis.uris import Namespaces, time_ns

PER_PAGE = 30
_COUNTS = ("eventCountLimit", "maxEventCount", "perPage")
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)*", re.ASCII)
_EXTENSION = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*([^\s,;]+)\s*")
_MAX_PARAMETERS = 200
_OUR_VERSION = (2, 0)


def pairs(query: str) -> list[tuple[str, str]]:
    """Return names and values of a URL's query; ``+`` means itself, as in times with a zone."""
    parts = [part for part in query.split("&") if part]
    if len(parts) > _MAX_PARAMETERS:
        raise EpcisProblem(Kind.PARAMETER, 400, f"more than {_MAX_PARAMETERS} parameters")
    found = list[tuple[str, str]]()
    for part in parts:
        name, _, value = part.partition("=")
        try:
            found.append((unquote(name, errors="strict"), unquote(value, errors="strict")))
        except UnicodeDecodeError:
            raise EpcisProblem(Kind.PARAMETER, 400, f"{name[:40]}: not UTF-8") from None
    return found


def definition(query: str) -> dict[str, Any]:
    """Return the query parameters of a URL as a definition in the JSON form.

    A list's values are separated by ``|`` or given by repeating the name.

    Raises:
        EpcisProblem: a value cannot be read; whether it is allowed is checked with the definition.
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs(query):
        given.setdefault(name, []).append(value)
    found: dict[str, Any] = {}
    for name, values in given.items():
        known = parameter(name)
        if name in CONTROLS or known is None:
            found[name] = _count(name, values[0]) if name in _COUNTS else values[0]
        else:
            found[name] = _value(name, known[0], values)
    return found


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise EpcisProblem(Kind.PARAMETER, 400, f"{name}: {text[:40]!r} is not a whole number")
    return int(text)


def _value(name: str, asked: Parameter, values: list[str]) -> Any:
    if asked.operator == "EXISTS":
        return None
    if asked.operator in ("GT", "GE", "LT", "LE"):
        if len(values) > 1:
            raise EpcisProblem(Kind.PARAMETER, 400, f"{name} is given twice")
        number = _number(values[0])
        return values[0] if number is None else number
    listed = [item for value in values for item in value.split("|")]
    if asked.extension:
        return listed
    if asked.field == "booleanValue":
        return {"true": True, "false": False}.get(listed[0].lower(), listed[0])
    if asked.field in NUMBER_FIELDS:
        numbers = [_number(item) for item in listed]
        return [item if number is None else number for item, number in zip(listed, numbers, strict=True)]
    return listed


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None


def per_page(given: dict[str, Any]) -> int:
    """Take the size of a page out of a definition."""
    size = given.pop("perPage", PER_PAGE)
    if not isinstance(size, int) or not 1 <= size <= MAX_PER_PAGE:
        raise EpcisProblem(Kind.PARAMETER, 400, f"perPage is 1 to {MAX_PER_PAGE}")
    return size


def namespaces(headers: Mapping[str, str]) -> Namespaces:
    """Return the prefixes that ``GS1-Extensions`` declares (``ext1=http://ns.example.com/epcis/, …``)."""
    declared = {
        match[1]: match[2]
        for part in headers.get("gs1-extensions", "").split(",")
        if (match := _EXTENSION.fullmatch(part))
    }
    return Namespaces().within(declared)


def min_record_time(headers: Mapping[str, str]) -> int | None:
    """Return ``GS1-Query-Min-Record-Time`` in nanoseconds.

    Raises:
        EpcisProblem: it is no date-time.
    """
    text = headers.get("gs1-query-min-record-time", "")
    try:
        return time_ns(text) if text else None
    except ValueError as error:
        raise EpcisProblem(Kind.PARAMETER, 400, f"GS1-Query-Min-Record-Time: {error}") from None


def check_versions(headers: Mapping[str, str]) -> None:
    """Check that what a client wants and what we speak have something in common.

    Raises:
        EpcisProblem: 406 if not.
    """
    for vocabulary in ("epcis", "cbv"):
        for name, fits in (
            ("version", lambda wanted: wanted == _OUR_VERSION),
            ("min", lambda wanted: wanted <= _OUR_VERSION),
            ("max", lambda wanted: wanted >= _OUR_VERSION),
        ):
            text = headers.get(f"gs1-{vocabulary}-{name}", "").strip()
            if not text:
                continue
            match = _VERSION.fullmatch(text)
            if match is None or not fits((int(match[1]), int(match[2]))):
                raise EpcisProblem(Kind.NOT_ACCEPTABLE, 406, f"GS1-{vocabulary.upper()}-{name}: 2.0 is spoken here")
    wanted = headers.get("gs1-epc-format", "").strip()
    if wanted not in ("", "Never_Translates", "No_Preference"):
        raise EpcisProblem(Kind.NOT_ACCEPTABLE, 406, "GS1-EPC-Format: identifiers are given as they were captured")
    accepted = headers.get("accept", "")
    if accepted and not any(kind in accepted for kind in ("*/*", "application/*", "json")):
        raise EpcisProblem(Kind.NOT_ACCEPTABLE, 406, "application/json and application/ld+json are answered")
