"""Nested views against plain dictionaries, and the ids against replay against a plain list."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ledger.parameters import LIFETIME_MS_MAX
from ledger.replay import BUCKET_MS, ReplayIds
from ledger.state.store import MemoryStore
from ledger.state.view import StateView

KEYS = st.sampled_from([b"a/1", b"a/2", b"a/10", b"b/1", b"b/", b"a", b"c"])
STARTS = st.sampled_from([b"", b"", b"a", b"a/", b"a/1\x00", b"a/10", b"a/3", b"b/1", b"z"])
PREFIXES = st.sampled_from([b"", b"a", b"a/", b"a/1", b"b/", b"d"])


class NestedViews(RuleBasedStateMachine):
    """A store, and a stack of views over it; the model is a stack of full dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.store.write_batch({b"a/1": b"stored", b"b/1": b"stored", b"c": b"stored"})
        self.views = [StateView(self.store)]
        self.models: list[dict[bytes, bytes]] = [dict(self.store.iterate(b""))]
        self.saved: dict[int, dict[bytes, bytes]] = {}
        """Depth of a view with a savepoint -> its model then."""

    @precondition(lambda self: len(self.views) not in self.saved)
    @rule()
    def set_savepoint(self) -> None:
        self.views[-1].set_savepoint()
        self.saved[len(self.views)] = dict(self.models[-1])

    @precondition(lambda self: len(self.views) in self.saved)
    @rule(keep=st.booleans())
    def leave_savepoint(self, keep: bool) -> None:
        before = self.saved.pop(len(self.views))
        if keep:
            self.views[-1].release()
        else:
            self.views[-1].roll_back()
            self.models[-1] = before

    @rule()
    def forget_order(self) -> None:
        self.views[-1].forget_order()

    @rule(key=KEYS, value=st.binary(max_size=2))
    def put(self, key: bytes, value: bytes) -> None:
        self.views[-1].put(key, value)
        self.models[-1][key] = value

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.views[-1].delete(key)
        self.models[-1].pop(key, None)

    @precondition(lambda self: len(self.views) < 4)
    @rule()
    def descend(self) -> None:
        self.views.append(self.views[-1].child())
        self.models.append(dict(self.models[-1]))

    @precondition(lambda self: len(self.views) > 1)
    @rule(keep=st.booleans())
    def ascend(self, keep: bool) -> None:
        self.saved.pop(len(self.views), None)
        child, model = self.views.pop(), self.models.pop()
        if keep:
            self.views[-1].apply(child)
            self.models[-1] = model

    @rule(prefix=PREFIXES, start=STARTS)
    def iterate(self, prefix: bytes, start: bytes) -> None:
        model = self.models[-1]
        expected = sorted((key, model[key]) for key in model if key.startswith(prefix) and key >= start)
        assert list(self.views[-1].iterate(prefix, start)) == expected

    @rule()
    def write_out(self) -> None:
        if len(self.views) == 1 and not self.saved:
            self.store.write_batch(self.views[0].changes())
            self.views = [StateView(self.store)]

    @invariant()
    def reads_agree(self) -> None:
        for key in (b"a/1", b"a/2", b"a/10", b"b/1", b"b/", b"a", b"c"):
            assert self.views[-1].get(key) == self.models[-1].get(key)


TestNestedViews = NestedViews.TestCase
TestNestedViews.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(
    st.lists(st.tuples(st.integers(1, 5 * BUCKET_MS), st.integers(0, 3), st.integers(1, LIFETIME_MS_MAX)), max_size=40)
)
def test_every_id_is_known_until_it_expires_and_forgotten_soon_after(blocks: list[tuple[int, int, int]]) -> None:
    """A7"""
    replay, history, now = ReplayIds(), list[tuple[int, bytes]](), 1_700_000_000_000
    for number, (step_ms, count, left_ms) in enumerate(blocks):
        now += step_ms
        ids = [b"%d/%d" % (number, index) for index in range(count)]
        replay.add(ids, now + left_ms, now)
        history += [(now + left_ms, identifier) for identifier in ids]
        for expire_at_ms, identifier in history:
            if now < expire_at_ms:
                assert identifier in replay
            if now >= expire_at_ms + BUCKET_MS:
                assert identifier not in replay
        recent: Any = [entry for entry in history if now < entry[0] + BUCKET_MS]
        assert len(replay) <= len(recent)
