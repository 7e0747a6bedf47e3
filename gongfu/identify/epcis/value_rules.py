"""Checks of the values that stand in EPCIS events: URIs, times, terms, quantities."""

import re
from typing import Any

from gongfu.identify.epcis.findings import FINE, Check, Finding, Findings, below, fault
from gongfu.identify.epcis.uris import USUAL, is_uri, time_ns
from gongfu.identify.epcis.vocabulary import ACTIONS, TERMS

# What is nested deeper is refused: those who read it later need not be prepared for more.
MAX_DEPTH = 32
_OFFSET = re.compile(r"[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00)", re.ASCII)
_UOM = re.compile(r"[A-Z0-9]{2,3}", re.ASCII)
_HEX = re.compile(r"[A-Fa-f0-9]+", re.ASCII)
_VERSION = re.compile(r"\d+(\.\d+)*", re.ASCII)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
# Terms of the vocabularies themselves are written as bare words or CURIEs, not in these forms.
_NOT_BY_CBV = ("urn:epcglobal:cbv", "https://ns.gs1.org/cbv/", "http://ns.gs1.org/cbv/")
_NOT_BY_VOC = (
    "https://gs1.org/voc/",
    "http://gs1.org/voc/",
    "https://www.gs1.org/voc/",
    "http://www.gs1.org/voc/",
)


def uri(value: Any) -> Findings:
    """Check a URI."""
    if isinstance(value, str):
        if USUAL(value) is not None or is_uri(value):
            return FINE
        if not value.isascii():
            return fault("not a URI: characters outside ASCII are percent-encoded (RFC 3986)")
        return fault(f"not a URI (RFC 3986): {value[:80]!r}")
    return fault("not a URI: text is needed")


def time(value: Any) -> Findings:
    """Check a date-time with a zone."""
    if isinstance(value, str):
        try:
            time_ns(value)
        except ValueError as error:
            return fault(f"{value[:40]!r} is not a date-time: {error}")
        return FINE
    return fault("not a date-time: text is needed")


def zone_offset(value: Any) -> Findings:
    """Check an ``eventTimeZoneOffset``."""
    if isinstance(value, str) and _OFFSET.fullmatch(value):
        return FINE
    return fault("not a zone offset from -14:00 to +14:00, such as +08:00")


def number(value: Any) -> Findings:
    """Check a number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return FINE
    return fault(f"not a number: {str(value)[:40]!r}")


def text(value: Any) -> Findings:
    """Check a text."""
    return FINE if isinstance(value, str) else fault("not a text")


def boolean(value: Any) -> Findings:
    """Check true or false."""
    return FINE if isinstance(value, bool) else fault("not true or false")


def hexadecimal(value: Any) -> Findings:
    """Check bytes in hexadecimal."""
    return FINE if isinstance(value, str) and _HEX.fullmatch(value) else fault("not hexadecimal digits")


def version(value: Any) -> Findings:
    """Check a version of the schema."""
    return FINE if isinstance(value, str) and _VERSION.fullmatch(value) else fault("not a version, such as 2.0")


def unit(value: Any) -> Findings:
    """Check a unit of measure (UN/ECE Recommendation 20)."""
    if isinstance(value, str) and _UOM.fullmatch(value):
        return FINE
    return fault("not a unit code of two or three capitals or digits (UN/ECE Recommendation 20)")


def action(value: Any) -> Findings:
    """Check an action."""
    if isinstance(value, str) and value in ACTIONS:
        return FINE
    return fault(f"{str(value)[:40]!r} is not an action: ADD, OBSERVE or DELETE")


def terms(kind: str, named: str) -> Check:
    """Return the check of a place that takes terms of a closed list, or URIs of other vocabularies."""
    words = TERMS[kind][1]

    def check(value: Any) -> Findings:
        if isinstance(value, str):
            if value in words:
                return FINE
            if is_uri(value):
                if not value.startswith(_NOT_BY_CBV):
                    return FINE
                return fault(f"{value[:80]!r}: terms of the CBV are written as bare words, such as {min(words)!r}")
        return fault(f"{str(value)[:80]!r} is not a {named} of the CBV, nor a URI of another vocabulary")

    return check


biz_step = terms("bizStep", "business step")
disposition = terms("disposition", "disposition")
biz_transaction_type = terms("bizTransactionType", "type of business transaction")
party_type = terms("partyType", "type of source or destination")
error_reason = terms("reason", "reason of an error declaration")
component = terms("component", "component")


def _voc_term(kind: str, named: str, *, grows: bool) -> Check:
    words = TERMS[kind][1]

    def check(value: Any) -> Findings:
        if isinstance(value, str):
            if value in words:
                return FINE
            if is_uri(value):
                if not value.startswith(_NOT_BY_VOC):
                    return FINE
                return fault(f"{value[:80]!r}: terms of the GS1 vocabulary are written as bare words")
            if grows and _WORD.fullmatch(value):
                reason = f"{value!r} is not a {named} that the EPCIS schema lists; the GS1 web vocabulary has its own"
                return (Finding("", reason, True),)
        return fault(f"{str(value)[:80]!r} is not a {named}, nor a URI of another vocabulary")

    return check


measurement_type = _voc_term("measurementType", "measurement type", grows=True)
alert_type = _voc_term("exception", "sensor alert type", grows=False)


def listed(check: Check, *, least: int = 0, unique: bool = False, most: int = 100_000) -> Check:
    """Return the check of a list, each element by a check."""

    def check_list(value: Any) -> Findings:
        if not isinstance(value, list):
            return fault("not a list")
        found: list[Finding] | None = None
        for place, item in enumerate(value):
            if wrong := check(item):
                found = [] if found is None else found
                found += below(place, wrong)
        if found is not None:
            return found
        if len(value) < least:
            return fault(f"a list of at least {least} is needed")
        if len(value) > most:
            return fault(f"more than {most} elements")
        if unique and len(value) > 1 and len({str(item) for item in value}) != len(value):
            return fault("an element is there twice")
        return FINE

    return check_list


def one_or_list(check: Check) -> Check:
    """Return the check of one value or a list of them."""
    many = listed(check)
    return lambda value: many(value) if isinstance(value, list) else check(value)


def too_deep(value: Any) -> bool:
    """Tell whether lists and objects are nested in it too deeply."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            return True
        below_it: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below_it += item.values()
            elif isinstance(item, list):
                below_it += item
        level, depth = below_it, depth + 1
    return False


def record(
    rules: dict[str, Check], *, required: tuple[str, ...] = (), extensions: bool = True, named: str = "field"
) -> Check:
    """Return the check of an object.

    Args:
        rules: by member.
        required: members that must be there.
        extensions: whether members of other vocabularies (names that are URIs or CURIEs) may be there.
        named: what a member is called in findings.
    """

    def check(value: Any) -> Findings:
        if not isinstance(value, dict):
            return fault("not an object")
        found: list[Finding] = []
        for key, item in value.items():
            rule = rules.get(key)
            if rule is not None:
                if wrong := rule(item):
                    found += below(key, wrong)
            elif not extensions:
                found += below(key, fault(f"no {named} has this name here"))
            elif not is_uri(key):
                found += below(key, fault(f"no {named} has this name; an extension's name needs a namespace (a:name)"))
            elif isinstance(item, (dict, list)) and too_deep(item):
                found += below(key, fault(f"nested more than {MAX_DEPTH} levels deep"))
        for key in required:
            if key not in value:
                found += fault(f"{key} is missing")
        return found or FINE

    return check
