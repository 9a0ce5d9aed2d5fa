"""The cache over the flat state: right whatever was forgotten, and never above its bound."""

from __future__ import annotations

import random

import pytest

from ledger.state import records
from ledger.state.records import RECORD_OVERHEAD_BYTES, STATE_PREFIX, StateRecords
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
    monkeypatch.setattr(records, "CACHE_BYTES_MAX", bound)
    rng = random.Random(seed)
    store = MemoryStore()
    state = StateRecords(store, StateTree())
    model: dict[bytes, bytes] = {}
    keys = [b"key/%d" % number for number in range(60)]
    for _ in range(3_000):
        if rng.random() < 0.7:
            key = rng.choice(keys)
            assert state.get(key) == model.get(key)
        else:
            changes = {
                key: None if rng.random() < 0.2 else rng.randbytes(rng.choice([1, 20, largest]))
                for key in rng.sample(keys, 4)
            }
            store.write_batch({STATE_PREFIX + key: value for key, value in changes.items()})
            state.written(changes)
            for key, value in changes.items():
                if value is None:
                    model.pop(key, None)
                else:
                    model[key] = value
        one = RECORD_OVERHEAD_BYTES + largest + 10  # the record that begins a generation is held whatever it takes
        assert max(held_bytes(state)) <= bound // 2 + one
    assert min(held_bytes(state)) > 0
