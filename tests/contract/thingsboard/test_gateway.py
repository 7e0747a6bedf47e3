"""thingsboard-gateway itself, unchanged, as a gateway on our front door: it brings values of a socket."""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.contract.mqtt.test_door_role import Role, bus, role
from tests.contract.thingsboard.test_clients import TOKEN, points, records
from tests.fixtures.nats import free_port

__all__ = ["bus", "records", "role"]

# A Python with thingsboard-gateway 3.8 in an environment of its own: its packages do not go with ours.
PYTHON = os.environ.get("GONGFU_THINGSBOARD_GATEWAY", "")
PATIENCE_S = 60.0


def configure(directory: Path, port: int, listens: int) -> None:
    """Write the configuration: our port and token, and a socket that takes texts as values of a device."""
    gateway: dict[str, Any] = {
        "thingsboard": {
            "host": "127.0.0.1",
            "port": port,
            "remoteShell": False,
            "remoteConfiguration": False,
            "statistics": {"enable": False},
            "security": {"type": "accessToken", "accessToken": TOKEN},
            "qos": 1,
            "checkConnectorsConfigurationInSeconds": 60,
            "minPackSendDelayMS": 50,
        },
        "storage": {"type": "memory", "read_records_count": 100, "max_records_count": 1000},
        "grpc": {"enabled": False},
        "connectors": [{"type": "socket", "name": "line", "configuration": "socket.json"}],
    }
    connector = {
        "name": "line",
        "logLevel": "INFO",
        "socket": {"address": "127.0.0.1", "type": "UDP", "port": listens, "bufferSize": 1024},
        "devices": [
            {
                "address": "*:*",
                "deviceName": "泵 9",
                "deviceType": "default",
                "encoding": "utf-8",
                "telemetry": [{"key": "flow", "byteFrom": 0, "byteTo": -1}],
                "attributes": [],
                "attributeRequests": [],
                "attributeUpdates": [],
                "serverSideRpc": [],
            }
        ],
    }
    logs = {"version": 1, "root": {"level": "WARNING"}}
    for name, document in (("tb_gateway.json", gateway), ("socket.json", connector), ("logs.json", logs)):
        (directory / name).write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.skipif(not PYTHON, reason="GONGFU_THINGSBOARD_GATEWAY names no Python with thingsboard-gateway")
async def test_values_of_a_gateway_arrive(role: Role, records: Engine, tmp_path: Path) -> None:
    directory = tmp_path / "gateway"
    directory.mkdir()
    listens = free_port()
    configure(directory, role.port, listens)
    log = (directory / "log.txt").open("wb")
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-c", "from thingsboard_gateway.tb_gateway import daemon; daemon()",
        env={**os.environ, "TB_GW_CONFIG_DIR": str(directory), "PIP_NO_INDEX": "1"},
        cwd=directory, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_S):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                while True:
                    sender.sendto(b"42", ("127.0.0.1", listens))
                    if ("a/泵 9", "flow") in points(records):
                        break
                    assert process.returncode is None, (directory / "log.txt").read_text()
                    await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail((directory / "log.txt").read_text()[-4000:])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        log.close()
