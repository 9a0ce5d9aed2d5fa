"""Owners accept contributions by a vote."""

from __future__ import annotations

from typing import Any

from ledger.modules.assets.reads import require_asset
from ledger.modules.charters import operations as charters
from ledger.modules.charters.records import PROPOSALS, Proposal
from ledger.modules.contributions import operations as contributions
from ledger.modules.contributions.operations import Reward
from ledger.modules.transfers.operations import Thing
from tests.unit.charters_kit import a_charter
from tests.unit.contributions_kit import Workshop


class Guild(Workshop):
    """An asset that alice and carol own, 60 to 40, and to which bob contributes. Only a vote accepts."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(charter=a_charter(voted=("contributions",)), **fields)
        self.share_with({"carol": 4_000})

    def share(self, bps: int) -> Thing:
        return Thing("share", self.asset, bps)

    def proposed(self, who: str, contribution: bytes, reward: Reward) -> bytes:
        action = charters.AcceptContribution(contribution, reward)
        self.do(who, charters.Propose(self.asset, action))
        return charters.proposal_id(self.transaction_id, self.asset, action)

    def votes(self, proposal: bytes, **votes: bool) -> Proposal:
        for who, approve in votes.items():
            self.do(who, charters.Vote(proposal, approve))
        record = PROPOSALS.get(self.view, proposal)
        assert record is not None
        return record


def test_a_vote_accepts_a_contribution_and_nobody_else_does() -> None:
    world = Guild()
    contribution = world.propose("B")
    world.refused("charters.vote_required", "alice", contributions.Accept(contribution))
    proposal = world.proposed("carol", contribution, Reward())
    told = world.query("charters.proposal", proposal=proposal.hex()).action
    assert (told.kind, told.contribution, told.share_bps) == ("accept_contribution", contribution.hex(), 0)
    assert world.votes(proposal, alice=True).state == "executed"
    assert require_asset(world.view, world.asset).versions == 2
    record = world.contribution(contribution)
    assert record is not None
    assert (record.state, record.version) == ("accepted", 2)
    assert [one.version for one in world.artifacts] == [2], "validators are told to fetch it"
    world.check_laws()


def test_no_vote_gives_a_share_unasked() -> None:
    """The attack: the owners vote an evaluator in who has contributed for credit, and so silence its organization."""
    world = Guild()
    contribution = world.propose("B")
    for reward in (Reward(1), Reward(1, world.accounts["alice"])):
        action = charters.AcceptContribution(contribution, reward)
        world.refused("contributions.share_unasked", "alice", charters.Propose(world.asset, action))
    assert world.shares() == {"alice": 6_000, "carol": 4_000}


def test_a_share_of_all_owners_takes_all_their_votes() -> None:
    """The attack: a majority gives most of the asset, the minority's part with it, to a friend for a contribution."""
    world = Guild()
    contribution = world.propose("B", share_bps_min=1_000)
    first = world.proposed("alice", contribution, Reward(5_000))
    assert world.votes(first, alice=True).state == "open"
    assert world.votes(first, carol=False).state == "rejected"
    again = world.proposed("alice", contribution, Reward(1_000))
    assert world.votes(again, alice=True, carol=True).state == "executed"
    assert world.shares() == {"alice": 5_400, "carol": 3_600, "bob": 1_000}
    world.check_laws()


def test_who_buys_a_share_is_not_diluted_by_votes_of_before() -> None:
    """The attack: propose a share for a friend while one owns everything, sell half of it, and then vote."""
    world = Guild()
    world.transfer("carol", world.share(4_000), "alice")
    contribution = world.propose("B", share_bps_min=5_000)
    proposal = world.proposed("alice", contribution, Reward(5_000))
    world.transfer("alice", world.share(5_000), "dave", price=1_000)
    record = world.votes(proposal, alice=True)
    assert (record.state, record.code) == ("failed", "charters.lapsed")
    assert world.shares() == {"alice": 5_000, "dave": 5_000}
    again = world.proposed("alice", contribution, Reward(5_000))
    assert world.votes(again, alice=True, dave=True).state == "executed"
    assert world.shares() == {"alice": 2_500, "dave": 2_500, "bob": 5_000}
    world.check_laws()


def test_a_share_of_one_owner_is_its_own_to_propose() -> None:
    world = Guild()
    contribution = world.propose("B", share_bps_min=1_000)
    own = Reward(1_000, world.accounts["carol"])
    world.refused(
        "charters.giver", "alice", charters.Propose(world.asset, charters.AcceptContribution(contribution, own))
    )
    proposal = world.proposed("carol", contribution, own)
    assert world.votes(proposal, alice=True).state == "executed"
    assert world.shares() == {"alice": 6_000, "carol": 3_000, "bob": 1_000}


def test_who_contributes_does_not_vote_on_it_and_what_is_gone_fails() -> None:
    world = Guild()
    world.share_with({"bob": 2_000})
    contribution = world.propose("B")
    proposal = world.proposed("bob", contribution, Reward())
    world.refused("charters.no_vote", "bob", charters.Vote(proposal, approve=True))
    world.do("bob", contributions.Withdraw(contribution))
    assert world.votes(proposal, alice=True, carol=True).code == "contributions.unknown_contribution"
    other = world.register("alice", "other", charter=a_charter())
    foreign = charters.AcceptContribution(world.propose("C"), Reward())
    world.refused("charters.another_asset", "alice", charters.Propose(other, foreign))
    world.check_laws()
