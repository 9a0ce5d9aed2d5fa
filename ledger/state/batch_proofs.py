"""One proof that several records are in the state under a root, or are not: what their ways share is in it once.

    proof = [version, [node, ...]]

The nodes are those on the ways of the keys, each once, in the order in which a walk from the top meets them that takes
a branch before what is below it and children rising. A node is

    [bitmap, siblings]   a branch: which children it has, and the hashes of those that lie on no key's way
    64 bytes             the leaf of another record, where the record of every key that leads here would stand
    no bytes             the leaf of the one key that leads here and is in the state; the verifier makes it

Which children a walk enters follows from sha256 of the keys and is not part of the proof. Every byte feeds a hash or
has one permitted value, nothing may be left over, and the encoding is canonical.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec

from ledger.errors import InvalidProof
from ledger.state.nodes import DEPTH_MAX, HASH_BYTES, LEAF_BYTES, branch_hash, leaf_hash, root_of, value_hash
from ledger.state.proofs import Branch
from primitives.codec import CodecError, decode, encode

VERSION: Final = 1
KEYS_MAX: Final = 1_000
"""Keys of one proof; more are refused on both sides (`proof.keys`)."""

BatchNode = Branch | Annotated[bytes, msgspec.Meta(max_length=LEAF_BYTES)]


class BatchProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    nodes: Annotated[tuple[BatchNode, ...], msgspec.Meta(max_length=KEYS_MAX * (DEPTH_MAX + 1))]

    def encode(self) -> bytes:
        return encode(self)

    @classmethod
    def decode(cls, data: bytes) -> BatchProof:
        """Read a proof.

        Raises:
            InvalidProof: `proof.malformed`.
        """
        try:
            return decode(data, cls)
        except CodecError as error:
            raise InvalidProof("proof.malformed", str(error)) from error


def prove_batch(keys: Sequence[bytes], way: Callable[[bytes], Sequence[bytes]]) -> BatchProof:
    """Prove what the state says of `keys`; `way` returns the nodes from the top towards a key.

    Raises:
        InvalidProof: `proof.keys`.
    """
    paths = _paths(keys)
    ways = [(path.hex(), way(key)) for path, key in sorted(paths.items())]
    nodes: list[BatchNode] = []
    if ways[0][1]:
        _collect(ways, 0, 0, len(ways), nodes)
    return BatchProof(VERSION, tuple(nodes))


def _collect(
    ways: Sequence[tuple[str, Sequence[bytes]]], depth: int, start: int, end: int, nodes: list[BatchNode]
) -> None:
    """Add the node at `depth` that ways[start:end] share, and those below it."""
    node = ways[start][1][depth]
    if len(node) == LEAF_BYTES:
        own = node[:HASH_BYTES].hex()
        nodes.append(b"" if any(path == own for path, _ in ways[start:end]) else node)
        return
    bitmap = node[0] << 8 | node[1]
    entered = _children([path for path, _ in ways], depth, start, end)
    hashes = [node[at : at + HASH_BYTES] for at in range(2, len(node), HASH_BYTES)]
    present = [nibble for nibble in range(16) if bitmap >> nibble & 1]
    nodes.append(Branch(bitmap, b"".join(hashes[at] for at, nibble in enumerate(present) if nibble not in entered)))
    for nibble, (first, last) in entered.items():
        if bitmap >> nibble & 1:
            _collect(ways, depth + 1, first, last, nodes)


def verify_batch_proof(root: bytes, records: Mapping[bytes, bytes | None], proof: BatchProof) -> None:
    """Check that under `root` each key of `records` has its value, or no record where that is None.

    Raises:
        InvalidProof: `proof.keys`, `proof.malformed`, `proof.mismatch`.
    """
    paths = _paths(list(records))
    check = _Check(sorted((path.hex(), records[key]) for path, key in paths.items()), proof.nodes)
    computed = root_of(check.below(0, 0, len(records)) if proof.nodes else check.nothing(0, len(records)))
    if check.used != len(proof.nodes):
        raise InvalidProof("proof.malformed", "the proof has nodes on no key's way")
    if computed != root:
        raise InvalidProof("proof.mismatch", f"the proof leads to the root {computed.hex()}, not {root.hex()}")


class _Check:
    """One walk over a proof's nodes."""

    def __init__(self, records: Sequence[tuple[str, bytes | None]], nodes: Sequence[BatchNode]) -> None:
        self._records = records
        """(sha256(key) in hex, value), in order."""
        self._paths = [path for path, _ in records]
        self._nodes = nodes
        self.used = 0

    def below(self, depth: int, start: int, end: int) -> bytes:
        """Return the hash of the node at `depth` that the ways of records[start:end] share."""
        if self.used == len(self._nodes):
            raise InvalidProof("proof.malformed", "the proof ends before the ways do")
        node = self._nodes[self.used]
        self.used += 1
        if isinstance(node, bytes):
            return leaf_hash(self._leaf(node, depth, start, end))
        if depth == DEPTH_MAX:
            raise InvalidProof("proof.malformed", "no branch is as deep as a path is long")
        entered = _children(self._paths, depth, start, end)
        hashes: list[bytes] = []
        at = 0
        for nibble in range(16):
            if not node.bitmap >> nibble & 1:
                if nibble in entered:
                    self.nothing(*entered[nibble])
            elif nibble in entered:
                hashes.append(self.below(depth + 1, *entered[nibble]))
            else:
                hashes.append(node.siblings[at : at + HASH_BYTES])
                at += HASH_BYTES
        if at != len(node.siblings):
            raise InvalidProof("proof.malformed", f"a branch at depth {depth} has a wrong number of hashes")
        return branch_hash(node.bitmap.to_bytes(2, "big") + b"".join(hashes))

    def nothing(self, start: int, end: int) -> bytes:
        """Require that records[start:end], whose place is empty, are absent."""
        if any(value is not None for _, value in self._records[start:end]):
            raise InvalidProof("proof.mismatch", "the place of a record is empty")
        return b""

    def _leaf(self, node: bytes, depth: int, start: int, end: int) -> bytes:
        present = [(path, value) for path, value in self._records[start:end] if value is not None]
        if not node:
            if len(present) != 1:
                raise InvalidProof("proof.mismatch", f"{len(present)} records would stand in the place of one")
            path, value = present[0]
            assert value is not None
            return bytes.fromhex(path) + value_hash(value)
        if len(node) != LEAF_BYTES:
            raise InvalidProof("proof.malformed", f"a leaf has {LEAF_BYTES} bytes, not {len(node)}")
        if present:
            raise InvalidProof("proof.mismatch", "another record stands in the place of one that should be there")
        other = node[:HASH_BYTES].hex()
        if any(path == other for path in self._paths[start:end]):
            raise InvalidProof("proof.mismatch", "a record that should be absent is in the state")
        if other[:depth] != self._paths[start][:depth]:
            raise InvalidProof("proof.mismatch", "the other leaf does not lie on the records' way")
        return node


def _paths(keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return sha256(key) -> key."""
    if not 0 < len(keys) <= KEYS_MAX:
        raise InvalidProof("proof.keys", f"a proof is for 1 to {KEYS_MAX} keys, not {len(keys)}")
    paths = {hashlib.sha256(key).digest(): key for key in keys}
    if len(paths) != len(keys):
        raise InvalidProof("proof.keys", "a key is named twice")
    return paths


def _children(paths: Sequence[str], depth: int, start: int, end: int) -> dict[int, tuple[int, int]]:
    """Return nibble -> (start, end) of the sorted paths[start:end] by their nibble at `depth`."""
    found: dict[int, tuple[int, int]] = {}
    while start < end:
        # "g" sorts behind every hexadecimal digit.
        stop = bisect_left(paths, paths[start][: depth + 1] + "g", start, end)
        found[int(paths[start][depth], 16)] = start, stop
        start = stop
    return found
