"""Site link: ``python -m benchmarks.link [--kills N] [--messages N]``.

Two nats-servers with fsync before every acknowledgement, connected as leaf and hub, and the forwarder in a process of
its own. Each kill ends both servers and the forwarder with SIGKILL while messages are on their way, starts all three,
and measures the time from "both servers listen again" to the first further message that the parent stores (by the
time stamp of its stream; the start of the forwarder's Python is in it). Then a backlog is
forwarded for the rate and the CPU time (``psutil`` cpu times of forwarder and both servers).
"""

import argparse
import asyncio
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.ingest.report import Row, table, write
from tests.fixtures.link import Site, retried, until

RESULT = Path(__file__).parent / "last.json"
RESUME_BAR_S = 2.0


def _forwarder(site: Site, root: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.system.link_program", str(site.site.port), str(root / "position.json")]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


def _cpu(pids: list[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)


def _pid(process: "subprocess.Popen[bytes] | None") -> int:
    assert process is not None
    return process.pid


async def _first_after(site: Site, moment: datetime) -> datetime:
    """Return when the parent stored its first message after a moment, by its own clock."""
    low, high = 1, await site.count()
    while low < high:
        middle = (low + high) // 2
        if await _stored_at(site, middle) > moment:
            high = middle
        else:
            low = middle + 1
    return await _stored_at(site, low)


async def _stored_at(site: Site, sequence: int) -> datetime:
    found = await retried(site.hub_bus, f"STREAM.MSG.GET.{site.route.destination}", {"seq": sequence})
    # Nanoseconds are more than datetime reads.
    text = found["message"]["time"].rstrip("Z")
    return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)


async def _measure(kills: int, messages: int, root: Path) -> list[Row]:
    site = Site(root)
    await site.start()
    total = 0
    resumes: list[float] = []
    process = _forwarder(site, root)
    try:
        for number in range(kills):
            await site.send(range(total, total + messages))
            total += messages
            # Killed somewhere inside the batch.
            inside = total - random.Random(number).randrange(messages // 4, messages)
            await until(lambda n=inside: _reached(site, n), "forwarding has begun")
            process.kill()
            site.hub.kill()
            site.site.kill()
            await asyncio.to_thread(process.wait)
            killed = datetime.now(UTC)
            process = _forwarder(site, root)
            site.site.start()
            site.hub.start()
            both = datetime.now(UTC)
            await until(lambda n=total: _reached(site, n), "all is there", 120)
            resumes.append(max(0.0, (await _first_after(site, killed) - both).total_seconds()))
            print(f"kill {number + 1}: resumed after {resumes[-1]:.2f} s", file=sys.stderr, flush=True)
        process.kill()
        await asyncio.to_thread(process.wait)
        backlog = 4 * messages
        await site.send(range(total, total + backlog))
        total += backlog
        process = _forwarder(site, root)
        await until(lambda: _reached(site, total - backlog + 1), "forwarding has begun", 60)
        pids = [process.pid, _pid(site.hub.process), _pid(site.site.process)]
        cpu = [_cpu([pid]) for pid in pids]
        first, begin = await site.count(), time.perf_counter()
        await until(lambda: _reached(site, total), "all is there", 300)
        seconds = time.perf_counter() - begin
        spent = [_cpu([pid]) - old for pid, old in zip(pids, cpu, strict=True)]
        found = await site.arrived()
    finally:
        process.kill()
        process.wait()
        await site.close()
    moved = total - first
    wrong = sum(1 for left, right in itertools.pairwise(found) if right <= left)
    return [
        Row("messages", total, "messages"),
        Row("resume after both ends were killed, worst", max(resumes), "s", RESUME_BAR_S),
        Row("resume after both ends were killed, median", sorted(resumes)[len(resumes) // 2], "s"),
        Row("lost", total - len(set(found)), "messages", 0.0),
        Row("repeated", len(found) - len(set(found)), "messages", 0.0),
        Row("out of order", wrong, "messages", 0.0),
        Row("catch-up", moved / seconds, "messages/s", better="higher"),
        Row("CPU, forwarder", spent[0] / moved * 1e6, "us/message"),
        Row("CPU, parent's nats-server", spent[1] / moved * 1e6, "us/message"),
        Row("CPU, site's nats-server", spent[2] / moved * 1e6, "us/message"),
    ]


async def _reached(site: Site, count: int) -> bool:
    return await site.count() >= count


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--messages", type=int, default=3000, help="messages before each kill")
    arguments = parser.parse_args()
    rows = [Row("load average before the start", os.getloadavg()[0], "processes")]
    with tempfile.TemporaryDirectory(prefix="gongfu-link-") as folder:
        rows += asyncio.run(_measure(arguments.kills, arguments.messages, Path(folder)))
    print(table(rows))
    write(rows, RESULT)
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
