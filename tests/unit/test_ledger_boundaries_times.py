"""The bounds of times, at them and a millisecond beyond."""

from __future__ import annotations

from random import Random

import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses import operations as licenses
from ledger.modules.market import operations as market
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from tests.unit.boundaries_kit import AGE_MS, DAY_MS, DERIVE, Stage

EDGES = [(-1, True), (0, False), (1, False)]
"""(ms after an expiry, whether it still counts)"""


@pytest.mark.parametrize(("edge", "open_"), EDGES)
@pytest.mark.parametrize("swept", [True, False])
def test_an_offer_ends_at_its_expiry(edge: int, open_: bool, swept: bool) -> None:
    """Whether the sweep has been there or is behind."""
    stage = Stage(deadlines_per_block_max=1_000 if swept else 1)
    (asset,) = stage.register("alice", "A")
    expires = stage.now + 1_000
    offers = [stage.offer("alice", asset, expires=expires)[0] for _ in range(4)]
    last = max(offers)  # the sweep takes one a block, in order of id
    late = "licenses.unknown_offer" if swept else "licenses.offer_expired"
    stage.send("bob", stage.purchase(last), code="" if open_ else late, later=expires + edge - stage.now)


@pytest.mark.parametrize(("edge", "open_"), EDGES)
def test_a_transfer_ends_at_its_expiry(edge: int, open_: bool) -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    expires = stage.now + 1_000
    stage.send("alice", transfers.OfferGift(Thing("asset", asset), stage.accounts["bob"], expires))
    (transfer,) = stage.pair.state.transfers
    code = "" if open_ else "transfers.unknown_transfer"
    stage.send("bob", transfers.Accept(transfer, 0), code=code, later=expires + edge - stage.now)


@pytest.mark.parametrize(
    ("later", "code"),
    [
        (AGE_MS - 1, "assets.commitment_too_young"),
        (AGE_MS, ""),
        (DAY_MS - 1, ""),
        (DAY_MS, "assets.commitment_missing"),
    ],
)
def test_a_commitment_serves_from_its_age_until_its_end(later: int, code: str) -> None:
    stage = Stage()
    stage.commit("alice", "A")
    stage.send("alice", stage.registration("A"), code=code, later=later)


@pytest.mark.parametrize(
    ("ahead", "mark"),
    [
        (-1, "transaction.expired"),
        (0, "transaction.expired"),
        (1, ""),
        (120_000, ""),
        (120_001, "transaction.expiry_too_far"),
    ],
)
def test_a_transaction_lives_for_a_lifetime(ahead: int, mark: str) -> None:
    """A7: judged by block time."""
    stage = Stage()
    state = stage.pair.state
    operations, expires = [Transfer(stage.accounts["bob"], 1)], state.now + 5 + ahead
    prepared = stage.pair.transaction(stage.accounts["alice"], operations, Random(0), expires=expires)
    stage.pair.let_pass(5, prepared)
    assert stage.pair.outcomes["transaction" if mark else "credits.transfer", mark] == 1


@pytest.mark.parametrize(("ahead", "good"), [(0, False), (1, True), (30 * DAY_MS, True), (30 * DAY_MS + 1, False)])
@pytest.mark.parametrize("what", ["license", "sale", "gift", "listing", "auction", "dutch auction", "consent"])
def test_an_offer_expires_within_its_bounds(what: str, ahead: int, good: bool) -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    bob, expires = stage.accounts["bob"], stage.now + 1 + ahead
    thing = Thing("asset", asset)
    operation, code = {
        "license": (licenses.Offer(asset, DERIVE, expires), "licenses.expiry_out_of_range"),
        "sale": (transfers.Offer(thing, bob, 1, expires), "transfers.expiry_out_of_range"),
        "gift": (transfers.OfferGift(thing, bob, expires), "transfers.expiry_out_of_range"),
        "listing": (market.List(thing, 1, expires), "market.end_out_of_range"),
        "auction": (market.OpenAuction(thing, 1, 1, expires, 0), "market.end_out_of_range"),
        "dutch auction": (market.OpenDutchAuction(thing, 2, 1, 1, expires), "market.end_out_of_range"),
        "consent": (assets.Consent(asset, bytes(32), expires), "assets.consent_expiry_out_of_range"),
    }[what]
    stage.send("alice", operation, code="" if good else code)


@pytest.mark.parametrize(("edge", "live"), EDGES)
def test_a_grant_ends_with_its_term(edge: int, live: bool) -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    terms = licenses.Terms(rights=("train-on",), price=1, derivatives="yes", term_ms=60_000)
    (derivation,) = stage.license("alice", "bob", asset, terms=terms)
    end = stage.now + 60_000
    stage.commit("bob", "B")
    code = "" if live else "assets.derivation_grant_not_live"
    stage.send("bob", stage.registration("B", parents=[derivation]), code=code, later=end + edge - stage.now)


@pytest.mark.parametrize(("edge", "code"), [(-1, "licenses.not_due"), (0, "licenses.nothing_in_escrow")])
def test_an_escrow_is_due_at_its_time(edge: int, code: str) -> None:
    """From then on the sweep has settled it."""
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    terms = licenses.Terms(rights=("download",), price=1, dispute_window_ms=5_000)
    (derivation,) = stage.license("alice", "bob", asset, terms=terms)
    assert derivation.grant is not None
    stage.send("dave", licenses.Claim(derivation.grant), code=code, later=5_000 + edge)
