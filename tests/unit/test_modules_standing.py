"""What ends, suspends or shares a grant: revocation, disputes, seats; and what `check` says in every case."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.assets.records import OWNERSHIP, Share
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses import check as checks
from ledger.modules.licenses.grants import State, require_grant, state_at
from ledger.modules.licenses.operations import Claim, Renew, ReportUsage, Revoke, SetSeats, Terms, terms_digest
from ledger.modules.licenses.records import GRANTS
from ledger.modules.licenses.settlement import Outcome, hold_for_dispute, release_from_dispute
from ledger.modules.licenses.standing import require_holdable
from ledger.modules.licenses.usage import LAST_REPORTS_MS
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.organizations.quota import usage
from ledger.parameters import DAY_MS
from primitives.codec import CodecError, decode, encode
from primitives.identifiers import account_id, account_to_text
from tests.unit.modules_kit import SUPPLY_EACH, World, cid, make_genesis, seed_key

USE = Terms(rights=("inference",), price=1_000)
TERM_MS = 1_000
REVOCABLE = Terms(
    rights=("inference",),
    price=1_000,
    term_ms=TERM_MS,
    revocation_causes=("breach", "non-payment"),
    refund_mode="pro-rata",
)


def sold(world: World, terms: Terms = REVOCABLE, **fields: Any) -> tuple[bytes, bytes]:
    asset = world.register("alice", "A", **fields)
    return asset, world.license("alice", asset, "bob", terms)


def shown(world: World, grant: bytes) -> Any:
    return world.query("licenses.grant", grant=grant.hex())


def names(events: list[object]) -> list[str]:
    return [type(event).__name__ for event in events]


def report(world: World, grant: bytes, count: int) -> ReportUsage:
    key = seed_key("bob")
    return ReportUsage(grant, count, key.public_key, sign_voucher(Voucher(world.network_id, grant, count), key))


# --- revocation


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


# --- disputes


WINDOW = msgspec.structs.replace(USE, dispute_window_ms=DAY_MS)


def hold(world: World, grant: bytes) -> None:
    context = world.context(world.view, b"", b"dispute")
    hold_for_dispute(context, grant)
    assert names(context.events) == ["HeldForDispute"]


def release(world: World, grant: bytes, outcome: Outcome) -> list[Any]:
    context = world.context(world.view, b"", b"ruling")
    release_from_dispute(context, grant, outcome)
    return context.events


@pytest.mark.parametrize("outcome", ["settle", "refund"])
def test_a_dispute_holds_one_payment_until_it_ends(outcome: Outcome) -> None:
    world = World()
    asset, grant = sold(world, WINDOW)
    before = usage(world.view, "org-bob").deadlines
    hold(world, grant)
    assert usage(world.view, "org-bob").deadlines == before - 1
    assert shown(world, grant).state == "disputed"
    assert world.check("bob", asset, "inference").reason == "disputed"
    exclusive = msgspec.structs.replace(USE, exclusivity="exclusive")
    offer = world.offer("alice", asset, exclusive, expires_at_ms=world.now_ms + 9 * DAY_MS)
    world.refused("licenses.collision", "carol", world.purchase_operation(offer, exclusive))
    assert world.advance(5 * DAY_MS) == []
    world.refused("licenses.nothing_in_escrow", "alice", Claim(grant))
    world.check_laws()
    events = names(release(world, grant, outcome))
    assert events[-1] == ("Settled" if outcome == "settle" else "Refunded")
    assert world.check("bob", asset, "inference").allowed is (outcome == "settle")
    assert (world.owed("alice", asset), world.balance("bob")) == (
        (975, SUPPLY_EACH - 1_000) if outcome == "settle" else (0, SUPPLY_EACH)
    )
    world.check_laws()
    if outcome == "refund":
        world.buy("carol", offer, exclusive, committed=True)


def test_what_a_dispute_cannot_hold() -> None:
    from ledger.errors import OperationError

    world = World()
    asset, paid = sold(world, USE)
    waiting = world.register("alice", "B", held=False)
    escrowed = world.license("alice", waiting, "bob", WINDOW)
    held = world.license("alice", asset, "bob", WINDOW)
    hold(world, held)
    for grant, code in (
        (paid, "licenses.nothing_in_escrow"),
        (escrowed, "licenses.nothing_in_escrow"),
        (held, "licenses.nothing_in_escrow"),
        (bytes(32), "licenses.unknown_grant"),
    ):
        with pytest.raises(OperationError) as caught:
            hold_for_dispute(world.context(world.view, b"", b"dispute"), grant)
        assert caught.value.code == code


def test_the_end_of_a_dispute_is_paid_for_by_an_owner_too() -> None:
    """Its licensee has become an owner meanwhile, as it might have while the payment was only waiting: it is paid."""
    world = World()
    asset, grant = sold(world, WINDOW)
    hold(world, grant)
    world.transfer("alice", asset, "bob")
    events = release(world, grant, "settle")
    assert names(events)[-1] == "Settled"
    assert world.balance("bob") == SUPPLY_EACH - WINDOW.price
    world.check_laws()


def test_the_end_of_a_dispute_after_the_term_only_settles() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(WINDOW, term_ms=DAY_MS))
    hold(world, grant)
    world.advance(2 * DAY_MS)
    world.transfer("alice", asset, "bob")
    assert names(release(world, grant, "settle")) == ["Paid", "Settled"]
    assert world.check("carol", asset, "inference").reason == "no_grant"
    world.check_laws()


def test_a_deposit_goes_on_through_a_dispute_and_returns_with_a_refund() -> None:
    world = World()
    terms = Terms(
        rights=("compute-only",),
        price=1_000,
        term_ms=DAY_MS,
        quota=10,
        quota_unit="key-releases",
        usage_price=7,
        dispute_window_ms=DAY_MS,
    )
    asset, grant = sold(world, terms)
    hold(world, grant)
    world.do("alice", report(world, grant, 4))
    assert names(release(world, grant, "refund")) == ["DepositReturned", "Refunded"]
    assert world.balance("bob") == SUPPLY_EACH - 28
    assert shown(world, grant).paid == 28
    world.refused("licenses.not_active", "alice", report(world, grant, 5))
    world.check_laws()
    second = world.license("alice", asset, "bob", terms)
    hold(world, second)
    assert names(world.advance(DAY_MS + LAST_REPORTS_MS)) == ["DepositReturned"]
    release(world, second, "refund")
    assert world.balance("bob") == SUPPLY_EACH - 28
    world.check_laws()


# --- who may hold a grant


def test_who_may_hold_a_grant_is_one_question() -> None:
    """For every step that makes a grant live; here as a transfer would ask it."""
    from ledger.errors import OperationError

    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, credentials=("organization:org-alice", "organization:org-bob"), seats=1)
    grant_id = world.license("alice", asset, "bob", terms)
    grant = require_grant(world.view, grant_id)
    exclusive = msgspec.structs.replace(terms, exclusivity="exclusive")
    context = world.context(world.view, b"", b"transfer")
    require_holdable(context, grant_id, grant, terms, world.accounts["bob"])
    require_holdable(context, grant_id, grant, terms, world.accounts["alan"])
    require_holdable(context, grant_id, grant, exclusive, world.accounts["bob"])
    other = world.license("alice", asset, "bob", terms)
    for code, identifier, asked, licensee in (
        ("licenses.self_purchase", grant_id, terms, "alice"),
        ("licenses.credential_missing", grant_id, terms, "carol"),
        ("licenses.collision", grant_id, exclusive, "bob"),
        ("licenses.collision", other, exclusive, "bob"),
    ):
        with pytest.raises(OperationError) as caught:
            require_holdable(context, identifier, grant, asked, world.accounts[licensee])
        assert caught.value.code == code
    two = msgspec.structs.replace(terms, seats=2, credentials=())
    seated = world.license("alice", asset, "bob", two)
    world.do("bob", SetSeats(seated, (colleague(world),)))
    with pytest.raises(OperationError) as caught:
        require_holdable(context, seated, grant, terms, world.accounts["bob"])
    assert caught.value.code == "licenses.too_many_seats"
    require_holdable(context, seated, grant, two, world.accounts["alan"])


# --- seats


def colleague(world: World, label: str = "colleague") -> bytes:
    """Open a further account of bob's organization."""
    key, salt = seed_key(label).public_key, bytes(16)
    world.do("bob", OpenAccount(key, salt, ""))
    return account_id(world.network_id, "org-bob", key, salt)


def may(world: World, account: bytes, asset: bytes, right: str = "inference") -> tuple[bool, str, str]:
    answer = checks.check(world.view, account, asset, right, world.now_ms)
    return answer.allowed, answer.reason, answer.clause


def test_a_seat_lets_a_colleague_use_the_grant() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(USE, seats=3))
    first, second, third = (colleague(world, label) for label in "abc")
    before = usage(world.view, "org-bob")
    assert may(world, first, asset) == (False, "no_grant", "")
    world.do("bob", SetSeats(grant, (second, first, world.accounts["bob"], first)), role="operator")
    assert may(world, first, asset) == may(world, second, asset) == (True, "granted", "seats")
    assert may(world, world.accounts["bob"], asset) == (True, "granted", "")
    assert may(world, first, asset, "download") == (False, "right_not_granted", "rights")
    assert set(shown(world, grant).seats) == {account_to_text(first), account_to_text(second)}
    world.check_laws()
    asked = {"account": account_to_text(first)}
    assert world.query("licenses.seats", **asked) == [shown(world, grant)]
    assert world.query("licenses.seats", **asked, asset=asset.hex()) == [shown(world, grant)]
    assert world.query("licenses.seats", **asked, after=grant.hex()) == []
    assert world.query("licenses.seats", **asked, asset="00" * 32) == []
    world.do("bob", SetSeats(grant, (third,)))
    assert may(world, first, asset) == (False, "no_grant", "")
    assert may(world, third, asset)[0]
    world.check_laws()
    world.do("bob", SetSeats(grant, ()))
    assert may(world, third, asset) == (False, "no_grant", "")
    assert usage(world.view, "org-bob") == before
    world.check_laws()


def test_seats_that_are_refused() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(USE, seats=2))
    first, second = colleague(world, "a"), colleague(world, "b")
    world.refused("licenses.unknown_grant", "bob", SetSeats(bytes(32), ()))
    world.refused("licenses.not_licensee", "alice", SetSeats(grant, (first,)))
    world.refused("licenses.too_many_seats", "bob", SetSeats(grant, (first, second)))
    for stranger in (world.accounts["carol"], world.validators[1], bytes(32)):
        world.refused("licenses.seat_account", "bob", SetSeats(grant, (stranger,)))
    alone = world.license("alice", asset, "bob", USE)
    world.refused("licenses.no_seats", "bob", SetSeats(alone, (first,)))
    short = world.license("alice", asset, "bob", msgspec.structs.replace(USE, seats=2, term_ms=5))
    world.do("bob", SetSeats(short, (first,)))
    world.advance(5)
    world.refused("licenses.not_active", "bob", SetSeats(short, (second,)))
    world.do("bob", SetSeats(short, ()))


def test_seats_of_an_earlier_licensee_are_void() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(USE, seats=2))
    seat = colleague(world)
    world.do("bob", SetSeats(grant, (seat,)))
    record = require_grant(world.view, grant)
    moved = msgspec.structs.replace(record, licensee=world.accounts["carol"], organization="org-carol")
    GRANTS.put(world.view, moved, grant)
    assert may(world, seat, asset) == (False, "no_seat", "seats")
    assert shown(world, grant).seats == ()
    assert world.query("licenses.seats", account=account_to_text(seat)) == []
    before = usage(world.view, "org-bob")
    world.do("carol", SetSeats(grant, ()))
    assert may(world, seat, asset) == (False, "no_grant", "")
    assert usage(world.view, "org-bob").records == before.records - 2


# --- check: every reason


def test_every_state_that_gives_no_right_has_a_reason() -> None:
    assert set(checks.STATE_REASONS) == set(get_args(State)) - {"active"}
    reasons = {reason for reason, _ in checks.STATE_REASONS.values()}
    assert reasons <= set(checks.NEARNESS)


def test_check_says_every_reason() -> None:
    world = World(make_genesis(escrow_timeout_ms=5_000))
    now_ms = world.now_ms
    asked: list[tuple[str, str, bytes, dict[str, Any]]] = []

    def case(reason: str, who: str, terms: Terms | None, **asking: Any) -> bytes:
        asset = world.register("alice", reason, held=asking.pop("held", True))
        if terms is not None:
            world.license("alice", asset, "bob", terms)
        asked.append((reason, who, asset, asking))
        return asset

    short = msgspec.structs.replace(REVOCABLE, term_ms=1)
    case("no_grant", "carol", USE)
    case("owner", "alice", USE)
    case("granted", "bob", USE)
    case("right_not_granted", "bob", USE, right="download")
    case("unknown_right", "bob", USE, right="thinking")
    case("exclusive_grant_live", "alice", msgspec.structs.replace(USE, exclusivity="exclusive"))
    case("refunded", "bob", USE, held=False)
    case("not_started", "bob", msgspec.structs.replace(USE, start_ms=now_ms + 30 * DAY_MS))
    case("expired", "bob", short)
    case("outside_territory", "bob", msgspec.structs.replace(USE, territory=("DE",)), country="FR")
    case("field_denied", "bob", msgspec.structs.replace(USE, field_deny=("law",)), field_of_use="law")
    case("revoked", "bob", msgspec.structs.replace(USE, revocation_causes=("breach",)))
    world.do("alice", Revoke(grant_of(world, asked[-1][2]), "breach"))
    case("disputed", "bob", WINDOW)
    hold(world, grant_of(world, asked[-1][2]))
    co_owned = case("co_owner", "carol", USE)
    record = OWNERSHIP.get(world.view, co_owned)
    assert record is not None
    shares = (Share(world.accounts["alice"], 5_000), Share(world.accounts["carol"], 5_000))
    OWNERSHIP.put(world.view, msgspec.structs.replace(record, shares=shares), co_owned)
    public = world.register("alice", "public", visibility="public")
    asked.append(("public", "bob", public, {"right": "download"}))
    asked.append(("unknown_asset", "bob", bytes(32), {}))
    training = Terms(rights=("inference", "train-on"), price=1, quota=1, quota_unit="trainings", derivatives="yes")
    exhausted = case("exhausted", "bob", training)
    right = assets.Derivation(exhausted, "train-on", grant_of(world, exhausted))
    world.register("bob", "trained", derivations=[right])
    renewable = msgspec.structs.replace(USE, term_ms=5_000, renewable=True)
    superseded = case("superseded", "bob", renewable)
    supersede(world, superseded, renewable)
    seated = case("no_seat", "alan", msgspec.structs.replace(USE, seats=2))
    mislay_seat(world, seated)
    world.advance(6_000)
    asked.append(("escrowed", "bob", world.register("alice", "escrowed", held=False), {}))
    world.license("alice", asked[-1][2], "bob", USE)

    for reason, who, asset, asking in asked:
        answer = world.check(who, asset, **({"right": "inference"} | asking))
        assert answer.reason == reason
        assert answer.allowed is (reason in ("owner", "granted", "public"))
    documented = set((checks.CheckResult.__doc__ or "").split("`")[1::2]) - {"seats"}
    assert documented == {reason for reason, *_ in asked}


def grant_of(world: World, asset: bytes) -> bytes:
    return bytes.fromhex(world.query("licenses.grants", asset=asset.hex())[0].grant)


def supersede(world: World, asset: bytes, terms: Terms) -> None:
    """Let a successor take over that gives another right."""
    later = msgspec.structs.replace(terms, rights=("train-on",))
    offer = world.offer("alice", asset, later)
    world.do("bob", Renew(grant_of(world, asset), offer, terms_digest(later), later.price))


def mislay_seat(world: World, asset: bytes) -> None:
    """Let a seat be left over from an earlier licensee."""
    from ledger.modules.fields import MARKER
    from ledger.modules.licenses.records import SEATS, SEATS_BY_ACCOUNT, Seats

    grant, alan = grant_of(world, asset), world.accounts["alan"]
    SEATS.put(world.view, Seats(asset, world.accounts["dave"], "org-dave", (alan,)), grant)
    SEATS_BY_ACCOUNT.put(world.view, MARKER, alan, asset, grant)


@pytest.mark.parametrize("change_ms", [-1, 0, 1])
def test_states_change_at_their_millisecond(change_ms: int) -> None:
    """A pure function of record and time: one before, at, and one after each bound."""
    world = World()
    terms = msgspec.structs.replace(REVOCABLE, start_ms=world.now_ms + DAY_MS)
    _, identifier = sold(world, terms)
    grant = require_grant(world.view, identifier)
    assert grant.end_ms is not None
    late = change_ms >= 0
    assert state_at(grant, grant.start_ms + change_ms) == ("active" if late else "scheduled")
    assert state_at(grant, grant.end_ms + change_ms) == ("expired" if late else "active")
    superseded = msgspec.structs.replace(grant, superseded_at_ms=grant.end_ms)
    assert state_at(superseded, grant.end_ms + change_ms) == ("superseded" if late else "active")
    world.now_ms = grant.start_ms
    world.do("alice", Revoke(identifier, "breach"))
    revoked = require_grant(world.view, identifier)
    assert revoked.revocation is not None
    state = state_at(revoked, revoked.revocation.effect_ms + change_ms)
    assert state == ("revoked" if late else "scheduled")


def test_what_ancestors_deny_is_denied_to_owners_too() -> None:
    """An owner may do all that no ancestor's terms deny and no exclusive grant covers."""
    world = World()
    parent = world.register("alice", "parent")
    terms = Terms(rights=("train-on",), price=0, derivatives="yes", field_deny=("weapons",))
    right = assets.Derivation(parent, "train-on", world.license("alice", parent, "bob", terms))
    child = world.register("bob", "child", derivations=[right])
    grandchild = world.register("bob", "grandchild", derivations=[assets.Derivation(child, "train-on")])
    for asset in (child, grandchild):
        answer = world.check("bob", asset, "inference", field_of_use="weapons")
        assert (answer.allowed, answer.reason, answer.clause) == (False, "field_denied", "field_deny")
        assert world.check("bob", asset, "inference", field_of_use="health").reason == "owner"
        assert world.check("bob", asset, "inference").reason == "owner"
    assert world.check("alice", parent, "inference", field_of_use="weapons").reason == "owner"


def test_a_denial_that_comes_later_binds_earlier_grants() -> None:
    world = World()
    child = world.register("bob", "child", visibility="public")
    world.license("bob", child, "carol", USE)
    parent = world.register("alice", "parent")
    terms = Terms(rights=("train-on",), price=0, commercial=True, derivatives="yes", field_deny=("weapons",))
    right = assets.Derivation(parent, "train-on", world.license("alice", parent, "bob", terms))
    world.add_version("bob", child, "child 2", derivations=[right])
    assert not world.check("carol", child, "inference", field_of_use="weapons").allowed
    assert not world.check("dave", child, "download", field_of_use="weapons").allowed
    assert world.check("dave", child, "download").reason == "public"


def test_an_exclusive_grant_binds_its_owner_where_it_reaches() -> None:
    world = World()
    terms = msgspec.structs.replace(USE, exclusivity="exclusive", territory=("DE",), field_allow=("health",))
    asset, _ = sold(world, terms)
    for asking, allowed in (
        ({}, False),
        ({"country": "DE"}, False),
        ({"country": "FR"}, True),
        ({"field_of_use": "health"}, False),
        ({"field_of_use": "law"}, True),
        ({"field_of_use": "law", "country": "DE"}, True),
        ({"field_of_use": "health", "country": "DE"}, False),
    ):
        assert world.check("alice", asset, "inference", **asking).allowed is allowed
    shown_answer = world.query(
        "licenses.check",
        account=account_to_text(world.accounts["bob"]),
        asset=asset.hex(),
        right="inference",
        country="FR",
    )
    assert (shown_answer.reason, shown_answer.clause) == ("outside_territory", "territory")


# --- tokens


def test_a_grant_is_shown_as_a_token() -> None:
    from ledger.errors import LedgerError

    world = World()
    asset = world.register("alice", "A", description="A set", metadata=(("image", "ipfs://x"),))
    terms = msgspec.structs.replace(REVOCABLE, editions_max=9, spdx_id="MIT")
    grant = world.license("alice", asset, "bob", terms)
    token = world.query("licenses.token", token=grant.hex())
    assert (token.token, token.owner) == (grant.hex(), account_to_text(world.accounts["bob"]))
    assert (token.asset, token.edition, token.editions) == (asset.hex(), 1, 9)
    assert list(token.metadata) == ["name", "description", "image", "attributes"]
    assert token.metadata["name"] == "A, license 1 of 9"
    assert (token.metadata["description"], token.metadata["image"]) == ("A set", "ipfs://x")
    attributes = token.metadata["attributes"]
    assert all(set(attribute) == {"trait_type", "value"} for attribute in attributes)
    assert all(type(attribute["value"]) in (str, int) for attribute in attributes), "galleries show text and numbers"
    assert json.loads(json.dumps(token.metadata)) == token.metadata
    traits = {attribute["trait_type"]: attribute["value"] for attribute in attributes}
    assert (traits["state"], traits["edition"], traits["end_ms"]) == ("active", "1 of 9", world.now_ms + TERM_MS)
    assert (traits["right"], traits["kind"], traits["spdx_id"]) == ("inference", "dataset", "MIT")
    plain = world.license("alice", world.register("alice", "B"), "bob", USE)
    metadata = world.query("licenses.token", token=plain.hex()).metadata
    assert (list(metadata), metadata["name"]) == (["name", "description", "attributes"], "B, license 1")
    with pytest.raises(LedgerError, match="no such token"):
        world.query("licenses.token", token=asset.hex())
