"""A NodeSet as models: one of each ObjectType that is no type of events.

A type has what the types of the same file have that it is a subtype of; it is written out. Variables inside objects are
properties whose names are paths joined with ".". What a model cannot hold is left out and reported.
"""

from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from gongfu.kernel.errors import invalid
from gongfu.thing.names import TEXT, TITLE, fit_model_name, fit_name, fit_text
from gongfu.thing.nodeset import vocabulary as ua
from gongfu.thing.report import Report
from gongfu.thing.types import MAX_MEMBERS, Event, Field, Model, Property, Service, Titles
from gongfu.thing.units import ucum

MAX_NODES = 100_000
MAX_MODELS = 500
_MAX_DEPTH = 16
_NODES = {"UAObjectType", "UAVariable", "UAMethod", "UAObject", "UAVariableType", "UADataType", "UAReferenceType"}
_X, _T, _OURS = f"{{{ua.XML}}}", f"{{{ua.TYPES_XML}}}", f"{{{ua.OURS}}}"


def read_nodeset(content: bytes, report: Report) -> list[Model]:
    """Return the models of a NodeSet; those that others are a subtype of first.

    Args:
        content: the XML.
        report: hears of what is left out.

    Raises:
        Problem: 400; not XML, not a NodeSet, with a document type, too large, or without an ObjectType.
    """
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise invalid(f"not the XML of a NodeSet: {str(error)[:200] or type(error).__name__}") from None
    if root.tag != f"{_X}UANodeSet":
        raise invalid("not a UANodeSet (OPC 10000-6 Annex F)")
    return _Reader(root, report).models()


class _Node:
    """A node: its element, and its references as (kind, forward, target)."""

    def __init__(self, element: Element, kind: str, aliases: dict[str, str]) -> None:
        self.element = element
        self.kind = kind
        name = element.get("BrowseName", "")
        space, colon, rest = name.partition(":")
        self.name = rest if colon and space.isdigit() else name
        self.references: list[tuple[str, bool, str]] = []
        for reference in element.iterfind(f"{_X}References/{_X}Reference"):
            target, what = (reference.text or "").strip(), reference.get("ReferenceType", "")
            forward = reference.get("IsForward", "true") != "false"
            self.references.append((aliases.get(what, what), forward, aliases.get(target, target)))

    def targets(self, kind: str, *, forward: bool = True) -> list[str]:
        return [target for what, onward, target in self.references if what == kind and onward is forward]


class _Reader:
    def __init__(self, root: Element, report: Report) -> None:
        self._report = report
        self._aliases = dict(ua.REFERENCES) | ua.NAMES
        for alias in root.iterfind(f"{_X}Aliases/{_X}Alias"):
            self._aliases[alias.get("Alias", "")] = (alias.text or "").strip()
        self._nodes: dict[str, _Node] = {}
        for element in root:
            kind = element.tag.removeprefix(_X)
            if kind not in _NODES:
                continue
            if len(self._nodes) >= MAX_NODES:
                raise invalid(f"a NodeSet has at most {MAX_NODES} nodes here")
            self._nodes[element.get("NodeId", "")] = _Node(element, kind, self._aliases)
        self._members: dict[str, list[str]] = {}
        for key, node in self._nodes.items():
            for what, forward, target in node.references:
                if what in ua.MEMBERS:
                    parent, member = (key, target) if forward else (target, key)
                    listed = self._members.setdefault(parent, [])
                    if member not in listed:
                        listed.append(member)

    def models(self) -> list[Model]:
        """Return the models."""
        types = [key for key, node in self._nodes.items() if node.kind == "UAObjectType"]
        events = {key for key in types if self._is_event(key)}
        generated = {event for key in types for event in self._nodes[key].targets(ua.REFERENCES["GeneratesEvent"])}
        models: dict[str, Model] = {}
        for key in sorted(set(types) - events, key=lambda key: len(self._line(key))):
            if len(models) >= MAX_MODELS:
                raise invalid(f"a NodeSet has at most {MAX_MODELS} object types here")
            model = self._model(key)
            if model.name in (other.name for other in models.values()):
                self._report.leave_out(model.name, "another type has this name already")
            else:
                models[key] = model
        for key in events - generated:
            self._report.leave_out(self._nodes[key].name, "a type of events that no type generates")
        for node in self._nodes.values():
            if node.kind in ("UAVariableType", "UADataType", "UAReferenceType"):
                self._report.leave_out(node.name, f"a model has no place for a {node.kind.removeprefix('UA')}")
        if not models:
            raise invalid("the NodeSet has no ObjectType that could be a thing model")
        return list(models.values())

    def _line(self, key: str) -> list[str]:
        """Return a type and those of this file that it is a subtype of, itself first."""
        line: list[str] = []
        while key in self._nodes and key not in line:
            line.append(key)
            parents = self._nodes[key].targets(ua.REFERENCES["HasSubtype"], forward=False)
            key = parents[0] if parents else ""
        return line

    def _is_event(self, key: str) -> bool:
        last = self._line(key)[-1]
        return ua.BASE_EVENT_TYPE in self._nodes[last].targets(ua.REFERENCES["HasSubtype"], forward=False)

    def _model(self, key: str) -> Model:
        line = self._line(key)
        node, report = self._nodes[key], self._report
        roots = self._nodes[line[-1]].targets(ua.REFERENCES["HasSubtype"], forward=False)
        for parent in roots:
            if parent != ua.BASE_OBJECT_TYPE and parent not in self._nodes:
                report.leave_out(node.name, f"what it inherits from {parent}, which is not in this file")
        if len(line) > 1:
            report.leave_out(
                f"{node.name}.extends", f"what it inherits from {self._nodes[line[1]].name} is written out"
            )
        properties: dict[str, Property] = {}
        services: dict[str, Service] = {}
        events: dict[str, Event] = {}
        for ancestor in reversed(line):
            self._take(ancestor, "", properties, services, 0)
            for event in self._nodes[ancestor].targets(ua.REFERENCES["GeneratesEvent"]):
                if event in self._nodes:
                    events[fit_name(self._nodes[event].name, report, f"events.{event}")] = self._event(event)
        extension = _extension(node.element)
        document = {
            **extension,
            "name": fit_model_name(extension.get("name") or node.name, report, "BrowseName"),
            "abstract": node.element.get("IsAbstract", "false") == "true",
            "titles": self._titles(node),
            "description": self._description(node),
        }
        model: Model = _convert(document, Model, node.name)
        return msgspec.structs.replace(model, properties=properties, services=services, events=events)

    def _take(
        self, key: str, prefix: str, properties: dict[str, Property], services: dict[str, Service], depth: int
    ) -> None:
        for member in self._members.get(key, ()):
            node = self._nodes.get(member)
            if node is None:
                self._report.leave_out(f"{prefix}{member}", "it is not in this file")
                continue
            name = fit_name(prefix + node.name, self._report, prefix + node.name)
            if len(properties) + len(services) >= MAX_MEMBERS:
                raise invalid(f"a type has at most {MAX_MEMBERS} variables and methods here")
            if node.kind == "UAVariable":
                properties[name] = self._property(member, name)
            elif node.kind == "UAMethod":
                services[name] = self._service(member, name)
            elif node.kind == "UAObject" and depth < _MAX_DEPTH:
                self._take(member, f"{prefix}{node.name}.", properties, services, depth + 1)
            else:
                self._report.leave_out(name, f"a model has no place for a {node.kind.removeprefix('UA')} there")

    def _property(self, key: str, name: str) -> Property:
        node = self._nodes[key]
        access = node.element.get("AccessLevel", "1")
        writable = access.isdigit() and bool(int(access[:10]) & ua.WRITABLE)
        document = {**self._value(key, name), "titles": self._titles(node), "writable": writable}
        return _convert(document, Property, name)

    def _value(self, key: str, name: str) -> dict[str, Any]:
        node = self._nodes[key]
        extension = _extension(node.element)
        kind = extension.pop("dataType", "") or self._data_type(node.element.get("DataType", "i=24"), name)
        if node.element.get("ValueRank", "-1") not in ("-1", "-2", "-3"):
            self._report.leave_out(name, "an array: taken as json")
            kind = "json"
        rule = node.targets(ua.REFERENCES["HasModellingRule"])
        document: dict[str, Any] = {
            "data_type": kind,
            "description": self._description(node),
            "required": ua.MANDATORY in rule,
        }
        for member in self._members.get(key, ()):
            inner = self._nodes.get(member)
            if inner is None:
                continue
            if inner.name == ua.UNITS:
                unit = next((item.text or "" for item in inner.element.iter(f"{_T}Text")), "")
                if unit and kind in ("double", "int64"):
                    document["unit"] = ucum(unit, {}, f"{name}.unit", self._report)
            elif inner.name == ua.EU_RANGE:
                document |= self._range(inner.element, kind, name)
            else:
                self._report.leave_out(f"{name}.{inner.name}", "a property of a variable")
        return {**document, **extension}

    def _range(self, element: Element, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for bound, tag in (("minimum", "Low"), ("maximum", "High")):
            text = next((item.text or "" for item in element.iter(f"{_T}{tag}")), "")
            if not text or text.strip().lstrip("+-") == "INF" or kind not in ("double", "int64"):
                continue
            try:
                number = float(text)
            except ValueError:
                self._report.leave_out(f"{name}.{bound}", f"{text[:60]!r} is no number")
                continue
            found[bound] = int(number) if kind == "int64" else number
        return found

    def _data_type(self, text: str, name: str) -> str:
        key = self._aliases.get(text, text)
        found = ua.BUILT_IN.get(key)
        if found is None:
            node = self._nodes.get(key)
            self._report.leave_out(f"{name}.DataType", f"{node.name if node else key}: taken as json")
            return "json"
        return found

    def _service(self, key: str, name: str) -> Service:
        node = self._nodes[key]
        extension = _extension(node.element)
        fields: dict[str, dict[str, Any]] = {"input": {}, "output": {}}
        for member in self._members.get(key, ()):
            inner = self._nodes.get(member)
            if inner is not None and inner.name in (ua.INPUT, ua.OUTPUT):
                group = "input" if inner.name == ua.INPUT else "output"
                fields[group] = dict(self._arguments(inner.element, f"{name}.{group}"))
        for group in ("input", "output"):
            said = extension.pop(f"{group}_fields", None)
            if isinstance(said, dict):
                fields[group] = said
        document = {**extension, **fields, "titles": self._titles(node), "description": self._description(node)}
        return _convert(document, Service, name)

    def _arguments(self, element: Element, where: str) -> Iterable[tuple[str, Any]]:
        for number, argument in enumerate(element.iter(f"{_T}Argument")):
            name = (argument.findtext(f"{_T}Name") or f"argument {number}").strip()
            identifier = (argument.findtext(f"{_T}DataType/{_T}Identifier") or "").strip()
            rank = (argument.findtext(f"{_T}ValueRank") or "-1").strip()
            kind = self._data_type(identifier, f"{where}.{name}") if rank == "-1" else "json"
            text = argument.findtext(f"{_T}Description/{_T}Text") or ""
            description = fit_text(text, TEXT, self._report, f"{where}.{name}")
            yield fit_name(name, self._report, f"{where}.{name}"), {"data_type": kind, "description": description}

    def _event(self, key: str) -> Event:
        fields: dict[str, Field] = {}
        for ancestor in reversed(self._line(key)):
            for member in self._members.get(ancestor, ()):
                node = self._nodes.get(member)
                if node is not None and node.kind == "UAVariable":
                    name = fit_name(node.name, self._report, node.name)
                    fields[name] = _convert(self._value(member, name), Field, name)
        node = self._nodes[key]
        document = {
            **_extension(node.element), "titles": self._titles(node), "description": self._description(node)
        }  # fmt: skip
        event: Event = _convert(document, Event, node.name)
        return msgspec.structs.replace(event, fields=fields)

    def _titles(self, node: _Node) -> dict[str, str]:
        found = {"zh": "", "en": ""}
        for name in node.element.iterfind(f"{_X}DisplayName"):
            text, language = name.text or "", name.get("Locale", "").lower().partition("-")[0]
            if language in found:
                found[language] = found[language] or fit_text(text, TITLE, self._report, node.name)
            elif language:
                self._report.leave_out(f"{node.name}.DisplayName", f"language {language[:20]}")
            elif text != node.name:
                found["en"] = found["en"] or fit_text(text, TITLE, self._report, node.name)
        return msgspec.to_builtins(Titles(**found))

    def _description(self, node: _Node) -> str:
        found = [item.text or "" for item in node.element.iterfind(f"{_X}Description")]
        for _ in found[1:]:
            self._report.leave_out(f"{node.name}.Description", "a model has one description")
        return fit_text(found[0], TEXT, self._report, node.name) if found else ""


def _extension(element: Element) -> dict[str, Any]:
    text = element.findtext(f"{_X}Extensions/{_X}Extension/{_OURS}ThingModel")
    if not text:
        return {}
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _convert(document: dict[str, Any], kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise invalid(f"{where}: {error}") from None
