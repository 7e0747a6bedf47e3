"""A small app and two publishers' keys, for the tests of packages."""

import hashlib

from gongfu.appkit.package.packing import pack, source_hash
from gongfu.appkit.package.types import Provenance, TrustedKeys, key_id
from gongfu.tree.membership.keys import NodeKey

KEY = NodeKey(hashlib.sha256(b"publisher").digest())
OTHER = NodeKey(hashlib.sha256(b"somebody else").digest())
TRUSTED = TrustedKeys({key_id(KEY.public_key): "Works"})

MANIFEST = """\
[app]
id = "com.example.vibration"
version = "1.0.0"
title = { zh = "振动", en = "Vibration" }
"""

FILES = {
    "app.toml": MANIFEST.encode(),
    "app.py": b"app = None\n",
    "pages/\u6cf5/index.html": "<p>泵</p>".encode(),
    "tests/empty.csv": b"",
}


def packed(files: dict[str, bytes] | None = None, key: NodeKey | None = KEY, publisher: str = "Example works") -> bytes:
    """Return the package of some files, signed unless the key is None."""
    files = files or FILES
    provenance = Provenance(source_sha256=source_hash(files), built_by="a test", source_time="2026-01-01T00:00:00Z")
    return pack(files, provenance, key, publisher)
