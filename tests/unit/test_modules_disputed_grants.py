"""What a dispute holds of a grant, and what becomes of that when it ends."""

from __future__ import annotations

import msgspec
import pytest

from ledger.modules.licenses.operations import Claim, Terms
from ledger.modules.licenses.settlement import Outcome, hold_for_dispute
from ledger.modules.licenses.usage import LAST_REPORTS_MS
from ledger.modules.organizations.quota import usage
from ledger.parameters import DAY_MS
from tests.unit.modules_kit import SUPPLY_EACH, World
from tests.unit.standing_kit import USE, WINDOW, hold, names, release, report, shown, sold


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
