"""Merkle trees against the recursive definition of RFC 6962 §2.1, and its test vectors."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.trust.merkle import MerkleTree, leaf_hash, verify_proof

RECORDS = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def defined(records: list[bytes]) -> bytes:
    if len(records) == 1:
        return hashlib.sha256(b"\x00" + records[0]).digest()
    cut = 1
    while cut * 2 < len(records):
        cut *= 2
    return hashlib.sha256(b"\x01" + defined(records[:cut]) + defined(records[cut:])).digest()


def tree_of(records: list[bytes]) -> MerkleTree:
    return MerkleTree([leaf_hash(record) for record in records])


@given(RECORDS)
def test_root_and_proofs(records: list[bytes]) -> None:
    tree = tree_of(records)
    assert tree.root == defined(records)
    for index, record in enumerate(records):
        assert verify_proof(record, index, len(records), tree.proof(index), tree.root)


def test_vectors_of_certificate_transparency() -> None:
    # google/certificate-transparency, merkle tree test: roots of the first 1, 2, 3 and 8 inputs.
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    records = [bytes.fromhex(text) for text in inputs]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    assert {size: tree_of(records[:size]).root.hex() for size in roots} == roots


@given(RECORDS, st.data())
def test_nothing_else_is_proved(records: list[bytes], data: st.DataObject) -> None:
    tree = tree_of(records)
    size = len(records)
    index = data.draw(st.integers(0, size - 1))
    record, proof = records[index], tree.proof(index)
    assert not verify_proof(record + b"!", index, size, proof, tree.root)
    assert not verify_proof(record, index, size, (*proof, bytes(32)), tree.root)
    assert not verify_proof(record, index, size, proof, bytes(32))
    assert not verify_proof(record, -1, size, proof, tree.root)
    assert not verify_proof(record, size, size, proof, tree.root)
    if proof:
        assert not verify_proof(record, index, size, proof[:-1], tree.root)
        at = data.draw(st.integers(0, len(proof) - 1))
        damaged = (*proof[:at], bytes(reversed(proof[at])), *proof[at + 1 :])
        assert not verify_proof(record, index, size, damaged, tree.root)
        # A node is no leaf.
        node = bytes(32) + bytes(32)
        assert not verify_proof(node, index // 2, (size + 1) // 2, proof[1:], tree.root)
    other = data.draw(st.integers(0, size - 1))
    if records[other] != record and len(tree.proof(other)) == len(proof):
        assert not verify_proof(record, other, size, proof, tree.root)


def test_a_batch_has_records() -> None:
    with pytest.raises(ValueError, match="at least one"):
        MerkleTree([])
    with pytest.raises(IndexError):
        tree_of([b"a"]).proof(1)
