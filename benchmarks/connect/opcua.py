"""OPC UA: CPU of the client for each value, ours against a plain asyncua client, both on the same server in one run.

    python -m benchmarks.connect.opcua [--tags 20000] [--seconds 30] [--secure]

Bar: 20,000 tags at 1 Hz on one core, that is at most 50 CPU-µs a value. Each client runs in a process of its own and
measures its own CPU from the first to the last value; the server's process is not counted. On a machine where the
asyncua server cannot update all tags each second the rate is lower, the CPU for each value is not.
"""

import argparse
import asyncio
import json
import logging
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gongfu.connect.kit.timing import SystemTiming
from gongfu.connect.kit.types import Address, Context

HERE = Path(__file__).parent
WARM = 20_000


class Count:
    """A sink that counts, and measures from the first whole round on."""

    saturated = False

    def __init__(self, tags: int, ends: float) -> None:
        self.tags, self.ends = tags, ends
        self.values = self.measured = self.gaps = 0
        self.began = self.cpu = 0.0
        self.done = asyncio.Event()

    def take(self, readings, received) -> None:
        self.add(len(readings))

    def add(self, many: int) -> None:
        self.values += many
        if self.values < self.tags:  # the first round is set-up
            return
        if not self.began:
            self.began, self.cpu = time.monotonic(), time.process_time()
            return
        self.measured += many
        if time.monotonic() - self.began > self.ends:
            self.done.set()

    def gap(self, addresses, since, until, reason) -> None:
        self.gaps += 1

    def event(self, kind, detail) -> None:
        pass

    def result(self) -> dict:
        wall, cpu = time.monotonic() - self.began, time.process_time() - self.cpu
        return {
            "values": self.measured,
            "values_per_s": round(self.measured / wall),
            "cpu_us_per_value": round(cpu / self.measured * 1e6, 2),
            "cores_at_20000_hz": round(cpu / self.measured * 20_000, 3),
            "gaps": self.gaps,
        }


async def ours(port: int, tags: int, seconds: float, mode: str, folder: Path, secure: bool) -> dict:
    from gongfu.connect.opcua.certificates.trust_list import TrustList
    from gongfu.connect.opcua.driver import OpcUaDriver, pki_folder

    options = {"security": "sign-and-encrypt" if secure else "none", "mode": mode, "timeout": 120.0, "events": False}
    context = Context(f"opc.tcp://127.0.0.1:{port}/bench", options, "bench", folder / "c", SystemTiming())
    if secure:
        served = (folder / "server" / "own" / "certificate.der").read_bytes()
        TrustList(pki_folder(context.directory)).add(served)
    driver = OpcUaDriver(context)
    await driver.open()
    sink = Count(tags, seconds)
    await driver.subscribe([Address(point=f"t{n}", where=f"ns=2;s=t{n}") for n in range(tags)], sink)
    await sink.done.wait()
    found = sink.result() | {"breaks": (await driver.health()).get("breaks", 0)}
    await driver.close()
    return found


async def plain(port: int, tags: int, seconds: float) -> dict:
    from asyncua import Client, ua

    logging.disable(logging.CRITICAL)
    client = Client(f"opc.tcp://127.0.0.1:{port}/bench", timeout=120, watchdog_intervall=100)
    await client.connect()
    sink = Count(tags, seconds)

    class Handler:
        def datachange_notification(self, node, value, data) -> None:
            sink.add(1)

    subscription = await client.create_subscription(1000, Handler())
    nodes = [client.get_node(f"ns=2;s=t{n}") for n in range(tags)]
    for start in range(0, tags, 1000):
        await subscription.subscribe_data_change(nodes[start : start + 1000])
    assert ua
    await sink.done.wait()
    found = sink.result()
    await client.disconnect()
    return found


def decoders(items: int = 5000) -> dict:
    """Decode one notification of doubles, and one of mixed types, by both decoders."""
    import random
    from datetime import UTC, datetime

    from asyncua import ua
    from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

    from gongfu.connect.opcua.sinking import readings
    from gongfu.connect.opcua.wire.responses import publish_response

    kinds = {
        "doubles": lambda n: ua.Variant(random.random(), ua.VariantType.Double),
        "mixed": lambda n: (
            ua.Variant(n, ua.VariantType.Int32) if n % 2 else ua.Variant(f"值{n}", ua.VariantType.String)
        ),
    }
    found = {}
    for name, value in kinds.items():
        response = ua.PublishResponse()
        message = response.Parameters.NotificationMessage
        message.NotificationData = [
            ua.DataChangeNotification(
                MonitoredItems=[
                    ua.MonitoredItemNotification(n, ua.DataValue(value(n), SourceTimestamp=datetime.now(UTC)))
                    for n in range(items)
                ]
            )
        ]
        raw = struct_to_binary(response)
        began = time.process_time()
        for _ in range(20):
            readings(publish_response(raw).message.changes[0])
        us = (time.process_time() - began) / 20 / items * 1e6
        began = time.process_time()
        for _ in range(3):
            struct_from_binary(ua.PublishResponse, ua.utils.Buffer(raw))
        theirs = (time.process_time() - began) / 3 / items * 1e6
        found[name] = {"ours_us": round(us, 3), "asyncua_us": round(theirs, 2)}
    return found


def child(arguments: list[str]) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.connect.opcua", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tags", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--secure", action="store_true")
    parser.add_argument("--child", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    if chosen.child == "decoders":
        print(json.dumps(decoders()))
        return
    if chosen.child:
        work = (
            plain(chosen.port, chosen.tags, chosen.seconds)
            if chosen.child == "plain"
            else ours(chosen.port, chosen.tags, chosen.seconds, chosen.child, chosen.folder, chosen.secure)
        )
        print(json.dumps(asyncio.run(work)))
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        pki = str(Path(folder) / "server") if chosen.secure else "-"
        machine = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.connect.opcua_machine", str(port), str(chosen.tags), pki],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert machine.stdout is not None
            assert machine.stdout.readline().strip() == "ready"
            common = ["--port", str(port), "--tags", str(chosen.tags), "--seconds", str(chosen.seconds)]
            found = {"tags": chosen.tags, "secure": chosen.secure, "decoders": child(["--child", "decoders"])}
            more = ["--folder", folder, *(["--secure"] if chosen.secure else [])]
            found["gongfu_subscribe"] = child(["--child", "subscribe", *common, *more])
            found["gongfu_poll"] = child(["--child", "poll", *common, *more])
            if not chosen.secure:
                found["asyncua_subscribe"] = child(["--child", "plain", *common])
        finally:
            machine.kill()
            machine.wait()
    text = json.dumps(found, indent=2)
    print(text)
    (HERE / f"last_opcua{'_secure' if chosen.secure else ''}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
