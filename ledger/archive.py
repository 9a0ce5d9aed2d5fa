"""What the store holds besides the state: blocks and their results, certificates, and where each transaction executed.

    s + state key           a record of the state                            (ledger/state/records.py)
    h + height (8)          Header
    b + height (8)          Block: header and batches, as peers fetch it
    r + height (8)          BlockResults: receipts, and their messages
    c + height (8)          FinalityCertificate
    t + transaction id      [height, index of the receipt]
    x + height (8)          what the follower of the state noted of the block, where there is one
    i + height (8)          ExecutedIds of a block whose results are not here, within the lifetime of transactions
    v + height (8)          signatures root of such a block, where the chain began with a snapshot
    m/format m/network m/height m/certified m/oldest-block m/oldest-state

Numbers are big endian, so that order of key is order of height. All records of a block go into one batch of the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from ledger.block import Block, BlockResults, Header, Receipt, block_hash, decode_block, encode_block, rest_root
from ledger.errors import Damage, StorageError
from ledger.parameters import LIFETIME_MS_MAX
from ledger.state.store import Store
from ledger.transaction import transaction_id
from primitives.codec import CodecError, decode, encode
from primitives.digest import Digest
from primitives.finality import Bytes32, FinalityCertificate, Natural

FORMAT: Final = 8
"""Raised whenever the layout above or a rule of the ledger changes; a node refuses another format than its own."""

_FORMAT: Final = b"m/format"
_NETWORK: Final = b"m/network"
_HEIGHT: Final = b"m/height"
_CERTIFIED: Final = b"m/certified"
_OLDEST_BLOCK: Final = b"m/oldest-block"
_OLDEST_STATE: Final = b"m/oldest-state"

T = TypeVar("T")
Changes = dict[bytes, bytes | None]


class Location(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a transaction executed."""

    height: Natural
    index: Natural


class ExecutedIds(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What replay protection needs of a block; of blocks that are here it follows from their results."""

    ids: tuple[Bytes32, ...]
    """Of the transactions that executed, in order."""
    expire_at_ms: Natural
    """Block time (Unix ms) until which they are held: not before the last of them has expired."""


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


class Archive:
    """Typed access to the records above."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def check_network(self, network_id: bytes) -> bool:
        """Tell whether the store holds a chain; False when it is new.

        Raises:
            StorageError: `storage.format`, or `storage.foreign` when it holds the chain of another network.
        """
        stored = self._store.get(_FORMAT)
        if stored is None:
            return False
        if stored != encode(FORMAT):
            raise StorageError("storage.format", f"the store has the format {stored.hex()}, this program {FORMAT}")
        network = self._store.get(_NETWORK)
        if network != network_id:
            found = "nothing" if network is None else network.hex()
            raise StorageError(
                "storage.foreign",
                f"the store belongs to the network {found}, the genesis file to {network_id.hex()}",
            )
        return True

    def height(self) -> int:
        return int.from_bytes(self._present(_HEIGHT, self._store.get(_HEIGHT)), "big")

    def certified_height(self) -> int:
        value = self._store.get(_CERTIFIED)
        return 0 if value is None else int.from_bytes(value, "big")

    def oldest_block(self) -> int:
        """Return the lowest height whose body and results are here; everything up to the head is. One above the head
        where there is none."""
        value = self._store.get(_OLDEST_BLOCK)
        return 0 if value is None else int.from_bytes(value, "big")

    def oldest_state(self) -> int:
        """Return the lowest height at which the state can be read and proven."""
        value = self._store.get(_OLDEST_STATE)
        return 0 if value is None else int.from_bytes(value, "big")

    def header(self, height: int) -> Header | None:
        return self._record(b"h" + _number(height), Header)

    def block_hash(self, height: int) -> Digest | None:
        header = self.header(height)
        return None if header is None else block_hash(header)

    def present_header(self, height: int) -> Header:
        """Return the header of a block that must be here.

        Raises:
            StorageError: `storage.damaged`: it is not.
        """
        header = self.header(height)
        if header is None:
            raise _missing(b"h", height, "header")
        return header

    def encoded_block(self, height: int) -> bytes | None:
        return self._store.get(b"b" + _number(height))

    def present_block(self, height: int) -> bytes:
        """Return a block that must be here, encoded; raises as `present_header`."""
        data = self.encoded_block(height)
        if data is None:
            raise _missing(b"b", height, "body")
        return data

    def block(self, height: int) -> Block | None:
        data = self.encoded_block(height)
        return None if data is None else decode_block(data)

    def results(self, height: int) -> BlockResults | None:
        return self._record(b"r" + _number(height), BlockResults)

    def present_results(self, height: int) -> BlockResults:
        """Return the results of a block that must be here; raises as `present_header`."""
        results = self.results(height)
        if results is None:
            raise _missing(b"r", height, "results")
        return results

    def executed_ids(self, height: int) -> ExecutedIds | None:
        """Return the ids that block `height` executed, and until when they are held; None where nothing tells."""
        results = self.results(height)
        if results is None:
            kept = self._record(b"i" + _number(height), ExecutedIds)
            return _ids_of(self.block(height)) if kept is None else kept
        return ExecutedIds(tuple(receipt.id for receipt in results.receipts[results.swept :]), results.expire_at_ms)

    def signatures_root(self, height: int) -> Digest | None:
        """Return what the transactions root of block `height` covers beside the ids; None where nothing tells."""
        block = self.block(height)
        if block is not None:
            return rest_root(block.batches)
        value = self._store.get(b"v" + _number(height))
        return None if value is None else Digest(value)

    def past(self, height: int) -> tuple[Digest, bytes | None] | None:
        """Return a block's hash and what was noted of it; see `ledger.ports.Past`."""
        header = self.header(height)
        return None if header is None else (block_hash(header), self._store.get(b"x" + _number(height)))

    def certificate(self, height: int) -> FinalityCertificate | None:
        return self._record(b"c" + _number(height), FinalityCertificate)

    def location(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Return (height, index of the receipt) of an executed transaction."""
        found = self._record(b"t" + transaction_id, Location)
        return None if found is None else (found.height, found.index)

    def receipt(self, transaction_id: bytes) -> tuple[int, Receipt, str] | None:
        """Return (height, receipt, its message) of an executed transaction.

        Raises:
            StorageError: `storage.damaged`: it is not where it executed.
        """
        location = self.location(transaction_id)
        if location is None:
            return None
        height, index = location
        results = self.present_results(height)
        if index >= len(results.receipts) or results.receipts[index].id != transaction_id:
            key = b"t" + transaction_id
            message = f"transaction {transaction_id.hex()} is not in block {height}, where it executed"
            raise Damage(key, key + b"\x00", message, physical=False)
        return height, results.receipts[index], results.messages[index]

    def removal(self, height: int) -> Changes:
        """Return the deletions that drop block `height`. Of the genesis block and of epochs' last blocks the header and
        the certificate stay, which lead a verifier from one set of validators to the next."""
        number = _number(height)
        changes: Changes = dict.fromkeys((b"b" + number, b"r" + number, b"x" + number, b"i" + number))
        results, header = self.results(height), self.header(height)
        if results is not None:
            changes.update((b"t" + receipt.id, None) for receipt in results.receipts[results.swept :])
        if height > 0 and header is not None and header.epoch_end != height:
            changes.update(dict.fromkeys((b"h" + number, b"c" + number)))
        return changes

    def windows(self, oldest_block: int, oldest_state: int) -> Changes:
        """Return the records that say how far back the chain goes."""
        return {_OLDEST_BLOCK: _number(oldest_block), _OLDEST_STATE: _number(oldest_state)}

    def write_certificate(self, certificate: FinalityCertificate, certified_height: int, *, sync: bool) -> None:
        """Store a certificate. One that was not synced and is lost is made again from votes, or fetched."""
        self._store.write_batch(
            {
                b"c" + _number(certificate.height): encode(certificate),
                _CERTIFIED: _number(certified_height),
            },
            sync=sync,
        )

    def _record(self, key: bytes, expected: type[T]) -> T | None:
        data = self._store.get(key)
        if data is None:
            return None
        try:
            return decode(data, expected)
        except CodecError as error:
            message = f"the record {key.hex()}: {error}"
            raise Damage(key, key + b"\x00", message, physical=False) from error

    @staticmethod
    def _present(key: bytes, value: Any) -> Any:
        if value is None:
            raise StorageError("storage.damaged", f"the record {key.decode()} is missing")
        return value


def _missing(prefix: bytes, height: int, what: str) -> Damage:
    key = prefix + _number(height)
    return Damage(key, key + b"\x00", f"the {what} of block {height} cannot be found", physical=False)


def _ids_of(block: Block | None) -> ExecutedIds | None:
    """Return what a block executed, by its marks. Held for a lifetime at the longest, which is never too short."""
    if block is None:
        return None
    executed = [
        data for batch in block.batches for data, mark in zip(batch.transactions, batch.marks, strict=True) if not mark
    ]
    return ExecutedIds(
        tuple(Digest(transaction_id(data)) for data in executed), block.header.timestamp_ms + LIFETIME_MS_MAX
    )


def founding_records(network_id: bytes) -> Changes:
    """Return what the first batch of a store writes besides the genesis block."""
    return {_FORMAT: encode(FORMAT), _NETWORK: network_id}


def block_records(block: Block, results: BlockResults, note: bytes | None) -> Changes:
    """Return the records of a block, and of what was noted of it, for the batch that also writes its state."""
    height = block.header.height
    number = _number(height)
    changes: Changes = {
        b"h" + number: encode(block.header),
        b"b" + number: encode_block(block),
        b"r" + number: encode(results),
        _HEIGHT: number,
    }
    if note is not None:
        changes[b"x" + number] = note
    changes.update(location_records(height, results))
    return changes


def location_records(height: int, results: BlockResults) -> dict[bytes, bytes]:
    """Return the records that say where the transactions of a block executed."""
    return {
        b"t" + results.receipts[index].id: encode((height, index))  # a Location
        for index in range(results.swept, len(results.receipts))
    }


def ended_epoch_records(header: Header, certificate: FinalityCertificate) -> Changes:
    """Return what a chain that began with a snapshot has of the last block of an earlier epoch."""
    number = _number(header.height)
    return {b"h" + number: encode(header), b"c" + number: encode(certificate)}


def bodiless_records(header: Header, ids: Sequence[bytes], expire_at_ms: int, signatures_root: bytes) -> Changes:
    """Return what a chain that began with a snapshot has of a block not long before it."""
    number = _number(header.height)
    return {
        b"h" + number: encode(header),
        b"i" + number: encode((ids, expire_at_ms)),  # ExecutedIds
        b"v" + number: signatures_root,
    }


def snapshot_records(network_id: bytes, header: Header, certificate: FinalityCertificate) -> Changes:
    """Return what makes a store that holds the state at `header`, and blocks before it as above, a chain with that
    head: to be written last."""
    number = _number(header.height)
    return founding_records(network_id) | {
        b"c" + number: encode(certificate),
        _HEIGHT: number,
        _CERTIFIED: number,
        _OLDEST_BLOCK: _number(header.height + 1),
        _OLDEST_STATE: number,
    }
