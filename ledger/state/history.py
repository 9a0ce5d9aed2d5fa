"""The state of past heights: what each block replaced, so that records can be read and proven as they were.

    u + sha256(key) (32) + height (8)                the record before block `height`: one byte, 1 and the value, or 0
    n + depth (1) + nibbles in hex + height (8)      the tree's node at that place before block `height`: a branch, or a
                                                     leaf (64 bytes)
    d + height (8)                                   BlockUndo: the keys of all the above of the block

The first entry above a height is what held at that height, and where there is none, what holds now: one seek either
way. Nodes are kept of the uppermost `depth` levels only, which blocks share; a way that goes deeper ends in a subtree
of some hundred records at most, which is built from their leaves. So a block writes one entry for each record that it
changes and a few hundred nodes at most, and a proof costs a seek a level and one small subtree, however many blocks lie
between. Whatever is put together so is held against the root of the header.

Entries of indexes have no past: they prove nothing, and what they say follows from the records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import msgspec

from ledger.errors import Damage
from ledger.state.growth import grow
from ledger.state.nodes import HASH_BYTES, LEAF_BYTES, Node, branch_hash, leaf_hash, root_of, value_hash, way
from ledger.state.store import Store
from ledger.state.tree import PendingUpdate, StateTree
from ledger.state.view import Readable
from primitives.codec import CodecError, decode, encode

DEPTH_MIN: Final = 2
"""Levels of the tree whose nodes are kept, 17 places; more as soon as `SUBTREE_RECORDS_MAX` calls for it."""
DEPTH_MAX: Final = 8
SUBTREE_RECORDS_MAX: Final = 512
"""Records below a place of the lowest level that is kept, on average; above it the next level is kept too."""
ENTRIES_PASSED_MAX: Final = 64
"""Entries of one record that are read past before a seek is cheaper."""

_RECORD: Final = b"u"
_NODE: Final = b"n"
_BLOCK: Final = b"d"
_ABSENT: Final = b"\x00"
_PRESENT: Final = b"\x01"

Changes = dict[bytes, bytes | None]


class BlockUndo(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a block left of the state before it."""

    depth: Annotated[int, msgspec.Meta(ge=0, le=DEPTH_MAX)]
    """Levels whose nodes the block and all after it kept."""
    paths: bytes
    """sha256(key) of every changed record."""
    places: tuple[Annotated[str, msgspec.Meta(max_length=DEPTH_MAX)], ...]
    """Nibbles of every node that was replaced."""


class PendingUndo(msgspec.Struct, frozen=True):
    """A block's entries, to be written in its batch."""

    entries: Changes
    records: int
    """In the state, after the block."""
    depth: int


class StateHistory:
    """The past of one state, up to its head. Entries are made against the tree as it is before the block."""

    __slots__ = ("_depth", "_records", "_state", "_store", "_tree")

    def __init__(self, store: Store, tree: StateTree, state: Readable, records: int, height: int) -> None:
        """`records` are in the state at the head, which is block `height`."""
        self._store = store
        self._tree = tree
        self._state = state
        self._records = records
        last = self._undo_of(height)
        self._depth = max(_depth_for(records), DEPTH_MIN if last is None else last.depth)

    # --- writing

    def undo(self, height: int, changes: Mapping[bytes, bytes | None], update: PendingUpdate) -> PendingUndo:
        """Note what block `height` replaces, which makes `changes` of records. The tree's `update` by them is not
        applied yet."""
        get = self._state.get
        number = height.to_bytes(8, "big")
        entries: Changes = {}
        records = self._records
        for (key, value), path in zip(changes.items(), update.paths, strict=True):
            before = get(key)
            if before is None:
                entries[_RECORD + path + number] = _ABSENT
                records += value is not None
            else:
                entries[_RECORD + path + number] = _PRESENT + before
                records -= value is None
        depth = max(self._depth, _depth_for(records))
        places = self._tree.nodes_on(update.sorted_paths, depth)
        for place, node in places.items():
            entries[_place_key(place) + number] = node
        undo = BlockUndo(depth, b"".join(update.paths), tuple(places))
        entries[_BLOCK + number] = encode(undo)
        return PendingUndo(entries, records, depth)

    def commit(self, pending: PendingUndo) -> None:
        """The entries are written."""
        self._records, self._depth = pending.records, pending.depth

    def forget(self, height: int) -> Changes:
        """Return the deletions that drop the entries of block `height`: the state below it can be read no more."""
        undo = self._undo_of(height)
        if undo is None:
            return {}
        number = height.to_bytes(8, "big")
        dropped: Changes = {
            _RECORD + undo.paths[at : at + HASH_BYTES] + number: None for at in range(0, len(undo.paths), HASH_BYTES)
        }
        dropped.update((_place_key(place) + number, None) for place in undo.places)
        dropped[_BLOCK + number] = None
        return dropped

    # --- reading

    def record_at(self, key: bytes, height: int) -> bytes | None:
        """Return the record of `key` after block `height`, which is below the head and in the window."""
        entry = self._first_above(_RECORD + hashlib.sha256(key).digest(), height)
        if entry is None:
            return self._state.get(key)
        return entry[1:] if entry[:1] == _PRESENT else None

    def path_at(
        self, key: bytes, height: int, root: bytes, known: dict[str, bytes], built: dict[str, Node | None] | None = None
    ) -> list[bytes]:
        """Return the nodes from the top towards `key` as `StateTree.path` does, after block `height`, whose state root
        is `root`. `known` (place -> node) and `built` (place -> subtree) save reading and building what one call after
        another needs.

        Raises:
            Damage: what is kept does not lead to the root.
        """
        hexed = hashlib.sha256(key).hexdigest()
        undo = self._undo_of(height + 1)
        if undo is None:
            raise past_damage(height, f"what block {height + 1} replaced in the state is missing")
        found: list[bytes] = []
        expected = b""
        while len(found) < undo.depth:
            place = hexed[: len(found)]
            node = known.get(place) or self._node_at(place, height)
            if node is None or not _is(node, expected, root):
                break
            known[place] = node
            found.append(node)
            below = _child(node, hexed[len(place)])
            if below is None:
                return found
            expected = below
        place = hexed[: len(found)]
        built = {} if built is None else built
        if place not in built:
            built[place] = self._rebuilt(place, height, expected, root)
        return found + way(built[place], hexed, len(found))

    def _node_at(self, place: str, height: int) -> bytes | None:
        entry = self._first_above(_place_key(place), height)
        return self._tree.node(place) if entry is None else entry

    def _rebuilt(self, place: str, height: int, expected: bytes, root: bytes) -> Node | None:
        """Return the subtree at a place, made of the leaves that were below it."""
        leaves = {leaf[:HASH_BYTES]: leaf for leaf in self._tree.leaves(place)}
        for path, before in self._changed(place, height):
            if before is None:
                leaves.pop(path, None)
            else:
                leaves[path] = path + value_hash(before)
        made = grow(sorted(leaves.values()), len(place))
        if (made[0] if expected else root_of(made[0])) != (expected or root):
            raise past_damage(height, f"the state of block {height} cannot be put together below {place!r}")
        return made[1]

    def _changed(self, place: str, height: int) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield (path, value) after block `height` of each record below `place` that changed later."""
        prefix = _RECORD + bytes.fromhex(place[: len(place) & ~1])
        start = _RECORD + bytes.fromhex(place.ljust(2 * HASH_BYTES, "0"))
        last = bytes.fromhex(place.ljust(2 * HASH_BYTES, "f"))
        while start:
            done, passed, next_start = b"", 0, b""
            for key, entry in self._store.iterate(prefix, start):
                path = key[1 : 1 + HASH_BYTES]
                if path > last:
                    break
                if path != done and int.from_bytes(key[-8:], "big") > height:
                    done, passed = path, 0
                    yield path, entry[1:] if entry[:1] == _PRESENT else None
                    continue
                passed += 1
                if passed > ENTRIES_PASSED_MAX:  # a record of many changes: on to the one wanted, or behind them all
                    above = 2**64 - 1 if path == done else height + 1
                    next_start = _RECORD + path + above.to_bytes(8, "big")
                    break
            start = next_start

    def _first_above(self, prefix: bytes, height: int) -> bytes | None:
        for _, entry in self._store.iterate(prefix, prefix + (height + 1).to_bytes(8, "big")):
            return entry
        return None

    def _undo_of(self, height: int) -> BlockUndo | None:
        data = self._store.get(_BLOCK + height.to_bytes(8, "big"))
        if data is None:
            return None
        try:
            return decode(data, BlockUndo)
        except CodecError as error:
            raise past_damage(height - 1, f"what block {height} replaced: {error}") from error


def past_damage(height: int, what: str) -> Damage:
    """Return what is raised where the state after block `height` cannot be told: a past that is given up is mended."""
    key = _BLOCK + (height + 1).to_bytes(8, "big")
    return Damage(key, key + b"\x00", what, physical=False)


def _depth_for(records: int) -> int:
    depth = DEPTH_MIN
    while depth < DEPTH_MAX and records > SUBTREE_RECORDS_MAX * 16**depth:
        depth += 1
    return depth


def _place_key(place: str) -> bytes:
    # The depth first: no place's entries run into those below it.
    return _NODE + bytes((len(place),)) + place.encode()


def _is(node: bytes, expected: bytes, root: bytes) -> bool:
    """Tell whether `node` is the one whose hash its parent has, or at the top, the root's."""
    hashed = leaf_hash(node) if len(node) == LEAF_BYTES else branch_hash(node)
    return hashed == expected if expected else root_of(hashed) == root


def _child(node: bytes, nibble: str) -> bytes | None:
    """Return the hash of a branch's child; None where there is none, and of a leaf."""
    if len(node) == LEAF_BYTES:
        return None
    bitmap, bit = node[0] << 8 | node[1], 1 << int(nibble, 16)
    if not bitmap & bit:
        return None
    at = 2 + HASH_BYTES * (bitmap & (bit - 1)).bit_count()
    return node[at : at + HASH_BYTES]
