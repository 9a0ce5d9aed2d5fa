"""A 16-ary Merkle tree over the records of the state, in memory.

A record lives at the path of sha256(key), nibble by nibble, but only as deep as it must to stand alone: the shape, and
so the root, depends on the set of records and on nothing else. Nodes are single `bytes` values under their path:

    leaf     64 bytes: sha256(key), hash of the value
    branch   2 bytes: which of the 16 children exist (bit i = child i), then their hashes, rising

    leaf hash    = H("state-leaf", leaf)          value hash = H("state-value", value)
    branch hash  = H("state-branch", branch)      root       = H("state-root", hash of the top node; nothing when empty)

The tree holds hashes only and is rebuilt from the flat records when a chain opens. `update` computes a new root without
touching the tree, so that a block that does not match leaves no trace; `commit` makes the change real.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

from primitives.digest import Digest, domain, tagged_hash

_VALUE: Final = domain("state-value")
_LEAF: Final = domain("state-leaf")
_BRANCH: Final = domain("state-branch")
_NIBBLES: Final = "0123456789abcdef"
_BIT: Final = {nibble: 1 << index for index, nibble in enumerate(_NIBBLES)}
_LEAF_BYTES: Final = 64
_SPAN_SCANNED_MAX: Final = 32
"""Up to so many changes under a node are told apart one by one; more by bisection."""

_Entry = tuple[str, bytes, bytes | None]
"""(sha256(key) in hex, leaf, leaf hash); an empty leaf and None for a deletion."""


def value_hash(value: bytes) -> bytes:
    """Return the hash that stands for a record's value."""
    return hashlib.sha256(_VALUE + value).digest()


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(_LEAF + leaf).digest()


def branch_hash(branch: bytes) -> bytes:
    return hashlib.sha256(_BRANCH + branch).digest()


def root_of(top: bytes) -> Digest:
    """Return the state root over the top node's hash (empty for the empty tree)."""
    return tagged_hash("state-root", top)


EMPTY_ROOT: Final = root_of(b"")


class PendingUpdate:
    """A computed but not yet applied change; valid for the tree as it was when `update` ran."""

    __slots__ = ("base", "nodes", "root", "top")

    def __init__(self, base: Digest, nodes: dict[str, bytes | None], top: bytes) -> None:
        self.base = base
        self.nodes = nodes
        self.top = top
        self.root = root_of(top)


class StateTree:
    """The tree over one state. Not thread-safe."""

    __slots__ = ("_nodes", "_top", "root")

    def __init__(self) -> None:
        self._nodes: dict[str, bytes] = {}
        self._top = b""
        self.root: Digest = EMPTY_ROOT

    @classmethod
    def build(cls, records: Iterable[tuple[bytes, bytes]]) -> StateTree:
        """Build the tree of `records` (key, value), whose keys are distinct, in any order."""
        tree = cls()
        entries = [_entry(key, value) for key, value in records]
        entries.sort()
        tree.commit(tree._pending(entries))
        return tree

    def update(self, changes: Mapping[bytes, bytes | None]) -> PendingUpdate:
        """Compute the effect of `changes` (key -> new value, None deletes) without applying it."""
        entries = [_entry(key, value) for key, value in changes.items()]
        entries.sort()
        return self._pending(entries)

    def commit(self, pending: PendingUpdate) -> None:
        """Apply `pending`, which must have been computed on the tree as it is."""
        assert pending.base == self.root
        nodes = self._nodes
        for path, node in pending.nodes.items():
            if node is None:
                nodes.pop(path, None)
            else:
                nodes[path] = node
        self._top = pending.top
        self.root = pending.root

    def __len__(self) -> int:
        """Return the number of records; walks the nodes."""
        return sum(len(node) == _LEAF_BYTES for node in self._nodes.values())

    def path(self, key: bytes) -> list[bytes]:
        """Return the nodes from the top towards `key`: branches, then the leaf where the way ends in one."""
        hexed = hashlib.sha256(key).hexdigest()
        found: list[bytes] = []
        for depth in range(len(hexed)):
            node = self._nodes.get(hexed[:depth])
            if node is None:
                break
            found.append(node)
            if len(node) == _LEAF_BYTES:
                break
        return found

    def holds(self, key: bytes) -> bool:
        """Tell whether a record of `key` is in the state."""
        path = self.path(key)
        return bool(path) and len(path[-1]) == _LEAF_BYTES and path[-1][:32] == hashlib.sha256(key).digest()

    def _pending(self, entries: list[_Entry]) -> PendingUpdate:
        if not entries:
            return PendingUpdate(self.root, {}, self._top)
        writer = _Writer(self._nodes, entries)
        top = writer.descend("", self._nodes.get(""), 0, len(entries))
        return PendingUpdate(self.root, writer.written, top)


def _entry(key: bytes, value: bytes | None) -> _Entry:
    path = hashlib.sha256(key)
    if value is None:
        return path.hexdigest(), b"", None
    leaf = path.digest() + hashlib.sha256(_VALUE + value).digest()
    return path.hexdigest(), leaf, hashlib.sha256(_LEAF + leaf).digest()


class _Writer:
    """One batch of sorted entries on its way down. `written` overlays the nodes; each path is visited at most once."""

    __slots__ = ("entries", "nodes", "written")

    def __init__(self, nodes: dict[str, bytes], entries: list[_Entry]) -> None:
        self.nodes = nodes
        self.entries = entries
        self.written: dict[str, bytes | None] = {}

    def descend(self, path: str, node: bytes | None, start: int, end: int) -> bytes:
        """Apply entries[start:end], all below `path`, where `node` is. Return the new hash there, empty when it is
        gone."""
        if node is None or len(node) == _LEAF_BYTES:
            return self._replace(path, node, start, end)
        entries, node_at = self.entries, self.nodes.get
        below = len(path) + 1
        bitmap = node[0] << 8 | node[1]
        fresh = bytearray(node)
        while start < end:
            hexed, leaf, hashed = entries[start]
            child_path = hexed[:below]
            stop = start + 1
            if stop < end and entries[stop][0].startswith(child_path):
                stop = self._span(child_path, stop, end)
            child_node = node_at(child_path)
            if (
                hashed is not None
                and stop - start == 1
                and child_node is not None
                and len(child_node) == _LEAF_BYTES
                and child_node[:32] == leaf[:32]
            ):  # what most entries are: another value of a record that stands alone
                self.written[child_path] = leaf
                child = hashed
            else:
                child = self.descend(child_path, child_node, start, stop)
            start = stop
            bit = _BIT[child_path[-1]]
            offset = 2 + 32 * (bitmap & (bit - 1)).bit_count()
            if bitmap & bit:
                if child:
                    fresh[offset : offset + 32] = child
                else:
                    del fresh[offset : offset + 32]
                    bitmap ^= bit
            elif child:
                fresh[offset:offset] = child
                bitmap |= bit
        if bitmap & (bitmap - 1) == 0:
            return self._shrink(path, bitmap, fresh)
        fresh[0] = bitmap >> 8
        fresh[1] = bitmap & 255
        self.written[path] = branch = bytes(fresh)
        return hashlib.sha256(_BRANCH + branch).digest()

    def _span(self, path: str, start: int, end: int) -> int:
        """Return the end of the run of entries below `path` to which the one at `start` belongs."""
        entries = self.entries
        if end - start > _SPAN_SCANNED_MAX:
            # "g" sorts behind every hexadecimal digit.
            return bisect_left(entries, (path + "g",), start, end)
        stop = start + 1
        while stop < end and entries[stop][0].startswith(path):
            stop += 1
        return stop

    def _shrink(self, path: str, bitmap: int, fresh: bytearray) -> bytes:
        """Finish a branch that is left with at most one child: a lone leaf moves up, a lone branch stays below."""
        if bitmap == 0:
            self.written[path] = None
            return b""
        child_path = path + _NIBBLES[bitmap.bit_length() - 1]
        child = self.written.get(child_path) or self.nodes[child_path]
        if len(child) == _LEAF_BYTES:
            self.written[child_path] = None
            self.written[path] = child
            return bytes(fresh[2:])
        fresh[0] = bitmap >> 8
        fresh[1] = bitmap & 255
        self.written[path] = bytes(fresh)
        return branch_hash(bytes(fresh))

    def _replace(self, path: str, leaf: bytes | None, start: int, end: int) -> bytes:
        """Apply entries where there is no node yet, or a lone leaf."""
        entries = [entry for entry in self.entries[start:end] if entry[2] is not None]
        if leaf is not None:
            hexed = leaf[:32].hex()
            index = bisect_left(self.entries, (hexed,), start, end)
            if index == end or self.entries[index][0] != hexed:
                entries.append((hexed, leaf, leaf_hash(leaf)))
                entries.sort()
        if not entries:
            if leaf is not None:
                self.written[path] = None
            return b""
        return self._grow(path, entries)

    def _grow(self, path: str, entries: list[_Entry]) -> bytes:
        """Build the subtree of `entries` (no deletions) at `path`."""
        if len(entries) == 1:
            _, leaf, hashed = entries[0]
            assert hashed is not None
            self.written[path] = leaf
            return hashed
        depth = len(path)
        bitmap = 0
        children: list[bytes] = []
        start = 0
        while start < len(entries):
            nibble = entries[start][0][depth]
            stop = bisect_left(entries, (path + nibble + "g",), start)
            children.append(self._grow(path + nibble, entries[start:stop]))
            bitmap |= _BIT[nibble]
            start = stop
        branch = bitmap.to_bytes(2, "big") + b"".join(children)
        self.written[path] = branch
        return hashlib.sha256(_BRANCH + branch).digest()
