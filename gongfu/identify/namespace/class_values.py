"""The values of the members of a class. What does not depend on the member is made once."""

import re
from collections.abc import Callable

from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.attribute_values import attribute_value
from gongfu.identify.namespace.types import ClassRecord
from gongfu.identify.records.form import StoredRecord
from gongfu.identify.templates.types import Attribute, Template

_PLACE = re.compile(r"\{(suffix|number(?::([0-9]{1,2}))?)\}")

Text = Callable[[str, str], str]
"""From suffix and digits of a member to a text."""


def _text(text: str) -> Text | None:
    """Return what makes the text of a member; None if it is the same for all."""
    if _PLACE.search(text) is None:
        return None

    def made(suffix: str, number: str) -> str:
        def said(found: re.Match[str]) -> str:
            if found[1] == "suffix":
                return suffix
            return number[-int(found[2]) :] if found[2] and int(found[2]) else number

        return _PLACE.sub(said, text)

    return made


class ClassValues:
    """A class made ready to answer for its members."""

    __slots__ = ("_attributes", "_constant", "_of", "_varying")

    def __init__(self, of: ClassRecord, template: Template) -> None:
        """Make it.

        Raises:
            IndexError: the template has not so many attributes.
        """
        self._of = of
        self._attributes = [(ordinal, text, _text(text)) for ordinal, text in sorted(of.attributes)]
        placed: list[tuple[Attribute, HandleValue, Text | None]] = []
        for ordinal, text, made in self._attributes:
            attribute = template.attributes[ordinal]
            placed.append((attribute, attribute_value(attribute, text.encode(), of.timestamp), made))
        placed.sort(key=lambda item: item[0].index)
        self._constant = [value for _, value, _ in placed]
        self._varying = [(place, attribute, made) for place, (attribute, _, made) in enumerate(placed) if made]

    def values(self, suffix: str, number: str) -> tuple[HandleValue, ...]:
        """Return the values of a member, by index.

        Args:
            suffix: of the member.
            number: its digits, as they stand in the suffix.
        """
        values = self._constant.copy()
        for place, attribute, made in self._varying:
            values[place] = attribute_value(attribute, made(suffix, number).encode(), self._of.timestamp)
        return tuple(values)

    def record(self, suffix: str, number: str) -> StoredRecord:
        """Return what a member would have as a record of its own."""
        attributes = tuple(
            (ordinal, (text if made is None else made(suffix, number)).encode())
            for ordinal, text, made in self._attributes
        )
        return StoredRecord(self._of.template, self._of.timestamp, attributes)
