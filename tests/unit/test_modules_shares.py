"""Shares and grants change hands; several owners decide together."""

from __future__ import annotations

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.assets.records import CONSENTS, CONSENTS_MAX, OWNERS_MAX, SHARE_LOCKS, Share
from ledger.modules.licenses.operations import Offer as LicenseOffer
from ledger.modules.licenses.operations import SetSeats, Terms
from ledger.modules.organizations import membership
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.organizations.quota import usage
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.identifiers import account_id
from tests.unit.modules_kit import SUPPLY_EACH, World, seed_key

USE = Terms(rights=("download",), price=1_000, transferable=True)
ROYALTY = assets.TransferTerms(resale_royalty_bps=1_000)


def co_owned(world: World, *others: tuple[str, int], **fields: object) -> bytes:
    """Register an asset of alice, who then gives shares away."""
    asset = world.register("alice", "A", **fields)
    for name, bps in others:
        world.transfer("alice", Thing("share", asset, bps), name)
    return asset


def shares(world: World, asset: bytes) -> dict[str, int]:
    names = {account: name for name, account in world.accounts.items()}
    return {names[share.account]: share.bps for share in ownership(world.view, asset).shares}


# --- shares


def test_a_share_gives_income_and_no_use() -> None:
    world = World()
    asset = co_owned(world, ("bob", 2_500))
    assert shares(world, asset) == {"alice": 7_500, "bob": 2_500}
    assert world.check("bob", asset).reason == "co_owner"
    assert world.check("alice", asset).reason == "co_owner"
    world.license("alice", asset, "carol", USE)
    assert (world.owed("alice", asset), world.owed("bob", asset)) == (731, 243)
    world.do("bob", Withdraw(asset))
    world.do("alice", Withdraw(asset))
    world.refused("royalties.nothing_owed", "bob", Withdraw(asset))
    world.check_laws()


def test_a_share_sale_pays_ancestors_like_a_grant_and_the_creators() -> None:
    """The attack: to sell shares in place of licenses, or of the asset, and owe less to ancestors."""
    world = World()
    parent = world.register("carol", "parent")
    terms = Terms(
        rights=("download", "train-on"),
        price=1,
        commercial=True,
        derivatives="yes",
        revenue_share_bps=2_000,
        revenue_share_depth=1,
    )
    grant = world.license("carol", parent, "alice", terms)
    child = world.register(
        "alice", "child", derivations=[assets.Derivation(parent, "train-on", grant)], transfer_terms=ROYALTY
    )
    before = world.owed("carol", parent)
    start = world.balance("alice")
    world.transfer("alice", Thing("share", child, 1_000), "bob", 10_000)
    fee, ancestor, creators = 250, 1_950, 975
    assert world.owed("carol", parent) - before == ancestor
    assert world.owed("alice", child) == creators
    assert world.balance("alice") - start == 10_000 - fee - ancestor - creators
    world.check_laws()


def test_least_royalties_are_due_on_shares_too() -> None:
    world = World()
    asset = co_owned(world, transfer_terms=assets.TransferTerms(100, least_royalty=500))
    start = world.balance("alice")
    world.transfer("alice", Thing("share", asset, 100), "bob")
    assert start - world.balance("alice") == 500, "the giver pays on gifts"
    offered = world.give_transfer("alice", Thing("share", asset, 100), "bob", 511)
    world.refused("royalties.uncovered", "bob", transfers.Accept(offered, 511))
    world.do("bob", transfers.Withdraw(offered))
    world.transfer("alice", Thing("share", asset, 100), "bob", 512)
    world.transfer("alice", Thing("share", asset, 100), "alan")
    assert world.owed("alice", asset) == 1_000, "moves inside one organization are exempt"
    world.check_laws()


@pytest.mark.parametrize("bps", [0, 10_000])
def test_all_shares_are_the_asset_itself(bps: int) -> None:
    """Whoever has all of them would otherwise get the asset without its manager, and its offers with it."""
    world = World()
    asset = world.register("alice", "A")
    gift = transfers.OfferGift(Thing("share", asset, bps), world.accounts["bob"], world.now_ms + 1)
    world.refused("transfers.share_bps", "alice", gift)
    misnamed = transfers.OfferGift(Thing("asset", asset, 5), world.accounts["bob"], world.now_ms + 1)
    world.refused("transfers.share_bps", "alice", misnamed)


def test_a_share_is_in_one_transfer_at_a_time() -> None:
    """Parts of a holding may be in several, and never more than all of it."""
    world = World()
    asset = co_owned(world, ("bob", 4_000))
    before = usage(world.view, "org-bob")
    first = world.give_transfer("bob", Thing("share", asset, 3_000), "carol", 10)
    gift = transfers.OfferGift(Thing("share", asset, 1_001), world.accounts["dave"], world.now_ms + 1)
    world.refused("transfers.locked", "bob", gift)
    second = world.give_transfer("bob", Thing("share", asset, 1_000), "dave", 10)
    whole = transfers.Offer(Thing("asset", asset), world.accounts["dave"], 1, world.now_ms + 1)
    world.refused("transfers.shares_locked", "alice", whole)
    world.do("carol", transfers.Accept(first, 10))
    world.do("dave", transfers.Withdraw(second))
    assert shares(world, asset) == {"alice": 6_000, "bob": 1_000, "carol": 3_000}
    assert list(SHARE_LOCKS.items(world.view)) == []
    assert usage(world.view, "org-bob") == before
    world.check_laws()


def test_one_cannot_offer_what_one_does_not_have() -> None:
    world = World()
    asset = co_owned(world, ("bob", 4_000))
    for who, bps in (("bob", 4_001), ("carol", 1)):
        gift = transfers.OfferGift(Thing("share", asset, bps), world.accounts["dave"], world.now_ms + 1)
        world.refused("transfers.not_the_holder", who, gift)


def test_the_number_of_owners_is_bounded() -> None:
    world = World()
    asset = world.register("alice", "A")
    accounts = []
    for index in range(OWNERS_MAX):
        key, salt = seed_key(f"owner {index}").public_key, index.to_bytes(16, "big")
        world.do("bob", OpenAccount(key, salt, f"owner {index}"))
        accounts.append(account_id(world.network_id, "org-bob", key, salt))
    for account in accounts[:-1]:
        world.do("alice", transfers.OfferGift(Thing("share", asset, 1), account, world.now_ms + 1_000))
        world.do(account, transfers.Accept(transfers.transfer_id(world.transaction_id, Thing("share", asset, 1)), 0))
    assert len(ownership(world.view, asset).shares) == OWNERS_MAX
    full = transfers.OfferGift(Thing("share", asset, 1), accounts[-1], world.now_ms + 1_000)
    world.refused("transfers.too_many_owners", "alice", full)
    swap = transfers.OfferGift(Thing("share", asset, 1), accounts[-1], world.now_ms + 1_000)
    world.do(accounts[0], swap)
    world.do(accounts[-1], transfers.Accept(transfers.transfer_id(world.transaction_id, swap.thing), 0))
    assert len(ownership(world.view, asset).shares) == OWNERS_MAX
    world.check_laws()


def test_earnings_before_a_share_moved_are_the_earlier_owners() -> None:
    """E3. The result does not depend on when anyone withdraws."""
    world = World()
    asset = co_owned(world, ("bob", 3_333))
    offer = world.offer("alice", asset, USE)
    world.buy("carol", offer, USE)
    world.transfer("bob", Thing("share", asset, 3_333), "dave", 7)
    world.buy("carol", offer, USE)
    assert world.owed("bob", asset) == 975 * 3_333 // 10_000
    assert world.owed("dave", asset) == 975 * 3_333 * 2 // 10_000 - 975 * 3_333 // 10_000
    world.check_laws()


# --- several owners


def test_the_whole_needs_every_owner() -> None:
    world = World()
    asset = co_owned(world, ("bob", 3_000), ("carol", 2_000))
    sale = transfers.Offer(Thing("asset", asset), world.accounts["dave"], 100_000, world.now_ms + DAY_MS)
    world.refused("assets.consent_missing", "alice", sale)
    world.refused("assets.not_an_owner", "dave", sale)
    later_ms = world.now_ms + DAY_MS
    for who in ("bob", "carol"):
        world.do(who, assets.Consent(asset, assets.action_digest(sale), later_ms))
        world.refused("assets.consent_exists", who, assets.Consent(asset, assets.action_digest(sale), later_ms))
    cheaper = msgspec.structs.replace(sale, price=99_999)
    world.refused("assets.consent_missing", "alice", cheaper)
    world.do("alice", sale)
    assert list(CONSENTS.items(world.view)) == [], "used up"
    before = {name: world.owed(name, asset) for name in ("alice", "bob", "carol")}
    world.do("dave", transfers.Accept(transfers.transfer_id(world.transaction_id, sale.thing), 100_000))
    assert shares(world, asset) == {"dave": 10_000}
    assert require_asset(world.view, asset).manager == world.accounts["dave"]
    gained = {name: world.owed(name, asset) - before[name] for name in before}
    assert gained == {"alice": 48_750, "bob": 29_250, "carol": 19_500}, "each owner is paid by its share"
    for name in gained:
        world.do(name, Withdraw(asset))
    assert world.owed("dave", asset) == 0
    world.check_laws()


def test_a_consent_of_who_has_sold_the_share_is_worthless() -> None:
    world = World()
    asset = co_owned(world, ("bob", 3_000))
    retire = assets.Retire(asset)
    world.do("bob", assets.Consent(asset, assets.action_digest(retire), world.now_ms + DAY_MS))
    world.transfer("bob", Thing("share", asset, 3_000), "carol")
    world.refused("assets.consent_missing", "alice", retire)
    world.do("carol", assets.Consent(asset, assets.action_digest(retire), world.now_ms + DAY_MS))
    world.do("alice", retire)


def test_consents_end() -> None:
    world = World()
    asset = co_owned(world, ("bob", 3_000))
    before = usage(world.view, "org-bob")
    retire = assets.Retire(asset)
    action = assets.action_digest(retire)
    world.refused("assets.not_an_owner", "carol", assets.Consent(asset, action, world.now_ms + 1))
    for expires_at_ms in (world.now_ms, world.now_ms + 31 * DAY_MS):
        world.refused("assets.consent_expiry_out_of_range", "bob", assets.Consent(asset, action, expires_at_ms))
    world.do("bob", assets.Consent(asset, action, world.now_ms + 1))
    world.do("bob", assets.WithdrawConsent(asset, action))
    world.refused("assets.unknown_consent", "bob", assets.WithdrawConsent(asset, action))
    world.refused("assets.consent_missing", "alice", retire)
    world.do("bob", assets.Consent(asset, action, world.now_ms + 1))
    world.advance(1, limit=0)
    world.refused("assets.consent_missing", "alice", retire)
    world.advance(0)
    assert usage(world.view, "org-bob") == before


def test_the_consents_of_an_account_about_an_asset_are_bounded() -> None:
    """A removed organization still hands on what it has, and no quota binds it: it must not fill the state by that."""
    world = World()
    asset = co_owned(world, ("bob", 3_000), ("carol", 1_000))
    membership.remove(world.context(world.view, b"", b"decision"), "org-bob")
    actions = [number.to_bytes(32, "big") for number in range(CONSENTS_MAX + 1)]
    ends_ms = world.now_ms + DAY_MS
    for action in actions[:-1]:
        world.do("bob", assets.Consent(asset, action, ends_ms))
    world.refused("assets.too_many_consents", "bob", assets.Consent(asset, actions[-1], ends_ms))
    world.do("carol", assets.Consent(asset, actions[-1], ends_ms))
    world.do("bob", assets.WithdrawConsent(asset, actions[0]))
    world.do("bob", assets.Consent(asset, actions[-1], ends_ms))
    world.advance(DAY_MS)
    assert list(CONSENTS.items(world.view)) == []
    world.check_laws()


def test_the_manager_is_replaced_by_more_than_half_of_the_shares() -> None:
    world = World()
    asset = co_owned(world, ("bob", 2_500), ("carol", 2_500))
    change = assets.SetManager(asset, world.accounts["dave"])
    world.refused("assets.not_majority_owner", "alice", change)
    world.refused("assets.not_majority_owner", "dave", change)
    world.do("carol", assets.Consent(asset, assets.action_digest(change), world.now_ms + DAY_MS))
    world.do("bob", assets.Consent(asset, assets.action_digest(change), world.now_ms + DAY_MS))
    world.do("bob", assets.WithdrawConsent(asset, assets.action_digest(change)))
    world.do("alice", change)
    assert require_asset(world.view, asset).manager == world.accounts["dave"]
    world.do("dave", LicenseOffer(asset, USE, world.now_ms + 1_000))


# --- grants


def test_a_license_is_passed_on_as_the_same_token_with_a_royalty_to_the_owners() -> None:
    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, editions_max=10, resale_royalty_bps=500)
    grant = world.license("alice", asset, "bob", terms)
    before = {name: usage(world.view, f"org-{name}").records for name in ("bob", "carol")}
    owed = world.owed("alice", asset)
    world.transfer("bob", Thing("grant", grant), "carol", 2_000)
    assert world.balance("bob") == SUPPLY_EACH - 1_000 + 2_000 - 50 - 97
    assert world.owed("alice", asset) - owed == 97
    assert world.check("carol", asset).grant == grant
    assert world.check("bob", asset).reason == "no_grant"
    shown = world.query("licenses.grant", grant=grant.hex())
    assert (shown.edition, shown.state) == (1, "active")
    after = {name: usage(world.view, f"org-{name}").records for name in ("bob", "carol")}
    assert (after["bob"], after["carol"]) == (before["bob"] - 3, before["carol"] + 3)
    world.check_laws()


def test_a_license_goes_only_to_who_could_buy_it() -> None:
    world = World()
    asset = world.register("alice", "A")
    for_bob = msgspec.structs.replace(USE, credentials=("organization:org-bob", "organization:org-carol"))
    grant = world.license("alice", asset, "bob", for_bob)
    thing, later_ms = Thing("grant", grant), world.now_ms + 1_000
    world.refused("licenses.credential_missing", "bob", transfers.OfferGift(thing, world.accounts["dave"], later_ms))
    world.refused("licenses.self_purchase", "bob", transfers.OfferGift(thing, world.accounts["alice"], later_ms))
    world.refused("transfers.not_the_holder", "carol", transfers.OfferGift(thing, world.accounts["dave"], later_ms))
    world.transfer("bob", thing, "carol")
    bound = world.license("alice", asset, "bob", msgspec.structs.replace(USE, transferable=False))
    gift = transfers.OfferGift(Thing("grant", bound), world.accounts["carol"], later_ms)
    world.refused("transfers.not_transferable", "bob", gift)


def test_what_has_ended_or_is_not_paid_out_cannot_be_passed_on() -> None:
    """The attack: to sell a license on while its price can still return to the first buyer."""
    world = World()
    asset = world.register("alice", "A")
    gift = lambda grant: transfers.OfferGift(Thing("grant", grant), world.accounts["carol"], world.now_ms + 1)  # noqa: E731
    waiting = world.license("alice", asset, "bob", msgspec.structs.replace(USE, dispute_window_ms=DAY_MS))
    world.refused("transfers.grant_unsettled", "bob", gift(waiting))
    short = world.license("alice", asset, "bob", msgspec.structs.replace(USE, term_ms=1_000))
    offered = world.give_transfer("bob", Thing("grant", short), "carol")
    world.refused("transfers.locked", "bob", gift(short))
    world.advance(1_000)
    world.refused("transfers.grant_not_live", "carol", transfers.Accept(offered, 0))
    world.do("carol", transfers.Withdraw(offered))
    world.refused("transfers.grant_not_live", "bob", gift(short))


def test_an_exclusive_license_does_not_stand_in_its_own_way() -> None:
    world = World()
    asset = world.register("alice", "A")
    grant = world.license("alice", asset, "bob", msgspec.structs.replace(USE, exclusivity="exclusive"))
    world.transfer("bob", Thing("grant", grant), "carol", 5_000)
    assert world.check("alice", asset).grant == grant
    assert world.check("carol", asset).allowed
    again = world.offer("alice", asset, USE)
    world.refused("licenses.collision", "dave", world.purchase_operation(again, USE))
    world.check_laws()


def test_least_royalties_of_a_license_are_due_when_it_is_given_away() -> None:
    """The attack: a gift and a payment beside it."""
    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, least_royalty=300)
    grant = world.license("alice", asset, "bob", terms)
    owed, start = world.owed("alice", asset), world.balance("bob")
    world.transfer("bob", Thing("grant", grant), "carol")
    assert (world.owed("alice", asset) - owed, start - world.balance("bob")) == (300, 300)
    offered = world.give_transfer("carol", Thing("grant", grant), "dave", 306)
    world.refused("royalties.uncovered", "dave", transfers.Accept(offered, 306))
    world.check_laws()


def test_what_waits_for_somebody_is_listed() -> None:
    world = World()
    asset = co_owned(world, ("bob", 4_000))
    offered = world.give_transfer("bob", Thing("share", asset, 10), "carol", 10)
    from primitives.identifiers import account_to_text

    for name in ("bob", "carol"):
        rows = world.query("transfers.list", account=account_to_text(world.accounts[name]))
        assert [(row.transfer, row.bps) for row in rows] == [(offered.hex(), 10)]
    world.do("carol", transfers.Accept(offered, 10))
    assert world.query("transfers.list", account=account_to_text(world.accounts["bob"])) == []
    assert Share(world.accounts["carol"], 10) in ownership(world.view, asset).shares


# --- descriptions


def test_the_manager_describes_the_asset_anew() -> None:
    world = World()
    asset = world.register("alice", "A")
    described = assets.UpdateMetadata(asset, "Better", "More words", ("vision",), (("license", "none"),))
    world.refused("assets.not_manager", "bob", described)
    world.refused("assets.repeated_label", "alice", msgspec.structs.replace(described, tags=("a", "a")))
    world.refused("assets.name", "alice", msgspec.structs.replace(described, name=" "))
    world.do("alice", described)
    shown = world.query("assets.get", asset=asset.hex())
    assert (shown.name, shown.description, shown.tags, shown.metadata) == (
        "Better",
        "More words",
        ("vision",),
        {"license": "none"},
    )


def test_latest_names_the_latest_version_by_itself() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.add_version("alice", asset, "A2")
    assert world.query("assets.version", asset=asset.hex(), version="latest").version == 2
    world.refused("assets.alias_reserved", "alice", assets.SetAlias(asset, "latest", 1))


def test_a_deposit_for_use_goes_along_with_the_license_and_seats_end() -> None:
    world = World()
    asset = world.register("alice", "A")
    metered = Terms(
        rights=("inference-as-service",),
        price=1_000,
        transferable=True,
        term_ms=DAY_MS,
        quota=100,
        quota_unit="calls",
        usage_price=7,
        seats=2,
    )
    grant = world.license("alice", asset, "bob", metered)
    key, salt = seed_key("bobby").public_key, bytes(16)
    world.do("bob", OpenAccount(key, salt, "bobby"))
    bobby = account_id(world.network_id, "org-bob", key, salt)
    world.do("bob", SetSeats(grant, (bobby,)))
    before = {name: usage(world.view, f"org-{name}") for name in ("bob", "carol")}
    world.transfer("bob", Thing("grant", grant), "carol", 10)
    after = {name: usage(world.view, f"org-{name}") for name in ("bob", "carol")}
    assert (after["bob"].deadlines, after["carol"].deadlines) == (
        before["bob"].deadlines - 1,
        before["carol"].deadlines + 1,
    )
    start = world.balance("carol")
    world.advance(10 * DAY_MS)
    assert world.balance("carol") - start == 700, "what was not used returns to who has the license by then"
    assert usage(world.view, "org-carol").deadlines == before["carol"].deadlines
    world.check_laws()
