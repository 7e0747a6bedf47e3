"""A running front door under garbage: mutated dialogues and telemetry from many sockets, beside a well-behaved client.

It must acknowledge the well-behaved client all the time, keep its process and its memory, and log no stack trace.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ingest.payloads import connect_packet, json_payloads, publish_head, sparkplug_payloads
from tests.fuzz.mqtt_seeds import packets
from tests.fuzz.watched_node import WatchedNode

SOCKETS = 20
CANARY_S = 15.0
TOPICS = (
    "v1/devices/me/telemetry",
    "v1/gateway/telemetry",
    "spBv1.0/g/NDATA/e",
    "spBv1.0/g/NBIRTH/e",
    "$share/x",
    "中/文",
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with a few of them changed, removed, doubled or cut."""
    out = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(out)) if out else 0
        match rng.randrange(6):
            case 0 if out:
                out[at] = rng.randrange(256)
            case 1 if out:
                out[at] ^= 1 << rng.randrange(8)
            case 2 if out:
                del out[at : at + rng.randrange(1, 9)]
            case 3:
                out[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                out[at:at] = out[at : at + rng.randrange(1, 65)]
            case _:
                out = out[: rng.randrange(len(out) + 1)] if rng.random() < 0.2 else out
    return bytes(out)


def dialogue(name: str, secret: str, rng: random.Random) -> bytes:
    """Return a CONNECT, mostly a sound one, and packets after it, many of them spoilt."""
    connect = connect_packet(f"fuzz-{rng.randrange(50)}", name, secret)
    out = mutated(connect, rng) if rng.random() < 0.2 else connect
    json_form, sparkplug_form = json_payloads(5), sparkplug_payloads(5)
    seeds = packets()
    for _ in range(rng.randrange(1, 30)):
        if rng.random() < 0.5:
            out += mutated(rng.choice(seeds), rng)
        else:
            make = rng.choice((json_form, sparkplug_form))
            body = mutated(make(rng.randrange(256), time.time_ns() // 1_000_000), rng)
            topic = rng.choice(TOPICS)
            out += publish_head(topic, len(body)) + rng.randrange(1, 65_536).to_bytes(2, "big") + body
    return out


async def attack(port: int, name: str, secret: str, rng: random.Random, until: float) -> int:
    """Open connections, speak a dialogue in pieces, read what comes, close; return how many."""
    count = 0
    while time.monotonic() < until:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            data = dialogue(name, secret, rng)
            while data:
                size = rng.choice((1, 7, 100, 5000, len(data)))
                writer.write(data[:size])
                data = data[size:]
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.002):
                        await reader.read(65_536)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rng.choice((0.0, 0.02, 0.2))):
                    while await reader.read(65_536):
                        pass
            writer.close() if rng.random() < 0.5 else writer.transport.abort()
        count += 1
    return count


async def canary(port: int, name: str, secret: str, until: float) -> int:
    """Publish one message after another at QoS 1; return how many were acknowledged, each in time.

    Raises:
        TimeoutError, OSError: one was not.
    """
    count = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(CANARY_S):
        writer.write(connect_packet("canary", name, secret))
        if (await reader.readexactly(4))[3]:
            raise OSError("the well-behaved client was refused")
    while time.monotonic() < until:
        body = b'{"n":%d}' % count
        writer.write(publish_head(TOPICS[0], len(body)) + (count % 65_535 + 1).to_bytes(2, "big") + body)
        async with asyncio.timeout(CANARY_S):
            answer = await reader.readexactly(4)
        if answer[0] != 0x40:
            raise OSError(f"unexpected {answer!r}")
        count += 1
        await asyncio.sleep(0.01)
    writer.close()
    return count


async def fuzz(node: WatchedNode, seconds: float, seed: int) -> dict[str, int]:
    """Run against a node; raise when something is wrong."""
    (good, good_secret), *bad = node.devices("canary", "fuzz-a", "fuzz-b")
    port, began = node.ports.mqtt, time.monotonic()

    async def wave(length: float) -> list[int]:
        until = time.monotonic() + length
        attacks = [attack(port, *bad[n % 2], random.Random(f"{seed} {n} {length}"), until) for n in range(SOCKETS)]
        return await asyncio.gather(canary(port, good, good_secret, until), *attacks)

    # The first third warms caches up; after it memory must stay.
    acknowledged, *first = await wave(seconds / 3)
    node.mark()
    more, *second = await wave(seconds * 2 / 3)
    node.check()
    return {
        "connections": sum(first) + sum(second),
        "acknowledged": acknowledged + more,
        "seconds": round(time.monotonic() - began),
    }


def main() -> int:
    """Run; return 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gongfu-fuzz-") as folder, WatchedNode(Path(folder)) as node:
        print(asyncio.run(fuzz(node, given.seconds, given.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
