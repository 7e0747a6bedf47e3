"""The address space: assets as objects of a type, points as variables.

Objects/资产 holds the tree of assets. An asset of type ``pump@2`` is an object of ObjectType ``pump``, which declares
the points its assets have as optional variables, so that a client can read the type like a companion specification's.
NodeIds are the paths (``ns=2;s=line/pump`` and ``ns=2;s=line/pump//pressure``), so they last over restarts.
Source: OPC 10000-3 §6 (type model), OPC 10000-8 §5.3.2 (AnalogUnitType with EngineeringUnits).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.quality import status_of
from gongfu.connect.opcua.server.source import LatestPoint, ShownAsset, ShownPoint
from gongfu.connect.opcua.units import CEFACT, unit_id_of

NAMESPACE = "urn:gongfu:assets"
FOLDER = "资产"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VARIANTS = {"double": "Double", "int64": "Int64", "boolean": "Boolean", "string": "String", "json": "String"}


def type_name(text: str) -> str:
    """Return the name of a thing model without its version (``pump@2`` -> ``pump``)."""
    return text.partition("@")[0]


def point_id(asset: str, name: str) -> str:
    """Return the NodeId text of a point; a path has no empty name, so "//" cannot be part of one."""
    return f"{asset}//{name}"


def data_value(value_type: str, latest: LatestPoint | None) -> Any:
    """Return the DataValue of a point: bad without a value (OPC 10000-4 §7.7)."""
    kind = getattr(ua.VariantType, _VARIANTS[value_type])
    if latest is None:
        return ua.DataValue(ua.Variant(None, ua.VariantType.Null), ua.StatusCode(0x80320000))
    moment = _EPOCH + timedelta(microseconds=latest.time // 1000)
    value = latest.value
    if value is None or (kind.name == "String" and not isinstance(value, str)):
        value = None if value is None else str(value)
    variant = ua.Variant(value, kind) if value is not None else ua.Variant(None, ua.VariantType.Null)
    return ua.DataValue(variant, ua.StatusCode(status_of(latest.quality)), moment, datetime.now(UTC))


class Space:
    """The nodes of one server.

    Attributes:
        points: series -> (encoded id, value type) of the variables that are there.
    """

    def __init__(self, server: Any) -> None:
        self.points: dict[int, tuple[Any, str]] = {}
        self._server = server
        self._index = 0
        self._root: Any = None
        self._assets: dict[str, tuple[Any, ShownAsset]] = {}
        self._shown: dict[int, tuple[ShownPoint, Any]] = {}
        self._types: dict[str, Any] = {}
        self._declared: dict[str, set[str]] = {}

    async def prepare(self) -> None:
        """Make namespace and folder."""
        self._index = await self._server.register_namespace(NAMESPACE)
        self._root = await self._server.nodes.objects.add_folder(self._id(FOLDER), self._named(FOLDER))

    async def match(self, assets: Sequence[ShownAsset], points: Sequence[ShownPoint]) -> int:
        """Add and remove nodes until the space shows exactly these; returns how many changed."""
        wanted = {asset.path: asset for asset in assets}
        kept = {point.series: point for point in points if point.asset in wanted}
        changed = 0
        for series, (shown, node) in list(self._shown.items()):
            if kept.get(series) != shown:
                await self._server.delete_nodes([node], recursive=True)
                del self._shown[series], self.points[series]
                changed += 1
        for path, (node, shown) in sorted(self._assets.items(), reverse=True):
            if wanted.get(path) != shown:
                await self._remove_below(path)
                await self._server.delete_nodes([node], recursive=True)
                del self._assets[path]
                changed += 1
        for path in sorted(wanted):
            if path not in self._assets:
                await self._add_asset(wanted[path])
                changed += 1
        for series, point in kept.items():
            if series not in self._shown:
                await self._add_point(point, type_name(wanted[point.asset].type))
                changed += 1
        return changed

    def _id(self, text: str) -> Any:
        return ua.NodeId(text, self._index)

    def _named(self, name: str) -> Any:
        return ua.QualifiedName(name, self._index)

    async def _remove_below(self, path: str) -> None:
        for series, (shown, _) in list(self._shown.items()):
            if shown.asset == path or shown.asset.startswith(path + "/"):
                del self._shown[series], self.points[series]
        for other in [p for p in self._assets if p.startswith(path + "/")]:
            del self._assets[other]

    async def _add_asset(self, asset: ShownAsset) -> None:
        parent_path, _, name = asset.path.rpartition("/")
        parent = self._assets[parent_path][0] if parent_path in self._assets else self._root
        kind = await self._type(type_name(asset.type)) if asset.type else None
        node = await parent.add_object(
            self._id(asset.path), self._named(name), kind.nodeid if kind else None, instantiate_optional=False
        )
        self._assets[asset.path] = (node, asset)

    async def _type(self, name: str) -> Any:
        if name not in self._types:
            base = self._server.nodes.base_object_type
            self._types[name] = await base.add_object_type(self._id(f"type//{name}"), self._named(name))
            self._declared[name] = set()
        return self._types[name]

    async def _add_point(self, point: ShownPoint, kind: str) -> None:
        if kind and point.name not in self._declared.get(kind, set()):
            self._declared[kind].add(point.name)
            declared = await self._variable(self._types[kind], f"type//{kind}//{point.name}", point)
            await declared.set_modelling_rule(False)
        node = await self._variable(self._assets[point.asset][0], point_id(point.asset, point.name), point)
        self._shown[point.series] = (point, node)
        self.points[point.series] = (node.nodeid, point.value_type)

    async def _variable(self, parent: Any, identifier: str, point: ShownPoint) -> Any:
        kind = getattr(ua.VariantType, _VARIANTS[point.value_type])
        zero = {"Double": 0.0, "Int64": 0, "Boolean": False, "String": ""}[kind.name]
        node = await parent.add_variable(self._id(identifier), self._named(point.name), zero, kind)
        await node.write_value(data_value(point.value_type, None))
        if point.unit:
            unit = ua.EUInformation()
            unit.NamespaceUri = CEFACT
            unit.UnitId = unit_id_of(point.unit)
            unit.DisplayName = ua.LocalizedText(point.unit)
            await node.add_property(self._id(identifier + "//unit"), ua.QualifiedName("EngineeringUnits", 0), unit)
        return node
