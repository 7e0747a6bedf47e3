"""thingsboard-gateway's Modbus connector: polls the same device, delivers to an MQTT endpoint that only counts."""

import json
import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.ingest.peers.tb_endpoint import TbEndpoint
from benchmarks.ingest.peers.tb_gateway import install_gateway
from benchmarks.ingest.processes import usage

# What its connector asks for; it would install them itself while it is being measured.
_NEEDS = ("pymodbus==3.9.2", "pyserial", "pyserial-asyncio")
_START_S = 90.0
_WARM_S = 5.0


def measure_gateway(folder: Path, port: int, registers: int, seconds: float, *, ranges: bool) -> tuple[float, int]:
    """Return (CPU seconds, values delivered) of the gateway.

    Args:
        folder: empty working directory.
        port: of the device.
        registers: how many are polled once a second.
        seconds: how long to measure.
        ranges: False: a tag each, as its manual shows; True: one range of 120 registers a request, its best.
    """
    python = install_gateway()
    subprocess.run([str(python), "-m", "pip", "install", "-q", *_NEEDS], check=True)
    with ExitStack() as stack:
        endpoint = TbEndpoint()
        stack.callback(endpoint.close)
        _configure(folder, endpoint.port, port, registers, ranges)
        process = subprocess.Popen(
            [str(python), "-c", "from thingsboard_gateway.tb_gateway import main; main()"],
            cwd=folder,
            env={
                **os.environ,
                "TB_GW_CONFIG_DIR": f"{folder}/",
                "TB_GW_LOGS_PATH": str(folder / "logs"),
                "https_proxy": "http://127.0.0.1:9",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        deadline = time.monotonic() + _START_S
        while endpoint.points < registers:
            if time.monotonic() > deadline:
                raise RuntimeError(f"thingsboard-gateway delivered {endpoint.points} values in {_START_S:g} s")
            time.sleep(0.1)
        time.sleep(_WARM_S)
        cpu, points = sum(row.cpu_seconds for row in usage(process.pid)), endpoint.points
        time.sleep(seconds)
        return sum(row.cpu_seconds for row in usage(process.pid)) - cpu, endpoint.points - points


def _configure(folder: Path, endpoint: int, device: int, registers: int, ranges: bool) -> None:
    common = {"type": "16uint", "functionCode": 3, "objectsCount": 1}
    series: list[dict[str, Any]]
    if ranges:
        series = [{**common, "tag": "r${address}", "address": f"0-{registers - 1}", "maxRegistersPerRequest": 120}]
    else:
        series = [{**common, "tag": f"r{n}", "address": n} for n in range(registers)]
    slave = {
        "host": "127.0.0.1",
        "port": device,
        "type": "tcp",
        "method": "socket",
        "timeout": 10,
        "byteOrder": "BIG",
        "wordOrder": "BIG",
        "retries": True,
        "retryOnEmpty": True,
        "retryOnInvalid": True,
        "pollPeriod": 1000,
        "unitId": 1,
        "deviceName": "machine",
        "deviceType": "default",
        "connectAttemptTimeMs": 5000,
        "connectAttemptCount": 5,
        "waitAfterFailedAttemptsMs": 5000,
        "attributes": [],
        "timeseries": series,
    }
    limits = dict.fromkeys(
        ("dpRateLimits", "messagesRateLimits", "deviceMessagesRateLimits", "deviceRateLimits", "deviceDpRateLimits"),
        "0:0,",
    )
    gateway = {
        "thingsboard": {
            "host": "127.0.0.1",
            "port": endpoint,
            "remoteShell": False,
            "remoteConfiguration": False,
            "statistics": {"enable": False},
            "security": {"type": "accessToken", "accessToken": "benchmark"},
            "qos": 1,
            "minPackSendDelayMS": 50,
            "minPackSizeToSend": 500,
            "maxPayloadSizeBytes": 65_536,
            "checkConnectorsConfigurationInSeconds": 3600,
            "rateLimits": "0:0,",
            **limits,
        },
        "storage": {"type": "memory", "read_records_count": 1000, "max_records_count": 100_000},
        "grpc": {"enabled": False},
        "connectors": [{"type": "modbus", "name": "benchmark", "configuration": "modbus.json"}],
    }
    (folder / "tb_gateway.json").write_text(json.dumps(gateway))
    (folder / "modbus.json").write_text(json.dumps({"master": {"slaves": [slave]}}))
    logging = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR", "handlers": []}}
    (folder / "logs.json").write_text(json.dumps(logging))
    (folder / "logs").mkdir(exist_ok=True)
