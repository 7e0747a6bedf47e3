"""Releases of a node that the launcher runs: a virtual environment each, made beside the one that runs."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gongfu.node.launcher import RELEASES_VARIABLE, current_version, python_of

_STEP_S = 600.0
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!_-]{0,60}\Z")
_WHEEL = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*\.whl\Z")
_ASK = (
    "import json, gongfu; from gongfu.store.records.revisions import head; "
    "print(json.dumps([gongfu.__version__, head()]))"
)
_WHERE = "import sysconfig; print(sysconfig.get_paths()['purelib'])"


class ReleaseError(Exception):
    """A release cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release that is whole: its version, and the revision of the records it needs."""

    version: str
    records: str


class Releases:
    """The releases below a root; all methods block."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of_environment(cls) -> "Releases | None":
        """Return the releases of this node, None when no launcher started it."""
        root = os.environ.get(RELEASES_VARIABLE)
        return cls(Path(root)) if root else None

    def current(self) -> str:
        """Return the version that the pointer names.

        Raises:
            OSError: there is no pointer.
        """
        return current_version(self.root)

    def describe(self, version: str) -> Release:
        """Return what a release says of itself.

        Raises:
            ReleaseError: it does not run.
        """
        said = self._run([str(python_of(self.root, version)), "-c", _ASK])
        found, records = json.loads(said.splitlines()[-1])
        return Release(str(found), str(records))

    def install(self, version: str, source: Path, wheels: Mapping[str, str]) -> Release:
        """Make a release of some wheels, and of the packages of the current one for all that they do not bring.

        The release is made at its own place and bears a mark when it is whole; one without the mark is made anew.

        Args:
            version: version of Gongfu that must come of it.
            source: directory of the wheels.
            wheels: file name → SHA-256; no other file is looked at, and no index is asked.

        Raises:
            ReleaseError: a file is missing or another one, or what was made does not run or is another version.
            OSError: the disk.
        """
        if not _VERSION.match(version):
            raise ReleaseError(f"{version!r} is not a version")
        files = _checked(source, wheels)
        place = self.root / "releases" / version
        mark = place / "complete.json"
        if not (mark.exists() and json.loads(mark.read_bytes()) == dict(wheels)):
            if version == self.current():
                raise ReleaseError(f"{version} is running, from other files")
            shutil.rmtree(place, ignore_errors=True)
            self._make(place, files)
            made = self.describe(version)
            if made.version != version:
                raise ReleaseError(f"the files are version {made.version}, not {version}")
            mark.write_text(json.dumps(dict(wheels)))
            return made
        return self.describe(version)

    def _make(self, place: Path, files: Sequence[Path]) -> None:
        present = str(python_of(self.root, self.current()))
        self._run([present, "-m", "venv", "--without-pip", str(place)])
        python = str(place / "bin" / "python")
        packages, own = (Path(self._run([which, "-c", _WHERE]).strip()) for which in (present, python))
        _link(packages, own)
        _link_programs(python_of(self.root, self.current()).parent, place / "bin")
        # The index is off, whatever the environment says; a dependency that neither the wheels nor the current
        # release has is an error.
        install = ("install", "--isolated", "--no-index", "--no-input", "--no-cache-dir", "--disable-pip-version-check")
        self._run([present, "-m", "pip", "--python", python, *install, *map(str, files)])

    @staticmethod
    def _run(command: Sequence[str]) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        try:
            done = subprocess.run(  # noqa: S603 (our own interpreters)
                command, capture_output=True, text=True, timeout=_STEP_S, env=environment, cwd="/", check=False
            )
        except subprocess.TimeoutExpired:
            raise ReleaseError(f"{command[1:3]} was not done after {_STEP_S:g} s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise ReleaseError(f"{' '.join(command[1:3])[:80]}: {said[-1][:500]}")
        return done.stdout


def _checked(source: Path, wheels: Mapping[str, str]) -> list[Path]:
    files: list[Path] = []
    for name, digest in sorted(wheels.items()):
        if not _WHEEL.match(name):
            raise ReleaseError(f"{name!r} is not the name of a wheel")
        path = source / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ReleaseError(f"{path}: {error.strerror}") from None
        if found != digest:
            raise ReleaseError(f"{path} has SHA-256 {found}, not {digest}")
        files.append(path)
    return files


def _link(packages: Path, own: Path) -> None:
    """Take over the packages of a release but Gongfu itself: by hard links, which cost no room and outlive it."""

    def not_gongfu(_: str, names: list[str]) -> set[str]:
        return {name for name in names if name == "__pycache__" or name.startswith(("gongfu", "__editable__"))}

    shutil.copytree(packages, own, symlinks=True, ignore=not_gongfu, copy_function=_link_file, dirs_exist_ok=True)


def _link_programs(programs: Path, own: Path) -> None:
    """Take over what packages have brought as programs (nats-server), but no scripts: those name their interpreter."""
    for program in programs.iterdir():
        if program.is_symlink() or not program.is_file() or (own / program.name).exists():
            continue
        with program.open("rb") as file:
            start = file.read(4)
        if start == b"\x7fELF":
            _link_file(str(program), str(own / program.name))


def _link_file(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
