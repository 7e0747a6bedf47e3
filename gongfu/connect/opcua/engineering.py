"""Unit and range of variables, from their properties EngineeringUnits and EURange.

Source: OPC 10000-8 §5.3.2.3 (AnalogUnitType, AnalogItemType), §5.6.3 (EUInformation, Range), OPC 10000-4 §5.8.2.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import msgspec

from gongfu.connect.opcua.library import ua
from gongfu.connect.opcua.limits import Limits
from gongfu.connect.opcua.session import Session
from gongfu.connect.opcua.units import code_of, ucum_of

UNITS, RANGE = "EngineeringUnits", "EURange"


class Engineering(msgspec.Struct, frozen=True):
    """What a server says of a variable.

    Attributes:
        text: the unit as it shows it, or the UN/ECE code, "" for none.
        unit: UCUM code, "" when it is not known.
        low, high: range, None for none.
    """

    text: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def span(self) -> str:
        """The range in words, "" for none."""
        return "" if self.low is None or self.high is None else f"range {self.low:g}…{self.high:g}"


# A property of a variable: index of the variable, its name, its NodeId.
Place = tuple[int, str, Any]


async def engineering_of(session: Session, variables: Sequence[Any], limits: Limits) -> list[Engineering]:
    """Return what the server says of variables, given as NodeIds of asyncua.

    Raises:
        DriverError: the connection failed, or the server does not answer such requests.
    """
    return await read_places(session, len(variables), await places_of_units(session, variables, limits), limits)


async def places_of_units(session: Session, variables: Sequence[Any], limits: Limits) -> list[Place]:
    """Return where the units and ranges of variables are; errors as ``engineering_of``."""
    found: list[Place] = []
    for start in range(0, len(variables), limits.browse):
        parameters = ua.BrowseParameters()
        parameters.View = ua.ViewDescription()
        parameters.NodesToBrowse = [
            browse_description(node, ua.ObjectIds.HasProperty) for node in variables[start : start + limits.browse]
        ]
        work = session.client.uaclient.session.browse(parameters)
        results = await session.guard("Browsing properties at " + session.url, work)
        for n, result in enumerate(results, start):
            for reference in result.References or []:
                if reference.BrowseName.Name in (UNITS, RANGE):
                    node = reference.NodeId
                    found.append(
                        (n, reference.BrowseName.Name, ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType))
                    )
    return found


async def read_places(session: Session, n: int, places: Sequence[Place], limits: Limits) -> list[Engineering]:
    """Return what the properties of ``n`` variables say now; errors as ``engineering_of``."""
    found = [Engineering()] * n
    reader = session.client.uaclient.session
    for start in range(0, len(places), limits.read):
        part = places[start : start + limits.read]
        work = reader.read_attributes([node for _, _, node in part], ua.AttributeIds.Value)
        values = await session.guard("Reading units at " + session.url, work)
        for (index, name, _), value in zip(part, values, strict=False):
            content: Any = value.Value.Value if value.Value is not None else None
            found[index] = _with(found[index], name, content)
    return found


def _with(known: Engineering, name: str, content: Any) -> Engineering:
    if name == UNITS and type(content).__name__ == "EUInformation":
        shown = content.DisplayName.Text or ""
        unit = ucum_of(content.NamespaceUri or "", content.UnitId, shown)
        text = shown.strip() or code_of(content.UnitId)
        return msgspec.structs.replace(known, text=text, unit=unit)
    if name == RANGE and type(content).__name__ == "Range" and isfinite(content.Low) and isfinite(content.High):
        return msgspec.structs.replace(known, low=float(content.Low), high=float(content.High))
    return known


def browse_description(node: Any, references: int) -> Any:
    """Return what asks for objects, variables and methods behind forward references of a type."""
    wanted = ua.BrowseDescription()
    wanted.NodeId = node
    wanted.BrowseDirection = ua.BrowseDirection.Forward
    wanted.ReferenceTypeId = ua.NodeId(references)
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = ua.NodeClass.Object | ua.NodeClass.Variable | ua.NodeClass.Method
    wanted.ResultMask = ua.BrowseResultMask.All
    return wanted
