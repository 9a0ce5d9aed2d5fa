"""A 16-ary Merkle tree over the records of the state, in memory.

A record lives at the path of sha256(key), nibble by nibble, but only as deep as it must to stand alone: the shape, and
so the root, depends on the set of records and on nothing else.

    leaf     64 bytes: sha256(key), hash of the value
    branch   2 bytes: which of the 16 children exist (bit i = child i), then their hashes, rising

    leaf hash    = H("state-leaf", leaf)          value hash = H("state-value", value)
    branch hash  = H("state-branch", branch)      root       = H("state-root", hash of the top node; nothing when empty)

In memory a leaf is its bytes, and a branch is a list: first what is hashed of it (domain and content), then the nodes
of its children, rising. A node refers to its children rather than naming them, because a large tree is far from the
processor: what costs is every place in memory that a descent visits.

The tree holds hashes only and is rebuilt from the flat records when a chain opens. `update` computes a new root without
touching the tree, so that a block that does not match leaves no trace; `commit` makes the change real.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ledger.state.growth import build_tree
from ledger.state.nodes import (
    BITMAP_AT,
    BRANCH,
    EMPTY_ROOT,
    HASH_BYTES,
    LEAF,
    NOTHING,
    VALUE,
    Branch,
    Made,
    Node,
    bitmap_of,
    leaf_hash,
    root_of,
    way,
)
from primitives.digest import Digest

_BIT: Final = {nibble: 1 << index for index, nibble in enumerate("0123456789abcdef")}
_BEFORE_HASHES: Final = BITMAP_AT + 2 - HASH_BYTES
"""Where the hash of the child at place 0 of a branch's list would be; the first child's place is 1."""
_SPAN_SCANNED_MAX: Final = 32
"""Up to so many changes under a node are told apart one by one; more by bisection."""

_Entry = tuple[str, bytes, bytes, bytes | None]
"""(sha256(key) in hex, sha256(key), leaf, leaf hash); an empty leaf and None for a deletion."""
_Change = tuple[Branch, int, Any]
"""(branch, place in its list, what becomes of that)"""


class PendingUpdate:
    """A computed but not yet applied change; valid for the tree as it was when `update` ran."""

    __slots__ = ("base", "hashed", "paths", "root", "sorted_paths", "staged", "top")

    def __init__(
        self, base: Digest, made: Made, staged: list[_Change], paths: list[bytes], sorted_paths: list[str]
    ) -> None:
        self.base = base
        self.paths = paths
        """sha256 of every changed key, in the order of the changes."""
        self.sorted_paths = sorted_paths
        """The same in hex, in order."""
        self.hashed, self.top = made
        self.root = root_of(self.hashed)
        self.staged = staged
        """What becomes of branches that keep their children's places: (branch, place, what is there now)."""


class StateTree:
    """The tree over one state. Not thread-safe."""

    __slots__ = ("_hashed", "_top", "root")

    def __init__(self) -> None:
        self._hashed, self._top = NOTHING
        self.root: Digest = EMPTY_ROOT

    @classmethod
    def build(cls, records: Iterable[tuple[bytes, bytes]]) -> StateTree:
        """Build the tree of `records` (key, value), whose keys are distinct, in any order."""
        tree = cls()
        tree._hashed, tree._top = build_tree(records)
        tree.root = root_of(tree._hashed)
        return tree

    def update(self, changes: Mapping[bytes, bytes | None]) -> PendingUpdate:
        """Compute the effect of `changes` (key -> new value, None deletes) without applying it."""
        entries, paths = _entries(changes.items())
        if not entries:
            return PendingUpdate(self.root, (self._hashed, self._top), [], [], [])
        update = _Update(entries)
        made = update.apply(self._top, 0, 0, len(entries))
        return PendingUpdate(self.root, made, update.staged, paths, [entry[0] for entry in entries])

    def commit(self, pending: PendingUpdate) -> None:
        """Apply `pending`, which must have been computed on the tree as it is."""
        assert pending.base == self.root
        for branch, place, now in pending.staged:
            branch[place] = now
        self._hashed, self._top, self.root = pending.hashed, pending.top, pending.root

    def __len__(self) -> int:
        """Return the number of records; walks the nodes."""
        count, waiting = 0, [] if self._top is None else [self._top]
        while waiting:
            node = waiting.pop()
            if isinstance(node, bytes):
                count += 1
            else:
                waiting += node[1:]
        return count

    def path(self, key: bytes) -> list[bytes]:
        """Return the nodes from the top towards `key`: branches, then the leaf where the way ends in one."""
        return way(self._top, hashlib.sha256(key).hexdigest(), 0)

    def node(self, place: str) -> bytes | None:
        """Return the node at the place of these nibbles (hex), as it is hashed; None where there is none."""
        node = self._at(place)
        return node[0][BITMAP_AT:] if isinstance(node, list) else node

    def leaves(self, place: str) -> list[bytes]:
        """Return the leaves whose paths begin with the nibbles of `place`, in no order."""
        node = self._at(place)
        found: list[bytes] = []
        waiting = [] if node is None else [node]
        while waiting:
            node = waiting.pop()
            if isinstance(node, bytes):
                found.append(node)
            else:
                waiting += node[1:]
        return found

    def _at(self, place: str) -> Node | None:
        """Return the node at `place`, or the leaf above it that is all there is below."""
        node = self._top
        for nibble in place:
            if not isinstance(node, list):
                break
            bitmap, bit = bitmap_of(node[0]), _BIT[nibble]
            node = node[1 + (bitmap & (bit - 1)).bit_count()] if bitmap & bit else None
        if isinstance(node, bytes) and not node[:HASH_BYTES].hex().startswith(place):
            return None
        return node

    def nodes_on(self, paths: Sequence[str], depth: int) -> dict[str, bytes]:
        """Return the nodes (place -> what is hashed of them) above `depth` that lie on the way to any of the sorted
        `paths` (hex)."""
        found: dict[str, bytes] = {}
        waiting: list[tuple[Node, int, int, int]] = []
        if self._top is not None and paths and depth > 0:
            waiting.append((self._top, 0, 0, len(paths)))
        while waiting:
            node, level, start, end = waiting.pop()
            place = paths[start][:level]
            if isinstance(node, bytes):
                found[place] = node
                continue
            content = node[0]
            found[place] = content[BITMAP_AT:]
            if level + 1 == depth:
                continue
            bitmap = bitmap_of(content)
            while start < end:
                nibble = paths[start][level]
                # "g" sorts behind every hexadecimal digit.
                stop = bisect_left(paths, f"{place}{nibble}g", start, end)
                bit = _BIT[nibble]
                if bitmap & bit:
                    waiting.append((node[1 + (bitmap & (bit - 1)).bit_count()], level + 1, start, stop))
                start = stop
        return found

    def holds(self, key: bytes) -> bool:
        """Tell whether a record of `key` is in the state."""
        return self.value_hash(key) is not None

    def value_hash(self, key: bytes) -> bytes | None:
        """Return the hash of the value that the record of `key` has; None where there is no record."""
        path = hashlib.sha256(key)
        node = self._top
        for nibble in path.hexdigest():
            if node.__class__ is not list:
                break
            content = node[0]
            bitmap = content[BITMAP_AT] << 8 | content[BITMAP_AT + 1]
            bit = _BIT[nibble]
            if not bitmap & bit:
                return None
            node = node[1 + (bitmap & (bit - 1)).bit_count()]
        if isinstance(node, bytes) and node.startswith(path.digest()):
            return node[HASH_BYTES:]
        return None


def _entries(changes: Iterable[tuple[bytes, bytes | None]]) -> tuple[list[_Entry], list[bytes]]:
    """Return the entries in order, and the paths in that of `changes`."""
    sha256 = hashlib.sha256
    entries: list[_Entry] = []
    paths: list[bytes] = []
    for key, value in changes:
        path = sha256(key).digest()
        paths.append(path)
        if value is None:
            entries.append((path.hex(), path, b"", None))
        else:
            leaf = path + sha256(VALUE + value).digest()
            entries.append((path.hex(), path, leaf, sha256(LEAF + leaf).digest()))
    entries.sort()
    return entries, paths


class _Update:
    """One batch of sorted entries on its way down. No branch is changed: what would change in place is `staged`, and a
    branch whose shape changes is copied."""

    __slots__ = ("entries", "staged")

    def __init__(self, entries: list[_Entry]) -> None:
        self.entries = entries
        self.staged: list[_Change] = []

    def apply(self, node: Node | None, depth: int, start: int, end: int, *, follow: bool = True) -> Made:
        """Apply entries[start:end] at the place at `depth` where `node` is. Return what is there then.

        `follow` is False below a branch from which the one entry could not be followed.
        """
        if not isinstance(node, list):
            return self._replace(node, depth, start, end)
        if end - start > 1:
            return self._descend(node, depth, start, end, follow=True)
        if follow and (hashed := self._follow(node, depth, start)) is not None:
            return hashed, node
        return self._descend(node, depth, start, end, follow=False)

    def _descend(self, node: Branch, depth: int, start: int, end: int, *, follow: bool) -> Made:
        """Apply entries[start:end], all below `node`, which is at `depth`. What is then there is `node` itself when
        each of its children keeps its place, else another list."""
        entries = self.entries
        content = node[0]
        fresh = bytearray(content)
        bitmap = bitmap_of(content)
        children = node
        changed: list[tuple[int, Node]] = []
        while start < end:
            nibble = entries[start][0][depth]
            stop = start + 1
            if stop < end and entries[stop][0][depth] == nibble:
                stop = self._span(depth, stop, end)
            bit = _BIT[nibble]
            place = 1 + (bitmap & (bit - 1)).bit_count()
            at = _BEFORE_HASHES + 32 * place
            child = children[place] if bitmap & bit else None
            hashed, made = self.apply(child, depth + 1, start, stop, follow=follow)
            start = stop
            if child is not None and made is not None:
                fresh[at : at + 32] = hashed
                if made is not child:
                    changed.append((place, made))
            elif child is not made:
                children = _settled(children, node, changed)
                bitmap ^= bit
                if made is None:
                    del children[place]
                    del fresh[at : at + 32]
                else:
                    children.insert(place, made)
                    fresh[at:at] = hashed
        if children is node and bitmap & (bitmap - 1):
            content = bytes(fresh)
            self.staged.append((node, 0, content))
            self.staged += [(node, place, child) for place, child in changed]
            return hashlib.sha256(content).digest(), node
        children = _settled(children, node, changed)
        if bitmap == 0:
            return NOTHING
        if bitmap & (bitmap - 1) == 0 and isinstance(children[1], bytes):
            return bytes(fresh[-32:]), children[1]  # a lone leaf moves up; a lone branch stays below
        fresh[BITMAP_AT : BITMAP_AT + 2] = bitmap.to_bytes(2, "big")
        children[0] = content = bytes(fresh)
        return hashlib.sha256(content).digest(), children

    def _follow(self, node: Branch, depth: int, index: int) -> bytes | None:
        """Apply the one entry below `node` if it is what most are: another value of a record that is there, so that
        every branch on its way keeps its shape. Return the new hash of `node`, or None with nothing done."""
        hexed, path, leaf, hashed = self.entries[index]
        way: list[tuple[Branch, int]] = []
        below: Any = node
        while below.__class__ is list:
            content = below[0]
            bitmap = content[BITMAP_AT] << 8 | content[BITMAP_AT + 1]
            bit = _BIT[hexed[depth]]
            if not bitmap & bit:
                return None
            place = 1 + (bitmap & (bit - 1)).bit_count()
            way.append((below, place))
            below = below[place]
            depth += 1
        if hashed is None or not below.startswith(path):
            return None
        staged, sha256 = self.staged.append, hashlib.sha256
        branch, place = way[-1]
        staged((branch, place, leaf))
        while way:
            branch, place = way.pop()
            content = branch[0]
            at = _BEFORE_HASHES + 32 * place
            content = content[:at] + hashed + content[at + 32 :]
            staged((branch, 0, content))
            hashed = sha256(content).digest()
        return hashed

    def _span(self, depth: int, start: int, end: int) -> int:
        """Return the end of the run of entries that share the nibble at `depth` with the one before `start`."""
        entries = self.entries
        hexed = entries[start][0]
        if end - start > _SPAN_SCANNED_MAX:
            # "g" sorts behind every hexadecimal digit.
            return bisect_left(entries, (hexed[: depth + 1] + "g",), start, end)
        nibble = hexed[depth]
        stop = start + 1
        while stop < end and entries[stop][0][depth] == nibble:
            stop += 1
        return stop

    def _replace(self, leaf: bytes | None, depth: int, start: int, end: int) -> Made:
        """Apply entries[start:end] at a place at `depth` where there is no node yet, or a lone leaf."""
        if leaf is not None and end - start == 1:
            _, path, fresh, hashed = self.entries[start]
            if hashed is not None and leaf.startswith(path):
                return hashed, fresh
        entries = [entry for entry in self.entries[start:end] if entry[3] is not None]
        if leaf is not None:
            hexed = leaf[:32].hex()
            index = bisect_left(self.entries, (hexed,), start, end)
            if index == end or self.entries[index][0] != hexed:
                entries.append((hexed, leaf[:32], leaf, leaf_hash(leaf)))
                entries.sort()
        return _grow(entries, depth, 0, len(entries)) if entries else NOTHING


def _settled(children: Branch, node: Branch, changed: list[tuple[int, Node]]) -> Branch:
    """Return a list of children that may change its shape, with `changed` in it: places hold until then."""
    if children is node:
        children = node.copy()
    for place, child in changed:
        children[place] = child
    changed.clear()
    return children


def _grow(entries: list[_Entry], depth: int, start: int, end: int) -> Made:
    """Build the subtree at `depth` of entries[start:end], of which there is one at least and none a deletion."""
    if end - start == 1:
        _, _, leaf, hashed = entries[start]
        assert hashed is not None
        return hashed, leaf
    bitmap = 0
    hashes: list[bytes] = [BRANCH, b""]
    branch: Branch = [b""]
    while start < end:
        hexed = entries[start][0]
        # "g" sorts behind every hexadecimal digit.
        stop = bisect_left(entries, (hexed[: depth + 1] + "g",), start, end)
        hashed, child = _grow(entries, depth + 1, start, stop)
        hashes.append(hashed)
        branch.append(child)
        bitmap |= _BIT[hexed[depth]]
        start = stop
    hashes[1] = bitmap.to_bytes(2, "big")
    branch[0] = content = b"".join(hashes)
    return hashlib.sha256(content).digest(), branch
