"""Master data that documents bring in their headers: attributes of names, and what lies below locations."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

from gongfu.identify.epcis import rows
from gongfu.identify.epcis.query import MasterData
from gongfu.identify.epcis.store import EventStore
from gongfu.identify.epcis.things import canonical
from gongfu.identify.epcis.uris import Namespaces

# A hierarchy of locations is followed so far; one that is a loop ends there.
_MAX_BELOW = 10_000


def vocabulary_rows(vocabularies: list[Any], namespaces: Namespaces) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of the elements of checked vocabularies; a later one takes an earlier one's place."""
    for vocabulary in vocabularies:
        for element in vocabulary.get("vocabularyElementList", ()):
            row = {
                "type": vocabulary["type"],
                "attributes": {
                    namespaces.expanded(item["id"]): item.get("attribute") for item in element.get("attributes", ())
                },
                "children": element.get("children", []),
            }
            yield rows.VOCABULARY + canonical(element["id"]).encode(), orjson.dumps(row)


class StoredMasterData(MasterData):
    """Master data of a store, as it is while a query runs."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._element = lru_cache(maxsize=4096)(self._read)

    def _read(self, name: str) -> dict[str, Any]:
        row = self._store.row(rows.VOCABULARY + canonical(name).encode())
        return orjson.loads(row) if row is not None else {}

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return attributes of a name by their URIs."""
        return self._element(name).get("attributes", {})

    def below(self, name: str) -> set[str]:
        """Return the names below it in the hierarchy of locations, itself included."""
        found, waiting = {name}, [name]
        while waiting and len(found) < _MAX_BELOW:
            for child in self._element(waiting.pop()).get("children", ()):
                child = canonical(child)
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return found
