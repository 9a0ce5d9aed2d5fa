"""Reading everything that a chain has kept, a little at a time, and holding it against what else is known.

That a record has the bytes that were written shows at every read. Here it is also looked whether these are the right
ones: records of the state against the tree, blocks and receipts against their headers, headers against each other,
certificates against the validators' keys, and whether what must be there is there.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from ledger.block import Header, block_hash, decode_block, receipts_root
from ledger.chain import Chain
from ledger.errors import Damage, InvalidBlock
from ledger.mending import body_matches
from ledger.state.indexes import is_index_key
from ledger.state.nodes import value_hash
from ledger.state.records import STATE_PREFIX
from ledger.state.store import Store
from primitives.codec import CodecError, decode
from primitives.finality import FinalityCertificate, verify_certificate

STEP_RECORDS_MAX: Final = 256
"""Records of one step; with `STEP_BYTES_MAX` it keeps the chain's owner for a few milliseconds at most."""
STEP_BYTES_MAX: Final = 128 * 1024


class ScrubStep(msgspec.Struct, frozen=True):
    """What a step read, and where the next one begins."""

    cursor: bytes
    """Empty when everything has been read."""
    records: int
    size_bytes: int


class Scrubbing:
    """Steps over one chain's store. Belongs to the chain's owner."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._store: Store = chain._store

    def step(self, cursor: bytes) -> ScrubStep:
        """Read on from `cursor`.

        Raises:
            Damage: what is there cannot be read, or is not what it must be. StorageError: another failure.
        """
        records = size_bytes = 0
        for key, value in self._store.iterate(b"", cursor):
            self._check(key, value)
            records += 1
            size_bytes += len(key) + len(value)
            if records >= STEP_RECORDS_MAX or size_bytes >= STEP_BYTES_MAX:
                return ScrubStep(key + b"\x00", records, size_bytes)
        return ScrubStep(b"", records, size_bytes)

    def _check(self, key: bytes, value: bytes) -> None:
        kind = key[:1]
        if kind == STATE_PREFIX:
            self._check_state(key, value)
        elif kind in (b"h", b"b", b"r", b"c") and len(key) == 9:
            height = int.from_bytes(key[1:], "big")
            header = self._chain.header(height)
            if header is None:
                raise _wrong(b"h" + key[1:], f"the header of block {height} is missing")
            self._check_link(height, header, b"h" + key[1:])
            if kind == b"h":
                self._check_presence(height, key)
            elif kind == b"b":
                self._check_block(height, header, key, value)
            elif kind == b"r":
                self._check_results(height, header, key)
            else:
                self._check_certificate(header, key, value)

    def _check_state(self, key: bytes, value: bytes) -> None:
        state_key = key[len(STATE_PREFIX) :]
        if is_index_key(state_key):
            return  # the audit of every start adds these up
        way = self._chain._tree.path(state_key)
        if not way or way[-1] != hashlib.sha256(state_key).digest() + value_hash(value):
            raise _wrong(key, f"the state's record {state_key.hex()} is not the one that the tree commits to")

    def _check_link(self, height: int, header: Header, key: bytes) -> None:
        chain = self._chain
        successor = chain.header(height + 1)
        expected = chain.head_hash if height == chain.height else None if successor is None else successor.parent_hash
        if expected is not None and block_hash(header) != expected:
            raise _wrong(key, f"the header of block {height} is not the one that its successor names")

    def _check_presence(self, height: int, key: bytes) -> None:
        """Look whether all of a block is there, and the header of the next one."""
        if height < self._chain.oldest_block:
            return
        for prefix, what in ((b"b", "body"), (b"r", "receipts")):
            if self._store.get(prefix + key[1:]) is None:
                raise _wrong(prefix + key[1:], f"the {what} of block {height} are missing")
        if height < self._chain.height and self._chain.header(height + 1) is None:
            following = (height + 1).to_bytes(8, "big")
            raise _wrong(b"h" + following, f"the header of block {height + 1} is missing")

    def _check_block(self, height: int, header: Header, key: bytes, value: bytes) -> None:
        try:
            block = decode_block(value)
        except InvalidBlock as error:
            raise _wrong(key, f"block {height}: {error}") from error
        if block.header != header or not body_matches(block):
            raise _wrong(key, f"the body of block {height} is not the one that its header commits to")

    def _check_results(self, height: int, header: Header, key: bytes) -> None:
        results = self._chain.archive.results(height)
        if results is None or receipts_root(results.receipts) != header.receipts_root:
            raise _wrong(key, f"the receipts of block {height} are not those that its header commits to")
        for index in range(results.swept, len(results.receipts)):
            identifier = results.receipts[index].id
            if self._chain.archive.location(identifier) != (height, index):
                raise _wrong(b"t" + identifier, f"transaction {identifier.hex()} is not found where it executed")

    def _check_certificate(self, header: Header, key: bytes, value: bytes) -> None:
        chain = self._chain
        keys = [validator.signing_key for validator in chain.validators(header.epoch)]
        try:
            certificate = decode(value, FinalityCertificate)
            if certificate.block_hash != block_hash(header):
                raise InvalidBlock("certificate.block", "it is for another block")
            reason = verify_certificate(chain.network_id, keys, certificate) if keys else None
        except (CodecError, InvalidBlock) as error:
            reason = str(error)
        if reason is not None:
            raise _wrong(key, f"the certificate of block {header.height}: {reason}")


def _wrong(key: bytes, what: str) -> Damage:
    return Damage(key, key + b"\x00", what, physical=False)
