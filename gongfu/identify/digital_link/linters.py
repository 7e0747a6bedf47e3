"""What GS1's Syntax Dictionary checks of a component beside its characters and its length: a function a name.

Each returns what is wrong, None if nothing. None of them looks anything up: of company prefixes the form is checked.
"""

import calendar
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

from gongfu.identify.digital_link.character_sets import CSET_32, CSET_64, CSET_82, DIGITS
from gongfu.identify.digital_link.check_digits import check_digit, check_pair
from gongfu.identify.digital_link.coupons import coupon_code, positive_offer

Linter = Callable[[str], str | None]

_SHORTEST_COMPANY_PREFIX = 4
_SHORTEST_IBAN = 11
_HEXADECIMAL = frozenset("0123456789ABCDEFabcdef")


@cache
def codes(of: str) -> frozenset[str]:
    """Return the codes of a list in ``code_lists.json``."""
    lists: dict[str, str] = json.loads((files("gongfu.identify.digital_link") / "code_lists.json").read_bytes())
    return frozenset(lists[of].split())


def _digits(text: str) -> bool:
    return bool(text) and DIGITS.issuperset(text)


def csum(text: str) -> str | None:
    """Check digit at the end."""
    if not _digits(text):
        return "a check digit stands behind digits"
    right = check_digit(text[:-1])
    return None if text[-1] == right else f"the check digit is {right}, not {text[-1]}"


def csumalpha(text: str) -> str | None:
    """Check character pair at the end."""
    if len(text) < 2:
        return "it is too short for a pair of check characters"
    if any(character not in CSET_32 for character in text[-2:]):
        return "its last two are no check characters"
    try:
        right = check_pair(text[:-2])
    except ValueError as error:
        return str(error)
    return None if text[-2:] == right else f"the check characters are {right}, not {text[-2:]}"


def gcppos1(text: str) -> str | None:
    """GS1 Company Prefix at the beginning."""
    if len(text) < _SHORTEST_COMPANY_PREFIX:
        return "it is too short for a GS1 Company Prefix"
    return None if _digits(text[:_SHORTEST_COMPANY_PREFIX]) else "it does not begin with a GS1 Company Prefix"


def gcppos2(text: str) -> str | None:
    """GS1 Company Prefix from the second character."""
    return gcppos1(text[1:])


def yyyymmd0(text: str) -> str | None:
    """Date with its century; day 00 is the whole month."""
    if len(text) != 8 or not _digits(text):
        return "a date has 8 digits"
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    if not 1 <= month <= 12:
        return f"there is no month {text[4:6]}"
    # Years before 1 have the same calendar as 400 years later.
    last = calendar.monthrange(year or 400, month)[1]
    return None if day <= last else f"there is no day {text[6:]} in that month"


def yyyymmdd(text: str) -> str | None:
    """Date with its century."""
    return yyyymmd0(text) or ("there is no day 00" if text.endswith("00") else None)


def yymmd0(text: str) -> str | None:
    """Date; day 00 is the whole month. Whatever the century, it was or is a leap year if the two digits say so."""
    if len(text) != 6 or not _digits(text):
        return "a date has 6 digits"
    return yyyymmd0("20" + text)


def yymmdd(text: str) -> str | None:
    """Date."""
    return yymmd0(text) or ("there is no day 00" if text.endswith("00") else None)


def yymmddhh(text: str) -> str | None:
    """Date and hour."""
    return yymmdd(text[:6]) or hh(text[6:])


def _below(limit: int, what: str) -> Linter:
    def check(text: str) -> str | None:
        if len(text) != 2 or not _digits(text):
            return f"{what} have 2 digits"
        return None if int(text) < limit else f"{what} are less than {limit}"

    return check


hh, mi, ss = _below(24, "hours"), _below(60, "minutes"), _below(60, "seconds")


def hhmi(text: str) -> str | None:
    """Hour and minute."""
    return hh(text[:2]) or mi(text[2:])


def mmoptss(text: str) -> str | None:
    """Minute, and second where there is one."""
    return mi(text[:2]) or (ss(text[2:]) if len(text) > 2 else None)


def _one_of(of: str, what: str, *more: str) -> Linter:
    def check(text: str) -> str | None:
        return None if text in codes(of) or text in more else f"there is no {what} {text!r}"

    return check


iso3166 = _one_of("iso-3166-1 numeric", "country")
iso3166999 = _one_of("iso-3166-1 numeric", "country", "999")
iso3166alpha2 = _one_of("iso-3166-1 alpha-2", "country")
iso4217 = _one_of("iso-4217 numeric", "currency")
packagetype = _one_of("unece-21 and GS1 PackageTypeCode", "package type")


def iso3166list(text: str) -> str | None:
    """Countries, one behind the other."""
    if len(text) % 3:
        return "countries have 3 digits each"
    wrong = (iso3166(text[at : at + 3]) for at in range(0, len(text), 3))
    return next(filter(None, wrong), None)


def _listed(what: str, *allowed: str) -> Linter:
    def check(text: str) -> str | None:
        return None if text in allowed else f"there is no {what} {text!r}"

    return check


iso5218 = _listed("sex", "0", "1", "2", "9")
winding = _listed("winding direction", "0", "1", "9")
yesno = _listed("answer but 0 and 1:", "0", "1")
# 01-10 and 80-99 are assigned.
mediatype = _listed("media type", *(f"{n:02}" for n in (*range(1, 11), *range(80, 100))))


def importeridx(text: str) -> str | None:
    """Importer index: one character of base64url."""
    return None if len(text) == 1 and text in CSET_64 else "an importer index is a letter, a digit, '-' or '_'"


def iban(text: str) -> str | None:
    """International bank account number (ISO 13616)."""
    if len(text) < _SHORTEST_IBAN:
        return "it is too short for an account number"
    if text[:2] not in codes("iso-3166-1 alpha-2"):
        return f"there is no country {text[:2]!r}"
    if not all(character in CSET_82 and (character.isdigit() or character.isupper()) for character in text):
        return "an account number has digits and capitals"
    number = int("".join(str(int(character, 36)) for character in text[4:] + text[:4]))
    return None if number % 97 == 1 else "its check digits are wrong"


def pcenc(text: str) -> str | None:
    """Percent-encoding."""
    for part in text.split("%")[1:]:
        if len(part) < 2 or not _HEXADECIMAL.issuperset(part[:2]):
            return "behind '%' stand two hexadecimal digits"
    return None


def hasnondigit(text: str) -> str | None:
    """Not digits only."""
    return "it is made of digits only" if not text or _digits(text) else None


def hyphen(text: str) -> str | None:
    """Hyphens only."""
    return None if text and set(text) == {"-"} else "a hyphen is expected"


def nonzero(text: str) -> str | None:
    """A number that is not zero."""
    return None if text.strip("0") else "it is zero"


def zero(text: str) -> str | None:
    """Zero."""
    return "it is not zero" if text.strip("0") or not text else None


def nozeroprefix(text: str) -> str | None:
    """No zero at the beginning."""
    return "it begins with 0" if text.startswith("0") else None


def latitude(text: str) -> str | None:
    """Latitude + 90, in ten millionths of a degree."""
    return _up_to(text, 1_800_000_000)


def longitude(text: str) -> str | None:
    """Longitude, 0 to 360, in ten millionths of a degree."""
    return _up_to(text, 3_600_000_000)


def latlong(text: str) -> str | None:
    """Latitude and longitude."""
    return latitude(text[:10]) or longitude(text[10:])


def _up_to(text: str, most: int) -> str | None:
    if len(text) != 10 or not _digits(text):
        return "a coordinate has 10 digits"
    return None if int(text) <= most else f"it is more than {most}"


def pieceoftotal(text: str) -> str | None:
    """Number of a piece and number of pieces, of equal length."""
    half = len(text) // 2
    if not _digits(text) or len(text) % 2:
        return "a piece and a total of as many digits are expected"
    return _in_order(text[:half], text[half:])


def posinseqslash(text: str) -> str | None:
    """Position and end of a sequence: ``2/3``."""
    position, slash, end = text.partition("/")
    if not slash or not _digits(position) or not _digits(end):
        return "a position and an end are expected: 2/3"
    return nozeroprefix(position) or nozeroprefix(end) or _in_order(position, end)


def _in_order(number: str, total: str) -> str | None:
    if not int(number) or not int(total):
        return "it is zero"
    return f"{number} is more than {total}" if int(number) > int(total) else None


LINTERS: Mapping[str, Linter] = {
    "couponcode": coupon_code,
    "couponposoffer": positive_offer,
    "csum": csum,
    "csumalpha": csumalpha,
    "gcppos1": gcppos1,
    "gcppos2": gcppos2,
    "hasnondigit": hasnondigit,
    "hh": hh,
    "hhmi": hhmi,
    "hyphen": hyphen,
    "iban": iban,
    "importeridx": importeridx,
    "iso3166": iso3166,
    "iso3166999": iso3166999,
    "iso3166alpha2": iso3166alpha2,
    "iso4217": iso4217,
    "iso5218": iso5218,
    "latitude": latitude,
    "longitude": longitude,
    "mediatype": mediatype,
    "mi": mi,
    "nonzero": nonzero,
    "nozeroprefix": nozeroprefix,
    "packagetype": packagetype,
    "pcenc": pcenc,
    "pieceoftotal": pieceoftotal,
    "posinseqslash": posinseqslash,
    "ss": ss,
    "winding": winding,
    "yesno": yesno,
    "yymmd0": yymmd0,
    "yymmdd": yymmdd,
    "yyyymmdd": yyyymmdd,
    "zero": zero,
    # Names of earlier releases of the dictionary.
    "hhmm": hhmi,
    "iso3166list": iso3166list,
    "key": gcppos1,
    "keyoff1": gcppos2,
    "latlong": latlong,
    "mmoptss": mmoptss,
    "yymmddhh": yymmddhh,
    "yyyymmd0": yyyymmd0,
}
"""By the names that the dictionary uses."""
