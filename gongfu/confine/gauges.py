"""What the kernel says of a running process: CPU time, resident memory; and what its folders hold."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(process: int) -> float:
    """Return the CPU time, user and system, of all threads of a process, in seconds with the kernel's precision.

    Raises:
        OSError: there is no such process.
    """
    # The clock of a process, as clock_getcpuclockid(3) computes it; it counts to the nanosecond, /proc to the tick.
    return time.clock_gettime((~process << 3) | 2)


def resident_bytes(process: int) -> int:
    """Return the resident memory of a process, 0 when it is gone."""
    try:
        return int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def held_bytes(folders: Iterable[Path], entries: int = 20_000) -> int:
    """Return what is allocated below folders, in bytes, links not followed; looks at so many entries at most and
    counts what is beyond as too much (2**62)."""
    total, waiting = 0, list(folders)
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    entries -= 1
                    if entries < 0:
                        return 1 << 62
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            # Gone in the meantime, or made unreadable: what is left of it is not counted.
            continue
    return total
