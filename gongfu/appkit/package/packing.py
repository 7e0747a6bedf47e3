"""Pack a source folder: the same source and key give the same bytes."""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gongfu.appkit.package.archive import write_archive
from gongfu.appkit.package.names import check_names
from gongfu.appkit.package.refusal import PackageError, Reason
from gongfu.appkit.package.signing import sign_sums
from gongfu.appkit.package.sums import write_sums
from gongfu.appkit.package.types import MANIFEST, PROVENANCE, SIGNATURE, SUFFIX, SUMS, Bounds, Provenance
from gongfu.tree.membership.keys import NodeKey

# What is made by packing, and what is never part of a source: caches, version control, virtual environments.
_MADE = frozenset({SUMS, SIGNATURE, PROVENANCE})
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "venv", "dist", "build"})


def read_source(folder: Path, bounds: Bounds | None = None) -> dict[str, bytes]:
    """Return the files of a source folder by name, without caches, hidden files, packages and private keys.

    Raises:
        PackageError: a link or what is no file, a name, too many or too much, or there is no ``app.toml``.
    """
    bounds = bounds or Bounds()
    files: dict[str, bytes] = {}
    total = 0
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not _left_out(name))
        for name in [*folders, *names]:
            if not _left_out(name) and (Path(place) / name).is_symlink():
                raise PackageError(Reason.LINK, str(Path(place) / name))
        for name in sorted(names):
            path = Path(place) / name
            relative = path.relative_to(folder).as_posix()
            if _left_out(name) or relative in _MADE or path.suffix in (SUFFIX, ".pyc", ".key"):
                continue
            try:
                found = path.stat()
                if not stat.S_ISREG(found.st_mode):
                    raise PackageError(Reason.LINK, f"{path} is not a file")
                total += found.st_size
                if len(files) >= bounds.files or found.st_size > bounds.file_bytes or total > bounds.bytes:
                    reason = Reason.TOO_MANY_FILES if len(files) >= bounds.files else Reason.TOO_LARGE
                    raise PackageError(reason, f"{path}: {len(files) + 1} files, {total} bytes")
                files[relative] = path.read_bytes()
            except OSError as error:
                raise PackageError(Reason.UNREADABLE, f"{path}: {error.strerror}") from None
    check_names(files)
    if MANIFEST not in files:
        raise PackageError(Reason.MANIFEST_MISSING, f"{folder / MANIFEST}")
    return files


def source_hash(files: Mapping[str, bytes]) -> str:
    """Return SHA-256 over the sums of a source, as hexadecimal text."""
    return hashlib.sha256(write_sums(files)).hexdigest()


def pack(
    files: Mapping[str, bytes], provenance: Provenance, key: NodeKey | None, publisher: str = "", *,
    bounds: Bounds | None = None,
) -> bytes:  # fmt: skip
    """Return the package of a source.

    Args:
        files: of the source, see ``read_source``.
        provenance: where it comes from.
        key: of the publisher; None leaves it unsigned.
        publisher: what it calls itself; needed with ``key``.
        bounds: what it may be at most.

    Raises:
        PackageError: it is larger than the bounds.
    """
    bounds = bounds or Bounds()
    packed = {name: content for name, content in files.items() if name not in _MADE}
    packed[PROVENANCE] = msgspec.json.format(msgspec.json.encode(provenance), indent=2) + b"\n"
    packed[SUMS] = write_sums(packed)
    if key is not None:
        packed[SIGNATURE] = sign_sums(key, publisher, packed[SUMS])
    data = write_archive(packed)
    if len(data) > bounds.bytes or len(packed) > bounds.files:
        raise PackageError(Reason.TOO_LARGE, f"{len(packed)} files, {len(data)} bytes")
    return data


def _left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.startswith(".")


def _unreadable(error: OSError) -> None:
    raise PackageError(Reason.UNREADABLE, f"{error.filename}: {error.strerror}")
