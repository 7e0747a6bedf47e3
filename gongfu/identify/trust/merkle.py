"""One signature for a batch: a Merkle tree over its records, a proof of at most 64 hashes for each (RFC 6962 §2.1).

The hash of a leaf and that of a node begin with different bytes, so that no node can be taken for a leaf.
"""

import hashlib
from collections.abc import Sequence

_LEAF, _NODE = b"\x00", b"\x01"
DIGEST_BYTES = 32
MAX_PROOF = 64


def leaf_hash(record: bytes) -> bytes:
    """Return the hash of a record, 32 bytes."""
    return hashlib.sha256(_LEAF + record).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


class MerkleTree:
    """The tree over the leaves of a batch; 64 bytes a leaf."""

    __slots__ = ("_levels",)

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Build the tree.

        Args:
            leaves: ``leaf_hash`` of each record, in the order of the batch.

        Raises:
            ValueError: there are none.
        """
        if not leaves:
            raise ValueError("a batch has at least one record")
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            # A last one without a partner goes up as it is, which makes the tree the one of RFC 6962.
            above = [_node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            self._levels.append(above + below[len(below) - len(below) % 2 :])

    def __len__(self) -> int:
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """What is signed, with the size of the batch: 32 bytes."""
        return self._levels[-1][0]

    def proof(self, index: int) -> tuple[bytes, ...]:
        """Return the hashes that lead from a leaf to the root, from below.

        Raises:
            IndexError: there is no such leaf.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        path: list[bytes] = []
        for level in self._levels[:-1]:
            partner = index ^ 1
            if partner < len(level):
                path.append(level[partner])
            index //= 2
        return tuple(path)


def verify_proof(record: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the record is the one at ``index`` of a batch of ``size`` records with this root.

    Size and index decide how long the proof is and on which side each hash stands: no other proof is taken.
    """
    if not 0 <= index < size or len(proof) > MAX_PROOF or any(len(item) != DIGEST_BYTES for item in proof):
        return False
    present, at, last, rest = leaf_hash(record), index, size - 1, list(reversed(proof))
    while last:
        if at & 1 or at < last:
            if not rest:
                return False
            other = rest.pop()
            present = _node_hash(other, present) if at & 1 else _node_hash(present, other)
        at, last = at >> 1, last >> 1
    return not rest and present == root
