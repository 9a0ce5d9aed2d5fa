"""What `operation_costs` measures of contributions and bounties.

birch proposes to an asset of alder's that derives from cedar's, under a license to train on both.
"""

from __future__ import annotations

from benchmarks.micro.operation_entry import TRAINING, Ready, entry
from benchmarks.micro.operation_world import SALT, World
from ledger.modules.assets import operations as assets
from ledger.modules.attestations import accreditation
from ledger.modules.attestations import operations as attestations
from ledger.modules.contributions import operations as contributions
from ledger.parameters import DAY_MS

AMOUNT = 1_000


def _bounty(world: World) -> Ready:
    opening = contributions.OpenBounty(world.register("alder", "work"), AMOUNT, world.now_ms + DAY_MS)
    return Ready(world.accounts["alder"], opening)


def _opened(world: World) -> tuple[bytes, bytes]:
    """Return (bounty, asset)."""
    ready = _bounty(world)
    return contributions.bounty_id(world.do(ready.sender, ready.operation), ready.operation), ready.operation.asset


def _proposal(world: World, share_bps: int = 0) -> tuple[bytes, Ready]:
    """Return a bounty, and a proposal that names it."""
    bounty, asset = _opened(world)
    grant = world.license("alder", asset, "birch", TRAINING)
    parent = world.register("cedar", "other")
    other = world.license("cedar", parent, "birch", TRAINING)
    world.commit("birch", "better")
    proposal = contributions.Propose(
        asset=asset,
        parent_version=1,
        right="train-on",
        artifact=world.artifact("better"),
        salt=SALT,
        expires_at_ms=world.now_ms + DAY_MS,
        grant=grant,
        provenance=assets.Provenance((assets.Derivation(parent, "train-on", other),)),
        message="better",
        share_bps_min=share_bps,
        bounty=bounty,
    )
    return bounty, Ready(world.accounts["birch"], proposal)


def _proposed(world: World, share_bps: int = 0) -> tuple[bytes, bytes]:
    """Return (bounty, contribution), with a comment on it."""
    bounty, ready = _proposal(world, share_bps)
    proposal = ready.operation
    transaction = world.do(ready.sender, proposal)
    contribution = contributions.contribution_id(transaction, proposal.asset, proposal.artifact.cid)
    world.do("alder", contributions.Comment(contribution, world.artifact("text").cid))
    return bounty, contribution


@entry("contributions.propose", "with a parent and a bounty")
def _propose(world: World) -> Ready:
    return _proposal(world)[1]


@entry("contributions.comment")
def _comment(world: World) -> Ready:
    said = contributions.Comment(_proposed(world)[1], world.artifact("text").cid)
    return Ready(world.accounts["birch"], said)


@entry("contributions.accept", "for a share and a bounty")
def _accept(world: World) -> Ready:
    bounty, contribution = _proposed(world, 1_000)
    reward = contributions.Reward(1_000, None, bounty)
    return Ready(world.accounts["alder"], contributions.Accept(contribution, reward))


@entry("contributions.refuse")
def _refuse(world: World) -> Ready:
    return Ready(world.accounts["alder"], contributions.Refuse(_proposed(world)[1], "no"))


@entry("contributions.withdraw")
def _withdraw(world: World) -> Ready:
    return Ready(world.accounts["birch"], contributions.Withdraw(_proposed(world)[1]))


@entry("contributions.open_bounty")
def _open_bounty(world: World) -> Ready:
    return _bounty(world)


@entry("contributions.award_bounty")
def _award_bounty(world: World) -> Ready:
    return Ready(world.accounts["alder"], contributions.AwardBounty(*_proposed(world)))


@entry("contributions.cancel_bounty")
def _cancel_bounty(world: World) -> Ready:
    return Ready(world.accounts["alder"], contributions.CancelBounty(_opened(world)[0]))


@entry("contributions.claim_bounty", "of one evaluator")
def _claim_bounty(world: World) -> Ready:
    """dogwood has measured what was accepted on cedar's data set."""
    dataset = world.register("cedar", "measured")
    wanted = contributions.Condition("accuracy", 900_000, dataset, 1, 1)
    opening = contributions.OpenBounty(world.register("alder", "work"), AMOUNT, world.now_ms + DAY_MS, None, wanted)
    bounty = contributions.bounty_id(world.do("alder", opening), opening)
    grant = world.license("alder", opening.asset, "birch", TRAINING)
    world.commit("birch", "better")
    artifact, ends = world.artifact("better"), world.now_ms + DAY_MS
    proposal = contributions.Propose(opening.asset, 1, "train-on", artifact, SALT, ends, grant, bounty=bounty)
    contribution = contributions.contribution_id(world.do("birch", proposal), opening.asset, artifact.cid)
    world.do("alder", contributions.Accept(contribution, contributions.Reward(bounty=bounty)))
    account, context = world.accounts["dogwood"], world.context(world.view, world.accounts["alder"], world.fresh_id())
    terms = accreditation.Terms(account, ("evaluate",), 5, 1_000_000, world.now_ms + 30 * DAY_MS)
    accreditation.accredit(context, terms, bytes(32))
    stated = attestations.Evaluate(opening.asset, 2, "accuracy", 900_000, 100, dataset, 1, bytes(32), bytes(32))
    world.do("dogwood", attestations.PostBond(account), stated)
    return Ready(world.accounts["birch"], contributions.ClaimBounty(bounty, contribution))
