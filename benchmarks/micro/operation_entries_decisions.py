"""What `operation_costs` measures of decisions that wait: proposals of parameters and credits, and objections."""

from __future__ import annotations

from benchmarks.micro.operation_entry import Ready, entry
from benchmarks.micro.operation_world import NAMES, World
from ledger.modules.governance import operations as governance
from ledger.modules.governance.records import proposal_id

_FEE = governance.NamedValue("fee_bps", 300)


def _parameters() -> governance.Propose:
    window = governance.NamedValue("window", 128)
    return governance.Propose(governance.SetParameters((_FEE, window)), "dearer, and in smaller steps")


def _minting() -> governance.Propose:
    return governance.Propose(governance.Mint(1_000_000), "more of it")


def _voted(world: World, change: governance.Propose) -> bytes:
    """Propose, and let all but the last vote that is needed approve."""
    proposal = proposal_id(world.do("alder", change), change.change)
    for name in NAMES[:2]:
        world.do(name, governance.Vote(proposal, True))
    return proposal


@entry("governance.propose", "parameters")
def _propose_parameters(world: World) -> Ready:
    return Ready(world.accounts["alder"], _parameters())


@entry("governance.propose", "minting")
def _propose_minting(world: World) -> Ready:
    return Ready(world.accounts["alder"], _minting())


@entry("governance.vote", "after which parameters wait")
def _approve_parameters(world: World) -> Ready:
    return Ready(world.accounts[NAMES[2]], governance.Vote(_voted(world, _parameters()), True))


@entry("governance.object", "one of several")
def _object(world: World) -> Ready:
    proposal = _voted(world, _parameters())
    world.do(NAMES[2], governance.Vote(proposal, True))
    return Ready(world.accounts[NAMES[0]], governance.Object(proposal))


@entry("governance.object", "that stops it")
def _stop(world: World) -> Ready:
    proposal = _voted(world, _minting())
    world.do(NAMES[2], governance.Vote(proposal, True))
    world.do(NAMES[1], governance.Object(proposal))
    return Ready(world.accounts[NAMES[0]], governance.Object(proposal))
