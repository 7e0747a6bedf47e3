"""Secrets that the machines of a cluster share; on a node of one machine they are the files they have been."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.node.data_directory import DataDirectory, secret_of
from gongfu.node.runtime import Runtime
from gongfu.registry.device_secrets import load_device_key
from gongfu.store.records.engine import open_records

if TYPE_CHECKING:
    from gongfu.node.shared_files.folder import SharedFolder

_FRESH_S = 0.5


class SharedSecrets(ConnectionSecrets):
    """Reads what any machine has written, and writes for all. Methods block on the records, too."""

    def __init__(self, root: Path, folder: "SharedFolder") -> None:
        super().__init__(root)
        self._folder = folder

    def read(self, key: int) -> dict[str, Any]:
        """See ``ConnectionSecrets``."""
        self._folder.sync(_FRESH_S)
        return super().read(key)

    def write(self, key: int, secrets: Mapping[str, Any]) -> None:
        """See ``ConnectionSecrets``; on return, all machines can read them."""
        super().write(key, secrets)
        self._folder.sync()

    def remove(self, key: int) -> None:
        """See ``ConnectionSecrets``."""
        self._folder.sync()
        super().remove(key)
        self._folder.sync()


def connection_folder(runtime: Runtime, engine: Engine) -> "SharedFolder | None":
    """Return the folder of connections, with what their drivers keep; None on a node of one machine."""
    return _folder(runtime, engine, "connections", DataDirectory(Path(runtime.data_dir)).connection_secrets)


def notify_folder(runtime: Runtime, engine: Engine) -> "SharedFolder | None":
    """Return the folder of notification channels; None on a node of one machine."""
    return _folder(runtime, engine, "notify", DataDirectory(Path(runtime.data_dir)).notify_secrets)


def secrets_in(root: Path, folder: "SharedFolder | None") -> ConnectionSecrets:
    """Return the secrets of a directory."""
    return ConnectionSecrets(root) if folder is None else SharedSecrets(root, folder)


def notify_link_key(runtime: Runtime) -> bytes:
    """Return the key that signs the links in notifications; in a cluster all machines have the same.

    Raises:
        OSError: a new one cannot be kept.
    """
    if runtime.instance:
        from gongfu.node.shared_files.sealing import derived_key

        return derived_key(load_device_key(runtime.data_dir), "links in notifications")
    return bytes.fromhex(secret_of(DataDirectory(Path(runtime.data_dir)).notify_key))


def _folder(runtime: Runtime, engine: Engine, name: str, root: Path) -> "SharedFolder | None":
    if not runtime.instance:
        return None
    # Here, so that a node of one machine does not load what it never uses.
    from gongfu.connect.opcua.certificates import identity
    from gongfu.node.shared_files.folder import SharedFolder
    from gongfu.node.shared_files.sealing import Seal

    # A key and its certificate are of use together only; the certificate says that the pair is complete.
    whole = {f"{identity.FOLDER}/own": ("key.pem", "certificate.der")}
    # A pool of its own: secrets are written in transactions that hold a connection already, and pools have an end.
    own = open_records(engine.url.render_as_string(hide_password=False))
    return SharedFolder(own, Seal(load_device_key(runtime.data_dir)), name, root, whole)
