"""CPU time and memory of a process and all its descendants, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """One process now.

    Attributes:
        pid: process id.
        name: short name: role of ours, or the program.
        cpu_seconds: user and system time, of children that ended too.
        rss_bytes: resident memory now.
        peak_rss_bytes: highest resident memory so far.
    """

    pid: int
    name: str
    cpu_seconds: float
    rss_bytes: int
    peak_rss_bytes: int


def descendants(pid: int) -> list[int]:
    """Return ``pid`` and all processes below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [pid], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def usage(pid: int) -> list[Usage]:
    """Return the usage of ``pid`` and its descendants that are alive."""
    rows: list[Usage] = []
    for one in descendants(pid):
        folder = Path("/proc") / str(one)
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        # utime, stime, cutime and cstime are fields 14 to 17 of proc(5).
        ticks = sum(int(field) for field in fields[11:15])
        rows.append(Usage(one, _name(command), ticks / _TICK, _kilobytes(status, "VmRSS"), _kilobytes(status, "VmHWM")))
    return rows


def cpu_by_name(before: list[Usage], after: list[Usage]) -> dict[str, float]:
    """Return the CPU seconds between two looks by name; processes that came in between count from their start."""
    start = {row.pid: row.cpu_seconds for row in before}
    result: dict[str, float] = {}
    for row in after:
        result[row.name] = result.get(row.name, 0.0) + row.cpu_seconds - start.get(row.pid, 0.0)
    return result


def _kilobytes(status: dict[str, str], key: str) -> int:
    return int(status[key].split()[0]) * 1024 if key in status else 0


def _name(command: list[str]) -> str:
    for part in command:
        if part.startswith("gongfu.node.roles."):
            return part.rpartition(".")[2]
        if part == "gongfu.node.cli":
            return "supervisor"
    return Path(command[0]).name if command and command[0] else "process"
