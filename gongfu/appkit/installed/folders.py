"""Folders of installed apps: ``<root>/<identifier>/``.

``code-<n>`` holds the files of a version and never changes; ``state-<n>`` holds what it has done: ``progress`` is the
host's, ``data/`` is the app's own (records). An upgrade works on a copy of the state, so whatever fails leaves the old
version as it was; which ``n`` is in force stands in the records only.
"""

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from gongfu.appkit.host.checkpoint import FILE, sync_folder

_GENERATION = re.compile(r"(?:code|state)-(\d+)", re.ASCII)
OBJECTS = "objects"
_WAITING_S = 3600.0


class Folders:
    """Folders below a root, which is made when it is first needed. Methods block on the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def incoming(self) -> Path:
        """Where packages wait that are to be installed."""
        return self.root / ".incoming"

    def of(self, app: str) -> Path:
        """Return the folder of an app."""
        return self.root / app

    def code(self, app: str, generation: int) -> Path:
        """Return the files of a version."""
        return self.of(app) / f"code-{generation}"

    def state(self, app: str, generation: int) -> Path:
        """Return what a version has done."""
        return self.of(app) / f"state-{generation}"

    def data(self, app: str, generation: int) -> Path:
        """Return the folder that is the app's own."""
        return self.state(app, generation) / "data"

    def objects(self, app: str) -> Path:
        """Return the files it keeps, of all versions."""
        return self.of(app) / OBJECTS

    def make_state(self, app: str, generation: int) -> None:
        """Make an empty state."""
        self.data(app, generation).mkdir(mode=0o700, parents=True)
        sync_folder(self.state(app, generation))

    def copy_state(self, app: str, old: int, new: int) -> None:
        """Copy a state whose app does not run."""
        target = self.state(app, new)
        shutil.copytree(self.data(app, old), target / "data", symlinks=True)
        progress = self.state(app, old) / FILE
        if progress.exists():
            shutil.copyfile(progress, target / FILE)
        for folder, _, files in os.walk(target):
            for name in files:
                descriptor = os.open(Path(folder) / name, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            sync_folder(Path(folder))

    def sync(self, app: str) -> None:
        """Make what stands in the folder of an app durable."""
        sync_folder(self.of(app))

    def keep_only(self, app: str, generations: Collection[int]) -> None:
        """Remove the folders of all other generations."""
        for entry in self.of(app).iterdir() if self.of(app).is_dir() else ():
            match = _GENERATION.fullmatch(entry.name)
            if match is not None and int(match[1]) not in generations:
                shutil.rmtree(entry, ignore_errors=True)

    def remove(self, app: str) -> None:
        """Remove everything of an app."""
        shutil.rmtree(self.of(app), ignore_errors=True)

    def remove_others(self, apps: Collection[str], now: float) -> list[str]:
        """Remove the folders of all other apps, and packages that waited for more than an hour.

        Args:
            apps: identifiers of those that are installed.
            now: seconds since 1970.

        Returns:
            Names of the folders that were removed.
        """
        gone: list[str] = []
        for entry in self.root.iterdir() if self.root.is_dir() else ():
            if entry.name not in apps and entry.is_dir() and entry != self.incoming:
                shutil.rmtree(entry, ignore_errors=True)
                gone.append(entry.name)
        for file in self.incoming.iterdir() if self.incoming.is_dir() else ():
            if now - file.stat().st_mtime > _WAITING_S:
                file.unlink(missing_ok=True)
        return gone
