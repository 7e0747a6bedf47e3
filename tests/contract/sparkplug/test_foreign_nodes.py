"""Foreign edge nodes at the host: pysparkplug (Python) and sparkplug-payload (Node.js), with Chinese names, killed."""

import asyncio
import json
import math
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from gongfu.kernel.quality import Quality
from tests.contract.mqtt.raw_client import RawClient
from tests.contract.sparkplug.conftest import PATIENCE_S, SECRET, HostDoor

HERE = Path(__file__).parent
PYSPARKPLUG = "pysparkplug==0.6.1"
NODE_MODULES = HERE / "node" / "node_modules" / "sparkplug-payload"


@pytest.fixture(scope="session")
def python_with_pysparkplug(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has pysparkplug: ``GONGFU_PYSPARKPLUG``, or an environment made for this run."""
    if given := os.environ.get("GONGFU_PYSPARKPLUG"):
        return given
    directory = tmp_path_factory.mktemp("pysparkplug")
    venv.create(directory, with_pip=False, symlinks=True)
    python = str(directory / "bin" / "python")
    uv = Path(sys.executable).parent / "uv"
    installer = [sys.executable, "-m", "pip", "--python", python]
    if uv.exists():
        installer = [str(uv), "pip"]
    done = subprocess.run(
        [*installer, "install", "-q", PYSPARKPLUG],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "VIRTUAL_ENV": str(directory)},
    )
    if done.returncode:
        pytest.skip(f"{PYSPARKPLUG} cannot be installed here: {done.stderr.strip()[-200:]}")
    return python


async def test_pysparkplug_is_read_and_its_death_by_kill_9_is_seen(
    door: HostDoor, python_with_pysparkplug: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        python_with_pysparkplug,
        str(HERE / "foreign_node.py"),
        str(door.port),
        "machine",
        SECRET,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_S) == b"sent\n"
        node = "machine/工厂A/节点 1"
        values = await door.until_stored((node, "温度"), (Quality.GOOD, 25.0))
        assert [value for _, value in values] == [20.5, 21.0, 22.0, 23.0, 24.0, 25.0]
        stored = await door.stored()
        assert stored[node, "计数"] == [(0, -7.0)]
        assert stored[f"{node}/水泵", "备注"] == [(0, "正常")]
        found = (await door.nodes())["工厂A/节点 1"]
        assert (found["online"], found["devices"], found["gaps"]) == (True, {"水泵": True}, 0)
    finally:
        process.kill()
        await process.wait()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            quality, value = (await door.stored())[node, "温度"][-1]
            if quality == Quality.BAD_STALE and not (await door.nodes())["工厂A/节点 1"]["online"]:
                break
            await asyncio.sleep(0.05)
    assert isinstance(value, float)
    assert math.isnan(value)
    assert (await door.stored())[f"{node}/水泵", "运行"][-1][0] == Quality.BAD_STALE


SCRIPT = """
const { get } = require("sparkplug-payload");
const codec = get("spBv1.0");
const now = 1700000000000;
const m = (name, type, value, more) => ({ name, type, value, timestamp: now, ...more });
const birth = [
  { name: "bdSeq", type: "Int64", value: 0, timestamp: now },
  m("温度", "Double", 20.5, { alias: 1, properties: { engUnit: { type: "String", value: "℃" },
    Quality: { type: "Int32", value: 192 } } }),
  m("小", "Int8", -5, { alias: 2 }),
  m("表", "DataSet", { numOfColumns: 2, columns: ["a", "b"], types: ["Int32", "String"], rows: [[1, "x"], [-2, "y"]] }),
  m("电机", "Template", { isDefinition: false, templateRef: "M", version: "1", parameters: [],
    metrics: [m("转速", "Float", 1450.5), m("报警", "Boolean", true)] }),
];
const data = [
  { alias: 1, type: "Double", value: 21.5, timestamp: now + 1 },
  { alias: 2, type: "Int8", value: -6, timestamp: now + 1, properties: { Quality: { type: "Int32", value: 0 } } },
];
const out = (metrics, seq) => Buffer.from(codec.encodePayload({ timestamp: now, metrics, seq })).toString("hex");
console.log(JSON.stringify([out(birth, 0), out(data, 1)]));
"""


@pytest.fixture(scope="module")
def npm_package() -> None:
    """sparkplug-payload of the lock file."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed (Debian: nodejs, npm)")
    if not NODE_MODULES.exists():
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=HERE / "node", capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"sparkplug-payload cannot be installed here: {done.stderr.strip()[-200:]}")


@pytest.mark.usefixtures("npm_package")
async def test_sparkplug_payload_of_npm_is_read(door: HostDoor) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", "-e", SCRIPT, cwd=HERE / "node", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    birth, data = (bytes.fromhex(text) for text in json.loads(out))
    client: RawClient = await door.client().connect()
    await client.publish("spBv1.0/组/NBIRTH/节点", birth)
    await client.publish("spBv1.0/组/NDATA/节点", data)
    node = "machine/组/节点"
    await door.until_stored((node, "温度"), (0, 21.5))
    stored = await door.stored()
    assert stored[node, "小"] == [(0, -5.0), (Quality.BAD, -6.0)]
    assert stored[node, "电机/转速"] == [(0, 1450.5)]
    assert stored[node, "电机/报警"] == [(0, True)]
    ((_, table),) = stored[node, "表"]
    assert json.loads(str(table)) == {
        "columns": ["a", "b"],
        "types": ["INT32", "STRING"],
        "rows": [[1, "x"], [-2, "y"]],
    }
    await client.disconnect()
