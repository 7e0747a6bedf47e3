"""What an event says, in one form for all who ask: queries, indexes, traces."""

from typing import Any, NamedTuple

from gongfu.identify.epcis.things import canonical, lot, lot_of
from gongfu.identify.epcis.uris import Namespaces, time_ns
from gongfu.identify.epcis.vocabulary import term


class Quantity(NamedTuple):
    """An element of a list of quantities; without an amount there are some, nobody says how many."""

    thing: str
    amount: float | None
    unit: str


class Party(NamedTuple):
    """A source, destination or business transaction: what it is for, and which it is."""

    kind: str
    who: str


class Facts:
    """An event's what, when, where and why; things and terms as canonical URIs.

    Attributes:
        event: as it was captured.
        namespaces: in force in it.
        kind: type, such as ``ObjectEvent``.
        time: UTC nanoseconds since 1970.
        things, parent, inputs, outputs: instances and classes; ``things`` are those of object and transaction events
            and the children of aggregations and associations.
    """

    __slots__ = (
        "action",
        "biz_location",
        "biz_step",
        "classes",
        "disposition",
        "event",
        "input_classes",
        "inputs",
        "kind",
        "namespaces",
        "output_classes",
        "outputs",
        "parent",
        "read_point",
        "things",
        "time",
        "transformation",
    )

    def __init__(self, event: dict[str, Any], namespaces: Namespaces) -> None:
        get = event.get
        self.event = event
        if "@context" in event:
            namespaces = namespaces.within(event["@context"])
        self.namespaces = namespaces
        self.kind: str = event["type"]
        self.time = time_ns(event["eventTime"])
        self.action: str = get("action", "")
        self.parent = canonical(event["parentID"]) if "parentID" in event else ""
        self.things = self._instances(get("epcList") or get("childEPCs"))
        self.classes = self._quantities(get("quantityList") or get("childQuantityList"))
        self.inputs = self._instances(get("inputEPCList"))
        self.outputs = self._instances(get("outputEPCList"))
        self.input_classes = self._quantities(get("inputQuantityList"))
        self.output_classes = self._quantities(get("outputQuantityList"))
        self.biz_step = self.term("bizStep", event["bizStep"]) if "bizStep" in event else ""
        self.disposition = self.term("disposition", event["disposition"]) if "disposition" in event else ""
        self.read_point = self.thing(event["readPoint"]["id"]) if "readPoint" in event else ""
        self.biz_location = self.thing(event["bizLocation"]["id"]) if "bizLocation" in event else ""
        self.transformation: str = get("transformationID", "")

    def _instances(self, uris: list[str] | None) -> list[str]:
        return [canonical(uri) for uri in uris] if uris else []

    def _quantities(self, items: list[dict[str, Any]] | None) -> list[Quantity]:
        if not items:
            return []
        return [Quantity(canonical(item["epcClass"]), item.get("quantity"), item.get("uom", "")) for item in items]

    def term(self, kind: str, text: str) -> str:
        """Return the URI of a term, by the namespaces of the event."""
        uri = term(kind, text)
        return self.namespaces.expanded(uri) if ":" in uri else uri

    def thing(self, uri: str) -> str:
        """Return an identifier in its one form, by the namespaces of the event."""
        return canonical(self.namespaces.expanded(uri))

    @property
    def event_id(self) -> str:
        """The ``eventID``; "" without one."""
        return self.event.get("eventID", "")

    @property
    def in_error(self) -> bool:
        """Whether it is the declaration that an event was in error."""
        return "errorDeclaration" in self.event

    def parties(self, name: str) -> list[Party]:
        """Return ``sourceList``, ``destinationList`` or ``bizTransactionList``."""
        key, kind = _PARTIES[name]
        return [
            Party(self.term(kind, item["type"]) if "type" in item else "", self.thing(item[key]))
            for item in self.event.get(name, ())
        ]

    def quantities(self) -> list[Quantity]:
        """Return the elements of all lists of quantities."""
        return self.classes + self.input_classes + self.output_classes

    def lots(self) -> list[tuple[str, str]]:
        """Return which instances are of which lot, as far as the event says so.

        A Digital Link may hold both; the master data of what is made (``lotNumber``) says it; and so does an event in
        which things are made that names instances and the one lot of the same trade item together.
        """
        event, found = self.event, list[tuple[str, str]]()
        for name in ("epcList", "childEPCs", "inputEPCList", "outputEPCList"):
            found += [
                (canonical(uri), of)
                for uri in event.get(name, ())
                if ("/10/" in uri or "/lot/" in uri) and (of := lot_of(uri)) is not None
            ]
        made = self.outputs if self.kind == "TransformationEvent" else self.things
        if self.kind == "TransformationEvent" or (self.kind == "ObjectEvent" and self.action == "ADD"):
            ilmd = event.get("ilmd")
            if ilmd:
                for name, value in ilmd.items():
                    if isinstance(value, str) and self.namespaces.expanded(name) in _LOT_NUMBERS:
                        found += [(thing, of) for thing in made if (of := lot(thing, value)) is not None]
            classes = self.output_classes if self.kind == "TransformationEvent" else self.classes
            lots = [item.thing for item in classes if "/10/" in item.thing]
            for thing in made:
                item = thing.partition("/21/")[0]
                same = [of for of in lots if of.partition("/10/")[0] == item]
                if len(same) == 1:
                    found.append((thing, same[0]))
        return list(dict.fromkeys(found)) if found else found


_PARTIES = {
    "sourceList": ("source", "partyType"),
    "destinationList": ("destination", "partyType"),
    "bizTransactionList": ("bizTransaction", "bizTransactionType"),
}
_LOT_NUMBERS = frozenset(("urn:epcglobal:cbv:mda:lotNumber", "https://ref.gs1.org/cbv/lotNumber"))
