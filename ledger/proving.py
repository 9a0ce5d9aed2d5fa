"""Proofs and reads of the state at any height that is still known."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.archive import Archive
from ledger.errors import InvalidProof
from ledger.state.batch_proofs import BatchProof, prove_batch, verify_batch_proof
from ledger.state.history import StateHistory, past_damage
from ledger.state.indexes import is_index_key
from ledger.state.nodes import Node
from ledger.state.proofs import StateProof, proof_along, verify_state_proof
from ledger.state.records import StateRecords
from ledger.state.tree import StateTree


class Window(msgspec.Struct, frozen=True):
    """Which heights are known."""

    oldest: int
    head: int


class Prover:
    """Every method takes a height, the head's without one, and raises

    InvalidProof: `proof.index`: the tree knows nothing of an index's entries, so there is nothing to prove;
        `proof.future` above the head, `proof.pruned` below the window; `proof.keys` for none, too many, or one twice.
    Damage: what is kept of a height does not lead to its root.
    """

    def __init__(
        self, tree: StateTree, state: StateRecords, history: StateHistory, archive: Archive, window: Window
    ) -> None:
        self._tree = tree
        self._state = state
        self._history = history
        self._archive = archive
        self._window = window

    def prove(self, key: bytes, height: int | None) -> StateProof:
        """Prove the record of `key`, or its absence."""
        _require_provable([key])
        past = self._past(height)
        if past is None:
            return proof_along(self._tree.path(key), key)
        root = self._archive.present_header(past).state_root
        proof = proof_along(self._history.path_at(key, past, root, {}), key)
        try:
            verify_state_proof(root, key, self._history.record_at(key, past), proof)
        except InvalidProof as error:
            raise past_damage(past, f"the state of block {past}: {error.message}") from error
        return proof

    def prove_many(self, keys: Sequence[bytes], height: int | None) -> BatchProof:
        """Prove the records of `keys`, or their absence, with one proof."""
        _require_provable(keys)
        past = self._past(height)
        if past is None:
            return prove_batch(keys, self._tree.path)
        root, known = self._archive.present_header(past).state_root, dict[str, bytes]()
        built: dict[str, Node | None] = {}
        proof = prove_batch(keys, lambda key: self._history.path_at(key, past, root, known, built))
        try:
            verify_batch_proof(root, {key: self._history.record_at(key, past) for key in keys}, proof)
        except InvalidProof as error:
            raise past_damage(past, f"the state of block {past}: {error.message}") from error
        return proof

    def record_at(self, key: bytes, height: int | None) -> bytes | None:
        """Return the record of `key`; None where there was none. At the head, entries of indexes too."""
        past = self._past(height)
        if past is None:
            return self._state.get(key)
        _require_provable([key])
        return self._history.record_at(key, past)

    def _past(self, height: int | None) -> int | None:
        """Return a height below the head, or None for the head."""
        if height is None or height == self._window.head:
            return None
        if height > self._window.head:
            raise InvalidProof("proof.future", f"block {height} is not there yet; the head is {self._window.head}")
        if height < self._window.oldest:
            kept = f"the oldest state kept here is that of block {self._window.oldest}"
            raise InvalidProof("proof.pruned", f"{kept}; one with more of retention.history_blocks has it")
        return height


def _require_provable(keys: Sequence[bytes]) -> None:
    if any(is_index_key(key) for key in keys):
        raise InvalidProof(
            "proof.index", "entries of indexes cannot be proven: prove the records that they follow from"
        )
