"""Filter of system calls: what no model and no app needs, and what Landlock does not cover.

Closed: every socket (also UDP and Unix paths), other processes (fork, exec, signals, tracing), memory that no limit
counts (memfd, System V), and the kernel's administration. A classic BPF program, ``seccomp(2)``; pure but for
:func:`install`.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import NamedTuple

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x00010000
_LOAD, _JUMP_EQUAL, _JUMP_SET, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _THIRD_ARGUMENT, _ARGUMENT_SIZE = 0, 4, 16, 32, 8
_X32 = 0x40000000


# Name of the call and its number on x86_64 and on aarch64 (asm/unistd_64.h and asm-generic/unistd.h of Linux).
_DENIED = """
socket 41 198 · connect 42 203 · bind 49 200 · listen 50 201 · accept 43 202 · accept4 288 242 · fork 57 -
vfork 58 - · execve 59 221 · execveat 322 281 · tkill 200 130 · ptrace 101 117 · process_vm_readv 310 270
process_vm_writev 311 271 · pidfd_open 434 434 · pidfd_getfd 438 438 · pidfd_send_signal 424 424
kcmp 312 272 · process_madvise 440 440 · process_mrelease 448 448 · memfd_create 319 279
memfd_secret 447 447 · shmget 29 194 · shmat 30 196 · msgget 68 186 · semget 64 190 · mq_open 240 180
mount 165 40 · umount2 166 39 · move_mount 429 429 · open_tree 428 428 · fsopen 430 430 · fsmount 432 432
fsconfig 431 431 · fspick 433 433 · mount_setattr 442 442 · unshare 272 97 · setns 308 268 · chroot 161 51
pivot_root 155 41 · keyctl 250 219 · add_key 248 217 · request_key 249 218 · bpf 321 280
perf_event_open 298 241 · userfaultfd 323 282 · io_uring_setup 425 425 · io_uring_enter 426 426
io_uring_register 427 427 · init_module 175 105 · finit_module 313 273 · delete_module 176 106
kexec_load 246 104 · kexec_file_load 320 294 · reboot 169 142 · swapon 167 224 · swapoff 168 225
acct 163 89 · quotactl 179 60 · open_by_handle_at 304 - · name_to_handle_at 303 - · setrlimit 160 164
personality 135 92 · settimeofday 164 170 · clock_settime 227 112 · clock_adjtime 305 266 · adjtimex 159 171
sethostname 170 161 · setdomainname 171 162 · syslog 103 116 · vhangup 153 58 · fanotify_init 300 262
lookup_dcookie 212 18 · migrate_pages 256 238 · move_pages 279 239 · iopl 172 - · ioperm 173 -
modify_ldt 154 -
"""

# The first argument of these is the process that the signal goes to.
_SIGNALS = "kill 62 129 · tgkill 234 131 · rt_sigqueueinfo 129 138 · rt_tgsigqueueinfo 297 240"


# Calls that are closed for some values of an argument: name, numbers, which argument (from 0), the values.
# prctl PR_SET_PDEATHSIG: it must end with its starter. fcntl F_SETOWN, F_SETSIG, F_SETOWN_EX and ioctl FIOSETOWN,
# SIOCSPGRP: signals by way of a descriptor. ioctl TIOCSTI: typing into a terminal. socketpair SOCK_DGRAM and SOCK_RAW,
# with any of SOCK_CLOEXEC and SOCK_NONBLOCK: sendto reaches the sockets of others from it, by their paths.
_VALUES = (
    ("prctl", 157, 167, 0, (1,)),
    ("fcntl", 72, 25, 1, (8, 10, 15)),
    ("ioctl", 16, 29, 1, (0x8901, 0x8902, 0x5412)),
    ("socketpair", 53, 199, 1, (2, 3, 0x802, 0x803, 0x80002, 0x80003, 0x80802, 0x80803)),
)


class _Machine(NamedTuple):
    audit: int
    clone: int
    clone3: int
    prlimit: int
    column: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 56, 435, 302, 1),
    "aarch64": _Machine(0xC00000B7, 220, 435, 261, 2),
}


def numbers(table: str, column: int) -> list[int]:
    """Return a column of a table of calls, without the calls that the machine does not have."""
    cells = (call.split() for line in table.strip().splitlines() for call in line.split(" · "))
    return [int(cell[column]) for cell in cells if cell[column] != "-"]


def program(machine: str, process: int) -> bytes | None:
    """Return the filter for a process id as ``struct sock_filter[]``; None for a machine whose numbers are not known.

    Calls that are closed fail with EPERM; ``clone3`` with ENOSYS, so that the C library starts threads by ``clone``,
    whose flags can be looked at. Signals may go to ``process`` alone (``abort()`` needs that).
    """
    known = _MACHINES.get(machine)
    if known is None:
        return None
    deny = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, known.audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_JUMP_EQUAL, 0, 1, known.clone3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        # clone: threads only
        (_JUMP_EQUAL, 0, 4, known.clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_SET, 1, 0, _CLONE_THREAD),
        deny,
        (_RETURN, 0, 0, _ALLOW),
        # prlimit64: reading only (no new limits: the third argument is null; its low half decides on real addresses)
        (_JUMP_EQUAL, 0, 6, known.prlimit),
        (_LOAD, 0, 0, _THIRD_ARGUMENT),
        (_JUMP_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, _THIRD_ARGUMENT + 4),
        (_JUMP_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        deny,
    ]
    for number in numbers(_SIGNALS, known.column):
        lines += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_JUMP_EQUAL, 1, 0, process),
            deny,
            (_RETURN, 0, 0, _ALLOW),
        ]
    for name, x86, arm, argument, values in _VALUES:
        del name
        lines += [
            (_JUMP_EQUAL, 0, 2 + 2 * len(values), x86 if known.column == 1 else arm),
            (_LOAD, 0, 0, _FIRST_ARGUMENT + argument * _ARGUMENT_SIZE),
        ]
        for value in values:
            lines += [(_JUMP_EQUAL, 0, 1, value), deny]
        lines.append((_RETURN, 0, 0, _ALLOW))
    for number in numbers(_DENIED, known.column):
        lines += [(_JUMP_EQUAL, 0, 1, number), deny]
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def install() -> bool:
    """Put the filter on the calling thread and every thread it starts; return whether this machine has one.

    ``no_new_privs`` must be set. Call it while there is one thread.

    Raises:
        OSError: the kernel refused.
    """
    code = program(platform.machine(), os.getpid())
    if code is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), header, 0, 0):
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS):
            return False
        raise OSError(number, os.strerror(number))
    return True
