"""The validator set changes while links fail and nodes crash. The laws are checked after every event."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from consensus.messages import Batch, encode_message, sign
from ledger.parameters import Parameters
from p2p.channels import Channel
from primitives.list_root import list_root
from simulation.adversary import Outgoing
from simulation.cluster import SimulatedCluster
from simulation.epoch_stories import EpochRun, Loss
from simulation.governance import Consortium
from simulation.invariants import engine_state


@pytest.mark.parametrize("seed", range(3))
def test_a_validator_joins_and_another_leaves_through_crashes_and_losses(seed: int) -> None:
    """G3, R4, S9, S10: one height on all nodes, nobody voting in an epoch that is over, everyone in the next one."""
    result = EpochRun(seed).play()
    assert result.epoch >= 2
    assert result.changes == 2


@pytest.mark.parametrize(
    ("seed", "loss"), [(200, "directory"), (201, "stale copy"), (202, "vote log"), (203, "ledger"), (204, "directory")]
)
def test_a_validator_that_lost_its_disk_rejoins_by_itself_in_another_epoch(seed: int, loss: Loss) -> None:
    """R5, R6, R7: it synchronizes, signs nothing in the old epoch (I5), and votes in the next.

    A vote log that holds the whole epoch has every promise: then the ledger's loss alone costs no rejoin.
    """
    result = EpochRun(seed, joiners=0, losses=(loss,)).play()
    assert result.epoch == (0 if loss == "ledger" else 1)


def test_an_amnesiac_is_silent_until_its_incarnation_is_on_record() -> None:
    """R5: not a vote, batch or view change of it before the epoch whose set names its number."""
    cluster = SimulatedCluster(1, parameters=Parameters(window=16, rejoin_interval_ms=0))
    cluster.start()
    for _ in range(10):
        cluster.submit_transfer(3)
        cluster.world.run(100)
    victim = cluster.nodes[3]
    victim.crash()
    victim.lose_everything()
    cluster.restart(3)
    core = victim.core
    assert core is not None
    said: list[int] = []
    while engine_state(core).validators.epoch == 0:
        state = engine_state(core)
        said.append(state.position)
        cluster.submit_transfer(0)
        cluster.world.run(20)
    assert set(said) == {0}
    assert len(said) > 10
    members = core.epochs.membership.validators
    assert members[3].incarnation == core.epochs.incarnation > 0
    assert cluster.world.run_until(lambda: core.engine_status().voting, 10_000)
    identifier = cluster.submit_transfer(3)
    assert cluster.world.run_until(lambda: identifier in victim.executed_ids, 10_000)


def test_transactions_given_to_a_node_that_cannot_order_are_ordered_by_others() -> None:
    """A joiner passes on what its clients bring, and its own statement that it is ready."""
    cluster = SimulatedCluster(2, parameters=Parameters(window=16), joiners=1)
    consortium = Consortium(cluster)
    cluster.start()
    cluster.world.run(500)
    identifier = cluster.submit_transfer(4)
    assert cluster.world.run_until(lambda: identifier in cluster.nodes[0].executed_ids, 10_000)
    proposal = consortium.propose_to_add(4)
    cluster.world.run(1_000)
    consortium.approve(proposal)
    joiner = cluster.nodes[4].core
    assert joiner is not None
    assert cluster.world.run_until(lambda: joiner.engine_status().voting, 30_000)
    assert joiner.engine_status().epoch == 1


class Plain:
    """An adversary that says what its node says, and may add to it."""

    def outgoing(self, receiver: int, channel: Channel, payload: bytes) -> Iterable[Outgoing]:
        return [(receiver, channel, payload, 0)]

    def tick(self) -> Iterable[Outgoing]:
        return []


def test_evidence_reaches_the_ledger() -> None:
    """S1, S18: the two messages of a member that contradicts itself become a record, once, whoever saw them."""
    cluster = SimulatedCluster(3, adversaries={2: Plain()})
    cluster.start()
    cluster.world.run(500)
    for content in (b"one", b"another"):
        unsigned = Batch(0, 2, 1_000, 999, list_root((content,)), (content,), bytes(64))
        batch = sign(cluster.network_id, cluster.signing_key(2), unsigned)
        for receiver in (0, 1):
            cluster.network.transmit(2, receiver, Channel.BATCHES, encode_message(batch))
    chain = cluster.nodes[3].chain
    assert chain is not None
    assert cluster.world.run_until(lambda: len(list(chain.view().iterate(b"evidence/"))) == 1, 10_000)
    cluster.world.run(5_000)
    assert len(list(chain.view().iterate(b"evidence/"))) == 1
