"""A node's faces over a store that ``billions`` has built, as a process of its own, whose CPU time is measured."""

import argparse
import asyncio
import gc
import time
from pathlib import Path

import uvloop

from benchmarks.identifier.billions import open_store
from gongfu.identify.administration.handle_service import HandleService
from gongfu.identify.dns.answering import DnsAnswering
from gongfu.identify.dns.server import DnsServer
from gongfu.identify.dns.zones import DnsSettings, Zones
from gongfu.identify.handle.answer_cache import AnswerCache
from gongfu.identify.handle.server import HandleServer
from gongfu.identify.http.handles import PATH, HandlesFace
from gongfu.identify.http.server import HttpServer
from gongfu.kernel.counters import Counters

ZONE = "gongfu.internal"


async def serve(path: Path, divisor: int, ports: tuple[int, int, int], answers: int, cache_bytes: int) -> None:
    """Serve until killed; says ``ready`` when it listens."""
    identifiers = await open_store(path, divisor, cache_bytes)
    counters = Counters()
    handle = HandleService(identifiers, counters, kept=AnswerCache(most=answers, most_bytes=answers * 700))
    http = HttpServer(counters)
    http.mount(PATH, HandlesFace(identifiers, handle.authenticator, handle.authorization, now=lambda: int(time.time())))
    zones = Zones(DnsSettings(zone=ZONE), serial=1)
    dns = DnsAnswering(
        zones,
        identifiers.lookup,
        counters,
        now=lambda: int(time.time()),
        namespace=lambda: identifiers.namespace,
        cached=answers,
    )
    for watcher in (handle.changed, http.changed, dns.changed):
        identifiers.watch(watcher)
    handle_port, http_port, dns_port = ports
    await HandleServer(handle.answering).start(port=handle_port)
    await http.start(port=http_port)
    await DnsServer(dns, counters).start(port=dns_port)
    # What is there now stays: no use to look through it again and again.
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("divisor", type=int)
    parser.add_argument("ports", type=int, nargs=3, help="Handle, HTTP, DNS")
    parser.add_argument("--answers", type=int, default=65_536, help="how many answers are kept by each face")
    parser.add_argument("--cache", type=int, default=256, help="MiB of the record store's caches")
    given = parser.parse_args()
    uvloop.run(serve(given.directory, given.divisor, tuple(given.ports), given.answers, given.cache << 20))


if __name__ == "__main__":
    main()
