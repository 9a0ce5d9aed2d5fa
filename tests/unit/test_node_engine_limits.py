"""Replicas are built with the limits that the ledger has for their epoch, not with those of the genesis."""

from __future__ import annotations

from epochs_kit import WINDOW, Consortium, key, node

from consensus.pbft.configuration import Configuration
from ledger.modules.governance.operations import NamedValue, SetParameters
from ledger.parameters import DEFAULTS, ConsensusLimits
from node.chain_service import ChainService
from node.engine_setup import EngineMaker


def test_a_voted_limit_holds_from_the_next_epochs_replica_on() -> None:
    """G5: at one height on all nodes, whether they were there or start later; the epoch before keeps what it had."""
    world = Consortium()
    values = (NamedValue("window", 16), NamedValue("batches_per_proposal_max", 3), NamedValue("lifetime_ms", 60_000))
    world.approve(SetParameters(values))
    service = ChainService(world.chain)
    lifetime_ms = world.genesis.parameters.lifetime_ms
    assert service.head().lifetime_ms == lifetime_ms != 60_000
    world.execute(step_ms=DEFAULTS["decision_delay_ms"])
    assert service.head().lifetime_ms == 60_000, "what a node signs for itself follows at once"
    end = world.chain.epoch.end
    world.run_to(end + 1)
    before, after = service.membership(0), service.membership(1)
    assert before.limits == ConsensusLimits(WINDOW, 4 * 1024 * 1024, 64)
    assert after.limits == ConsensusLimits(16, 4 * 1024 * 1024, 3)
    maker = EngineMaker(
        Configuration(pipeline_depth=2), world.genesis.parameters, world.network_id, node("v0"), key("v0")
    )
    old, new = maker._settings(before), maker._settings(after)
    assert (old.window, old.batches_per_proposal_max) == (WINDOW, 64)
    assert (new.window, new.batches_per_proposal_max, new.pipeline_depth) == (16, 3, 2)
