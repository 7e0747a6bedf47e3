"""What is below a node: names, types, units, ranges and present values.

Source: OPC 10000-4 §5.8.2 (Browse, BrowseNext), OPC 10000-8 §5.3.2 (AnalogItem: EURange, EngineeringUnits). One page
costs a handful of requests, however many nodes it has.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Literal

from asyncua.ua.ua_binary import nodeid_to_binary

from gongfu.connect.kit.types import DriverError, Node, NodePage, Reason, Value
from gongfu.connect.opcua.addressing import resolve
from gongfu.connect.opcua.bulk_read import read_once, to_node_id
from gongfu.connect.opcua.data_types import BUILT_IN, value_type_of
from gongfu.connect.opcua.engineering import browse_description, engineering_of
from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.limits import Limits
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.targets import namespaces_of

DESCRIPTION, VALUE, DATA_TYPE, VALUE_RANK, USER_ACCESS = 5, 13, 14, 15, 18
_WRITE = 0x02
_HIDDEN = {"InputArguments", "OutputArguments", "NodeVersion", "EventHistory"}
MAX_KEPT = 20
"""Rests of pages that are kept for servers that answer more than was asked for."""

_SERVER = ua.NodeId(ua.ObjectIds.Server)


class Browser:
    """Browses one server; remembers data types and type names it has asked for."""

    def __init__(self, session: Session, limits: Limits) -> None:
        self._session = session
        self._limits = limits
        self._built_in: dict[str, str] = {}
        self._type_names: dict[str, str] = {}
        self._namespaces: list[str] = []
        self._kept: dict[str, tuple[list[Any], str]] = {}
        self._turn = 0

    async def browse(self, parent: str, limit: int, cursor: str) -> NodePage:
        """Return at most ``limit`` nodes below ``parent`` (``""``: the Objects folder); as ``Driver.browse``.

        Raises:
            DriverError: there is no such parent, the cursor is not of this session, or the connection failed.
        """
        if not self._namespaces:
            self._namespaces = await namespaces_of(self._session)
        top = not parent
        node = ua.NodeId(ua.ObjectIds.ObjectsFolder) if top else to_node_id(resolve(parent, self._namespaces))
        if cursor.startswith("+"):
            below, point = self._kept.pop(cursor, ([], ""))
        else:
            found = await (self._next(cursor) if cursor else self._first(node, limit))
            point = base64.b64encode(found.ContinuationPoint).decode() if found.ContinuationPoint else ""
            below = [r for r in found.References or [] if not (top and r.NodeId == _SERVER)]
            below = [r for r in below if r.BrowseName.Name not in _HIDDEN and not getattr(r.NodeId, "ServerIndex", 0)]
        if len(below) > limit:  # a server that does not count: the rest waits here
            self._turn += 1
            self._kept[f"+{self._turn}"] = (below[limit:], point)
            below, point = below[:limit], f"+{self._turn}"
            while len(self._kept) > MAX_KEPT:
                self._kept.pop(next(iter(self._kept)))
        return NodePage(items=await self._described(below), next=point)

    async def _first(self, node: Any, limit: int) -> Any:
        parameters = ua.BrowseParameters()
        parameters.View = ua.ViewDescription()
        parameters.RequestedMaxReferencesPerNode = limit
        parameters.NodesToBrowse = [browse_description(node, ua.ObjectIds.HierarchicalReferences)]
        work = self._session.client.uaclient.session.browse(parameters)
        result = (await self._session.guard(f"Browsing {node.to_string()} at {self._session.url}", work))[0]
        return await self._checked(result, node.to_string())

    async def _next(self, cursor: str) -> Any:
        try:
            point = base64.b64decode(cursor, validate=True)
        except (ValueError, binascii.Error):
            raise DriverError(Reason.RANGE, "This is no cursor of browsing.", "Begin browsing anew.") from None
        parameters = ua.BrowseNextParameters()
        parameters.ReleaseContinuationPoints = False
        parameters.ContinuationPoints = [point]
        work = self._session.client.uaclient.session.browse_next(parameters)
        result = (await self._session.guard("Browsing on at " + self._session.url, work))[0]
        return await self._checked(result, "the next page")

    async def _checked(self, result: Any, what: str) -> Any:
        async def check() -> Any:
            result.StatusCode.check()
            return result

        return await self._session.guard(f"Browsing {what} at {self._session.url}", check())

    async def _described(self, below: Sequence[Any]) -> list[Node]:
        nodes = [nodeid_to_binary(_plain(r.NodeId)) for r in below]
        variables = [i for i, r in enumerate(below) if r.NodeClass == ua.NodeClass.Variable]
        facts = await self._facts([nodes[i] for i in variables])
        units = await engineering_of(self._session, [_plain(below[i].NodeId) for i in variables], self._limits)
        types = await self._names_of_types([r.TypeDefinition for r in below])
        at = {index: n for n, index in enumerate(variables)}
        described: list[Node] = []
        for index, reference in enumerate(below):
            number = at.get(index)
            name = reference.BrowseName.Name or ""
            shown = reference.DisplayName.Text or ""
            words = [shown] if shown and shown != name else []
            common = {
                "where": _plain(reference.NodeId).to_string(),
                "name": name or shown,
                "type_name": types[index],
            }
            if number is None:
                kind = _kind(reference)
                described.append(Node(**common, kind=kind, description="; ".join(words), has_children=kind != "method"))
                continue
            value_type, writable, sample, text = facts[number]
            said = units[number]
            words += [text] if text and text not in words else []
            words += [said.span] if said.span else []
            described.append(
                Node(
                    **common,
                    kind="variable",
                    value_type=value_type,
                    unit=said.unit,
                    unit_text=said.text if not said.unit else "",
                    writable=writable,
                    description="; ".join(words),
                    sample=sample,
                    has_children=types[index] not in ("PropertyType",),
                )
            )
        return described

    async def _facts(self, nodes: Sequence[bytes]) -> list[tuple[str, bool, Value, str]]:
        """Return value type, writable, sample and description of variables."""
        if not nodes:
            return []
        batch = self._limits.read
        types = await read_once(self._session, nodes, DATA_TYPE, batch)
        ranks = await read_once(self._session, nodes, VALUE_RANK, batch)
        access = await read_once(self._session, nodes, USER_ACCESS, batch)
        words = await read_once(self._session, nodes, DESCRIPTION, batch)
        values = await read_once(self._session, nodes, VALUE, batch)
        found: list[tuple[str, bool, Value, str]] = []
        for n in range(len(nodes)):
            kind = types.values[n]
            rank = ranks.values[n]
            basic = await self._basic(kind) if isinstance(kind, str) else ""
            value = values.values[n] if not values.status[n] & 0x8000_0000 else None
            actual = rank if isinstance(rank, int) else -1
            if actual in (-2, -3):  # scalar or array: what it is now
                actual = 1 if isinstance(value, list) else -1
            level = access.values[n]
            text = words.values[n]
            found.append(
                (
                    value_type_of(basic, actual),
                    isinstance(level, int) and bool(level & _WRITE),
                    value if not isinstance(value, list | bytes) or len(value) <= 100 else value[:100],
                    text if isinstance(text, str) else "",
                )
            )
        return found

    async def _basic(self, data_type: str) -> str:
        """Return the basic data type that ``data_type`` comes from (HasSubtype backwards)."""
        if data_type in BUILT_IN:
            return data_type
        if data_type not in self._built_in:
            parameters = ua.BrowseParameters()
            parameters.View = ua.ViewDescription()
            wanted = browse_description(ua.NodeId.from_string(data_type), ua.ObjectIds.HasSubtype)
            wanted.BrowseDirection = ua.BrowseDirection.Inverse
            wanted.NodeClassMask = 0
            parameters.NodesToBrowse = [wanted]
            work = self._session.client.uaclient.session.browse(parameters)
            result = (await self._session.guard("Asking for a data type at " + self._session.url, work))[0]
            self._built_in[data_type] = ""  # a circle of types ends here
            if result.References:
                self._built_in[data_type] = await self._basic(_plain(result.References[0].NodeId).to_string())
        return self._built_in[data_type]

    async def _names_of_types(self, definitions: Sequence[Any]) -> list[str]:
        texts = [_plain(d).to_string() if d is not None and not d.is_null() else "" for d in definitions]
        new = sorted({text for text in texts if text and text not in self._type_names})
        if new:
            nodes = [nodeid_to_binary(ua.NodeId.from_string(text)) for text in new]
            names = await read_once(self._session, nodes, 3, self._limits.read)
            for text, name in zip(new, names.values, strict=True):
                self._type_names[text] = name if isinstance(name, str) else ""
        return [self._type_names.get(text, "") for text in texts]


def _plain(node: Any) -> Any:
    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)


def _kind(reference: Any) -> Literal["folder", "object", "method"]:
    if reference.NodeClass == ua.NodeClass.Method:
        return "method"
    return "folder" if reference.TypeDefinition == ua.NodeId(ua.ObjectIds.FolderType) else "object"
