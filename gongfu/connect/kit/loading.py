"""Drivers by name and by URL scheme: those of Gongfu, and those of other packages (entry points ``gongfu.drivers``).

Manifests are read without importing a driver; a protocol's library is imported when its first connection is opened.
"""

import importlib
import importlib.metadata
import importlib.resources
import logging
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from gongfu.connect.kit.manifest import ManifestError, load_manifest
from gongfu.connect.kit.types import Context, Driver, DriverError, Manifest, Reason

logger = logging.getLogger(__name__)

GROUP = "gongfu.drivers"

# By protocol: module and class. The manifest stands in the folder of the module.
BUILT_IN = {
    "modbus": "gongfu.connect.modbus.driver:ModbusDriver",
    "opcua": "gongfu.connect.opcua.driver:OpcUaDriver",
    "files": "gongfu.connect.files.driver:FolderDriver",
    "http": "gongfu.connect.http_pull.driver:HttpPullDriver",
    "s7": "gongfu.connect.s7.driver:S7Driver",
    "recording": "gongfu.connect.preview.replay:ReplayDriver",
}


class Available(msgspec.Struct, frozen=True):
    """A driver that can be used: its manifest, and where its class is (``module:class``)."""

    manifest: Manifest
    source: str


@cache
def available() -> dict[str, Available]:
    """Return all drivers by protocol. One whose manifest cannot be read is left out, and told in the log."""
    sources = dict(BUILT_IN)
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.name in BUILT_IN:
            logger.warning("driver %s of package %s is left out: the name is taken", entry.name, entry.value)
            continue
        sources[entry.name] = entry.value
    found: dict[str, Available] = {}
    for protocol, source in sources.items():
        try:
            manifest = _manifest_of(source)
        except (ManifestError, ImportError, TypeError) as error:
            if protocol not in BUILT_IN:
                logger.warning("driver %s (%s) is left out: %s", protocol, source, error)
            continue
        found[protocol] = Available(manifest, source)
    return found


def driver_of(protocol: str) -> Available:
    """Return a driver by its name.

    Raises:
        DriverError: there is none.
    """
    found = available().get(protocol)
    if found is None:
        known = ", ".join(sorted(available()))
        raise DriverError(Reason.UNSUPPORTED, f"there is no driver {protocol!r}.", f"Known are {known}.")
    return found


def driver_of_scheme(scheme: str) -> Available:
    """Return the driver of a URL scheme.

    Raises:
        DriverError: there is none.
    """
    for found in available().values():
        if scheme in found.manifest.schemes:
            return found
    known = ", ".join(sorted(name for one in available().values() for name in one.manifest.schemes))
    raise DriverError(
        Reason.UNSUPPORTED, f"no driver takes {scheme}:// addresses.", f"Known are {known}; or install one's package."
    )


def make_driver(driver: Available, context: Context) -> Driver:
    """Return an instance of a driver.

    Raises:
        DriverError: its package or the library of its protocol is not installed.
    """
    module, _, name = driver.source.partition(":")
    try:
        kind: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DriverError(
            Reason.UNSUPPORTED,
            f"driver {driver.manifest.protocol} cannot be loaded: {error}.",
            f"Install what it needs: pip install 'gongfu[{driver.manifest.protocol}]'.",
        ) from None
    return kind(context)


def _manifest_of(source: str) -> Manifest:
    package = source.partition(":")[0].rpartition(".")[0] or source.partition(":")[0]
    return load_manifest(Path(str(importlib.resources.files(package))) / "manifest.toml")
