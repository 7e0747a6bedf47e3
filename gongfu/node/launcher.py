"""Starts the release that the pointer ``current`` names, starts it anew when it asks for that, and goes back to the
release before when a new one does not become ready.

It has to outlive what it starts, so it is copied beside the releases and imports nothing but the standard library::

    python3 /opt/gongfu/launcher.py --root /opt/gongfu --data-dir /var/lib/gongfu -- --quiet

    /opt/gongfu/releases/0.1.0/bin/python   a virtual environment a release
    /opt/gongfu/current -> releases/0.1.0
    /opt/gongfu/trial.json                  the last change of release, see ``Trial``
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import FrameType

RESTART_STATUS = 75
"""Exit status of a node that wants to be started anew."""
RELEASES_VARIABLE = "GONGFU_RELEASES"
"""Tells the node that a launcher started it, and where its releases are."""

KEPT, RETURNED = "kept", "returned"
_POLL_S = 0.1
_STOP_S = 150.0


@dataclass(frozen=True)
class Trial:
    """A change of release: who asked for it, from which version to which, how long the new one may take to be ready,
    and what came of it: ``kept``, ``returned`` (with the reason), or nothing yet."""

    key: str
    old: str
    new: str
    seconds: float
    outcome: str = ""
    reason: str = ""


def read_trial(root: Path) -> Trial | None:
    """Return the last change of release, None without one that can be read."""
    try:
        document = json.loads((root / "trial.json").read_bytes())
        return Trial(**{field.name: document[field.name] for field in fields(Trial)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_trial(root: Path, trial: Trial) -> None:
    """Store a change of release, at once or not at all.

    Raises:
        OSError: it cannot be written.
    """
    _replace_file(root / "trial.json", json.dumps(asdict(trial)))


def current_version(root: Path) -> str:
    """Return the version that the pointer names.

    Raises:
        OSError: there is no pointer.
    """
    return Path(os.readlink(root / "current")).name


def point_to(root: Path, version: str) -> None:
    """Let the pointer name another version, at once or not at all.

    Raises:
        OSError: it cannot be written.
    """
    scratch = root / f".current-{os.getpid()}"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(Path("releases") / version)
    scratch.replace(root / "current")


def python_of(root: Path, version: str) -> Path:
    """Return the interpreter of a release: by its own path, so that a role that is started again stays with it."""
    return root / "releases" / version / "bin" / "python"


class Launcher:
    """Runs the node until it stops by itself or by a signal."""

    def __init__(self, root: Path, data_dir: Path, arguments: list[str]) -> None:
        self._root = root
        self._data_dir = data_dir
        self._arguments = arguments
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        """Return the exit status of the node."""
        signal.signal(signal.SIGTERM, self._pass_on)
        signal.signal(signal.SIGINT, self._pass_on)
        while True:
            version = current_version(self._root)
            began = time.time_ns()
            self._child = self._start(version)
            trial = read_trial(self._root)
            if trial is not None and not trial.outcome and trial.new == version:
                self._try(trial, began)
            status = self._child.wait()
            if self._stopping:
                return status
            again = status == RESTART_STATUS or current_version(self._root) != version
            if not again:
                return status if status >= 0 else 128 - status

    def _start(self, version: str) -> "subprocess.Popen[bytes]":
        command = [str(python_of(self._root, version)), "-m", "gongfu.node.cli", "up"]
        _say(f"starting {version}")
        return subprocess.Popen(  # noqa: S603 (a release of ours)
            [*command, "--data-dir", str(self._data_dir), *self._arguments],
            env={**os.environ, RELEASES_VARIABLE: str(self._root)},
        )

    def _try(self, trial: Trial, began: int) -> None:
        """Wait until the new release is ready; otherwise point back to the old one and end it."""
        assert self._child is not None  # just started
        deadline = time.monotonic() + trial.seconds
        reason = f"{trial.new} was not ready after {trial.seconds:g} s"
        while time.monotonic() < deadline:
            if self._is_ready(trial.new, began):
                write_trial(self._root, replace(trial, outcome=KEPT))
                _say(f"{trial.new} is ready")
                return
            status = self._child.poll()
            if status is not None:
                if self._stopping:
                    return  # nothing is known of it; it is tried again at the next start
                reason = f"{trial.new} ended with status {status} before it was ready"
                break
            time.sleep(_POLL_S)
        if self._stopping:
            return
        _say(f"{reason}; going back to {trial.old}")
        point_to(self._root, trial.old)
        write_trial(self._root, replace(trial, outcome=RETURNED, reason=reason))
        self._end()

    def _is_ready(self, version: str, began: int) -> bool:
        try:
            state = json.loads((self._data_dir / "run" / "state.json").read_bytes())
            return bool(state["ready_at"] >= began and state["version"] == version)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _end(self) -> None:
        assert self._child is not None
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)


def _replace_file(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    with open(scratch, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _say(text: str) -> None:
    print(f"launcher: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the launcher of the command line's arguments."""
    parser = argparse.ArgumentParser(description="Run the release of Gongfu that ROOT/current names.")
    parser.add_argument("--root", type=Path, required=True, help="directory of releases and pointer")
    parser.add_argument("--data-dir", type=Path, required=True, help="data directory of the node")
    parser.add_argument("arguments", nargs="*", help="further arguments of `gongfu up`, after --")
    given = parser.parse_args()
    try:
        return Launcher(given.root.absolute(), given.data_dir.absolute(), given.arguments).run()
    except OSError as error:
        _say(f"cannot start: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
