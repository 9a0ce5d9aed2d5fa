"""The state's past against a model that keeps every height whole: records, proofs of each kind, and what is dropped."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_state_tree_properties import naive_root

from ledger.errors import InvalidProof, StorageError
from ledger.state import history
from ledger.state.batch_proofs import BatchProof, prove_batch, verify_batch_proof
from ledger.state.history import StateHistory
from ledger.state.proofs import StateProof, proof_along, verify_state_proof
from ledger.state.records import STATE_PREFIX, StateRecords
from ledger.state.store import MemoryStore
from ledger.state.tree import StateTree
from tests.thoroughness import tries

KEYS = [b"key/%d" % number for number in range(60)]
CHANGES = st.dictionaries(st.sampled_from(KEYS), st.none() | st.binary(max_size=6), max_size=25)


class World:
    """A state with a past, and the whole state of every height beside it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.states: list[dict[bytes, bytes]] = [{}]
        self.roots = [StateTree().root]
        self.open()

    @property
    def height(self) -> int:
        return len(self.states) - 1

    def open(self) -> None:
        """As after a restart: everything in memory is made anew."""
        cut = len(STATE_PREFIX)
        records = [(key[cut:], value) for key, value in self.store.iterate(STATE_PREFIX)]
        self.tree = StateTree.build(records)
        self.state = StateRecords(self.store, self.tree)
        self.history = StateHistory(self.store, self.tree, self.state, len(records), self.height)

    def block(self, changes: Mapping[bytes, bytes | None]) -> None:
        pending = self.tree.update(changes)
        undo = self.history.undo(self.height + 1, changes, pending)
        self.store.write_batch(undo.entries | {STATE_PREFIX + key: value for key, value in changes.items()})
        self.tree.commit(pending)
        self.history.commit(undo)
        self.state.written(changes)
        after = self.states[-1] | changes
        self.states.append({key: value for key, value in after.items() if value is not None})
        self.roots.append(self.tree.root)

    def forget(self, height: int) -> None:
        self.store.write_batch(self.history.forget(height))

    def way(self, key: bytes, height: int) -> list[bytes]:
        if height == self.height:
            return self.tree.path(key)
        return self.history.path_at(key, height, self.roots[height], {})

    def check(self, key: bytes, height: int) -> None:
        value = self.states[height].get(key)
        if height < self.height:
            assert self.history.record_at(key, height) == value
        proof = proof_along(self.way(key, height), key)
        verify_state_proof(self.roots[height], key, value, proof)
        naive = StateTree.build(self.states[height].items())
        assert proof == proof_along(naive.path(key), key), "the proof is the one that the height itself would give"

    def batch(self, keys: list[bytes], height: int) -> BatchProof:
        known: dict[str, bytes] = {}
        if height == self.height:
            return prove_batch(keys, self.tree.path)
        return prove_batch(keys, lambda key: self.history.path_at(key, height, self.roots[height], known))


@pytest.mark.parametrize("levels", [0, 1, 3])
@given(st.lists(st.tuples(CHANGES, st.booleans()), min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=tries(30), deadline=None)
def test_every_height_of_the_past_is_proven_as_it_was(
    levels: int, blocks: list[tuple[dict[bytes, bytes | None], bool]], rng: random.Random
) -> None:
    """P1, P2: records present, absent, deleted and put back, through restarts, whatever levels of nodes are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "DEPTH_MIN", levels)
        patch.setattr(history, "SUBTREE_RECORDS_MAX", 8)  # so that a level more is kept on the way
        world = World()
        for changes, restart in blocks:
            world.block(changes)
            if restart:
                world.open()
        for height, state in enumerate(world.states):
            assert world.roots[height] == naive_root(state)
            for key in rng.sample(KEYS, 6):
                world.check(key, height)
            keys = rng.sample(KEYS, rng.randint(1, 12))
            proof = BatchProof.decode(world.batch(keys, height).encode())
            verify_batch_proof(world.roots[height], {key: state.get(key) for key in keys}, proof)


@pytest.mark.parametrize("seed", range(4))
def test_a_large_state_that_grows_and_shrinks_keeps_its_past(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """P1, P2: subtrees that come, go, and move up under the levels that are kept."""
    monkeypatch.setattr(history, "DEPTH_MIN", 2)
    monkeypatch.setattr(history, "SUBTREE_RECORDS_MAX", 1)
    rng = random.Random(seed)
    world = World()
    keys = [b"large/%d" % number for number in range(3_000)]
    for height in range(1, 25):
        count = rng.choice([1, 5, 400, 2_500])
        deletes = rng.random() < 0.4
        chosen = [keys[0], *rng.sample(keys, count)]
        world.block({key: None if deletes and rng.random() < 0.95 else rng.randbytes(4) for key in chosen})
        if height % 7 == 0:
            world.open()
    assert world.history._depth > history.DEPTH_MIN
    for height in range(len(world.states)):
        for key in [keys[0], *rng.sample(keys, 4)]:
            world.check(key, height)


def test_a_record_that_changes_in_every_block_is_found_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of one record are passed over by seeking, and what lies behind them is not missed."""
    monkeypatch.setattr(history, "ENTRIES_PASSED_MAX", 3)
    monkeypatch.setattr(history, "DEPTH_MIN", 0)
    world = World()
    world.block(dict.fromkeys(KEYS, b"first"))
    for height in range(2, 40):
        world.block({KEYS[0]: b"%d" % height, KEYS[height]: None, KEYS[1]: b"x%d" % height})
    for height in range(40):
        for key in (KEYS[0], KEYS[1], KEYS[20], KEYS[39], KEYS[59]):
            world.check(key, height)


@pytest.mark.parametrize("seed", range(3))
def test_forgetting_a_height_leaves_all_later_ones_and_nothing_of_its_own(seed: int) -> None:
    rng = random.Random(seed)
    world = World()
    for _ in range(15):
        world.block({key: rng.choice([None, rng.randbytes(3)]) for key in rng.sample(KEYS, 20)})
    for forgotten in range(1, 16):
        world.forget(forgotten)
        for height in range(forgotten, world.height):
            world.check(rng.choice(KEYS), height)
        if forgotten > 1:
            with pytest.raises(StorageError):
                world.way(KEYS[0], forgotten - 1)
    left = {key[:1] for key, _ in world.store.iterate(b"")}
    assert left <= {STATE_PREFIX}


def test_a_past_that_was_tampered_with_is_never_proven() -> None:
    """D1: a lost or changed entry of the past is damage, not another past."""
    rng = random.Random(5)
    for _ in range(40):
        world = World()
        for _ in range(4):
            world.block({key: rng.choice([None, rng.randbytes(3)]) for key in rng.sample(KEYS, 30)})
        entries = [key for key, _ in world.store.iterate(b"") if key[:1] in (b"u", b"n", b"d")]
        target = rng.choice(entries)
        before = world.store.get(target)
        assert before is not None
        world.store.write_batch({target: rng.choice([None, before + b"\x00", b"\x01forged"])})
        for height in range(world.height):
            for key in KEYS:
                try:
                    proof = proof_along(world.way(key, height), key)
                except StorageError as error:
                    if error.code != "storage.damaged":
                        raise
                    continue
                except (InvalidProof, IndexError) as error:
                    pytest.fail(f"{type(error).__name__} instead of damage: {error}")
                verify_state_proof(world.roots[height], key, world.states[height].get(key), proof)


# --- batch proofs


@given(st.dictionaries(st.sampled_from(KEYS), st.binary(max_size=4), max_size=40), st.data())
@settings(max_examples=100, deadline=None)
def test_one_proof_for_many_keys_holds_for_exactly_their_values(state: dict[bytes, bytes], data: st.DataObject) -> None:
    """P2: inclusion and absence mixed; any other value, a key more or a key less is refused."""
    tree = StateTree.build(state.items())
    keys = data.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=30, unique=True))
    proof = prove_batch(keys, tree.path)
    assert proof == prove_batch(keys[::-1], tree.path), "the order of the keys does not matter"
    records = {key: state.get(key) for key in keys}
    verify_batch_proof(tree.root, records, proof)
    for key in keys:
        for wrong in {None, b"", b"other"} - {records[key]}:
            with pytest.raises(InvalidProof):
                verify_batch_proof(tree.root, records | {key: wrong}, proof)
    with pytest.raises(InvalidProof):
        verify_batch_proof(bytes(32), records, proof)


@given(st.dictionaries(st.sampled_from(KEYS), st.binary(max_size=4), min_size=1, max_size=30), st.data())
@settings(max_examples=40, deadline=None)
def test_no_changed_byte_of_a_batch_proof_goes_unnoticed(state: dict[bytes, bytes], data: st.DataObject) -> None:
    """P1: flipped, dropped, added and swapped bytes are refused, at every position."""
    tree = StateTree.build(state.items())
    keys = data.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True))
    records = {key: state.get(key) for key in keys}
    encoded = prove_batch(keys, tree.path).encode()
    size = len(encoded)
    mutants = {encoded[:at] + bytes([encoded[at] ^ 1 << at % 8]) + encoded[at + 1 :] for at in range(size)}
    mutants |= {encoded[:at] + encoded[at + 1 :] for at in range(size)}
    mutants |= {encoded[:at] + b"\x00" + encoded[at:] for at in range(size + 1)}
    mutants |= {
        encoded[:at] + encoded[at + 1 : at + 2] + encoded[at : at + 1] + encoded[at + 2 :] for at in range(size - 1)
    }
    for mutant in mutants - {encoded}:
        with pytest.raises(InvalidProof):
            verify_batch_proof(tree.root, records, BatchProof.decode(mutant))


@given(st.dictionaries(st.sampled_from(KEYS), st.binary(max_size=4), min_size=20, max_size=40))
@settings(max_examples=30, deadline=None)
def test_a_batch_proof_is_never_larger_than_the_single_ones(state: dict[bytes, bytes]) -> None:
    tree = StateTree.build(state.items())
    keys = KEYS[:20]
    singles = [StateProof.encode(proof_along(tree.path(key), key)) for key in keys]
    assert len(prove_batch(keys, tree.path).encode()) < sum(map(len, singles)) / 2


@pytest.mark.parametrize("keys", [[], [b"a", b"a"], [b"%d" % number for number in range(1_001)]])
def test_keys_that_a_proof_cannot_be_for_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(InvalidProof) as caught:
        prove_batch(keys, StateTree().path)
    assert caught.value.code == "proof.keys"
