"""CPU seconds of one process an answer: Gongfu's faces, knotd and nginx, asked the same by the same clients in turn."""

import re
import select
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.identifier import questions
from benchmarks.identifier.peers import cpu_seconds, free_ports, gongfu, knotd, nginx, program
from benchmarks.identifier.serving import ZONE
from benchmarks.ingest.report import Row
from gongfu.identify.handle.names import HandleName

_ROUNDS = 3
_HOT_NAMES = 1_000
_HOT = 100_000
_AT_ONCE = 100
_HTTP_CONNECTIONS = 8
_HTTP_SECONDS = 5
_PATIENCE_S = 20.0
# MiB: what is asked for again is among the answers.
_COLD_CACHE = 64
_SAID = {
    "knotd": "knotd, UDP",
    "dns": "DNS face, UDP",
    "handle": "Handle protocol, UDP",
    "nginx": f"nginx answering a constant, {_HTTP_CONNECTIONS} connections",
    "http": f"HTTP face, {_HTTP_CONNECTIONS} connections",
}
_WARM = 500_000
_WARM_S = 300.0
# What stands behind "_50" and nine digits in the name of what is not there.
_ABSENT = "_"


class LostError(Exception):
    """Questions were not answered."""


def _dnsperf(port: int, names: Sequence[str], directory: Path) -> tuple[int, int]:
    """Ask by DNS; returns how many answers there were, and how many of them that there is nothing."""
    file = directory / "questions"
    file.write_text("".join(f"{name} URI\n" for name in names))
    command = [program("dnsperf"), "-s", "127.0.0.1", "-p", str(port), "-d", str(file), "-n", "1", "-c", "8"]
    said = subprocess.run(
        [*command, "-q", str(_AT_ONCE), "-t", "20"], capture_output=True, text=True, check=True
    ).stdout
    completed = re.search(r"Queries completed:\s+([0-9]+)", said)
    missing = re.search(r"NXDOMAIN ([0-9]+)", said)
    if completed is None or int(completed[1]) < 0.999 * len(names):
        raise LostError(said)
    return int(completed[1]), int(missing[1]) if missing else 0


def _handle(port: int, names: Sequence[HandleName]) -> int:
    """Ask by the Handle protocol over UDP, so many at once; returns how many answers there were."""
    packets = questions.numbered([questions.handle_packet(name, 0) for name in names])
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        asking.connect(("127.0.0.1", port))
        asking.setblocking(False)
        sent = answered = 0
        seen = bytearray(len(packets))
        while answered < len(packets):
            while sent < len(packets) and sent - answered < _AT_ONCE:
                asking.send(packets[sent])
                sent += 1
            if not select.select([asking], [], [], _PATIENCE_S)[0]:
                raise LostError(f"{len(packets) - answered} of {len(packets)} requests over UDP without an answer")
            try:
                while True:
                    answer = asking.recv(4096)
                    number = int.from_bytes(answer[8:12], "big")
                    # Longer answers come in several packets.
                    answered += not seen[number]
                    seen[number] = 1
            except BlockingIOError:
                continue
    return answered


def _wrk(port: int, paths: Sequence[str], directory: Path) -> int:
    """Ask over HTTP; returns how many answers there were."""
    listed = ",".join(f'"{path}"' for path in paths)
    script = directory / "paths.lua"
    script.write_text(
        f"local paths = {{{listed}}}\nlocal at = 0\n"
        "request = function() at = at % #paths + 1 return wrk.format('GET', paths[at]) end\n"
    )
    command = [program("wrk"), "-t", "1", "-c", str(_HTTP_CONNECTIONS), "-d", f"{_HTTP_SECONDS}s", "--timeout", "20s"]
    said = subprocess.run(
        [*command, "-s", str(script), f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"([0-9]+) requests in", said)
    # Some of the records were deleted when the store was looked into.
    others = re.search(r"Non-2xx or 3xx responses: ([0-9]+)", said)
    if found is None or int(others[1] if others else 0) > 0.02 * int(found[1]):
        raise LostError(said)
    return int(found[1])


def _rate(process: int, ask: Callable[[], int]) -> float:
    before = cpu_seconds(process)
    answered = ask()
    return answered / (cpu_seconds(process) - before)


def _best(rates: Sequence[float]) -> float:
    """The best of some rounds: what others on the machine do can only make it worse."""
    return max(rates)


def _dns_names(names: Sequence[HandleName]) -> list[str]:
    known = {name: questions.dns_name(name, ZONE) for name in dict.fromkeys(names)}
    return [known[name] for name in names]


def hot(store: Path, divisor: int) -> list[Row]:
    """1,000 names, over and over: DNS beside knotd, HTTP beside nginx, and the Handle protocol."""
    handle_port, http_port, dns_port, knot_port, nginx_port = free_ports(5)
    names = questions.hot(divisor, _HOT_NAMES, _HOT, 1)
    few = list(dict.fromkeys(names))
    asked = _dns_names(names)
    links = {
        questions.dns_name(name, ZONE): f"https://example.com/products/pumps/qlp-{n:04d}" for n, name in enumerate(few)
    }
    paths = [f"/api/handles/{name}" for name in few]
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with (
            gongfu(store, divisor, [handle_port, http_port, dns_port], 65_536) as node,
            knotd(directory / "knot", knot_port, ZONE, links) as knot,
        ):
            body = urllib.request.urlopen(f"http://127.0.0.1:{http_port}{paths[0]}").read()
            with nginx(directory / "nginx", nginx_port, body) as web:
                _dnsperf(dns_port, _dns_names(few), directory)
                _handle(handle_port, few)
                rates: dict[str, list[float]] = {}
                for _ in range(_ROUNDS):
                    for what, process, ask in (
                        ("knotd", knot, lambda: _dnsperf(knot_port, asked, directory)[0]),
                        ("dns", node, lambda: _dnsperf(dns_port, asked, directory)[0]),
                        ("handle", node, lambda: _handle(handle_port, names)),
                        ("nginx", web, lambda: _wrk(nginx_port, paths, directory)),
                        ("http", node, lambda: _wrk(http_port, paths, directory)),
                    ):
                        rates.setdefault(what, []).append(_rate(process, ask))
    best = {what: _best(found) for what, found in rates.items()}
    of = f"hot, {_HOT_NAMES:,} names"
    return [
        Row(f"{of}: DNS face by knotd, UDP", best["dns"] / best["knotd"], "", 0.9, "higher"),
        Row(f"{of}: HTTP face by nginx's constant of {len(body)} B", best["http"] / best["nginx"], "", 0.65, "higher"),
        Row(f"{of}: Handle protocol by knotd, UDP", best["handle"] / best["knotd"], "", better="higher"),
        *(Row(f"{of}: {_SAID[what]}", rate, "1/s CPU", better="higher") for what, rate in best.items()),
    ]


def cold(store: Path, divisor: int, warm: int, count: int, answers: int) -> list[Row]:
    """All records by Zipf's law, after ``warm`` questions by the same law; and each record as likely as any other."""
    handle_port, http_port, dns_port, knot_port = free_ports(4)
    records = questions.enterprises(divisor) * questions.RECORDS
    asked = questions.zipf_dns_names(divisor, count, 2, ZONE)
    even = _dns_names(questions.uniform(divisor, count // 4, 3))
    hot_names = questions.hot(divisor, _HOT_NAMES, _HOT, 1)
    hot_asked = _dns_names(hot_names)
    link = "https://example.com/products/pumps/qlp-0001"
    # knotd has the questions' names too, so that it can be asked the same.
    links = {name: link for name in dict.fromkeys([*hot_asked, *asked]) if not name.startswith(_ABSENT, 12)}
    _read(store)
    before: set[str] = set()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with (
            gongfu(store, divisor, [handle_port, http_port, dns_port], answers, _COLD_CACHE) as node,
            knotd(directory / "knot", knot_port, ZONE, links) as knot,
        ):
            begun = time.monotonic()
            seen = set(asked)
            warmed = 0
            for part in range(0, warm, _WARM):
                if time.monotonic() - begun > _WARM_S:
                    break
                names = questions.zipf_dns_names(divisor, min(_WARM, warm - part), 100 + part, ZONE)
                before |= seen.intersection(names)
                warmed += _dnsperf(dns_port, names, directory)[0]
            print(f"warm with {warmed:,} after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            base = _best([_rate(knot, lambda: _dnsperf(knot_port, hot_asked, directory)[0]) for _ in range(_ROUNDS)])
            same = _best([_rate(knot, lambda: _dnsperf(knot_port, asked, directory)[0]) for _ in range(_ROUNDS)])
            dns = _rate(node, lambda: _dnsperf(dns_port, asked, directory)[0])
            again = _rate(node, lambda: _dnsperf(dns_port, asked, directory)[0])
            spread = _rate(node, lambda: _dnsperf(dns_port, even, directory)[0])
            handle = _rate(node, lambda: _handle(handle_port, questions.zipf(divisor, count // 4, 2)))
            memory = int(re.findall(r"VmHWM:\s+([0-9]+)", Path(f"/proc/{node}/status").read_text())[0]) * 1024
    of = f"{records:,} records behind"
    new = sum(name not in before for name in asked) / count
    return [
        Row(f"{of}, Zipf 1.0: DNS face by knotd hot, UDP", dns / base, "", 0.5, "higher"),
        Row(f"{of}: most memory of the process, {answers:,} answers kept at most", memory / 1e9, "GB", 2.0),
        Row(f"{of}, Zipf 1.0: questions not asked in the {warmed:,} before, 5% are for what is not there", new, ""),
        Row(f"{of}, Zipf 1.0: knotd hot", base, "1/s CPU", better="higher"),
        Row(f"{of}, Zipf 1.0: knotd, the same questions, only their names in memory", same, "1/s CPU", better="higher"),
        Row(f"{of}, Zipf 1.0: DNS face", dns, "1/s CPU", better="higher"),
        Row(f"{of}, Zipf 1.0: DNS face, the same questions again", again, "1/s CPU", better="higher"),
        Row(f"{of}, Zipf 1.0: Handle protocol, records warm, no answers kept", handle, "1/s CPU", better="higher"),
        Row(f"{of}, each as likely as any other: DNS face", spread, "1/s CPU", better="higher"),
    ]


def _read(store: Path) -> None:
    """Read all files, so that what is measured does not wait for the disk: 3 GB of the system's cache."""
    for file in store.rglob("*.sst"):
        with file.open("rb", buffering=0) as opened:
            while opened.read(1 << 22):
                pass
