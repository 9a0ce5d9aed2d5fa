"""Replaying a store's chain from the genesis: what is sound passes, and every kind of difference is found and named."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from damage_kit import BLOCKS, grow, make_chain
from ledger_core_kit import VALIDATORS, Kit, make_genesis

from ledger.block import block_hash, decode_block, encode_block
from ledger.checkpoint import copy_store
from ledger.errors import StorageError
from ledger.operations import default_registry
from ledger.state.store import LevelStore, MemoryStore
from ledger.verification import Difference, Verification
from primitives.codec import encode
from primitives.finality import finality_statement


def verification(kit: Kit, **options: Any) -> Verification:
    return Verification(kit.store, MemoryStore(), kit.genesis, registry=default_registry(), **options)


@pytest.fixture
def kit() -> Kit:
    made = Kit(MemoryStore(), make_genesis(), default_registry())
    grow(made, BLOCKS)
    return made


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("signatures_from", [1, 5, 1_000])
def test_a_sound_chain_is_found_so(kit: Kit, workers: int, signatures_from: int) -> None:
    """X2: replay from genesis == live roots."""
    seen: list[tuple[int, int]] = []
    verified = verification(kit, workers=workers, signatures_from=signatures_from).run(
        lambda height, head: seen.append((height, head))
    )
    assert verified.block_hash == kit.chain.head_hash
    assert verified.state_root == kit.chain.head.state_root
    assert (verified.height, verified.blocks, verified.certified_height) == (BLOCKS, BLOCKS, BLOCKS)
    assert (verified.transactions, verified.certificates) == (3 * BLOCKS, BLOCKS)
    assert verified.records == len(list(kit.store.iterate(b"s")))
    assert seen == [(height, BLOCKS) for height in range(1, BLOCKS + 1)]


def test_a_refused_signature_is_replayed_as_refused(kit: Kit) -> None:
    """Whether or not signatures are checked again, the block executes as it did."""
    from ledger.modules.credits.operations import Transfer

    good = kit.transaction(Transfer(kit.accounts[1], 5))
    kit.execute(good[:-1] + bytes([good[-1] ^ 1]))
    assert kit.chain.block(BLOCKS + 1).batches[0].marks == b"\x04"  # type: ignore[union-attr]
    for signatures_from in (1, 1_000):
        assert verification(kit, signatures_from=signatures_from).run().transactions == 3 * BLOCKS


def number(height: int) -> bytes:
    return height.to_bytes(8, "big")


def _change_header(kit: Kit) -> None:
    header = kit.chain.header(5)
    assert header is not None
    kit.store.write_batch({b"h" + number(5): encode(msgspec.structs.replace(header, state_root=bytes(32)))})


def _change_body(kit: Kit) -> None:
    data = kit.chain.encoded_block(5)
    assert data is not None
    block = decode_block(data)
    kit.store.write_batch({b"b" + number(5): encode_block(msgspec.structs.replace(block, batches=block.batches[:0]))})


def _change_results(kit: Kit) -> None:
    results = kit.chain.archive.results(5)
    assert results is not None
    kit.store.write_batch({b"r" + number(5): encode(msgspec.structs.replace(results, receipts=results.receipts[::-1]))})


def _lose_location(kit: Kit) -> None:
    key, _ = next(iter(kit.store.iterate(b"t")))
    kit.store.write_batch({key: None})


def _forge_certificate(kit: Kit) -> None:
    certificate = kit.certificate(5)
    signatures = ((0, bytes(64)), *certificate.signatures[1:])
    kit.store.write_batch({b"c" + number(5): encode(msgspec.structs.replace(certificate, signatures=signatures))})


def _certify_another_block(kit: Kit) -> None:
    other = bytes(32)
    statement = finality_statement(kit.network_id, 0, 5, other, 0)
    signatures = tuple((index, VALIDATORS[index].sign(statement)) for index in range(3))
    forged = msgspec.structs.replace(kit.certificate(5), block_hash=other, signatures=signatures)
    kit.store.write_batch({b"c" + number(5): encode(forged)})


def _claim_certified(kit: Kit) -> None:
    kit.store.write_batch({b"m/certified": number(BLOCKS), b"c" + number(BLOCKS): None})


def _change_state(kit: Kit) -> None:
    key, value = list(kit.store.iterate(b"s"))[10]
    kit.store.write_batch({key: value + b"\x00"})


def _add_state(kit: Kit) -> None:
    kit.store.write_batch({b"szzz/new": b"1"})


def _lose_state(kit: Kit) -> None:
    key, _ = list(kit.store.iterate(b"s"))[-1]
    kit.store.write_batch({key: None})


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_change_header, "verification.header"),
        (_change_body, "verification.header"),
        (_change_results, "verification.results"),
        (_lose_location, "verification.location"),
        (_forge_certificate, "verification.certificate"),
        (_certify_another_block, "verification.certificate"),
        (_claim_certified, "verification.certificate"),
        (_change_state, "verification.state"),
        (_add_state, "verification.state"),
        (_lose_state, "verification.state"),
        (lambda kit: kit.store.write_batch({b"b" + number(5): None}), "verification.block"),
        (lambda kit: kit.store.write_batch({b"h" + number(5): None}), "verification.header"),
    ],
)
def test_every_difference_is_found(kit: Kit, damage: Any, code: str) -> None:
    """X2, D1: what was kept with a sound checksum and is wrong all the same."""
    damage(kit)
    with pytest.raises(Difference) as caught:
        verification(kit).run()
    assert caught.value.code == code


def test_another_genesis_is_refused(kit: Kit) -> None:
    with pytest.raises(StorageError) as caught:
        Verification(kit.store, MemoryStore(), make_genesis(name="other"), registry=default_registry())
    assert caught.value.code == "storage.foreign"


def test_a_copy_taken_while_the_store_is_written_holds_a_beginning_of_the_chain(tmp_path: Path) -> None:
    """X2: beside a running node; whatever the moment, the copy verifies, and the original is not touched."""
    store = LevelStore(tmp_path / "chain")
    kit = Kit(store, make_genesis(), default_registry())
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            grow(kit, 1)

    writer = threading.Thread(target=write)
    writer.start()
    heights = []
    try:
        for turn in range(5):
            copy_store(tmp_path / "chain", tmp_path / f"copy-{turn}")
            copied = LevelStore(tmp_path / f"copy-{turn}")
            verified = Verification(copied, MemoryStore(), kit.genesis, registry=default_registry()).run()
            copied.close()
            heights.append(verified.height)
            header = kit.chain.header(verified.height)
            assert header is not None
            assert block_hash(header) == verified.block_hash
    finally:
        stop.set()
        writer.join()
    assert heights == sorted(heights)
    height = kit.chain.height
    assert heights[-1] > heights[0]
    store.close()
    reopened = Kit(LevelStore(tmp_path / "chain"), kit.genesis, default_registry())
    assert reopened.chain.height == height
    reopened.store.close()


def test_a_copy_of_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "chain").mkdir()
    with pytest.raises(StorageError, match="holds no ledger"):
        copy_store(tmp_path / "chain", tmp_path / "copy")
    with pytest.raises(StorageError, match="absent holds no ledger"):
        copy_store(tmp_path / "absent", tmp_path / "copy")


def test_opening_a_copy_leaves_the_original_as_it_is(tmp_path: Path) -> None:
    """Tables are linked: LevelDB may delete its name of one, and never writes into one."""
    kit = make_chain(tmp_path / "chain")
    LevelStore(tmp_path / "chain").close()  # moves the log into a table
    before = {path.name: path.read_bytes() for path in (tmp_path / "chain").iterdir() if path.is_file()}
    assert any(name.endswith(".ldb") for name in before)
    copy_store(tmp_path / "chain", tmp_path / "copy")
    opened = Kit(LevelStore(tmp_path / "copy"), kit.genesis, default_registry())
    grow(opened, 5)
    opened.store.close()
    assert {path.name: path.read_bytes() for path in (tmp_path / "chain").iterdir() if path.is_file()} == before
