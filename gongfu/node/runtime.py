"""What the supervisor tells a role process: addresses, secrets and settings, in one file of the data directory."""

import os
from pathlib import Path

import msgspec

from gongfu.node.sparkplug_settings import SparkplugEdgeSettings, SparkplugSettings

RUNTIME_VARIABLE = "GONGFU_RUNTIME"
READY_VARIABLE = "GONGFU_READY_FD"
# A pipe the supervisor closes when everything the role depends on is ready: imports overlap with that, use does not.
START_VARIABLE = "GONGFU_START_FD"
ROLE_VARIABLE = "GONGFU_ROLE"


class MqttSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Front door settings; ports of 0 are off."""

    host: str = "127.0.0.1"
    port: int = 1883
    websocket_port: int = 8083
    tls_port: int = 0
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    processes: int = 1
    max_payload_bytes: int = 1_048_576
    max_connections: int = 15_000


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Console and API."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls_certificate: str = ""
    tls_key: str = ""


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for incoming points."""

    partitions: int = 1
    max_future_seconds: float = 300.0
    max_points_per_payload: int = 100_000
    max_assets_per_device: int = 10_000
    max_points_per_device: int = 100_000
    online_seconds: float = 120.0


class QuotaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a device and a tenant may send when the records say nothing else of them; a rate of 0 is no limit.

    ``tenant_artifact_bytes`` and ``tenant_backfills`` bound each tenant's artifacts of models and its back-fills that
    are not over, ``backfills`` those of all tenants together.
    """

    device_points_per_second: float = 0.0
    device_messages_per_second: float = 0.0
    device_bytes_per_second: float = 0.0
    tenant_points_per_second: float = 0.0
    tenant_messages_per_second: float = 0.0
    tenant_bytes_per_second: float = 0.0
    burst_seconds: float = 5.0
    policy: str = "delay"
    max_delay_seconds: float = 5.0
    tenant_artifact_bytes: int = 2 * 1024**3
    tenant_backfills: int = 100
    backfills: int = 1000


class BlockLogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the block log; the oldest blocks go first. ``replicas`` servers have a block when it is durable."""

    max_age_seconds: float = 86_400.0
    max_bytes: int = 10_000_000_000
    replicas: int = 1


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Workers of this machine; more than one share the partitions."""

    processes: int = 1


class TreeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Ports for the node's children in the tree; a port of 0 is off. ``enabled`` is ``auto`` or ``off``.

    ``plugins`` are modules with further kinds of orders, their drivers and probes (gongfu/node/tree_sections.py).
    """

    enabled: str = "auto"
    host: str = "127.0.0.1"
    leaf_port: int = 7422
    join_port: int = 7423
    # Name or address by which children find this node; empty for ``host``.
    advertise: str = ""
    plugins: tuple[str, ...] = ()


class IdentifierSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the identifier service listens; a port of 0 is off. ``enabled`` is ``auto`` or ``off``."""

    enabled: str = "auto"
    host: str = "127.0.0.1"
    handle_port: int = 2641
    http_port: int = 2642
    dns_port: int = 2653
    # Name or address by which others find the service; empty for ``host``.
    advertise: str = ""
    # Prefix of the handles of GS1 identifiers, and the resolver's address as it stands in links; "": none, and by Host.
    gs1_prefix: str = ""
    gs1_root: str = ""
    # Zone of the DNS face, and ``OID=prefix`` for each OID that a prefix stands for.
    dns_zone: str = "gongfu.internal"
    oids: tuple[str, ...] = ()
    # Further zones of the DNS face: of OIDs (as oid-res.org is one) and of GS1 keys (as onsepc.com is one); "": none.
    dns_oid_zone: str = ""
    dns_ons_root: str = ""
    # Addresses of the node as name server of its zones.
    dns_addresses: tuple[str, ...] = ()
    # Whether other nodes are asked for clients that wish it; else they are referred.
    recursion: bool = True
    # Of the key that signs records, when it is made: RS256, EdDSA or SM2.
    signing_algorithm: str = "RS256"
    # Of the record store's cache.
    cache_bytes: int = 64 << 20
    # How many answers each face keeps until what they say changes: at most this many.
    handle_answers: int = 100_000
    http_answers: int = 100_000
    dns_answers: int = 65_536


class ConnectSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Connections to machines. ``enabled`` is ``auto`` (the role runs once there are some) or ``off``."""

    enabled: str = "auto"


class NotifySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where notifications may go besides public addresses: names, addresses or networks, with ``:port`` or without."""

    allow: tuple[str, ...] = ()


class OpcUaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The node's assets over OPC UA. ``anonymous``: read without a name; ``unencrypted``: also without security."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 4840
    anonymous: bool = False
    unencrypted: bool = False


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a role needs to start. The file holds secrets: mode 0600."""

    node: str
    data_dir: str
    nats_servers: list[str]
    nats_token: str
    history_url: str
    history_user: str
    history_password: str
    records_url: str
    mqtt: MqttSettings
    web: WebSettings
    telemetry: TelemetrySettings
    block_log: BlockLogSettings = BlockLogSettings()
    quotas: QuotaSettings = QuotaSettings()
    # Several history nodes that share the series, or none; ``history_url`` is then the first of them.
    history_urls: tuple[str, ...] = ()
    history_cluster: str = ""
    # Seconds by source time, 0 for ever; of the embedded history.
    history_retention: float = 0.0
    history_rollup_retention: float = 0.0
    worker: WorkerSettings = WorkerSettings()
    tree: TreeSettings = TreeSettings()
    identifier: IdentifierSettings = IdentifierSettings()
    sparkplug: SparkplugSettings = SparkplugSettings()
    sparkplug_edge: SparkplugEdgeSettings = SparkplugEdgeSettings()
    connect: ConnectSettings = ConnectSettings()
    opcua: OpcUaSettings = OpcUaSettings()
    notify: NotifySettings = NotifySettings()
    # Loopback port of the server of the tree's links.
    tree_nats_port: int = 0
    # Name of this machine in a cluster; empty on a node of one machine.
    instance: str = ""
    # Engines that the node runs itself, among nats, history and records; the others are the operator's.
    embedded: tuple[str, ...] = ()


def role_name(default: str) -> str:
    """Return the name of this process among the roles, such as ``door-2``; ``default`` when started by hand."""
    return os.environ.get(ROLE_VARIABLE, default)


def shares_partitions(runtime: Runtime) -> bool:
    """Return whether other workers may have partitions, too: leases then say who has which."""
    return bool(runtime.instance) or runtime.worker.processes > 1


def load_runtime() -> Runtime:
    """Return the runtime named by ``GONGFU_RUNTIME``, as soon as what this role depends on is ready.

    Raises:
        RuntimeError: the variable is not set; roles are started by ``gongfu up``.
    """
    path = os.environ.get(RUNTIME_VARIABLE)
    if not path:
        raise RuntimeError(f"{RUNTIME_VARIABLE} is not set: roles are started by `gongfu up`")
    _await_start()
    return msgspec.json.decode(Path(path).read_bytes(), type=Runtime)


def _await_start() -> None:
    descriptor = os.environ.pop(START_VARIABLE, None)
    if descriptor is not None:
        with os.fdopen(int(descriptor), "rb") as pipe:
            pipe.read()  # returns when the supervisor closes its end


def report_ready() -> None:
    """Tell the supervisor that this role serves now. Does nothing when started by hand."""
    descriptor = os.environ.pop(READY_VARIABLE, None)
    if descriptor is not None:
        with os.fdopen(int(descriptor), "w") as pipe:
            pipe.write("READY\n")
