"""What a chain drops behind its head: never too much, all of it, and the disk has the room back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from epochs_kit import Consortium, remove
from epochs_kit import make_genesis as make_consortium
from ledger_core_kit import REGISTRY, START_MS, Kit, Put, make_genesis

from ledger import pruning
from ledger.certificates.export import export
from ledger.certificates.subjects import AccountSubject
from ledger.certificates.verification import verify
from ledger.chain import Chain
from ledger.errors import InvalidProof, LedgerError
from ledger.parameters import LIFETIME_MS_MAX
from ledger.pruning import HISTORY_BLOCKS_MIN, Retention
from ledger.state.proofs import verify_state_proof
from ledger.state.store import LevelStore, MemoryStore, Store
from ledger.transaction import decode_transaction


class PrunedKit(Kit):
    """A kit whose chain keeps little."""

    def __init__(self, store: Store, retention: Retention) -> None:
        super().__init__(store, make_genesis())
        self.retention = retention
        self.reopen()

    def reopen(self) -> None:
        self.chain = Chain.open(self.store, self.genesis, REGISTRY, retention=self.retention)


def tables(store: Store) -> dict[str, list[int]]:
    """Return table -> heights, of the tables that have a height at the end of their keys."""
    found: dict[str, list[int]] = {}
    for key, _ in store.iterate(b""):
        name = key[:1].decode()
        if name in "hbrcxiund":
            found.setdefault(name, []).append(int.from_bytes(key[-8:], "big"))
    return found


def test_the_past_of_the_state_is_a_window() -> None:
    """Records and proofs within it, `proof.pruned` below it, and nothing stored of what is below."""
    kit = PrunedKit(MemoryStore(), Retention(history_blocks=HISTORY_BLOCKS_MIN))
    for number in range(1, 60):
        kit.execute(kit.transaction(Put(b"k", number), Put(b"%d" % number, 1)))
        if number % 17 == 0:
            kit.reopen()
        oldest = kit.chain.oldest_state
        assert oldest == max(0, number - HISTORY_BLOCKS_MIN)
        for height in (oldest, (oldest + number) // 2):
            header = kit.chain.header(height)
            assert header is not None
            expected = height.to_bytes(8, "big") if height else None
            assert kit.chain.record_at(b"toy/k", height) == expected
            verify_state_proof(header.state_root, b"toy/k", expected, kit.chain.prove(b"toy/k", height))
        if oldest:
            with pytest.raises(InvalidProof) as caught:
                kit.chain.prove(b"toy/k", oldest - 1)
            assert caught.value.code == "proof.pruned"
            assert "retention.history_blocks" in str(caught.value), "it says who has it"
    found = tables(kit.store)
    for name in "und":
        assert min(found[name]) == kit.chain.oldest_state + 1
    assert kit.chain.oldest_block == 0, "blocks stay where nobody said otherwise"


def test_a_window_that_was_made_smaller_is_reached_in_small_steps() -> None:
    kit = PrunedKit(MemoryStore(), Retention(history_blocks=0))
    for number in range(100):
        kit.execute(kit.transaction(Put(b"k", number)))
    assert kit.chain.oldest_state == 0
    kit.retention = Retention(history_blocks=20)
    kit.reopen()
    steps = []
    for number in range(100):
        before = kit.chain.oldest_state
        kit.execute(kit.transaction(Put(b"k", number)))
        steps.append(kit.chain.oldest_state - before)
    assert max(steps) == pruning.HEIGHTS_PER_BLOCK
    assert kit.chain.oldest_state == kit.chain.height - 20


def certified(kit: Kit) -> None:
    kit.chain.add_certificate(kit.certificate(kit.chain.height))


def test_blocks_leave_when_they_are_certified_old_and_beyond_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that executed in a block that is gone has long expired; what may come again is known."""
    monkeypatch.setattr(pruning, "BLOCKS_MIN", 10)
    kit = PrunedKit(MemoryStore(), Retention(blocks=10))
    sent: list[bytes] = []
    for number in range(30):
        sent.append(kit.transaction(Put(b"k", number)))
        kit.execute(sent[-1], step_ms=LIFETIME_MS_MAX // 20)
    assert kit.chain.oldest_block == 0, "nothing is certified"
    certified(kit)
    for number in range(40):
        sent.append(kit.transaction(Put(b"k", number)))
        kit.execute(sent[-1], step_ms=LIFETIME_MS_MAX // 20)
        if number % 5 == 0:
            certified(kit)
            kit.reopen()
    oldest = kit.chain.oldest_block
    header = kit.chain.header(oldest + 1)
    assert header is not None
    assert header.timestamp_ms >= kit.chain.head.timestamp_ms - LIFETIME_MS_MAX - LIFETIME_MS_MAX // 20
    assert kit.chain.height - 40 < oldest < kit.chain.height - 20, "the lifetime keeps more than the window asks for"
    found = tables(kit.store)
    assert min(found["b"]) == min(found["r"]) == oldest
    assert sorted(set(range(kit.chain.height)) - set(found["h"])) == list(range(1, oldest))
    assert 0 in found["h"], "the genesis block's header stays"
    for height in range(1, oldest):
        assert kit.chain.block(height) is None
        with pytest.raises(LedgerError) as caught:
            kit.chain.query("blocks.get", {"height": height})
        assert caught.value.code == "block.pruned"
        assert "archive" in str(caught.value), "it says who has it"
    for data in sent[: oldest - 1]:
        assert kit.chain.transaction_status(decode_transaction(data, REGISTRY).id).state == "unknown"
    for data in sent[oldest:]:
        assert kit.chain.transaction_status(decode_transaction(data, REGISTRY).id).state == "executed"
    assert kit.chain.query("blocks.get", {"height": oldest}).height == oldest


def test_pruned_and_whole_chains_reach_the_same_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """X2: what is dropped decides nothing, also not about transactions that come again."""
    monkeypatch.setattr(pruning, "BLOCKS_MIN", 4)
    whole = Kit(genesis=make_genesis())
    pruned = PrunedKit(MemoryStore(), Retention(history_blocks=16, blocks=4))
    rng = random.Random(3)
    sent: list[bytes] = []
    for number in range(120):
        fresh = whole.transaction(Put(b"%d" % rng.randrange(20), number))
        sent.append(fresh)
        whole.execute(fresh, *rng.sample(sent, min(3, len(sent))), step_ms=rng.choice([1, 5_000, 60_000]))
        replayed = pruned.chain.replay(whole.chain.encoded_block(whole.chain.height) or b"")
        assert replayed.block_hash == whole.chain.head_hash
        if rng.random() < 0.3:
            certificate = whole.certificate(whole.chain.height)
            pruned.chain.add_certificate(certificate)
        if rng.random() < 0.1:
            pruned.reopen()
    assert pruned.chain.oldest_block > 20
    assert pruned.chain.head.timestamp_ms > START_MS


def test_a_pruned_chain_still_leads_from_the_genesis_through_every_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """P3: headers and certificates of epoch ends outlive their blocks, so that certificates of the present verify."""
    monkeypatch.setattr(pruning, "BLOCKS_MIN", 4)
    world = Consortium(make_consortium(6))
    pruned = Chain.open(MemoryStore(), world.genesis, retention=Retention(blocks=4))

    def follow() -> None:
        """Take the blocks over, with a certificate of each."""
        for height in range(pruned.height + 1, world.chain.height + 1):
            pruned.replay(world.chain.encoded_block(height) or b"")
            pruned.add_certificate(world.certify(height))

    ends: list[int] = []
    for name in ("v5", "v4"):
        world.approve(remove(name))
        ends.append(world.chain.epoch.end or 0)
        world.turn()
        follow()
    for _ in range(40):
        world.execute(step_ms=LIFETIME_MS_MAX // 10)
        follow()
    assert pruned.oldest_block > max(ends) > 0
    assert pruned.block(ends[0]) is None
    assert [height for height in range(1, pruned.oldest_block) if pruned.header(height)] == ends
    data = export(pruned, AccountSubject(world.accounts["org-0"]))
    assert verify(data, world.network_id).height == pruned.height
    reopened = Chain.open(pruned._store, world.genesis, retention=Retention(blocks=4))
    assert (reopened.head, reopened.oldest_block) == (pruned.head, pruned.oldest_block)


def directory_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir())


def test_pruning_gives_the_disk_its_room_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two equal chains have left on disk: the one that dropped its past and its blocks has a fraction of it."""
    monkeypatch.setattr(pruning, "BLOCKS_MIN", 8)
    monkeypatch.setattr(pruning, "COMPACTED_AFTER", 150)
    sizes = {}
    for name, retention in (
        ("whole", Retention(history_blocks=0)),
        ("pruned", Retention(history_blocks=16, blocks=8)),
    ):
        store = LevelStore(tmp_path / name)
        kit = PrunedKit(store, retention)
        for number in range(200):
            puts = [Put(b"%d/%d" % (number % 3, at), number) for at in range(100)]
            kit.execute(*[kit.transaction(put) for put in puts], step_ms=LIFETIME_MS_MAX // 4)
            certified(kit)
        if name == "whole":
            store.compact_later([(b"", b"\xff")])
        assert store.compacted(timeout_s=60)
        store.close()
        sizes[name] = directory_bytes(tmp_path / name)
        # What is in the log is not in a table yet: opening moves it there.
        LevelStore(tmp_path / name).close()
        sizes[name] = directory_bytes(tmp_path / name)
    assert sizes["whole"] > 4_000_000
    assert sizes["pruned"] < sizes["whole"] / 3, sizes
