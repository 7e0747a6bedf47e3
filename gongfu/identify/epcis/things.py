"""The things that events name, by one form: EPC URIs and GS1 Digital Links of the same key are the same thing.

The form is the canonical GS1 Digital Link (EPCIS 2.0 §6.4, CBV 2.0 §8.9): domain ``id.gs1.org``, numeric application
identifiers, the finest level only, GTINs of 14 digits. Identifiers that hold no GS1 key stay as they were written.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

DOMAIN: Final = "https://id.gs1.org"
_SAFE: Final = "-._~';="

# EPC URIs (Tag Data Standard §6): the company's prefix and the reference have a fixed length together.
_SGTIN = re.compile(r"urn:epc:id(pat)?:(sgtin|upui|itip):(\d{6,12})\.(\d{1,7})\.(.+)", re.ASCII)
_LGTIN = re.compile(r"urn:epc:class:lgtin:(\d{6,12})\.(\d{1,7})\.(.+)", re.ASCII)
_SERIAL_REFERENCE = re.compile(r"urn:epc:id:(sscc|gsrn|gsrnp|gsin):(\d{6,12})\.(\d{4,11})", re.ASCII)
_PLACE = re.compile(r"urn:epc:id:(sgln|pgln):(\d{6,12})\.(\d{0,6})(?:\.(.+))?", re.ASCII)
_DOCUMENT = re.compile(r"urn:epc:id(pat)?:(grai|gdti|sgcn):(\d{6,12})\.(\d{0,6})\.{1,2}(.+)", re.ASCII)
_INDIVIDUAL = re.compile(r"urn:epc:id:(giai|ginc):(\d{6,12})\.(.+)", re.ASCII)
_COMPONENT = re.compile(r"urn:epc:id(pat)?:cpi:(\d{6,12})\.([^.]+)\.(\d{1,12}|\*)", re.ASCII)

_LINK = re.compile(
    r"https?://[^?#]*?/(01|gtin|8006|itip|8010|cpid|414|gln|417|party|8017|gsrnp|8018|gsrn|255|gcn|00|sscc|253|gdti"
    r"|401|ginc|402|gsin|8003|grai|8004|giai)/([^/?#]+)((?:/[^/?#]+/[^/?#]+)*)/?(?:[?#].*)?",
    re.ASCII,
)
# Most Digital Links are canonical already.
_CANONICAL = re.compile(
    r"https://id\.gs1\.org/(?:01/\d{14}(?:/(?:21|10)/[A-Za-z0-9._~-]+)?|00/\d{18}|41[47]/\d{13})", re.ASCII
).fullmatch
_NAMES: Final = {
    "gtin": "01",
    "itip": "8006",
    "cpid": "8010",
    "gln": "414",
    "party": "417",
    "gsrnp": "8017",
    "gsrn": "8018",
    "gcn": "255",
    "sscc": "00",
    "gdti": "253",
    "ginc": "401",
    "gsin": "402",
    "grai": "8003",
    "giai": "8004",
    "cpv": "22",
    "lot": "10",
    "ser": "21",
    "cpsn": "8011",
}
_VALUES: Final = {
    "01": re.compile(r"\d{8}|\d{12,14}", re.ASCII),
    "00": re.compile(r"\d{18}", re.ASCII),
    "253": re.compile(r"\d{13}.{0,17}"),
    "255": re.compile(r"\d{13,25}", re.ASCII),
    "401": re.compile(r".{4,30}"),
    "402": re.compile(r"\d{17}", re.ASCII),
    "414": re.compile(r"\d{13}", re.ASCII),
    "417": re.compile(r"\d{13}", re.ASCII),
    "8003": re.compile(r"\d{14}.{0,16}"),
    "8004": re.compile(r"\d{4}.{0,26}"),
    "8006": re.compile(r"\d{18}", re.ASCII),
    "8010": re.compile(r"\d{4}.{0,26}"),
    "8017": re.compile(r"\d{18}", re.ASCII),
    "8018": re.compile(r"\d{18}", re.ASCII),
}
# Qualifiers from the finest level up; of those that are there the first stands.
_LEVELS: Final = {
    "01": ("21", "235", "10"),
    "8006": ("21", "10"),
    "414": ("254",),
    "8010": ("8011",),
}
_FIXED: Final = {"sscc": ("00", 17), "gsrn": ("8018", 17), "gsrnp": ("8017", 17), "gsin": ("402", 16)}


def check_digit(digits: str) -> str:
    """Return the GS1 check digit (General Specifications §7.9) of the digits before it."""
    codes = digits.encode()
    odd, even = codes[::-2], codes[-2::-2]
    return str(-(3 * (sum(odd) - 48 * len(odd)) + sum(even) - 48 * len(even)) % 10)


def _escaped(value: str) -> str:
    return value if value.isalnum() and value.isascii() else quote(unquote(value), safe=_SAFE)


@lru_cache(maxsize=8192)
def _gtin(company: str, reference: str) -> str | None:
    if len(company) + len(reference) != 13:
        return None
    digits = reference[0] + company + reference[1:]
    return digits + check_digit(digits)


def _of_urn(urn: str) -> str | None:
    if match := _SGTIN.fullmatch(urn):
        pattern, kind, company, reference, rest = match.groups()
        gtin = _gtin(company, reference)
        if gtin is None or bool(pattern) != (rest == "*" or rest.endswith(".*")):
            return None
        if kind == "itip":
            piece, _, rest = rest.partition(".")
            total, _, rest = rest.partition(".")
            if len(piece) != 2 or len(total) != 2 or not rest:
                return None
            return f"/8006/{gtin}{piece}{total}" + ("" if pattern else f"/21/{_escaped(rest)}")
        if pattern:
            return f"/01/{gtin}"
        return f"/01/{gtin}/{'21' if kind == 'sgtin' else '235'}/{_escaped(rest)}"
    if match := _LGTIN.fullmatch(urn):
        gtin = _gtin(match[1], match[2])
        return f"/01/{gtin}/10/{_escaped(match[3])}" if gtin else None
    if match := _SERIAL_REFERENCE.fullmatch(urn):
        kind, company, reference = match.groups()
        ai, length = _FIXED[kind]
        if len(company) + len(reference) != length:
            return None
        # In an SSCC the first digit of the reference, the extension digit, stands before the company's prefix.
        digits = reference[0] + company + reference[1:] if kind == "sscc" else company + reference
        return f"/{ai}/{digits}{check_digit(digits)}"
    if match := _PLACE.fullmatch(urn):
        kind, company, reference, extension = match.groups()
        digits = company + reference
        if len(digits) != 12 or (kind == "pgln") == bool(extension):
            return None
        if kind == "pgln":
            return f"/417/{digits}{check_digit(digits)}"
        return f"/414/{digits}{check_digit(digits)}" + ("" if extension == "0" else f"/254/{_escaped(extension)}")
    if match := _DOCUMENT.fullmatch(urn):
        pattern, kind, company, reference, serial = match.groups()
        digits = company + reference
        if len(digits) != 12 or bool(pattern) != (serial == "*"):
            return None
        ai = {"grai": "8003", "gdti": "253", "sgcn": "255"}[kind]
        head = ("0" if kind == "grai" else "") + digits
        return f"/{ai}/{head}{check_digit(head)}" + ("" if pattern else _escaped(serial))
    if match := _INDIVIDUAL.fullmatch(urn):
        return f"/{'8004' if match[1] == 'giai' else '401'}/{match[2]}{_escaped(match[3])}"
    if match := _COMPONENT.fullmatch(urn):
        pattern, company, reference, serial = match.groups()
        if bool(pattern) != (serial == "*"):
            return None
        return f"/8010/{company}{_escaped(reference)}" + ("" if pattern else f"/8011/{serial}")
    return None


def _of_link(link: str) -> str | None:
    match = _LINK.fullmatch(link)
    if match is None:
        return None
    name, value, rest = match.groups()
    ai = _NAMES.get(name, name)
    value = unquote(value)
    if not _VALUES[ai].fullmatch(value):
        return None
    if ai == "01":
        value = value.zfill(14)
    parts = rest.split("/")[1:]
    qualifiers = {_NAMES.get(key, key): item for key, item in zip(parts[::2], parts[1::2], strict=True)}
    key = f"/{ai}/{_escaped(value)}"
    for level in _LEVELS.get(ai, ()):
        if level in qualifiers:
            if ai == "414" and qualifiers[level] == "0":
                break
            return f"{key}/{level}/{_escaped(qualifiers[level])}"
    return key


@lru_cache(maxsize=16384)
def canonical(uri: str) -> str:
    """Return the one form of an identifier: a canonical GS1 Digital Link, or the text itself."""
    key = None
    if _CANONICAL(uri):
        return uri
    if uri.startswith("urn:epc:"):
        key = _of_urn(uri)
    elif uri.startswith("http"):
        key = _of_link(uri)
    return DOMAIN + key if key else uri


def lot_of(uri: str) -> str | None:
    """Return the lot that a Digital Link with lot and serial number says besides (``/01/…/10/…/21/…``)."""
    if not uri.startswith("http") or ("/10/" not in uri and "/lot/" not in uri):
        return None
    match = _LINK.fullmatch(uri)
    if match is None or _NAMES.get(match[1], match[1]) != "01":
        return None
    parts = match[3].split("/")[1:]
    qualifiers = {_NAMES.get(key, key): item for key, item in zip(parts[::2], parts[1::2], strict=True)}
    if "10" not in qualifiers or not ("21" in qualifiers or "235" in qualifiers):
        return None
    return f"{DOMAIN}/01/{unquote(match[2]).zfill(14)}/10/{_escaped(qualifiers['10'])}"


def lot(gtin_of: str, number: str) -> str | None:
    """Return the lot of a number (from master data) of the trade item that an instance is of."""
    key = canonical(gtin_of)
    if not key.startswith(DOMAIN + "/01/"):
        return None
    return f"{DOMAIN}/01/{key[len(DOMAIN) + 4 : len(DOMAIN) + 18]}/10/{_escaped(number)}"


def is_class(uri: str) -> bool:
    """Tell whether a canonical identifier names a kind or lot of things, not one thing."""
    if uri.startswith(DOMAIN + "/01/"):
        return "/21/" not in uri and "/235/" not in uri
    if uri.startswith(DOMAIN + "/8006/"):
        return "/21/" not in uri
    return False


def pattern(uri: str) -> tuple[str, bool]:
    """Return what a query looks for: a canonical identifier, and whether those below it match too.

    ``urn:epc:idpat:sgtin:4012345.012345.*`` means every instance; a Digital Link at a higher level means itself.
    """
    return canonical(uri), uri.startswith("urn:epc:idpat:")


def covers(key: str, thing: str) -> bool:
    """Tell whether a class, as a pattern names it, is a thing's: itself, or what its serial number follows."""
    if not thing.startswith(key):
        return False
    joined = key.startswith((DOMAIN + "/8003/", DOMAIN + "/253/", DOMAIN + "/255/"))
    return joined or thing == key or thing[len(key)] == "/"
