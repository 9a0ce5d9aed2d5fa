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
from collections.abc import Iterable, Mapping
from typing import Any, Final

from primitives.digest import Digest, domain, tagged_hash

_VALUE: Final = domain("state-value")
_LEAF: Final = domain("state-leaf")
_BRANCH: Final = domain("state-branch")
_NIBBLES: Final = "0123456789abcdef"
_BIT: Final = {nibble: 1 << index for index, nibble in enumerate(_NIBBLES)}
_BITMAP_AT: Final = len(_BRANCH)
_BEFORE_HASHES: Final = len(_BRANCH) + 2 - 32
"""Where the hash of the child at place 0 of a branch's list would be; the first child's place is 1."""
_SPAN_SCANNED_MAX: Final = 32
"""Up to so many changes under a node are told apart one by one; more by bisection."""

_Entry = tuple[str, bytes, bytes, bytes | None]
"""(sha256(key) in hex, sha256(key), leaf, leaf hash); an empty leaf and None for a deletion."""
_Branch = list[Any]
"""[domain and content, child, ...]"""
_Node = bytes | _Branch
_Made = tuple[bytes, _Node | None]
"""(hash, node) of what now stands at a place; empty and None when nothing does."""

_Change = tuple[_Branch, int, Any]
"""(branch, place in its list, what becomes of that)"""

_NOTHING: Final[_Made] = (b"", None)


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

    __slots__ = ("base", "hashed", "root", "staged", "top")

    def __init__(self, base: Digest, made: _Made, staged: list[_Change]) -> None:
        self.base = base
        self.hashed, self.top = made
        self.root = root_of(self.hashed)
        self.staged = staged
        """What becomes of branches that keep their children's places: (branch, place, what is there now)."""


class StateTree:
    """The tree over one state. Not thread-safe."""

    __slots__ = ("_hashed", "_top", "root")

    def __init__(self) -> None:
        self._hashed, self._top = _NOTHING
        self.root: Digest = EMPTY_ROOT

    @classmethod
    def build(cls, records: Iterable[tuple[bytes, bytes]]) -> StateTree:
        """Build the tree of `records` (key, value), whose keys are distinct, in any order."""
        tree = cls()
        tree.commit(tree._pending(_entries(records)))
        return tree

    def update(self, changes: Mapping[bytes, bytes | None]) -> PendingUpdate:
        """Compute the effect of `changes` (key -> new value, None deletes) without applying it."""
        return self._pending(_entries(changes.items()))

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
        found: list[bytes] = []
        node = self._top
        for nibble in hashlib.sha256(key).hexdigest():
            if node is None:
                break
            if isinstance(node, bytes):
                found.append(node)
                break
            content = node[0]
            found.append(content[_BITMAP_AT:])
            bitmap, bit = _bitmap(content), _BIT[nibble]
            node = node[1 + (bitmap & (bit - 1)).bit_count()] if bitmap & bit else None
        return found

    def holds(self, key: bytes) -> bool:
        """Tell whether a record of `key` is in the state."""
        path = hashlib.sha256(key)
        node = self._top
        for nibble in path.hexdigest():
            if node.__class__ is not list:
                break
            content = node[0]
            bitmap = content[_BITMAP_AT] << 8 | content[_BITMAP_AT + 1]
            bit = _BIT[nibble]
            if not bitmap & bit:
                return False
            node = node[1 + (bitmap & (bit - 1)).bit_count()]
        return isinstance(node, bytes) and node.startswith(path.digest())

    def _pending(self, entries: list[_Entry]) -> PendingUpdate:
        if not entries:
            return PendingUpdate(self.root, (self._hashed, self._top), [])
        update = _Update(entries)
        made = update.apply(self._top, 0, 0, len(entries))
        return PendingUpdate(self.root, made, update.staged)


def _bitmap(content: bytes) -> int:
    bitmap: int = content[_BITMAP_AT] << 8 | content[_BITMAP_AT + 1]
    return bitmap


def _entries(changes: Iterable[tuple[bytes, bytes | None]]) -> list[_Entry]:
    sha256 = hashlib.sha256
    entries: list[_Entry] = []
    for key, value in changes:
        path = sha256(key).digest()
        if value is None:
            entries.append((path.hex(), path, b"", None))
        else:
            leaf = path + sha256(_VALUE + value).digest()
            entries.append((path.hex(), path, leaf, sha256(_LEAF + leaf).digest()))
    entries.sort()
    return entries


class _Update:
    """One batch of sorted entries on its way down. No branch is changed: what would change in place is `staged`, and a
    branch whose shape changes is copied."""

    __slots__ = ("entries", "staged")

    def __init__(self, entries: list[_Entry]) -> None:
        self.entries = entries
        self.staged: list[_Change] = []

    def apply(self, node: _Node | None, depth: int, start: int, end: int, *, follow: bool = True) -> _Made:
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

    def _descend(self, node: _Branch, depth: int, start: int, end: int, *, follow: bool) -> _Made:
        """Apply entries[start:end], all below `node`, which is at `depth`. What is then there is `node` itself when
        each of its children keeps its place, else another list."""
        entries = self.entries
        content = node[0]
        fresh = bytearray(content)
        bitmap = _bitmap(content)
        children = node
        changed: list[tuple[int, _Node]] = []
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
            return _NOTHING
        if bitmap & (bitmap - 1) == 0 and isinstance(children[1], bytes):
            return bytes(fresh[-32:]), children[1]  # a lone leaf moves up; a lone branch stays below
        fresh[_BITMAP_AT : _BITMAP_AT + 2] = bitmap.to_bytes(2, "big")
        children[0] = content = bytes(fresh)
        return hashlib.sha256(content).digest(), children

    def _follow(self, node: _Branch, depth: int, index: int) -> bytes | None:
        """Apply the one entry below `node` if it is what most are: another value of a record that is there, so that
        every branch on its way keeps its shape. Return the new hash of `node`, or None with nothing done."""
        hexed, path, leaf, hashed = self.entries[index]
        way: list[tuple[_Branch, int]] = []
        below: Any = node
        while below.__class__ is list:
            content = below[0]
            bitmap = content[_BITMAP_AT] << 8 | content[_BITMAP_AT + 1]
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

    def _replace(self, leaf: bytes | None, depth: int, start: int, end: int) -> _Made:
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
        return _grow(entries, depth, 0, len(entries)) if entries else _NOTHING


def _settled(children: _Branch, node: _Branch, changed: list[tuple[int, _Node]]) -> _Branch:
    """Return a list of children that may change its shape, with `changed` in it: places hold until then."""
    if children is node:
        children = node.copy()
    for place, child in changed:
        children[place] = child
    changed.clear()
    return children


def _grow(entries: list[_Entry], depth: int, start: int, end: int) -> _Made:
    """Build the subtree at `depth` of entries[start:end], of which there is one at least and none a deletion."""
    if end - start == 1:
        _, _, leaf, hashed = entries[start]
        assert hashed is not None
        return hashed, leaf
    bitmap = 0
    hashes: list[bytes] = [_BRANCH, b""]
    branch: _Branch = [b""]
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
