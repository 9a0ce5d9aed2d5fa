"""A chain that began with a snapshot is the chain that the snapshot was taken of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium
from ledger_core_kit import REGISTRY, START_MS, Kit, Put, certify
from snapshot_kit import Newcomer, head_certificate, make_epochs, make_toy, take

from ledger import epochs
from ledger.errors import StorageError
from ledger.operations import default_registry
from ledger.parameters import LIFETIME_MS_MAX
from ledger.snapshot.format import CHUNK_BYTES_TARGET, InvalidSnapshot
from ledger.snapshot.shelf import SnapshotShelf
from ledger.state.proofs import verify_state_proof
from ledger.transaction import decode_transaction


def test_a_restored_chain_is_the_original(tmp_path: Path) -> None:
    """Root, records, queries and proofs are the same, and the same blocks lead to the same hashes from there on."""
    kit = make_toy()
    shelf = SnapshotShelf(tmp_path / "source")
    height = take(kit.chain, kit.store, head_certificate(kit.chain), shelf)
    newcomer = Newcomer(kit.genesis, tmp_path / "new", REGISTRY)
    assert newcomer.fetch(shelf, height)[0] == "manifest"
    chain = newcomer.open()
    assert (chain.height, chain.head_hash, chain.certified_height) == (height, kit.chain.head_hash, height)
    assert (chain.oldest_block, chain.oldest_state) == (height + 1, height)
    assert chain.certificate(height) == kit.chain.certificate(height)
    assert list(newcomer.store.iterate(b"s")) == list(kit.store.iterate(b"s"))
    proof = chain.prove(b"toy/key-7")
    verify_state_proof(kit.chain.head.state_root, b"toy/key-7", (7).to_bytes(8, "big"), proof)
    for number in range(3):
        block = kit.execute(kit.transaction(Put(b"key-%d" % number, 100)))
        data = kit.chain.encoded_block(block.header.height)
        assert data is not None
        assert chain.replay(data, block.block_hash).block_hash == block.block_hash


def test_indexes_are_made_from_the_records_and_not_sent(tmp_path: Path) -> None:
    """ADR 010: the tree does not commit to them, so no peer is asked."""
    world = make_epochs()
    shelf = SnapshotShelf(tmp_path / "source")
    height = take(world.chain, world.store, head_certificate(world.chain), shelf)
    newcomer = Newcomer(world.genesis, tmp_path / "new", default_registry())
    newcomer.fetch(shelf, height)
    newcomer.open()  # audits them
    everything = list(world.store.iterate(b"s"))
    assert list(newcomer.store.iterate(b"s")) == everything
    assert any(key.startswith(b"s~") for key, _ in everything)
    sent = b"".join(path.read_bytes() for path in (tmp_path / "source" / str(height)).glob("chunk-*"))
    assert b"~" + next(key for key, _ in everything if key.startswith(b"s~"))[2:] not in sent


def test_it_is_checked_across_changes_of_the_validators(tmp_path: Path) -> None:
    """G3: hand-offs lead from the genesis set to the one that signed, and the restored chain can show them on."""
    world = make_epochs()
    shelf = SnapshotShelf(tmp_path / "source")
    height = take(world.chain, world.store, head_certificate(world.chain), shelf)
    newcomer = Newcomer(world.genesis, tmp_path / "new", default_registry())
    assert newcomer.fetch(shelf, height)[:2] == ["manifest", "handoffs-0"]
    chain = newcomer.open()
    view = chain.view()
    for epoch in range(2):
        end = epochs.last_height(view, epoch)
        assert end is not None
        assert chain.certificate(end) == world.chain.certificate(end)
        assert chain.header(end) == world.chain.header(end)
    # The next epoch begins there as everywhere.
    follow(world, chain, 3)
    again = SnapshotShelf(tmp_path / "again")
    chain.add_certificate(world.certify(chain.height))
    take(chain, newcomer.store, world.certify(chain.height), again)


def follow(world: Consortium, chain: Any, blocks: int) -> None:
    for _ in range(blocks):
        block = world.execute()
        data = world.chain.encoded_block(block.header.height)
        assert data is not None
        chain.replay(data, block.block_hash)


def test_what_executed_before_the_snapshot_is_refused_after(tmp_path: Path) -> None:
    """A7: replay protection crosses the snapshot: the ids are proven by the headers of the blocks."""
    kit = Kit()
    early = kit.transaction(Put(b"early", 1), expires_at_ms=START_MS + 60_000)
    late = kit.transaction(Put(b"late", 1), expires_at_ms=START_MS + 100_000)
    kit.execute(early)
    kit.execute(late, step_ms=50_000)
    kit.chain.add_certificate(certify(kit.chain, 2))
    shelf = SnapshotShelf(tmp_path / "source")
    take(kit.chain, kit.store, head_certificate(kit.chain), shelf)
    newcomer = Newcomer(kit.genesis, tmp_path / "new", REGISTRY)
    newcomer.fetch(shelf, 2)
    chain = newcomer.open()
    for data in (early, late):
        refusal = chain.admission_error(decode_transaction(data, REGISTRY), kit.now_ms)
        assert refusal is not None
        assert refusal.code == "transaction.duplicate"
    block = kit.execute(early, late, step_ms=1_000)  # both marked, here and there
    data = kit.chain.encoded_block(3)
    assert data is not None
    assert chain.replay(data, block.block_hash).transactions_executed == 0
    kit.chain = chain  # and long after, when the first has expired, a restart needs less and says the same
    kit.execute(late, step_ms=30_000)
    assert chain.head.height == 4


def test_history_ends_where_nobody_needs_more(tmp_path: Path) -> None:
    """A lifetime of blocks, and those whose hashes handlers may ask for; not the chain from its beginning."""
    kit = Kit()
    for _ in range(300):
        kit.execute(kit.transaction(Put(b"a", 1)), step_ms=LIFETIME_MS_MAX // 20)
    kit.chain.add_certificate(certify(kit.chain, 300))
    shelf = SnapshotShelf(tmp_path / "source")
    take(kit.chain, kit.store, head_certificate(kit.chain), shelf)
    newcomer = Newcomer(kit.genesis, tmp_path / "new", REGISTRY)
    newcomer.fetch(shelf, 300)
    chain = newcomer.open()
    assert chain.header(300 - 256) is not None
    assert chain.header(300 - 257) is None


def test_a_restored_chain_can_be_taken_a_snapshot_of(tmp_path: Path) -> None:
    """Without the bodies, within the lifetime of transactions, byte for byte."""
    kit = make_toy()
    shelf = SnapshotShelf(tmp_path / "source")
    height = take(kit.chain, kit.store, head_certificate(kit.chain), shelf)
    newcomer = Newcomer(kit.genesis, tmp_path / "new", REGISTRY)
    names = newcomer.fetch(shelf, height)
    chain = newcomer.open()
    again = SnapshotShelf(tmp_path / "again")
    take(chain, newcomer.store, head_certificate(chain), again)
    assert [again.read(height, name) for name in names] == [shelf.read(height, name) for name in names]


def test_a_large_state_is_cut_and_keys_that_collide_are_cut_deeper(tmp_path: Path) -> None:
    kit = make_toy(1_500, pad=3_000)
    shelf = SnapshotShelf(tmp_path / "source")
    height = take(kit.chain, kit.store, head_certificate(kit.chain), shelf)
    manifest = shelf.manifest(height)
    assert manifest is not None
    assert {len(subtree.prefix) for subtree in manifest.subtrees} == {1}
    sizes = [path.stat().st_size for path in (tmp_path / "source" / str(height)).glob("chunk-*")]
    assert max(sizes) <= CHUNK_BYTES_TARGET + 64
    newcomer = Newcomer(kit.genesis, tmp_path / "new", REGISTRY)
    newcomer.fetch(shelf, height)
    assert newcomer.open().head_hash == kit.chain.head_hash


def test_a_store_that_lost_a_record_makes_no_snapshot(tmp_path: Path) -> None:
    """D1: what would be handed on is checked against the header first."""
    kit = make_toy()
    kit.store.write_batch({b"stoy/key-7": None})
    shelf = SnapshotShelf(tmp_path)
    with pytest.raises(StorageError, match="do not make its state root"):
        take(kit.chain, kit.store, head_certificate(kit.chain), shelf)
    assert shelf.entries() == []


def test_an_uncertified_end_of_an_epoch_makes_no_snapshot(tmp_path: Path) -> None:
    world = make_epochs()
    end = epochs.last_height(world.chain.view(), 0)
    assert end is not None
    world.store.write_batch({b"c" + end.to_bytes(8, "big"): None})
    with pytest.raises(InvalidSnapshot, match="not certified here"):
        take(world.chain, world.store, head_certificate(world.chain), SnapshotShelf(tmp_path))
