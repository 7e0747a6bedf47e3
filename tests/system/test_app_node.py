"""Apps on a whole node: install, kill -9 in the middle, upgrades that fail and succeed, remove without orphans."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from gongfu.appkit.developing.new import write_new_app
from gongfu.appkit.package.origin import origin_of
from gongfu.appkit.package.packing import pack, read_source
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

# Of this process: other tests run an app of the same template at the same time.
PUBLISHER = f"test{os.getpid()}"
APP = f"{PUBLISHER}.vibration"
MODEL = '''
"""Crest factor."""
from gongfu.appkit.contract import Port, model

from ..analysis import rms


@model(id="local.crest", version="{version}", inputs=[Port("vibration", "mm/s")], outputs=[Port("crest", "1")])
def crest(columns, dt):
    """Peak over RMS."""
    return {{"crest": abs(columns["vibration"]) / max(rms(columns["vibration"]), 1e-9)}}
'''
RULES = """\
rules:
  - name: rms is high
    kind: threshold
    asset: "**"
    point: vibration rms
    condition: { direction: above, limit: 100.0 }
    priority: high
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("app-node") / "data").start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app of ``gongfu app new``, which also brings a model and a rule."""
    folder = write_new_app("vibration", tmp_path_factory.mktemp("source"), PUBLISHER)
    (folder / "models").mkdir()
    (folder / "models" / "crest.py").write_text(MODEL.format(version="1.0.0"))
    (folder / "rules").mkdir()
    (folder / "rules" / "rms.yaml").write_text(RULES)
    manifest = folder / "app.toml"
    text = manifest.read_text().replace("[provides]", '[provides]\nmodels = [{ file = "models/crest.py", '
        'bind = [{ assets = "machine *" }] }]\nrules = ["rules/rms.yaml"]')  # fmt: skip
    manifest.write_text(text)
    return folder


def packed(source: Path, target: Path, version: str, files: dict[str, str] | None = None) -> Path:
    """Return an unsigned package of a version, with some files replaced."""
    folder = target / f"source-{version}"
    shutil.copytree(source, folder, dirs_exist_ok=True)
    manifest = folder / "app.toml"
    manifest.write_text(re.sub(r'version = "[\d.]+"', f'version = "{version}"', manifest.read_text(), count=1))
    for name, content in (files or {}).items():
        (folder / name).write_text(content)
    package = target / f"{version}.gfapp"
    content = read_source(folder)
    package.write_bytes(pack(content, origin_of(folder, content), None))
    return package


def get(node: Node, path: str, method: str = "GET") -> Any:
    request = Request(f"{node.url}/v1{path}", headers={"Authorization": f"Bearer {node.token}"}, method=method)
    with urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def install(node: Node, package: Path, status: int = 0) -> str:
    done = node.run_cli("app", "install", str(package), "--unsigned", "--grant-all")
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def running(node: Node) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        try:
            found = get(node, f"/apps/{APP}")
        except (HTTPError, OSError):
            return None
        state = found["running"]
        return found if state and state["state"] == "running" else None

    found = wait_until(look, "the app runs", 90.0)
    assert found is not None
    return found


class Machine:
    """A machine that sends vibration until it is stopped."""

    def __init__(self, node: Node, asset: str) -> None:
        made = json.loads(node.cli("device", "add", asset.replace(" ", "-"), "--asset", asset, "--json"))
        self._node, self._name, self._secret = node, made["device"]["name"], made["secret"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        from base64 import b64encode

        key = b64encode(f"{self._name}:{self._secret}".encode()).decode()
        headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
        while not self._stop.wait(0.2):
            now = time.time()
            body = [
                {"ts": int(1000 * (now + n / 50)) - 200, "values": {"vibration": float((-1) ** n)}} for n in range(10)
            ]
            try:
                urlopen(
                    Request(f"{self._node.url}/v1/telemetry", json.dumps(body).encode(), headers), timeout=10
                ).close()
            except OSError:
                time.sleep(0.2)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def traces(node: Node) -> dict[str, Any]:
    """Return everything on the node that may speak of an app."""
    database = sqlite3.connect(f"file:{node.data_dir / 'records' / 'records.sqlite'}?mode=ro", uri=True)
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    # The audit tells what was done, events and alarms what happened; points keep what was written to them.
    history = {"audit", "alarm", "alarm_entry", "point", "model_usage"}
    rows = {
        name: sorted(map(str, database.execute(f'SELECT * FROM "{name}"'))) for name in tables if name not in history
    }
    named = {name: [row for row in found if "vibration" in row or "crest" in row] for name, found in rows.items()}
    database.close()
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    files = sorted(str(path.relative_to(node.data_dir)) for path in (node.data_dir / "apps").rglob("*"))
    return {
        "rows": {name: found for name, found in named.items() if found},
        "tables": tables,
        "files": [file for file in files if file != "apps/.incoming"],
        "processes": [line for line in processes.splitlines() if APP in line and str(sys.executable) in line],
        "models": [one["id"] for one in get(node, "/models")],
        "rules": [one["name"] for one in get(node, "/rules")["items"]],
    }


def test_life_of_an_app_on_a_node(node: Node, source: Path, tmp_path: Path) -> None:
    (node.data_dir / "apps").mkdir(exist_ok=True)
    machine = Machine(node, "machine 1")
    before = traces(node)
    began = time.monotonic()
    assert "running" in install(node, packed(source, tmp_path, "1.0.0"))
    started = running(node)["running"]
    print(f"installed in {time.monotonic() - began:.2f} s, hot start {started['start_s']:.2f} s")
    # CPU time, which a busy machine changes little; on a quiet one the start takes not much longer.
    assert started["cpu_s"] < 5.0
    assert [one["id"] for one in get(node, "/models") if one["owner"] == f"app:{APP}"] == ["local.crest"]
    assert [one["owner"] for one in get(node, "/rules")["items"]] == [f"app:{APP}"]

    def rows() -> list[dict[str, Any]]:
        return get(node, f"/apps/{APP}/api/trend")["rows"]

    def newest() -> int:
        return rows()[-1]["ms"]

    wait_until(lambda: len(rows()) >= 3, "windows of the machine", 60.0)

    # An upgrade whose health check fails, and one whose migration does: the old version goes on, with its records.
    broken = (source / "app.py").read_text().replace("    context.records.query(", '    raise OSError("no")\n    (')
    assert "health check: OSError: no" in install(node, packed(source, tmp_path, "1.1.0", {"app.py": broken}), 1)
    wrong = {"migrations/0002_more.sql": "ALTER TABLE trend ADD more REAL; DROP TABLE missing;"}
    assert "0002_more.sql: no such table" in install(node, packed(source, tmp_path, "1.1.1", wrong), 1)
    app = running(node)
    assert (app["version"], app["previous"], "0002_more" in app["trouble"]) == ("1.0.0", None, True)
    seen, seen_ms = len(rows()), newest()

    # Kill -9 of the whole node in the middle of an upgrade: afterwards the old or the new version, whole.
    upgrade = packed(source, tmp_path, "1.2.0", {"migrations/0002_more.sql": "ALTER TABLE trend ADD more REAL;"})
    command = [sys.executable, "-m", "gongfu.node.cli", "app", "install", str(upgrade), "--unsigned", "--grant-all"]
    environment = {"GONGFU_DATA_DIR": str(node.data_dir), "PATH": "/usr/bin:/bin"}
    client = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(
        lambda: (node.data_dir / "apps" / APP / "code-4").exists() or client.poll() is not None, "it began", 60.0
    )
    node.kill()
    client.wait(60)
    node.start()
    app = running(node)
    assert app["version"] in ("1.0.0", "1.2.0")
    if app["version"] == "1.0.0":
        assert "running" in install(node, upgrade)
    assert running(node)["version"] == "1.2.0"
    wait_until(lambda: newest() > seen_ms, "windows go on", 60.0)
    assert "more" not in rows()[-1]

    # What was looked at is what is installed.
    other = Request(f"{node.url}/v1/apps:install?grant=all&unsigned=true&sha256={'0' * 64}", upgrade.read_bytes())
    other.add_header("Authorization", f"Bearer {node.token}")
    with pytest.raises(HTTPError, match="409"):
        urlopen(other, timeout=30)

    # Back by hand, and away: nothing of it is left but what it wrote to points, and what people did.
    assert json.loads(node.cli("app", "rollback", APP, "--json"))["version"] == "1.0.0"
    assert running(node)["version"] == "1.0.0"
    exported = tmp_path / "records.sqlite"
    node.cli("app", "remove", APP, "--yes", "--export", str(exported))
    assert sqlite3.connect(exported).execute("SELECT count(*) FROM trend").fetchone()[0] >= seen
    machine.close()
    with pytest.raises(HTTPError, match="404"):
        get(node, f"/apps/{APP}")
    assert traces(node) == before


def test_the_newcomers_path_on_a_node_that_runs(node: Node, tmp_path: Path) -> None:
    """new, test, run: the page answers, the recording raises an alarm, a saved change is taken up."""
    node.cli("app", "new", "shaft", "--in", str(tmp_path))
    folder = tmp_path / "shaft"
    assert "3 of 3 tests passed" in node.cli("app", "test", str(folder))
    command = [sys.executable, "-m", "gongfu.node.cli", "app", "run", str(folder), "--data-dir", str(node.data_dir)]
    command += ["--recording", "data/vibration.csv", "--speed", "2", "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(400.0, running.kill)
    watchdog.start()
    try:
        assert running.stdout is not None
        told: dict[str, Any] = {}
        changed = False
        for line in running.stdout:
            told.update(json.loads(line))
            if "page" in told and not changed:
                changed = True
                assert "src = found.page" in read_page(told["page"], "")
                assert "gongfu.js" in read_page(told["page"], "pages/index.html")
                assert "gongfu.call" in read_page(told["page"], "pages/gongfu.js")
                with pytest.raises(HTTPError, match="403"):
                    read_page(told["page"], "api/trend")
                with pytest.raises(HTTPError, match="421"):
                    read_page(told["page"], "api/trend", {"X-Gongfu-Run": "1", "Host": "elsewhere.example"})
                code = folder / "app.py"
                code.write_text(code.read_text().replace("RAISE_AT = 4.5", "RAISE_AT = 4.4"))
            if "alarm" in told and told["version"] == "1.0.1":
                break
        assert told["alarm"]["asset_path"] == "machine 1"
        assert told["alarm"]["priority"] == "high"
        found = json.loads(read_page(told["page"], "api/trend", {"X-Gongfu-Run": "1"}))
        assert (found["raise_at"], len(found["rows"]) > 3) == (4.4, True)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    finally:
        watchdog.cancel()
        running.kill()
        running.wait()
    node.cli("app", "remove", "local.shaft", "--yes")


def read_page(page: str, path: str, headers: dict[str, str] | None = None) -> str:
    with urlopen(Request(page + path, headers=headers or {}), timeout=30) as answer:
        return answer.read().decode()
