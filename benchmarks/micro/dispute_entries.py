"""How the operations of disputes are prepared for `operation_costs`."""

from __future__ import annotations

import msgspec

from benchmarks.micro.operation_entries import TERMS, Ready, entry
from benchmarks.micro.operation_world import NAMES, World
from ledger.modules.credits.accounting import balance
from ledger.modules.credits.operations import Transfer
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.disputes.records import APPEAL_FACTOR, bond_due, debt_id
from ledger.modules.licenses import operations as licenses
from ledger.parameters import DAY_MS

ARBITERS = NAMES[2:]


def _claim(world: World, subject: Subject, relief: disputes.Relief, amount: int = 0) -> Ready:
    """birch claims."""
    ground: disputes.Ground = "wrong-content" if relief == "refund" else "infringement"
    bond = bond_due(amount, world.parameters.dispute_bond_min)
    evidence = world.artifact("evidence").cid
    return Ready(world.accounts["birch"], disputes.File(subject, ground, relief, amount, bond, evidence))


def _refund(world: World) -> Ready:
    """The price of a license in escrow."""
    terms = msgspec.structs.replace(TERMS, dispute_window_ms=DAY_MS)
    grant = world.license("alder", world.register("alder", "work"), "birch", terms)
    return _claim(world, Subject("grant", grant), "refund", terms.price)


def _filed(world: World, ready: Ready) -> bytes:
    return disputes.dispute_id(world.do(ready.sender, ready.operation), ready.operation.subject)


def _decided(world: World, ready: Ready) -> bytes:
    """Answered, and upheld by all arbiters."""
    dispute = _filed(world, ready)
    world.do("alder", disputes.Answer(dispute, False))
    for name in ARBITERS:
        world.do(name, disputes.Vote(dispute, True))
    return dispute


def _appealed(world: World, ready: Ready) -> bytes:
    """All arbiters but one have voted on the appeal."""
    dispute = _decided(world, ready)
    world.do("alder", disputes.Appeal(dispute, APPEAL_FACTOR * ready.operation.bond))
    for name in ARBITERS[:-1]:
        world.do(name, disputes.Vote(dispute, True))
    return dispute


@entry("disputes.file", "about a price in escrow")
def _file(world: World) -> Ready:
    return _refund(world)


@entry("disputes.answer", "with a bond")
def _answer(world: World) -> Ready:
    return Ready(world.accounts["alder"], disputes.Answer(_filed(world, _refund(world)), True))


@entry("disputes.vote")
def _vote(world: World) -> Ready:
    dispute = _filed(world, _refund(world))
    world.do("alder", disputes.Answer(dispute, False))
    return Ready(world.accounts[ARBITERS[0]], disputes.Vote(dispute, True))


@entry("disputes.vote", "that takes an asset back")
def _last_vote(world: World) -> Ready:
    asset = world.register("alder", "work")
    dispute = _appealed(world, _claim(world, Subject("asset", asset), "transfer_back"))
    return Ready(world.accounts[ARBITERS[-1]], disputes.Vote(dispute, True))


@entry("disputes.appeal")
def _appeal(world: World) -> Ready:
    ready = _refund(world)
    return Ready(world.accounts["alder"], disputes.Appeal(_decided(world, ready), APPEAL_FACTOR * ready.operation.bond))


@entry("disputes.lift")
def _lift(world: World) -> Ready:
    asset = world.register("alder", "work")
    dispute = _appealed(world, _claim(world, Subject("asset", asset), "freeze_sales"))
    world.do(ARBITERS[-1], disputes.Vote(dispute, True))
    return Ready(world.accounts["birch"], disputes.Lift(dispute))


@entry("disputes.collect")
def _collect(world: World) -> Ready:
    """What was paid out before is a debt of who has nothing left."""
    ready = _refund(world)
    world.now_ms += DAY_MS
    world.do("cedar", licenses.Claim(ready.operation.subject.id))
    dispute = _appealed(world, ready)
    alder = world.accounts["alder"]
    world.do("alder", Transfer(world.accounts["cedar"], balance(world.view, alder)))
    world.do(ARBITERS[-1], disputes.Vote(dispute, True))
    world.do("cedar", Transfer(alder, 10_000))
    return Ready(world.accounts["cedar"], disputes.Collect(debt_id(dispute, alder)))
