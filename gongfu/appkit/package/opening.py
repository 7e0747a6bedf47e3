"""Open a package: everything is checked before anything of it is used."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gongfu.appkit.package.archive import read_archive
from gongfu.appkit.package.refusal import PackageError, Reason
from gongfu.appkit.package.signing import check_trust, read_signature
from gongfu.appkit.package.sums import check_sums
from gongfu.appkit.package.types import (
    FORMAT,
    MANIFEST,
    PROVENANCE,
    SIGNATURE,
    SUMS,
    Bounds,
    Provenance,
    Signature,
    TrustedKeys,
    key_id,
)

_DOCUMENTS = (MANIFEST, SUMS, SIGNATURE, PROVENANCE)


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose sums, signature and trust were checked.

    Attributes:
        sha256: of the file: its address in the store.
        size: of the file, bytes.
        provenance: where it comes from; None for an unsigned one without it.
        signature: None when it is unsigned.
        publisher: what this node calls who signed it; empty when it is unsigned, or its key was not asked for.
    """

    sha256: str
    size: int
    provenance: Provenance | None
    signature: Signature | None
    publisher: str
    _files: dict[str, bytes] = field(repr=False)

    @property
    def manifest(self) -> bytes:
        """The content of ``app.toml``."""
        return self._files[MANIFEST]

    @property
    def unsigned(self) -> bool:
        """Whether nobody signed it: only for development."""
        return self.signature is None

    @property
    def key(self) -> str:
        """Id of the publisher's key, empty when it is unsigned."""
        return key_id(self.signature.key) if self.signature else ""

    @property
    def names(self) -> Sequence[str]:
        """Names of all files, sorted by their UTF-8."""
        return list(self._files)

    def below(self, folder: str) -> Iterator[str]:
        """Yield the names of the files below a folder, such as ``tests``."""
        return (name for name in self._files if name.startswith(f"{folder}/"))

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            KeyError: there is none of this name.
        """
        return self._files[name]

    def extract(self, folder: Path) -> None:
        """Write all files below a folder that does not exist yet; whoever may read the folder may read them.

        Raises:
            OSError: the folder is there, or the disk.
        """
        folder.mkdir(mode=0o700, parents=True)
        for name, content in self._files.items():
            path = folder.joinpath(*name.split("/"))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)


def open_package(
    path: Path, trusted: TrustedKeys | None, *, allow_unsigned: bool = False, bounds: Bounds | None = None
) -> Package:
    """Return the package in a file.

    Args:
        path: of the file; it is read once, so what was checked is what is used.
        trusted: whose packages are taken. None asks only whether the signature fits the content, not whose it is: for
            showing a package, never for installing it.
        allow_unsigned: take one that nobody signed: for development, and the caller notes it in the audit.
        bounds: what it may be at most.

    Raises:
        PackageError: any other file; the reason says what is wrong.
    """
    bounds = bounds or Bounds()
    try:
        with path.open("rb") as file:
            data = file.read(bounds.bytes + 1)
    except OSError as error:
        raise PackageError(Reason.UNREADABLE, f"{path}: {error.strerror}") from None
    return open_package_bytes(data, trusted, allow_unsigned=allow_unsigned, bounds=bounds)


def open_package_bytes(
    data: bytes, trusted: TrustedKeys | None, *, allow_unsigned: bool = False, bounds: Bounds | None = None
) -> Package:
    """Return the package in some bytes; as ``open_package``."""
    bounds = bounds or Bounds()
    files = read_archive(data, bounds)
    for name in _DOCUMENTS:
        if len(files.get(name, b"")) > bounds.document_bytes:
            raise PackageError(Reason.TOO_LARGE, f"{name}: at most {bounds.document_bytes} bytes")
    check_sums(files)
    if MANIFEST not in files:
        raise PackageError(Reason.MANIFEST_MISSING, MANIFEST)
    signature, publisher = None, ""
    if SIGNATURE in files:
        signature = read_signature(files[SIGNATURE], files[SUMS])
        publisher = check_trust(signature, trusted) if trusted is not None else ""
    elif not allow_unsigned:
        raise PackageError(Reason.UNSIGNED, f"there is no {SIGNATURE}")
    return Package(hashlib.sha256(data).hexdigest(), len(data), _provenance(files), signature, publisher, files)


def _provenance(files: dict[str, bytes]) -> Provenance | None:
    if PROVENANCE not in files:
        if SIGNATURE in files:
            raise PackageError(Reason.PROVENANCE_MALFORMED, f"a signed package has a {PROVENANCE}")
        return None
    try:
        provenance = msgspec.json.decode(files[PROVENANCE], type=Provenance)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PackageError(Reason.PROVENANCE_MALFORMED, str(error)[:200]) from None
    if provenance.format != FORMAT:
        raise PackageError(Reason.PROVENANCE_MALFORMED, f"format {provenance.format[:40]!r}")
    return provenance
