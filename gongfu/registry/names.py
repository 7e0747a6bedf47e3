"""Rules for names: of assets, devices, users and tenants."""

import unicodedata
from typing import Annotated

import msgspec

from gongfu.kernel.errors import invalid

# Id of a row in requests and cursors: what the databases can hold.
RowId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

NAME_LIMIT = 200
PATH_LIMIT = 1000


def check_name(text: str, what: str, *, limit: int = NAME_LIMIT, without: str = "") -> str:
    """Return a name that is fit to be shown and addressed.

    Args:
        text: the name.
        what: what it names, for the message.
        limit: greatest number of characters.
        without: characters it may not contain.

    Raises:
        Problem: 400; empty, too long, with blanks at an end, control characters or one of ``without``.
    """
    if not 1 <= len(text) <= limit:
        raise invalid(f"{what} must have 1 to {limit} characters")
    if text != text.strip():
        raise invalid(f"{what} must not start or end with a blank")
    if not text.isprintable() and any(
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text
    ):
        raise invalid(f"{what} must not contain control characters")
    found = [character for character in without if character in text]
    if found:
        raise invalid(f"{what} must not contain {' '.join(found)}")
    return text


def check_device_name(text: str) -> str:
    """Return a device name; it is an MQTT user name, a topic level and the user of HTTP Basic (RFC 7617 §2).

    Raises:
        Problem: 400 as ``check_name``; ``/ + # :`` are not allowed.
    """
    return check_name(text, "device name", without="/+#:")


def check_path(path: str) -> list[str]:
    """Return the names in an asset path ``a/b/c``.

    Raises:
        Problem: 400 when a name is not valid or the path has more than 1,000 characters.
    """
    if len(path) > PATH_LIMIT:
        raise invalid(f"asset path must have at most {PATH_LIMIT} characters")
    return [check_name(name, "asset name") for name in path.split("/")]


def check_filter(text: str) -> str:
    """Return an MQTT topic filter for a device's own topics (MQTT 5 §4.7).

    Raises:
        Problem: 400; malformed, shared (``$share``) or of the broker (``$``).
    """
    if not 1 <= len(text) <= PATH_LIMIT or "\0" in text:
        raise invalid(f"topic filter must have 1 to {PATH_LIMIT} characters and no NUL")
    if text.startswith("$"):
        raise invalid(f"topic filter must not start with $: {text[:80]!r}")
    levels = text.split("/")
    for index, level in enumerate(levels):
        if "#" in level and (level != "#" or index != len(levels) - 1):
            raise invalid(f"# must be the whole last level of a topic filter: {text[:80]!r}")
        if "+" in level and level != "+":
            raise invalid(f"+ must be a whole level of a topic filter: {text[:80]!r}")
    return text
