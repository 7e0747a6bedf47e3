"""Links of GS1 identifiers as a node's users set and read them; what the API and the workbench call."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gongfu.identify.digital_link.application_identifiers import table
from gongfu.identify.digital_link.elements import Element
from gongfu.identify.digital_link.errors import GS1Error, Reason
from gongfu.identify.digital_link.handles import handle_of, handles_of
from gongfu.identify.digital_link.links import (
    MAX_TEXT,
    Link,
    check_links,
    is_link,
    link_from,
    read_links,
    to_values,
)
from gongfu.identify.digital_link.resolution import levels_of
from gongfu.identify.digital_link.scanning import printed, recognise
from gongfu.identify.digital_link.uri import DigitalLink
from gongfu.identify.digital_link.vocabulary import short
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Found
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Allowed, Operation, Outcome, Write, WriteCode

_SERIAL = "21"


class DigitalLinks:
    """Links of the GS1 identifiers below one prefix."""

    def __init__(self, identifiers: Identifiers, prefix: str) -> None:
        """Make it.

        Args:
            identifiers: the node's.
            prefix: of the handles of GS1 identifiers.
        """
        self._identifiers = identifiers
        self._prefix = prefix

    def describe(self, text: str) -> dict[str, Any]:
        """Return what a text means that a person or a scanner gave, and what the node knows of it.

        Raises:
            GS1Error: it is nothing of GS1.
        """
        link = recognise(text)
        levels = levels_of(link, self._prefix, self._identifiers.lookup) if self._prefix else []
        elements = (link.key, *link.qualifiers, *link.attributes)
        return {
            "canonical": link.canonical(),
            "path": link.path,
            "elementString": printed(link),
            "elements": [{"ai": e.ai, "title": table()[e.ai].title, "value": e.value} for e in elements],
            "handles": [str(name) for name in handles_of(link, self._prefix)] if self._prefix else [],
            "levels": [
                {
                    "handle": str(handle_of(level.elements, self._prefix)),
                    "description": level.described.description,
                    "links": _documents(level.described.links),
                }
                for level in levels
            ],
        }

    def get(self, text: str) -> dict[str, Any] | None:
        """Return the links of exactly what a text names, None without any.

        Raises:
            GS1Error: it is nothing of GS1.
        """
        name = self._handle(recognise(text))
        found = self._identifiers.lookup(name)
        if not isinstance(found, Found) or not any(map(is_link, found.values)):
            return None
        described = read_links(found.values)
        return {
            "handle": str(name),
            "description": described.description,
            "links": _documents(described.links),
            "unreadable": described.unreadable,
        }

    async def put(
        self,
        text: str,
        links: Sequence[Any],
        description: str = "",
        *,
        allowed: Allowed | None = None,
    ) -> Outcome:
        """Give a thing these links in the place of those that it has; its other values stay. To do it again is safe.

        Args:
            text: link, element string or bar code.
            links: JSON objects (``links.Link``); none takes all away.
            description: of the thing.
            allowed: who may (``Identifiers.write``).

        Raises:
            GS1Error: the text or a link is none; nothing was done.
            BatchError: as ``Identifiers.write``.
        """
        link = recognise(text)
        name = self._handle(link)
        if len(description) > MAX_TEXT:
            raise GS1Error(Reason.LINK, f"a description has at most {MAX_TEXT} characters")
        checked = check_links([link_from(item) for item in links])
        if checked and not link.qualifiers and not any(item.default for item in checked):
            # Whatever is asked for has a default at its key or before (GS1-Conformant Resolver §2.5.9).
            checked = (msgspec.structs.replace(checked[0], default=True), *checked[1:])
        values = to_values(checked, description if checked else "")
        writes = self._writes(name, values)
        if not writes:
            return Outcome(WriteCode.UNCHANGED)
        outcomes = await self._identifiers.write(writes, allowed=allowed)
        return next((item for item in outcomes if not item.done), outcomes[0])

    def _writes(self, name: HandleName, values: Sequence[Any]) -> list[Write]:
        handle = str(name)
        found = self._identifiers.lookup(name)
        if not isinstance(found, Found):
            return [Write(operation=Operation.CREATE, handle=handle, values=tuple(values))] if values else []
        if not values and self._is_member(name):
            raise GS1Error(Reason.LINK, "its links are of its range's class; delete the identifier, or give it its own")
        kept = {value.index for value in values}
        surplus = tuple(value.index for value in found.values if is_link(value) and value.index not in kept)
        writes: list[Write] = []
        if values:
            # First, so that there is no moment without links.
            writes.append(Write(operation=Operation.ADD_VALUES, handle=handle, values=tuple(values), overwrite=True))
        if surplus and not values and len(surplus) == len(found.values):
            writes.append(Write(operation=Operation.DELETE, handle=handle))
        elif surplus:
            writes.append(Write(operation=Operation.REMOVE_VALUES, handle=handle, indexes=surplus))
        return writes

    def _is_member(self, name: HandleName) -> bool:
        """Return whether a handle is of a range, with or without a record of its own."""
        space = self._identifiers.namespace
        prefix = space.find_prefix(name.prefix)
        return prefix is not None and space.find(prefix.number, name.suffix) is not None

    def _handle(self, link: DigitalLink) -> HandleName:
        """Return the handle at which links are kept.

        Raises:
            GS1Error: the node has none, or links are not kept of such a thing.
        """
        if not self._prefix:
            raise GS1Error(Reason.LINK, "no prefix of this node is for GS1 identifiers (setting gs1_prefix)")
        if link.attributes:
            raise GS1Error(Reason.NOT_AN_ATTRIBUTE, "links are of a key and its qualifiers, without attributes")
        elements: list[Element] = [link.key, *link.qualifiers]
        if any(item.ai == _SERIAL for item in link.qualifiers) and len(link.qualifiers) > 1:
            # One thing, one record (§2.5.9): whoever asks with lot and serial number is led by the serial number.
            raise GS1Error(Reason.ORDER, "links of a serial number are kept without its lot or variant")
        return handle_of(tuple(elements), self._prefix)


def _documents(links: Sequence[Link]) -> list[Mapping[str, Any]]:
    return [msgspec.to_builtins(msgspec.structs.replace(link, link_type=short(link.link_type))) for link in links]
