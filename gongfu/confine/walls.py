"""A process puts the walls around itself, before it imports anything that is not ours."""

import ctypes
import errno
import os
import resource
import signal
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

from gongfu.confine import landlock, seccomp
from gongfu.confine.types import ProcessLimits, Walls

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_NEW_USER, _NEW_NET, _NEW_IPC, _NEW_UTS = 0x10000000, 0x40000000, 0x08000000, 0x04000000
_CAPABILITY_VERSION = 0x20080522
# Whoever it runs as outside, inside it is this user: not 0, so that nothing treats it as root.
_USER_INSIDE = 1000
_PAGE = os.sysconf("SC_PAGE_SIZE")

# What an interpreter and number crunching libraries read of the machine; none of it says anything of the node.
_SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo"),
    *("/dev/urandom", "/dev/random", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
)

_libc = ctypes.CDLL(None, use_errno=True)


def interpreter_paths() -> list[Path]:
    """Return the folders of the interpreter, its packages and ``gongfu`` itself: what imports need."""
    named = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {Path(sysconfig.get_paths()[name]) for name in named}
    found.add(Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"))
    found.add(Path(__file__).resolve().parents[1])
    found.update(Path(each) for each in sys.path if each and Path(each).is_dir())
    return [*sorted(found), *(Path(each) for each in _SYSTEM)]


def raise_walls(limits: ProcessLimits, readable: tuple[Path, ...], writable: tuple[Path, ...]) -> Walls:
    """Confine the calling process, which has one thread, for the rest of its life.

    What the machine does not have is left out and told in ``missing``.

    Raises:
        OSError: the kernel has a wall and refused to raise it.
    """
    missing: list[str] = []
    spaces = _unshare(missing)
    # After unshare, which forgets it: whatever becomes of the starter, nothing is left behind.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _limit(limits, spaces)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        missing.append("no_new_privs was refused")
    abi = landlock.restrict([*interpreter_paths(), *readable], [*writable, Path("/dev/null")])
    if abi == 0:
        missing.append("the kernel has no Landlock: files are kept only by their owner and mode")
    elif abi < 6:
        missing.append(f"Landlock ABI {abi} does not scope signals" + ("" if abi >= 4 else " and does not close TCP"))
    _drop_capabilities(missing)
    filtered = seccomp.install()
    if not filtered:
        missing.append("no filter of system calls for this machine: it may start processes and open sockets")
    network = "namespace" if spaces else "seccomp" if filtered else "landlock" if abi >= 4 else "open"
    return Walls(abi, network, filtered, spaces, tuple(missing))


def _unshare(missing: list[str]) -> bool:
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_NEW_USER | _NEW_NET | _NEW_IPC | _NEW_UTS):
        number = ctypes.get_errno()
        name = errno.errorcode.get(number, number)
        missing.append(f"no namespaces of its own ({name}): other walls close the network")
        return False
    # Where that is refused (AppArmor), it is nobody inside, which serves as well: files know it by who it is outside.
    with suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{_USER_INSIDE} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{_USER_INSIDE} {group} 1")
    return True


def _limit(limits: ProcessLimits, spaces: bool) -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
    wanted = {
        resource.RLIMIT_AS: size + limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if limits.cpu_s is not None:
        wanted[resource.RLIMIT_CPU] = max(int(limits.cpu_s + 0.999), 1)
    if spaces:
        # Threads count here. Outside a namespace of its own the limit would count the user's other processes too.
        wanted[resource.RLIMIT_NPROC] = 128
    for which, value in wanted.items():
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # The hard limit of CPU time is a second later: first SIGXCPU, which has a name, then SIGKILL.
        highest = value + 1 if which == resource.RLIMIT_CPU else value
        resource.setrlimit(which, (value, highest))


def _drop_capabilities(missing: list[str]) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _libc.capset(ctypes.byref(header), ctypes.byref(nothing)):
        missing.append("capabilities could not be dropped")
