"""Indexes: outside the state's tree, and still never other than the records call for."""

from __future__ import annotations

import pytest
from modules_kit import make_genesis, seed_key

from ledger.chain import Chain
from ledger.errors import StorageError
from ledger.modules.fields import MARKER
from ledger.modules.organizations.records import ACCOUNT_KEYS, ORGANIZATION_ACCOUNTS
from ledger.operations import default_registry
from ledger.state.indexes import INDEX, committed
from ledger.state.records import STATE_PREFIX
from ledger.state.store import MemoryStore
from ledger.state.tree import StateTree
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


def test_every_index_has_one_table_and_a_module() -> None:
    """The registry knows of each: what is not registered is not audited."""
    tables = [index.table.prefix for index in default_registry().indexes]
    assert len(tables) == len(set(tables)) == 9
