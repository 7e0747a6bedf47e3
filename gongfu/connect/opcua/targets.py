"""What is subscribed: addresses resolved at the server, with the data type of each node."""

from collections.abc import Callable, Sequence

import msgspec

from gongfu.connect.kit.types import Address, DriverError
from gongfu.connect.opcua.addressing import encode, parse, resolve
from gongfu.connect.opcua.bulk_read import read_once
from gongfu.connect.opcua.limits import Limits
from gongfu.connect.opcua.session import Session

DATA_TYPE = 14
"""AttributeId."""

_NUMERIC = {f"i={number}" for number in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 26, 27, 28, 290)}


class Target(msgspec.Struct, frozen=True):
    """One address at the server.

    Attributes:
        address: index into the addresses.
        node: encoded NodeId.
        data_type: NodeId of its DataType, ``""`` unknown.
        status: StatusCode of asking for it; bad when the server has no such node.
        every: seconds.
        deadband: absolute, in the machine's own unit; 0: none.
    """

    address: int
    node: bytes
    data_type: str
    status: int
    every: float
    deadband: float


async def namespaces_of(session: Session) -> list[str]:
    """Return the server's namespace URIs by index.

    Raises:
        DriverError: the connection failed.
    """
    found = await read_once(session, [encode(0, 2255)], 13, 0)
    uris = found.values[0]
    return [str(uri) for uri in uris] if isinstance(uris, list) else []


async def targets_of(session: Session, addresses: Sequence[Address], limits: Limits, deadbands: bool) -> list[Target]:
    """Resolve addresses and ask for their types; ordered by type, so that answers are runs of one shape.

    Args:
        session: an open session.
        addresses: what is wanted.
        limits: of the server.
        deadbands: ask the server for the addresses' deadbands.

    Raises:
        DriverError: the connection failed, or an address cannot be understood.
    """
    namespaces = await namespaces_of(session)
    nodes = [resolve(address.where, namespaces) for address in addresses]
    types = await read_once(session, nodes, DATA_TYPE, limits.read)
    found: list[Target] = []
    for index, (address, node) in enumerate(zip(addresses, nodes, strict=True)):
        kind = types.values[index]
        name = kind if isinstance(kind, str) else ""
        wanted = deadbands and address.scale and name in _NUMERIC
        band = abs(address.deadband / address.scale) if wanted else 0.0
        found.append(Target(index, node, name, types.status[index], address.every, band))
    return sorted(found, key=lambda target: (target.data_type, target.address))


def places_of(addresses: Sequence[Address], targets: Sequence[Target]) -> Callable[[str], tuple[str, str]]:
    """Return what tells of a NodeId (``ns=2;s=…``) which child asset and point it is, ``("", "")`` for others."""
    places = {target.node: (addresses[target.address].asset, addresses[target.address].point) for target in targets}

    def place(node: str) -> tuple[str, str]:
        try:
            namespace, _, identifier = parse(node)
        except DriverError:
            return "", ""
        return places.get(encode(namespace, identifier), ("", ""))

    return place
