"""Buyers' offers: escrow from the beginning, acceptance by the holder, automatic refund."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import LedgerError
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Terms
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import condition_of
from ledger.modules.organizations.quota import usage
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from tests.unit.market_kit import EXCLUSIVE, TOKEN, Bazaar, replaced, tags
from tests.unit.modules_kit import NAMES, SUPPLY_EACH, make_genesis

USE = Terms(rights=("download",), price=100)


@pytest.mark.parametrize("kind", ["asset", "share", "grant"])
def test_an_offer_is_accepted_by_the_holder_and_paid_from_escrow(kind: str) -> None:
    bazaar = Bazaar()
    thing = {"asset": lambda: bazaar.whole, "share": lambda: bazaar.share(4_000), "grant": lambda: bazaar.grant("bob")}[
        kind
    ]()
    holder = "bob" if kind == "grant" else "alice"
    before = {who: bazaar.balance(who) for who in (holder, "carol")}
    offer = bazaar.bid_for("carol", thing, 1_000, holder if kind == "share" else None)
    assert bazaar.balance("carol") == before["carol"] - 1_000
    bazaar.check_laws()
    events = bazaar.do(holder, market.AcceptOffer(offer, 1_000))
    assert tags(events)[-2:] == ["transfers.conveyed", "market.offer_accepted"]
    assert bazaar.balance(holder) == before[holder] + 975
    assert bazaar.balance("carol") == before["carol"] - 1_000
    if kind == "grant":
        assert bazaar.holder(thing) == "carol"
    else:
        assert bazaar.owners()["carol"] == (10_000 if kind == "asset" else 4_000)
    bazaar.refused("market.unknown_offer", holder, market.AcceptOffer(offer))
    bazaar.refused("market.unknown_offer", "carol", market.WithdrawOffer(offer))
    bazaar.check_laws()


def test_several_offers_on_one_thing_are_open_and_one_is_accepted() -> None:
    bazaar = Bazaar()
    offers = [bazaar.bid_for(who, bazaar.whole, price) for who, price in (("bob", 900), ("carol", 1_000))]
    shares = bazaar.bid_for("dave", bazaar.share(100), 50, "alice")
    shown = bazaar.query("market.offers", thing=bazaar.asset.hex())
    assert [row.offer for row in shown] == sorted(key.hex() for key in [*offers, shares])
    assert all(row.condition_kept for row in shown)
    bazaar.do("alice", market.AcceptOffer(offers[1]))
    assert [row.condition_kept for row in bazaar.query("market.offers", thing=bazaar.asset.hex())] == [False, False]
    bazaar.refused("market.condition_changed", "carol", market.AcceptOffer(offers[0]))
    bazaar.refused("market.not_the_holder", "carol", market.AcceptOffer(shares))
    bazaar.advance(DAY_MS)
    assert [bazaar.balance(who) for who in ("bob", "dave")] == [SUPPLY_EACH, SUPPLY_EACH]
    bazaar.check_laws()


def test_an_offer_on_something_listed_waits_for_the_listing_to_end() -> None:
    bazaar = Bazaar()
    listing = bazaar.put_up("alice", bazaar.whole)
    offer = bazaar.bid_for("bob", bazaar.whole, 800)
    bazaar.refused("assets.locked", "alice", market.AcceptOffer(offer))
    bazaar.do("alice", market.WithdrawListing(listing), market.AcceptOffer(offer))
    assert bazaar.owners() == {"bob": 10_000}
    bazaar.check_laws()


def test_a_co_owned_asset_is_sold_for_an_offer_with_all_consents_only() -> None:
    bazaar = Bazaar()
    bazaar.co_owned(("bob", 5_000))
    offer = bazaar.bid_for("carol", bazaar.whole, 10_000)
    accept = market.AcceptOffer(offer, 10_000)
    bazaar.refused("assets.consent_missing", "alice", accept)
    bazaar.refused("assets.not_an_owner", "dave", accept)
    bazaar.consent("alice", accept)
    bazaar.refused("assets.consent_missing", "bob", market.AcceptOffer(offer, 9_999))
    bazaar.do("bob", accept)
    assert bazaar.owners() == {"carol": 10_000}
    assert [bazaar.owed(who, bazaar.asset) for who in ("alice", "bob")] == [4_875, 4_875]
    bazaar.check_laws()


# --- the end


def test_the_price_returns_at_the_expiry_to_the_millisecond() -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    offer = bazaar.bid_for("bob", bazaar.whole, lifetime_ms=5_000)
    bazaar.advance(4_999)
    assert bazaar.balance("bob") == SUPPLY_EACH - 1_000
    bazaar.advance(1, limit=0)
    bazaar.refused("market.offer_expired", "alice", market.AcceptOffer(offer))
    events = bazaar.advance(0)
    assert (tags(events), events[0].reason, events[0].amount) == (["market.offer_ended"], "expired", 1_000)
    assert bazaar.balance("bob") == SUPPLY_EACH
    assert bazaar.used() == before
    bazaar.check_laws()


def test_an_offer_is_accepted_until_its_last_millisecond() -> None:
    bazaar = Bazaar()
    offer = bazaar.bid_for("bob", bazaar.whole, lifetime_ms=5_000)
    bazaar.advance(4_999)
    bazaar.do("alice", market.AcceptOffer(offer))


@pytest.mark.parametrize("ahead_ms", [0, 30 * DAY_MS + 1])
def test_no_escrow_is_without_an_end(ahead_ms: int) -> None:
    bazaar = Bazaar()
    bazaar.refused("market.end_out_of_range", "bob", bazaar.offer_operation(bazaar.whole, 1, lifetime_ms=ahead_ms))
    bazaar.bid_for("bob", bazaar.whole, 1, lifetime_ms=30 * DAY_MS)
    bazaar.advance(30 * DAY_MS)
    assert bazaar.balance("bob") == SUPPLY_EACH


def test_only_the_buyer_withdraws_and_everything_returns_exactly() -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    offer = bazaar.bid_for("bob", bazaar.whole)
    for who in ("alice", "carol"):
        bazaar.refused("market.not_the_buyer", who, market.WithdrawOffer(offer))
    events = bazaar.do("bob", market.WithdrawOffer(offer))
    assert (tags(events), events[0].reason) == (["market.offer_ended"], "withdrawn")
    assert (bazaar.balance("bob"), bazaar.used()) == (SUPPLY_EACH, before)
    bazaar.check_laws()


def test_an_expired_offer_that_was_not_swept_can_be_withdrawn() -> None:
    bazaar = Bazaar()
    offer = bazaar.bid_for("bob", bazaar.whole, lifetime_ms=5_000)
    bazaar.advance(9_000, limit=0)
    bazaar.do("bob", market.WithdrawOffer(offer))
    assert bazaar.advance(0) == []
    assert bazaar.balance("bob") == SUPPLY_EACH


# --- who offers what


def test_an_offer_names_the_holder_of_a_share_and_no_other() -> None:
    bazaar = Bazaar()
    bazaar.co_owned(("bob", 4_000))
    bazaar.refused("market.holder", "carol", bazaar.offer_operation(bazaar.share(100), 1))
    bazaar.refused("market.holder", "carol", bazaar.offer_operation(bazaar.whole, 1, "alice"))
    bazaar.refused("transfers.not_the_holder", "carol", bazaar.offer_operation(bazaar.share(4_001), 1, "bob"))
    bazaar.refused("transfers.not_the_holder", "carol", bazaar.offer_operation(bazaar.share(1), 1, "dave"))
    offer = bazaar.bid_for("carol", bazaar.share(4_000), 100, "bob")
    bazaar.refused("market.not_the_holder", "alice", market.AcceptOffer(offer))
    bazaar.do("bob", market.AcceptOffer(offer))
    assert bazaar.owners() == {"alice": 6_000, "carol": 4_000}


@pytest.mark.parametrize("holder", [bytes(32), b"\x07" * 32, "validator"])
def test_an_offer_that_names_nobody_as_a_holder_is_refused(holder: bytes | str) -> None:
    """Whom an operation names need not exist; none may stop the chain for it."""
    bazaar = Bazaar()
    named = bazaar.validators[0] if isinstance(holder, str) else holder
    operation = replaced(bazaar.offer_operation(bazaar.share(1), 1, "alice"), holder=named)
    bazaar.refused("transfers.not_the_holder", "carol", operation)


def test_nobody_offers_for_what_is_its_organizations_own() -> None:
    """E6."""
    bazaar = Bazaar()
    grant = bazaar.grant("bob")
    bazaar.refused("market.own_organization", "alan", bazaar.offer_operation(bazaar.whole, 1))
    bazaar.refused("market.own_organization", "alice", bazaar.offer_operation(bazaar.whole, 1))
    bazaar.refused("market.own_organization", "alan", bazaar.offer_operation(bazaar.share(5), 1, "alice"))
    bazaar.refused("market.own_organization", "bob", bazaar.offer_operation(grant, 1))
    bazaar.refused("licenses.self_purchase", "alice", bazaar.offer_operation(grant, 1))
    bazaar.co_owned(("bob", 4_000))
    for who in ("alan", "bob"):
        bazaar.refused("market.own_organization", who, bazaar.offer_operation(bazaar.whole, 1))
    bazaar.bid_for("bob", bazaar.share(100), 1, "alice")


def test_a_holder_of_the_buyers_organization_cannot_accept() -> None:
    """A grant may have come to a colleague of the buyer since: he could otherwise show a price that nobody paid."""
    bazaar = Bazaar()
    grant = bazaar.grant("bob")
    beth = _colleague(bazaar, "carol")
    offer = bazaar.bid_for("carol", grant, 1_000)
    bazaar.transfer("bob", grant, beth, 5)
    bazaar.refused("market.own_organization", beth, market.AcceptOffer(offer))
    bazaar.do("carol", market.WithdrawOffer(offer))
    bazaar.check_laws()


def _colleague(bazaar: Bazaar, who: str) -> str:
    from ledger.modules.organizations.operations import OpenAccount
    from tests.unit.modules_kit import seed_key

    events = bazaar.do(who, OpenAccount(seed_key("colleague").public_key, bytes(16), "colleague"))
    bazaar.accounts["colleague"] = events[0].account
    bazaar.do(who, Transfer(events[0].account, 1_000))
    return "colleague"


def test_the_price_must_be_there_and_not_below_what_the_seller_asks() -> None:
    """E4: an offer is never more than what its buyer has."""
    bazaar = Bazaar()
    bazaar.refused("credits.insufficient", "bob", bazaar.offer_operation(bazaar.whole, SUPPLY_EACH + 1))
    bazaar.refused("credits.insufficient", "bob", bazaar.offer_operation(bazaar.whole, 2**63 - 1))
    offer = bazaar.bid_for("bob", bazaar.whole, SUPPLY_EACH)
    assert bazaar.balance("bob") == 0
    bazaar.refused("credits.insufficient", "bob", bazaar.offer_operation(bazaar.whole, 1))
    bazaar.refused("market.price_below_min", "alice", market.AcceptOffer(offer, SUPPLY_EACH + 1))
    bazaar.do("alice", market.AcceptOffer(offer, SUPPLY_EACH))
    bazaar.check_laws()


def test_an_offer_that_royalties_exceed_cannot_be_accepted_and_returns() -> None:
    bazaar = Bazaar(transfer_terms=assets.TransferTerms(resale_royalty_bps=100, least_royalty=5_000))
    offer = bazaar.bid_for("bob", bazaar.whole, 5_100)
    bazaar.refused("royalties.uncovered", "alice", market.AcceptOffer(offer))
    bazaar.check_laws()
    bazaar.advance(DAY_MS)
    assert bazaar.balance("bob") == SUPPLY_EACH


def test_what_is_not_available_yet_is_offered_for_and_sold_later() -> None:
    """Until a quorum holds the version the payment stays in escrow, with a deadline."""
    bazaar = Bazaar(held=False)
    offer = bazaar.bid_for("bob", bazaar.whole)
    bazaar.refused("transfers.not_available", "alice", market.AcceptOffer(offer))
    bazaar.hold(bazaar.asset)
    bazaar.do("alice", market.AcceptOffer(offer))
    bazaar.check_laws()


def test_what_can_never_be_sold_takes_no_escrow() -> None:
    bazaar = Bazaar()
    fixed = bazaar.grant("bob", replaced(TOKEN, transferable=False))
    bazaar.refused("transfers.not_transferable", "carol", bazaar.offer_operation(fixed, 1))
    unknown = market.MakeOffer(Thing("asset", bytes(32)), 1, bazaar.now_ms + 1, market.Condition())
    bazaar.refused("assets.unknown_asset", "carol", unknown)
    bazaar.do("alice", assets.Retire(bazaar.asset))
    bazaar.refused("assets.retired", "carol", bazaar.offer_operation(bazaar.whole, 1))


def test_one_transaction_makes_one_offer_on_a_thing() -> None:
    bazaar = Bazaar()
    operation = bazaar.offer_operation(bazaar.whole, 1)
    bazaar.refused("market.offer_exists", "bob", operation, replaced(operation, price=2))


# --- what an offer pins


def _by_exclusive_license(bazaar: Bazaar) -> None:
    bazaar.license("alice", bazaar.asset, "dave", EXCLUSIVE)


def _by_sole_license(bazaar: Bazaar) -> None:
    bazaar.license("alice", bazaar.asset, "dave", replaced(TOKEN, exclusivity="sole"))


def _by_license_under_new_terms(bazaar: Bazaar) -> None:
    bazaar.license("alice", bazaar.asset, "dave", Terms(rights=("redistribute", "sublicense"), price=0))


def _by_version(bazaar: Bazaar) -> None:
    bazaar.add_version("alice", bazaar.asset, "A2")
    bazaar.hold(bazaar.asset, 3)


def _by_parent(bazaar: Bazaar) -> None:
    bazaar.add_version("alice", bazaar.asset, "A2", derivations=[bazaar.dear_parent()])
    bazaar.hold(bazaar.asset, 3)


def _by_what_a_parent_has_come_to_owe(bazaar: Bazaar) -> None:
    """The link is there since the beginning: what it passes on grows."""
    bazaar.add_version("alice", bazaar.later_parent, "P2", derivations=[bazaar.dear_parent()])
    bazaar.add_version("alice", bazaar.asset, "A2", derivations=[assets.Derivation(bazaar.later_parent, "train-on")])
    bazaar.hold(bazaar.asset, 3)


def _by_going_away_and_coming_back(bazaar: Bazaar) -> None:
    bazaar.transfer("alice", bazaar.whole, "dave")
    bazaar.transfer("dave", bazaar.whole, "alice")


def _by_license_under_known_terms(bazaar: Bazaar) -> None:
    bazaar.license("alice", bazaar.asset, "dave", USE)


def _by_description(bazaar: Bazaar) -> None:
    bazaar.do("alice", assets.UpdateMetadata(bazaar.asset, "another name", "", (), ()))


@pytest.mark.parametrize(
    ("change", "spoils_asset", "spoils_share"),
    [
        (_by_exclusive_license, True, True),
        (_by_sole_license, True, True),
        (_by_license_under_new_terms, True, False),
        (_by_version, True, False),
        (_by_parent, True, True),
        (_by_what_a_parent_has_come_to_owe, True, True),
        (_by_going_away_and_coming_back, True, True),
        (_by_license_under_known_terms, False, False),
        (_by_description, False, False),
    ],
)
def test_the_buyer_is_not_given_something_worse(change: Any, spoils_asset: bool, spoils_share: bool) -> None:
    """The attack: to wait for an offer, sell what it is for to a friend, and accept."""
    bazaar = Bazaar()
    bazaar.later_parent = bazaar.register("alice", "P")
    bazaar.add_version("alice", bazaar.asset, "A1", derivations=[assets.Derivation(bazaar.later_parent, "train-on")])
    bazaar.hold(bazaar.asset, 2)
    bazaar.license("alice", bazaar.asset, "carol", USE)
    whole = bazaar.bid_for("bob", bazaar.whole, 1_000)
    share = bazaar.bid_for("bob", bazaar.share(2_000), 500, "alice")
    change(bazaar)
    for offer, spoilt in ((share, spoils_share), (whole, spoils_asset)):
        assert bazaar.query("market.offer", offer=offer.hex()).condition_kept != spoilt
        if spoilt:
            bazaar.refused("market.condition_changed", "alice", market.AcceptOffer(offer))
            bazaar.do("bob", market.WithdrawOffer(offer))
    if not spoils_share:
        bazaar.do("alice", market.AcceptOffer(share))
    bazaar.check_laws()


@pytest.mark.parametrize("fields", [{"revenue_share_bps": 3_001}, {"revenue_share_cap": None}, {"least_royalty": 8},
                                    {"field_deny": ("weapons",)}])  # fmt: skip
def test_a_share_is_not_sold_when_a_known_parent_has_become_dearer_or_denies_more(fields: dict[str, Any]) -> None:
    bazaar = Bazaar()
    cheap: dict[str, Any] = {"revenue_share_cap": 1_000, "least_royalty": 7}
    derivation = bazaar.dear_parent(**cheap)
    bazaar.add_version("alice", bazaar.asset, "A2", derivations=[derivation])
    bazaar.hold(bazaar.asset, 2)
    offer = bazaar.bid_for("bob", bazaar.share(2_000), 500, "alice")
    bazaar.add_version("alice", bazaar.asset, "A3", derivations=[derivation])
    bazaar.hold(bazaar.asset, 3)
    assert bazaar.query("market.offer", offer=offer.hex()).condition_kept, "the same parent under the same terms"
    dearer = bazaar.dear_parent(derivation.parent, **(cheap | fields))
    bazaar.add_version("alice", bazaar.asset, "A4", derivations=[dearer])
    bazaar.hold(bazaar.asset, 4)
    bazaar.refused("market.condition_changed", "alice", market.AcceptOffer(offer))


def test_an_exclusive_license_in_place_of_one_that_was_refunded_is_another() -> None:
    """The attack: the number of exclusive licenses is as before, but the one the buyer knew of never came to be."""
    bazaar = Bazaar()
    bazaar.add_version("alice", bazaar.asset, "A2")
    waiting = bazaar.offer("alice", bazaar.asset, EXCLUSIVE, version=2)
    bazaar.buy("carol", waiting, EXCLUSIVE, committed=True)
    offer = bazaar.bid_for("bob", bazaar.share(2_000), 500, "alice", lifetime_ms=3 * DAY_MS)
    bazaar.advance(DAY_MS)
    assert bazaar.balance("carol") == SUPPLY_EACH
    assert bazaar.query("market.offer", offer=offer.hex()).condition_kept
    bazaar.buy("dave", bazaar.offer("alice", bazaar.asset, EXCLUSIVE, version=1), EXCLUSIVE, committed=True)
    bazaar.hold(bazaar.asset, 2)
    bazaar.refused("market.condition_changed", "alice", market.AcceptOffer(offer))


def test_what_the_buyer_saw_must_still_be_so_when_the_offer_arrives() -> None:
    """The attack: the holder sees the offer before it is ordered, and is faster."""
    bazaar = Bazaar()
    seen = condition_of(bazaar.view, bazaar.whole)
    _by_exclusive_license(bazaar)
    bazaar.refused("market.condition_changed", "bob", bazaar.offer_operation(bazaar.whole, 1, condition=seen))
    better = replaced(condition_of(bazaar.view, bazaar.whole), reserved=99)
    bazaar.refused("market.condition_changed", "bob", bazaar.offer_operation(bazaar.whole, 1, condition=better))


def test_a_grant_is_sold_as_much_of_it_as_was_left() -> None:
    bazaar = Bazaar()
    terms = Terms(
        rights=("train-on",), price=0, transferable=True, derivatives="yes", quota=3, quota_unit="trainings",
        commercial=True,
    )  # fmt: skip
    grant = bazaar.grant("bob", terms)
    offer = bazaar.bid_for("carol", grant)
    bazaar.register("bob", "B", derivations=[assets.Derivation(bazaar.asset, "train-on", grant.id)])
    bazaar.refused("market.condition_changed", "bob", market.AcceptOffer(offer))
    bazaar.do("carol", market.WithdrawOffer(offer))
    bazaar.do("bob", market.AcceptOffer(bazaar.bid_for("carol", grant)))
    assert bazaar.holder(grant) == "carol"


def test_a_grant_that_has_ended_is_not_sold_for_an_offer() -> None:
    bazaar = Bazaar()
    offer = bazaar.bid_for("carol", bazaar.grant("bob", replaced(TOKEN, term_ms=5_000)))
    bazaar.advance(5_000)
    bazaar.refused("transfers.grant_not_live", "bob", market.AcceptOffer(offer))
    bazaar.advance(DAY_MS)
    assert bazaar.balance("carol") == SUPPLY_EACH


def test_an_offer_on_a_grant_follows_it_to_another_holder() -> None:
    bazaar = Bazaar()
    grant = bazaar.grant("bob")
    offer = bazaar.bid_for("carol", grant)
    bazaar.transfer("bob", grant, "dave", 5)
    bazaar.refused("transfers.not_the_holder", "bob", market.AcceptOffer(offer))
    bazaar.do("dave", market.AcceptOffer(offer))
    assert bazaar.holder(grant) == "carol"


# --- quota and questions


def test_a_full_quota_keeps_from_offering_and_never_from_being_paid() -> None:
    bazaar = Bazaar(make_genesis(quota_deadlines_per_organization=10))
    offers = [bazaar.bid_for("bob", bazaar.share(n), 10, "alice") for n in range(1, 11)]
    bazaar.refused("organizations.quota_deadlines", "bob", bazaar.offer_operation(bazaar.share(11), 10, "alice"))
    assert usage(bazaar.view, "org-bob").deadlines == 10
    for offer in offers:
        bazaar.do("alice", market.AcceptOffer(offer))
    assert usage(bazaar.view, "org-bob").deadlines == 0
    assert bazaar.owners()["bob"] == 55
    bazaar.check_laws()


def test_offers_are_found_by_thing_and_by_buyer() -> None:
    bazaar = Bazaar()
    grant = bazaar.grant("bob")
    on_grant = bazaar.bid_for("carol", grant, 5)
    on_asset = bazaar.bid_for("carol", bazaar.whole, 6)
    daves = bazaar.bid_for("dave", bazaar.share(7), 7, "alice")

    def ids(**arguments: Any) -> list[str]:
        return [row.offer for row in bazaar.query("market.offers", **arguments)]

    assert ids(thing=grant.id.hex()) == [on_grant.hex()]
    assert ids(thing=bazaar.asset.hex()) == sorted([on_asset.hex(), daves.hex()])
    assert ids(account=bazaar.text("carol")) == sorted([on_asset.hex(), on_grant.hex()])
    first = ids(account=bazaar.text("carol"), limit=1)
    assert ids(account=bazaar.text("carol"), after=first[0]) == [max(on_asset.hex(), on_grant.hex())]
    for wrong in ({}, {"thing": grant.id.hex(), "account": bazaar.text("carol")}):
        with pytest.raises(LedgerError):
            ids(**wrong)
    shown = bazaar.query("market.offer", offer=daves.hex())
    assert (shown.kind, shown.bps, shown.holder, shown.buyer, shown.price) == (
        "share",
        7,
        bazaar.text("alice"),
        bazaar.text("dave"),
        7,
    )


def test_every_organization_pays_for_its_own_records() -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    bazaar.bid_for("bob", bazaar.whole)
    after = bazaar.used()
    assert [name for name in NAMES if before[name] != after[name]] == ["bob"]
    assert after["bob"].records - before["bob"].records == 3
    assert after["bob"].deadlines - before["bob"].deadlines == 1
