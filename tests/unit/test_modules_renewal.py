"""Renewal: a further term of the same grant, or a successor under other terms."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.operations import Renew, ReportUsage, Revoke, Terms, terms_digest
from ledger.modules.licenses.renewal import RENEWAL_GRACE_MS
from ledger.modules.licenses.usage import LAST_REPORTS_MS
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from ledger.parameters import DAY_MS
from tests.unit.modules_kit import SUPPLY_EACH, World, make_genesis, seed_key

TERM_MS = 10 * DAY_MS
USE = Terms(rights=("inference",), price=1_000, term_ms=TERM_MS, renewable=True)
OTHER = msgspec.structs.replace(USE, rights=("download", "inference"), price=3_000)
EXCLUSIVE = msgspec.structs.replace(USE, exclusivity="exclusive")
CALLS = Terms(
    rights=("inference-as-service",),
    price=1_000,
    term_ms=TERM_MS,
    renewable=True,
    quota=10,
    quota_unit="calls",
    usage_price=7,
)


def sold(world: World, terms: Terms = USE, **fields: Any) -> tuple[bytes, bytes]:
    """Register an asset of alice's and sell bob a grant; the offer stays open for 29 days."""
    asset = world.register("alice", "A", **fields)
    offer = world.offer("alice", asset, terms, expires_at_ms=world.now_ms + 29 * DAY_MS)
    committed = terms.exclusivity == "exclusive" or terms.editions_max == 1
    return asset, world.buy("bob", offer, terms, committed=committed)


def offered(world: World, asset: bytes, terms: Terms, **fields: Any) -> bytes:
    return world.offer("alice", asset, terms, expires_at_ms=world.now_ms + 29 * DAY_MS, **fields)


def renewal(grant: bytes, offer: bytes, terms: Terms, salt: bytes | None = None) -> Renew:
    return Renew(grant, offer, terms_digest(terms), terms.price, salt)


def renew(world: World, who: str, grant: bytes, terms: Terms = USE) -> bytes:
    """Renew under a fresh offer; return the offer."""
    offer = offered(world, world_grant(world, grant), terms)
    world.do(who, renewal(grant, offer, terms, committed(world, who, offer, terms)))
    return offer


def committed(world: World, who: str, offer: bytes, terms: Terms) -> bytes | None:
    if terms.exclusivity != "exclusive" and terms.editions_max != 1:
        return None
    salt = world.salt(f"renewal {world.now_ms}")
    world.do(who, licenses.Commit(licenses.purchase_commitment(offer, world.accounts[who], salt)))
    world.advance(world.parameters.commitment_age_ms)
    return salt


def world_grant(world: World, grant: bytes) -> bytes:
    return bytes.fromhex(shown(world, grant).asset)


def shown(world: World, grant: bytes) -> Any:
    return world.query("licenses.grant", grant=grant.hex())


def names(events: list[object]) -> list[str]:
    return [type(event).__name__ for event in events]


def report(world: World, grant: bytes, count: int) -> None:
    key = seed_key("bob")
    signature = sign_voucher(Voucher(world.network_id, grant, count), key)
    world.do("alice", ReportUsage(grant, count, key.public_key, signature))


# --- under the same terms


def test_the_same_terms_add_a_term_to_the_same_grant() -> None:
    world = World()
    asset, grant = sold(world)
    before = shown(world, grant)
    world.advance(DAY_MS)
    offer = renew(world, "bob", grant)
    event = world.events[-1]
    assert names(world.events) == ["Paid", "Renewed"]
    assert (event.grant, event.offer, event.price, event.start_ms) == (grant, offer, 1_000, before.end_ms)
    after = shown(world, grant)
    assert (after.start_ms, after.end_ms) == (before.start_ms, before.end_ms + TERM_MS)
    assert (after.edition, after.terms_paid, after.paid, after.successor) == (1, 2, 2_000, None)
    assert world.owed("alice", asset) == 2 * 975
    assert world.check("bob", asset, "inference", at_ms=before.end_ms).allowed
    assert world.check("bob", asset, "inference", at_ms=after.end_ms).reason == "expired"
    world.check_laws()


@pytest.mark.parametrize(
    ("after_end_ms", "start_moves", "code"),
    [
        (-TERM_MS - 1, False, "licenses.renewal_too_early"),
        (-TERM_MS, False, ""),
        (-1, False, ""),
        (0, False, ""),
        (1, True, ""),
        (RENEWAL_GRACE_MS - 1, True, ""),
        (RENEWAL_GRACE_MS, True, "licenses.renewal_too_late"),
    ],
)
def test_when_a_grant_can_be_renewed(after_end_ms: int, start_moves: bool, code: str) -> None:
    """One term ahead at most, and within the grace: to the millisecond."""
    world = World()
    start_ms = world.now_ms + 20 * DAY_MS
    terms = msgspec.structs.replace(USE, start_ms=start_ms)
    asset, grant = sold(world, terms)
    end_ms = start_ms + TERM_MS
    world.now_ms = end_ms + after_end_ms
    offer = offered(world, asset, terms)
    if code:
        world.refused(code, "bob", renewal(grant, offer, terms))
        return
    world.do("bob", renewal(grant, offer, terms))
    after = shown(world, grant)
    next_ms = max(world.now_ms, end_ms)
    assert (after.start_ms, after.end_ms) == (world.now_ms if start_moves else start_ms, next_ms + TERM_MS)
    if next_ms > world.now_ms:
        world.refused("licenses.renewal_too_early", "bob", renewal(grant, offer, terms))
    world.check_laws()


def test_renewals_that_are_refused() -> None:
    world = World()
    asset, grant = sold(world)
    second = world.register("alice", "B")
    offer, elsewhere = offered(world, asset, USE), offered(world, second, USE)
    good = renewal(grant, offer, USE)
    world.refused("licenses.unknown_grant", "bob", msgspec.structs.replace(good, grant=bytes(32)))
    world.refused("licenses.not_licensee", "carol", good)
    world.refused("licenses.other_asset", "bob", renewal(grant, elsewhere, USE))
    world.refused("licenses.unknown_offer", "bob", renewal(grant, bytes(32), USE))
    world.refused("licenses.terms_mismatch", "bob", msgspec.structs.replace(good, terms_digest=bytes(32)))
    world.refused("licenses.price_above_max", "bob", msgspec.structs.replace(good, price_max=999))
    named = offered(world, asset, USE, buyer=world.accounts["carol"])
    world.refused("licenses.not_the_buyer", "bob", renewal(grant, named, USE))
    world.refused("organizations.key_not_allowed", "bob", good, role="operator")
    once = msgspec.structs.replace(USE, renewable=False)
    only = world.license("alice", asset, "bob", once)
    world.refused("licenses.not_renewable", "bob", renewal(only, offered(world, asset, once), once))
    world.do("bob", Transfer(world.accounts["carol"], world.balance("bob") - 999))
    world.refused("credits.insufficient", "bob", good)
    world.do("alice", assets.Retire(asset))
    world.refused("assets.retired", "bob", good)
    world.check_laws()


def test_who_became_an_owner_cannot_renew() -> None:
    world = World()
    asset, grant = sold(world)
    world.transfer("alice", asset, "bob")
    offer = world.offer("bob", asset, USE)
    world.refused("licenses.self_purchase", "bob", renewal(grant, offer, USE))


def test_a_renewal_into_somebodys_exclusive_is_refused() -> None:
    """The attack: to buy an exclusive license on the time after a grant, and to find its holder there again."""
    world = World()
    asset, grant = sold(world)
    after = msgspec.structs.replace(EXCLUSIVE, start_ms=shown(world, grant).end_ms)
    world.buy("carol", offered(world, asset, after), after, committed=True)
    offer = offered(world, asset, USE)
    world.refused("licenses.collision", "bob", renewal(grant, offer, USE))
    other = offered(world, asset, OTHER)
    world.refused("licenses.collision", "bob", renewal(grant, other, OTHER))
    world.check_laws()


def test_an_exclusive_grant_is_renewed_by_commitment_and_does_not_collide_with_itself() -> None:
    """The attack: a validator sees the renewal and buys the period first."""
    world = World()
    asset, grant = sold(world, EXCLUSIVE)
    offer = offered(world, asset, EXCLUSIVE)
    world.refused("licenses.commitment_required", "bob", renewal(grant, offer, EXCLUSIVE))
    renew(world, "bob", grant, EXCLUSIVE)
    assert not world.check("alice", asset, "inference", at_ms=shown(world, grant).end_ms - 1).allowed
    world.check_laws()


def test_a_lapsed_exclusive_grant_gives_way_and_comes_back_only_where_it_is_free() -> None:
    world = World()
    asset, grant = sold(world, EXCLUSIVE)
    world.advance(TERM_MS)
    world.license("alice", asset, "carol", msgspec.structs.replace(EXCLUSIVE, term_ms=DAY_MS))
    offer = offered(world, asset, EXCLUSIVE)
    salt = committed(world, "bob", offer, EXCLUSIVE)
    world.refused("licenses.collision", "bob", renewal(grant, offer, EXCLUSIVE, salt))
    world.advance(DAY_MS)
    world.do("bob", renewal(grant, offer, EXCLUSIVE, committed(world, "bob", offer, EXCLUSIVE)))
    plain = offered(world, asset, USE)
    world.refused("licenses.collision", "carol", world.purchase_operation(plain, USE))
    world.check_laws()


def test_a_renewal_in_a_dispute_window_waits_in_escrow_and_can_be_undone() -> None:
    world = World(make_genesis(fee_bps=0))
    terms = msgspec.structs.replace(CALLS, dispute_window_ms=DAY_MS, revenue_share_bps=0)
    asset, grant = sold(world, terms)
    offer = offered(world, asset, terms)
    world.refused("licenses.payment_in_escrow", "bob", renewal(grant, offer, terms))
    world.advance(DAY_MS)
    first = shown(world, grant)
    report(world, grant, 4)
    world.do("bob", renewal(grant, offer, terms))
    assert (shown(world, grant).due_ms, shown(world, grant).paid) == (world.now_ms + DAY_MS, 1_028)
    assert shown(world, grant).deposit == 2 * 70 - 28
    world.check_laws()
    outgrow(world, asset)
    assert "RenewalRefunded" in names(world.advance(DAY_MS))
    undone = shown(world, grant)
    assert (undone.state, undone.end_ms, undone.terms_paid, undone.due_ms) == ("active", first.end_ms, 1, None)
    assert (undone.quota, undone.deposit, undone.usage_due_ms) == (10, 70 - 28, first.end_ms + LAST_REPORTS_MS)
    assert world.balance("bob") == SUPPLY_EACH - 1_000 - 70
    world.check_laws()
    world.advance(TERM_MS + LAST_REPORTS_MS)
    assert world.balance("bob") == SUPPLY_EACH - 1_000 - 28
    world.check_laws()


def test_a_late_renewal_that_is_undone_leaves_no_time_before_its_start() -> None:
    """It had moved the start to its own time, which is after the end that stands again."""
    world = World(make_genesis(fee_bps=0))
    terms = msgspec.structs.replace(CALLS, dispute_window_ms=DAY_MS, revenue_share_bps=0)
    asset, grant = sold(world, terms)
    world.advance(DAY_MS)
    first = shown(world, grant)
    world.advance(first.end_ms - world.now_ms + DAY_MS)
    renew(world, "bob", grant, terms)
    assert shown(world, grant).start_ms == world.now_ms
    outgrow(world, asset)
    world.advance(DAY_MS)
    undone = shown(world, grant)
    assert (undone.state, undone.start_ms, undone.end_ms) == ("expired", first.end_ms, first.end_ms)
    world.check_laws()


def outgrow(world: World, asset: bytes) -> None:
    """Let a parent of the asset ask for more least royalty than its licenses cost."""
    parent = world.register("carol", "parent")
    terms = Terms(
        rights=("train-on",),
        price=0,
        commercial=True,
        derivatives="yes",
        revenue_share_bps=1,
        revenue_share_depth=1,
        least_royalty=5_000,
    )
    derivation = assets.Derivation(parent, "train-on", world.license("carol", parent, "alice", terms))
    world.add_version("alice", asset, "A2", derivations=[derivation])
    world.hold(asset, 2)


def test_a_renewal_needs_an_available_version() -> None:
    world = World()
    asset, grant = sold(world)
    world.add_version("alice", asset, "A2")
    world.refused("licenses.not_available", "bob", renewal(grant, offered(world, asset, USE), USE))
    world.do("bob", renewal(grant, offered(world, asset, USE, version=1), USE))


def test_a_renewal_adds_its_quota_to_what_is_left() -> None:
    world = World(make_genesis(fee_bps=0))
    asset, grant = sold(world, CALLS)
    report(world, grant, 10)
    assert shown(world, grant).state == "exhausted"
    world.advance(DAY_MS)
    renew(world, "bob", grant, CALLS)
    after = shown(world, grant)
    assert (after.state, after.quota, after.deposit) == ("active", 20, 70)
    assert after.end_ms == world.now_ms + TERM_MS, "its quota was used: the next term begins now"
    assert after.usage_due_ms == after.end_ms + LAST_REPORTS_MS
    report(world, grant, 12)
    renew(world, "bob", grant, CALLS)
    assert (shown(world, grant).quota, shown(world, grant).deposit) == (30, 18 * 7)
    world.check_laws()
    world.advance(2 * TERM_MS + LAST_REPORTS_MS)
    assert world.balance("bob") == SUPPLY_EACH - 3_000 - 84
    assert world.owed("alice", asset) == 3_084
    world.check_laws()


def test_a_renewal_at_the_last_moment_keeps_one_deposit_for_both_terms() -> None:
    world = World()
    _, grant = sold(world, CALLS)
    report(world, grant, 4)
    world.now_ms = shown(world, grant).end_ms + RENEWAL_GRACE_MS - 1
    renew(world, "bob", grant, CALLS)
    assert (shown(world, grant).quota, shown(world, grant).deposit) == (20, 16 * 7)
    world.now_ms = shown(world, grant).usage_due_ms
    world.advance(0)
    assert (shown(world, grant).quota, shown(world, grant).deposit) == (4, 0)
    world.check_laws()


# --- under other terms


def test_other_terms_make_a_successor_that_begins_where_the_grant_ends() -> None:
    world = World()
    asset, grant = sold(world, EXCLUSIVE)
    other = msgspec.structs.replace(EXCLUSIVE, price=3_000, editions_max=1)
    offer = offered(world, asset, other)
    world.refused("licenses.commitment_required", "bob", renewal(grant, offer, other))
    salt = committed(world, "bob", offer, other)
    world.do("bob", renewal(grant, offer, other, salt))
    assert names(world.events) == ["Paid", "Purchased", "Superseded"]
    successor = licenses.grant_id(world.transaction_id, offer)
    old, new = shown(world, grant), shown(world, successor)
    assert (old.state, old.successor, old.superseded_at_ms) == ("active", successor.hex(), old.end_ms)
    assert (new.state, new.predecessor, new.edition) == ("scheduled", grant.hex(), 1)
    assert (new.start_ms, new.end_ms) == (old.end_ms, old.end_ms + TERM_MS)
    world.refused("licenses.not_renewable", "bob", renewal(grant, offer, other))
    world.check_laws()
    world.now_ms = old.end_ms - 1
    assert world.check("bob", asset, "inference").grant == grant
    world.now_ms += 1
    assert (shown(world, grant).state, world.check("bob", asset, "inference").grant) == ("superseded", successor)
    world.check_laws()


def test_an_exhausted_grant_is_superseded_at_once() -> None:
    world = World()
    asset, grant = sold(world, CALLS)
    report(world, grant, 10)
    more = msgspec.structs.replace(CALLS, quota=100)
    renew(world, "bob", grant, more)
    successor = bytes.fromhex(shown(world, grant).successor)
    assert (shown(world, grant).state, shown(world, successor).start_ms) == ("superseded", world.now_ms)
    assert world.check("bob", asset, "inference-as-service").grant == successor
    world.check_laws()


def test_a_successor_waits_for_its_version_and_its_turn() -> None:
    world = World()
    asset, grant = sold(world)
    end_ms = shown(world, grant).end_ms
    world.add_version("alice", asset, "A2")
    renew(world, "bob", grant, OTHER)
    successor = bytes.fromhex(shown(world, grant).successor)
    assert shown(world, successor).state == "escrowed"
    world.hold(asset, 2)
    assert (shown(world, successor).state, shown(world, successor).start_ms) == ("scheduled", end_ms)
    assert shown(world, successor).end_ms == end_ms + TERM_MS
    world.check_laws()


def test_a_successor_that_is_refunded_leaves_its_predecessor_as_it_was() -> None:
    world = World()
    asset, grant = sold(world)
    before = shown(world, grant)
    world.add_version("alice", asset, "A2")
    renew(world, "bob", grant, OTHER)
    world.advance(world.parameters.escrow_timeout_ms)
    assert shown(world, grant) == before
    assert world.balance("bob") == SUPPLY_EACH - 1_000
    world.do("bob", renewal(grant, offered(world, asset, USE, version=1), USE))
    world.check_laws()


def test_a_revoked_grant_is_not_renewed() -> None:
    world = World()
    terms = msgspec.structs.replace(USE, revocation_causes=("breach",), notice_ms=DAY_MS)
    asset, grant = sold(world, terms)
    offer = offered(world, asset, terms)
    world.do("alice", Revoke(grant, "breach"))
    world.refused("licenses.not_renewable", "bob", renewal(grant, offer, terms))
