"""G1, G2, G4: random votes on members and random recoveries, against who may pay and how long a freeze lasts."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import initialize, invariant, rule

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
from ledger.modules.governance.records import OPEN, PROPOSALS, Change, Proposal
from ledger.modules.organizations.accounts import organizations
from ledger.modules.organizations.operations import CompleteRecovery, Quota, RequestRecovery, VetoRecovery
from ledger.modules.organizations.records import ACCOUNTS, ORGANIZATIONS, RECOVERIES
from ledger.modules.organizations.recovery import FREEZE_MS_MAX, is_waiting
from ledger.parameters import DAY_MS, HOUR_MS
from tests.property.machine_kit import Life
from tests.thoroughness import tries
from tests.unit.modules_kit import NAMES, World, make_genesis, seed_key

MEMBERS = tuple(f"org-{name}" for name in (*NAMES, "erin", "finn"))
PEOPLE = st.sampled_from([*NAMES, "alan", "erin", "finn"])


class Members(Life):
    """Six members, four of them with validators, one with two accounts that speak for it."""

    @initialize(voting_days=st.sampled_from([1, 7, 40]))
    def begin(self, voting_days: int) -> None:
        self.world = World(make_genesis(names=[*NAMES, "erin", "finn"], voting_period_ms=voting_days * DAY_MS))
        self.frozen_since: dict[str, int] = {}
        self.count = 0

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
        self.tried(who, Propose(changes[kind], ""))

    @rule(index=st.integers(0, 100), voters=st.lists(PEOPLE, min_size=1, max_size=7), approve=st.booleans())
    def vote(self, index: int, voters: list[str], approve: bool) -> None:
        """More than two thirds of those who are members at the vote that decides, by one vote each."""
        opened = [key[-32:] for key, _ in OPEN.items(self.world.view)]
        for who in voters if opened else ():
            identifier = opened[index % len(opened)]
            before, members = self.proposal(identifier), set(organizations(self.world.view))
            member = self.record(who).organization
            code = self.tried(who, Vote(identifier, approve))
            if member not in members:
                assert code == "organizations.removed"
            elif before.state != "open" or self.world.now_ms >= before.closes_at_ms:
                assert code == "governance.voting_closed"
            elif member in (*before.approvals, *before.refusals):
                assert code == "governance.already_voted"
            elif code:
                assert approve, "only what has become impossible is refused"
                assert 3 * len(members & {*before.approvals, member}) > 2 * len(members)
            else:
                after = self.proposal(identifier)
                yes, no = len(members & {*after.approvals}), len(members & {*after.refusals})
                state = "open" if 3 * (len(members) - no) > 2 * len(members) else "rejected"
                assert after.state == ("approved" if 3 * yes > 2 * len(members) else state)

    @rule(index=st.integers(0, 100), approve=st.sampled_from([True, True, False]))
    def everybody_votes(self, index: int, approve: bool) -> None:
        self.vote(index, [*NAMES, "erin", "finn"], approve)

    @rule(
        member=st.sampled_from(["org-erin", "org-finn", "org-bob"]),
        kind=st.sampled_from(["suspend", "reinstate", "remove", "remove"]),
    )
    def decide(self, member: str, kind: str) -> None:
        """Propose, and let everybody agree."""
        self.propose("carol", member, "carol", kind)
        opened = [proposal for proposal, record in PROPOSALS.items(self.world.view) if record.state == "open"]
        mine = [proposal for proposal in opened if self.proposal(proposal).proposed_at_ms == self.world.now_ms]
        for who in (*NAMES, "erin", "finn") if mine else ():
            self.tried(who, Vote(mine[0], True))

    def proposal(self, identifier: bytes) -> Proposal:
        record = PROPOSALS.get(self.world.view, identifier)
        assert record is not None
        return record

    @rule(who=PEOPLE, of=PEOPLE)
    def request(self, who: str, of: str) -> None:
        self.count += 1
        key = seed_key(f"asked {self.count}").public_key
        self.tried(who, RequestRecovery(self.world.accounts[of], key))

    @rule(vetoed=st.booleans())
    def request_of_alan(self, vetoed: bool) -> None:
        self.request("alice", "alan")
        if vetoed:
            self.veto("alan")

    @rule()
    def propose_recovery_of_alan(self) -> None:
        self.propose("alice", "org-alice", "alan", "recover")

    @rule(who=PEOPLE, of=st.sampled_from(["alan", "alan", "alice", "bob"]))
    def complete(self, who: str, of: str) -> None:
        code = self.tried(who, CompleteRecovery(self.world.accounts[of]))
        if not code:
            asked = RECOVERIES.get(self.world.view, self.world.accounts[of])
            assert asked is not None
            assert self.world.now_ms >= asked.requested_at_ms + self.world.parameters.recovery_delay_ms
            assert self.record(of).frozen_until_ms == 0
            assert [entry.key for entry in self.record(of).keys] == [asked.owner_key]
            assert self.record(of).organization == self.record(who).organization

    @rule(who=PEOPLE)
    def veto(self, who: str) -> None:
        if not self.tried(who, VetoRecovery()):
            assert self.record(who).frozen_until_ms == 0

    @rule(who=PEOPLE, to=PEOPLE)
    def pay(self, who: str, to: str) -> None:
        if who == to:
            return
        standing = self.membership(who)
        frozen = self.world.now_ms < self.record(who).frozen_until_ms
        expected = "organizations.suspended" if standing == "suspended" else "organizations.frozen" if frozen else ""
        assert self.tried(who, Transfer(self.world.accounts[to], 1)) == expected

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
    def freezes_have_a_reason(self) -> None:
        """A request that waits, or an open vote: of a proposal of the account's own organization."""
        for who, account in self.world.accounts.items():
            if self.record(who).frozen_until_ms <= self.world.now_ms:
                continue
            known = RECOVERIES.get(self.world.view, account)
            assert known is not None
            if not is_waiting(known, self.world.now_ms):
                assert known.vote is not None
                assert self.proposal(known.vote).state == "open"
                assert self.proposal(known.vote).organization == self.record(who).organization

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


Members.TestCase.settings = settings(max_examples=tries(60), stateful_step_count=60, deadline=None)
TestMembers = Members.TestCase
