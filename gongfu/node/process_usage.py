"""CPU time and memory of processes, from /proc (see proc(5))."""

import os
from pathlib import Path

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def usage_of(pid: int, *, descendants: bool = True, proc: Path = Path("/proc")) -> tuple[int, int]:
    """Return CPU nanoseconds and resident bytes of a process, with its descendants or not; zeros when it is gone."""
    try:
        fields = (proc / str(pid) / "stat").read_bytes().rpartition(b") ")[2].split()
        children = (proc / str(pid) / "task" / str(pid) / "children").read_bytes().split() if descendants else []
    except OSError:
        return 0, 0
    # Fields 14, 15 (utime, stime) and 24 (rss) of proc(5), counted after the command name, which is field 2.
    cpu = (int(fields[11]) + int(fields[12])) * _TICK_NS
    resident = int(fields[21]) * _PAGE
    for child in children:
        child_cpu, child_resident = usage_of(int(child), proc=proc)
        cpu += child_cpu
        resident += child_resident
    return cpu, resident
