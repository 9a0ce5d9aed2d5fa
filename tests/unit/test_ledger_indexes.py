"""Indexes: outside the state's tree, and still never other than the records call for."""

from __future__ import annotations

import importlib.util

import pytest
from modules_kit import make_genesis, seed_key

from ledger.chain import Chain
from ledger.errors import InvalidProof, StorageError
from ledger.modules.fields import MARKER
from ledger.modules.organizations.records import ACCOUNT_KEYS, ACCOUNTS, ORGANIZATION_ACCOUNTS
from ledger.operations import MODULE_NAMES, default_registry
from ledger.state.indexes import INDEX, committed
from ledger.state.records import STATE_PREFIX
from ledger.state.store import MemoryStore
from ledger.state.tree import StateTree
from ledger.state.view import Table
from primitives.codec import encode

GENESIS = make_genesis()


def begun() -> MemoryStore:
    store = MemoryStore()
    Chain.open(store, GENESIS)
    return store


def entries(store: MemoryStore, table: bytes) -> list[bytes]:
    return [key for key, _ in store.iterate(STATE_PREFIX + table)]


def refusal(store: MemoryStore) -> StorageError:
    with pytest.raises(StorageError) as caught:
        Chain.open(store, GENESIS)
    assert caught.value.code == "storage.damaged"
    return caught.value


def test_the_tree_commits_to_the_records_and_not_to_the_indexes() -> None:
    """T1: the root is that of the records alone, in whatever order they come."""
    store = begun()
    chain = Chain.open(store, GENESIS)
    state = dict(chain.view().iterate(b""))
    records = committed(state)
    assert len(records) < len(state)
    assert all(key.startswith(INDEX) for key in state.keys() - records.keys())
    assert StateTree.build(records.items()).root == chain.head.state_root


@pytest.mark.parametrize("table", [ACCOUNT_KEYS.prefix, ORGANIZATION_ACCOUNTS.prefix])
def test_a_lost_entry_is_found_when_the_chain_opens(table: bytes) -> None:
    """D1: an index that has lost an entry would let pass what its records forbid."""
    for key in entries(begun(), table):
        store = begun()
        store.write_batch({key: None})
        assert table.decode() in refusal(store).message


def test_an_entry_too_many_is_found_when_the_chain_opens() -> None:
    """D1: beside the right ones, in place of one, and in a table that nobody knows."""
    store = begun()
    first, *_ = entries(store, ACCOUNT_KEYS.prefix)
    stray = STATE_PREFIX + ACCOUNT_KEYS.key(seed_key("nobody").public_key, bytes(32))
    for change in (
        {stray: encode(MARKER)},
        {first: None, stray: encode(MARKER)},
        {STATE_PREFIX + b"~nameless/entry": encode(MARKER)},
    ):
        store = begun()
        store.write_batch(change)
        assert "~" in refusal(store).message


@pytest.mark.parametrize("value", [b"", encode(MARKER) + b"\x00", b"\x91\x01"])
def test_an_entry_of_another_value_is_found_when_the_chain_opens(value: bytes) -> None:
    """D1: its quota would come back in another size than it was taken."""
    first, *_ = entries(begun(), ACCOUNT_KEYS.prefix)
    store = begun()
    store.write_batch({first: value})
    assert "~account-key/" in refusal(store).message


def test_a_record_that_cannot_be_read_is_damage() -> None:
    """D1: the indexes are audited before the root is compared, and must not trip over what the root would show."""
    first, *_ = entries(begun(), ACCOUNTS.prefix)
    for value in (b"", b"\xc1", b"\x90", b"\x95\xa1\xff"):
        store = begun()
        store.write_batch({first: value})
        assert "block 0 has" in refusal(store).message


def test_an_entry_can_be_proven_neither_present_nor_absent() -> None:
    """P1: a proof of absence of what is there would be the tree's silence, taken for an answer."""
    store = begun()
    chain = Chain.open(store, GENESIS)
    for key in entries(store, ACCOUNT_KEYS.prefix):
        with pytest.raises(InvalidProof) as caught:
            chain.prove(key.removeprefix(STATE_PREFIX))
        assert caught.value.code == "proof.index"


def test_every_table_of_entries_is_audited() -> None:
    """A table that no module declares would keep every chain from opening, so none can be forgotten."""
    declared = {index.table.prefix for index in default_registry().indexes}
    written = {
        value.prefix
        for name in MODULE_NAMES
        if importlib.util.find_spec(f"ledger.modules.{name}.records")
        for value in vars(importlib.import_module(f"ledger.modules.{name}.records")).values()
        if isinstance(value, Table) and value.prefix.startswith(INDEX)
    }
    assert declared == written
