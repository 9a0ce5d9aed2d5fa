"""The market at fixed prices: listings of assets, shares and grants, and what is asked about them."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import LedgerError
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Terms
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import LICENSED_TERMS_MAX, condition_of
from ledger.modules.market.prices import open_prices
from ledger.modules.market.records import AUCTIONS, BestBid, English
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from ledger.state.view import Readable
from primitives.codec import CodecError, decode, encode
from primitives.identifiers import account_to_text
from tests.unit.market_kit import EXCLUSIVE, TOKEN, Bazaar, replaced, tags
from tests.unit.modules_kit import COMMITMENT_AGE_MS, SUPPLY_EACH, World

USE = Terms(rights=("download",), price=100)


def test_a_listed_asset_is_sold_with_everything_that_is_paid_for_it() -> None:
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.whole, 1_000)
    events = bazaar.buy_listed("bob", listing)
    assert tags(events)[-2:] == ["transfers.conveyed", "market.bought"]
    assert bazaar.owners() == {"bob": 10_000}
    assert bazaar.balance("bob") == SUPPLY_EACH - 1_000
    assert bazaar.balance("alice") == SUPPLY_EACH + 975
    assert not bazaar.locked()
    bazaar.refused("market.unknown_listing", "carol", market.Buy(listing, 1_000))
    bazaar.check_laws()


def test_a_listed_share_is_sold_without_a_commitment() -> None:
    """Of shares there are more; only what exists once is bought by commitment and reveal."""
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(2_500))
    assert not bazaar.query("market.listing", listing=listing.hex()).commitment_required
    bazaar.do("bob", market.Buy(listing, 1_000))
    assert bazaar.owners() == {"alice": 7_500, "bob": 2_500}
    bazaar.check_laws()


def test_a_listed_grant_is_sold_and_stays_the_same_token() -> None:
    bazaar = Bazaar()
    grant = bazaar.grant()
    before = bazaar.query("licenses.grant", grant=grant.id.hex())
    listing = bazaar.put_up("bob", grant, 700)
    bazaar.check_laws()
    bazaar.do("carol", market.Buy(listing, 700))
    after = bazaar.query("licenses.grant", grant=grant.id.hex())
    assert bazaar.holder(grant) == "carol"
    assert (after.edition, after.end_ms, after.terms_digest) == (before.edition, before.end_ms, before.terms_digest)
    assert bazaar.check("carol", bazaar.asset, "inference").allowed
    assert not bazaar.check("bob", bazaar.asset, "inference").allowed
    bazaar.check_laws()


# --- commitment and reveal


def test_a_whole_asset_is_bought_by_commitment_and_reveal() -> None:
    """E1. The attack: a validator sees the purchase before it is ordered, and buys first."""
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.whole)
    assert bazaar.query("market.listing", listing=listing.hex()).commitment_required
    bazaar.refused("market.commitment_required", "bob", market.Buy(listing, 1_000))
    salt = bazaar.salt("bob")
    bazaar.refused("market.commitment_missing", "bob", market.Buy(listing, 1_000, salt))
    commit = market.Commit(market.commitment(listing, bazaar.accounts["bob"], salt))
    bazaar.do("bob", commit)
    bazaar.refused("market.commitment_exists", "bob", commit)
    bazaar.do("carol", commit)  # copying it helps nobody: the account is in it
    bazaar.advance(COMMITMENT_AGE_MS - 1)
    bazaar.refused("market.commitment_too_young", "bob", market.Buy(listing, 1_000, salt))
    bazaar.advance(1)
    bazaar.refused("market.commitment_missing", "carol", market.Buy(listing, 1_000, salt))
    bazaar.do("bob", market.Buy(listing, 1_000, salt))
    assert bazaar.owners() == {"bob": 10_000}


def test_of_all_who_committed_exactly_one_gets_it() -> None:
    """E1: a double sale; whoever is ordered first wins, and the others keep their credits."""
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.whole)
    salts = {who: bazaar.committed(who, listing) for who in ("bob", "carol", "dave")}
    bazaar.do("dave", market.Buy(listing, 1_000, salts["dave"]))
    for who in ("bob", "carol"):
        bazaar.refused("market.unknown_listing", who, market.Buy(listing, 1_000, salts[who]))
        assert bazaar.balance(who) == SUPPLY_EACH
    bazaar.check_laws()


def test_commitments_expire_and_return_their_quota() -> None:
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.whole, lifetime_ms=3 * DAY_MS)
    before = bazaar.used()
    salt = bazaar.committed("bob", listing)
    assert bazaar.used() != before
    bazaar.advance(DAY_MS)
    bazaar.refused("market.commitment_missing", "bob", market.Buy(listing, 1_000, salt))
    assert bazaar.used() == before


@pytest.mark.parametrize(
    ("terms", "required"),
    [
        (TOKEN, False),
        (replaced(TOKEN, exclusivity="sole"), False),
        (EXCLUSIVE, True),
        (replaced(TOKEN, editions_max=1), True),
        (replaced(TOKEN, editions_max=2), False),
    ],
)
def test_an_exclusive_grant_and_one_of_a_sold_out_edition_are_bought_by_commitment(
    terms: Terms, required: bool
) -> None:
    bazaar = Bazaar()
    listing = bazaar.put_up("bob", bazaar.grant(terms=terms), 700)
    assert bazaar.query("market.listing", listing=listing.hex()).commitment_required == required
    if required:
        bazaar.refused("market.commitment_required", "carol", market.Buy(listing, 700))
        bazaar.buy_listed("carol", listing, 700)
    else:
        bazaar.do("carol", market.Buy(listing, 700))
    bazaar.check_laws()


def test_when_the_last_edition_is_sold_what_is_listed_of_it_needs_a_commitment() -> None:
    bazaar = Bazaar()
    terms = replaced(TOKEN, editions_max=2)
    listing = bazaar.put_up("bob", bazaar.grant(terms=terms), 700)
    offer = bazaar.offer("alice", bazaar.asset, terms)
    bazaar.buy("dave", offer, terms, committed=True)
    bazaar.refused("market.commitment_required", "carol", market.Buy(listing, 700))


def test_an_edition_that_came_back_can_be_bought_again_and_nobody_need_be_first() -> None:
    bazaar = Bazaar()
    terms = replaced(TOKEN, editions_max=2)
    listing = bazaar.put_up("bob", bazaar.grant(terms=terms), 700, 3 * DAY_MS)
    bazaar.add_version("alice", bazaar.asset, "A 2")
    waiting = bazaar.offer("alice", bazaar.asset, terms)
    bazaar.buy("dave", waiting, terms, committed=True)
    bazaar.refused("market.commitment_required", "carol", market.Buy(listing, 700))
    bazaar.advance(bazaar.parameters.escrow_timeout_ms)
    bazaar.do("carol", market.Buy(listing, 700))
    bazaar.check_laws()


# --- who buys from whom, at what price


def test_the_sellers_organization_is_refused() -> None:
    """E6: one transfers inside an organization; a price paid from one pocket into the other says nothing."""
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(100))
    bazaar.refused("market.own_organization", "alice", market.Buy(listing, 1_000))
    bazaar.refused("market.own_organization", "alan", market.Buy(listing, 1_000))


def test_of_a_co_owned_asset_every_owners_organization_is_refused() -> None:
    bazaar = Bazaar()
    bazaar.co_owned(("bob", 4_000))
    operation = market.List(bazaar.whole, 1_000, bazaar.now_ms + DAY_MS)
    bazaar.consent("bob", operation)
    bazaar.do("alice", operation)
    listing = market.listing_id(bazaar.transaction_id, bazaar.whole)
    for who in ("alice", "alan", "bob"):
        bazaar.refused("market.own_organization", who, market.Buy(listing, 1_000))


def test_a_co_owner_may_buy_the_share_of_another() -> None:
    bazaar = Bazaar()
    bazaar.co_owned(("bob", 4_000))
    listing = bazaar.put_up("alice", bazaar.share(6_000))
    bazaar.do("bob", market.Buy(listing, 1_000))
    assert bazaar.owners() == {"bob": 10_000}
    bazaar.check_laws()


def test_a_validator_cannot_buy() -> None:
    """What its account received would be stranded: its key signs statements only."""
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(100))
    bazaar.do("bob", Transfer(bazaar.accounts["carol"], 5_000))
    bazaar.refused("organizations.key_not_allowed", bazaar.validators[1], market.Buy(listing, 1_000), role="validator")
    bazaar.refused("transfers.invalid_recipient", bazaar.validators[1], market.Buy(listing, 1_000))


@pytest.mark.parametrize("role", ["operator", "release", "validator"])
def test_only_owner_keys_trade(role: str) -> None:
    bazaar = Bazaar()
    end_ms = bazaar.now_ms + DAY_MS
    condition = market.Condition()
    for operation in (
        market.Commit(bytes(32)),
        market.List(bazaar.whole, 1, end_ms),
        market.Buy(bytes(32), 1),
        market.WithdrawListing(bytes(32)),
        market.MakeOffer(bazaar.whole, 1, end_ms, condition),
        market.AcceptOffer(bytes(32)),
        market.WithdrawOffer(bytes(32)),
        market.OpenAuction(bazaar.whole, 1, 1, end_ms, 1),
        market.Bid(bytes(32), 1),
        market.OpenDutchAuction(bazaar.whole, 2, 1, 1, end_ms),
        market.Take(bytes(32), 1),
        market.CancelAuction(bytes(32)),
        market.Settle(bytes(32)),
    ):
        bazaar.refused("organizations.key_not_allowed", "alice", operation, role=role)


def test_a_buyer_pays_no_more_than_it_says_and_cannot_pay_what_it_has_not() -> None:
    """E5: price, royalties and thing move together or not at all."""
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(100))
    bazaar.refused("market.price_above_max", "bob", market.Buy(listing, 999))
    bazaar.do("bob", Transfer(bazaar.accounts["carol"], SUPPLY_EACH - 999))
    bazaar.refused("credits.insufficient", "bob", market.Buy(listing, 1_000))
    bazaar.do("carol", Transfer(bazaar.accounts["bob"], 1))
    bazaar.do("bob", market.Buy(listing, 1_000))
    assert bazaar.balance("bob") == 0
    bazaar.check_laws()


@pytest.mark.parametrize("price", [0, -1, 2**63, True, 1.0])
def test_a_price_is_a_positive_amount(price: Any) -> None:
    """E4: 0, negative, 2^63, bool and float amounts do not decode."""
    thing = Thing("asset", bytes(32))
    for operation in (
        market.List(thing, price, 1),
        market.MakeOffer(thing, price, 1, market.Condition()),
        market.Bid(bytes(32), price),
        market.OpenAuction(thing, 0, price, 1, 0),
        market.OpenDutchAuction(thing, price, 1, 1, 1),
        market.OpenDutchAuction(thing, 2, price, 1, 1),
    ):
        with pytest.raises(CodecError):
            decode(encode(operation), type(operation))


@pytest.mark.parametrize("price", [-1, 2**63, True, 1.0])
def test_a_bound_on_a_price_is_an_amount(price: Any) -> None:
    """E4."""
    for operation in (
        market.Buy(bytes(32), price),
        market.Take(bytes(32), price),
        market.AcceptOffer(bytes(32), price),
        market.OpenAuction(Thing("asset", bytes(32)), price, 1, 1, 0),
    ):
        with pytest.raises(CodecError):
            decode(encode(operation), type(operation))


def test_a_price_that_royalties_exceed_is_not_paid() -> None:
    bazaar = Bazaar(transfer_terms=assets.TransferTerms(resale_royalty_bps=100, least_royalty=5_000))
    listing = bazaar.put_up("alice", bazaar.whole, 5_100)
    salt = bazaar.committed("bob", listing)
    bazaar.refused("royalties.uncovered", "bob", market.Buy(listing, 5_100, salt))
    bazaar.do("alice", market.WithdrawListing(listing))
    bazaar.buy_listed("bob", bazaar.put_up("alice", bazaar.whole, 6_000), 6_000)
    assert bazaar.owed("alice", bazaar.asset) == 5_000
    bazaar.check_laws()


# --- what can be listed


def test_only_a_holder_lists_and_what_it_holds() -> None:
    bazaar = Bazaar()
    grant = bazaar.grant("bob")
    end_ms = bazaar.now_ms + DAY_MS
    bazaar.refused("assets.not_an_owner", "bob", market.List(bazaar.whole, 1, end_ms))
    bazaar.refused("transfers.not_the_holder", "bob", market.List(bazaar.share(1), 1, end_ms))
    bazaar.refused("transfers.not_the_holder", "alice", market.List(grant, 1, end_ms))
    bazaar.refused("transfers.share_bps", "alice", market.List(bazaar.share(10_000), 1, end_ms))
    bazaar.refused("assets.unknown_asset", "alice", market.List(Thing("asset", bytes(32)), 1, end_ms))
    bazaar.refused("licenses.unknown_grant", "alice", market.List(Thing("grant", bytes(32)), 1, end_ms))
    fixed = bazaar.grant("carol", replaced(TOKEN, transferable=False))
    bazaar.refused("transfers.not_transferable", "carol", market.List(fixed, 1, end_ms))


def test_a_co_owned_asset_is_listed_with_all_consents_only() -> None:
    bazaar = Bazaar()
    bazaar.co_owned(("bob", 3_000), ("carol", 3_000))
    operation = market.List(bazaar.whole, 10_000, bazaar.now_ms + DAY_MS)
    bazaar.consent("bob", operation)
    bazaar.refused("assets.consent_missing", "alice", operation)
    bazaar.consent("carol", operation)
    bazaar.refused("assets.consent_missing", "alice", replaced(operation, price=9_999))
    bazaar.do("alice", operation)
    listing = market.listing_id(bazaar.transaction_id, bazaar.whole)
    bazaar.buy_listed("dave", listing, 10_000)
    assert bazaar.owners() == {"dave": 10_000}
    assert [bazaar.owed(who, bazaar.asset) for who in ("alice", "bob", "carol")] == [3_900, 2_925, 2_925]
    bazaar.check_laws()


def test_nothing_is_sold_before_a_quorum_holds_it() -> None:
    bazaar = Bazaar(held=False)
    end_ms = bazaar.now_ms + DAY_MS
    bazaar.refused("transfers.not_available", "alice", market.List(bazaar.whole, 1, end_ms))
    bazaar.refused("transfers.not_available", "alice", market.OpenAuction(bazaar.whole, 1, 1, end_ms, 0))
    bazaar.refused("transfers.not_available", "alice", market.OpenDutchAuction(bazaar.whole, 2, 1, 1, end_ms))
    bazaar.hold(bazaar.asset)
    bazaar.do("alice", market.List(bazaar.whole, 1, end_ms))


def test_what_was_derived_under_a_non_commercial_license_is_not_sold() -> None:
    bazaar = Bazaar()
    terms = Terms(rights=("train-on",), price=0, derivatives="yes")
    grant = bazaar.license("alice", bazaar.asset, "bob", terms)
    child = bazaar.register("bob", "B", derivations=[assets.Derivation(bazaar.asset, "train-on", grant)])
    end_ms = bazaar.now_ms + DAY_MS
    for thing in (Thing("asset", child), Thing("share", child, 100)):
        bazaar.refused("transfers.non_commercial", "bob", market.List(thing, 1, end_ms))
        bazaar.refused("transfers.non_commercial", "bob", market.OpenAuction(thing, 1, 1, end_ms, 0))
        bazaar.refused("transfers.non_commercial", "bob", market.OpenDutchAuction(thing, 2, 1, 1, end_ms))
        offer = bazaar.offer_operation(thing, 5, "bob" if thing.kind == "share" else None)
        bazaar.refused("transfers.non_commercial", "carol", offer)


def test_a_retired_asset_is_not_sold() -> None:
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(100))
    bazaar.do("alice", assets.Retire(bazaar.asset))
    bazaar.refused("assets.retired", "bob", market.Buy(listing, 1_000))
    bazaar.refused("assets.retired", "alice", market.List(bazaar.whole, 1, bazaar.now_ms + 1))
    assert not bazaar.query("market.listing", listing=listing.hex()).open
    bazaar.do("alice", market.WithdrawListing(listing))
    bazaar.check_laws()


# --- locks


def test_a_listed_asset_is_in_nothing_else_and_stays_as_it_is() -> None:
    bazaar = Bazaar()
    offer = bazaar.offer("alice", bazaar.asset, USE)
    listing = bazaar.put_up("alice", bazaar.whole)
    end_ms = bazaar.now_ms + 1
    for thing in (bazaar.whole, bazaar.share(1)):
        bazaar.refused("assets.locked", "alice", market.List(thing, 1, end_ms))
        bazaar.refused("assets.locked", "alice", market.OpenAuction(thing, 1, 1, end_ms, 0))
        bazaar.refused("assets.locked", "alice", market.OpenDutchAuction(thing, 2, 1, 1, end_ms))
        bazaar.refused("assets.locked", "alice", transfers.OfferGift(thing, bazaar.accounts["bob"], end_ms))
    bazaar.refused("assets.locked", "carol", bazaar.purchase_operation(offer, USE))
    bazaar.refused("assets.locked", "alice", assets.Retire(bazaar.asset))
    bazaar.refused("assets.locked", "alice", assets.SetManager(bazaar.asset, bazaar.accounts["carol"]))
    bazaar.do("alice", market.WithdrawListing(listing))
    bazaar.buy("carol", offer, USE)


def test_shares_are_in_one_sale_as_far_as_they_go() -> None:
    bazaar = Bazaar()
    listings = [bazaar.put_up("alice", bazaar.share(bps)) for bps in (4_000, 5_000)]
    end_ms = bazaar.now_ms + 1
    bazaar.refused("transfers.locked", "alice", market.List(bazaar.share(1_001), 1, end_ms))
    bazaar.refused("transfers.shares_locked", "alice", market.List(bazaar.whole, 1, end_ms))
    bazaar.put_up("alice", bazaar.share(1_000))
    bazaar.check_laws()
    bazaar.do("bob", market.Buy(listings[0], 1_000))
    bazaar.refused("transfers.locked", "alice", market.List(bazaar.share(1), 1, end_ms))
    bazaar.do("alice", market.WithdrawListing(listings[1]))
    bazaar.put_up("alice", bazaar.share(5_000))
    bazaar.check_laws()


def test_a_listed_grant_is_in_nothing_else() -> None:
    bazaar = Bazaar()
    grant = bazaar.grant()
    bazaar.put_up("bob", grant)
    end_ms = bazaar.now_ms + 1
    bazaar.refused("transfers.locked", "bob", market.List(grant, 1, end_ms))
    bazaar.refused("transfers.locked", "bob", market.OpenAuction(grant, 1, 1, end_ms, 0))
    bazaar.refused("transfers.locked", "bob", transfers.OfferGift(grant, bazaar.accounts["carol"], end_ms))


def test_one_transaction_puts_a_thing_up_once() -> None:
    bazaar = Bazaar()
    operation = market.List(bazaar.share(100), 1, bazaar.now_ms + 1)
    bazaar.refused("market.sale_exists", "alice", operation, operation)
    auction = market.OpenAuction(bazaar.share(100), 1, 1, bazaar.now_ms + 1, 0)
    bazaar.refused("market.sale_exists", "alice", auction, auction)
    bazaar.do("alice", operation, auction)
    bazaar.check_laws()


# --- the end of a listing


@pytest.mark.parametrize(("ahead_ms", "code"), [(0, True), (1, False), (30 * DAY_MS, False), (30 * DAY_MS + 1, True)])
def test_a_listing_ends_within_the_time_that_the_network_allows(ahead_ms: int, code: bool) -> None:
    bazaar = Bazaar()
    operation = market.List(bazaar.share(100), 1, bazaar.now_ms + ahead_ms)
    if code:
        bazaar.refused("market.end_out_of_range", "alice", operation)
    else:
        bazaar.do("alice", operation)


def test_a_listing_expires_to_the_millisecond_whether_swept_or_not() -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    listing = bazaar.put_up("alice", bazaar.share(100), lifetime_ms=5_000)
    bazaar.advance(4_999)
    assert bazaar.query("market.listing", listing=listing.hex()).open
    bazaar.advance(1, limit=0)
    assert not bazaar.query("market.listing", listing=listing.hex()).open
    bazaar.refused("market.listing_expired", "bob", market.Buy(listing, 1_000))
    events = bazaar.advance(0)
    assert tags(events) == ["market.listing_ended"]
    assert events[0].reason == "expired"
    assert bazaar.used() == before
    bazaar.check_laws()


def test_a_listing_can_be_bought_until_its_last_millisecond() -> None:
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(100), lifetime_ms=5_000)
    bazaar.advance(4_999)
    bazaar.do("bob", market.Buy(listing, 1_000))


def test_only_the_seller_withdraws_and_its_quota_returns() -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    listing = bazaar.put_up("alice", bazaar.whole)
    assert bazaar.used() != before
    for who in ("bob", "alan"):
        bazaar.refused("market.not_the_seller", who, market.WithdrawListing(listing))
    events = bazaar.do("alice", market.WithdrawListing(listing))
    assert (tags(events), events[0].reason) == (["market.listing_ended"], "withdrawn")
    assert bazaar.used() == before
    bazaar.refused("market.unknown_listing", "alice", market.WithdrawListing(listing))


# --- nobody gets something worse


def test_a_share_is_not_sold_after_an_exclusive_license_was() -> None:
    """The attack: list a share, and sell the asset out to a friend, so that the buyer gets a part of nothing."""
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(5_000))
    bazaar.license("alice", bazaar.asset, "bob", USE)
    assert bazaar.query("market.listing", listing=listing.hex()).open
    bazaar.license("alice", bazaar.asset, "carol", EXCLUSIVE)
    assert not bazaar.query("market.listing", listing=listing.hex()).open
    bazaar.refused("market.condition_changed", "dave", market.Buy(listing, 1_000))
    bazaar.check_laws()


def test_a_share_is_not_sold_after_a_new_parent_but_after_a_new_version() -> None:
    """A version with a dear parent takes from every owner; a version alone is daily work."""
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(5_000))
    bazaar.add_version("alice", bazaar.asset, "A2")
    bazaar.hold(bazaar.asset, 2)
    assert bazaar.query("market.listing", listing=listing.hex()).open
    bazaar.add_version("alice", bazaar.asset, "A3", derivations=[bazaar.dear_parent()])
    bazaar.hold(bazaar.asset, 3)
    bazaar.refused("market.condition_changed", "bob", market.Buy(listing, 1_000))


def test_a_grant_is_not_sold_when_some_of_it_was_used_meanwhile() -> None:
    bazaar = Bazaar()
    terms = Terms(
        rights=("train-on",), price=0, transferable=True, derivatives="yes", quota=2, quota_unit="trainings",
        commercial=True,
    )  # fmt: skip
    grant = bazaar.grant(terms=terms)
    listing = bazaar.put_up("bob", grant)
    bazaar.register("bob", "B", derivations=[assets.Derivation(bazaar.asset, "train-on", grant.id)])
    bazaar.refused("market.condition_changed", "carol", market.Buy(listing, 1_000))
    bazaar.do("bob", market.WithdrawListing(listing))
    bazaar.do("carol", market.Buy(bazaar.put_up("bob", grant), 1_000))


def test_a_grant_that_ended_meanwhile_is_not_sold() -> None:
    bazaar = Bazaar()
    listing = bazaar.put_up("bob", bazaar.grant(terms=replaced(TOKEN, term_ms=5_000)))
    bazaar.advance(5_000)
    assert not bazaar.query("market.listing", listing=listing.hex()).open
    bazaar.refused("transfers.grant_not_live", "carol", market.Buy(listing, 1_000))


def test_who_may_not_hold_a_grant_cannot_buy_it() -> None:
    bazaar = Bazaar()
    terms = replaced(TOKEN, credentials=("organization:org-bob", "organization:org-dave"))
    listing = bazaar.put_up("bob", bazaar.grant(terms=terms))
    bazaar.refused("licenses.credential_missing", "carol", market.Buy(listing, 1_000))
    bazaar.refused("licenses.self_purchase", "alice", market.Buy(listing, 1_000))
    bazaar.do("dave", market.Buy(listing, 1_000))


def test_the_search_for_terms_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LICENSED_TERMS_MAX == 1_000
    monkeypatch.setattr("ledger.modules.market.conditions.LICENSED_TERMS_MAX", 1)
    bazaar = Bazaar()
    bazaar.license("alice", bazaar.asset, "bob", USE)
    listing = bazaar.put_up("alice", bazaar.share(10))
    bazaar.license("alice", bazaar.asset, "bob", TOKEN)
    bazaar.refused("market.too_many_terms", "alice", market.List(bazaar.share(1), 1, bazaar.now_ms + 1))
    bazaar.refused("market.too_many_terms", "carol", market.Buy(listing, 1_000))
    assert not bazaar.query("market.listing", listing=listing.hex()).open
    with pytest.raises(LedgerError):
        bazaar.query("market.condition", kind="asset", id=bazaar.asset.hex())


# --- questions


def test_listings_are_found_by_asset_by_seller_and_all() -> None:
    bazaar = Bazaar()
    other = bazaar.register("carol", "C")
    grant = bazaar.grant()
    mine = [bazaar.put_up("alice", bazaar.share(10 * n), n) for n in (1, 2, 3)]
    bobs, carols = bazaar.put_up("bob", grant), bazaar.put_up("carol", Thing("asset", other))

    def ids(**arguments: Any) -> list[str]:
        return [row.listing for row in bazaar.query("market.listings", **arguments)]

    assert ids(asset=bazaar.asset.hex()) == sorted(key.hex() for key in [*mine, bobs])
    assert ids(account=bazaar.text("alice")) == sorted(key.hex() for key in mine)
    assert ids() == sorted(key.hex() for key in [*mine, bobs, carols])
    whole = ids()
    assert ids(after=whole[1], limit=2) == whole[2:4]
    with pytest.raises(LedgerError):
        ids(asset=bazaar.asset.hex(), account=bazaar.text("alice"))
    shown = bazaar.query("market.listing", listing=bobs.hex())
    assert (shown.kind, shown.id, shown.asset, shown.seller, shown.price) == (
        "grant",
        grant.id.hex(),
        bazaar.asset.hex(),
        bazaar.text("bob"),
        1_000,
    )
    for name in ("listing", "offer", "auction"):
        with pytest.raises(LedgerError) as caught:
            bazaar.query(f"market.{name}", **{name: "00" * 32})
        assert caught.value.code == "query.not_found"


def test_prices_of_an_asset_are_what_can_be_bought_now() -> None:
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.share(100), 40, lifetime_ms=5_000)
    english = bazaar.auction("alice", bazaar.share(200))
    dutch = bazaar.dutch("alice", bazaar.share(300))
    rows = bazaar.query("market.prices", asset=bazaar.asset.hex())
    expected = {listing.hex(): ("fixed", 100, 40), english.hex(): ("english", 200, 500)}
    expected[dutch.hex()] = ("dutch", 300, 10_000)
    assert {row.sale: (row.format, row.bps, row.price) for row in rows} == expected
    assert [row.sale for row in rows] == sorted(expected)
    assert bazaar.query("market.prices", asset=bazaar.asset.hex(), after=rows[0].sale, limit=1) == rows[1:2]
    bazaar.do("bob", market.Bid(english, 600))
    bazaar.advance(5_000, limit=0)
    prices = {price.sale: price.price for price in open_prices(bazaar.view, bazaar.asset, bazaar.now_ms)}
    assert prices == {english: 700, dutch: 10_000}
    assert list(open_prices(bazaar.view, bytes(32), bazaar.now_ms)) == []


def test_a_list_finds_the_condition_of_a_thing_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take a thousand terms to find; whoever puts thousands of shares up, makes them unsellable and asks for
    prices must not keep the nodes busy."""
    bazaar = Bazaar()
    for number in range(6):
        bazaar.put_up("alice", bazaar.share(100 + number))
        bazaar.auction("alice", bazaar.share(200 + number))
        bazaar.bid_for("bob", bazaar.share(300 + number), holder="alice")
    asked: list[Thing] = []

    def counted(view: Readable, thing: Thing) -> market.Condition:
        asked.append(thing)
        return condition_of(view, thing)

    monkeypatch.setattr("ledger.modules.market.conditions.condition_of", counted)
    asset = bazaar.asset.hex()
    for name, arguments, found in (
        ("market.prices", {"asset": asset}, 12),
        ("market.listings", {"asset": asset}, 6),
        ("market.auctions", {"account": bazaar.text("alice")}, 6),
        ("market.offers", {"thing": asset}, 6),
    ):
        asked.clear()
        assert len(bazaar.query(name, **arguments)) == found
        assert len(asked) == 1, name


def test_an_auction_in_which_nobody_can_bid_more_has_no_price() -> None:
    """Prices fit 64 bits, in the search index too."""
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole, increment=SUPPLY_EACH, reserve=2**63 - 1)
    (price,) = open_prices(bazaar.view, bazaar.asset, bazaar.now_ms)
    assert price.price == 2**63 - 1
    bazaar.do("alice", market.CancelAuction(auction))
    auction = bazaar.auction("alice", bazaar.share(1), increment=2**63 - 1, reserve=0)
    assert [price.sale for price in open_prices(bazaar.view, bazaar.asset, bazaar.now_ms)] == [auction]
    record = AUCTIONS.get(bazaar.view, auction)
    assert record is not None
    assert isinstance(record.pricing, English)
    topped = replaced(record, pricing=replaced(record.pricing, best=BestBid(bazaar.accounts["bob"], 1, 0)))
    AUCTIONS.put(bazaar.view, topped, auction)
    assert list(open_prices(bazaar.view, bazaar.asset, bazaar.now_ms)) == []


def test_a_condition_is_asked_for_by_kind() -> None:
    bazaar = Bazaar()
    grant = bazaar.grant(terms=replaced(TOKEN, term_ms=DAY_MS))
    whole = bazaar.query("market.condition", kind="asset", id=bazaar.asset.hex()).condition
    share = bazaar.query("market.condition", kind="share", id=bazaar.asset.hex(), bps=5).condition
    token = bazaar.query("market.condition", kind="grant", id=grant.id.hex()).condition
    none = {"transfers": 0, "versions": 0, "terms": 0, "reserved": 0, "used": 0, "end_ms": None}
    assert len(bytes.fromhex(whole["duties"])) == 32
    assert whole == {**none, "duties": whole["duties"], "versions": 1, "terms": 1}
    assert share == {**none, "duties": whole["duties"]}
    assert token == {**none, "duties": None, "end_ms": bazaar.now_ms + DAY_MS}
    for arguments, code in (
        ({"kind": "shop", "id": "00" * 32}, "query.argument"),
        ({"kind": "share", "id": "00" * 32}, "query.argument"),
        ({"kind": "asset", "id": "00" * 32}, "query.not_found"),
        ({"kind": "grant", "id": "00" * 32}, "query.not_found"),
    ):
        with pytest.raises(LedgerError) as caught:
            bazaar.query("market.condition", **arguments)
        assert caught.value.code == code


def test_a_world_without_a_market_answers_with_empty_lists() -> None:
    world = World()
    assert world.query("market.listings") == world.query("market.auctions") == []
    assert world.query("market.offers", account=account_to_text(world.accounts["alice"])) == []
