"""A model as a NodeSet: an ObjectType with variables, methods and the event types that it generates.

What OPC UA has no place for (choices, deadband, policies, relations …) stands in ``Extensions`` of the node, as JSON in
an element of our own namespace; other readers pass over it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from gongfu.thing.nodeset import vocabulary as ua
from gongfu.thing.nodeset.element import Element
from gongfu.thing.report import Report
from gongfu.thing.types import Event, Field, Model, Property, Service, Titles, plain

_STANDARD = frozenset({"data_type", "unit", "minimum", "maximum", "writable", "required", "titles", "description"})
_OF_FIELDS = frozenset({"fields", "input", "output", "titles", "description"})
_OF_MODELS = frozenset({"properties", "events", "services", "extends", "titles", "description", "abstract"})


def nodeset(model: Model, version: int, report: Report) -> bytes:
    """Return the XML of a model with all that it inherits.

    Args:
        model: the model.
        version: its version.
        report: hears of what is left out.
    """
    if model.extends:
        report.leave_out("extends", f"what it inherits from {model.extends} is written out")
    return _Writer(model, version).write()


class _Writer:
    """Writes one model; node ids are numbers in the order of writing."""

    def __init__(self, model: Model, version: int) -> None:
        self._model = model
        self._version = version
        self._last = 0
        self._root = Element("UANodeSet", xmlns=ua.XML)

    def write(self) -> bytes:
        model, root = self._model, self._root
        uri = f"urn:gongfu:thing-model:type:{quote(model.name, safe='')}"
        root.add("NamespaceUris").add("Uri", uri)
        described = root.add("Models").add("Model", ModelUri=uri, Version=str(self._version))
        described.add("RequiredModel", ModelUri=ua.UA, Version=ua.UA_VERSION, PublicationDate=ua.UA_DATE)
        aliases = root.add("Aliases")
        for name, node in {**ua.NAMES, **ua.REFERENCES}.items():
            aliases.add("Alias", node, Alias=name)
        key = self._new_id()
        node = root.add("UAObjectType", NodeId=key, BrowseName=f"1:{model.name}")
        if model.abstract:
            node.attributes["IsAbstract"] = "true"
        events = {name: self._new_id() for name in model.events}
        further = [("GeneratesEvent", event, True) for event in events.values()]
        self._describe(node, model.name, model.titles, model.description)
        self._refer(node, [("HasSubtype", ua.BASE_OBJECT_TYPE, False), *further])
        self._extend(node, plain(model), _OF_MODELS)
        for name, item in model.properties.items():
            self._variable(key, name, item, item.titles, component=True, writable=item.writable)
        for name, service in model.services.items():
            self._method(key, name, service)
        for name, event in model.events.items():
            self._event(events[name], name, event)
        return root.document()

    def _new_id(self) -> str:
        self._last += 1
        return f"ns=1;i={self._last}"

    def _variable(
        self, parent: str, name: str, item: Property | Field, titles: Titles, *, component: bool, writable: bool
    ) -> None:
        key = self._new_id()
        access = str(ua.READABLE | (ua.WRITABLE if writable else 0))
        node = self._root.add(
            "UAVariable",
            NodeId=key,
            BrowseName=f"1:{name}",
            ParentNodeId=parent,
            DataType=ua.DATA_TYPES[item.data_type],
            AccessLevel=access,
        )
        self._describe(node, name, titles, item.description)
        kind = ua.PROPERTY_TYPE
        if component:
            kind = ua.ANALOG_TYPE if item.unit else ua.DATA_ITEM_TYPE
        reference = "HasComponent" if component else "HasProperty"
        rule = ua.MANDATORY if item.required else ua.OPTIONAL
        self._refer(
            node, [("HasTypeDefinition", kind, True), ("HasModellingRule", rule, True), (reference, parent, False)]
        )
        rest = plain(item)
        if item.data_type == "json":
            rest["dataType"] = "json"
        bounded = item.minimum is not None or item.maximum is not None
        # Range has both bounds, and doubles only.
        exact = {"minimum", "maximum"} if bounded else set[str]()
        self._extend(node, rest, _STANDARD - exact)
        if item.unit:
            self._unit(key, item.unit)
        if bounded:
            self._range(key, item)

    def _unit(self, parent: str, unit: str) -> None:
        value = self._of_variable(parent, ua.UNITS, ua.EU_INFORMATION)
        body = _extension_object(value, ua.EU_INFORMATION_XML).add("EUInformation", xmlns=ua.TYPES_XML)
        body.add("NamespaceUri", ua.UCUM)
        body.add("UnitId", "-1")
        body.add("DisplayName").add("Text", unit)

    def _range(self, parent: str, item: Property | Field) -> None:
        value = self._of_variable(parent, ua.EU_RANGE, ua.RANGE)
        body = _extension_object(value, ua.RANGE_XML).add("Range", xmlns=ua.TYPES_XML)
        body.add("Low", "-INF" if item.minimum is None else repr(float(item.minimum)))
        body.add("High", "INF" if item.maximum is None else repr(float(item.maximum)))

    def _of_variable(self, parent: str, name: str, data_type: str) -> Element:
        """Return the value of a new property of namespace 0."""
        node = self._root.add(
            "UAVariable", NodeId=self._new_id(), BrowseName=name, ParentNodeId=parent, DataType=data_type
        )
        node.add("DisplayName", name)
        self._refer(
            node,
            [
                ("HasTypeDefinition", ua.PROPERTY_TYPE, True),
                ("HasModellingRule", ua.MANDATORY, True),
                ("HasProperty", parent, False),
            ],
        )
        return node.add("Value")

    def _method(self, parent: str, name: str, service: Service) -> None:
        key = self._new_id()
        node = self._root.add("UAMethod", NodeId=key, BrowseName=f"1:{name}", ParentNodeId=parent)
        self._describe(node, name, service.titles, service.description)
        self._refer(node, [("HasModellingRule", ua.OPTIONAL, True), ("HasComponent", parent, False)])
        rest = plain(service)
        # What an Argument cannot say of a field.
        for group in ("input", "output"):
            rest[f"{group}_fields"] = rest.get(group, {})
        self._extend(node, rest, _OF_FIELDS)
        for what, fields in ((ua.INPUT, service.input), (ua.OUTPUT, service.output)):
            if fields:
                self._arguments(key, what, fields)

    def _arguments(self, parent: str, what: str, fields: Mapping[str, Field]) -> None:
        value = self._of_variable(parent, what, ua.ARGUMENT)
        listed = value.add("ListOfExtensionObject", "\n", xmlns=ua.TYPES_XML)
        for name, field in fields.items():
            body = _extension_object(listed, ua.ARGUMENT_XML).add("Argument")
            body.add("Name", name)
            body.add("DataType").add("Identifier", ua.DATA_TYPES[field.data_type])
            body.add("ValueRank", "-1")
            body.add("ArrayDimensions")
            body.add("Description").add("Text", field.description)

    def _event(self, key: str, name: str, event: Event) -> None:
        node = self._root.add("UAObjectType", NodeId=key, BrowseName=f"1:{name}")
        self._describe(node, name, event.titles, event.description)
        self._refer(node, [("HasSubtype", ua.BASE_EVENT_TYPE, False)])
        self._extend(node, plain(event), _OF_FIELDS)
        for field, item in event.fields.items():
            self._variable(key, field, item, Titles(), component=False, writable=False)

    @staticmethod
    def _describe(node: Element, name: str, titles: Titles, description: str) -> None:
        for language, text in (("en", titles.en), ("zh", titles.zh)):
            if text:
                node.add("DisplayName", text, Locale=language)
        if titles == Titles():
            node.add("DisplayName", name)
        if description:
            node.add("Description", description)

    @staticmethod
    def _refer(node: Element, references: list[tuple[str, str, bool]]) -> None:
        group = node.add("References")
        for kind, target, forward in references:
            reference = group.add("Reference", target, ReferenceType=kind)
            if not forward:
                reference.attributes["IsForward"] = "false"

    @staticmethod
    def _extend(node: Element, document: dict[str, Any], standard: frozenset[str] | set[str]) -> None:
        rest = {name: item for name, item in document.items() if name not in standard and item not in ({}, [])}
        if rest:
            text = msgspec.json.encode(rest).decode()
            node.add("Extensions").add("Extension").add("ThingModel", text, xmlns=ua.OURS)


def _extension_object(parent: Element, kind: str) -> Element:
    # asyncua 2.1 takes a value for none whose element has no text before the first inside.
    box = parent.add("ExtensionObject", "\n", xmlns=ua.TYPES_XML)
    box.add("TypeId").add("Identifier", kind)
    return box.add("Body")
