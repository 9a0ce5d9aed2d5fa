"""Putting back records that the store has lost, from copies that peers have: nothing is taken on anybody's word.

A record of the state is what the tree in memory has the hash of. A header is what its successor, or the head in memory,
names; a block and its receipts are what the header's roots say; a certificate holds by its signatures; the place of a
transaction is what the receipts there show. What nobody else can tell is made here: entries of indexes from the records
that call for them, marks of the chain from memory. What a past height needs is not put back; the past that can be read
begins anew at the head then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from ledger.archive import FORMAT, Location
from ledger.block import Block, BlockResults, Header, block_hash, decode_block, receipts_root, transactions_root
from ledger.chain import Chain
from ledger.errors import Damage, InvalidBlock, InvalidTransaction, LedgerError
from ledger.state.indexes import INDEX, is_index_key
from ledger.state.nodes import LEAF_BYTES, value_hash
from ledger.state.records import STATE_PREFIX
from ledger.state.store import Store
from ledger.transaction import decode_transaction, transaction_id
from primitives.codec import CodecError, decode, encode
from primitives.finality import FinalityCertificate

RECORDS_TOLD_MAX: Final = 256
RECORDS_TOLD_BYTES_MAX: Final = 1024 * 1024
"""Of keys and values in one answer; a single larger record travels alone."""
_TOLD: Final = (
    (b"b", b"d"),  # bodies and certificates
    (b"h", b"i"),
    (b"r", STATE_PREFIX + INDEX),  # results, and the state up to the entries of indexes
    (STATE_PREFIX + bytes([INDEX[0] + 1]), b"u"),  # the rest of it, and places of transactions
)
"""Ranges of keys of what peers are told, in order: what all nodes have alike, or can check."""
_PAST: Final = (b"u", b"n", b"d")

T = TypeVar("T")
Record = tuple[bytes, bytes]


class Mending:
    """Mends one chain's store. Belongs to the chain's owner, and reads beside the chain's caches."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._store: Store = chain._store

    # --- for peers

    def tell(self, first: bytes, behind: bytes, height: int | None = None) -> list[Record]:
        """Return records from `first` to below `behind`, in order, as many as an answer takes; those of the state as
        they were after block `height`, if that is still known. What was deleted since is not told, and what was made
        since as it is."""
        found: list[Record] = []
        room = RECORDS_TOLD_BYTES_MAX
        past = height if height is not None and self._chain.oldest_state <= height < self._chain.height else None
        for start, end in _TOLD:
            # What is not told is not read either: there may be millions of such records, and anybody may ask.
            start, end = max(first, start), min(behind, end)
            for key, value in self._store.iterate(b"", start) if start < end else ():
                if key >= end:
                    break
                if past is not None and key.startswith(STATE_PREFIX):
                    value = self._chain.record_at(key[len(STATE_PREFIX) :], past) or value  # it counts in any case
                room -= len(key) + len(value)
                if len(found) == RECORDS_TOLD_MAX or (found and room < 0):
                    return found
                found.append((key, value))
        return found

    # --- here

    def take(self, records: Sequence[Record], wrong: bytes = b"") -> int:
        """Write those of a peer's records that this store cannot read and that are what they must be; count them.

        `wrong` is the key of a record that can be read and is not what it must be.
        """
        taken = 0
        # Headers first: blocks, receipts and certificates are held against them.
        for key, value in sorted(records, key=lambda record: (_order(record[0]), record[0])):
            if key != wrong and self._reads(key):
                continue
            checked = self._checked(key, value)
            if checked is not None:
                self._store.write_batch({key: checked}, sync=True)
                taken += 1
        return taken

    def make(self, first: bytes, behind: bytes, wrong: bytes = b"") -> int:
        """Write what follows from what is here, in a range that cannot be read; count it. `wrong` as in `take`."""
        changes: dict[bytes, bytes | None] = {}
        chain = self._chain
        marks = {
            b"m/format": encode(FORMAT),
            b"m/network": bytes(chain.network_id),
            b"m/height": chain.height.to_bytes(8, "big"),
            b"m/certified": chain.certified_height.to_bytes(8, "big"),
            b"m/oldest-block": chain.oldest_block.to_bytes(8, "big"),
            b"m/oldest-state": chain.oldest_state.to_bytes(8, "big"),
        }
        changes.update((key, value) for key, value in marks.items() if first <= key < behind and not self._reads(key))
        for height in range(chain.height + 1):
            for prefix in (b"x", b"c") if height < chain.certified_height else (b"x",):
                # Without the note the search database is made anew where it would need it; the certificate of a later
                # block vouches for this one too.
                key = prefix + height.to_bytes(8, "big")
                if first <= key < behind and (key == wrong or self._damaged(key)):
                    changes[key] = None
        if chain.oldest_state < chain.height and any(first < prefix + b"\xff" and prefix < behind for prefix in _PAST):
            chain.oldest_state = chain.height
            changes[b"m/oldest-state"] = marks[b"m/height"]
        changes.update(self._entries(first, behind))
        if changes:
            self._store.write_batch(changes, sync=True)
        return len(changes)

    def _entries(self, first: bytes, behind: bytes) -> dict[bytes, bytes | None]:
        """Return the entries of indexes that records call for in a range."""
        found: dict[bytes, bytes | None] = {}
        table = STATE_PREFIX + INDEX
        if behind <= table or first > table + b"\xff":
            return found
        for index in self._chain.registry.indexes:
            cut = len(STATE_PREFIX) + len(index.source.prefix)
            for key, value in self._store.iterate(STATE_PREFIX + index.source.prefix):
                for parts in index.entries(key[cut:], index.source.read(value)):
                    entry = STATE_PREFIX + index.table.key(*parts)
                    if first <= entry < behind and not self._reads(entry):
                        found[entry] = index.value
        return found

    def _reads(self, key: bytes) -> bool:
        """Whether the store has a record there that can be read."""
        try:
            return self._store.get(key) is not None
        except Damage:
            return False

    def _damaged(self, key: bytes) -> bool:
        try:
            self._store.get(key)
        except Damage:
            return True
        return False

    def _checked(self, key: bytes, value: bytes) -> bytes | None:
        """Return what may be written under `key`; None where `value` is not it, or nothing here tells."""
        try:
            if key.startswith(STATE_PREFIX):
                return value if self._is_committed(key[len(STATE_PREFIX) :], value) else None
            if key.startswith(b"t"):
                return value if self._is_place(key[1:], value) else None
            height = int.from_bytes(key[1:], "big")
            if len(key) != 9 or height > self._chain.height:
                return None
            return _CHECKS[key[:1]](self, height, value) if key[:1] in _CHECKS else None
        except (CodecError, LedgerError):
            return None

    def _is_committed(self, key: bytes, value: bytes) -> bool:
        if is_index_key(key):
            return False
        way = self._chain._tree.path(key)
        leaf = hashlib.sha256(key).digest() + value_hash(value)
        return bool(way) and len(leaf) == LEAF_BYTES and way[-1] == leaf

    def _is_place(self, identifier: bytes, value: bytes) -> bool:
        place = decode(value, Location)
        results = self._chain.archive.results(place.height)
        if results is None or not results.swept <= place.index < len(results.receipts):
            return False
        return results.receipts[place.index].id == identifier

    def _header(self, height: int, value: bytes) -> bytes | None:
        chain = self._chain
        if height == chain.height:
            expected: bytes = chain.head_hash
        else:
            successor = chain.header(height + 1)
            if successor is None:
                return None
            expected = successor.parent_hash
        return value if block_hash(decode(value, Header)) == expected else None

    def _block(self, height: int, value: bytes) -> bytes | None:
        block = decode_block(value)
        return value if block.header == self._chain.header(height) and body_matches(block) else None

    def _results(self, height: int, value: bytes) -> bytes | None:
        """Receipts are the chain's. The rest of the record is this node's own: it is made from the block."""
        header, block = self._chain.header(height), self._chain.block(height)
        results = decode(value, BlockResults)
        if header is None or block is None or receipts_root(results.receipts) != header.receipts_root:
            return None
        executed = _executed(block)
        swept = len(results.receipts) - len(executed)
        expire_at_ms = max(
            [decode_transaction(data, self._chain.registry).body.expires_at_ms for data in executed], default=0
        )
        messages = ("",) * len(results.receipts)
        return encode(BlockResults(swept, results.receipts, messages, expire_at_ms))

    def _certificate(self, height: int, value: bytes) -> bytes | None:
        certificate = decode(value, FinalityCertificate)
        if certificate.height != height:
            return None
        self._chain.add_certificate(certificate, sync=True)  # raises where it does not hold
        return value


_CHECKS: Final[dict[bytes, Any]] = {
    b"h": Mending._header,
    b"b": Mending._block,
    b"r": Mending._results,
    b"c": Mending._certificate,
}


def body_matches(block: Block) -> bool:
    """Tell whether a block's batches are those that its header commits to."""
    try:
        return transactions_root([transaction_id(data) for data in _executed(block)], block.batches) == (
            block.header.transactions_root
        )
    except (CodecError, InvalidTransaction, InvalidBlock):
        return False


def _executed(block: Block) -> list[bytes]:
    return [
        data for batch in block.batches for data, mark in zip(batch.transactions, batch.marks, strict=True) if not mark
    ]


def _order(key: bytes) -> int:
    return {b"h": 0, b"b": 1, b"r": 2}.get(key[:1], 3)
