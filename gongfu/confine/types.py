"""What a confined process is given, what keeps it in, and how it ended. Pure.

A confined process cannot start others: what runs in it is one Python process with as many threads as its memory holds.
"""

from enum import StrEnum
from pathlib import Path

import msgspec

MIB = 1 << 20


class ProcessLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Walls around one confined process; every size in bytes, every time in seconds.

    Attributes:
        memory_bytes: address space beyond what the bare interpreter has (``RLIMIT_AS``), and resident memory as the
            watchdog counts it.
        file_bytes: largest file it may write (``RLIMIT_FSIZE``).
        storage_bytes: what all its writable folders may hold together, as the watchdog counts it every few seconds.
        open_files: descriptors (``RLIMIT_NOFILE``).
        cpu_s: CPU time of its whole life (``RLIMIT_CPU``); None for a process that lives as long as the node. The CPU
            time of a single call is limited by :meth:`gongfu.confine.process.Confined.deadline`.
        start_wall_s: wall time until it has said that it is confined.
        frame_bytes: longest frame in either direction of the channel.
        log_lines: last lines of its standard output and error that are kept.
    """

    memory_bytes: int = 512 * MIB
    file_bytes: int = 64 * MIB
    storage_bytes: int = 256 * MIB
    open_files: int = 64
    cpu_s: float | None = None
    start_wall_s: float = 20.0
    frame_bytes: int = 64 * MIB
    log_lines: int = 40


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What is started, and what it may touch.

    Attributes:
        entry: ``package.module:function`` that runs in the process with the :class:`gongfu.confine.child.Line` to the
            starter. It is imported behind the walls.
        name: what people call it; shows in the process list.
        packages: folders put in front of the module path, and readable.
        readable: files and folders it may read besides the interpreter and its packages.
        writable: folders it may read and write, such as its scratch folder. The first is its working directory.
        environment: its whole environment, besides a handful of settings that keep libraries to one thread.
        limits: the walls.
    """

    entry: str
    name: str = "confined"
    packages: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    limits: ProcessLimits = msgspec.field(default_factory=ProcessLimits)


class Walls(msgspec.Struct, frozen=True):
    """What is really enforced for a process on this machine, as the process found it when it was confined.

    Attributes:
        landlock: ABI of Landlock in use; 0 when the kernel has none: then files are not confined.
        network: ``namespace`` (no interfaces at all), ``seccomp`` (no sockets), ``landlock`` (TCP only) or ``open``.
        seccomp: the filter of system calls is on.
        user_namespace: it has a user and network namespace of its own, without capabilities outside it.
        missing: what could not be enforced, in words, for people and for the node's status.
    """

    landlock: int = 0
    network: str = "open"
    seccomp: bool = False
    user_namespace: bool = False
    missing: tuple[str, ...] = ()


class EndReason(StrEnum):
    """Why a confined process is no more."""

    EXITED = "exited"
    """It ended by itself; the exit code says how."""
    SIGNALLED = "signalled"
    """A signal that we did not send ended it, such as SIGSEGV."""
    MEMORY = "memory"
    CPU = "cpu"
    TIMEOUT = "timeout"
    STORAGE = "storage"
    CHANNEL = "channel"
    """It closed the channel, or sent what is no frame."""
    STOPPED = "stopped"
    """We ended it, and nothing was wrong."""
    NOT_STARTED = "not-started"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a confined process.

    Attributes:
        reason: see there.
        detail: one line for people.
        exit_code: where it exited by itself.
        signal: name of the signal that ended it, such as ``SIGSEGV``; empty when none.
        cpu_s: CPU time, user and system, of its life.
        peak_bytes: most resident memory that the watchdog saw.
        log: last lines of its output, control characters taken out, each cut to 400 characters.
        lines: how many lines it wrote in all.
    """

    reason: EndReason
    detail: str
    exit_code: int | None = None
    signal: str = ""
    cpu_s: float = 0.0
    peak_bytes: int = 0
    log: tuple[str, ...] = ()
    lines: int = 0


class ConfinedEnded(Exception):
    """The process at the other end is no more; ``ended`` says why."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.detail)
        self.ended = ended
