"""Revocation: who may, what it pays back, and what it frees."""

from __future__ import annotations

import msgspec
import pytest

from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Renew, Revoke, Terms, terms_digest
from ledger.modules.licenses.usage import LAST_REPORTS_MS
from ledger.parameters import DAY_MS
from primitives.codec import CodecError, decode, encode
from tests.unit.modules_kit import SUPPLY_EACH, World, cid, make_genesis
from tests.unit.standing_kit import REVOCABLE, TERM_MS, USE, hold, names, release, report, shown, sold


def test_what_is_revoked_before_its_start_reserves_nothing() -> None:
    """During the notice it would still begin, but it ends before: no time is left that it could share with another."""
    world = World()
    asset = world.register("alice", "A")
    later = Terms(
        rights=("inference",),
        price=1_000,
        exclusivity="sole",
        start_ms=world.now_ms + DAY_MS,
        revocation_causes=("breach",),
        notice_ms=DAY_MS // 2,
    )
    grant = world.license("alice", asset, "bob", later)
    use = world.offer("alice", asset, USE)
    world.refused("licenses.collision", "carol", world.purchase_operation(use, USE))
    world.do("alice", Revoke(grant, "breach"))
    world.buy("carol", use, USE)
    assert world.check("carol", asset, "inference").allowed
    world.check_laws()


@pytest.mark.parametrize(
    ("after_ms", "notice_ms", "price", "refund"),
    [
        (0, 0, 1_000, 1_000),
        (1, 0, 1_000, 999),
        (0, 999, 1_000, 1),
        (500, 499, 999, 1),
        (1, 0, 1, 1),
        (999, 0, 1, 1),
        (334, 333, 10, 4),
        (400, 100, 0, 0),
    ],
)
def test_the_revoker_pays_the_rest_of_the_term_back_rounded_up(
    after_ms: int, notice_ms: int, price: int, refund: int
) -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(REVOCABLE, price=price, notice_ms=notice_ms))
    owed, start_ms = world.owed("alice", asset), world.now_ms
    world.advance(after_ms)
    world.do("alice", Revoke(grant, "breach", cid("evidence")))
    effect_ms = start_ms + after_ms + notice_ms
    event = world.events[0]
    assert (event.cause, event.effect_ms, event.refund) == ("breach", effect_ms, refund)
    assert world.balance("alice") == SUPPLY_EACH - refund
    assert world.balance("bob") == SUPPLY_EACH - price + refund
    assert world.owed("alice", asset) == owed, "what was paid is not clawed back"
    after = shown(world, grant)
    assert (after.refunded, after.paid) == (refund, price - refund)
    assert (after.revocation.effect_ms, after.revocation.evidence) == (effect_ms, cid("evidence"))
    assert world.check("bob", asset, "inference", at_ms=effect_ms - 1).allowed is (effect_ms > start_ms)
    assert world.check("bob", asset, "inference", at_ms=effect_ms).reason == "revoked"
    world.refused("licenses.already_revoked", "alice", Revoke(grant, "breach"))
    world.check_laws()


def test_revocations_that_are_refused() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(REVOCABLE, notice_ms=TERM_MS))
    world.refused("licenses.unknown_grant", "alice", Revoke(bytes(32), "breach"))
    world.refused("licenses.not_manager", "bob", Revoke(grant, "breach"))
    world.refused("licenses.cause_not_agreed", "alice", Revoke(grant, "whim"))
    world.refused("licenses.invalid_evidence", "alice", Revoke(grant, "breach", "b" * 59))
    world.refused("licenses.not_revocable", "alice", Revoke(grant, "breach"))
    world.refused("organizations.key_not_allowed", "alice", Revoke(grant, "breach"), role="operator")
    plain = world.license("alice", asset, "bob", USE)
    world.refused("licenses.cause_not_agreed", "alice", Revoke(plain, "breach"))
    ended = world.license("alice", asset, "bob", REVOCABLE)
    world.advance(TERM_MS)
    world.refused("licenses.not_revocable", "alice", Revoke(ended, "breach"))
    waiting = world.register("alice", "B", held=False)
    escrowed = world.license("alice", waiting, "bob", REVOCABLE)
    world.refused("licenses.not_revocable", "alice", Revoke(escrowed, "breach"))


def test_who_cannot_pay_the_refund_does_not_revoke() -> None:
    """E5."""
    world = World()
    asset, grant = sold(world)
    world.do("alice", Transfer(world.accounts["carol"], SUPPLY_EACH - 999))
    world.refused("credits.insufficient", "alice", Revoke(grant, "breach"))
    assert world.check("bob", asset, "inference").allowed
    world.advance(1)
    world.do("alice", Revoke(grant, "breach"))
    assert world.balance("alice") == 0


def test_a_revocation_before_the_start_pays_all_back() -> None:
    world = World()
    terms = msgspec.structs.replace(REVOCABLE, start_ms=world.now_ms + 30 * DAY_MS, notice_ms=5)
    _, grant = sold(world, terms)
    world.do("alice", Revoke(grant, "breach"))
    assert world.balance("bob") == SUPPLY_EACH
    world.check_laws()


def test_a_perpetual_grant_is_revoked_without_a_refund() -> None:
    world = World()
    asset, grant = sold(world, Terms(rights=("inference",), price=1_000, revocation_causes=("breach",), notice_ms=7))
    world.do("alice", Revoke(grant, "breach"))
    assert (world.events[0].refund, shown(world, grant).state) == (0, "active")
    world.advance(7)
    assert shown(world, grant).state == "revoked"
    assert world.check("bob", asset, "inference").clause == "revocation_causes"
    world.check_laws()


@pytest.mark.parametrize("notice_ms", [2**45 + 1, 2**53 - 1, -1, True, 1.0])
def test_a_notice_has_a_bound(notice_ms: object) -> None:
    """The effect of a revocation is a time that a record can hold."""
    with pytest.raises(CodecError):
        decode(encode(msgspec.structs.replace(REVOCABLE, notice_ms=notice_ms)), Terms)
    world = World()
    _, grant = sold(world, Terms(rights=("inference",), price=1, revocation_causes=("breach",), notice_ms=2**45))
    world.do("alice", Revoke(grant, "breach"))
    assert shown(world, grant).revocation.effect_ms == world.now_ms + 2**45


def test_a_refunded_renewal_gives_the_revoker_back_what_it_paid_for_that_term() -> None:
    """A revocation has paid two terms back, the second of which then returns as well."""
    world = World(make_genesis(fee_bps=0))
    terms = msgspec.structs.replace(REVOCABLE, renewable=True, dispute_window_ms=500)
    asset, grant = sold(world, terms)
    world.advance(500)
    offer = world.offer("alice", asset, terms)
    world.do("bob", Renew(grant, offer, terms_digest(terms), terms.price))
    world.advance(200)
    world.do("alice", Revoke(grant, "breach"))
    assert (world.balance("alice"), world.balance("bob")) == (SUPPLY_EACH - 1_300, SUPPLY_EACH - 700)
    hold(world, grant)
    events = release(world, grant, "refund")
    assert (names(events), events[0].amount) == (["RenewalRefunded"], 0)
    assert (world.balance("alice"), world.owed("alice", asset)) == (SUPPLY_EACH - 300, 1_000)
    assert world.balance("bob") == SUPPLY_EACH - 700, "it used seven tenths of one term"
    assert (shown(world, grant).state, shown(world, grant).paid) == ("revoked", 700)
    world.check_laws()


def test_a_revoked_grant_frees_the_time_after_its_effect_and_no_edition() -> None:
    world = World()
    terms = msgspec.structs.replace(REVOCABLE, exclusivity="exclusive", editions_max=1, notice_ms=100)
    asset, grant = sold(world, terms)
    effect_ms = world.now_ms + 100
    world.do("alice", Revoke(grant, "breach"))
    for start_ms, code in ((effect_ms - 1, "licenses.collision"), (effect_ms, "")):
        after = Terms(rights=("inference",), price=1, start_ms=start_ms)
        operation = world.purchase_operation(world.offer("alice", asset, after), after)
        world.refused(code, "carol", operation) if code else world.do("carol", operation)
    world.check_laws()
    world.now_ms = effect_ms
    assert world.check("alice", asset, "inference").allowed
    same = world.offer("alice", asset, terms)
    world.refused("licenses.sold_out", "carol", world.purchase_operation(same, terms))


def test_a_revocation_moves_the_deposit_for_use_forward() -> None:
    world = World()
    terms = msgspec.structs.replace(
        REVOCABLE,
        rights=("inference-as-service",),
        term_ms=30 * DAY_MS,
        quota=10,
        quota_unit="calls",
        usage_price=7,
        notice_ms=DAY_MS,
    )
    _, grant = sold(world, terms)
    world.advance(3 * DAY_MS)
    world.do("alice", Revoke(grant, "breach"))
    assert shown(world, grant).usage_due_ms == world.now_ms + DAY_MS + LAST_REPORTS_MS
    world.check_laws()
    world.advance(DAY_MS)
    world.do("alice", report(world, grant, 4))
    world.advance(LAST_REPORTS_MS)
    refund = -(-1_000 * 26 // 30)
    assert world.balance("bob") == SUPPLY_EACH - 1_000 - 28 + refund
    assert shown(world, grant).paid == 1_028 - refund
    world.check_laws()


@pytest.mark.parametrize("returned", [True, False])
def test_nobody_is_paid_twice_for_a_revoked_grant_whose_payment_returns(returned: bool) -> None:
    """The attack: to be paid a refund, and then to have the escrow returned as well."""
    world = World(make_genesis(fee_bps=0))
    asset, grant = sold(world, msgspec.structs.replace(REVOCABLE, dispute_window_ms=DAY_MS))
    world.advance(300)
    world.do("alice", Revoke(grant, "breach"))
    assert world.balance("bob") == SUPPLY_EACH - 300
    hold(world, grant)
    release(world, grant, "refund" if returned else "settle")
    if returned:
        assert (world.balance("alice"), world.balance("bob")) == (SUPPLY_EACH, SUPPLY_EACH)
    else:
        assert (world.balance("alice"), world.owed("alice", asset)) == (SUPPLY_EACH - 700, 1_000)
        assert world.balance("bob") == SUPPLY_EACH - 300
    world.check_laws()
