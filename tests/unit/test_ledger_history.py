"""Reads and proofs of a chain's past heights, through restarts, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledger_core_kit import REGISTRY, Kit, Put
from snapshot_kit import make_toy

from ledger.chain import Chain
from ledger.errors import InvalidProof, StorageError
from ledger.state.batch_proofs import verify_batch_proof
from ledger.state.proofs import verify_state_proof
from ledger.state.store import LevelStore
from ledger.state.tree import StateTree

ABSENT = b"toy/never"


def value(number: int) -> bytes:
    return number.to_bytes(8, "big")


def refusal(chain: Chain, key: bytes, height: int) -> str:
    codes = set()
    for ask in (
        lambda: chain.prove(key, height),
        lambda: chain.prove_many([key], height),
        lambda: chain.record_at(key, height),
    ):
        with pytest.raises(InvalidProof) as caught:
            ask()
        codes.add(caught.value.code)
    return codes.pop() if len(codes) == 1 else str(codes)


def test_every_height_is_proven_under_its_own_header_after_a_restart(tmp_path: Path) -> None:
    """P1, P2: a record changes in every block, another comes in the middle; both are proven at each height."""
    store = LevelStore(tmp_path / "db")
    kit = Kit(store)
    for number in range(1, 21):
        kit.execute(kit.transaction(Put(b"k", number)), *([kit.transaction(Put(b"late", 7))] if number == 10 else []))
    store.close()
    chain = Chain.open(LevelStore(tmp_path / "db"), kit.genesis, REGISTRY)
    for height in range(21):
        header = chain.header(height)
        assert header is not None
        records = {
            b"toy/k": value(height) if height else None,
            b"toy/late": value(7) if height >= 10 else None,
            ABSENT: None,
        }
        for key, expected in records.items():
            assert chain.record_at(key, height) == expected
            verify_state_proof(header.state_root, key, expected, chain.prove(key, height))
        verify_batch_proof(header.state_root, records, chain.prove_many(list(records), height))
    chain._store.close()


def test_what_is_not_there_cannot_be_proven() -> None:
    kit = Kit()
    kit.execute(kit.transaction(Put(b"k", 1)))
    kit.execute()
    assert refusal(kit.chain, b"toy/k", 3) == "proof.future"
    assert refusal(kit.chain, b"~toy/k", 1) == "proof.index"
    kit.chain.oldest_state = 1
    assert refusal(kit.chain, b"toy/k", 0) == "proof.pruned"
    assert kit.chain.record_at(b"toy/k", 1) == value(1)


def test_a_lost_entry_of_the_past_is_damage() -> None:
    """D1: a record as it was is not answered from what is left."""
    kit = Kit()
    kit.execute(kit.transaction(Put(b"k", 1)))
    kit.execute(kit.transaction(Put(b"k", 2)))
    for key, _ in list(kit.store.iterate(b"u")):
        kit.store.write_batch({key: None})
    with pytest.raises(StorageError) as caught:
        kit.chain.prove(b"toy/k", 1)
    assert caught.value.code == "storage.damaged"


def test_a_proof_of_many_records_builds_each_small_subtree_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """D2, P4: records that were made to lie together cost a proof of many of them no more than of one."""
    kit = make_toy(300)
    height = kit.chain.height
    kit.execute(kit.transaction(Put(b"key-0", 10**6)))
    places: list[str] = []
    leaves = StateTree.leaves

    def counted(tree: StateTree, place: str) -> Any:
        places.append(place)
        return leaves(tree, place)

    monkeypatch.setattr(StateTree, "leaves", counted)
    keys = [b"toy/key-%d" % number for number in range(300)]
    proof = kit.chain.prove_many(keys, height)
    records = {key: kit.chain.record_at(key, height) for key in keys}
    verify_batch_proof(kit.chain.archive.present_header(height).state_root, records, proof)
    assert len(places) == len(set(places)) > 50
