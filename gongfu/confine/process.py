"""The starter's side: start a confined process, talk with it, watch it, end it, and say how it ended."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from gongfu.confine import gauges
from gongfu.confine.frames import FrameDecoder, FrameError, head
from gongfu.confine.output import Output
from gongfu.confine.types import ConfinedEnded, Ended, EndReason, Start, Walls

_PORTION = 1 << 18
_WATCH_S, _WATCH_CALL_S, _STORAGE_S = 0.5, 0.05, 2.0
_CLOSING_S = 2.0
_PROGRAM = "import sys; from gongfu.confine.child import main; main(sys.argv[1:])"
# Threads would only contend for the CPU that the limits are about.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}


@dataclass(eq=False)
class _Deadline:
    wall: float
    cpu: float
    cpu_s: float
    wall_s: float


class Confined:
    """A confined process, from start to end; used once.

    One task may receive while others send. When the process ends, whatever waits for it raises ConfinedEnded.
    All methods belong to the event loop that called :meth:`start`.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._limits = start.limits
        self.walls = Walls()
        self.process_id = 0
        self._popen: subprocess.Popen[bytes] | None = None
        self._handle = -1
        self._decoder = FrameDecoder(start.limits.frame_bytes)
        self._sending = asyncio.Lock()
        self._deadlines: set[_Deadline] = set()
        self._armed = asyncio.Event()
        self._peak = 0
        self._bare = 0
        self._reason: tuple[EndReason, str] | None = None

    async def start(self) -> Walls:
        """Start the process; return what is enforced once it stands.

        Raises:
            ConfinedEnded: it did not get so far, or not in ``start_wall_s``.
        """
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Ended] = loop.create_future()
        ours, theirs = socket.socketpair()
        self._socket = ours
        ours.setblocking(False)
        read, write = os.pipe()
        try:
            self._popen = self._spawn(theirs.fileno(), write)
        except OSError as error:
            os.close(read)
            ours.close()
            ended = Ended(reason=EndReason.NOT_STARTED, detail=f"could not be started: {error}")
            self._ended.set_result(ended)
            raise ConfinedEnded(ended) from None
        finally:
            theirs.close()
            os.close(write)
        self.process_id = self._popen.pid
        self._handle = os.pidfd_open(self.process_id)
        self._output = Output(read, self._limits.log_lines)
        loop.add_reader(self._handle, self._reap)
        self._watching = loop.create_task(self._watch())
        try:
            with self.deadline(wall_s=self._limits.start_wall_s):
                await self.send(msgspec.msgpack.encode(self._start, enc_hook=str))
                self.walls = msgspec.msgpack.decode(await self.receive(), type=Walls)
        except msgspec.MsgspecError:
            raise ConfinedEnded(await self.kill(EndReason.CHANNEL, "it did not say that it is confined")) from None
        except asyncio.CancelledError:
            await self.kill()
            raise
        self._bare = gauges.resident_bytes(self.process_id)
        return self.walls

    def _spawn(self, channel: int, output: int) -> "subprocess.Popen[bytes]":
        # From the loop's thread, which lives as long as the loop: the process ends with the thread that started it.
        command = [sys.executable, "-I", "-B", "-u", "-X", "utf8", "-c", _PROGRAM]
        return subprocess.Popen(  # noqa: S603 (our own interpreter; not a word of it from outside)
            [*command, str(channel), str(os.getpid()), self._start.name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[channel],
            cwd="/",
            env=_ENVIRONMENT | self._start.environment,
            start_new_session=True,
        )

    @property
    def ended(self) -> Ended | None:
        """How it ended; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> Ended:
        """Wait for the end."""
        return await asyncio.shield(self._ended)

    def log(self) -> tuple[str, ...]:
        """Return the last lines of its output."""
        return self._output.lines()

    def lines_written(self) -> int:
        """Return how many lines it has written so far, also those that are not kept any more."""
        return self._output.written

    def cpu_s(self) -> float:
        """Return the CPU time of its life so far, in seconds, as the kernel counts it."""
        if self._ended.done():
            return self._ended.result().cpu_s
        return gauges.cpu_seconds(self.process_id)

    def resident_bytes(self) -> int:
        """Return its resident memory at present."""
        return gauges.resident_bytes(self.process_id)

    async def send(self, *parts: bytes | memoryview) -> None:
        """Send one frame made of these parts (flat buffers of bytes). Waits while the process does not read.

        Raises:
            FrameError: it is longer than ``frame_bytes``; nothing was sent.
            ConfinedEnded: the process is no more.
        """
        length = sum(len(part) for part in parts)
        start = head(length, self._limits.frame_bytes)
        whole: tuple[bytes | memoryview, ...] = (start, *parts)
        loop = asyncio.get_running_loop()
        async with self._sending:
            self._check()
            sent = False
            try:
                for part in whole if length >= _PORTION else (b"".join(whole),):
                    await loop.sock_sendall(self._socket, part)
                sent = True
            except OSError:
                raise ConfinedEnded(await self._gone()) from None
            finally:
                if not sent:
                    # Half a frame is out: nothing that follows would be understood.
                    self._end(EndReason.STOPPED, "a frame to it was broken off")

    async def receive(self) -> bytes:
        """Return the next frame. May be cancelled and called again.

        Raises:
            ConfinedEnded: the process is no more, closed the channel, or sent what is no frame.
        """
        loop = asyncio.get_running_loop()
        while (frame := self._decoder.take()) is None:
            if self._ended.done():
                raise ConfinedEnded(self._ended.result())
            try:
                data = await loop.sock_recv(self._socket, _PORTION)
                if not data:
                    raise ConfinedEnded(await self._gone())
                self._decoder.feed(data)
            except FrameError as error:
                raise ConfinedEnded(await self.kill(EndReason.CHANNEL, f"it broke the channel: {error}")) from None
            except OSError:
                raise ConfinedEnded(await self._gone()) from None
        return frame

    @contextlib.contextmanager
    def deadline(self, *, wall_s: float, cpu_s: float = float("inf")) -> Iterator[None]:
        """End the process when the body takes longer than this, in wall time or in the process's CPU time."""
        self._check()
        now, used = asyncio.get_running_loop().time(), self.cpu_s() if cpu_s != float("inf") else 0.0
        deadline = _Deadline(now + wall_s, used + cpu_s, cpu_s, wall_s)
        self._deadlines.add(deadline)
        self._armed.set()
        try:
            yield
        finally:
            self._deadlines.discard(deadline)

    async def kill(self, reason: EndReason = EndReason.STOPPED, detail: str = "it was stopped") -> Ended:
        """End the process, whatever it does, and return how it ended. Does nothing when it is no more."""
        self._end(reason, detail)
        return await self.wait()

    async def close(self, patience_s: float = _CLOSING_S) -> Ended:
        """Close the channel, which asks the process to end; after ``patience_s`` end it."""
        if not self._ended.done():
            self._reason = self._reason or (EndReason.STOPPED, "it was stopped")
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    return await self.wait()
        return await self.kill()

    def _check(self) -> None:
        if self._ended.done():
            raise ConfinedEnded(self._ended.result())

    def _end(self, reason: EndReason, detail: str) -> None:
        if self._ended.done() or self._handle < 0:
            return
        self._reason = self._reason or (reason, detail)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        # Where the machine has no filter of system calls it may have started others.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process_id, signal.SIGKILL)

    async def _gone(self) -> Ended:
        """The channel is closed at the other end: the process ends in this moment, or it is up to something."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                return await self.wait()
        return await self.kill(EndReason.CHANNEL, "it closed the channel and went on running")

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        storage_at = 0.0
        while True:
            if self._deadlines:
                await asyncio.sleep(_WATCH_CALL_S)
            else:
                self._armed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_WATCH_S):
                        await self._armed.wait()
            now = loop.time()
            resident = gauges.resident_bytes(self.process_id)
            self._peak = max(self._peak, resident)
            if resident > self._bare + self._limits.memory_bytes:
                self._end(EndReason.MEMORY, f"it took more than {self._limits.memory_bytes >> 20} MiB of memory")
            self._look_at_deadlines(now)
            if self._start.writable and now - storage_at > _STORAGE_S:
                storage_at = now
                held = await asyncio.to_thread(gauges.held_bytes, self._start.writable)
                if held > self._limits.storage_bytes:
                    self._end(EndReason.STORAGE, f"it wrote more than {self._limits.storage_bytes >> 20} MiB")

    def _look_at_deadlines(self, now: float) -> None:
        if not self._deadlines:
            return
        try:
            used = gauges.cpu_seconds(self.process_id)
        except OSError:
            return
        for each in self._deadlines:
            if used > each.cpu:
                self._end(EndReason.CPU, f"it took more than {each.cpu_s:g} s of CPU time")
            elif now > each.wall:
                self._end(EndReason.TIMEOUT, f"it took longer than {each.wall_s:g} s")

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        process, status, usage = os.wait4(self.process_id, os.WNOHANG)
        if process == 0:
            return
        loop.remove_reader(self._handle)
        os.close(self._handle)
        self._handle = -1
        assert self._popen is not None
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        self._watching.cancel()
        self._output.close()
        self._ended.set_result(self._told(self._popen.returncode, usage))
        # Wakes whoever waits in sock_recv or sock_sendall; closed when nobody can.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        loop.call_soon(self._socket.close)

    def _told(self, code: int, usage: resource.struct_rusage) -> Ended:
        cpu_s = usage.ru_utime + usage.ru_stime
        name = signal.Signals(-code).name if code < 0 else ""
        if self._reason is not None:
            reason, detail = self._reason
        elif name == "SIGXCPU" or (name == "SIGKILL" and self._limits.cpu_s is not None and cpu_s > self._limits.cpu_s):
            reason, detail = EndReason.CPU, f"it took more than {self._limits.cpu_s or 0:g} s of CPU time"
        elif name == "SIGKILL":
            reason, detail = EndReason.MEMORY, "the system killed it (SIGKILL): most likely it ran out of memory"
        elif name:
            reason, detail = EndReason.SIGNALLED, f"it crashed: {name}"
        else:
            reason, detail = EndReason.EXITED, f"it exited with code {code}"
        return Ended(
            reason=reason,
            detail=detail,
            exit_code=code if code >= 0 else None,
            signal=name,
            cpu_s=cpu_s,
            # Not ru_maxrss, which begins with the starter's own memory, as the process began as a copy of it.
            peak_bytes=self._peak,
            log=self._output.lines(),
            lines=self._output.written,
        )
