"""The laws of the validator set under random proposals, votes, readiness and rejoins: a state machine over whole
blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from epochs_kit import KNOWN, WINDOW, Consortium, add, make_genesis, node, rekey, remove
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.chain import Chain
from ledger.epochs import current_set, pending_changes
from ledger.modules.governance.records import PROPOSALS, Change
from ledger.modules.organizations.records import ACCOUNTS
from ledger.parameters import LIFETIME_MS_MAX
from primitives.quorum import fault_bound

indices = st.integers(0, 2**32)
changes = st.tuples(st.sampled_from(["add", "remove", "rekey"]), indices, st.sampled_from([0, 0, 0, 1, -1]))


class Governed(RuleBasedStateMachine):
    """Organizations do whatever comes to their minds; the set obeys its laws at every height."""

    world: Consortium

    @initialize(validators=st.integers(4, 7), spare=st.integers(0, 6))
    def begin(self, validators: int, spare: int) -> None:
        genesis = make_genesis(
            validators,
            validators + spare,
            lifetime_ms=5_000,
            rejoin_interval_ms=LIFETIME_MS_MAX,
            admission_lifetime_ms=60_000,
        )
        self.world = Consortium(genesis)
        self.used = 0
        """So many candidates' names are taken."""

    @rule(change=changes, who=indices, decide=st.booleans())
    def propose(self, change: tuple[str, int, int], who: int, decide: bool) -> None:
        """Propose a change, and let all vote for it at once or later."""
        kind, which, offset = change
        new = KNOWN[16 + (self.used + offset) % 40]
        organization = self.world.organizations[who % len(self.world.organizations)]
        members = self.world.members()
        name = members[which % len(members)]
        proposed: Change = (
            add(new, organization) if kind == "add" else remove(name) if kind == "remove" else rekey(name, new)
        )
        opened: list[tuple[bytes, str]] = []
        self.step(lambda: opened.append(self.world.propose(proposed, by=organization)))
        if decide and not opened[0][1]:
            self.used += 1
            self.step(lambda: self.world.vote(opened[0][0], *self.world.organizations))

    @rule(which=indices, approve=st.integers(0, 9))
    def vote(self, which: int, approve: int) -> None:
        opened = [key for key, record in PROPOSALS.items(self.world.chain.view()) if record.state == "open"]
        if opened:
            chosen = opened[which % len(opened)]
            self.step(lambda: self.world.vote(chosen, *self.world.organizations, approve=approve > 0))

    @rule(which=indices)
    def ready(self, which: int) -> None:
        for record in self.world.chain.candidates()[which % 2 :]:
            name = next(name for name in KNOWN if node(name) == record.node_id)
            data = self.world.ready(name)
            self.step(partial(self.world.execute, data))

    @rule(which=indices, incarnation=st.integers(1, 4))
    def rejoin(self, which: int, incarnation: int) -> None:
        if which % 3:  # rarely: each ends an epoch
            return
        members = self.world.members()
        data = self.world.rejoin(members[which % len(members)], incarnation)
        self.step(lambda: self.world.execute(data))

    @rule(blocks=st.integers(1, 2 * WINDOW))
    def wait(self, blocks: int) -> None:
        for _ in range(blocks):
            self.step(self.world.execute)

    @rule()
    def lapse(self) -> None:
        """Approvals end, and who has rejoined may do so again."""
        self.step(lambda: self.world.execute(step_ms=LIFETIME_MS_MAX))

    def step(self, act: Callable[[], object]) -> None:
        """Execute one block and hold its header to the laws."""
        chain = self.world.chain
        before, height = chain.epoch, chain.height
        members = chain.validators(before.number)
        act()
        assert chain.height == height + 1
        header, after = chain.head, chain.epoch
        assert header.epoch == before.number
        if before.end == 0:
            assert header.epoch_end in (0, chain.height + WINDOW)
        else:
            assert header.epoch_end == before.end
        if chain.height != before.end:
            assert after.number == before.number
            assert header.next_validator_set_hash == header.validator_set_hash
            return
        entered = chain.validators(after.number)
        assert after.number == before.number + 1
        assert after.base == chain.height
        assert after.end in (0, chain.height + WINDOW)
        assert header.next_validator_set_hash == current_set(chain.view()).hash()
        self.check_turn({m.signing_key for m in members}, {m.signing_key for m in entered}, len(members))

    @staticmethod
    def check_turn(old: set[bytes], new: set[bytes], n: int) -> None:
        assert len(new - old) <= max(1, fault_bound(n))
        assert len(old - new) <= max(1, fault_bound(n))

    @invariant()
    def the_set_is_sound(self) -> None:
        if not hasattr(self, "world"):
            return
        view = self.world.chain.view()
        members = current_set(view).validators
        assert len(members) >= 4
        assert len({m.node_id for m in members}) == len({m.signing_key for m in members}) == len(members)
        powers = Counter(m.organization for m in members)
        assert max(powers.values()) <= fault_bound(len(members))
        for member in members:
            account = ACCOUNTS.get(view, member.account)
            assert account is not None
            assert [(entry.key, entry.role) for entry in account.keys] == [(member.signing_key, "validator")]
        waiting = pending_changes(view).values()
        assert len({change.node_id for change in waiting}) == len(waiting)

    def teardown(self) -> None:
        """X2: what the blocks say is all there is: another chain comes to the same head, and so does a reopened one."""
        if hasattr(self, "world"):
            chain = self.world.chain
            assert self.world.replayed().head == chain.head
            assert Chain.open(self.world.store, self.world.genesis).head == chain.head


Governed.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestGoverned = Governed.TestCase
