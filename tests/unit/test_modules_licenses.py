"""Licenses: offers, purchases, escrow, check."""

from __future__ import annotations

import msgspec
import pytest

from ledger.errors import OperationError
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses import check
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.grants import State, state_at
from ledger.modules.licenses.operations import (
    Claim,
    Offer,
    Purchase,
    Renew,
    Terms,
    WithdrawOffer,
    terms_digest,
)
from ledger.modules.licenses.records import Grant
from ledger.modules.organizations.quota import usage
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.codec import CodecError, decode, encode
from primitives.identifiers import account_to_text
from tests.unit.modules_kit import COMMITMENT_AGE_MS, SUPPLY_EACH, World, make_genesis

USE = Terms(rights=("download", "inference"), price=1_000)
EXCLUSIVE = Terms(rights=("inference",), price=5_000, exclusivity="exclusive")


def names(events: list[object]) -> list[str]:
    return [type(event).__name__ for event in events]


# --- offers


def test_offers_are_made_by_the_manager_for_a_while() -> None:
    world = World()
    asset = world.register("alice", "A", manager=world.accounts["bob"])
    world.refused("licenses.not_manager", "alice", Offer(asset, USE, world.now_ms + 1))
    for expires_at_ms in (world.now_ms, world.now_ms + 31 * DAY_MS):
        world.refused("licenses.expiry_out_of_range", "bob", Offer(asset, USE, expires_at_ms))
    world.refused("assets.unknown_asset", "bob", Offer(bytes(32), USE, world.now_ms + 1))
    world.refused("assets.unknown_version", "bob", Offer(asset, USE, world.now_ms + 1, version=2))
    world.refused("licenses.invalid_buyer", "bob", Offer(asset, USE, world.now_ms + 1, buyer=bytes(32)))
    twice = Offer(asset, USE, world.now_ms + 1)
    world.refused("licenses.offer_exists", "bob", twice, twice)
    offer = world.offer("bob", asset, USE)
    shown = world.query("licenses.offer", offer=offer.hex())
    assert (shown.price, shown.terms["rights"], shown.open) == (1_000, ("download", "inference"), True)
    assert world.query("licenses.offers", asset=asset.hex()) == [shown]
    assert world.query("licenses.terms", terms=shown.terms_digest).terms == shown.terms


def test_offers_end_by_withdrawal_or_expiry() -> None:
    world = World()
    asset = world.register("alice", "A")
    first = world.offer("alice", asset, USE)
    before = usage(world.view, "org-alice")
    second = world.offer("alice", asset, USE)
    world.refused("licenses.not_manager", "bob", WithdrawOffer(second))
    world.do("alice", WithdrawOffer(second))
    assert usage(world.view, "org-alice") == before
    world.refused("licenses.unknown_offer", "bob", world.purchase_operation(second, USE))
    world.advance(DAY_MS, limit=0)
    world.refused("licenses.offer_expired", "bob", world.purchase_operation(first, USE))
    world.advance(0)
    world.refused("licenses.unknown_offer", "bob", world.purchase_operation(first, USE))


# --- purchases


def test_a_purchase_names_offer_terms_and_highest_price() -> None:
    """The attack: to change price or terms between the buyer's look and the buyer's purchase."""
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, USE)
    world.refused("licenses.terms_mismatch", "bob", Purchase(offer, bytes(32), 1_000))
    world.refused("licenses.price_above_max", "bob", Purchase(offer, terms_digest(USE), 999))
    grant = world.buy("bob", offer, USE)
    shown = world.query("licenses.grant", grant=grant.hex())
    assert (shown.state, shown.edition, shown.price, shown.due_ms) == ("active", 1, 1_000, None)
    bob = account_to_text(world.accounts["bob"])
    assert world.query("licenses.grants", account=bob) == world.query("licenses.grants", asset=asset.hex()) == [shown]
    assert world.query("licenses.grants", account=bob, after=grant.hex()) == []
    purchase = world.purchase_operation(offer, USE)
    world.refused("licenses.grant_exists", "bob", purchase, purchase)


def test_an_owner_cannot_buy_from_itself() -> None:
    """E6: a self-purchase would make evidence of trade from nothing."""
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, USE)
    world.refused("licenses.self_purchase", "alice", world.purchase_operation(offer, USE))
    world.buy("alan", offer, USE)


def test_one_of_several_owners_buys_a_license_like_everybody_else() -> None:
    """E6: payer and payee in one. A share gives no use, and without a license nobody of them could have any."""
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, USE)
    world.transfer("alice", Thing("share", asset, 2_500), "bob")
    for who in ("alice", "bob"):
        assert world.check(who, asset).reason == "co_owner"
        before = world.balance(who) + world.owed(who, asset)
        grant = world.buy(who, offer, USE)
        assert world.check(who, asset).grant == grant
        assert world.balance(who) + world.owed(who, asset) < before
    world.check_laws()


def test_an_offer_may_name_its_buyer() -> None:
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, USE, buyer=world.accounts["bob"])
    world.refused("licenses.not_the_buyer", "carol", world.purchase_operation(offer, USE))
    world.buy("bob", offer, USE)


def test_who_cannot_pay_gets_no_grant() -> None:
    """E2, E5."""
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, USE)
    world.do("bob", Transfer(world.accounts["carol"], SUPPLY_EACH - 999))
    world.refused("credits.insufficient", "bob", world.purchase_operation(offer, USE))
    assert world.check("bob", asset).reason == "no_grant"


def test_editions_are_numbered_and_the_last_is_bought_by_commitment() -> None:
    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, editions_max=2)
    offer = world.offer("alice", asset, terms)
    assert not world.query("licenses.offer", offer=offer.hex()).commitment_required
    world.buy("bob", offer, terms)
    assert world.query("licenses.offer", offer=offer.hex()).commitment_required
    world.refused("licenses.commitment_required", "carol", world.purchase_operation(offer, terms))
    grant = world.buy("carol", offer, terms, committed=True)
    assert world.query("licenses.grant", grant=grant.hex()).edition == 2
    world.refused("licenses.sold_out", "dave", world.purchase_operation(offer, terms))
    second_offer = world.offer("alice", asset, terms)
    world.refused("licenses.sold_out", "dave", world.purchase_operation(second_offer, terms))


def test_who_sees_an_exclusive_purchase_cannot_be_first() -> None:
    """The attack: a validator sees somebody buy the only grant and orders its own purchase before."""
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, EXCLUSIVE)
    salt = world.salt("secret")
    commitment = licenses.purchase_commitment(offer, world.accounts["bob"], salt)
    world.do("bob", licenses.Commit(commitment))
    purchase = world.purchase_operation(offer, EXCLUSIVE, salt)
    world.refused("licenses.commitment_too_young", "bob", purchase)
    world.advance(COMMITMENT_AGE_MS)
    world.refused("licenses.commitment_missing", "carol", purchase)
    world.do("carol", licenses.Commit(licenses.purchase_commitment(offer, world.accounts["carol"], salt)))
    world.refused("licenses.commitment_too_young", "carol", purchase)
    world.refused("licenses.commitment_required", "carol", world.purchase_operation(offer, EXCLUSIVE))
    world.do("bob", purchase)
    world.advance(COMMITMENT_AGE_MS)
    world.refused("licenses.collision", "carol", purchase)


def test_of_two_hundred_buyers_of_an_exclusive_license_one_succeeds() -> None:
    """E1: whatever the order, and the others keep their credits."""
    from ledger.errors import OperationError
    from ledger.modules.organizations.operations import OpenAccount
    from primitives.identifiers import account_id
    from tests.unit.modules_kit import seed_key

    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, EXCLUSIVE)
    salt = bytes(16)
    buyers = []
    for index in range(200):
        key = seed_key(f"buyer {index}").public_key
        world.do("bob", OpenAccount(key, salt, ""))
        buyer = account_id(world.network_id, "org-bob", key, salt)
        world.do("bob", Transfer(buyer, 5_000))
        world.do(buyer, licenses.Commit(licenses.purchase_commitment(offer, buyer, salt)))
        buyers.append(buyer)
    world.advance(COMMITMENT_AGE_MS)
    codes = []
    for buyer in sorted(buyers):
        try:
            world.do(buyer, world.purchase_operation(offer, EXCLUSIVE, salt))
            codes.append("")
        except OperationError as error:
            codes.append(error.code)
    assert codes.count("") == 1
    assert set(codes) == {"", "licenses.collision"}
    assert [world.balance(buyer) for buyer in buyers].count(5_000) == 199
    world.check_laws()


def test_credentials_are_asked_for_at_the_purchase() -> None:
    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, credentials=("organization:org-bob",))
    offer = world.offer("alice", asset, terms)
    world.refused("licenses.credential_missing", "carol", world.purchase_operation(offer, terms))
    world.buy("bob", offer, terms)


# --- escrow


def test_a_payment_waits_until_a_quorum_holds_the_version() -> None:
    world = World()
    asset = world.register("alice", "A", held=False)
    grant = world.license("alice", asset, "bob", USE)
    assert world.query("licenses.grant", grant=grant.hex()).state == "escrowed"
    assert world.balance("bob") == SUPPLY_EACH - 1_000
    assert (world.owed("alice", asset), world.treasury) == (0, 0)
    assert world.check("bob", asset).reason == "escrowed"
    world.check_laws()
    assert "Activated" not in names(world.hold(asset, count=2))
    world.do(world.validators[2], assets.ReportHeld(asset, 1), role="validator")
    assert names(world.events) == ["HeldReported", "BecameAvailable", "Activated", "Paid", "Settled"]
    assert (world.owed("alice", asset), world.treasury) == (975, 25)
    assert world.check("bob", asset).reason == "granted"
    assert "Refunded" not in names(world.advance(2 * DAY_MS))
    world.check_laws()


def test_a_payment_returns_when_nobody_comes_to_hold_the_version() -> None:
    world = World()
    asset = world.register("alice", "A", held=False)
    terms = msgspec.structs.replace(USE, editions_max=1)
    grant = world.license("alice", asset, "bob", terms)
    before = usage(world.view, "org-bob")
    world.refused("licenses.not_due", "carol", Claim(grant))
    assert "Refunded" in names(world.advance(world.parameters.escrow_timeout_ms))
    assert world.balance("bob") == SUPPLY_EACH
    assert world.query("licenses.grant", grant=grant.hex()).state == "refunded"
    assert world.check("bob", asset).reason == "refunded"
    assert usage(world.view, "org-bob").deadlines == before.deadlines - 1
    world.refused("licenses.nothing_in_escrow", "bob", Claim(grant))
    world.hold(asset)
    assert world.query("licenses.grant", grant=grant.hex()).state == "refunded"
    again = world.license("alice", asset, "carol", terms)
    assert world.query("licenses.grant", grant=again.hex()).edition == 2, "a number is given once"
    world.check_laws()


def test_a_due_refund_can_be_claimed_before_the_sweep_comes() -> None:
    world = World()
    asset = world.register("alice", "A", held=False)
    grant = world.license("alice", asset, "bob", USE)
    world.advance(world.parameters.escrow_timeout_ms, limit=0)
    world.do("carol", Claim(grant))
    assert world.balance("bob") == SUPPLY_EACH
    world.advance(0)
    world.check_laws()


def test_an_escrow_blocks_a_second_exclusive_sale_until_it_ends() -> None:
    """Live includes escrowed; a refund frees the asset again."""
    world = World()
    asset = world.register("alice", "A", held=False)
    offer = world.offer("alice", asset, EXCLUSIVE, expires_at_ms=world.now_ms + 3 * DAY_MS)
    world.buy("bob", offer, EXCLUSIVE, committed=True)
    salt = world.salt("carol")
    world.do("carol", licenses.Commit(licenses.purchase_commitment(offer, world.accounts["carol"], salt)))
    world.advance(COMMITMENT_AGE_MS)
    purchase = world.purchase_operation(offer, EXCLUSIVE, salt)
    world.refused("licenses.collision", "carol", purchase)
    world.advance(DAY_MS - 2 * COMMITMENT_AGE_MS)
    world.refused("licenses.collision", "carol", purchase)
    world.advance(COMMITMENT_AGE_MS)
    world.buy("carol", offer, EXCLUSIVE, committed=True)
    world.check_laws()


def test_what_waited_too_long_returns_though_the_sweep_is_behind() -> None:
    """E1: the time from its end on may have been sold, also exclusively."""
    world = World()
    asset = world.register("alice", "A", held=False)
    terms = msgspec.structs.replace(EXCLUSIVE, term_ms=1_000)
    offer = world.offer("alice", asset, terms, expires_at_ms=world.now_ms + 3 * DAY_MS)
    late = world.buy("bob", offer, terms, committed=True)
    world.advance(world.parameters.escrow_timeout_ms + 1_000, limit=0)
    salt = world.salt("carol")
    world.do("carol", licenses.Commit(licenses.purchase_commitment(offer, world.accounts["carol"], salt)))
    world.advance(COMMITMENT_AGE_MS, limit=0)
    world.do("carol", world.purchase_operation(offer, terms, salt))
    grant = licenses.grant_id(world.transaction_id, offer)
    world.hold(asset)
    states = [world.query("licenses.grant", grant=key.hex()).state for key in (late, grant)]
    assert states == ["refunded", "active"]
    assert world.balance("bob") == SUPPLY_EACH
    world.check_laws()


def test_the_number_of_escrows_for_one_version_is_bounded() -> None:
    """One statement settles all of them, so there may not be too many."""
    from ledger.modules.licenses.records import WAITING_MAX

    world = World()
    asset = world.register("alice", "A", held=False)
    offer = world.offer("alice", asset, USE)
    for _ in range(WAITING_MAX):
        world.buy("bob", offer, USE)
    world.refused("licenses.too_many_waiting", "bob", world.purchase_operation(offer, USE))
    world.hold(asset)
    assert world.owed("alice", asset) == WAITING_MAX * 975
    world.buy("bob", offer, USE)
    world.check_laws()


def test_a_dispute_window_holds_the_payment_not_the_grant() -> None:
    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, dispute_window_ms=DAY_MS)
    grant = world.license("alice", asset, "bob", terms)
    assert world.check("bob", asset).allowed
    assert world.owed("alice", asset) == 0
    world.refused("licenses.not_due", "alice", Claim(grant))
    assert "Settled" in names(world.advance(DAY_MS))
    assert world.owed("alice", asset) == 975
    waiting = world.register("alice", "B", held=False)
    second = world.license("alice", waiting, "bob", terms)
    world.hold(waiting)
    assert world.query("licenses.grant", grant=second.hex()).due_ms == world.now_ms + DAY_MS
    world.advance(DAY_MS, limit=0)
    world.do("alice", Claim(second))
    assert world.owed("alice", waiting) == 975
    world.check_laws()


def test_a_term_begins_when_the_grant_becomes_active() -> None:
    world = World()
    asset = world.register("alice", "A", held=False)
    grant = world.license("alice", asset, "bob", msgspec.structs.replace(USE, term_ms=1_000))
    world.advance(5_000)
    world.hold(asset)
    shown = world.query("licenses.grant", grant=grant.hex())
    assert (shown.start_ms, shown.end_ms) == (world.now_ms, world.now_ms + 1_000)


def test_a_fixed_period_that_passes_in_escrow_is_refunded() -> None:
    world = World()
    asset = world.register("alice", "A", held=False)
    terms = msgspec.structs.replace(USE, start_ms=world.now_ms, term_ms=3_600_000)
    grant = world.license("alice", asset, "bob", terms)
    offer = world.offer("alice", asset, terms)
    world.advance(3_600_000)
    world.refused("licenses.term_over", "carol", world.purchase_operation(offer, terms))
    world.hold(asset)
    assert world.query("licenses.grant", grant=grant.hex()).state == "refunded"
    assert world.balance("bob") == SUPPLY_EACH
    world.check_laws()


def test_an_escrow_that_royalties_have_outgrown_returns() -> None:
    """A sweep step cannot fail: where the payment can no longer be split, it goes back to the payer."""
    world = World()
    parent = world.register("alice", "P")
    asset = world.register("bob", "A", held=False)
    grant = world.license("bob", asset, "carol", msgspec.structs.replace(USE, price=10))
    terms = Terms(
        rights=("train-on",),
        price=0,
        commercial=True,
        derivatives="yes",
        revenue_share_bps=1,
        revenue_share_depth=1,
        least_royalty=1_000,
    )
    derivation = assets.Derivation(parent, "train-on", world.license("alice", parent, "bob", terms))
    world.add_version("bob", asset, "A2", derivations=[derivation])
    world.hold(asset)
    assert world.query("licenses.grant", grant=grant.hex()).state == "refunded"
    assert world.balance("carol") == SUPPLY_EACH
    offer = world.offer("bob", asset, msgspec.structs.replace(USE, price=10), version=1)
    cheap = world.purchase_operation(offer, msgspec.structs.replace(USE, price=10))
    world.refused("royalties.uncovered", "carol", cheap)
    world.check_laws()


# --- check


def test_an_answer_looks_at_a_bounded_number_of_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers ask about whom they want: who has bought any number of grants does not make every answer expensive."""
    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, term_ms=1)
    offer = world.offer("alice", asset, terms)
    grants = {world.buy("bob", offer, terms) for _ in range(5)}
    world.advance(1)
    looked_at: list[Grant] = []

    def state(grant: Grant, at_ms: int) -> State:
        looked_at.append(grant)
        return state_at(grant, at_ms)

    monkeypatch.setattr(check, "state_at", state)
    monkeypatch.setattr(check, "LOOKED_AT_MAX", 3)
    answer = world.check("bob", asset)
    assert (answer.reason, answer.grant in grants, len(looked_at)) == ("expired", True, 3)


def test_check_says_why() -> None:
    world = World()
    asset = world.register("alice", "A")
    later_ms = world.now_ms + 10 * DAY_MS
    terms = msgspec.structs.replace(
        USE, start_ms=later_ms, term_ms=1_000, field_deny=("weapons",), field_allow=("health",)
    )
    grant = world.license("alice", asset, "bob", terms)
    for at_ms, right, field, reason, clause in [
        (world.now_ms, "download", None, "not_started", "start_ms"),
        (later_ms, "download", None, "granted", ""),
        (later_ms, "train-on", None, "right_not_granted", "rights"),
        (later_ms, "download", "weapons", "field_denied", "field_deny"),
        (later_ms, "download", "finance", "field_denied", "field_allow"),
        (later_ms, "download", "health", "granted", ""),
        (later_ms + 999, "inference", None, "granted", ""),
        (later_ms + 1_000, "inference", None, "expired", "term_ms"),
    ]:
        answer = world.check("bob", asset, right, at_ms=at_ms, field_of_use=field)
        assert (answer.reason, answer.clause, answer.grant) == (reason, clause, grant)
        assert answer.allowed is (reason == "granted")
    assert world.check("bob", asset, "nonsense").reason == "unknown_right"
    assert world.check("bob", bytes(32)).reason == "unknown_asset"
    shown = world.query(
        "licenses.check",
        account=account_to_text(world.accounts["bob"]),
        asset=asset.hex(),
        right="inference",
        at_ms=str(later_ms),
    )
    assert (shown.allowed, shown.grant) == (True, grant.hex())
    assert world.query("licenses.grant", grant=grant.hex()).state == "scheduled"


def test_public_assets_are_downloaded_by_anyone_and_nothing_more() -> None:
    world = World()
    asset = world.register("alice", "A", visibility="public")
    assert world.check("bob", asset).reason == "public"
    assert world.check("bob", asset, "train-on").reason == "no_grant"


def test_a_better_grant_is_found_behind_worse_ones() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.license("alice", asset, "bob", msgspec.structs.replace(USE, term_ms=1))
    world.license("alice", asset, "bob", Terms(rights=("train-on",), price=0))
    world.advance(10)
    assert world.check("bob", asset).reason == "expired"
    good = world.license("alice", asset, "bob", USE)
    assert world.check("bob", asset).grant == good


@pytest.mark.parametrize("amount", [-1, 2**63, True, 1.0])
def test_amounts_that_are_none_are_refused(amount: object) -> None:
    """E4."""
    for field in ("price", "usage_price", "least_royalty", "revenue_share_cap"):
        with pytest.raises(CodecError):
            decode(encode(msgspec.structs.replace(USE, **{field: amount})), Terms)
    purchase = Purchase(bytes(32), bytes(32), 0)
    renewal = Renew(bytes(32), bytes(32), bytes(32), 0)
    for operation in (purchase, renewal):
        assert decode(encode(operation), type(operation)) == operation
        with pytest.raises(CodecError):
            decode(encode(msgspec.structs.replace(operation, price_max=amount)), type(operation))


@pytest.mark.parametrize("count", [0, -1, 2**32, True, 1.0])
def test_counts_that_are_none_are_refused(count: object) -> None:
    """E4."""
    for field in ("editions_max", "quota", "seats"):
        with pytest.raises(CodecError):
            decode(encode(msgspec.structs.replace(USE, **{field: count})), Terms)


def test_a_license_for_nothing_is_a_license() -> None:
    """E4: an amount of 0 is paid to nobody, and leaves no record of a balance."""
    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, price=0, dispute_window_ms=5)
    grant = world.license("alice", asset, "bob", terms)
    world.check_laws()
    assert "Settled" in names(world.advance(5))
    assert world.query("licenses.grant", grant=grant.hex()).paid == 0
    assert world.balance("bob") == SUPPLY_EACH
    world.check_laws()


@pytest.mark.parametrize(("after_ms", "code"), [(-1, ""), (0, "licenses.offer_expired"), (1, "licenses.offer_expired")])
def test_an_offer_ends_at_its_millisecond(after_ms: int, code: str) -> None:
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, USE)
    world.advance(DAY_MS + after_ms, limit=0)
    purchase = world.purchase_operation(offer, USE)
    world.refused(code, "bob", purchase) if code else world.do("bob", purchase)


@pytest.mark.parametrize("last", [1, 2])
def test_a_full_quota_of_the_licensee_does_not_stop_the_validators(last: int) -> None:
    """Not even the validator of the licensee's own organization, which is number 1."""
    world = World(make_genesis(quota_deadlines_per_organization=10))
    world.validators[2], world.validators[last] = world.validators[last], world.validators[2]
    asset = world.register("alice", "A", held=False)
    terms = msgspec.structs.replace(USE, dispute_window_ms=1_000)
    world.license("alice", asset, "bob", terms)
    for index in range(9):
        world.do("bob", assets.Commit(bytes([index]) * 32))
    world.refused("organizations.quota_deadlines", "bob", assets.Commit(bytes([99]) * 32))
    world.hold(asset)
    assert world.check("bob", asset).allowed


@pytest.mark.parametrize("exclusivity", ["sole", "exclusive"])
def test_an_exhausted_grant_keeps_nobody_out(exclusivity: licenses.Exclusivity) -> None:
    """E1: only a live grant excludes others; one that is used up would otherwise block its rights for ever."""
    world = World()
    asset = world.register("alice", "A")
    once = Terms(
        rights=("download", "train-on"),
        price=10,
        exclusivity=exclusivity,
        quota=1,
        quota_unit="trainings",
        derivatives="yes",
    )
    grant = world.license("alice", asset, "bob", once)
    offer = world.offer("alice", asset, once)
    committed = exclusivity == "exclusive"
    with pytest.raises(OperationError, match="excludes"):
        world.buy("carol", offer, once, committed=committed)
    assert world.check("alice", asset).allowed == (exclusivity == "sole")
    world.register("bob", "B", derivations=[assets.Derivation(asset, "train-on", grant)])
    assert world.query("licenses.grant", grant=grant.hex()).state == "exhausted"
    assert world.check("alice", asset).allowed
    assert world.check("bob", asset).reason == "exhausted"
    if committed:
        world.advance(1)
        world.do("carol", world.purchase_operation(offer, once, world.salt("purchase carol")))
    else:
        world.buy("carol", offer, once)
    world.check_laws()
