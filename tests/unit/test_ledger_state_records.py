"""The caches over the flat state: right whatever was forgotten, and never above their bounds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ledger.state import records
from ledger.state.indexes import committed
from ledger.state.records import (
    LIST_BYTES_MAX,
    LIST_RECORDS_MAX,
    RECORD_OVERHEAD_BYTES,
    STATE_PREFIX,
    StateRecords,
)
from ledger.state.store import MemoryStore
from ledger.state.tree import StateTree


def held_bytes(state: StateRecords) -> list[int]:
    return [
        sum(RECORD_OVERHEAD_BYTES + len(key) + len(value or b"") for key, value in generation.items())
        for generation in (state._young, state._old)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_cache_answers_like_the_store_and_keeps_within_its_bound(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I13: records that are read, written, deleted and that grow, in a cache that holds few of them."""
    bound, largest = 8_000, 700
    monkeypatch.setattr(records, "LISTS_MAX", 8)
    rng = random.Random(seed)
    store = MemoryStore()
    tree = StateTree()
    state = StateRecords(store, tree, bound)
    model: dict[bytes, bytes] = {}
    # Records, and entries of an index, which the tree knows nothing of.
    keys = [b"%s/%d" % (table, number) for table in (b"key", b"~index") for number in range(30)]
    for _ in range(3_000):
        choice = rng.random()
        if choice < 0.5:
            key = rng.choice(keys)
            assert state.get(key) == model.get(key)
        elif choice < 0.7:
            prefix = rng.choice([b"k", b"key/", b"~index/", *(key[:-1] for key in keys[20:40])])
            start = rng.choice([b"", b"", *keys])
            found = state.iterate(prefix, start)
            expected = sorted(item for item in model.items() if item[0].startswith(prefix) and item[0] >= start)
            if rng.random() < 0.2:  # an iterator that is not read to its end
                assert next(found, None) == (expected[0] if expected else None)
            else:
                assert list(found) == expected
        else:
            changes = {
                key: None if rng.random() < 0.2 else rng.randbytes(rng.choice([1, 20, largest]))
                for key in rng.sample(keys, 4)
            }
            store.write_batch({STATE_PREFIX + key: value for key, value in changes.items()})
            tree.commit(tree.update(committed(changes)))
            state.written(changes)
            for key, value in changes.items():
                if value is None:
                    model.pop(key, None)
                else:
                    model[key] = value
        one = RECORD_OVERHEAD_BYTES + largest + 10  # the record that begins a generation is held whatever it takes
        assert max(held_bytes(state)) <= bound // 2 + one
        assert max(len(state._lists._young), len(state._lists._old)) <= 4
    assert min(held_bytes(state)) > 0


class CountingStore(MemoryStore):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.gets = self.iterations = 0

    def get(self, key: bytes) -> bytes | None:
        self.gets += 1
        return super().get(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self.iterations += 1
        return super().iterate(prefix, start)


def test_what_is_not_there_is_not_looked_for_on_the_disk() -> None:
    """I13: an absent record is known from the tree, an empty list of records after it was read once."""
    store, tree = CountingStore(), StateTree()
    state = StateRecords(store, tree)
    assert state.get(b"grant/1") is None
    assert store.gets == 0
    assert [list(state.iterate(b"link/1/")) for _ in range(3)] == [[], [], []]
    assert store.iterations == 1
    changes = {b"link/1/2": b"there", b"link/2/1": b"elsewhere"}
    store.write_batch({STATE_PREFIX + key: value for key, value in changes.items()})
    tree.commit(tree.update(changes))
    state.written(changes)
    assert [list(state.iterate(b"link/1/")) for _ in range(3)] == [[(b"link/1/2", b"there")]] * 3
    assert store.iterations == 2


def test_a_long_list_is_read_from_the_store_each_time() -> None:
    """I13: what is kept is bounded by number and by bytes."""
    for records_each, value in ((LIST_RECORDS_MAX + 1, b""), (2, bytes(LIST_BYTES_MAX // 2))):
        store, tree = CountingStore(), StateTree()
        state = StateRecords(store, tree)
        changes = {b"link/%02d" % number: value for number in range(records_each)}
        store.write_batch({STATE_PREFIX + key: value for key, value in changes.items()})
        tree.commit(tree.update(changes))
        state.written(changes)
        assert [list(state.iterate(b"link/")) for _ in range(2)] == [sorted(changes.items())] * 2
        assert store.iterations == 2


def test_a_page_begins_behind_its_cursor_without_reading_what_comes_before() -> None:
    """I13: a known short list answers any page of it, and a page that is short is not taken for the whole list."""
    store, tree = CountingStore(), StateTree()
    state = StateRecords(store, tree)
    changes = {b"link/%02d" % number: b"" for number in range(LIST_RECORDS_MAX + 2)}
    store.write_batch({STATE_PREFIX + key: value for key, value in changes.items()})
    tree.commit(tree.update(changes))
    state.written(changes)
    last = max(changes)
    assert [key for key, _ in state.iterate(b"link/", last)] == [last]
    assert len(list(state.iterate(b"link/"))) == len(changes)
    assert [key for key, _ in state.iterate(b"link/0", b"link/03")] == sorted(changes)[3:10]
    before = store.iterations
    assert list(state.iterate(b"none/", b"none/3")) == []
    assert list(state.iterate(b"none/")) == []
    assert list(state.iterate(b"none/", b"none/3")) == []
    assert store.iterations == before + 2
