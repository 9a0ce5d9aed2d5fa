"""What befalls a node's disk, and that it costs a node its votes before it costs anyone their agreement."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from ledger.parameters import Parameters
from node.journal import FILE_NAME, Journal, JournalFailed
from simulation.cluster import SimulatedCluster
from simulation.disk import SimulatedStore
from simulation.faults import Fault, Plan, Round
from simulation.hostile import make_peace, replay
from simulation.network import NetworkFaults

ROUNDS = 6
PARAMETERS = Parameters(window=16, rejoin_interval_ms=0)
RETURN_LIMIT_MS = 60_000


def worked(seed: int, parameters: Parameters = PARAMETERS) -> SimulatedCluster:
    """A network in the middle of work, on links that lose and repeat."""
    faults = NetworkFaults(loss=0.03, duplication=0.03, latency_ms_max=15)
    cluster = SimulatedCluster(seed, 4, faults, parameters=parameters)
    cluster.start()
    work(cluster)
    return cluster


def work(cluster: SimulatedCluster) -> None:
    for _ in range(ROUNDS):
        for index, node in enumerate(cluster.nodes):
            if node.up:
                cluster.submit_transfer(index)
        cluster.world.run(100)


def epoch(cluster: SimulatedCluster, index: int) -> int:
    core = cluster.nodes[index].core
    assert core is not None
    return core.engine_status().epoch


def votes(cluster: SimulatedCluster, index: int) -> bool:
    core = cluster.nodes[index].core
    return core is not None and core.engine_status().voting


def returns_by_rejoining(cluster: SimulatedCluster, index: int) -> None:
    """The node starts, is silent in the epoch, says why, and votes in the next one, which its rejoin brings about."""
    before = epoch(cluster, (index + 1) % 4)
    cluster.restart(index)
    core = cluster.nodes[index].core
    assert core is not None
    cluster.world.run(100)
    assert not votes(cluster, index)
    assert cluster.world.run_until(lambda: votes(cluster, index) and epoch(cluster, index) > before, RETURN_LIMIT_MS), (
        core.status().why
    )
    make_peace(cluster)
    assert len({epoch(cluster, member) for member in range(4)}) == 1


@pytest.mark.parametrize("victim", [0, 1])
def test_a_ledger_without_a_vote_log_does_not_vote_until_it_has_rejoined(victim: int) -> None:
    """R7: it cannot know what it promised; I5 compares all that it ever signs."""
    cluster = worked(30)
    node = cluster.nodes[victim]
    node.crash()
    node.disk.lose(FILE_NAME)
    returns_by_rejoining(cluster, victim)


def test_a_truncated_vote_log_without_its_ledger_does_not_vote_until_it_has_rejoined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R7, the reverse: what the log dropped as durable elsewhere is not."""
    monkeypatch.setattr("node.journal.REWRITE_BYTES_MIN", 20_000)
    cluster = worked(31)
    work(cluster)
    node = cluster.nodes[2]
    node.crash()
    node.store = SimulatedStore()
    node.begin_record()
    returns_by_rejoining(cluster, 2)


@pytest.mark.parametrize("victim", [0, 3])
def test_a_lost_disk_costs_a_validator_one_epoch(victim: int) -> None:
    """R5: all it has is its key. The others go on meanwhile, and it votes under a new incarnation."""
    cluster = worked(35)
    node = cluster.nodes[victim]
    node.crash()
    node.lose_everything()
    work(cluster)
    returns_by_rejoining(cluster, victim)


@pytest.mark.parametrize("victim", [0, 3])
def test_an_old_copy_of_the_disk_costs_a_validator_one_epoch(victim: int) -> None:
    """R6: log and ledger fit each other, and are older than what the validator signed since."""
    cluster = worked(36)
    node = cluster.nodes[victim]
    copy = node.keep_copy()
    work(cluster)
    node.crash()
    node.restore_copy(copy)
    work(cluster)
    returns_by_rejoining(cluster, victim)


def test_validators_that_lost_their_votes_rejoin_one_after_the_other() -> None:
    """R5: f at a time; each rejoin is an epoch of its own."""
    cluster = worked(37)
    for victim in (1, 2, 3):
        work(cluster)
        cluster.nodes[victim].crash()
        cluster.nodes[victim].lose_everything()
        returns_by_rejoining(cluster, victim)
    assert epoch(cluster, 0) == 3


def test_a_validator_may_lose_its_votes_twice() -> None:
    """R5: the set names the number of its first return, which the second empty directory cannot know."""
    cluster = worked(38)
    for _ in range(2):
        work(cluster)
        cluster.nodes[1].crash()
        cluster.nodes[1].lose_everything()
        returns_by_rejoining(cluster, 1)
    assert epoch(cluster, 0) == 2


def test_a_lost_disk_is_noticed_even_when_all_others_restart_too() -> None:
    """R5, L12: a common loss of power takes what the others remember of the member whose disk is replaced."""
    cluster = SimulatedCluster(219, 4, parameters=PARAMETERS)
    cluster.start()
    for _ in range(6):
        cluster.submit_transfer(3)
        cluster.world.run(100)
    for node in cluster.nodes:
        node.crash()
    cluster.nodes[1].lose_everything()
    for node in cluster.nodes:
        cluster.restart(node.index)
    work(cluster)
    make_peace(cluster)
    assert cluster.world.run_until(lambda: epoch(cluster, 1) == 1, 30_000)


def test_a_log_that_is_truncated_all_the_time_still_holds_every_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """R4: crashes around and between truncations. I5 compares all that was ever signed."""
    monkeypatch.setattr("node.journal.REWRITE_BYTES_MIN", 5_000)
    rewrites: list[int] = []
    rewrite = Journal.rewrite
    monkeypatch.setattr(Journal, "rewrite", lambda *arguments: (rewrites.append(1), rewrite(*arguments))[1])
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
    assert len(rewrites) > 10


def test_the_vote_log_drops_nothing_for_a_certificate_that_a_loss_of_power_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R1, R4: votes are dropped for the certificate that replaces them, so it must be durable before they go."""
    monkeypatch.setattr("node.journal.REWRITE_BYTES_MIN", 5_000)
    cluster = worked(34)
    dropped_to: list[int] = []
    rewrite = Journal.rewrite

    def checked(
        journal: Journal,
        records: list[bytes],
        epoch: int,
        ledger_height: int,
        incarnation: int,
        done: Callable[[], None],
    ) -> None:
        (node,) = (node for node in cluster.nodes if vars(journal)["_files"] is node.disk)
        assert ledger_height == 0 or node.store.get_durable(b"c" + ledger_height.to_bytes(8, "big")) is not None
        dropped_to.append(ledger_height)
        rewrite(journal, records, epoch, ledger_height, incarnation, done)

    monkeypatch.setattr(Journal, "rewrite", checked)
    for _ in range(4):
        work(cluster)
    assert len(dropped_to) >= 8
    assert max(dropped_to) > 10


@pytest.mark.parametrize("offset", [0, 30, 60, 200, 1_000])
def test_a_flipped_bit_in_the_vote_log_is_noticed_before_any_vote(offset: int) -> None:
    """D1: the log is put aside, and the validator rejoins."""
    cluster = worked(33)
    node = cluster.nodes[1]
    node.crash()
    assert len(node.disk.read(FILE_NAME) or b"") > 2_000
    node.disk.flip(FILE_NAME, offset, 3)
    returns_by_rejoining(cluster, 1)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_failing_fsync_ends_a_node_which_returns_unharmed(victim: int) -> None:
    """D4, D5: full disk or broken one; nothing is sent that was not written, and it is not tried twice."""
    cluster = worked(34)
    node = cluster.nodes[victim]
    node.disk.failure = errno.ENOSPC
    work(cluster)
    assert not node.up
    assert [type(failure) for failure in node.failures] == [JournalFailed]
    assert "No space left" in str(node.failures[0])
    with pytest.raises(JournalFailed):
        node.start()
    node.disk.failure = None
    cluster.restart(victim)
    make_peace(cluster)


def test_a_disk_may_be_lost_with_a_promise_that_nobody_heard() -> None:
    """R5: the primary proposes, the power goes everywhere before anybody hears of it, and its disk is replaced."""
    rounds = (
        Round(373, (Fault("crash", 0, amount=1),)),
        Round(176),
        Round(36, (Fault("restart", 0),)),
        Round(45, (Fault("blackout", 2, amount=1),)),
        Round(398, (Fault("lost-disk", 2),)),
    )
    assert replay(Plan(4267, 4, "hostile", rounds)).faults["lost-disk"] == 1
