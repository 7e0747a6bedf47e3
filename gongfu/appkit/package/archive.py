"""The one byte form of an archive: a ZIP file (APPNOTE 6.3.10) of stored files in order of their names.

Every ZIP program opens it, but it is read here by its own few lines: sizes, times, flags and order have one value each,
so two readers cannot see different files in it, nothing is hidden between or behind the files, and nothing grows when
it is unpacked. An archive is read and written again; if the bytes differ, it is refused.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping

from gongfu.appkit.package.names import check_names
from gongfu.appkit.package.refusal import PackageError, Reason
from gongfu.appkit.package.types import Bounds

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_LOCAL_MARK, _CENTRAL_MARK, _END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_NEEDED = 20
# Made on a system with POSIX modes, version 2.0.
_MADE_BY = 3 << 8 | 20
# Names are UTF-8 (4.4.4, bit 11); nothing else is set.
_FLAGS = 1 << 11
_STORED = 0
# 1980-01-01 00:00, the first moment of the format.
_TIME, _DATE = 0, 1 << 5 | 1
# A plain file that everybody may read.
_MODE = 0o100644 << 16
_LINK = 0o120000


def write_archive(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of some files.

    Raises:
        PackageError: ``name-invalid``, ``name-twice``.
    """
    check_names(files)
    return b"".join(_pieces(files))


def _pieces(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the bytes of an archive piece by piece; contents are not copied."""
    directory = bytearray()
    at = 0
    for name in sorted(files, key=str.encode):
        content, encoded = files[name], name.encode()
        common = (_NEEDED, _FLAGS, _STORED, _TIME, _DATE, zlib.crc32(content), len(content), len(content), len(encoded))
        yield _LOCAL.pack(_LOCAL_MARK, *common, 0)
        yield encoded
        yield content
        directory += _CENTRAL.pack(_CENTRAL_MARK, _MADE_BY, *common, 0, 0, 0, 0, _MODE, at)
        directory += encoded
        at += _LOCAL.size + len(encoded) + len(content)
    yield bytes(directory)
    yield _END.pack(_END_MARK, 0, 0, len(files), len(files), len(directory), at, 0)


def read_archive(data: bytes, bounds: Bounds) -> dict[str, bytes]:
    """Return the files of an archive, in order of their names.

    Args:
        data: the whole archive.
        bounds: what it may be at most.

    Raises:
        PackageError: it is not exactly what ``write_archive`` writes; the reason says what is wrong with it.
    """
    if len(data) > bounds.bytes:
        raise PackageError(Reason.TOO_LARGE, f"{len(data)} bytes, at most {bounds.bytes}")
    if not data.startswith(_LOCAL_MARK):
        raise PackageError(Reason.NOT_AN_ARCHIVE, "it does not begin like a ZIP file")
    _look_at_directory(data, bounds)
    files: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] == _LOCAL_MARK:
        if len(files) >= bounds.files:
            raise PackageError(Reason.TOO_MANY_FILES, f"more than {bounds.files}")
        name, begin, end = _local(data, at, bounds)
        if name in files:
            raise PackageError(Reason.NAME_TWICE, repr(name[:200]))
        files[name] = data[begin:end]
        at = end
    check_names(files)
    if write_archive(files) != data:
        raise PackageError(
            Reason.NOT_CANONICAL, "the bytes of the ZIP file are not those that `gongfu app pack` writes"
        )
    return files


def _local(data: bytes, at: int, bounds: Bounds) -> tuple[str, int, int]:
    """Return name, begin and end of the file whose header stands at ``at``."""
    if at + _LOCAL.size > len(data):
        raise PackageError(Reason.NOT_AN_ARCHIVE, "it ends within a header")
    _, _, flags, method, _, _, _, packed, size, name_size, extra = _LOCAL.unpack_from(data, at)
    begin = at + _LOCAL.size + name_size
    raw = data[at + _LOCAL.size : begin]
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise PackageError(Reason.NAME_INVALID, f"{raw[:200]!r} is not UTF-8") from None
    if flags & 1:
        raise PackageError(Reason.ENCRYPTED, repr(name[:200]))
    if method != _STORED:
        raise PackageError(Reason.COMPRESSED, f"{name[:200]!r}: files are stored as they are (method {method})")
    if flags != _FLAGS or extra or packed != size:
        raise PackageError(Reason.NOT_CANONICAL, f"{name[:200]!r}: flags {flags:#x}, {extra} further bytes")
    if size > bounds.file_bytes:
        raise PackageError(Reason.TOO_LARGE, f"{name[:200]!r}: {size} bytes, at most {bounds.file_bytes}")
    if begin + size > len(data):
        raise PackageError(Reason.NOT_AN_ARCHIVE, f"it ends within {name[:200]!r}")
    return name, begin, begin + size


def _look_at_directory(data: bytes, bounds: Bounds) -> None:
    """Refuse with a clear reason what the comparison at the end would only call different: links, too many files."""
    if len(data) < _END.size or data[-_END.size :][:4] != _END_MARK:
        raise PackageError(Reason.NOT_AN_ARCHIVE, "it does not end like a ZIP file; perhaps it was cut off")
    _, _, _, _, count, size, start, _ = _END.unpack_from(data, len(data) - _END.size)
    if count > bounds.files:
        raise PackageError(Reason.TOO_MANY_FILES, f"{count}, at most {bounds.files}")
    at, end = start, min(start + size, len(data))
    while at + _CENTRAL.size <= end and data[at : at + 4] == _CENTRAL_MARK:
        fields = _CENTRAL.unpack_from(data, at)
        name_size, extra, comment, attributes = fields[10], fields[11], fields[12], fields[15]
        if (attributes >> 16) & 0o170000 == _LINK:
            name = data[at + _CENTRAL.size :][:name_size]
            raise PackageError(Reason.LINK, repr(name[:200].decode(errors="replace")))
        at += _CENTRAL.size + name_size + extra + comment
