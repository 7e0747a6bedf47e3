"""The one configuration: defaults, then ``gongfu.toml``, then options of the command line.

Every key is optional. A key that does not exist, a value of the wrong type or out of range is refused with the file,
the line and the key; see docs/configuration.md for all keys.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gongfu.node.cluster_settings import DEVICE_KEY_VARIABLE, KNOWN_ROLES, ROLES, ClusterSettings, Facts, trouble
from gongfu.node.quantities import parse_bytes, parse_seconds
from gongfu.node.runtime import (
    BlockLogSettings,
    ConnectSettings,
    IdentifierSettings,
    MqttSettings,
    NotifySettings,
    OpcUaSettings,
    QuotaSettings,
    TelemetrySettings,
    TreeSettings,
    WebSettings,
    WorkerSettings,
)
from gongfu.node.settings_file import (
    ConfigurationError,
    Values,
    Where,
    check_files,
    known_keys,
    read_document,
    read_section,
    suggest,
)
from gongfu.node.sparkplug_settings import SparkplugEdgeSettings, SparkplugSettings
from gongfu.node.sparkplug_settings import trouble as sparkplug_trouble
from gongfu.node.toml_lines import line_of
from gongfu.reason.notify.channels.destinations import Destinations

CONFIG_VARIABLE = "GONGFU_CONFIG"
DATA_DIR_VARIABLE = "GONGFU_DATA_DIR"

_NODE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
# A name, an IPv4 address, or an IPv6 address.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,120}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_DOTTED = re.compile(r"[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*")
_OID_OF_PREFIX = re.compile(r"[0-2](\.[0-9]{1,39})+=[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*")
T = TypeVar("T")
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}|::1|localhost")


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """Servers of an external NATS, or none for the embedded one."""

    servers: tuple[str, ...] = ()
    token: str = ""


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """An external ClickHouse, several nodes that share the series, or neither for the embedded one.

    Attributes:
        url: the one address.
        urls: several addresses instead; the order decides which series are where.
        user: user name.
        password: its password.
        cluster: name of the ClickHouse cluster behind ``url``; empty for one server.
        retention_seconds: how long points are kept by source time, 0 for ever; of the embedded history.
        rollup_retention_seconds: the same for roll-ups.
    """

    url: str = ""
    urls: tuple[str, ...] = ()
    user: str = "default"
    password: str = ""
    cluster: str = ""
    retention_seconds: float = 0.0
    rollup_retention_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that can be set, checked.

    Attributes:
        name: name of the node, a NATS token.
        data_dir: the one directory of the node, absolute.
        records_url: ``postgresql+psycopg://…`` or empty for SQLite in the data directory.
        source: the file it was read from, or None.
    """

    name: str = "gongfu"
    data_dir: Path = field(default_factory=lambda: default_data_dir())
    mqtt: MqttSettings = field(default_factory=MqttSettings)
    web: WebSettings = field(default_factory=WebSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    quotas: QuotaSettings = field(default_factory=QuotaSettings)
    nats: NatsSettings = field(default_factory=NatsSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    records_url: str = ""
    block_log: BlockLogSettings = field(default_factory=BlockLogSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    tree: TreeSettings = field(default_factory=TreeSettings)
    identifier: IdentifierSettings = field(default_factory=IdentifierSettings)
    sparkplug: SparkplugSettings = field(default_factory=SparkplugSettings)
    sparkplug_edge: SparkplugEdgeSettings = field(default_factory=SparkplugEdgeSettings)
    connect: ConnectSettings = field(default_factory=ConnectSettings)
    opcua: OpcUaSettings = field(default_factory=OpcUaSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    source: Path | None = None


def default_data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return ``$GONGFU_DATA_DIR``, else ``$XDG_DATA_HOME/gongfu``, else ``~/.local/share/gongfu``."""
    env = os.environ if environ is None else environ
    if named := env.get(DATA_DIR_VARIABLE):
        return Path(named).expanduser().absolute()
    base = env.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "gongfu"


def load_configuration(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Configuration:
    """Return the checked configuration.

    Args:
        path: the file; None looks at ``$GONGFU_CONFIG``, then at ``gongfu.toml`` in the working directory, and takes
            defaults when neither is there.
        overrides: values of the command line by ``section.key``; they win over the file.
        environ: the environment; default is the process's.

    Raises:
        ConfigurationError: the file cannot be read, or a key or value is wrong.
    """
    env = os.environ if environ is None else environ
    file = _find(path, env)
    document, text = read_document(file) if file else ({}, "")

    def where(section: str, key: str) -> str:
        name = " ".join(part for part in (f"[{section}]" if section else "", key) if part)
        if file is None:
            return name
        line = line_of(text, section, key)
        return f"{file}:{line}: {name}" if line else f"{file}: {name}"

    values = known_keys(document, where)
    for name, value in (overrides or {}).items():
        section, _, key = name.partition(".")
        values.setdefault(section, {})[key] = value
    base = file.parent if file else Path.cwd()
    return _build(values, where, base, file, env)


def exposures(configuration: Configuration) -> list[str]:
    """Return a warning for each address that is reachable from outside this machine without TLS."""
    warnings: list[str] = []
    mqtt, web = configuration.mqtt, configuration.web
    for host, port, what, fix in (
        (mqtt.host, mqtt.port, "MQTT without TLS ([mqtt] port)", "use [mqtt] tls_port and set port = 0"),
        (mqtt.host, mqtt.websocket_port, "MQTT over WebSocket without TLS ([mqtt] websocket_port)", "set it to 0"),
        (
            web.host,
            0 if web.tls_certificate else web.port,
            "the console without TLS ([web] port)",
            "set [web] tls_certificate",
        ),
    ):
        if port and not is_loopback(host):
            warnings.append(f"{what} is reachable on {host}:{port}: secrets travel in clear text; {fix}")
    return warnings


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    return _LOOPBACK.fullmatch(host) is not None


def _find(path: Path | None, env: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if named := env.get(CONFIG_VARIABLE):
        return Path(named)
    here = Path("gongfu.toml")
    return here if here.is_file() else None


def _url(text: str, schemes: tuple[str, ...], place: str, *, needs_host: bool = True) -> str:
    parts = urlsplit(text)
    if parts.scheme not in schemes or (needs_host and not parts.hostname):
        raise ConfigurationError(f"{place}: must be {' or '.join(s + '://host…' for s in schemes)}")
    return text


def _block_log(given: dict[str, Any], where: Where) -> BlockLogSettings:
    settings: dict[str, Any] = {"replicas": given.get("replicas", 1)}
    for key, target, parse in (("max_age", "max_age_seconds", parse_seconds), ("max_bytes", "max_bytes", parse_bytes)):
        if key in given:
            try:
                settings[target] = parse(given[key])
            except ValueError as error:
                raise ConfigurationError(f"{where('block_log', key)}: {error}") from None
    return BlockLogSettings(**settings)


def _quotas(given: dict[str, Any], where: Where) -> QuotaSettings:
    if given.get("policy", "delay") not in ("delay", "shed"):
        raise ConfigurationError(f'{where("quotas", "policy")}: must be "delay" or "shed", not {given["policy"]!r}')
    return QuotaSettings(**given)


def _sparkplug(values: Values, section: str, kind: type[T], lists: tuple[str, ...], where: Where) -> T:
    given = read_section(values, section, where)
    if wrong := sparkplug_trouble(given):
        raise ConfigurationError(f"{where(section, wrong[0])}: {wrong[1]}")
    return kind(**{key: tuple(value) if key in lists else value for key, value in given.items()})


def _tree(given: dict[str, Any], where: Where) -> TreeSettings:
    plugins = tuple(given.pop("plugins", ()))
    for module in plugins:
        if not all(part.isidentifier() for part in module.split(".")):
            raise ConfigurationError(f"{where('tree', 'plugins')}: {module!r} is not the name of a Python module")
    settings = TreeSettings(plugins=plugins, **given)
    if settings.enabled not in ("auto", "off"):
        raise ConfigurationError(f'{where("tree", "enabled")}: must be "auto" or "off", not {settings.enabled!r}')
    if not settings.host:
        raise ConfigurationError(f"{where('tree', 'host')}: must not be empty; all addresses are 0.0.0.0")
    if is_every_address(settings.host) and not settings.advertise:
        raise ConfigurationError(f"{where('tree', 'host')}: {settings.host} needs advertise, the address for children")
    if settings.advertise and not _HOST.fullmatch(settings.advertise):
        raise ConfigurationError(f"{where('tree', 'advertise')}: must be a host name or an address, without a port")
    return settings


def _connect(given: dict[str, Any], where: Where) -> ConnectSettings:
    settings = ConnectSettings(**given)
    if settings.enabled not in ("auto", "off"):
        raise ConfigurationError(f'{where("connect", "enabled")}: must be "auto" or "off", not {settings.enabled!r}')
    return settings


def _notify(given: dict[str, Any], where: Where) -> NotifySettings:
    allow = tuple(given.get("allow", ()))
    try:
        Destinations.of(allow)
    except ValueError as error:
        raise ConfigurationError(f"{where('notify', 'allow')}: {error}") from None
    return NotifySettings(allow=allow)


_SIGNING = ("RS256", "EdDSA", "SM2")


def _identifier(given: dict[str, Any], where: Where) -> IdentifierSettings:
    oids = tuple(given.pop("oids", ()))
    for text in oids:
        if not _OID_OF_PREFIX.fullmatch(text):
            raise ConfigurationError(f'{where("identifier", "oids")}: "OID=prefix" is needed, not {text!r}')
    addresses = tuple(given.pop("dns_addresses", ()))
    for text in addresses:
        if not _is_address(text):
            raise ConfigurationError(f"{where('identifier', 'dns_addresses')}: {text!r} is no IP address")
    settings = IdentifierSettings(oids=oids, dns_addresses=addresses, **given)
    if settings.enabled not in ("auto", "off"):
        place = where("identifier", "enabled")
        raise ConfigurationError(f'{place}: must be "auto" or "off", not {settings.enabled!r}')
    if settings.signing_algorithm not in _SIGNING:
        place = where("identifier", "signing_algorithm")
        raise ConfigurationError(f"{place}: must be one of {', '.join(_SIGNING)}, not {settings.signing_algorithm!r}")
    if not settings.host:
        raise ConfigurationError(f"{where('identifier', 'host')}: must not be empty; all addresses are 0.0.0.0")
    if settings.advertise and not _HOST.fullmatch(settings.advertise):
        raise ConfigurationError(f"{where('identifier', 'advertise')}: must be a host name or an address, no port")
    if settings.gs1_root:
        _url(settings.gs1_root, ("http", "https"), where("identifier", "gs1_root"))
    if not settings.dns_zone:
        raise ConfigurationError(f"{where('identifier', 'dns_zone')}: must not be empty; dns_port = 0 is no DNS")
    for key in ("dns_zone", "dns_oid_zone", "dns_ons_root", "gs1_prefix"):
        text: str = getattr(settings, key)
        if text and not _DOTTED.fullmatch(text):
            raise ConfigurationError(
                f"{where('identifier', key)}: letters, digits, - and _ joined by dots, not {text!r}"
            )
    return settings


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_every_address(host: str) -> bool:
    """Return whether listening there is listening on all addresses of the machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


_LEAST_RETENTION = 86_400


def _history(given: dict[str, Any], where: Where) -> HistorySettings:
    if given.get("url"):
        _url(given["url"], ("http", "https"), where("history", "url"))
    urls = tuple(_url(one, ("http", "https"), where("history", "urls")).rstrip("/") for one in given.pop("urls", []))
    if urls and given.get("url"):
        raise ConfigurationError(f"{where('history', 'urls')}: url and urls exclude each other")
    if len(set(urls)) != len(urls):
        raise ConfigurationError(f"{where('history', 'urls')}: an address stands there twice")
    if cluster := given.get("cluster"):
        if not given.get("url"):
            raise ConfigurationError(f"{where('history', 'cluster')}: needs url, an address of the cluster")
        if not _CLUSTER_NAME.fullmatch(cluster):
            raise ConfigurationError(f"{where('history', 'cluster')}: 1 to 64 letters, digits, _, - or .")
    for key in ("retention", "rollup_retention"):
        if text := given.pop(key, ""):
            if urls or given.get("url"):
                raise ConfigurationError(f"{where('history', key)}: only for the node's own history")
            try:
                given[f"{key}_seconds"] = parse_seconds(text)
            except ValueError as error:
                raise ConfigurationError(f"{where('history', key)}: {error}") from None
            if given[f"{key}_seconds"] < _LEAST_RETENTION:
                raise ConfigurationError(f"{where('history', key)}: must be at least 1d")
    return HistorySettings(urls=urls, **given)


def _cluster(given: dict[str, Any], base: Path, where: Where) -> ClusterSettings:
    instance, roles = given.get("instance", ""), tuple(given.get("roles", ROLES))
    if not instance:
        for key in given:
            raise ConfigurationError(
                f"{where('cluster', key)}: needs instance, the name of this machine in the cluster"
            )
    elif not _NODE_NAME.fullmatch(instance):
        raise ConfigurationError(f"{where('cluster', 'instance')}: must be 1 to 64 letters, digits, - or _")
    place = where("cluster", "roles")
    if unknown := [role for role in roles if role not in KNOWN_ROLES]:
        raise ConfigurationError(f"{place}: unknown role {unknown[0]!r}" + suggest(unknown[0], list(KNOWN_ROLES)))
    if not roles or len(set(roles)) != len(roles):
        raise ConfigurationError(f"{place}: must name one or more of {', '.join(KNOWN_ROLES)}, each once")
    directory = given.get("secrets_dir")
    return ClusterSettings(instance, roles, (base / Path(directory).expanduser()).absolute() if directory else None)


def _check_cluster(found: Configuration, where: Where, env: Mapping[str, str]) -> None:
    facts = Facts(
        found.nats.servers,
        bool(found.history.url or found.history.urls),
        found.records_url,
        found.block_log.replicas,
        found.telemetry.partitions,
        found.worker.processes,
        found.cluster.secrets_dir is not None or bool(env.get(DEVICE_KEY_VARIABLE)),
    )
    if (wrong := trouble(found.cluster, facts)) is not None:
        section, key, text = wrong
        raise ConfigurationError(f"{where(section, key)}: {text}")


def _build(values: Values, where: Where, base: Path, file: Path | None, env: Mapping[str, str]) -> Configuration:
    node = read_section(values, "node", where)
    name = node.get("name", "gongfu")
    if not _NODE_NAME.fullmatch(name):
        raise ConfigurationError(f"{where('node', 'name')}: must be 1 to 64 letters, digits, - or _, not {name!r}")
    mqtt = read_section(values, "mqtt", where)
    web = read_section(values, "web", where)
    check_files(mqtt, "mqtt", base, where)
    check_files(web, "web", base, where)
    if mqtt.get("tls_port") and not mqtt.get("tls_certificate"):
        raise ConfigurationError(f"{where('mqtt', 'tls_port')}: needs tls_certificate and tls_key")
    for section, given in (("mqtt", mqtt), ("web", web)):
        if given.get("host") == "":
            raise ConfigurationError(f"{where(section, 'host')}: must not be empty; all addresses are 0.0.0.0")
    mqtt_settings, web_settings = MqttSettings(**mqtt), WebSettings(**web)
    tree_settings = _tree(read_section(values, "tree", where), where)
    identifier_settings = _identifier(read_section(values, "identifier", where), where)
    _distinct_ports(mqtt_settings, web_settings, tree_settings, identifier_settings, where)
    nats = read_section(values, "nats", where)
    servers = tuple(_url(s, ("nats", "tls"), where("nats", "servers")) for s in nats.get("servers", []))
    history = _history(read_section(values, "history", where), where)
    records_url = read_section(values, "records", where).get("url", "")
    if records_url:
        # A host in the query is a Unix socket.
        socket_url = "?host=" in records_url or "&host=" in records_url
        place = where("records", "url")
        _url(records_url, ("postgresql", "postgresql+psycopg"), place, needs_host=not socket_url)
        records_url = records_url.replace("postgresql://", "postgresql+psycopg://", 1)
    data_dir = node.get("data_dir")
    found = Configuration(
        name=name,
        data_dir=(base / Path(data_dir).expanduser()).absolute() if data_dir else default_data_dir(env),
        mqtt=mqtt_settings,
        web=web_settings,
        telemetry=TelemetrySettings(**read_section(values, "telemetry", where)),
        quotas=_quotas(read_section(values, "quotas", where), where),
        nats=NatsSettings(servers, nats.get("token", "")),
        history=history,
        records_url=records_url,
        block_log=_block_log(read_section(values, "block_log", where), where),
        worker=WorkerSettings(**read_section(values, "worker", where)),
        tree=tree_settings,
        identifier=identifier_settings,
        sparkplug=_sparkplug(values, "sparkplug", SparkplugSettings, ("host_ids",), where),
        sparkplug_edge=_sparkplug(values, "sparkplug_edge", SparkplugEdgeSettings, ("assets",), where),
        connect=_connect(read_section(values, "connect", where), where),
        notify=_notify(read_section(values, "notify", where), where),
        opcua=OpcUaSettings(**read_section(values, "opcua", where)),
        cluster=_cluster(read_section(values, "cluster", where), base, where),
        source=file.absolute() if file else None,
    )
    _check_cluster(found, where, env)
    return found


def _distinct_ports(
    mqtt: MqttSettings, web: WebSettings, tree: TreeSettings, identifier: IdentifierSettings, where: Where
) -> None:
    seen: dict[int, str] = {}
    for section, key, port in (
        ("mqtt", "port", mqtt.port),
        ("mqtt", "websocket_port", mqtt.websocket_port),
        ("mqtt", "tls_port", mqtt.tls_port),
        ("web", "port", web.port),
        ("tree", "leaf_port", tree.leaf_port),
        ("tree", "join_port", tree.join_port),
        ("identifier", "handle_port", identifier.handle_port),
        ("identifier", "http_port", identifier.http_port),
        ("identifier", "dns_port", identifier.dns_port),
    ):
        if port and port in seen:
            raise ConfigurationError(f"{where(section, key)}: {port} is already {seen[port]}")
        seen[port] = f"[{section}] {key}"
    if not (mqtt.port or mqtt.tls_port or mqtt.websocket_port):
        raise ConfigurationError(f"{where('mqtt', 'port')}: port, tls_port and websocket_port are all 0")
