"""Packages of apps (``.gfapp``): packed to the same bytes, signed, and opened only when every byte is accounted for.

    packed = pack(read_source(folder), provenance, key)      # bytes
    package = open_package(path, trusted)                     # PackageError(reason) for anything else

``opening`` opens, ``packing`` packs; ``archive``, ``names``, ``sums`` and ``signing`` are the pure parts of both.
"""

from gongfu.appkit.package.opening import Package, open_package, open_package_bytes
from gongfu.appkit.package.refusal import PackageError, Reason
from gongfu.appkit.package.types import Bounds, Provenance, TrustedKeys

__all__ = [
    "Bounds",
    "Package",
    "PackageError",
    "Provenance",
    "Reason",
    "TrustedKeys",
    "open_package",
    "open_package_bytes",
]
