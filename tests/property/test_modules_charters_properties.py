"""Votes of owners against naive models: what is certain, and who votes with how much while shares are sold."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.modules.assets.charter import Majority
from ledger.modules.assets.reads import ownership
from ledger.modules.charters import operations as charters
from ledger.modules.charters.counting import outcome
from ledger.modules.charters.records import OPEN_MAX, Required, Voter
from ledger.modules.licenses.operations import Terms
from tests.unit.charters_kit import PERIOD_MS, SIMPLE, Owners

NAMES = ("alice", "bob", "carol", "dave")
BPS = 10_000
SHARES = st.lists(st.integers(1, 4_000), min_size=1, max_size=4)
NEEDED = st.builds(
    Required,
    quorum_bps=st.integers(0, 6_667),
    threshold_bps=st.one_of(st.just(0), st.integers(5_001, 9_000)),
    of_all_bps=st.one_of(st.just(0), st.integers(1, BPS)),
)


def plainly_passes(needed: Required, powers: list[int], votes: tuple[bool | None, ...]) -> bool:
    """In fractions: so much of all must vote, so much of that for it, and so much of all."""
    whole = sum(powers)
    used = sum(power for power, vote in zip(powers, votes, strict=True) if vote is not None)
    for_it = sum(power for power, vote in zip(powers, votes, strict=True) if vote)
    return (
        for_it > 0
        and used / whole * BPS >= needed.quorum_bps - 1e-9
        and for_it / whole * BPS >= needed.of_all_bps - 1e-9
        and for_it / used * BPS >= needed.threshold_bps - 1e-9
    )


@settings(max_examples=250, deadline=None)
@given(powers=SHARES, needed=NEEDED, data=st.data())
def test_a_vote_is_decided_early_exactly_when_no_further_vote_can_change_it(
    powers: list[int], needed: Required, data: st.DataObject
) -> None:
    votes = tuple(data.draw(st.sampled_from([True, False, None])) for _ in powers)
    voters = [
        Voter(bytes([index]) * 32, power, vote) for index, (power, vote) in enumerate(zip(powers, votes, strict=True))
    ]
    choices = [(vote,) if vote is not None else (True, False, None) for vote in votes]
    endings = {plainly_passes(needed, powers, ending) for ending in product(*choices)}
    assert outcome(voters, needed, over=False) == (endings.pop() if len(endings) == 1 else None)
    assert outcome(voters, needed, over=True) == plainly_passes(needed, powers, votes)


STEP = st.tuples(
    st.sampled_from(
        ["propose", "propose", "vote", "vote", "vote", "vote", "sell", "sell", "sell", "wait", "license", "pay"]
    ),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(1, 4_000),
    st.booleans(),
)


class Book:
    """The naive model: who had what when something was proposed, and who has voted on it."""

    def __init__(self, world: Owners) -> None:
        self.world = world
        self.powers: dict[bytes, dict[str, int]] = {}
        self.votes: dict[bytes, dict[str, bool]] = {}
        self.shares = {"alice": 5_000, "bob": 3_000, "carol": 2_000}

    def propose(self, who: str, alias: str) -> None:
        action = charters.PointAlias(alias, 1)
        if who not in self.shares:
            self.world.refused("charters.not_an_owner", who, charters.Propose(self.world.asset, action))
            return
        if self.full(who):
            self.world.refused("charters.too_many_proposals", who, charters.Propose(self.world.asset, action))
            return
        proposal = self.world.propose(who, action)
        self.powers[proposal], self.votes[proposal] = dict(self.shares), {}

    def full(self, who: str) -> bool:
        return sum(self.world.proposal(one).proposer == self.world.accounts[who] for one in self.open()) == OPEN_MAX

    def open(self) -> list[bytes]:
        return [proposal for proposal in self.powers if self.world.fate(proposal)[0] == "open"]

    def vote(self, proposal: bytes, who: str, approve: bool) -> None:
        operation = charters.Vote(proposal, approve)
        if self.world.fate(proposal)[0] != "open":
            self.world.refused("charters.voting_closed", who, operation)
        elif who not in self.powers[proposal]:
            self.world.refused("charters.no_vote", who, operation)
        elif who in self.votes[proposal]:
            self.world.refused("charters.already_voted", who, operation)
        else:
            self.votes[proposal][who] = approve
            self.world.do(who, operation)
            self.check(proposal)

    def sell(self, giver: str, recipient: str, bps: int) -> None:
        held = self.shares.get(giver, 0)
        if giver == recipient or bps > held:
            return
        self.world.transfer(giver, self.world.share(bps), recipient, bps)
        self.shares[giver] = held - bps
        self.shares[recipient] = self.shares.get(recipient, 0) + bps
        self.shares = {name: part for name, part in self.shares.items() if part}
        for proposal in self.open():
            if recipient not in self.powers[proposal]:
                self.vote(proposal, recipient, approve=True)

    def check(self, proposal: bytes) -> None:
        """The outcome follows from the powers of the proposal's time alone."""
        powers, votes = self.powers[proposal], self.votes[proposal]
        for_it = sum(powers[who] for who, approve in votes.items() if approve)
        against = sum(powers[who] for who, approve in votes.items() if not approve)
        silent = BPS - for_it - against
        certain = for_it + against >= 5_000 and for_it * BPS >= 5_001 * (for_it + against + silent)
        hopeless = (for_it + silent) * BPS < 5_001 * BPS
        state = self.world.fate(proposal)[0]
        assert (state == "executed") == certain
        assert (state == "rejected") == hopeless


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEP, min_size=15, max_size=40))
def test_who_had_a_share_votes_with_it_once_whoever_buys_it(steps: list[Any]) -> None:
    """Random sales between votes: no share votes twice on one proposal, and none is lost. Credits are conserved, with
    the treasury."""
    world = Owners(aliases=SIMPLE, payments=Majority(1, 5_001), treasury_bps=3_333)
    book = Book(world)
    for what, first, second, bps, approve in steps:
        who, other = NAMES[first], NAMES[second]
        if what == "propose":
            book.propose(who, "stable" if approve else "next")
        elif what == "vote" and book.powers:
            book.vote(list(book.powers)[-1 - second % len(book.powers)], who, approve)
        elif what == "sell":
            book.sell(who, other, bps)
        elif what == "wait":
            world.advance(PERIOD_MS // 3)
            book.powers = {key: row for key, row in book.powers.items() if world.fate(key)[0] == "open"}
        elif what == "license" and who != "alice":
            world.license("alice", world.asset, who, Terms(rights=("download",), price=bps))
        elif what == "pay" and world.set_aside and not book.full(next(iter(book.shares))):
            proposal = world.propose(next(iter(book.shares)), charters.Pay(world.accounts[other], world.set_aside))
            for name in book.shares:
                if world.fate(proposal)[0] == "open" and any(
                    voter.account == world.accounts[name] for voter in world.proposal(proposal).voters
                ):
                    world.vote(proposal, name)
            assert world.set_aside == 0
        names = {world.accounts[name]: name for name in NAMES}
        assert {names[share.account]: share.bps for share in ownership(world.view, world.asset).shares} == book.shares
    world.check_laws()
