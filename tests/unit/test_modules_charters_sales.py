"""Owners sell the whole together: drag-along, fair price, and everything that could stand in the way."""

from __future__ import annotations

from ledger.modules.assets import operations as assets
from ledger.modules.assets.reads import ownership
from ledger.modules.charters import operations as charters
from ledger.modules.charters.fair_price import SHARE_PRICES, WEEK_MS, WEEKS
from ledger.modules.charters.records import PROPOSALS
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import condition_of
from ledger.modules.organizations.operations import RequestRecovery
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.royalties.pools import received
from ledger.modules.royalties.records import creators_pool
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS, HOUR_MS
from tests.unit.charters_kit import PERIOD_MS, USE, Owners, a_charter
from tests.unit.disputes_kit import Court
from tests.unit.modules_kit import seed_key

PRICE = 1_000_000


def test_the_threshold_sells_all_shares_and_pays_everybody_alike() -> None:
    """Ancestors and creators get their royalties as of any resale; the rest is the owners' by their shares."""
    world = Owners(transfer_terms=assets.TransferTerms(resale_royalty_bps=1_000))
    offer = world.bid("dave", PRICE)
    proposal = world.propose("alice", charters.SellWhole(offer, PRICE))
    world.vote(proposal, "alice")
    world.vote(proposal, "carol", approve=False)
    assert world.fate(proposal)[0] == "open"
    world.vote(proposal, "bob")
    assert world.fate(proposal) == ("executed", "")
    assert [share.account for share in ownership(world.view, world.asset).shares] == [world.accounts["dave"]]
    net = PRICE - PRICE * 250 // 10_000
    royalty = net // 10
    assert received(world.view, creators_pool(world.asset)) == royalty
    assert received(world.view, world.asset) == net - royalty
    assert world.owed("carol", world.asset) == (net - royalty) // 5
    before = world.balance("carol")
    world.do("carol", Withdraw(world.asset))
    assert world.balance("carol") - before == (net - royalty) // 5
    world.check_laws()


def test_below_the_drag_along_nobody_is_sold() -> None:
    world = Owners(("bob", 3_000), ("carol", 2_501), drag_along_bps=7_500)
    offer = world.bid("dave", PRICE)
    proposal = world.propose("alice", charters.SellWhole(offer))
    world.vote(proposal, "alice", "bob")  # 7,499 of 10,000
    assert world.fate(proposal)[0] == "open"
    world.advance(PERIOD_MS)
    assert world.fate(proposal)[0] == "rejected"
    assert len(ownership(world.view, world.asset).shares) == 3


def test_nobody_is_sold_below_what_a_share_was_sold_for() -> None:
    """The attack: a majority sells to a friend for next to nothing, and the few are paid next to nothing."""
    world = Owners()
    world.transfer("carol", world.share(200), "dave", 40_000)
    whole = 40_000 * 10_000 // 200
    world.transfer("dave", world.share(200), "carol", 1_000)  # cheaper: the dearest counts
    assert world.query("charters.get", asset=world.asset.hex()).fair_price == whole
    cheap, fair = world.bid("dave", whole - 1), world.bid("dave", whole)
    world.refused("charters.price_too_low", "alice", charters.Propose(world.asset, charters.SellWhole(cheap)))
    assert world.decide(charters.SellWhole(fair), "alice", "bob").state == "executed"
    assert SHARE_PRICES.get(world.view, world.asset) is None
    world.do("dave", market.WithdrawOffer(cheap))
    world.check_laws()


def test_the_fair_price_is_checked_again_when_it_is_decided() -> None:
    world = Owners(least_price=1_000)
    offer = world.bid("dave", PRICE)
    proposal = world.propose("alice", charters.SellWhole(offer))
    world.transfer("carol", world.share(100), "dave", PRICE // 10)
    world.vote(proposal, "alice", "bob")
    assert world.fate(proposal)[0] == "failed"
    assert world.fate(proposal)[1] in ("charters.price_too_low", "market.own_organization")
    assert world.balance("dave") > 0
    low = Owners(least_price=PRICE + 1)
    bid = low.bid("dave", PRICE)
    low.refused("charters.price_too_low", "alice", charters.Propose(low.asset, charters.SellWhole(bid)))
    low.refused("charters.price_too_low", "alice", charters.Propose(low.asset, charters.SellWhole(bid, PRICE + 1)))


def test_slivers_gifts_and_moves_inside_an_organization_name_no_price() -> None:
    """The attack: the few name an absurd price by selling a sliver to themselves, so that nothing is ever sold."""
    world = Owners()
    world.transfer("alice", world.share(500), "alan", 10_000_000)
    world.transfer("carol", world.share(99), "dave", 10_000_000)
    world.transfer("carol", world.share(200), "bob")
    assert world.query("charters.get", asset=world.asset.hex()).fair_price == 0
    world.transfer("carol", world.share(100), "dave", 10_000)
    assert world.query("charters.get", asset=world.asset.hex()).fair_price == PRICE


def test_prices_count_for_half_a_year_and_take_bounded_room() -> None:
    world = Owners()
    for week in range(WEEKS + 5):
        world.transfer("alice", world.share(100), "dave" if week % 2 == 0 else "bob", 10_000 - week)
        world.advance(WEEK_MS)
    record = SHARE_PRICES.get(world.view, world.asset)
    assert record is not None
    assert len(record.weeks) == WEEKS
    assert world.query("charters.get", asset=world.asset.hex()).fair_price == 100 * (10_000 - 6)
    world.advance(172 * DAY_MS)
    assert world.query("charters.get", asset=world.asset.hex()).fair_price > 0
    world.advance(10 * DAY_MS)
    assert world.query("charters.get", asset=world.asset.hex()).fair_price == 0
    world.check_laws()


def test_a_buyer_who_withdraws_at_the_last_moment_costs_a_vote_and_nothing_else() -> None:
    """The attack: a buyer's escrow is withdrawn just before the vote that decides."""
    world = Owners()
    offer = world.bid("dave", PRICE)
    proposal = world.propose("alice", charters.SellWhole(offer))
    world.vote(proposal, "alice")
    held = world.balance("dave")
    world.do("dave", market.WithdrawOffer(offer))
    assert world.balance("dave") == held + PRICE
    world.vote(proposal, "bob")
    assert world.fate(proposal) == ("failed", "market.unknown_offer")
    assert len(ownership(world.view, world.asset).shares) == 3
    world.check_laws()


def test_which_offers_can_be_voted_on() -> None:
    world = Owners()
    short = world.bid("dave", PRICE, lasts_ms=PERIOD_MS)
    world.refused("charters.offer_too_short", "alice", charters.Propose(world.asset, charters.SellWhole(short)))
    other = world.register("alice", "B")
    world.refused("charters.no_charter", "alice", charters.Propose(other, charters.SellWhole(short)))
    expiring = world.bid("dave", PRICE, lasts_ms=DAY_MS)
    share = world.share(2_000)
    condition = market.Condition(duties=bytes(32))
    world.refused(
        "market.condition_changed",
        "dave",
        market.MakeOffer(share, PRICE, world.now_ms + DAY_MS, condition, world.accounts["carol"]),
    )
    world.now_ms += DAY_MS  # its deadline is still to be swept
    world.refused("market.offer_expired", "alice", charters.Propose(world.asset, charters.SellWhole(expiring)))


def test_an_offer_on_a_share_is_none_on_the_whole() -> None:
    from ledger.modules.market.conditions import condition_of

    world = Owners()
    share = world.share(2_000)
    operation = market.MakeOffer(
        share, PRICE, world.now_ms + 5 * DAY_MS, condition_of(world.view, share), world.accounts["carol"]
    )
    world.do("dave", operation)
    offer = market.offer_id(world.transaction_id, share, world.accounts["carol"])
    world.refused("market.not_the_holder", "alice", charters.Propose(world.asset, charters.SellWhole(offer)))


def test_a_frozen_owner_is_sold_with_the_others_and_its_price_waits() -> None:
    """A recovery freezes what leaves an account; it cannot keep the others from selling, and nothing leaves it."""
    world = Owners(("alan", 2_500))
    offer = world.bid("dave", PRICE)
    world.do("alice", RequestRecovery(world.accounts["alan"], seed_key("new").public_key))
    proposal = world.propose("alice", charters.SellWhole(offer))
    world.vote(proposal, "alice")
    assert world.fate(proposal) == ("executed", "")
    assert world.owed("alan", world.asset) == (PRICE - PRICE * 250 // 10_000) // 4
    world.check_laws()


def test_the_charter_holds_the_buyer_to_nothing() -> None:
    """The buyer is alone afterwards, and every vote is its own."""
    world = Owners(voted=("terms",))
    offer = world.bid("dave", PRICE)
    assert world.decide(charters.SellWhole(offer), "alice", "bob").state == "executed"
    proposal = world.propose("dave", charters.ChangeCharter(a_charter()))
    world.vote(proposal, "dave")
    assert world.fate(proposal)[0] == "executed"
    world.check_laws()


# --- shares that are in other sales


def test_a_share_that_is_listed_delays_the_sale_of_the_whole_and_does_not_stop_it() -> None:
    """The attack: one of the few keeps its share listed at a price that nobody pays, so that the whole cannot be
    sold."""
    world = Owners()
    listing = market.List(world.share(500), PRICE * 10, world.now_ms + 10 * DAY_MS)
    world.do("carol", listing)
    offer = world.bid("dave", PRICE)
    proposal = world.propose("alice", charters.SellWhole(offer))
    events = world.vote(proposal, "alice", "bob")
    assert world.fate(proposal) == ("selling", "")
    assert type(events[-1]).__name__ == "SaleWaiting"
    assert world.query("charters.proposal", proposal=proposal.hex()).state == "selling"
    again = market.List(world.share(500), PRICE, world.now_ms + 20 * DAY_MS)
    world.refused("charters.sale_pending", "carol", again)
    world.refused("market.unknown_offer", "dave", market.WithdrawOffer(offer))
    world.check_laws()
    for _ in range(9):
        world.advance(DAY_MS)
    assert world.fate(proposal)[0] == "selling"
    for _ in range(2):
        world.advance(DAY_MS)
    assert world.fate(proposal) == ("executed", "")
    assert [share.account for share in ownership(world.view, world.asset).shares] == [world.accounts["dave"]]
    world.check_laws()


def test_who_buys_a_locked_share_while_a_sale_waits_is_not_sold_below_what_it_paid() -> None:
    """The attack: decide to sell the whole to a friend for little, and sell somebody a share of it while that waits."""
    world = Owners(("bob", 3_000), drag_along_bps=6_667)
    pending = world.give_transfer("alice", world.share(1_000), "carol", PRICE)
    held = world.balance("dave")
    proposal = world.propose("alice", charters.SellWhole(world.bid("dave", PRICE)))
    world.vote(proposal, "alice")
    assert world.fate(proposal) == ("selling", "")
    world.do("carol", transfers.Accept(pending, PRICE))
    world.advance(DAY_MS)
    assert world.fate(proposal) == ("failed", "charters.price_too_low")
    assert world.balance("dave") == held
    assert len(ownership(world.view, world.asset).shares) == 3
    fair = world.decide(charters.SellWhole(world.bid("dave", 10 * PRICE)), "alice", "bob")
    assert fair.state == "executed"
    world.check_laws()


def test_a_decided_sale_that_cannot_be_done_any_more_returns_its_price() -> None:
    world = Owners()
    world.do("carol", market.List(world.share(500), PRICE, world.now_ms + 2 * DAY_MS))
    held = world.balance("dave")
    offer = world.bid("dave", PRICE)
    proposal = world.propose("alice", charters.SellWhole(offer))
    world.vote(proposal, "alice", "bob")
    other = world.bid("dave", PRICE)
    world.refused("charters.sale_pending", "alice", charters.Propose(world.asset, charters.SellWhole(other)))
    world.do("dave", market.WithdrawOffer(other))
    world.add_version("alice", world.asset, "another version")
    for _ in range(3):
        world.advance(DAY_MS)
    assert world.fate(proposal) == ("failed", "market.condition_changed")
    assert world.balance("dave") == held
    assert len(ownership(world.view, world.asset).shares) == 3
    world.check_laws()


def test_what_it_costs_to_stop_a_sale_with_a_friend_for_half_a_year() -> None:
    """The figure of ADR 24: the fee on one percent of the price that the friends name, when the credits go back."""
    world = Owners()
    before = world.treasury
    world.transfer("carol", world.share(100), "dave", PRICE // 100)
    assert world.treasury - before == 250
    assert world.query("charters.get", asset=world.asset.hex()).fair_price == PRICE


def test_the_whole_is_put_up_in_the_market_at_the_fair_price_or_above() -> None:
    """No consents: the vote is what all of them would be. The listing is in the proposer's name."""
    world = Owners(least_price=PRICE)
    ends = world.now_ms + 20 * DAY_MS
    world.refused("charters.price_too_low", "bob", charters.Propose(world.asset, charters.ListWhole(PRICE - 1, ends)))
    proposal = world.propose("bob", charters.ListWhole(PRICE, ends))
    world.vote(proposal, "alice")
    assert world.fate(proposal)[0] == "open"
    world.vote(proposal, "bob")
    assert world.fate(proposal) == ("executed", "")
    listing = market.listing_id(proposal, Thing("asset", world.asset))
    salt = bytes(16)
    world.do("dave", market.Commit(market.commitment(listing, world.accounts["dave"], salt)))
    world.advance(world.parameters.commitment_age_ms)
    world.do("dave", market.Buy(listing, PRICE, salt))
    assert [share.account for share in ownership(world.view, world.asset).shares] == [world.accounts["dave"]]
    assert world.owed("carol", world.asset) == (PRICE - PRICE * 250 // 10_000) // 5
    world.check_laws()


def test_who_has_sold_its_share_is_not_paid_for_the_whole_that_was_put_up_in_its_name() -> None:
    """The attack: propose to list the whole, sell all shares to one buyer, and decide with the votes of before."""
    world = Owners()
    proposal = world.propose("alice", charters.ListWhole(PRICE, world.now_ms + 20 * DAY_MS))
    world.transfer("bob", world.share(3_000), "carol", 1_000)
    world.transfer("alice", world.share(5_000), "carol", 1_000)
    world.vote(proposal, "alice", "bob")
    assert world.fate(proposal) == ("executed", "")
    listing = market.listing_id(proposal, Thing("asset", world.asset))
    salt = bytes(16)
    world.do("dave", market.Commit(market.commitment(listing, world.accounts["dave"], salt)))
    world.advance(world.parameters.commitment_age_ms)
    before = world.balance("alice")
    world.do("dave", market.Buy(listing, PRICE, salt))
    assert world.balance("alice") == before
    assert world.owed("carol", world.asset) == PRICE - PRICE * 250 // 10_000
    world.check_laws()


def test_a_share_is_not_bought_under_another_charter_than_the_buyer_saw() -> None:
    """The attack: list a share, and change the charter to the buyer's disadvantage before it is bought."""
    world = Owners()
    listed = market.List(world.share(500), 1_000, world.now_ms + 20 * DAY_MS)
    world.do("carol", listed)
    listing = market.listing_id(world.transaction_id, world.share(500))
    assert world.decide(charters.ChangeCharter(a_charter(treasury_bps=5_000)), "alice", "bob").state == "executed"
    world.refused("market.condition_changed", "dave", market.Buy(listing, 1_000))


def test_what_a_dispute_takes_back_is_not_sold_by_votes_of_before() -> None:
    """The attack: who is about to lose a stolen asset decides to sell it, keeps a share locked, and the sale waits."""
    court = Court()
    asset = court.register("alice", "A", charter=a_charter(treasury_bps=5_000))
    court.license("alice", asset, "carol", USE)
    dispute = court.file_against("bob", asset, "transfer_back", 70_000)
    court.decide(dispute, uphold=True)
    whole = Thing("asset", asset)
    lasts_ms = court.now_ms + 5 * DAY_MS
    court.do("dave", market.MakeOffer(whole, 1_000, lasts_ms, condition_of(court.view, whole)))
    offer = market.offer_id(court.transaction_id, whole)
    paid = court.balance("dave")
    court.give_transfer("alice", Thing("share", asset, 5), "erin", 900)
    proposals = []
    for action in (charters.Pay(court.accounts["alan"], 5), charters.SellWhole(offer)):
        court.do("alice", charters.Propose(asset, action))
        proposals.append(charters.proposal_id(court.transaction_id, asset, action))
    court.do("alice", charters.Vote(proposals[1], approve=True))

    def fates() -> list[tuple[str, str]]:
        records = [PROPOSALS.get(court.view, identifier) for identifier in proposals]
        return [(record.state, record.code) for record in records if record is not None]

    assert fates() == [("open", ""), ("selling", "")]
    for _ in range(60):
        court.advance(HOUR_MS)
    assert [share.account for share in ownership(court.view, asset).shares] == [court.accounts["bob"]]
    assert fates() == [("open", ""), ("failed", "market.condition_changed")]
    assert court.balance("dave") == paid + 1_000
    court.do("alice", charters.Vote(proposals[0], approve=True))
    assert fates()[0] == ("failed", "charters.lapsed")
    action = charters.Dissolve()
    court.do("bob", charters.Propose(asset, action))
    court.do("bob", charters.Vote(charters.proposal_id(court.transaction_id, asset, action), approve=True))
    assert court.owed("bob", asset) == 975_000 // 2, "the treasury came with it"
    court.check_laws()
