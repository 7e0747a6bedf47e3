"""``SHA256SUMS``: a line for every file but itself and the signature, as ``sha256sum --check`` reads it (GNU)."""

import hashlib
import re
from collections.abc import Mapping

from gongfu.appkit.package.refusal import PackageError, Reason
from gongfu.appkit.package.types import SIGNATURE, SUMS

_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)\Z")
_LEFT_OUT = frozenset({SUMS, SIGNATURE})


def write_sums(files: Mapping[str, bytes]) -> bytes:
    """Return the sums of some files, in order of their names."""
    names = sorted((name for name in files if name not in _LEFT_OUT), key=str.encode)
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in names).encode()


def check_sums(files: Mapping[str, bytes]) -> None:
    """Check that the sums of a package name every file of it, with its content, and nothing else.

    Raises:
        PackageError: ``sums-missing``, ``sums-malformed``, ``file-changed``, ``file-unlisted`` or ``file-missing``.
    """
    if SUMS not in files:
        raise PackageError(Reason.SUMS_MISSING, SUMS)
    listed = _read(files[SUMS])
    for name, content in files.items():
        if name in _LEFT_OUT:
            continue
        if name not in listed:
            raise PackageError(Reason.FILE_UNLISTED, repr(name))
        if hashlib.sha256(content).hexdigest() != listed[name]:
            raise PackageError(Reason.FILE_CHANGED, repr(name))
    if missing := sorted(set(listed) - set(files)):
        raise PackageError(Reason.FILE_MISSING, repr(missing[0][:200]))
    if write_sums(files) != files[SUMS]:
        raise PackageError(Reason.SUMS_MALFORMED, "another order of lines")


def _read(data: bytes) -> dict[str, str]:
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        raise PackageError(Reason.SUMS_MALFORMED, "not UTF-8") from None
    if lines.pop() != "":
        raise PackageError(Reason.SUMS_MALFORMED, "the last line does not end")
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.match(line)
        if match is None or match[2] in listed:
            raise PackageError(Reason.SUMS_MALFORMED, f"line {number}")
        listed[match[2]] = match[1]
    return listed
