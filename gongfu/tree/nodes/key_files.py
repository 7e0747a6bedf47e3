"""The private keys of a node in the tree and the files that TLS reads, below ``secrets/tree`` of the data directory.

They are made once, before anything is signed with them, so that a node that asked to join and crashed asks again with
the same key. ``joined`` is there when the records have an identity for them: whoever starts the roles looks for it.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from gongfu.tree.membership.certificates import SERIAL_BYTES
from gongfu.tree.membership.keys import SEED_BYTES, NodeKey, key_from_pem
from gongfu.tree.nodes.joined import JOINED, joined_file


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Paths below ``root``; every file is for its owner only (0600)."""

    root: Path

    @property
    def joined(self) -> Path:
        """Holds the node id when the node is in a tree."""
        return self.root / JOINED

    @property
    def server_key(self) -> Path:
        """Key of ``server_certificate``, PEM."""
        return self.root / "server.key"

    @property
    def server_certificate(self) -> Path:
        """Certificate of the ports for children, PEM, of the own authority."""
        return self.root / "server.crt"

    @property
    def authority_certificate(self) -> Path:
        """Certificate of the own authority, PEM: children's certificates are signed by it."""
        return self.root / "authority.crt"

    @property
    def link_key(self) -> Path:
        """Key of ``link_certificate``, PEM."""
        return self.root / "link.key"

    @property
    def link_certificate(self) -> Path:
        """Certificate for the link up, PEM, of the parent's authority."""
        return self.root / "link.crt"

    @property
    def parent_authority(self) -> Path:
        """Certificates of the parent's authority, PEM: the parent's ports are believed by it."""
        return self.root / "parent.crt"

    def node_key(self) -> NodeKey:
        """Return the node's key; made when there is none.

        Raises:
            OSError: it cannot be read or written.
            Refused: ``key-malformed``; the file was damaged.
        """
        return self._key(self.root / "node.key")

    def authority_key(self) -> NodeKey:
        """Return the key of the own authority; as ``node_key``."""
        return self._key(self.root / "authority.key")

    def tls_key(self, path: Path) -> NodeKey:
        """Return ``server_key`` or ``link_key``; as ``node_key``."""
        return self._key(path)

    def write(self, path: Path, content: bytes) -> bool:
        """Write one of the files, at once or not at all; return whether it was another before.

        Raises:
            OSError: it cannot be written.
        """
        try:
            if path.read_bytes() == content:
                return False
        except FileNotFoundError:
            pass
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(self.root, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True

    def _key(self, path: Path) -> NodeKey:
        try:
            return key_from_pem(path.read_bytes())
        except FileNotFoundError:
            key = NodeKey(secrets.token_bytes(SEED_BYTES))
            self.write(path, key.to_pem())
            return key


def key_files(data_dir: Path) -> KeyFiles:
    """Return the files of a data directory."""
    return KeyFiles(joined_file(data_dir).parent)


def new_serial() -> bytes:
    """Return the serial number of a new certificate."""
    return secrets.token_bytes(SERIAL_BYTES)
