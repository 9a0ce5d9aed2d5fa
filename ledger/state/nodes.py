"""The nodes of the state's tree: what is hashed of them, and how they lie in memory.

    leaf     64 bytes: sha256(key), hash of the value
    branch   2 bytes: which of the 16 children exist (bit i = child i), then their hashes, rising

    leaf hash    = H("state-leaf", leaf)          value hash = H("state-value", value)
    branch hash  = H("state-branch", branch)      root       = H("state-root", hash of the top node; nothing when empty)

In memory a leaf is its bytes, and a branch is a list: first what is hashed of it (domain and content), then the nodes
of its children, rising.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from primitives.digest import Digest, domain, tagged_hash

VALUE: Final = domain("state-value")
LEAF: Final = domain("state-leaf")
BRANCH: Final = domain("state-branch")
BITMAP_AT: Final = len(BRANCH)
HASH_BYTES: Final = 32
LEAF_BYTES: Final = 64
DEPTH_MAX: Final = 64
"""Nibbles of a path: no branch is as deep as this."""

Branch = list[Any]
"""[domain and content, child, ...]"""
Node = bytes | Branch
Made = tuple[bytes, Node | None]
"""(hash, node) of what stands at a place; empty and None when nothing does."""
NOTHING: Final[Made] = (b"", None)


def value_hash(value: bytes) -> bytes:
    """Return the hash that stands for a record's value."""
    return hashlib.sha256(VALUE + value).digest()


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(LEAF + leaf).digest()


def branch_hash(branch: bytes) -> bytes:
    return hashlib.sha256(BRANCH + branch).digest()


def root_of(top: bytes) -> Digest:
    """Return the state root over the top node's hash (empty for the empty tree)."""
    return tagged_hash("state-root", top)


def bitmap_of(content: bytes) -> int:
    """Return which children a branch has, from what is hashed of it."""
    bitmap: int = content[BITMAP_AT] << 8 | content[BITMAP_AT + 1]
    return bitmap


def way(node: Node | None, path: str, depth: int) -> list[bytes]:
    """Return the nodes from `node`, which is at `depth`, towards `path` (hex): branches, then the leaf where the way
    ends in one."""
    found: list[bytes] = []
    while node is not None:
        if isinstance(node, bytes):
            found.append(node)
            break
        content: bytes = node[0][BITMAP_AT:]
        found.append(content)
        bitmap, bit = content[0] << 8 | content[1], 1 << int(path[depth], 16)
        node = node[1 + (bitmap & (bit - 1)).bit_count()] if bitmap & bit else None
        depth += 1
    return found


EMPTY_ROOT: Final = root_of(b"")
