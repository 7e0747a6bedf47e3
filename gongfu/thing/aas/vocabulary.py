"""How a model stands in an Asset Administration Shell: names, qualifiers, identifiers."""

import re
from urllib.parse import quote, unquote

SEMANTIC = "urn:gongfu:thing-model:1"
_ID = "urn:gongfu:thing-model:type:"
IEC61360 = "https://admin-shell.io/DataSpecificationTemplates/DataSpecificationIec61360/3"
GROUPS = ("Properties", "Events", "Services", "Relations")

# IDTA-01001 v3.0 AASd-002: letters, digits, underscore, beginning with a letter; NameType has at most 128 characters.
_ID_SHORT = re.compile("[a-zA-Z][a-zA-Z0-9_]{0,127}")


def type_id(name: str) -> str:
    """Return the identifier of the type of a name."""
    return _ID + quote(name, safe="")


def name_of_id(text: str) -> str:
    """Return the name in an identifier that ``type_id`` made, empty for another one."""
    return unquote(text.removeprefix(_ID).partition(":")[0]) if text.startswith(_ID) else ""


def is_id_short(text: str) -> bool:
    """Return whether a name can be an ``idShort``."""
    return _ID_SHORT.fullmatch(text) is not None


def id_short(text: str, number: int, taken: set[str]) -> str:
    """Return the ``idShort`` of an element: its name where it can be, else one made of its place.

    Args:
        text: the name.
        number: place among its siblings, from 0.
        taken: those of the siblings in lower case; gets this one.
    """
    # AASd-022 compares without case.
    found = text if is_id_short(text) and text.lower() not in taken else f"element_{number}"
    while found.lower() in taken:
        found += "_"
    taken.add(found.lower())
    return found
