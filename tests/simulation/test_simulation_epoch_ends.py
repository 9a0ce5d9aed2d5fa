"""Ends of epochs in circumstances that random runs seldom meet."""

from __future__ import annotations

from ledger.parameters import Parameters
from simulation.cluster import SimulatedCluster
from simulation.governance import Consortium


def test_changes_that_had_to_wait_for_another_epoch_need_no_traffic() -> None:
    """G3: of six validators one may leave an epoch. The second leaves with the next, though all is idle."""
    cluster = SimulatedCluster(5, 6, parameters=Parameters(window=16))
    consortium = Consortium(cluster)
    cluster.start()
    cluster.world.run(500)
    proposals = [consortium.propose_to_remove(index) for index in (4, 5)]
    cluster.world.run(1_500)
    for proposal in proposals:
        consortium.approve(proposal)

    def both_left() -> bool:
        cores = [node.core for node in cluster.nodes[:4]]
        return all(core is not None and len(core.epochs.membership.validators) == 4 for core in cores)

    assert cluster.world.run_until(both_left, 20_000)
    cluster.world.run(5_000)
    assert {core.epochs.epoch for core in (node.core for node in cluster.nodes[:4]) if core is not None} == {2}
    assert cluster.heights()[:4] == [cluster.heights()[0]] * 4
