"""thingsboard-gateway: MQTT JSON in by its MQTT connector, ThingsBoard's gateway API out; it stores nothing for good.

Installed by pip into ``benchmarks/.peers/tbgw``, never into our environment.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ingest.generator import Load
from benchmarks.ingest.load import Generator
from benchmarks.ingest.payloads import POINTS_PER_MESSAGE
from benchmarks.ingest.peers.mosquitto import Mosquitto
from benchmarks.ingest.peers.tb_endpoint import TbEndpoint
from benchmarks.ingest.processes import usage

VERSION = "3.8.5"
FOLDER = Path(__file__).parents[2] / ".peers" / "tbgw"
DEVICES = 20
START_TIMEOUT_S = 60.0
DRAIN_S = 60.0


@dataclass(frozen=True)
class GatewayResult:
    """What the gateway did: points delivered, CPU seconds of its processes, seconds from first to last point."""

    offered: int
    delivered: int
    cpu_seconds: float
    seconds: float


def install_gateway() -> Path:
    """Return the Python of the gateway's own environment, made when absent. Raises ``CalledProcessError``."""
    python = FOLDER / "bin" / "python"
    if not (FOLDER / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", f"thingsboard-gateway=={VERSION}"], check=True)
        (FOLDER / "installed").touch()
    return python


def run_gateway(mosquitto: str, folder: Path, seconds: float, messages_per_s: float) -> GatewayResult:
    """Feed the gateway through a mosquitto broker at a fixed rate and measure its CPU time.

    Args:
        mosquitto: path of the broker that the connector reads from.
        folder: empty working directory.
        seconds: how long to send.
        messages_per_s: messages of 20 points a second over all devices.
    """
    python = install_gateway()
    endpoint = TbEndpoint()
    with Mosquitto(mosquitto, folder) as broker:
        _write_configuration(folder, endpoint.port, broker.port)
        process = subprocess.Popen(
            [str(python), "-c", "from thingsboard_gateway.tb_gateway import main; main()"],
            cwd=folder,
            # Nothing listens on the discard port: the gateway's call to its update service fails at once.
            env={
                **os.environ,
                "TB_GW_CONFIG_DIR": f"{folder}/",
                "TB_GW_LOGS_PATH": str(folder / "logs"),
                "https_proxy": "http://127.0.0.1:9",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_forwards(broker.port, endpoint)
            return _measure(process.pid, broker.port, endpoint, seconds, messages_per_s)
        finally:
            process.kill()
            process.wait()
            endpoint.close()


def _load(port: int, devices: int, seconds: float, rate: float) -> Load:
    names = [(f"sensor-{i:02d}", "") for i in range(devices)]
    return Load("127.0.0.1", port, names, seconds, 50, messages_per_s=rate, topic="data/{device}")


def _wait_until_it_forwards(port: int, endpoint: TbEndpoint) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while endpoint.points == 0:
        if time.monotonic() > deadline:
            raise RuntimeError("thingsboard-gateway forwarded nothing")
        with Generator(_load(port, DEVICES, 1.0, DEVICES)) as generator:
            generator.start()
            generator.outcome()
    _settle(endpoint)


def _measure(pid: int, port: int, endpoint: TbEndpoint, seconds: float, rate: float) -> GatewayResult:
    before, first = sum(row.cpu_seconds for row in usage(pid)), endpoint.points
    with Generator(_load(port, DEVICES, seconds, rate)) as generator:
        began = time.monotonic()
        generator.start()
        outcome = generator.outcome()
        ended = _settle(endpoint)
    cpu = sum(row.cpu_seconds for row in usage(pid)) - before
    return GatewayResult(outcome.acknowledged * POINTS_PER_MESSAGE, endpoint.points - first, cpu, ended - began)


def _settle(endpoint: TbEndpoint, quiet_s: float = 2.0) -> float:
    """Wait until no point has come for ``quiet_s``; return the moment of the last one."""
    deadline = time.monotonic() + DRAIN_S
    points, last = endpoint.points, time.monotonic()
    while time.monotonic() < min(last + quiet_s, deadline):
        time.sleep(0.05)
        if endpoint.points != points:
            points, last = endpoint.points, time.monotonic()
    return last


def _write_configuration(folder: Path, endpoint_port: int, broker_port: int) -> None:
    gateway = {
        "thingsboard": {
            "host": "127.0.0.1",
            "port": endpoint_port,
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
            "dpRateLimits": "0:0,",
            "messagesRateLimits": "0:0,",
            "deviceMessagesRateLimits": "0:0,",
            "deviceRateLimits": "0:0,",
            "deviceDpRateLimits": "0:0,",
        },
        "storage": {"type": "memory", "read_records_count": 1000, "max_records_count": 100_000},
        "grpc": {"enabled": False},
        "connectors": [{"type": "mqtt", "name": "benchmark", "configuration": "mqtt.json"}],
    }
    keys = [f"p{i:02d}" for i in range(POINTS_PER_MESSAGE)]
    connector = {
        "broker": {
            "host": "127.0.0.1",
            "port": broker_port,
            "clientId": "gateway",
            "version": 5,
            "maxMessageNumberPerWorker": 100,
            "maxNumberOfWorkers": 100,
            "security": {"type": "anonymous"},
        },
        "mapping": [
            {
                "topicFilter": "data/+",
                "subscriptionQos": 1,
                "converter": {
                    "type": "json",
                    "deviceInfo": {
                        "deviceNameExpressionSource": "topic",
                        "deviceNameExpression": "(?<=data/)(.*)",
                        "deviceProfileExpressionSource": "constant",
                        "deviceProfileExpression": "default",
                    },
                    "sendDataOnlyOnChange": False,
                    "timeout": 60_000,
                    "attributes": [],
                    "timeseries": [{"type": "double", "key": key, "value": f"${{values.{key}}}"} for key in keys],
                },
            }
        ],
    }
    (folder / "tb_gateway.json").write_text(json.dumps(gateway))
    (folder / "mqtt.json").write_text(json.dumps(connector))
    logging = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR", "handlers": []}}
    (folder / "logs.json").write_text(json.dumps(logging))
    (folder / "logs").mkdir(exist_ok=True)
