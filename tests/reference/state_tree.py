"""The state's tree and its proofs, read from docs/spec/state.md and from nowhere else: hashlib and msgpack."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack

Records = dict[bytes, bytes]


class Refused(Exception):
    """The proof does not hold."""


def need(condition: object, why: str) -> None:
    if not condition:
        raise Refused(why)


def tagged(tag: str, data: bytes) -> bytes:
    return hashlib.sha256(b"guildmark/" + tag.encode() + b"\x00" + data).digest()


def leaf_of(key: bytes, value: bytes) -> bytes:
    return hashlib.sha256(key).digest() + tagged("state-value", value)


def root_of(records: Records) -> bytes:
    """Section 1."""
    return tagged("state-root", subtree([leaf_of(*record) for record in records.items()], 0))


def subtree(leaves: list[bytes], depth: int) -> bytes:
    if not leaves:
        return b""
    if len(leaves) == 1:
        return tagged("state-leaf", leaves[0])
    groups = [[leaf for leaf in leaves if leaf.hex()[depth] == nibble] for nibble in "0123456789abcdef"]
    children = [subtree(group, depth + 1) for group in groups]
    return branch_hash(sum(1 << at for at, child in enumerate(children) if child), b"".join(children))


def branch_hash(bitmap: int, hashes: bytes) -> bytes:
    return tagged("state-branch", bitmap.to_bytes(2, "big") + hashes)


def read(data: bytes) -> Any:
    """Canonical MessagePack only."""
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except Exception as error:
        raise Refused(f"not MessagePack: {error}") from error
    need(msgpack.packb(value, use_bin_type=True) == data, "not canonical")
    return value


def is_branch(node: Any) -> bool:
    return (
        isinstance(node, list)
        and len(node) == 2
        and type(node[0]) is int
        and 1 <= node[0] <= 65535
        and isinstance(node[1], bytes)
    )


def check(root: bytes, key: bytes, value: bytes | None, data: bytes) -> None:
    """Section 2."""
    proof = read(data)
    need(isinstance(proof, list) and len(proof) == 3 and type(proof[0]) is int and proof[0] == 1, "shape")
    _, branches, other = proof
    need(isinstance(branches, list) and len(branches) <= 64 and all(map(is_branch, branches)), "branches")
    need(isinstance(other, bytes), "other leaf")
    path = hashlib.sha256(key).hexdigest()
    if value is not None:
        need(not other, "inclusion with another leaf")
        below = tagged("state-leaf", leaf_of(key, value))
    elif other:
        need(len(other) == 64, "a leaf has 64 bytes")
        need(other.hex()[:64] != path, "the record is there")
        need(other.hex()[: len(branches)] == path[: len(branches)], "not on the way")
        below = tagged("state-leaf", other)
    else:
        below = b""
    for depth in reversed(range(len(branches))):
        bitmap, siblings = branches[depth]
        nibble = int(path[depth], 16)
        present = bitmap >> nibble & 1
        need(present == bool(below), "leads elsewhere")
        need(len(siblings) == 32 * (bitmap.bit_count() - present), "number of hashes")
        lower = 32 * (bitmap & ((1 << nibble) - 1)).bit_count()
        below = branch_hash(bitmap, siblings[:lower] + below + siblings[lower:])
    need(tagged("state-root", below) == root, "root")


def check_batch(root: bytes, records: dict[bytes, bytes | None], data: bytes) -> None:
    """Section 3."""
    proof = read(data)
    need(isinstance(proof, list) and len(proof) == 2 and type(proof[0]) is int and proof[0] == 1, "shape")
    need(isinstance(proof[1], list), "nodes")
    nodes = list(proof[1])
    need(1 <= len(records) <= 1000, "keys")
    wanted = {hashlib.sha256(key).hexdigest(): (key, value) for key, value in records.items()}

    def absent(paths: list[str]) -> None:
        need(all(wanted[path][1] is None for path in paths), "an empty place")

    def walk(paths: list[str], depth: int) -> bytes:
        need(nodes, "too few nodes")
        node = nodes.pop(0)
        if isinstance(node, bytes):
            present = [wanted[path] for path in paths if wanted[path][1] is not None]
            if not node:
                need(len(present) == 1, "whose leaf")
                key, value = present[0]
                assert value is not None
                return tagged("state-leaf", leaf_of(key, value))
            need(len(node) == 64 and not present, "another leaf")
            other = node.hex()[:64]
            need(other not in paths and other[:depth] == paths[0][:depth], "not on the way")
            return tagged("state-leaf", node)
        need(is_branch(node) and depth < 64, "node")
        bitmap, siblings = node
        hashes = b""
        for at, nibble in enumerate("0123456789abcdef"):
            below = [path for path in paths if path[depth] == nibble]
            if not bitmap >> at & 1:
                absent(below)
            elif below:
                hashes += walk(below, depth + 1)
            else:
                need(len(siblings) >= 32, "number of hashes")
                hashes, siblings = hashes + siblings[:32], siblings[32:]
        need(not siblings, "number of hashes")
        return branch_hash(bitmap, hashes)

    paths = sorted(wanted)
    if nodes:
        top = walk(paths, 0)
    else:
        absent(paths)
        top = b""
    need(not nodes, "nodes left over")
    need(tagged("state-root", top) == root, "root")
