"""What `operation_costs` measures of charters: an asset of three owners, as `operation_entries_core` does of what they
stand on."""

from __future__ import annotations

from benchmarks.micro.operation_entry import TERMS, Ready, entry
from benchmarks.micro.operation_world import World
from ledger.modules.assets.charter import Charter, Majority
from ledger.modules.charters import operations as charters
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import condition_of
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS

_DAILY = Majority(5_000, 5_001)
_STRONG = Majority(6_000, 6_700)
CHARTER = Charter(
    voting_period_ms=3 * DAY_MS,
    terms=_DAILY,
    aliases=_DAILY,
    contributions=_DAILY,
    management=_DAILY,
    payments=_DAILY,
    charter=_STRONG,
    dissolution=_STRONG,
    drag_along_bps=7_500,
    treasury_bps=1_000,
    voted=("terms",),
    voted_aliases=("production",),
)


def _owned(world: World) -> bytes:
    """An asset of which alder has 50, birch 30 and cedar 20 percent."""
    asset = world.register("alder", "work", charter=CHARTER)
    for who, bps in (("birch", 3_000), ("cedar", 2_000)):
        share = Thing("share", asset, bps)
        gift = transfers.OfferGift(share, world.accounts[who], world.now_ms + DAY_MS)
        world.do(who, transfers.Accept(transfers.transfer_id(world.do("alder", gift), share), 0))
    return asset


def _proposed(world: World, asset: bytes, action: charters.Action) -> bytes:
    return charters.proposal_id(world.do("alder", charters.Propose(asset, action)), asset, action)


@entry("charters.propose", "to point an alias")
def _propose_alias(world: World) -> Ready:
    return Ready(world.accounts["alder"], charters.Propose(_owned(world), charters.PointAlias("production", 1)))


@entry("charters.propose", "to offer licenses")
def _propose_terms(world: World) -> Ready:
    action = charters.OfferTerms(TERMS, world.now_ms + 10 * DAY_MS)
    return Ready(world.accounts["alder"], charters.Propose(_owned(world), action))


@entry("charters.vote", "that does not decide")
def _vote(world: World) -> Ready:
    asset = _owned(world)
    proposal = _proposed(world, asset, charters.PointAlias("production", 1))
    return Ready(world.accounts["cedar"], charters.Vote(proposal, True))


@entry("charters.vote", "that points an alias")
def _vote_alias(world: World) -> Ready:
    asset = _owned(world)
    proposal = _proposed(world, asset, charters.PointAlias("production", 1))
    world.do("alder", charters.Vote(proposal, True))
    return Ready(world.accounts["birch"], charters.Vote(proposal, True))


@entry("charters.vote", "that sells the whole")
def _vote_sale(world: World) -> Ready:
    asset = _owned(world)
    whole = Thing("asset", asset)
    made = market.MakeOffer(whole, 1_000_000, world.now_ms + 10 * DAY_MS, condition_of(world.view, whole))
    offer = market.offer_id(world.do("dogwood", made), whole)
    proposal = _proposed(world, asset, charters.SellWhole(offer))
    world.do("alder", charters.Vote(proposal, True))
    return Ready(world.accounts["birch"], charters.Vote(proposal, True))


@entry("charters.withdraw")
def _withdraw(world: World) -> Ready:
    proposal = _proposed(world, _owned(world), charters.PointAlias("production", 1))
    return Ready(world.accounts["alder"], charters.Withdraw(proposal))
