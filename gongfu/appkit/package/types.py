"""What is said about a package: bounds, where it comes from, who signed it, whom a node trusts."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

MANIFEST = "app.toml"
SUMS = "SHA256SUMS"
SIGNATURE = "signature.json"
PROVENANCE = "provenance.json"
SUFFIX = ".gfapp"
FORMAT = "gongfu-app/1"

Text = Annotated[str, Meta(max_length=500)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a package may be at most. Files are stored, not compressed, so there is no ratio to bound: a package never
    becomes larger than it is.

    Attributes:
        bytes: of the package.
        file_bytes: of one file in it.
        files: number of files.
        document_bytes: of the manifest, the sums, the signature and the provenance, each.
    """

    bytes: int = 64 << 20
    file_bytes: int = 48 << 20
    files: int = 2_000
    document_bytes: int = 1 << 20


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool that took part in the building, or a package that the app needs: name and version."""

    name: Text
    version: Text


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a package comes from (after the subjects of SLSA v1.0 provenance: builder, materials, metadata).

    Attributes:
        format: of this document.
        built_by: person or machine, as the builder calls itself.
        source_time: of the source, RFC 3339 in UTC: of the commit, ``SOURCE_DATE_EPOCH``, or of the newest file. The
            moment of packing is not kept, so the same source gives the same bytes.
        source_sha256: over names and contents of all files of the source, see ``packing.source_hash``.
        commit: of the git repository, empty without one.
        dirty: whether the work tree had changes that are not in ``commit``.
        tools: that packed it.
        dependencies: Python packages that the app says to need.
    """

    format: str = FORMAT
    built_by: Text = ""
    source_time: Annotated[str, Meta(max_length=40)] = ""
    source_sha256: Sha256
    commit: Annotated[str, Meta(max_length=64)] = ""
    dirty: bool = False
    tools: Annotated[tuple[Tool, ...], Meta(max_length=64)] = ()
    dependencies: Annotated[tuple[Tool, ...], Meta(max_length=256)] = ()


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``signature.json``: Ed25519 (RFC 8032) over ``signing.CONTEXT`` and the bytes of ``SHA256SUMS``.

    Attributes:
        algorithm: ``Ed25519``.
        publisher: what the owner of the key calls itself; signed too, believed only with a trusted key.
        key: public key, 32 bytes.
        signature: 64 bytes.
    """

    format: str
    algorithm: str
    publisher: Annotated[str, Meta(min_length=1, max_length=200)]
    key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Whose packages a node takes.

    Attributes:
        trusted: key id → name of the publisher as this node calls it.
        revoked: key id → why; wins over ``trusted``.
    """

    trusted: Mapping[str, str] = field(default_factory=dict[str, str])
    revoked: Mapping[str, str] = field(default_factory=dict[str, str])


def key_id(public_key: bytes) -> str:
    """Return the id of a publisher's key: ``gfk-`` and the first 20 bytes of its SHA-256 in base32, small letters."""
    return "gfk-" + base64.b32encode(hashlib.sha256(public_key).digest()[:20]).decode().lower()
