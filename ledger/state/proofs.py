"""Proofs that a record is in the state under a root, or that none is.

    proof = [version, [[bitmap, siblings], ...], other leaf]

One pair for every branch from the top down: which children it has, and their hashes without that of the child on the
way. The way is given by sha256(key) and not part of the proof. An inclusion proof ends in the record's own leaf, which
the verifier makes from key and value. A proof of absence ends in a branch that has no child on the way (then
`siblings` holds all its children), in another record's leaf (`other leaf`), or in the empty tree.

Every byte feeds a hash or has one permitted value; the encoding is canonical, so no second proof says the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from ledger.errors import InvalidProof
from ledger.state.nodes import (
    DEPTH_MAX,
    EMPTY_ROOT,
    HASH_BYTES,
    LEAF_BYTES,
    branch_hash,
    leaf_hash,
    root_of,
    value_hash,
)
from ledger.state.tree import StateTree
from primitives.codec import CodecError, decode, encode

VERSION: Final = 1


class Branch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    bitmap: Annotated[int, msgspec.Meta(ge=1, lt=2**16)]
    siblings: Annotated[bytes, msgspec.Meta(max_length=16 * HASH_BYTES)]


class StateProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    branches: Annotated[tuple[Branch, ...], msgspec.Meta(max_length=DEPTH_MAX)]
    other_leaf: Annotated[bytes, msgspec.Meta(max_length=LEAF_BYTES)]
    """Empty, or the leaf (sha256(key), hash of the value) that stands where the absent record would."""

    def encode(self) -> bytes:
        return encode(self)

    @classmethod
    def decode(cls, data: bytes) -> StateProof:
        """Read a proof.

        Raises:
            InvalidProof: `proof.malformed`.
        """
        try:
            return decode(data, cls)
        except CodecError as error:
            raise InvalidProof("proof.malformed", str(error)) from error


def prove(tree: StateTree, key: bytes) -> StateProof:
    """Prove that the record of `key` is in the tree's state, or that it is not."""
    return proof_along(tree.path(key), key)


def proof_along(way: Sequence[bytes], key: bytes) -> StateProof:
    """Make the proof for `key` of the nodes on its way, from the top."""
    path = hashlib.sha256(key)
    nibbles, hexed = path.digest(), path.hexdigest()
    branches: list[Branch] = []
    other_leaf = b""
    for depth, node in enumerate(way):
        if len(node) == LEAF_BYTES:
            if node[:HASH_BYTES] != nibbles:
                other_leaf = node
            break
        bitmap = node[0] << 8 | node[1]
        offset, present = child_position(bitmap, int(hexed[depth], 16))
        siblings = node[2:]
        if present:
            siblings = siblings[:offset] + siblings[offset + HASH_BYTES :]
        branches.append(Branch(bitmap, siblings))
    return StateProof(VERSION, tuple(branches), other_leaf)


def child_position(bitmap: int, nibble: int) -> tuple[int, bool]:
    """Return where the child `nibble` is, or would be, among a branch's hashes (bytes), and whether it is there."""
    bit = 1 << nibble
    return HASH_BYTES * (bitmap & (bit - 1)).bit_count(), bool(bitmap & bit)


def verify_state_proof(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> None:
    """Check that under `root` the record of `key` is `value`, or that there is none (`value` None).

    Raises:
        InvalidProof: `proof.malformed`, `proof.mismatch`.
    """
    path = hashlib.sha256(key)
    hexed = path.hexdigest()
    below = _end(path.digest(), value, proof)
    for depth in range(len(proof.branches) - 1, -1, -1):
        branch = proof.branches[depth]
        offset, present = child_position(branch.bitmap, int(hexed[depth], 16))
        if present != bool(below):
            raise InvalidProof("proof.mismatch", f"the branch at depth {depth} does not lead to what is to be proven")
        if len(branch.siblings) != HASH_BYTES * (branch.bitmap.bit_count() - present):
            raise InvalidProof("proof.malformed", f"the branch at depth {depth} has a wrong number of hashes")
        children = branch.siblings[:offset] + below + branch.siblings[offset:]
        below = branch_hash(branch.bitmap.to_bytes(2, "big") + children)
    computed = root_of(below)
    if computed != root:
        raise InvalidProof("proof.mismatch", f"the proof leads to the root {computed.hex()}, not {root.hex()}")
    assert below or root == EMPTY_ROOT


def _end(path: bytes, value: bytes | None, proof: StateProof) -> bytes:
    """Return the hash of the node that the way ends in: a leaf's, or nothing for an empty place."""
    if value is not None:
        if proof.other_leaf:
            raise InvalidProof("proof.malformed", "a proof of inclusion has no other leaf")
        return leaf_hash(path + value_hash(value))
    if not proof.other_leaf:
        return b""
    if len(proof.other_leaf) != LEAF_BYTES:
        raise InvalidProof("proof.malformed", f"a leaf has {LEAF_BYTES} bytes, not {len(proof.other_leaf)}")
    other = proof.other_leaf[:HASH_BYTES]
    if other == path:
        raise InvalidProof("proof.mismatch", "the record is in the state")
    depth = len(proof.branches)
    if other.hex()[:depth] != path.hex()[:depth]:
        raise InvalidProof("proof.mismatch", "the other leaf does not lie on the record's way")
    return leaf_hash(proof.other_leaf)
