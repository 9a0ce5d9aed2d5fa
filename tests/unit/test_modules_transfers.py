"""Handing assets over: sales and gifts by offer and acceptance."""

from __future__ import annotations

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Terms, WithdrawOffer
from ledger.modules.organizations.quota import usage
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.codec import CodecError, decode, encode
from tests.unit.modules_kit import SUPPLY_EACH, World

USE = Terms(rights=("download",), price=100)


def test_nothing_arrives_unaccepted() -> None:
    world = World()
    asset = world.register("alice", "A")
    transfer = world.give_transfer("alice", asset, "bob", 1_000)
    assert world.query("assets.get", asset=asset.hex()).owners[0].bps == 10_000
    assert world.check("alice", asset).reason == "owner"
    shown = world.query("transfers.get", transfer=transfer.hex())
    assert (shown.price, shown.asset) == (1_000, asset.hex())
    world.refused("transfers.not_the_recipient", "carol", transfers.Accept(transfer, 1_000))
    world.refused("transfers.price_above_max", "bob", transfers.Accept(transfer, 999))
    world.do("bob", transfers.Accept(transfer, 1_000))
    world.refused("transfers.unknown_transfer", "bob", transfers.Accept(transfer, 1_000))
    assert world.balance("alice") == SUPPLY_EACH + 975
    assert world.check("bob", asset).reason == "owner"
    assert [item.asset for item in world.query("assets.list", owner=_text(world, "bob"))] == [asset.hex()]
    assert world.query("assets.list", owner=_text(world, "alice")) == []
    world.check_laws()


def _text(world: World, who: str) -> str:
    from primitives.identifiers import account_to_text

    return account_to_text(world.accounts[who])


def test_only_the_sole_owner_offers_and_only_once() -> None:
    world = World()
    asset = world.register("alice", "A", manager=world.accounts["carol"])
    later_ms = world.now_ms + 1_000
    to_bob = transfers.Offer(Thing("asset", asset), world.accounts["bob"], 10, later_ms)
    world.refused("assets.not_an_owner", "carol", to_bob)
    world.refused(
        "transfers.self_transfer", "alice", msgspec.structs.replace(to_bob, recipient=world.accounts["alice"])
    )
    world.refused("transfers.invalid_recipient", "alice", msgspec.structs.replace(to_bob, recipient=bytes(32)))
    for expires_at_ms in (world.now_ms, world.now_ms + 31 * DAY_MS):
        bad = msgspec.structs.replace(to_bob, expires_at_ms=expires_at_ms)
        world.refused("transfers.expiry_out_of_range", "alice", bad)
    world.do("alice", to_bob)
    world.refused("assets.locked", "alice", to_bob)
    world.refused(
        "assets.locked", "alice", transfers.OfferGift(Thing("asset", asset), world.accounts["carol"], later_ms)
    )


@pytest.mark.parametrize("price", [0, -1, 2**63, True, 1.0])
def test_a_sale_has_a_price(price: object) -> None:
    """E4. A price of 0 is a gift, which is an operation of its own for everybody to see."""
    world = World()
    asset = world.register("alice", "A")
    operation = transfers.Offer(Thing("asset", asset), world.accounts["bob"], price, world.now_ms + 1)  # type: ignore[arg-type]
    with pytest.raises(CodecError):
        decode(encode(operation), transfers.Offer)


def test_an_asset_is_locked_while_it_is_offered() -> None:
    """The attack: to offer an asset, and to sell an exclusive license to a friend before it is accepted."""
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, USE)
    transfer = world.give_transfer("alice", asset, "bob", 1_000)
    world.refused("assets.locked", "carol", world.purchase_operation(offer, USE))
    world.refused("assets.locked", "alice", assets.Retire(asset))
    world.refused("assets.locked", "alice", assets.SetManager(asset, world.accounts["carol"]))
    world.refused("assets.locked", "alice", assets.SetAlias(asset, "stable", 1))
    world.do("alice", transfers.Withdraw(transfer))
    world.buy("carol", offer, USE)


def test_offers_of_an_earlier_owner_are_void() -> None:
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, USE)
    world.transfer("alice", asset, "bob", 1_000)
    world.refused("licenses.offer_void", "carol", world.purchase_operation(offer, USE))
    assert not world.query("licenses.offer", offer=offer.hex()).open
    world.transfer("bob", asset, "alice", 1_000)
    world.refused("licenses.offer_void", "carol", world.purchase_operation(offer, USE))
    world.do("alice", WithdrawOffer(offer))


def test_an_unaccepted_offer_ends_by_itself() -> None:
    world = World()
    before = usage(world.view, "org-alice")
    asset = world.register("alice", "A")
    registered = usage(world.view, "org-alice")
    transfer = world.give_transfer("alice", asset, "bob", 1_000)
    world.advance(DAY_MS, limit=0)
    world.refused("transfers.expired", "bob", transfers.Accept(transfer, 1_000))
    assert [type(event).__name__ for event in world.advance(0)] == ["Ended"]
    world.refused("transfers.unknown_transfer", "bob", transfers.Accept(transfer, 1_000))
    assert usage(world.view, "org-alice") == registered != before
    world.transfer("alice", asset, "carol")


def test_giver_and_recipient_may_end_a_transfer() -> None:
    world = World()
    asset = world.register("alice", "A")
    for who in ("alice", "bob"):
        transfer = world.give_transfer("alice", asset, "bob", 5)
        world.refused("transfers.not_a_party", "carol", transfers.Withdraw(transfer))
        world.do(who, transfers.Withdraw(transfer))
    assert world.query("assets.get", asset=asset.hex()).locked_by is None


def test_a_sale_waits_until_the_asset_is_available() -> None:
    world = World()
    asset = world.register("alice", "A", held=False)
    transfer = world.give_transfer("alice", asset, "bob", 5)
    world.refused("transfers.not_available", "bob", transfers.Accept(transfer, 5))
    world.hold(asset)
    world.do("bob", transfers.Accept(transfer, 5))
    unseen = world.register("alice", "B", held=False)
    world.transfer("alice", unseen, "bob")


def test_who_cannot_pay_does_not_get_it() -> None:
    """E5: price, royalties, shares and manager move together or not at all."""
    world = World()
    asset = world.register("alice", "A")
    transfer = world.give_transfer("alice", asset, "bob", 1_000)
    world.do("bob", Transfer(world.accounts["carol"], SUPPLY_EACH - 999))
    world.refused("credits.insufficient", "bob", transfers.Accept(transfer, 1_000))
    world.do("carol", Transfer(world.accounts["bob"], 1))
    world.do("bob", transfers.Accept(transfer, 1_000))


def test_the_manager_changes_with_the_owner() -> None:
    world = World()
    asset = world.register("alice", "A", manager=world.accounts["carol"])
    world.transfer("alice", asset, "bob")
    world.refused("assets.not_manager", "carol", assets.SetAlias(asset, "stable", 1))
    world.do("bob", assets.SetAlias(asset, "stable", 1))


# --- gifts


def test_a_gift_is_no_way_around_a_least_royalty() -> None:
    """The attack: to give the asset away and be paid behind the chain. The giver pays, from escrow, at acceptance."""
    world = World()
    terms = assets.TransferTerms(resale_royalty_bps=100, least_royalty=5_000)
    creators = ((world.accounts["dave"], 10_000),)
    asset = world.register("alice", "A", transfer_terms=terms, creators=creators)
    transfer = world.give_transfer("alice", asset, "bob")
    assert world.balance("alice") == SUPPLY_EACH - 5_000
    world.do("bob", transfers.Accept(transfer, 0))
    assert world.owed("dave", asset) == 5_000
    world.check_laws()
    world.do("bob", Transfer(world.accounts["carol"], SUPPLY_EACH))
    world.refused(
        "credits.insufficient",
        "bob",
        transfers.OfferGift(Thing("asset", asset), world.accounts["carol"], world.now_ms + 1),
    )


@pytest.mark.parametrize("end", ["withdraw", "decline", "expire"])
def test_a_gift_that_is_not_taken_costs_nothing(end: str) -> None:
    world = World()
    asset = world.register("alice", "A", transfer_terms=assets.TransferTerms(100, 5_000))
    transfer = world.give_transfer("alice", asset, "bob")
    if end == "expire":
        world.advance(DAY_MS)
    else:
        world.do("alice" if end == "withdraw" else "bob", transfers.Withdraw(transfer))
    assert world.balance("alice") == SUPPLY_EACH
    world.check_laws()


def test_gifts_inside_one_organization_are_free() -> None:
    world = World()
    asset = world.register("alice", "A", transfer_terms=assets.TransferTerms(100, 5_000))
    world.transfer("alice", asset, "alan")
    assert world.balance("alice") == SUPPLY_EACH


def test_terms_may_forbid_gifts() -> None:
    world = World()
    asset = world.register("alice", "A", transfer_terms=assets.TransferTerms(gifts=False))
    world.refused(
        "transfers.gifts_forbidden",
        "alice",
        transfers.OfferGift(Thing("asset", asset), world.accounts["bob"], world.now_ms + 1),
    )
    world.transfer("alice", asset, "bob", 1)


def test_a_price_below_the_least_royalty_is_refused() -> None:
    world = World()
    asset = world.register("alice", "A", transfer_terms=assets.TransferTerms(100, 5_000))
    transfer = world.give_transfer("alice", asset, "bob", 5_100)
    world.refused("royalties.uncovered", "bob", transfers.Accept(transfer, 5_100))
    world.do("bob", transfers.Withdraw(transfer))
    world.transfer("alice", asset, "bob", 6_000)
    assert world.owed("alice", asset) == 5_000
    world.check_laws()


def test_what_was_derived_under_a_non_commercial_license_is_not_sold() -> None:
    world = World()
    parent = world.register("alice", "A")
    terms = Terms(rights=("train-on",), price=0, derivatives="yes")
    grant = world.license("alice", parent, "bob", terms)
    child = world.register("bob", "B", derivations=[assets.Derivation(parent, "train-on", grant)])
    offer = transfers.Offer(Thing("asset", child), world.accounts["carol"], 5, world.now_ms + 1)
    world.refused("transfers.non_commercial", "bob", offer)
    world.transfer("bob", child, "carol")
