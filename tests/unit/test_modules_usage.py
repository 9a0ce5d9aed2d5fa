"""Metered use: vouchers, quotas, deposits, and what is paid from them."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.grants import require_grant
from ledger.modules.licenses.operations import Claim, ReportUsage, Terms
from ledger.modules.licenses.records import GRANTS
from ledger.modules.licenses.usage import LAST_REPORTS_MS, scheduled, unscheduled
from ledger.modules.licenses.vouchers import Voucher, sign_voucher, voucher_verifies
from ledger.modules.organizations.operations import AddKey, RevokeKey
from ledger.modules.organizations.quota import usage
from ledger.parameters import DAY_MS
from primitives.codec import CodecError, decode, encode
from tests.unit.modules_kit import SUPPLY_EACH, World, make_genesis, seed_key

CALLS = Terms(
    rights=("inference-as-service",),
    price=1_000,
    term_ms=DAY_MS,
    quota=10,
    quota_unit="calls",
    usage_price=7,
)


def report(world: World, grant: bytes, count: int, /, *, key: str = "bob", **changed: Any) -> ReportUsage:
    """A report of the voucher of `key`; what is `changed` was signed instead of what is reported."""
    voucher = Voucher(world.network_id, grant, count)
    signature = sign_voucher(msgspec.structs.replace(voucher, **changed), seed_key(key))
    return ReportUsage(grant, count, seed_key(key).public_key, signature)


def sold(world: World, terms: Terms = CALLS, **fields: Any) -> tuple[bytes, bytes]:
    asset = world.register("alice", "A", **fields)
    return asset, world.license("alice", asset, "bob", terms)


def shown(world: World, grant: bytes) -> Any:
    return world.query("licenses.grant", grant=grant.hex())


def names(events: list[object]) -> list[str]:
    return [type(event).__name__ for event in events]


# --- vouchers


def test_a_voucher_is_for_one_network_grant_count_and_key() -> None:
    key, other = seed_key("bob"), seed_key("carol")
    voucher = Voucher(bytes(32), bytes([1]) * 32, 5)
    signature = sign_voucher(voucher, key)
    assert voucher_verifies(voucher, key.public_key, signature)
    for changed in (
        Voucher(bytes([9]) * 32, bytes([1]) * 32, 5),
        Voucher(bytes(32), bytes([2]) * 32, 5),
        Voucher(bytes(32), bytes([1]) * 32, 6),
    ):
        assert not voucher_verifies(changed, key.public_key, signature)
    assert not voucher_verifies(voucher, other.public_key, signature)
    assert not voucher_verifies(voucher, key.public_key, key.sign(encode(voucher))), "without the domain"


@pytest.mark.parametrize("count", [0, -1, 2**63, True, 1.0])
def test_counts_that_are_none_are_refused(count: object) -> None:
    """E4."""
    operation = ReportUsage(bytes(32), 1, bytes(32), bytes(64))
    decode(encode(operation), ReportUsage)
    with pytest.raises(CodecError):
        decode(encode(msgspec.structs.replace(operation, count=count)), ReportUsage)


@pytest.mark.parametrize("price", [-1, 2**63, True, 1.0])
def test_prices_for_use_that_are_none_are_refused(price: object) -> None:
    """E4."""
    with pytest.raises(CodecError):
        decode(encode(msgspec.structs.replace(CALLS, usage_price=price)), Terms)


# --- reports


def test_use_is_paid_as_it_is_reported() -> None:
    world = World(make_genesis(fee_bps=0))
    asset, grant = sold(world)
    assert world.balance("bob") == SUPPLY_EACH - 1_000 - 70
    assert (shown(world, grant).deposit, shown(world, grant).quota) == (70, 10)
    world.do("alice", report(world, grant, 3))
    assert names(world.events) == ["Paid", "UsageReported"]
    assert (world.events[0].reason, world.events[1].used, world.events[1].amount) == ("usage", 3, 21)
    assert world.owed("alice", asset) == 1_021
    assert (shown(world, grant).used, shown(world, grant).deposit, shown(world, grant).paid) == (3, 49, 1_021)
    world.do("alice", report(world, grant, 10))
    assert world.owed("alice", asset) == 1_070
    answer = world.check("bob", asset, "inference-as-service")
    assert (answer.allowed, answer.reason, answer.clause) == (False, "exhausted", "quota")
    assert shown(world, grant).state == "exhausted"
    assert shown(world, grant).usage_due_ms is None
    world.check_laws()
    world.advance(DAY_MS + LAST_REPORTS_MS)
    assert world.balance("bob") == SUPPLY_EACH - 1_070, "nothing is left to return"
    world.check_laws()


def test_a_count_that_is_known_changes_nothing() -> None:
    """A7: a report is sent again when its answer was lost."""
    world = World()
    _, grant = sold(world)
    world.do("alice", report(world, grant, 4))
    before = world.view.changes()
    for count in (4, 3, 1):
        assert world.do("alice", report(world, grant, count)) == []
        assert world.do("alice", report(world, grant, count, key="carol")) == [], "it claims nothing"
    assert world.view.changes() == before


def test_reports_that_are_refused() -> None:
    world = World()
    asset, grant = sold(world)
    other = world.license("alice", asset, "bob", CALLS)
    good = report(world, grant, 5)
    world.refused("licenses.unknown_grant", "alice", msgspec.structs.replace(good, grant=bytes(32)))
    world.refused("licenses.not_manager", "bob", good)
    for count in (11, 2**32, 2**63 - 1):
        world.refused("licenses.above_quota", "alice", report(world, grant, count))
    world.refused("licenses.voucher_key", "alice", report(world, grant, 5, key="carol"))
    world.refused("licenses.voucher_key", "alice", report(world, grant, 5, key="alice"))
    for changed in ({"count": 6}, {"grant": other}, {"network_id": bytes(32)}):
        world.refused("licenses.voucher_signature", "alice", report(world, grant, 5, **changed))
    world.refused("licenses.voucher_signature", "alice", msgspec.structs.replace(good, signature=bytes(64)))
    world.refused("organizations.key_not_allowed", "alice", good, role="release")
    world.do("alice", good, role="operator")
    plain = world.license("alice", asset, "bob", Terms(rights=("inference",), price=1))
    world.refused("licenses.not_metered", "alice", report(world, plain, 1))
    world.check_laws()


def test_owner_and_operator_keys_of_the_licensee_sign_vouchers() -> None:
    world = World()
    _, grant = sold(world)
    for index, role in enumerate(("operator", "release", "owner")):
        key = seed_key(role)
        world.do("bob", AddKey(key.public_key, role))  # type: ignore[arg-type]
        operation = report(world, grant, index + 1, key=role)
        if role == "release":
            world.refused("licenses.voucher_key", "alice", operation)
        else:
            world.do("alice", operation)
    world.do("bob", RevokeKey(seed_key("operator").public_key))
    world.refused("licenses.voucher_key", "alice", report(world, grant, 9, key="operator"))


def test_use_is_reported_from_the_start_until_a_while_after_the_end() -> None:
    world = World()
    start_ms = world.now_ms + DAY_MS
    asset = world.register("alice", "A")
    grant = world.license("alice", asset, "bob", msgspec.structs.replace(CALLS, start_ms=start_ms))
    world.now_ms = start_ms - 1
    world.refused("licenses.not_active", "alice", report(world, grant, 1))
    world.now_ms = start_ms
    world.do("alice", report(world, grant, 1))
    world.now_ms = start_ms + DAY_MS + LAST_REPORTS_MS - 1
    world.do("alice", report(world, grant, 2))
    world.now_ms += 1
    world.refused("licenses.reports_closed", "alice", report(world, grant, 3))
    assert names(world.advance(0)) == ["DepositReturned"]
    assert world.balance("bob") == SUPPLY_EACH - 1_000 - 14
    world.do("alice", report(world, grant, 2))
    world.refused("licenses.reports_closed", "alice", report(world, grant, 3))
    world.check_laws()


def test_a_perpetual_quota_without_a_price_is_only_counted() -> None:
    world = World()
    terms = msgspec.structs.replace(CALLS, usage_price=0, term_ms=None, quota_unit="kilotokens")
    asset, grant = sold(world, terms)
    assert (shown(world, grant).deposit, world.balance("bob")) == (0, SUPPLY_EACH - 1_000)
    world.advance(400 * DAY_MS)
    world.do("alice", report(world, grant, 10))
    assert names(world.events) == ["UsageReported"]
    assert world.owed("alice", asset) == 975
    assert not world.check("bob", asset, "inference-as-service").allowed
    world.check_laws()


def test_an_exhausted_exclusive_grant_blocks_nobody() -> None:
    """Live is what can still be used."""
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(CALLS, exclusivity="exclusive"))
    assert world.check("alice", asset, "inference-as-service").reason == "exclusive_grant_live"
    world.do("alice", report(world, grant, 10))
    assert world.check("alice", asset, "inference-as-service").reason == "owner"
    world.license("alice", asset, "carol", CALLS)
    world.check_laws()


# --- deposits


def test_who_cannot_deposit_gets_no_grant() -> None:
    """E2, E5: the price alone is not enough, and it stays."""
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, CALLS)
    world.do("bob", Transfer(world.accounts["carol"], SUPPLY_EACH - 1_069))
    world.refused("credits.insufficient", "bob", world.purchase_operation(offer, CALLS))
    world.do("carol", Transfer(world.accounts["bob"], 1))
    world.buy("bob", offer, CALLS)
    assert world.balance("bob") == 0
    world.check_laws()


@pytest.mark.parametrize("swept", [True, False])
def test_what_is_not_used_returns_after_the_last_reports(swept: bool) -> None:
    world = World()
    _, grant = sold(world)
    before = usage(world.view, "org-bob").deadlines
    world.do("alice", report(world, grant, 4))
    due_ms = shown(world, grant).usage_due_ms
    assert due_ms == world.now_ms + DAY_MS + LAST_REPORTS_MS
    world.now_ms = due_ms - 1
    assert world.advance(0) == []
    world.refused("licenses.not_due", "carol", Claim(grant))
    world.now_ms = due_ms
    if not swept:
        world.do("carol", Claim(grant))
    assert names(world.advance(0)) == (["DepositReturned"] if swept else [])
    assert world.balance("bob") == SUPPLY_EACH - 1_000 - 28
    assert (shown(world, grant).deposit, shown(world, grant).usage_due_ms) == (0, None)
    assert usage(world.view, "org-bob").deadlines == before - 1
    world.refused("licenses.nothing_in_escrow", "carol", Claim(grant))
    world.check_laws()


def test_one_claim_does_all_that_is_due() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(CALLS, dispute_window_ms=DAY_MS))
    world.advance(DAY_MS + LAST_REPORTS_MS, limit=0)
    world.do("carol", Claim(grant))
    assert names(world.events) == ["Paid", "Settled", "DepositReturned"]
    assert (world.owed("alice", asset), world.balance("bob")) == (975, SUPPLY_EACH - 1_000)
    world.check_laws()


def test_a_claim_does_nothing_that_is_not_due() -> None:
    """A dispute window may outlive the deposit."""
    world = World()
    _, grant = sold(world, msgspec.structs.replace(CALLS, dispute_window_ms=90 * DAY_MS))
    world.advance(DAY_MS + LAST_REPORTS_MS, limit=0)
    world.do("carol", Claim(grant))
    assert names(world.events) == ["DepositReturned"]
    world.refused("licenses.not_due", "carol", Claim(grant))
    world.advance(90 * DAY_MS)
    world.check_laws()


def test_a_deposit_returns_with_a_payment_that_never_became_a_grant() -> None:
    world = World()
    asset, grant = sold(world, held=False)
    assert (shown(world, grant).deposit, shown(world, grant).usage_due_ms) == (70, None)
    world.refused("licenses.not_active", "alice", report(world, grant, 1))
    assert names(world.advance(world.parameters.escrow_timeout_ms)) == ["DepositReturned", "Refunded"]
    assert world.balance("bob") == SUPPLY_EACH
    world.check_laws()
    again = world.license("alice", asset, "bob", CALLS)
    world.hold(asset)
    assert shown(world, again).usage_due_ms == world.now_ms + DAY_MS + LAST_REPORTS_MS
    world.check_laws()


def test_a_deposit_goes_with_its_grant() -> None:
    """What a transfer of a grant has to do: the new licensee signs, and what is left returns to it."""
    world = World()
    _, grant_id = sold(world)
    deadlines = [usage(world.view, f"org-{name}").deadlines for name in ("bob", "carol")]
    context = world.context(world.view, world.accounts["bob"], b"transfer")
    grant = unscheduled(context, grant_id, require_grant(world.view, grant_id))
    moved = msgspec.structs.replace(grant, licensee=world.accounts["carol"], organization="org-carol")
    GRANTS.put(world.view, scheduled(context, grant_id, moved), grant_id)
    after = [usage(world.view, f"org-{name}").deadlines for name in ("bob", "carol")]
    assert after == [deadlines[0] - 1, deadlines[1] + 1]
    world.refused("licenses.voucher_key", "alice", report(world, grant_id, 1))
    world.do("alice", report(world, grant_id, 1, key="carol"))
    world.advance(DAY_MS + LAST_REPORTS_MS)
    assert world.balance("carol") == SUPPLY_EACH + 63
    assert usage(world.view, "org-carol").deadlines == deadlines[1]


def test_reports_pay_fee_and_ancestors_but_no_least_royalty() -> None:
    """Least royalties are due for the grant, not for each report."""
    world = World()
    parent = world.register("alice", "parent")
    sharing = Terms(
        rights=("train-on",),
        price=0,
        commercial=True,
        derivatives="yes",
        revenue_share_bps=1_000,
        revenue_share_depth=1,
        least_royalty=500,
    )
    right = assets.Derivation(parent, "train-on", world.license("alice", parent, "bob", sharing))
    child = world.register("bob", "child", derivations=[right])
    cheap = msgspec.structs.replace(CALLS, price=100)
    world.refused("royalties.uncovered", "carol", world.purchase_operation(world.offer("bob", child, cheap), cheap))
    grant = world.license("bob", child, "carol", CALLS)
    assert world.owed("alice", parent) == 500
    world.do("bob", report(world, grant, 10, key="carol"))
    assert (world.owed("alice", parent), world.owed("bob", child)) == (500 + 7, 475 + 62)
    assert world.treasury == 25 + 1, "the fee's remainder of 7,500 is kept"
    world.check_laws()


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), max_size=12),
    price=st.sampled_from([1, 3, 7, 101, 99_999]),
    fee_bps=st.sampled_from([0, 1, 250, 333, 500]),
)
def test_many_reports_pay_what_one_would(counts: list[int], price: int, fee_bps: int) -> None:
    """E3, E4: to the unit, in whatever steps; what is paid, deposited and returned is the whole deposit."""
    totals = []
    for steps in (sorted(counts), sorted(counts)[-1:]):
        world = World(make_genesis(fee_bps=fee_bps))
        terms = msgspec.structs.replace(CALLS, price=0, quota=60, usage_price=price)
        asset, grant = sold(world, terms)
        for count in steps:
            world.do("alice", report(world, grant, count))
            world.check_laws()
        used = max(counts, default=0)
        assert shown(world, grant).deposit == (60 - used) * price
        totals.append((world.owed("alice", asset), world.treasury))
        assert sum(totals[-1]) == used * price
        world.advance(DAY_MS + LAST_REPORTS_MS)
        assert world.balance("bob") == SUPPLY_EACH - used * price
    assert totals[0] == totals[1]


def test_trainings_are_counted_and_paid_by_the_chain() -> None:
    world = World(make_genesis(fee_bps=0))
    parent = world.register("alice", "parent")
    terms = Terms(
        rights=("train-on",),
        price=10,
        commercial=True,
        derivatives="yes",
        term_ms=30 * DAY_MS,
        quota=2,
        quota_unit="trainings",
        usage_price=5,
    )
    grant = world.license("alice", parent, "bob", terms)
    world.refused("licenses.not_metered", "alice", report(world, grant, 1))
    right = assets.Derivation(parent, "train-on", grant)
    child = world.register("bob", "child", derivations=[right])
    assert (world.owed("alice", parent), shown(world, grant).used) == (15, 1)
    world.add_version("bob", child, "child 2", derivations=[right])
    assert (world.owed("alice", parent), shown(world, grant).state) == (20, "exhausted")
    world.commit("bob", "third")
    third = world.registration("bob", "third", derivations=[right])
    world.refused("assets.derivation_grant_not_live", "bob", third)
    world.check_laws()
