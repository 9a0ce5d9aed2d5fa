"""The state tree against a naive model that rebuilds everything from the definition, and its proofs under mutation."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import InvalidProof
from ledger.state.proofs import StateProof, prove, verify_state_proof
from ledger.state.tree import EMPTY_ROOT, StateTree
from primitives.digest import domain

KEYS = st.integers(0, 60).map(lambda number: b"key/%d" % number)
VALUES = st.binary(max_size=8)
STATES = st.dictionaries(KEYS, VALUES, max_size=60)
BATCH = st.dictionaries(KEYS, st.none() | VALUES, max_size=20)


def naive_root(state: dict[bytes, bytes]) -> bytes:
    """The root by the definition alone: recursion over the full set of (path, leaf), sharing nothing with the tree."""

    def tagged(tag: str, data: bytes) -> bytes:
        return hashlib.sha256(domain(tag) + data).digest()

    def node(leaves: list[bytes], depth: int) -> bytes:
        if len(leaves) == 1:
            return tagged("state-leaf", leaves[0])
        groups: list[list[bytes]] = [[] for _ in range(16)]
        for leaf in leaves:
            groups[leaf[depth // 2] >> (0 if depth % 2 else 4) & 15].append(leaf)
        bitmap = sum(1 << index for index, group in enumerate(groups) if group)
        return tagged(
            "state-branch", bitmap.to_bytes(2, "big") + b"".join(node(group, depth + 1) for group in groups if group)
        )

    leaves = [hashlib.sha256(key).digest() + tagged("state-value", value) for key, value in state.items()]
    return tagged("state-root", node(leaves, 0) if leaves else b"")


@given(STATES, st.lists(st.tuples(BATCH, st.booleans()), max_size=10))
@settings(max_examples=200, deadline=None)
def test_updates_and_deletions_give_the_root_of_a_full_rebuild(
    state: dict[bytes, bytes], batches: list[tuple[dict[bytes, bytes | None], bool]]
) -> None:
    """I9: after any batch the root is that of the resulting records; one that is given up leaves no trace."""
    tree = StateTree.build(state.items())
    state = dict(state)
    for batch, kept in batches:
        before = tree.root, [tree.path(b"key/%d" % number) for number in range(61)]
        pending = tree.update(batch)
        assert (tree.root, [tree.path(b"key/%d" % number) for number in range(61)]) == before
        if not kept:
            continue
        tree.commit(pending)
        for key, value in batch.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        assert tree.root == naive_root(state)
        assert len(tree) == len(state)


@given(STATES, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_root_does_not_depend_on_the_order_of_insertion(state: dict[bytes, bytes], rng: random.Random) -> None:
    items = list(state.items())
    rng.shuffle(items)
    one_by_one = StateTree()
    for key, value in items:
        one_by_one.commit(one_by_one.update({key: value}))
    extra = {b"gone/%d" % number: b"x" for number in range(10)}
    detour = StateTree.build([*extra.items(), *items])
    detour.commit(detour.update(dict.fromkeys(extra)))
    assert one_by_one.root == detour.root == StateTree.build(items).root


@given(STATES)
@settings(max_examples=100, deadline=None)
def test_honest_proofs_of_presence_and_absence_verify_and_their_opposites_do_not(state: dict[bytes, bytes]) -> None:
    """I12, P2: a proof of absence for a present key, and the reverse, is refused."""
    tree = StateTree.build(state.items())
    for number in range(61):
        key = b"key/%d" % number
        value = state.get(key)
        proof = StateProof.decode(prove(tree, key).encode())
        verify_state_proof(tree.root, key, value, proof)
        for wrong in {None, b"", b"other", b"12345678"} - {value}:
            with pytest.raises(InvalidProof):
                verify_state_proof(tree.root, key, wrong, proof)
        with pytest.raises(InvalidProof):
            verify_state_proof(bytes(32), key, value, proof)


@given(STATES.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
def test_no_changed_byte_of_a_proof_goes_unnoticed(state: dict[bytes, bytes], data: st.DataObject) -> None:
    """P1: flipped, dropped, added and swapped bytes are refused, at every position."""
    tree = StateTree.build(state.items())
    key = data.draw(KEYS)
    value = state.get(key)
    encoded = prove(tree, key).encode()
    mutants = [
        encoded[:index] + bytes([encoded[index] ^ 1 << index % 8]) + encoded[index + 1 :]
        for index in range(len(encoded))
    ]
    mutants += [encoded[:index] + encoded[index + 1 :] for index in range(len(encoded))]
    mutants += [encoded[:index] + b"\x00" + encoded[index:] for index in range(len(encoded) + 1)]
    mutants += [
        encoded[:index] + encoded[index + 1 : index + 2] + encoded[index : index + 1] + encoded[index + 2 :]
        for index in range(len(encoded) - 1)
    ]
    for mutant in mutants:
        if mutant == encoded:
            continue
        with pytest.raises(InvalidProof):
            verify_state_proof(tree.root, key, value, StateProof.decode(mutant))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_never_a_proof_of_an_unknown_record(data: bytes) -> None:
    tree = StateTree.build([(b"a", b"1"), (b"b", b"2")])
    with pytest.raises(InvalidProof):
        verify_state_proof(tree.root, b"a", b"3", StateProof.decode(data))


def test_the_empty_tree_has_a_root_of_its_own_and_proves_absence_only() -> None:
    """P1: the empty tree."""
    tree = StateTree()
    assert tree.root == EMPTY_ROOT == StateTree.build([]).root
    proof = prove(tree, b"anything")
    verify_state_proof(EMPTY_ROOT, b"anything", None, proof)
    with pytest.raises(InvalidProof):
        verify_state_proof(EMPTY_ROOT, b"anything", b"", proof)


def test_a_leaf_is_never_taken_for_a_branch() -> None:
    """P1: a branch's content offered as a leaf has another hash, whatever its length."""
    tree = StateTree.build([(b"key/%d" % number, b"v") for number in range(2)])
    branch = tree.path(b"key/0")[0]
    forged = StateProof(1, (), branch[:64].ljust(64, b"\x00"))
    with pytest.raises(InvalidProof):
        verify_state_proof(tree.root, b"key/0", None, forged)


def test_a_tree_of_many_records_agrees_with_the_definition() -> None:
    rng = random.Random(7)
    state = {rng.randbytes(rng.randint(1, 40)): rng.randbytes(20) for _ in range(5_000)}
    tree = StateTree.build(state.items())
    assert tree.root == naive_root(state)
    gone = rng.sample(sorted(state), 2_500)
    tree.commit(tree.update(dict.fromkeys(gone)))
    for key in gone:
        del state[key]
    assert tree.root == naive_root(state)
