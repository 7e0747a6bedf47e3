"""URIs (RFC 3986), date-times with a zone (RFC 3339), and names by the namespaces that a ``@context`` declares."""

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from gongfu.identify.epcis.vocabulary import PREFIXES

_PCHAR = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_USER = r"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*@)?"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)"
_URI = re.compile(
    rf"[A-Za-z][A-Za-z0-9+.\-]*:(?://{_USER}{_HOST}(?::[0-9]*)?(?:/{_PCHAR}*)*|/?(?:{_PCHAR}+(?:/{_PCHAR}*)*)?)"
    rf"(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?",
    re.ASCII,
)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
).fullmatch
# Most URIs are of these forms, which cost less to tell.
USUAL = re.compile(
    r"https?://[A-Za-z0-9.\-]+(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*)?|urn:[A-Za-z0-9\-._~!$&'()*+,;=:@]+", re.ASCII
).fullmatch
_EPOCH = date(1970, 1, 1).toordinal()


def is_uri(text: str) -> bool:
    """Tell whether a text is an absolute URI; a CURIE such as ``example:field`` is one by its form."""
    return USUAL(text) is not None or _of_any_form(text)


@lru_cache(maxsize=8192)
def _of_any_form(text: str) -> bool:
    return _URI.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _days(day: str) -> int:
    return date.fromisoformat(day).toordinal() - _EPOCH


@lru_cache(maxsize=8192)
def time_ns(text: str) -> int:
    """Return UTC nanoseconds since 1970 (negative before) of an RFC 3339 date-time.

    Raises:
        ValueError: not one, or a day or hour that does not exist.
    """
    match = _TIME(text)
    if match is None:
        raise ValueError("not a date-time with a zone (RFC 3339)")
    day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    # A leap second is the second after it: there is no other number for it.
    leap = second == "60"
    if hour > "23" or minute > "59" or second > "60":
        raise ValueError("there is no such hour, minute or second")
    seconds = _days(day) * 86_400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError("the zone is more than a day or an hour off")
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += -offset if sign == "+" else offset
    if leap and (seconds - 1) % 86_400 != 86_399:
        raise ValueError("second 60 is there only at the end of a day of UTC")
    return seconds * 1_000_000_000 + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def time_text(nanoseconds: int) -> str:
    """Return a time in UTC, with milliseconds; of years that RFC 3339 has none for, the nearest that it has."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    days, second = divmod(seconds, 86_400)
    day = date.fromordinal(min(max(_EPOCH + days, 1), date.max.toordinal()))
    return f"{day}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{rest // 1_000_000:03d}Z"


class Namespaces:
    """The prefixes that are in force at a place of a document: the standard's, and the context's own."""

    __slots__ = ("_prefixes",)

    def __init__(self, prefixes: Mapping[str, str] = PREFIXES) -> None:
        self._prefixes = dict(prefixes)

    def within(self, context: Any) -> "Namespaces":
        """Return them with what a ``@context`` declares; addresses in it are not fetched."""
        declared = dict[str, str]()
        for item in context if isinstance(context, list) else (context,):
            if isinstance(item, dict):
                for prefix, uri in item.items():
                    if isinstance(uri, dict):
                        uri = uri.get("@id")
                    if isinstance(uri, str) and not prefix.startswith("@"):
                        declared[prefix] = uri
        return Namespaces({**self._prefixes, **declared}) if declared else self

    def expanded(self, name: str) -> str:
        """Return the URI of a CURIE; what has no declared prefix stays as it is."""
        prefix, colon, rest = name.partition(":")
        if colon and not rest.startswith("//") and prefix in self._prefixes:
            return self._prefixes[prefix] + rest
        return name

    def prefix_of(self, name: str) -> tuple[str, str] | None:
        """Return namespace and local name of a CURIE with a declared prefix."""
        prefix, colon, rest = name.partition(":")
        if colon and not rest.startswith("//") and prefix in self._prefixes:
            return self._prefixes[prefix], rest
        return None

    def own(self) -> dict[str, str]:
        """Return the prefixes that the standard does not declare."""
        return {prefix: uri for prefix, uri in self._prefixes.items() if PREFIXES.get(prefix) != uri}
