"""What the file of settings may hold: sections, keys, types and ranges; each mistake is told with its place."""

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gongfu.node.runtime import (
    ConnectSettings,
    IdentifierSettings,
    MqttSettings,
    OpcUaSettings,
    QuotaSettings,
    TelemetrySettings,
    TreeSettings,
    WebSettings,
    WorkerSettings,
)
from gongfu.node.sparkplug_settings import SparkplugEdgeSettings, SparkplugSettings


class ConfigurationError(Exception):
    """A setting that cannot be used; the text names the file, the line and the key, and what would be right."""


# What each section may hold: the default object gives key names and types.
_SECTIONS: dict[str, dict[str, type]] = {
    "node": {"name": str, "data_dir": str},
    "mqtt": {f.name: type(f.default) for f in msgspec.structs.fields(MqttSettings)},
    "web": {f.name: type(f.default) for f in msgspec.structs.fields(WebSettings)},
    "telemetry": {f.name: type(f.default) for f in msgspec.structs.fields(TelemetrySettings)},
    "quotas": {f.name: type(f.default) for f in msgspec.structs.fields(QuotaSettings)},
    "nats": {"servers": list, "token": str},
    "history": {
        "url": str,
        "urls": list,
        "user": str,
        "password": str,
        "cluster": str,
        "retention": str,
        "rollup_retention": str,
    },
    "records": {"url": str},
    "block_log": {"max_age": str, "max_bytes": str, "replicas": int},
    "worker": {f.name: type(f.default) for f in msgspec.structs.fields(WorkerSettings)},
    "tree": {**{f.name: type(f.default) for f in msgspec.structs.fields(TreeSettings)}, "plugins": list},
    "identifier": {
        **{f.name: type(f.default) for f in msgspec.structs.fields(IdentifierSettings)},
        "oids": list,
        "dns_addresses": list,
    },
    "connect": {f.name: type(f.default) for f in msgspec.structs.fields(ConnectSettings)},
    "notify": {"allow": list},
    "opcua": {f.name: type(f.default) for f in msgspec.structs.fields(OpcUaSettings)},
    "sparkplug": {**{f.name: type(f.default) for f in msgspec.structs.fields(SparkplugSettings)}, "host_ids": list},
    "sparkplug_edge": {
        **{f.name: type(f.default) for f in msgspec.structs.fields(SparkplugEdgeSettings)},
        "assets": list,
    },
    "cluster": {"instance": str, "roles": list, "secrets_dir": str},
}
_RANGES: dict[str, tuple[float, float]] = {
    "mqtt.processes": (1, 64),
    "mqtt.max_payload_bytes": (1, 268_435_455),
    "mqtt.max_connections": (1, 1_000_000),
    "opcua.port": (1, 65_535),
    "web.port": (1, 65_535),
    "worker.processes": (1, 64),
    "block_log.replicas": (1, 5),
    "telemetry.partitions": (1, 1024),
    "telemetry.max_future_seconds": (0, 10 * 365 * 86_400),
    "telemetry.max_points_per_payload": (1, 10_000_000),
    "telemetry.max_assets_per_device": (1, 100_000_000),
    "telemetry.max_points_per_device": (1, 100_000_000),
    "telemetry.online_seconds": (1, 30 * 86_400),
    **{
        f"quotas.{whose}_{what}_per_second": (0, 1e12)
        for whose in ("device", "tenant")
        for what in ("points", "messages", "bytes")
    },
    "sparkplug.reorder_seconds": (0.1, 60),
    "sparkplug.rebirths_per_second": (0.1, 10_000),
    "sparkplug_edge.tenant": (1, 2**31),
    "sparkplug_edge.publish_seconds": (0.05, 3600),
    "identifier.cache_bytes": (1 << 20, 1 << 40),
    **{f"identifier.{face}_answers": (100, 100_000_000) for face in ("handle", "http", "dns")},
    "quotas.tenant_artifact_bytes": (0, 1 << 50),
    "quotas.tenant_backfills": (0, 10_000),
    "quotas.backfills": (0, 100_000),
    "quotas.burst_seconds": (0.1, 3600),
    "quotas.max_delay_seconds": (0, 3600),
}
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list of texts"}
Where = Callable[[str, str], str]
Values = dict[str, dict[str, Any]]


def read_document(file: Path) -> tuple[dict[str, Any], str]:
    """Return the document of a TOML file, and its text.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: not TOML: {error}") from None


def suggest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """Return what to add to a refusal: the known name that is nearest, or all of them."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"


def known_keys(document: dict[str, Any], where: Where) -> Values:
    """Return the values by section and key.

    Raises:
        ConfigurationError: a section or a key is not known.
    """
    values: Values = {}
    for section, content in document.items():
        keys = _SECTIONS.get(section)
        if not isinstance(content, dict):
            raise ConfigurationError(
                f"{where('', section)}: a key must stand in a section" + suggest(section, _SECTIONS)
            )
        if keys is None:
            raise ConfigurationError(f"{where(section, '')}: unknown section" + suggest(section, _SECTIONS))
        for key, value in content.items():  # pyright: ignore[reportUnknownVariableType]
            if key not in keys:
                elsewhere = [s for s, known in _SECTIONS.items() if key in known]
                hint = f"; it belongs to [{elsewhere[0]}]" if elsewhere else suggest(str(key), keys)
                raise ConfigurationError(f"{where(section, str(key))}: unknown key{hint}")
            values.setdefault(section, {})[str(key)] = value
    return values


def _typed(value: Any, kind: type, place: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is list:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, (list, tuple)) and all(isinstance(item, str) for item in items):  # pyright: ignore[reportUnknownVariableType]
            return list(items)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise ConfigurationError(f"{place}: must be {_WORDS[kind]}, not {value!r}")


def read_section(values: Values, name: str, where: Where) -> dict[str, Any]:
    """Return the given values of a section.

    Raises:
        ConfigurationError: a value is of the wrong type or out of range.
    """
    given: dict[str, Any] = {}
    for key, value in values.get(name, {}).items():
        place = where(name, key)
        if name == "block_log" and key != "replicas":
            given[key] = value
            continue
        typed = _typed(value, _SECTIONS[name][key], place)
        limits = _RANGES.get(f"{name}.{key}") or ((0, 65_535) if key.endswith("port") else None)
        if limits and not limits[0] <= typed <= limits[1]:
            raise ConfigurationError(f"{place}: must be {limits[0]:g} to {limits[1]:g}, not {typed:g}")
        given[key] = typed
    return given


def check_files(given: dict[str, Any], section: str, base: Path, where: Where) -> None:
    """Make paths absolute (relative ones are relative to the file) and see that they can be read.

    Raises:
        ConfigurationError: one cannot, or half of a pair is missing.
    """
    for key in ("tls_certificate", "tls_key", "tls_client_ca"):
        if text := given.get(key):
            path = (base / Path(text).expanduser()).absolute()
            if not os.access(path, os.R_OK) or not path.is_file():
                raise ConfigurationError(f"{where(section, key)}: {path} is not a file that can be read")
            given[key] = str(path)
    if bool(given.get("tls_certificate")) != bool(given.get("tls_key")):
        missing = "tls_key" if given.get("tls_certificate") else "tls_certificate"
        raise ConfigurationError(f"{where(section, missing)}: tls_certificate and tls_key go together")
