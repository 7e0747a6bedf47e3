"""Secrets of connections (passwords, keys): files of their own that only the node's user may read."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

FILE = "options.json"


class ConnectionSecrets:
    """Files below ``<data>/secrets/connections``: a directory (0700) a connection; its driver may use it, too."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def directory(self, key: int) -> Path:
        """Return the directory of a connection; it may not exist yet."""
        return self._root / str(key)

    def trial(self) -> Path:
        """Return the directory of drivers that only try something out."""
        return self._root / "trial"

    def read(self, key: int) -> dict[str, Any]:
        """Return the secrets of a connection, none when there are none.

        Raises:
            OSError: they cannot be read.
        """
        try:
            content = (self.directory(key) / FILE).read_bytes()
        except FileNotFoundError:
            return {}
        return dict(msgspec.json.decode(content, type=dict[str, Any]))

    def write(self, key: int, secrets: Mapping[str, Any]) -> None:
        """Keep the secrets of a connection in place of those before.

        Raises:
            OSError: they cannot be written.
        """
        directory = self.directory(key)
        if not secrets:
            (directory / FILE).unlink(missing_ok=True)
            return
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        temporary = directory / f".{FILE}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(secrets))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / FILE)

    def remove(self, key: int) -> None:
        """Remove all files of a connection."""
        shutil.rmtree(self.directory(key), ignore_errors=True)
