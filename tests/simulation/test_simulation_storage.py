"""What befalls a node's disk, and that it costs a node its votes before it costs anyone their agreement."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.failures import NodeFailure
from node.journal import FILE_NAME, Journal, JournalDamaged, JournalFailed
from simulation.cluster import SimulatedCluster
from simulation.disk import SimulatedStore
from simulation.hostile import make_peace
from simulation.network import NetworkFaults

ROUNDS = 6


def worked(seed: int) -> SimulatedCluster:
    """A network in the middle of work, on links that lose and repeat."""
    cluster = SimulatedCluster(seed, 4, NetworkFaults(loss=0.03, duplication=0.03, latency_ms_max=15))
    cluster.start()
    work(cluster)
    return cluster


def work(cluster: SimulatedCluster) -> None:
    for _ in range(ROUNDS):
        for index, node in enumerate(cluster.nodes):
            if node.up:
                cluster.submit_transfer(index)
        cluster.world.run(100)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_ledger_without_a_vote_log_does_not_vote(victim: int) -> None:
    """R7: the node says so, and the others go on without it."""
    cluster = worked(30)
    node = cluster.nodes[victim]
    node.crash()
    node.disk.lose(FILE_NAME)
    for _ in range(2):
        with pytest.raises(NodeFailure, match="no vote log"):
            node.start()
    work(cluster)
    cluster.world.run(3_000)
    heights = [height for index, height in enumerate(cluster.heights()) if index != victim]
    assert min(heights) > cluster.heights()[victim]


def test_a_truncated_vote_log_without_its_ledger_does_not_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7, the reverse: what the log dropped as durable elsewhere is not."""
    monkeypatch.setattr("node.journal.REWRITE_BYTES_MIN", 20_000)
    cluster = worked(31)
    work(cluster)
    node = cluster.nodes[2]
    node.crash()
    node.store = SimulatedStore()
    with pytest.raises(NodeFailure, match="the ledger has 0"):
        node.start()


def test_a_log_that_is_truncated_all_the_time_still_holds_every_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """R4: crashes around and between truncations. I5 compares all that was ever signed."""
    monkeypatch.setattr("node.journal.REWRITE_BYTES_MIN", 5_000)
    cluster = worked(32)
    for round_ in range(12):
        victim = cluster.nodes[round_ % 4]
        victim.crash(power_loss=round_ % 3 != 0)
        cluster.world.run(30 * (round_ % 4))
        cluster.restart(victim.index)
        for index in range(4):
            cluster.submit_transfer(index)
        cluster.world.run(150)
    make_peace(cluster)
    assert min(node.disk.syncs for node in cluster.nodes) > 20
    sizes = [len(node.disk.read(FILE_NAME) or b"") for node in cluster.nodes]
    assert max(sizes) < 60_000, "it would be several times that without truncation"


def test_the_vote_log_drops_nothing_for_a_certificate_that_a_loss_of_power_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R1, R4: votes are dropped for the certificate that replaces them, so it must be durable before they go."""
    monkeypatch.setattr("node.journal.REWRITE_BYTES_MIN", 5_000)
    cluster = worked(34)
    dropped_to: list[int] = []
    rewrite = Journal.rewrite

    def checked(journal: Journal, records: list[bytes], ledger_height: int, done: Callable[[], None]) -> None:
        (node,) = (node for node in cluster.nodes if vars(journal)["_files"] is node.disk)
        assert ledger_height == 0 or node.store.get_durable(b"c" + ledger_height.to_bytes(8, "big")) is not None
        dropped_to.append(ledger_height)
        rewrite(journal, records, ledger_height, done)

    monkeypatch.setattr(Journal, "rewrite", checked)
    for _ in range(4):
        work(cluster)
    assert len(dropped_to) >= 8
    assert max(dropped_to) > 10


@pytest.mark.parametrize("offset", [0, 30, 60, 200, 1_000])
def test_a_flipped_bit_in_the_vote_log_is_noticed_before_any_vote(offset: int) -> None:
    """D1"""
    cluster = worked(33)
    node = cluster.nodes[1]
    node.crash()
    assert len(node.disk.read(FILE_NAME) or b"") > 2_000
    node.disk.flip(FILE_NAME, offset, 3)
    with pytest.raises(JournalDamaged):
        node.start()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_failing_fsync_ends_a_node_which_returns_unharmed(victim: int) -> None:
    """D4, D5: full disk or broken one; nothing is sent that was not written, and it is not tried twice."""
    cluster = worked(34)
    node = cluster.nodes[victim]
    node.disk.failure = OSError(28, "No space left on device")
    work(cluster)
    assert not node.up
    assert [type(failure) for failure in node.failures] == [JournalFailed]
    assert "No space left" in str(node.failures[0])
    with pytest.raises(JournalFailed):
        node.start()
    node.disk.failure = None
    cluster.restart(victim)
    make_peace(cluster)
