"""G1, G2, G4: random votes on members and random recoveries, against who may pay and how long a freeze lasts."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.errors import OperationError
from ledger.modules.credits.operations import Transfer
from ledger.modules.governance.operations import (
    Propose,
    RecoverAccount,
    ReinstateOrganization,
    RemoveOrganization,
    SetQuota,
    SuspendOrganization,
    Vote,
)
from ledger.modules.governance.records import OPEN, PROPOSALS, Change
from ledger.modules.organizations.accounts import organizations
from ledger.modules.organizations.operations import CompleteRecovery, Quota, RequestRecovery, VetoRecovery
from ledger.modules.organizations.records import ACCOUNTS, ORGANIZATIONS, RECOVERIES
from ledger.modules.organizations.recovery import FREEZE_MS_MAX
from ledger.parameters import DAY_MS, HOUR_MS
from tests.unit.modules_kit import NAMES, World, make_genesis, seed_key

MEMBERS = tuple(f"org-{name}" for name in (*NAMES, "erin", "finn"))
PEOPLE = st.sampled_from([*NAMES, "alan", "erin", "finn"])


class Members(RuleBasedStateMachine):
    """Six members, four of them with validators, one with two accounts that speak for it."""

    @initialize(voting_days=st.sampled_from([1, 7, 40]))
    def begin(self, voting_days: int) -> None:
        self.world = World(make_genesis(names=[*NAMES, "erin", "finn"], voting_period_ms=voting_days * DAY_MS))
        self.frozen_since: dict[str, int] = {}
        self.count = 0

    def attempt(self, who: str, operation: Any) -> str:
        before = self.world.view.changes()
        try:
            self.world.do(who, operation)
        except OperationError as error:
            assert self.world.view.changes() == before
            return error.code
        return ""

    @rule(
        who=PEOPLE,
        member=st.sampled_from(MEMBERS),
        account=PEOPLE,
        kind=st.sampled_from(["suspend", "reinstate", "remove", "quota", "recover", "recover", "recover"]),
    )
    def propose(self, who: str, member: str, account: str, kind: str) -> None:
        self.count += 1
        key = seed_key(f"voted {self.count}").public_key
        changes: dict[str, Change] = {
            "suspend": SuspendOrganization(member),
            "reinstate": ReinstateOrganization(member),
            "remove": RemoveOrganization(member),
            "quota": SetQuota(member, Quota(100, 100_000, 10)),
            "recover": RecoverAccount(self.world.accounts[account], key),
        }
        self.attempt(who, Propose(changes[kind], ""))

    @rule(index=st.integers(0, 100), voters=st.lists(PEOPLE, min_size=3, max_size=7), approve=st.booleans())
    def vote(self, index: int, voters: list[str], approve: bool) -> None:
        opened = [key[-32:] for key, _ in OPEN.items(self.world.view)]
        for who in voters if opened else ():
            self.attempt(who, Vote(opened[index % len(opened)], approve))

    @rule(who=PEOPLE, of=PEOPLE)
    def request(self, who: str, of: str) -> None:
        self.count += 1
        key = seed_key(f"asked {self.count}").public_key
        self.attempt(who, RequestRecovery(self.world.accounts[of], key))

    @rule()
    def request_of_alan(self) -> None:
        self.request("alice", "alan")

    @rule(of=PEOPLE)
    def complete(self, of: str) -> None:
        who = "alice" if of == "alan" else "alan"
        code = self.attempt(who, CompleteRecovery(self.world.accounts[of]))
        if not code:
            asked = RECOVERIES.get(self.world.view, self.world.accounts[of])
            assert asked is not None
            assert self.world.now_ms >= asked.requested_at_ms + self.world.parameters.recovery_delay_ms

    @rule(who=PEOPLE)
    def veto(self, who: str) -> None:
        if not self.attempt(who, VetoRecovery()):
            assert self.record(who).frozen_until_ms == 0

    @rule(who=PEOPLE, to=PEOPLE)
    def pay(self, who: str, to: str) -> None:
        if who == to:
            return
        standing = self.membership(who)
        frozen = self.world.now_ms < self.record(who).frozen_until_ms
        expected = "organizations.suspended" if standing == "suspended" else "organizations.frozen" if frozen else ""
        assert self.attempt(who, Transfer(self.world.accounts[to], 1)) == expected

    @rule(ms=st.sampled_from([HOUR_MS, DAY_MS, 7 * DAY_MS, 13 * DAY_MS]), limit=st.sampled_from([0, 1, 1_000, 1_000]))
    def wait(self, ms: int, limit: int) -> None:
        for _ in range(ms // HOUR_MS if ms <= DAY_MS else ms // DAY_MS):
            self.world.advance(HOUR_MS if ms <= DAY_MS else DAY_MS, limit)
            self.freezes_are_short()

    def record(self, who: str) -> Any:
        record = ACCOUNTS.get(self.world.view, self.world.accounts[who])
        assert record is not None
        return record

    def membership(self, who: str) -> str:
        record = ORGANIZATIONS.get(self.world.view, self.record(who).organization.encode())
        assert record is not None
        return record.membership

    @invariant()
    def freezes_are_short(self) -> None:
        """14 days ahead at most; and one after the other, a request's and a vote's, 28 together."""
        for who in self.world.accounts:
            until_ms = self.record(who).frozen_until_ms
            assert until_ms <= self.world.now_ms + FREEZE_MS_MAX
            if until_ms <= self.world.now_ms:
                self.frozen_since.pop(who, None)
                continue
            since_ms = self.frozen_since.setdefault(who, self.world.now_ms)
            assert self.world.now_ms - since_ms <= 2 * FREEZE_MS_MAX

    @invariant()
    def members_remain(self) -> None:
        assert len(organizations(self.world.view)) >= 4
        for who in self.world.accounts:
            assert any(entry.role == "owner" for entry in self.record(who).keys)
        self.world.check_laws()

    def teardown(self) -> None:
        """Left alone, every freeze and every vote ends, and no memory of a request stays."""
        if not hasattr(self, "world"):
            return
        for _ in range(2):
            self.world.advance(50 * DAY_MS, limit=100_000)
        assert list(OPEN.items(self.world.view)) == []
        assert list(RECOVERIES.items(self.world.view)) == []
        assert all(proposal.state != "open" for _, proposal in PROPOSALS.items(self.world.view))
        for who in self.world.accounts:
            assert self.record(who).frozen_until_ms <= self.world.now_ms
        self.world.check_laws()


Members.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestMembers = Members.TestCase
