"""Runs the node-opcua programs of ``foreign/`` (a server and a client of other hands)."""

import asyncio
import json
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

FOLDER = Path(__file__).with_name("foreign")


def require():
    """Skip the test where Node.js or node-opcua is missing."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if not (FOLDER / "node_modules" / "node-opcua").is_dir():
        pytest.skip(f"node-opcua is not installed: run `npm ci` in {FOLDER}")


class Foreign:
    """The server as a process of its own."""

    def __init__(self, process, port, folder):
        self.process = process
        self.port = port
        self.folder = folder

    async def set(self, name, value, status=""):
        self.process.stdin.write(json.dumps({"set": name, "value": value, "status": status}).encode() + b"\n")
        await self.process.stdin.drain()

    def kill(self):
        self.process.kill()


@asynccontextmanager
async def foreign_server(port, folder, items=0):
    """Run the server until the block ends; it may be killed before."""
    folder.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        "node", "server.js", str(port), str(folder), str(items),
        cwd=FOLDER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said = []
    try:
        while True:
            line = await asyncio.wait_for(process.stdout.readline(), 60)
            said.append(line.decode(errors="replace"))
            assert line, "the server ended: " + "".join(said)[-3000:]
            if line.strip() == b"ready":
                break
        reading = asyncio.create_task(process.stdout.read())  # a full pipe would stop it
        yield Foreign(process, port, folder)
        reading.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run_program(*arguments):
    """Run a program of ``foreign/`` and return what it printed as JSON."""
    process = await asyncio.create_subprocess_exec(
        "node", *map(str, arguments), cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode(errors="replace")[-3000:] + out.decode(errors="replace")[-2000:]
    return json.loads(out.decode().strip().splitlines()[-1])
