"""From the configuration to what is run: addresses, secrets and the list of roles."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from gongfu.bus.server import find_server, render_server_config
from gongfu.identify.service_directory import ServiceDirectory
from gongfu.node.cluster_settings import DEVICE_KEY_VARIABLE, ClusterSettings
from gongfu.node.configuration import Configuration, is_loopback
from gongfu.node.data_directory import DataDirectory, secret_of, write_private
from gongfu.node.ports import PortNeed, keep_ports
from gongfu.node.role_process import RoleSpec
from gongfu.node.runtime import (
    ROLE_VARIABLE,
    RUNTIME_VARIABLE,
    ConnectSettings,
    IdentifierSettings,
    Runtime,
    TreeSettings,
)

PREPARE = "prepare"
HISTORY_USER = "gongfu"

# For roles that hold large arrays and run queries in threads. glibc would give each thread an arena of its own, which
# never returns its garbage, and would put ever larger arrays among small objects: 30 % of the worker's memory.
_MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
}
# For the role that looks up in hundreds of megabytes, each time somewhere else: a tenth of the CPU of an answer. glibc
# asks for large pages where the system gives them to who asks (transparent_hugepage is ``madvise``, as a rule).
_LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# For roles that multiply no matrices: a thread for it on each core takes 0.05 CPU seconds at the start. Models in the
# worker may.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What `gongfu up` runs.

    Attributes:
        runtime: what the roles read.
        nats_port: port of the embedded nats-server, 0 with an external one.
        embedded_history: whether the history is a role of this node.
        cluster: which roles this machine runs, and how they are called.
    """

    runtime: Runtime
    nats_port: int
    embedded_history: bool
    cluster: ClusterSettings


def port_needs(configuration: Configuration) -> list[PortNeed]:
    """Return the addresses the node will listen on by configuration."""
    mqtt, web, roles = configuration.mqtt, configuration.web, configuration.cluster.roles
    tree = configuration.tree
    wanted: list[PortNeed] = []
    if "door" in roles:
        wanted += [
            PortNeed(mqtt.host, mqtt.port, "[mqtt] port"),
            PortNeed(mqtt.host, mqtt.websocket_port, "[mqtt] websocket_port"),
            PortNeed(mqtt.host, mqtt.tls_port, "[mqtt] tls_port"),
        ]
    if "web" in roles:
        wanted.append(PortNeed(web.host, web.port, "[web] port"))
    if is_in_tree(configuration.tree, DataDirectory(configuration.data_dir)):
        wanted += [
            PortNeed(tree.host, tree.leaf_port, "[tree] leaf_port"),
            PortNeed(tree.host, tree.join_port, "[tree] join_port"),
        ]
    own = configuration.identifier
    if has_identifiers(own, DataDirectory(configuration.data_dir)):
        wanted += [
            PortNeed(own.host, own.handle_port, "[identifier] handle_port"),
            PortNeed(own.host, own.http_port, "[identifier] http_port"),
            PortNeed(own.host, own.dns_port, "[identifier] dns_port"),
        ]
    return [need for need in wanted if need.port]


def make_plan(configuration: Configuration, directory: DataDirectory) -> Plan:
    """Choose ports, make secrets and write the files that the roles read. The data directory must be locked.

    Raises:
        OSError: the files cannot be written.
    """
    tree = configuration.tree
    own = configuration.identifier
    # A node may join a tree, and get identifiers, while it runs.
    later = {tree.leaf_port, tree.join_port, own.handle_port, own.http_port, own.dns_port}
    taken = frozenset(need.port for need in port_needs(configuration)) | later
    ports = keep_ports(directory.run / "ports.json", ("nats", "history", "tree"), taken)
    nats, history = configuration.nats, configuration.history
    own_history = bool(history.url or history.urls)
    _share_device_key(configuration.cluster, directory)
    runtime = Runtime(
        node=configuration.name,
        data_dir=str(directory.root),
        nats_servers=list(nats.servers) or [f"nats://127.0.0.1:{ports['nats']}"],
        nats_token=nats.token if nats.servers else secret_of(directory.secrets / "nats-token"),
        history_url=(history.urls[0] if history.urls else history.url) or f"http://127.0.0.1:{ports['history']}",
        history_user=history.user if own_history else HISTORY_USER,
        history_password=history.password if own_history else secret_of(directory.secrets / "history-password"),
        history_urls=history.urls,
        history_cluster=history.cluster,
        history_retention=history.retention_seconds,
        history_rollup_retention=history.rollup_retention_seconds,
        records_url=configuration.records_url or directory.records_url,
        mqtt=configuration.mqtt,
        web=configuration.web,
        telemetry=configuration.telemetry,
        quotas=configuration.quotas,
        block_log=configuration.block_log,
        worker=configuration.worker,
        tree=tree,
        identifier=own,
        sparkplug=configuration.sparkplug,
        sparkplug_edge=configuration.sparkplug_edge,
        connect=configuration.connect,
        opcua=configuration.opcua,
        notify=configuration.notify,
        tree_nats_port=ports["tree"],
        instance=configuration.cluster.instance,
        embedded=tuple(
            engine
            for engine, external in (
                ("nats", nats.servers),
                ("history", own_history),
                ("records", configuration.records_url),
            )
            if not external
        ),
    )
    write_private(directory.runtime, msgspec.json.format(msgspec.json.encode(runtime)))
    return Plan(runtime, 0 if nats.servers else ports["nats"], not own_history, configuration.cluster)


def _share_device_key(cluster: ClusterSettings, directory: DataDirectory) -> None:
    """Put the key of device secrets, which all machines of a cluster share, where the roles look for it.

    Raises:
        OSError: it cannot be read or written.
    """
    key, own = os.environ.get(DEVICE_KEY_VARIABLE, ""), directory.secrets / "device-key"
    if not key and cluster.secrets_dir is not None:
        # The machine that is first makes it.
        cluster.secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = secret_of(cluster.secrets_dir / "device-key")
    if key:
        write_private(own, key.strip().encode())
    else:
        secret_of(own)


def role_specs(plan: Plan, directory: DataDirectory) -> list[RoleSpec]:
    """Return the roles in start order.

    Raises:
        FileNotFoundError: there is no nats-server; the message says what to do.
    """
    specs: list[RoleSpec] = []
    if plan.nats_port:
        file = directory.run / "nats.conf"
        text = render_server_config(
            port=plan.nats_port,
            store_dir=directory.nats,
            token=plan.runtime.nats_token,
            name=plan.runtime.node,
        )
        write_private(file, text.encode())
        command = (str(find_server()), "-c", str(file))
        shown = (b" [ERR] ", b" [FTL] ", b"nats-server: ")
        specs.append(RoleSpec("nats", command, address=plan.nats_port, stop_timeout=20.0, shown=shown))
    if plan.embedded_history:
        specs.append(_python_role("history", "history", directory, (), stop_timeout=30.0))
    bus = ("nats",) if plan.nats_port else ()
    stored = ("history",) if plan.embedded_history else ()
    cluster, runtime = plan.cluster, plan.runtime
    if "door" in cluster.roles:
        names = [cluster.name(f"door-{number}") for number in range(1, runtime.mqtt.processes + 1)]
        specs += [_python_role("door", name, directory, (*bus, PREPARE)) for name in names]
    if "worker" in cluster.roles:
        count = runtime.worker.processes
        names = [cluster.name(f"worker-{n}" if count > 1 else "worker") for n in range(1, count + 1)]
        needs = (*bus, *stored, PREPARE)
        specs += [_python_role("worker", name, directory, needs, stop_timeout=30.0) for name in names]
    if "web" in cluster.roles:
        specs.append(_python_role("web", cluster.name("web"), directory, (*bus, *stored, PREPARE)))
    specs += tree_specs(plan, directory) if is_in_tree(plan.runtime.tree, directory) else []
    if runtime.sparkplug_edge.url:
        name = cluster.name("sparkplug-edge")
        specs.append(_python_role("sparkplug_edge", name, directory, (*bus, PREPARE)))
    for role in _asked_for(plan, directory):
        specs += role.specs() if role.wanted() else []
    if runtime.opcua.enabled:
        specs.append(_python_role("opcua", cluster.name("opcua"), directory, (*bus, *stored, PREPARE)))
    return specs + (identifier_specs(plan, directory) if has_identifiers(plan.runtime.identifier, directory) else [])


@dataclass(frozen=True, slots=True)
class LateRole:
    """Roles that run only where somebody has asked for them; ``wanted`` tells whether that is so by now."""

    wanted: Callable[[], bool]
    specs: Callable[[], list[RoleSpec]]


def late_roles(plan: Plan, directory: DataDirectory) -> list[LateRole]:
    """Return the roles that may be asked for while the node runs; of those that run from the start, ``Supervisor.add``
    takes no second one."""
    runtime = plan.runtime
    return [
        LateRole(lambda: is_in_tree(runtime.tree, directory), lambda: tree_specs(plan, directory)),
        LateRole(lambda: has_identifiers(runtime.identifier, directory), lambda: identifier_specs(plan, directory)),
        *_asked_for(plan, directory),
    ]


def _asked_for(plan: Plan, directory: DataDirectory) -> list[LateRole]:
    """Return the roles that run where somebody has asked for them, or where a machine of a cluster names them."""
    runs, connect = plan.cluster.runs, plan.runtime.connect
    return [
        LateRole(
            lambda: connect.enabled != "off" and runs("connect", wanted=has_connections(connect, directory)),
            lambda: connect_specs(plan, directory),
        ),
        LateRole(lambda: runs("models", wanted=has_models(directory)), lambda: models_specs(plan, directory)),
        LateRole(lambda: runs("apps", wanted=has_apps(directory)), lambda: apps_specs(plan, directory)),
        LateRole(
            lambda: runs("notify", wanted=directory.notify_secrets.exists()), lambda: notify_specs(plan, directory)
        ),
    ]


def connect_specs(plan: Plan, directory: DataDirectory) -> list[RoleSpec]:
    """Return the role of the connections to machines."""
    needs = (*(("nats",) if plan.nats_port else ()), PREPARE)
    return [_python_role("connect", plan.cluster.name("connect"), directory, needs, stop_timeout=30.0)]


def has_connections(settings: ConnectSettings, directory: DataDirectory) -> bool:
    """Return whether the connections to machines are to run: somebody has made one, or looked at a machine."""
    return settings.enabled != "off" and directory.connection_secrets.exists()


def models_specs(plan: Plan, directory: DataDirectory) -> list[RoleSpec]:
    """Return the role of models."""
    needs = (
        *(("nats",) if plan.nats_port else ()),
        *(("history",) if plan.embedded_history else ()),
        PREPARE,
    )
    return [_python_role("models", plan.cluster.name("models"), directory, needs, stop_timeout=30.0)]


def has_models(directory: DataDirectory) -> bool:
    """Return whether models are to run: somebody has bound, called or registered one."""
    return directory.models.exists()


def apps_specs(plan: Plan, directory: DataDirectory) -> list[RoleSpec]:
    """Return the role of installed apps."""
    needs = (
        *(("nats",) if plan.nats_port else ()),
        *(("history",) if plan.embedded_history else ()),
        PREPARE,
    )
    return [_python_role("apps", plan.cluster.name("apps"), directory, needs, stop_timeout=30.0)]


def has_apps(directory: DataDirectory) -> bool:
    """Return whether apps are to run: somebody has installed one."""
    return directory.apps.exists()


def notify_specs(plan: Plan, directory: DataDirectory) -> list[RoleSpec]:
    """Return the role that tells people of alarms; it runs once somebody has made a channel."""
    needs = (*(("nats",) if plan.nats_port else ()), PREPARE)
    return [_python_role("notify", plan.cluster.name("notify"), directory, needs, stop_timeout=70.0)]


def identifier_specs(plan: Plan, directory: DataDirectory) -> list[RoleSpec]:
    """Return the role of the identifier service."""
    needs = (*(("nats",) if plan.nats_port else ()), PREPARE)
    return [_python_role("identifier", plan.cluster.name("identifier"), directory, needs, stop_timeout=30.0)]


def has_identifiers(settings: IdentifierSettings, directory: DataDirectory) -> bool:
    """Return whether the identifier service is to run: it was set up on this node."""
    return settings.enabled != "off" and ServiceDirectory(directory.identifiers).exists()


def is_in_tree(settings: TreeSettings, directory: DataDirectory) -> bool:
    """Return whether the roles of the tree are to run: this node has an identity in a tree."""
    return settings.enabled != "off" and directory.tree_joined.exists()


def tree_specs(plan: Plan, directory: DataDirectory) -> list[RoleSpec]:
    """Return the roles of the tree: the server of its links, whose configuration the other role writes, and that role.

    Raises:
        FileNotFoundError: there is no nats-server; the message says what to do.
    """
    tree, server = plan.cluster.name("tree"), plan.cluster.name("tree-nats")
    command = (sys.executable, "-m", "gongfu.node.when_released", str(find_server()), "-c", str(directory.tree_nats))
    shown = (b" [FTL] ", b"nats-server: ")
    bus = ("nats",) if plan.nats_port else ()
    return [
        RoleSpec(server, command, (tree,), address=plan.runtime.tree_nats_port, stop_timeout=10.0, shown=shown),
        _python_role("tree", tree, directory, (*bus, PREPARE)),
    ]


def _python_role(
    module: str, name: str, directory: DataDirectory, needs: tuple[str, ...], stop_timeout: float = 15.0
) -> RoleSpec:
    return RoleSpec(
        name,
        (sys.executable, "-m", f"gongfu.node.roles.{module}"),
        needs,
        environment={RUNTIME_VARIABLE: str(directory.runtime), ROLE_VARIABLE: name, **libraries_of(module)},
        stop_timeout=stop_timeout,
    )


def libraries_of(module: str) -> dict[str, str]:
    """Return the settings of glibc and OpenBLAS for a role; what the operator has set stays."""
    wanted = {
        **(_MALLOC if module in ("worker", "web", "tree", "identifier", "models") else {}),
        **(_LARGE_PAGES if module == "identifier" else {}),
        **(_ONE_THREAD if module != "worker" else {}),
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def ready_document(
    plan: Plan, directory: DataDirectory, seconds: float, first_password: tuple[str, str] | None
) -> dict[str, Any]:
    """Return what is told when the node is ready, for programs.

    Args:
        plan: what runs.
        directory: data directory.
        seconds: from start to ready.
        first_password: name and one-time password of the administrator made in this start.
    """
    mqtt, web = plan.runtime.mqtt, plan.runtime.web
    return {
        "node": plan.runtime.node,
        "ready_seconds": round(seconds, 3),
        "console": f"{'https' if web.tls_certificate else 'http'}://{_reachable(web.host)}:{web.port}",
        "mqtt": {
            "host": _reachable(mqtt.host),
            **{
                name: port
                for name, port in (("tcp", mqtt.port), ("tls", mqtt.tls_port), ("websocket", mqtt.websocket_port))
                if port
            },
        },
        "data_dir": str(directory.root),
        "admin": dict(zip(("name", "one_time_password"), first_password, strict=True)) if first_password else None,
    }


def banner(plan: Plan, directory: DataDirectory, seconds: float, first_password: tuple[str, str] | None) -> str:
    """Return what is told when the node is ready, for people; arguments as of ``ready_document``."""
    document = ready_document(plan, directory, seconds, first_password)
    mqtt = dict(document["mqtt"])
    host = mqtt.pop("host")
    lines = [
        f"Gongfu node {document['node']!r} is ready in {seconds:.1f} s",
        f"  console  {document['console']}",
        f"  MQTT     {host}  {', '.join(f'{name} {port}' for name, port in mqtt.items())}",
        f"  data     {document['data_dir']}",
    ]
    if first_password is not None:
        name, password = first_password
        lines.append(f"  sign in  {name} / {password}   (one-time password, shown only now)")
    return "\n".join(lines)


def _reachable(host: str) -> str:
    if is_loopback(host):
        return host if ":" not in host else f"[{host}]"
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 (only compared)
