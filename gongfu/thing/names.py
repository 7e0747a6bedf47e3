"""Names and texts of other formats as a model may have them; what had to be changed is reported."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gongfu.thing.report import Report

T = TypeVar("T")

_UNCLEAN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MODEL_NAME = 100
MEMBER_NAME = 200
TITLE = 128
TEXT = 1000


def fit_name(text: str, report: Report, where: str, *, without: str = "", limit: int = MEMBER_NAME) -> str:
    """Return a name that a model may have.

    Args:
        text: the name as it was found.
        report: hears of a change.
        where: where it was found.
        without: characters it may not contain; each becomes "-".
        limit: greatest number of characters.
    """
    kept = [
        character
        for character in text
        if unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in "\ufffe\uffff"
    ]
    shown = "".join("-" if character in without else character for character in kept)
    name = shown.strip()[:limit].strip() or "unnamed"
    if name != text:
        report.leave_out(where, f"the name {text[:100]!r} became {name!r}")
    return name


def fit_model_name(text: str, report: Report, where: str) -> str:
    """Return a name that a model itself may have; see ``fit_name``."""
    return fit_name(text, report, where, without="@/:", limit=MODEL_NAME)


def fit_text(text: Any, limit: int, report: Report, where: str) -> str:
    """Return a text of at most ``limit`` characters that XML can carry; what is no text is empty."""
    if not isinstance(text, str):
        return ""
    found = _UNCLEAN.sub("", text)[:limit]
    if found != text:
        report.leave_out(where, f"a text of {len(text)} characters was cut to {len(found)}")
    return found


def gather(items: Iterable[tuple[str, Any]], where: str, report: Report, read: Callable[[Any, str], T]) -> dict[str, T]:
    """Return items by the names they get; the second of one name is reported and left out.

    Args:
        items: name and content.
        where: where they stand.
        report: hears of it.
        read: makes an item of its content and of where it stands.
    """
    found: dict[str, T] = {}
    for key, content in items:
        place = f"{where}.{key}"
        name = fit_name(key, report, place)
        if name in found:
            report.leave_out(place, "another one has this name already")
        else:
            found[name] = read(content, place)
    return found
