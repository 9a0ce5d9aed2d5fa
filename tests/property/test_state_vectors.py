"""The vectors of docs/spec/state.md: an implementation of that page alone, the ledger's own, and the file agree."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ledger.errors import InvalidProof
from ledger.state.batch_proofs import BatchProof, prove_batch, verify_batch_proof
from ledger.state.proofs import StateProof, prove, verify_state_proof
from ledger.state.tree import StateTree
from tests.property import state_vectors
from tests.reference import state_tree as second

VECTORS: dict[str, Any] = json.loads(state_vectors.FILE.read_text())
STATES = {state["name"]: state for state in VECTORS["states"]}


def value_of(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def records_of(rows: list[list[Any]]) -> dict[bytes, bytes | None]:
    return {bytes.fromhex(key): value_of(value) for key, value in rows}


def whole(name: str) -> dict[bytes, bytes]:
    return {key: value for key, value in records_of(STATES[name]["records"]).items() if value is not None}


def test_the_file_is_what_the_script_makes() -> None:
    assert state_vectors.vectors() == VECTORS


@pytest.mark.parametrize("name", list(STATES))
def test_a_state_has_its_root_and_every_proof_holds(name: str) -> None:
    """P1, P2: for the second implementation, and for the ledger."""
    state, records = STATES[name], whole(name)
    root = bytes.fromhex(state["root"])
    assert second.root_of(records) == root == StateTree.build(records.items()).root
    for row in state["proofs"]:
        key, value, data = bytes.fromhex(row["key"]), value_of(row["value"]), bytes.fromhex(row["proof"])
        assert records.get(key) == value
        second.check(root, key, value, data)
        verify_state_proof(root, key, value, StateProof.decode(data))
    for row in state["batches"]:
        claims, data = records_of(row["records"]), bytes.fromhex(row["proof"])
        assert claims == {key: records.get(key) for key in claims}
        second.check_batch(root, claims, data)
        verify_batch_proof(root, claims, BatchProof.decode(data))


@pytest.mark.parametrize("row", VECTORS["deletions"], ids=lambda row: row["name"])
def test_a_deletion_leads_from_root_to_root(row: dict[str, Any]) -> None:
    tree = StateTree.build(whole(row["from"]).items())
    tree.commit(tree.update({bytes.fromhex(key): None for key in row["keys"]}))
    left = {key: value for key, value in whole(row["from"]).items() if key.hex() not in row["keys"]}
    assert tree.root.hex() == STATES[row["to"]]["root"] == second.root_of(left).hex()


def test_what_must_be_refused_is_refused_by_both() -> None:
    """P1, P2: other values, and proofs changed in every way that the format has."""
    assert len(VECTORS["refused"]) > 300
    for row in VECTORS["refused"]:
        root, claims = bytes.fromhex(row["root"]), records_of(row["records"])
        if "batch" in row:
            data = bytes.fromhex(row["batch"])
            with pytest.raises(second.Refused):
                second.check_batch(root, claims, data)
            with pytest.raises(InvalidProof):
                verify_batch_proof(root, claims, BatchProof.decode(data))
            continue
        data = bytes.fromhex(row["proof"])
        ((key, value),) = claims.items()
        with pytest.raises(second.Refused):
            second.check(root, key, value, data)
        with pytest.raises(InvalidProof):
            verify_state_proof(root, key, value, StateProof.decode(data))


@pytest.mark.parametrize("seed", range(8))
def test_both_implementations_judge_every_mutation_alike(seed: int) -> None:
    """P1: random states, keys and changes, beyond what is in the file."""
    rng = random.Random(seed)
    records = {b"r/%d" % rng.randrange(60): rng.randbytes(3) for _ in range(rng.randrange(40))}
    tree = StateTree.build(records.items())
    keys = [b"r/%d" % number for number in rng.sample(range(60), 8)]
    claims = {key: records.get(key) for key in keys}
    second.check_batch(tree.root, claims, prove_batch(keys, tree.path).encode())
    for _, data in state_vectors.mutations(prove_batch(keys, tree.path).encode(), rng):
        with pytest.raises(second.Refused):
            second.check_batch(tree.root, claims, data)
        with pytest.raises(InvalidProof):
            verify_batch_proof(tree.root, claims, BatchProof.decode(data))
    for key in keys:
        second.check(tree.root, key, claims[key], prove(tree, key).encode())
        for _, data in state_vectors.mutations(prove(tree, key).encode(), rng):
            with pytest.raises(second.Refused):
                second.check(tree.root, key, claims[key], data)
            with pytest.raises(InvalidProof):
                verify_state_proof(tree.root, key, claims[key], StateProof.decode(data))
