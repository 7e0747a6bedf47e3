"""``gongfu app run``: an app on a node while it is being written."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.app import installed
from gongfu.node.cli.app_page import AppPage, alarm_line
from gongfu.node.cli.app_replay import Replay
from gongfu.node.cli.failures import FAILED, Failure
from gongfu.node.cli.node_api import NodeApi, connect, segment
from gongfu.node.cli.options import node_options

_START_S = 120.0
_LOOK_S = 0.5


@click.command("run")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(), required=False)
@click.option("--port", type=int, default=0, help="Port of the page on this machine; default: any.")
@click.option("--recording", type=click.Path(path_type=Path), help="What is played; default: the first data/*.csv.")
@click.option("--no-recording", is_flag=True, help="Play nothing.")
@click.option("--speed", type=click.FloatRange(0.1, 100.0), default=1.0, show_default=True, help="Of the playing.")
@click.option("--seconds", type=float, default=0.0, help="End after so long; default: with Ctrl-C.")
@node_options
def run(
    folder: Path,
    port: int,
    recording: Path | None,
    no_recording: bool,
    speed: float,
    seconds: float,
    as_json: bool,
    **node: Any,
) -> None:
    """Run the app of a folder, and take it up again whenever a file is saved.

    Without --url, --data-dir or --config a node of its own is started in a temporary folder, where the recorded data is
    played; it is gone at the end. On a node that is there the data is played only with --recording.
    """
    # A closed terminal ends it as Ctrl-C does: the node of its own must not be left over.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    root = folder.resolve()
    own = not any((node["url"], node["data_dir"], node["config"]))
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(_private_node()) if own else connect(**node)
        watch = _Watch(api, root, as_json)
        app = watch.take_up()
        page = AppPage(api, app, port)
        stack.callback(page.close)
        chosen = None if no_recording else recording or (_first_recording(root) if own else None)
        replay = _play(api, root / chosen, app, speed) if chosen is not None else None
        if replay is not None:
            stack.callback(replay.close)
        watch.say(f"page: {page.address}", {"page": page.address})
        if replay is not None and chosen is not None:
            watch.say(
                f"playing {chosen} ({replay.seconds:.0f} s) again and again; Ctrl-C ends", {"playing": str(chosen)}
            )
        with contextlib.suppress(KeyboardInterrupt):
            watch.follow(replay, seconds)


COMMANDS = [run]


class _Watch:
    """Installs the app again when a file changes, and tells its alarms, its log and what goes wrong."""

    def __init__(self, api: NodeApi, root: Path, as_json: bool) -> None:
        self._api = api
        self._root = root
        self._as_json = as_json
        self._app = ""
        self._turn = 0
        self._seen: dict[str, str] = {}
        self._told = 0
        self._stamp = self._look()

    def say(self, text: str, document: dict[str, Any]) -> None:
        """Print a line, or JSON."""
        print(json.dumps(document, ensure_ascii=False) if self._as_json else text, flush=True)

    def take_up(self) -> str:
        """Install what is in the folder now; return the identifier.

        Raises:
            Failure: it is no app, or the node refuses it.
        """
        from gongfu.appkit.manifest import FILE, ManifestError, parse_manifest
        from gongfu.appkit.package.origin import origin_of
        from gongfu.appkit.package.packing import pack, read_source
        from gongfu.appkit.package.refusal import PackageError

        began = time.monotonic()
        try:
            files = read_source(self._root)
            manifest = parse_manifest(files[FILE], str(self._root / FILE))
            self._app = manifest.app.id
            version = self._next_version(manifest.app.version)
            changed = files[FILE].replace(
                f'version = "{manifest.app.version}"'.encode(), f'version = "{version}"'.encode()
            )
            files = {**files, FILE: changed}
            with tempfile.NamedTemporaryFile(suffix=".gfapp") as package:
                package.write(pack(files, origin_of(self._root, files), None))
                package.flush()
                found = installed(self._api, Path(package.name), unsigned=True)
        except (ManifestError, PackageError) as error:
            raise Failure(str(error), "see docs/apps.md", FAILED, "manifest") from None
        took = time.monotonic() - began
        state = found["running"]["state"] if found["running"] else "unknown"
        self.say(
            f"{self._app} {version}: {state} after {took:.1f} s",
            {"app": self._app, "version": version, "state": state, "seconds": round(took, 3)},
        )
        return self._app

    def follow(self, replay: Replay | None, seconds: float) -> None:
        """Follow until interrupted, or for some seconds."""
        end = time.monotonic() + seconds if seconds else float("inf")
        trouble = ""
        while time.monotonic() < end:
            time.sleep(_LOOK_S)
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self.take_up()
                except Failure as failure:
                    self.say(f"not taken up: {failure}", {"failure": str(failure)})
            self._tell_alarms()
            self._tell_log()
            now = replay.trouble if replay is not None else ""
            if now and now != trouble:
                self.say(f"playing: {now}", {"failure": now})
            trouble = now

    def _next_version(self, version: str) -> str:
        """Return a version that is newer than the installed one: development needs no new number for each change."""
        major, minor, patch = (int(part) for part in version.split("."))
        try:
            present = str(self._api.get(f"/apps/{segment(self._app)}")["version"])
        except Failure as failure:
            if failure.code != "not-found":
                raise
            return version
        there = tuple(int(part) for part in present.split("."))
        return version if (major, minor, patch) > there else f"{there[0]}.{there[1]}.{there[2] + 1}"

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        found: list[tuple[str, int, int]] = []
        for place, folders, names in os.walk(self._root):
            folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
            for name in names:
                with contextlib.suppress(OSError):
                    stat = (Path(place) / name).stat()
                    found.append((f"{place}/{name}", stat.st_mtime_ns, stat.st_size))
        return tuple(sorted(found))

    def _tell_alarms(self) -> None:
        for alarm in reversed(self._api.get("/alarms", limit=20)["items"]):
            state = str(alarm["state"])
            if self._seen.get(alarm["id"]) != state:
                self._seen[alarm["id"]] = state
                self.say(f"alarm  {alarm_line(alarm)}", {"alarm": alarm})

    def _tell_log(self) -> None:
        lines = self._api.get(f"/apps/{segment(self._app)}/log", lines=500)["lines"]
        for line in lines[self._told :]:
            self.say(f"log    {line}", {"log": line})
        self._told = len(lines) if len(lines) < 500 else self._told


def _first_recording(root: Path) -> Path | None:
    found = sorted((root / "data").glob("*.csv"))
    return found[0].relative_to(root) if found else None


def _play(api: NodeApi, file: Path, app: str, speed: float) -> Replay:
    from gongfu.appkit.recordings import RecordingError

    try:
        return Replay(api, file, f"recorded-{app.rpartition('.')[2]}", speed)
    except RecordingError as error:
        raise Failure(str(error), "see docs/apps.md, recorded data") from None


@contextlib.contextmanager
def _private_node() -> Iterator[NodeApi]:
    """Run a node in a temporary folder, on loopback and free ports; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gongfu-app-run-") as folder:
        ports = _free_ports(2)
        command = [sys.executable, "-m", "gongfu.node.cli", "up", "--json", "--data-dir", folder, "--name", "app-run"]
        command += ["--web-port", str(ports[0]), "--mqtt-port", str(ports[1]), "--websocket-port", "0"]
        log = Path(folder) / "up.log"
        began = time.monotonic()
        print("starting a node of its own in a temporary folder…", file=sys.stderr)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 (our own command line)
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, start_new_session=True
            )
        late = threading.Timer(_START_S, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            late.cancel()
            if not line:
                said = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise Failure("no node could be started: " + " / ".join(said), "try `gongfu doctor`")
            print(f"a node of its own is ready after {time.monotonic() - began:.1f} s", file=sys.stderr)
            yield connect(None, None, None, Path(folder))
        finally:
            late.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
