"""Where a source folder comes from, as far as the machine knows: git, times, tools. Runs ``git``."""

import getpass
import os
import platform
import re
import subprocess
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gongfu
from gongfu.appkit.package.packing import source_hash
from gongfu.appkit.package.types import MANIFEST, Provenance, Tool

REQUIREMENTS = "requirements.txt"
_GIT_S = 20.0
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(.*)\Z")


def origin_of(folder: Path, files: Mapping[str, bytes], *, built_by: str = "") -> Provenance:
    """Return the provenance of a source folder.

    The time is that of ``SOURCE_DATE_EPOCH`` (reproducible-builds.org), else of the commit when nothing is changed,
    else of the newest file.

    Args:
        folder: of the source.
        files: what was read from it.
        built_by: default: the user's name.
    """
    commit, dirty, committed = _git(folder)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isascii() and epoch.isdigit():
        seconds = int(epoch[:12])
    elif commit and not dirty:
        seconds = committed
    else:
        seconds = max((int((folder / name).stat().st_mtime) for name in files), default=0)
    return Provenance(
        built_by=built_by or _user(),
        source_time=datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        source_sha256=source_hash(files),
        commit=commit,
        dirty=dirty,
        tools=(Tool("gongfu", gongfu.__version__), Tool("python", platform.python_version())),
        dependencies=_dependencies(files),
    )


def _git(folder: Path) -> tuple[str, bool, int]:
    """Return commit, whether the folder has changes, and the commit's time; ("", False, 0) without git."""
    shown = _run(folder, "log", "-1", "--format=%H %ct")
    if not shown:
        return "", False, 0
    commit, _, seconds = shown.strip().partition(" ")
    changed = _run(folder, "status", "--porcelain", "--", ".")
    return commit, changed is None or bool(changed.strip()), int(seconds)


def _run(folder: Path, *arguments: str) -> str | None:
    # The folder may be somebody else's: nothing that its configuration names is started (fsmonitor, pagers).
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.pager=cat", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 (fixed words)
            command, capture_output=True, text=True, timeout=_GIT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _dependencies(files: Mapping[str, bytes]) -> tuple[Tool, ...]:
    """Return what the app says to need: the contract range of its manifest, and the lines of ``requirements.txt``."""
    found: list[Tool] = []
    try:
        document: dict[str, Any] = tomllib.loads(files.get(MANIFEST, b"").decode())
        found.append(Tool("gongfu-app-contract", str(document["app"].get("contract", "1.0"))[:500]))
    except (ValueError, AttributeError, KeyError, TypeError):
        pass
    for line in files.get(REQUIREMENTS, b"").decode(errors="replace").splitlines():
        match = _REQUIREMENT.match(line.partition("#")[0].strip())
        if match:
            found.append(Tool(match[1][:500], match[2].strip()[:500]))
    return tuple(found[:256])


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
