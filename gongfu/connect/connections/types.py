"""Connections as the API shows and takes them, and what is asked of the role that runs them."""

from typing import Annotated, Any

import msgspec

from gongfu.connect.kit.methods import Output
from gongfu.connect.kit.status import Status
from gongfu.connect.kit.types import Address, Found, Manifest, Node

MAX_ADDRESSES = 50_000


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection as it is stored; its secrets are elsewhere.

    Attributes:
        id, tenant, name: its id, its tenant, and its name in it.
        device: id of the registry's device whose points it brings; 0 for one that is only tried out.
        protocol: name of the driver.
        url: address of the machine, without user and password.
        options: of the driver, without secrets.
        secrets: names of the options that are kept as secrets.
        addresses: what is subscribed.
        paused: it is not to run.
        instance: machine of a cluster that runs it.
        changed_at: UTC ns.
    """

    id: int
    tenant: int
    name: str
    device: int
    protocol: str
    url: str
    options: dict[str, Any]
    secrets: list[str]
    addresses: list[Address]
    paused: bool = False
    instance: str = ""
    changed_at: int = 0


class ConnectionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A connection in lists; ``status`` is null while the role that runs it does not answer."""

    id: int
    name: str
    protocol: str
    url: str
    asset_path: str
    device: int
    points: int
    paused: bool
    created_at: str
    status: Status | None = None


class ConnectionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A connection with all that is configured; of secrets only the names."""

    id: int
    name: str
    protocol: str
    url: str
    asset_path: str
    device: int
    points: int
    paused: bool
    created_at: str
    options: dict[str, Any]
    secrets: list[str]
    addresses: list[Address]
    status: Status | None = None


class NewConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to make a connection. Its device gets its name, its asset is ``asset`` (a path; default the name)."""

    name: str
    url: str
    asset: str = ""
    protocol: str = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    addresses: list[Address] = msgspec.field(default_factory=list[Address])
    paused: bool = False


class ConnectionPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to change a connection. Options are given as a whole; secrets that are left out stay."""

    url: str | msgspec.UnsetType = msgspec.UNSET
    options: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    addresses: list[Address] | msgspec.UnsetType = msgspec.UNSET
    paused: bool | msgspec.UnsetType = msgspec.UNSET


class ConnectionChange(msgspec.Struct, frozen=True):
    """Document of ``evt.connection``: the role that runs connections looks at it anew."""

    id: int
    tenant: int
    change: str


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine to ask: that of a connection by id, or any by URL and options."""

    connection: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    url: str = ""
    protocol: str = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class BrowseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to show what is below a node of a machine."""

    target: Target
    parent: str = ""
    limit: int = 200
    cursor: str = ""


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to read addresses once."""

    target: Target
    addresses: list[Address]


class WriteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to write a value, in the unit of the point, to a point that the connection says is writable."""

    point: str
    value: Any
    asset: str = ""


class CallRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to call a method of a machine.

    Attributes:
        method: its address (``Node.where``).
        object: address of the object it is called on; default the one that has it.
        arguments: in order, or by name.
        asset: path of the child asset whose thing model has the service; "" is that of the connection.
        service: name of the service in that model; default the machine's name of the method.
    """

    method: str
    object: str = ""
    asset: str = ""
    service: str = ""
    arguments: list[Any] | dict[str, Any] = msgspec.field(default_factory=list[Any])


class SignatureRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to say what a method of a machine takes and gives."""

    method: str


class PreviewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to look at a machine and propose what to make of it.

    Attributes:
        target: where.
        name: what the connection is to be called; default after the machine.
        asset: path of the asset its points are to belong to; default the name.
        parent: node below which to look.
        limit: greatest number of points.
        record: seconds of readings to record, 0 none.
    """

    target: Target
    name: str = ""
    asset: str = ""
    parent: str = ""
    limit: int = 2000
    record: float = 0.0


class ReadValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value as it was read: quality as text, time in RFC 3339 or null, and what was wrong with it, if anything."""

    point: str
    asset: str
    where: str
    value: Any
    quality: str
    source_time: str | None


class TestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a machine can be reached, and what it says of itself; if not, why and what to do."""

    ok: bool
    reason: str = ""
    what: str = ""
    advice: str = ""
    seconds: float = 0.0
    health: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class DriverList(msgspec.Struct, frozen=True):
    """The drivers of this node."""

    items: list[Manifest]


class FoundList(msgspec.Struct, frozen=True):
    """What answers at a URL."""

    items: list[Found]


class NodeList(msgspec.Struct, frozen=True):
    """Nodes of a machine, and where the list goes on."""

    items: list[Node]
    next: str | None


class ValueList(msgspec.Struct, frozen=True):
    """Values that were read."""

    items: list[ReadValue]


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a write, read back in the unit of the point; ``confirmed`` is null when that cannot be done."""

    confirmed: bool | None
    read_back: Any = None
    detail: str = ""


class Called(msgspec.Struct, frozen=True):
    """What a method gave back, in order; ``faults`` is what is wrong with it by the thing model of the asset.

    The method was carried out. An output that the model rejects has no value, but says in ``fault`` why.
    """

    outputs: list[Output]
    faults: list[str] = msgspec.field(default_factory=list[str])


# --- what travels to the role ----------------------------------------------------------------------------------------


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A question of the API to the role that runs connections.

    Attributes:
        operation: test, discover, browse, read, write, signature, call or preview.
        tenant: whose connection it is.
        target: which machine.
        browse, read, preview: by operation.
        address, value: of a write.
        method, object, arguments: of a call.
    """

    operation: str
    tenant: int
    target: Target
    parent: str = ""
    limit: int = 200
    cursor: str = ""
    addresses: list[Address] = msgspec.field(default_factory=list[Address])
    value: Any = None
    name: str = ""
    asset: str = ""
    record: float = 0.0
    method: str = ""
    object: str = ""
    arguments: list[Any] | dict[str, Any] = msgspec.field(default_factory=list[Any])


class StatusAsk(msgspec.Struct, frozen=True):
    """A question after the status of connections."""

    ids: list[int]
