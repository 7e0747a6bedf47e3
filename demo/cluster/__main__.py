"""``python -m demo.cluster``: a whole cluster on this machine; kill what you like and watch that nothing is lost.

Three nats-servers (each block on all three), PostgreSQL, two history nodes, and two machines ``a`` and ``b`` that run
``gongfu up`` with two front doors, two workers and a web each. Devices publish numbered points at QoS 1. Ctrl-C ends
it.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from demo.api import ApiError
from demo.cluster.engines import EngineMissingError
from demo.cluster.machines import Cluster
from demo.cluster.publisher import Publisher
from demo.cluster.verdict import check, make_devices

CATCH_UP_S = 90.0


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped; return 0 when everything acknowledged is stored once."""
    options = _options(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="gongfu-cluster-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(options.data_dir.absolute() if options.data_dir else Path(folder))
        print("Starting three nats-servers, PostgreSQL, two history nodes and two machines ...", flush=True)
        try:
            print(f"The cluster is ready in {cluster.start():.0f} s.", flush=True)
            return _run(cluster, options, stop)
        except (EngineMissingError, TimeoutError, ApiError) as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        finally:
            cluster.stop()
            print("The cluster has stopped.", flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.cluster", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="keep everything here (default: a directory that is removed)")
    parser.add_argument("--devices", type=int, default=8, help="devices that publish")
    parser.add_argument("--rate", type=float, default=20.0, help="points a second and device")
    parser.add_argument("--kill", type=int, default=0, metavar="N", help="kill N random processes by itself, then end")
    parser.add_argument("--pause", type=float, default=12.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=1, help="of the kills")
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long (default: Ctrl-C)")
    return parser.parse_args(arguments)


def _run(cluster: Cluster, options: argparse.Namespace, stop: threading.Event) -> int:
    machine = cluster.machines[0]
    api = machine.api()
    devices = make_devices(api, options.devices)
    publisher = Publisher([m.ports.mqtt for m in cluster.machines], devices, options.rate).start()
    print(_welcome(cluster), flush=True)
    try:
        if options.kill:
            _kill(cluster, publisher, options, stop)
        else:
            _count(cluster, publisher, stop, options.seconds)
    finally:
        publisher.stop()
    print("Waiting until everything acknowledged is stored ...", flush=True)
    verdict = check(cluster, api, publisher.tallies, publisher.base_ms, CATCH_UP_S)
    api.close()
    print(verdict, flush=True)
    return 0 if verdict.sound else 1


def _welcome(cluster: Cluster) -> str:
    lines = [f"  console of machine {m.instance}  http://127.0.0.1:{m.ports.web}   MQTT 127.0.0.1:{m.ports.mqtt}"
             for m in cluster.machines]  # fmt: skip
    lines.append(f"  sign-in passwords are in {cluster.root}/a.log or b.log (the machine that was first)")
    lines.append("  kill any of these (kill -9 <process id>); each comes back as it would under systemd:")
    lines += [f"    {pid:>8}  {name}" for name, pid in sorted(cluster.processes().items())]
    return "\n".join(lines)


def _tell(cluster: Cluster, publisher: Publisher) -> None:
    stored = cluster.stored()
    known = "?" if stored < 0 else str(stored)
    quiet = publisher.quiet()
    note = f"   no acknowledgement for {quiet:.1f} s" if quiet > 1 else ""
    print(f"  acknowledged {publisher.acknowledged:>9}   stored {known:>9}{note}", flush=True)


def _count(cluster: Cluster, publisher: Publisher, stop: threading.Event, seconds: float) -> None:
    deadline = time.monotonic() + seconds if seconds else float("inf")
    while not stop.wait(2.0) and time.monotonic() < deadline:
        _tell(cluster, publisher)


def _kill(cluster: Cluster, publisher: Publisher, options: argparse.Namespace, stop: threading.Event) -> None:
    choose = random.Random(options.seed)
    print(f"Killing {options.kill} processes, seed {options.seed}.")
    stop.wait(3.0)
    for _ in range(options.kill):
        name = choose.choice(sorted(cluster.processes()))
        publisher.begin_gap()
        print(f"kill -9 {cluster.kill(name)}  {name}", flush=True)
        began = time.monotonic()
        while time.monotonic() - began < options.pause and not stop.is_set():
            stop.wait(2.0)
            _tell(cluster, publisher)
        print(f"  longest time without an acknowledgement: {max(publisher.gap, publisher.quiet()):.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
