"""Hostile children behind the walls of gongfu.confine: what they try fails, how they end is told, the starter lives."""

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gongfu.confine import landlock
from gongfu.confine.process import Confined
from gongfu.confine.types import MIB, ConfinedEnded, Ended, EndReason, ProcessLimits, Start

CHILDREN = '''
import ctypes, json, os, signal, socket, sys, threading, time

def tries(line):
    """Try what the first frame lists, as Python expressions; tell how each ended."""
    asked = json.loads(line.receive())
    found = {}
    for name, code in asked.items():
        try:
            found[name] = ["done", repr(eval(code))]
        except BaseException as error:
            found[name] = [type(error).__name__, str(error)]
    line.send(json.dumps(found).encode())

def echo(line):
    while (frame := line.receive()) is not None:
        line.send(frame)

def loop(line):
    line.receive()
    while True:
        pass

def sleep(line):
    line.receive()
    time.sleep(3600)

def allocate(line):
    line.receive()
    held = bytearray(10 << 30)
    for index in range(0, len(held), 4096):
        held[index] = 1

def creep(line):
    """Memory in pieces, until there is no more; then hold it."""
    line.receive()
    held = []
    while True:
        held.append(b"x" * (1 << 20))

def segfault(line):
    line.receive()
    print("about to crash", flush=True)
    ctypes.string_at(0)

def leave(line):
    line.receive()
    os._exit(7)

def silent(line):
    line.receive()
    os.close(line._connection.detach())
    time.sleep(3600)

def garbage(line):
    line.receive()
    line._connection.sendall(b"\\xff" * 64)
    time.sleep(3600)

def prints(line):
    line.receive()
    print("\\x1b[31mred\\x1b[0m", "x" * 5000, flush=True)
    for number in range(10_000_000):
        print("line", number)

def fills(line):
    line.receive()
    for number in range(1000):
        with open(f"file{number}", "wb") as out:
            out.write(b"x" * (1 << 20))
    line.send(b"wrote it all")
    time.sleep(3600)
'''

Starter = Callable[..., Awaitable[Confined]]


@pytest.fixture
async def confined(tmp_path: Path) -> AsyncIterator[Starter]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "children.py").write_text(CHILDREN)
    (tmp_path / "scratch").mkdir()
    started: list[Confined] = []

    async def start(entry: str, **limits: object) -> Confined:
        child = Confined(
            Start(
                entry=f"children:{entry}",
                packages=(tmp_path / "code",),
                writable=(tmp_path / "scratch",),
                environment={"GIVEN": "yes"},
                limits=ProcessLimits(**limits),  # type: ignore[arg-type]
            )
        )
        walls = await child.start()
        assert walls.landlock == landlock.abi(), walls
        started.append(child)
        return child

    yield start
    for each in started:
        await each.kill()


async def asked(child: Confined, tries: dict[str, str]) -> dict[str, list[str]]:
    await child.send(json.dumps(tries).encode())
    async with asyncio.timeout(60):
        return json.loads(await child.receive())


async def end_of(child: Confined, wall_s: float = 60.0, cpu_s: float = float("inf")) -> Ended:
    """Say go, wait for an answer that never comes, and return how the child ended."""
    try:
        with child.deadline(wall_s=wall_s, cpu_s=cpu_s):
            await child.send(b"go")
            answer = await child.receive()
    except ConfinedEnded as error:
        return error.ended
    raise AssertionError(f"it answered {answer[:100]!r}")


async def test_nothing_outside_what_is_given_can_be_read_written_reached_or_signalled(
    confined: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not landlock.abi():
        pytest.skip("the kernel has no Landlock: files are not confined here, and Walls.missing says so")
    monkeypatch.setenv("NODE_SECRET", "hunter2")
    data = tmp_path / "data"
    data.mkdir()
    (data / "secret").write_text("hunter2")
    held = os.open(data / "secret", os.O_RDONLY)
    os.set_inheritable(held, True)
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "socket"))
    unix.listen()
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.bind(str(tmp_path / "datagrams"))
    child = await confined("tries")
    outside = tmp_path / "outside"
    denied = {
        "password file": "open('/etc/passwd').read()",
        "secret": f"open({str(data / 'secret')!r}).read()",
        "data folder": f"os.listdir({str(data)!r})",
        "starter's environment": f"open('/proc/{os.getpid()}/environ').read()",
        "root": "os.listdir('/')",
        "tcp": f"socket.create_connection(('127.0.0.1', {port}), 5)",
        "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))",
        "unix socket": f"socket.socket(socket.AF_UNIX).connect({str(tmp_path / 'socket')!r})",
        "datagrams": f"socket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b'x', {str(tmp_path / 'datagrams')!r})",
        "raw pair": f"socket.socketpair(type=socket.SOCK_RAW)[0].sendto(b'x', {str(tmp_path / 'datagrams')!r})",
        "listen": "socket.create_server(('127.0.0.1', 0))",
        "write outside": f"open({str(outside)!r}, 'w')",
        "write code": f"open({str(tmp_path / 'code' / 'children.py')!r}, 'a')",
        "remove secret": f"os.remove({str(data / 'secret')!r})",
        "link to outside": "os.symlink('/etc/passwd', 'link')",
        "signal the starter": f"os.kill({os.getpid()}, 0)",
        "signal all": "os.kill(-1, 0)",
        "fork": "os.fork()",
        "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
        "exec": "os.execv('/bin/true', ['true'])",
        "memory that is not counted": "os.memfd_create('x')",
        "inherited descriptor": f"os.read({held}, 10)",
        "more limits": "__import__('resource').setrlimit(7, (4096, 4096))",
        "more CPU": "os.setpriority(0, 0, -20)",
        "outlive the starter": "ctypes.CDLL(None).prctl(1, 0) and 1 / 0",
        "signal by descriptor": f"__import__('fcntl').fcntl(0, 8, {os.getpid()})",
        "signal by socket": f"__import__('fcntl').ioctl(0, 0x8901, {os.getpid()}.to_bytes(4, 'little'))",
        "descriptors": "[os.open('/dev/urandom', os.O_RDONLY) for _ in range(200)]",
    }
    given = {
        "own file": "open('note', 'w').write('fine') and open('note').read()",
        "environment": "sorted(set(os.environ) & {'NODE_SECRET', 'GIVEN', 'PATH', 'HOME'})",
        "numbers": "__import__('numpy').arange(3).sum()",
        "socket pair": "len(socket.socketpair())",
        "thread": "threading.Thread(target=print).start()",
        "own signal": "os.kill(os.getpid(), 0)",
    }
    found = await asked(child, given | denied)
    assert {name: found[name] for name in denied if found[name][0] == "done"} == {}
    assert [found[name][0] for name in given] == ["done"] * len(given), found
    assert found["environment"][1] == "['GIVEN']"
    assert not outside.exists()
    assert (data / "secret").read_text() == "hunter2"
    os.close(held)
    server.close()
    unix.close()
    datagrams.close()


@pytest.mark.parametrize(
    ("entry", "reason", "signal"),
    [
        ("loop", EndReason.CPU, "SIGKILL"),
        ("sleep", EndReason.TIMEOUT, "SIGKILL"),
        ("segfault", EndReason.SIGNALLED, "SIGSEGV"),
        ("leave", EndReason.EXITED, ""),
        ("silent", EndReason.CHANNEL, "SIGKILL"),
        ("garbage", EndReason.CHANNEL, "SIGKILL"),
    ],
)
async def test_how_a_child_ends_is_told_and_the_starter_lives(
    confined: Starter, entry: str, reason: EndReason, signal: str
) -> None:
    child = await confined(entry)
    ended = await end_of(child, 0.3 if entry == "sleep" else 60.0, 0.2)
    assert (ended.reason, ended.signal) == (reason, signal), ended
    assert child.ended is ended
    if entry == "leave":
        assert ended.exit_code == 7
    if entry == "segfault":
        assert ended.log == ("about to crash",)
    if entry == "loop":
        assert 0.2 <= ended.cpu_s < 5
    with pytest.raises(ConfinedEnded):
        await child.send(b"again")


@pytest.mark.parametrize("entry", ["allocate", "creep"])
async def test_memory_beyond_the_limit_is_not_given(confined: Starter, entry: str) -> None:
    child = await confined(entry, memory_bytes=64 * MIB)
    ended = await end_of(child)
    assert ended.peak_bytes < 200 * MIB
    assert ended.reason is EndReason.MEMORY or "MemoryError" in ended.log[-1], ended


async def test_the_resident_memory_is_watched_where_the_address_space_is_not(
    confined: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = await confined("creep", memory_bytes=256 * MIB)
    # As if the wall of the address space were not there: the watchdog's own limit is lower.
    monkeypatch.setattr(child, "_limits", ProcessLimits(memory_bytes=32 * MIB))
    ended = await end_of(child)
    assert ended.reason is EndReason.MEMORY or "MemoryError" in ended.log[-1], ended


async def test_its_whole_life_may_be_limited_in_cpu_time(confined: Starter) -> None:
    child = await confined("loop", cpu_s=1.0)
    await child.send(b"go")
    async with asyncio.timeout(60):
        ended = await child.wait()
    assert ended.reason is EndReason.CPU
    assert ended.signal == "SIGXCPU"


async def test_output_is_bounded_and_clean_and_a_flood_of_it_costs_the_starter_nothing(confined: Starter) -> None:
    child = await confined("prints", log_lines=5)
    await child.send(b"go")
    async with asyncio.timeout(60):
        for _ in range(1200):
            if len(child.log()) >= 3:
                break
            await asyncio.sleep(0.05)
    assert len(child.log()) <= 6
    assert all(len(line) <= 400 and "\x1b" not in line for line in child.log())
    ended = await child.kill()
    assert ended.reason is EndReason.STOPPED


async def test_a_folder_that_grows_too_large_ends_the_child(confined: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gongfu.confine.process._STORAGE_S", 0.1)
    child = await confined("fills", storage_bytes=8 * MIB)
    await child.send(b"go")
    async with asyncio.timeout(60):
        ended = await child.wait()
    assert ended.reason is EndReason.STORAGE


async def test_frames_of_any_length_go_both_ways_and_close_ends_it(confined: Starter) -> None:
    child = await confined("echo", frame_bytes=4 * MIB)
    for length in (0, 1, 262_140, 262_144, 4 * MIB):
        sent = os.urandom(length)
        async with asyncio.timeout(60):
            answer, _ = await asyncio.gather(child.receive(), child.send(sent[: length // 2], sent[length // 2 :]))
        assert answer == sent
    ended = await child.close()
    assert (ended.reason, ended.exit_code) == (EndReason.STOPPED, 0)


async def test_a_frame_that_was_broken_off_ends_the_child(confined: Starter) -> None:
    child = await confined("sleep")
    await child.send(b"go")
    sending = asyncio.create_task(child.send(b"x" * (8 * MIB)))
    await asyncio.sleep(0.05)
    sending.cancel()
    ended = await child.wait()
    assert ended.reason is EndReason.STOPPED


async def test_an_entry_that_is_not_there_is_told(confined: Starter) -> None:
    child = await confined("nothing")
    with pytest.raises(ConfinedEnded) as caught:
        await child.receive()
    assert caught.value.ended.exit_code == 1
    assert "nothing" in caught.value.ended.log[-1]


def test_numbers_of_system_calls_are_those_of_the_kernel_headers() -> None:
    from gongfu.confine import seccomp

    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed here")
    told = dict(line.split()[1:3] for line in header.read_text().splitlines() if line.startswith("#define __NR_"))
    for table in (seccomp._DENIED, seccomp._SIGNALS):
        for line in table.strip().splitlines():
            for call in line.split(" · "):
                name, number, _ = call.split()
                assert told.get(f"__NR_{name}", "-") == number, name
    code = seccomp.program("x86_64", 4711)
    assert code is not None
    assert len(code) % 8 == 0
    assert struct.pack("<I", 4711) in code


STARTER = """
import asyncio, sys
from pathlib import Path
from gongfu.confine.process import Confined
from gongfu.confine.types import Start

async def main():
    child = Confined(Start(entry="children:loop", packages=(Path(sys.argv[1]),)))
    await child.start()
    await child.send(b"go")
    print(child.process_id, flush=True)
    await child.wait()

asyncio.run(main())
"""


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_ends_with_its_starter_however_that_ends(tmp_path: Path) -> None:
    (tmp_path / "children.py").write_text(CHILDREN)
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        assert runs(child)
        starter.kill()
    limit = time.monotonic() + 60
    while runs(child):
        assert time.monotonic() < limit, "it is still there"
        time.sleep(0.02)


POOR = """
import platform
from gongfu.confine import landlock, walls
from gongfu.confine.types import ProcessLimits

landlock.abi = lambda: 0
platform.machine = lambda: "vax"
walls._unshare = lambda missing: missing.append("no namespaces") or False
print(walls.raise_walls(ProcessLimits(), (), ()))
"""


def test_what_a_machine_does_not_have_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", POOR], capture_output=True, text=True, timeout=60, check=True)
    assert "landlock=0, network='open', seccomp=False, user_namespace=False" in done.stdout
    for words in ("no namespaces", "no Landlock", "no filter of system calls"):
        assert words in done.stdout
