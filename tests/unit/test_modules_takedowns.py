"""Artifacts that the consortium takes down: nothing new is licensed, every record stays, and a vote restores them."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.assets.records import OWNERSHIP, VERSIONS, version_part
from ledger.modules.governance.operations import Propose, RestoreArtifact, TakeDown, Vote
from ledger.modules.governance.records import Change, proposal_id
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.records import GRANTS
from ledger.modules.transfers.operations import Thing
from ledger.state.view import Table
from primitives.codec import CodecError, decode, encode
from tests.unit.modules_kit import DAY_MS, World, cid

PLAIN = licenses.Terms(rights=("download",), price=100)


def decide(world: World, change: Change, *voters: str) -> bytes:
    """Let members propose a change and approve it; return the proposal's id."""
    voters = voters or everybody(world)
    world.do(voters[0], Propose(change, ""))
    proposal = proposal_id(world.transaction_id, change)
    for name in voters:
        if world.query("governance.proposal", proposal=proposal.hex()).state == "open":
            world.do(name, Vote(proposal, True))
    assert world.query("governance.proposal", proposal=proposal.hex()).state == "approved"
    return proposal


def everybody(world: World) -> tuple[str, ...]:
    return tuple(name for name in world.accounts if name != "alan")


def version(world: World, asset: bytes, number: int = 1) -> Any:
    return world.query("assets.version", asset=asset.hex(), version=number)


def test_a_vote_takes_an_artifact_down_and_shows_why() -> None:
    world = World()
    asset = world.register("alice", "A")
    proposal = decide(world, TakeDown(cid("A"), "malicious", cid("report")))
    (record,) = world.artifacts
    assert (record.asset, record.cid, record.taken_down) == (asset, cid("A"), True)
    shown = version(world, asset).taken_down
    assert (shown.reason, shown.report, shown.proposal) == ("malicious", cid("report"), proposal.hex())
    assert world.query("assets.takedowns") == [shown]
    change = world.query("governance.proposal", proposal=proposal.hex()).change
    assert (change.kind, change.artifact, change.reason) == ("take_down", cid("A"), "malicious")


def test_two_thirds_are_needed_and_nothing_happens_before() -> None:
    world = World()
    asset = world.register("alice", "A")
    names = everybody(world)
    change = TakeDown(cid("A"), "unlawful")
    world.do(names[0], Propose(change, ""))
    proposal = proposal_id(world.transaction_id, change)
    for name in names[: 2 * len(names) // 3]:
        world.do(name, Vote(proposal, True))
    assert version(world, asset).taken_down is None
    assert world.artifacts == []
    world.do(names[2 * len(names) // 3], Vote(proposal, True))
    assert version(world, asset).taken_down is not None


def test_no_new_license_is_given_and_another_version_can_be_licensed() -> None:
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, PLAIN)
    decide(world, TakeDown(cid("A"), "infringing"))
    world.refused("assets.taken_down", "bob", world.purchase_operation(offer, PLAIN))
    world.refused("assets.taken_down", "alice", licenses.Offer(asset, PLAIN, world.now_ms + DAY_MS))
    world.add_version("alice", asset, "A, put right")
    world.hold(asset, 2)
    world.license("alice", asset, "bob", PLAIN)
    world.check_laws()


def test_what_was_bought_before_keeps_its_record() -> None:
    world = World()
    asset = world.register("alice", "A")
    grant = world.license("alice", asset, "bob", PLAIN)
    before = GRANTS.get(world.view, grant)
    decide(world, TakeDown(cid("A"), "other"))
    assert GRANTS.get(world.view, grant) == before
    assert world.check("bob", asset).allowed
    term = licenses.Terms(rights=("download",), price=100, term_ms=DAY_MS, renewable=True)
    other = world.register("alice", "B")
    offer = world.offer("alice", other, term)
    timed = world.buy("bob", offer, term)
    decide(world, TakeDown(cid("B"), "other"))
    renewal = licenses.Renew(timed, offer, licenses.terms_digest(term), term.price)
    world.refused("assets.taken_down", "bob", renewal)


def test_a_majority_that_abuses_it_takes_no_ownership() -> None:
    """The bytes and new licenses are lost, the record of who registered and owns what never is."""
    world = World()
    asset = world.register("alice", "A")
    records: list[tuple[Table[Any], tuple[bytes, ...]]] = [(OWNERSHIP, (asset,)), (VERSIONS, (asset, version_part(1)))]
    before = [table.get(world.view, *key) for table, key in records]
    shown = world.query("assets.get", asset=asset.hex())
    decide(world, TakeDown(cid("A"), "unlawful"), *[name for name in everybody(world) if name != "alice"])
    assert [table.get(world.view, *key) for table, key in records] == before
    after = world.query("assets.get", asset=asset.hex())
    assert (after.owners, after.creators, after.registered_at_ms) == (
        shown.owners,
        shown.creators,
        shown.registered_at_ms,
    )
    world.commit("bob", "A")
    world.refused("assets.artifact_claimed", "bob", world.registration("bob", "A"))
    world.transfer("alice", Thing("asset", asset), "bob")
    assert OWNERSHIP.get(world.view, asset) != before[0]


def test_validators_need_not_hold_it_and_waiting_money_returns() -> None:
    world = World()
    asset = world.register("alice", "A", held=False)
    offer = world.offer("alice", asset, PLAIN)
    money = world.balance("bob")
    world.buy("bob", offer, PLAIN)
    decide(world, TakeDown(cid("A"), "personal-data"))
    world.refused("assets.taken_down", world.validators[0], assets.ReportHeld(asset, 1), role="validator")
    world.advance(world.parameters.escrow_timeout_ms)
    assert world.balance("bob") == money
    world.check_laws()


def test_a_vote_restores_it() -> None:
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, PLAIN)
    decide(world, TakeDown(cid("A"), "other"))
    decide(world, RestoreArtifact(cid("A")))
    (record,) = world.artifacts
    assert (record.cid, record.taken_down) == (cid("A"), False)
    assert version(world, asset).taken_down is None
    assert world.query("assets.takedowns") == []
    world.do("bob", world.purchase_operation(offer, PLAIN))
    decide(world, TakeDown(cid("A"), "other"))
    world.check_laws()


def test_what_cannot_be_taken_down_or_restored_is_refused_at_proposal_and_decision() -> None:
    world = World()
    world.register("alice", "A")
    for change, code in (
        (TakeDown(cid("nobody's"), "other"), "assets.unknown_artifact"),
        (TakeDown(cid("A"), "other", "no cid"), "governance.text"),
        (RestoreArtifact(cid("A")), "assets.not_taken_down"),
    ):
        if change == TakeDown(cid("A"), "other", "no cid"):
            with pytest.raises(CodecError):
                decode(encode(Propose(change, "")), Propose)
            continue
        world.refused(code, "alice", Propose(change, ""))
    names = everybody(world)
    change = TakeDown(cid("A"), "other")
    world.do(names[0], Propose(change, ""))
    late = proposal_id(world.transaction_id, change)
    decide(world, change)
    world.refused("assets.taken_down", "alice", Propose(change, "again"))
    for name in names[: 2 * len(names) // 3]:
        world.do(name, Vote(late, True))
    world.refused("assets.taken_down", names[-1], Vote(late, True))


@pytest.mark.parametrize("reason", ["", "spite", "UNLAWFUL"])
def test_a_reason_that_there_is_not_is_malformed(reason: str) -> None:
    with pytest.raises(CodecError):
        decode(encode(Propose(TakeDown(cid("A"), reason), "")), Propose)  # type: ignore[arg-type]  # what is refused
