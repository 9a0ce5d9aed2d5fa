"""What a decision about an asset does: its sales stop, until somebody who may lifts that."""

from __future__ import annotations

import msgspec

from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.licenses import operations as licenses
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from tests.unit.disputes_kit import APPEAL_MS, TERMS, Court


def test_a_freeze_stops_sales_and_nothing_else() -> None:
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(TERMS, dispute_window_ms=0)
    offer = court.offer("alice", asset, terms, expires_at_ms=court.now_ms + 20 * DAY_MS)
    grant = court.buy("carol", offer, terms)
    pending = court.give_transfer("alice", Thing("share", asset, 100), "dave", 50)
    identifier = court.file("bob", Subject("version", asset, 1), "freeze_sales")
    assert court.conclude(identifier, uphold=True)
    assert court.query("assets.get", asset=asset.hex()).frozen
    assert not court.query("licenses.offer", offer=offer.hex()).open
    later_ms = court.now_ms + 1_000
    court.refused("assets.frozen", "dave", court.purchase_operation(offer, terms))
    court.refused("assets.frozen", "alice", licenses.Offer(asset, terms, later_ms))
    court.refused("assets.frozen", "dave", transfers.Accept(pending, 50))
    for who, thing in (("alice", Thing("share", asset, 10)), ("carol", Thing("grant", grant))):
        court.refused("assets.frozen", who, transfers.Offer(thing, court.accounts["erin"], 5, later_ms))
    court.do("alice", transfers.Withdraw(pending))
    whole = transfers.Offer(Thing("asset", asset), court.accounts["erin"], 5, later_ms)
    court.refused("assets.frozen", "alice", whole)
    # What is wrong can be put right, licenses hold, and giving away is no sale.
    court.add_version("alice", asset, "A2")
    assert court.check("carol", asset).allowed
    court.do("alice", Withdraw(asset))
    court.transfer("alice", asset, "erin")
    court.check_laws()


def test_a_freeze_ends_when_its_claimant_lets_go() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.refused("disputes.not_freezing", "bob", disputes.Lift(identifier))
    court.conclude(identifier, uphold=True)
    court.refused("disputes.not_the_claimant", "alice", disputes.Lift(identifier))
    court.do("bob", disputes.Lift(identifier))
    court.refused("disputes.not_freezing", "bob", disputes.Lift(identifier))
    court.offer("alice", asset, TERMS)


def test_a_freeze_ends_by_a_later_claim_of_an_owner() -> None:
    """Nothing is frozen for ever without a way out: whoever has put it right can have that found."""
    court = Court()
    asset = court.register("alice", "A")
    frozen = court.file_against("bob", asset, "freeze_sales")
    court.conclude(frozen, uphold=True)
    subject = Subject("freeze", frozen)
    court.refused("disputes.not_a_party", "carol", court.claim(subject, "lift"))
    identifier = court.file("alice", subject, "lift")
    court.conclude(identifier, uphold=True)
    assert not court.query("assets.get", asset=asset.hex()).frozen
    assert court.lost("bob") == [], "to have been right at the time is no lost dispute"
    court.offer("alice", asset, TERMS)


def test_a_claim_to_lift_what_was_lifted_meanwhile_changes_nothing() -> None:
    court = Court()
    asset = court.register("alice", "A")
    frozen = court.file_against("bob", asset, "freeze_sales")
    court.conclude(frozen, uphold=True)
    identifier = court.file("alice", Subject("freeze", frozen), "lift")
    court.do("bob", disputes.Lift(frozen))
    court.conclude(identifier, uphold=True)
    assert not court.query("assets.get", asset=asset.hex()).frozen


def test_each_dispute_lifts_its_own_freeze() -> None:
    court = Court()
    asset = court.register("alice", "A")
    first, second = (court.file_against(who, asset, "freeze_sales") for who in ("bob", "carol"))
    court.open_vote(first)
    for identifier in (first, second):
        court.decide(identifier, uphold=True)
    court.advance(APPEAL_MS)
    court.do("bob", disputes.Lift(first))
    assert court.query("assets.get", asset=asset.hex()).frozen
    court.do("carol", disputes.Lift(second))
    assert not court.query("assets.get", asset=asset.hex()).frozen
