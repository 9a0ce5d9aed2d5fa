"""Why a node commits or not, in words: who is missing, what waits for whom, and nothing where all is well."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.engine import EngineStatus
from node.core_values import CoreStatus
from node.explanation import Explanation, Following, Progress, Validator, explain, members_of, work_waits
from node.status import _core_readings
from node.sync_progress import SyncProgress
from p2p.peers import PeerInfo
from primitives.identifiers import NodeId

VALIDATORS = [
    Validator(f"gmnode-{index}", name, f"{name}.example:7100")
    for index, name in enumerate(("alder", "birch", "cedar", "dogwood"))
]

NO_LOG = {"voting": False, "silent_because": "its vote log is missing"}
STRANGER = {"replica_id": None, "voting": False, "silent_because": "not a member of this epoch's validator set"}


def engine(**changes: Any) -> EngineStatus:
    values: dict[str, Any] = {
        "engine": "pbft",
        "epoch": 0,
        "view": 7,
        "primary": 3,
        "replica_id": 0,
        "changing_view": False,
        "voting": True,
        "silent_because": "",
        "low_watermark": 41,
        "high_watermark": 297,
        "last_proposed": 41,
        "last_decided": 41,
        "last_executed": 41,
        "stable_checkpoint": 41,
        "batches_waiting": 0,
        "sequences_in_flight": 0,
        "running_timers": (),
        "view_changes_seen": {},
        "missing": (),
    }
    return EngineStatus(**{**values, **changes})


def peer(index: int, **changes: Any) -> PeerInfo:
    values = {"connected": True, **changes}
    return PeerInfo(NodeId(VALIDATORS[index].node_id), VALIDATORS[index].address, **values)


def progress(target: int | None) -> SyncProgress:
    return SyncProgress(target, 5, 0.0, 0.0, 0, 0, 0, 0, "verify")


def say(status: EngineStatus, *peers: PeerInfo, **progress: Any) -> Explanation:
    known = {1: peer(1), 2: peer(2), 3: peer(3)} | {int(given.node_id[-1]): given for given in peers}
    by_node = {str(info.node_id): info for info in known.values()}
    values: dict[str, Any] = {
        "certified_height": 41,
        "pool_transactions": 0,
        "committed_ms_ago": 12_345,
        "waiting_ms": 0,
        "sync_target": None,
        "height": 41,
        "diverged": False,
    }
    members = members_of(status, VALIDATORS, by_node, "gmnode-0")
    return explain(status, members, Progress(**{**values, **progress}))


def test_an_idle_node_has_nothing_to_say() -> None:
    said = say(engine())
    assert (said.verdict, said.why) == ("idle", ())
    assert said.summary == "Nothing waits to be committed. Block 41 was committed 12 s ago."
    assert [member.state for member in said.members] == ["this node", "connected", "connected", "connected"]
    assert [member.replica for member in said.members if member.primary] == [3]
    assert (said.needed, said.answering) == (3, 4)


def test_two_missing_of_four_are_named_with_the_reason() -> None:
    refused = "unreachable: ConnectionRefusedError: [Errno 111] Connection refused"
    lacks = ("view 8 is asked for by replicas 0 and 1; 3 must ask",)
    said = say(
        engine(
            changing_view=True, voting=False, silent_because="it asked for view 8, which has not begun", missing=lacks
        ),
        peer(2, silent_ms=7_200),
        peer(3, connected=False, last_reason=refused),
        pool_transactions=2,
        waiting_ms=9_000,
    )
    assert said.verdict == "not-committing"
    assert said.summary == (
        "Not committing: 2 of 4 validators answer, and 3 are needed. "
        "Missing: replica 2 (cedar) and replica 3 (dogwood)."
    )
    assert said.why == (
        "replica 2 (cedar) is silent: nothing heard for 7 s",
        "replica 3 (dogwood), the primary of view 7, is unreachable: Connection refused",
        "this node does not vote: it asked for view 8, which has not begun",
        *lacks,
        "2 transactions of clients wait here",
    )


def test_one_missing_of_four_stops_nothing_and_is_still_said() -> None:
    said = say(engine(sequences_in_flight=1), peer(1, connected=False, last_reason="closed-by-peer"), waiting_ms=50)
    assert said.verdict == "committing"
    assert said.why == ("replica 1 (birch) is unreachable: closed-by-peer",)
    assert (said.needed, said.answering) == (3, 3)


@pytest.mark.parametrize(
    ("status", "progress", "verdict", "words"),
    [
        ({}, {"waiting_ms": 4_000}, "waiting", "pending for 4 s"),
        ({}, {"waiting_ms": 400, "pool_transactions": 1}, "committing", "Committing. Block 41 was committed 12 s ago."),
        ({}, {"sync_target": 90}, "not-committing", "fetching blocks (at height 41, 90 is certified)"),
        (NO_LOG, {}, "not-committing", "Not voting: its vote log is missing."),
        ({"voting": False}, {}, "not-committing", "Not voting: still starting."),
        ({}, {"diverged": True}, "not-committing", "state differs"),
        ({}, {"committed_ms_ago": None}, "idle", "The last committed block is 41, from before this process started."),
        ({}, {"committed_ms_ago": None, "certified_height": 0}, "idle", "No block has been committed yet."),
        ({}, {"committed_ms_ago": 300_000}, "idle", "5 min ago"),
        ({}, {"committed_ms_ago": 10_000_000}, "idle", "2 h ago"),
        (STRANGER, {}, "idle", "Nothing waits"),
    ],
)
def test_the_verdict_follows_from_what_stands_in_the_way(
    status: dict[str, Any], progress: dict[str, Any], verdict: str, words: str
) -> None:
    said = say(engine(**status), **progress)
    assert said.verdict == verdict
    assert words in said.summary


def test_who_was_turned_out_is_told_so() -> None:
    members = members_of(engine(**STRANGER), VALIDATORS, {}, "gmnode-9")
    where = Progress(41, 0, 12_345, 0, None, 41, diverged=False)
    said = explain(engine(**STRANGER), members, where, (), Following("observer", 0, turned_out=True))
    assert said.verdict == "not-following"
    assert "does not name this node any more: it was withdrawn" in said.summary
    waits = explain(engine(**STRANGER), members, where, (), Following("observer", 0))
    assert "waits for a link" in waits.summary


def test_timers_and_lone_wishes_are_told_once_work_has_waited() -> None:
    said = say(
        engine(running_timers=("suspicion", "status"), view_changes_seen={2: 9}, timeout_ms=4_000, failed_views=2),
        waiting_ms=3_000,
        pool_transactions=1,
    )
    assert said.why == (
        "replica 2 (cedar) asks for view 9",
        "1 transaction of a client waits here",
        "the suspicion timer runs: if nothing is decided within 4 s, view 8 is asked for",
        "2 views in a row have decided nothing, and timers are longer for it",
    )
    said = say(engine(changing_view=True, running_timers=("new-view",), timeout_ms=500), waiting_ms=3_000)
    assert said.why == ("the new-view timer runs: if the view does not begin within 500 ms, the next one is asked for",)
    assert say(engine(running_timers=("suspicion",)), waiting_ms=100).why == ()


def test_the_nodes_standing_in_the_epoch_is_told() -> None:
    members = members_of(engine(**STRANGER), VALIDATORS, {f"gmnode-{i}": peer(i) for i in range(1, 4)}, "gmnode-joiner")
    progress = Progress(41, 0, 100, 0, None, 41, False)
    follower = "this node is not in the validator set, it follows the others"
    said = explain(engine(**STRANGER), members, progress, [follower])
    assert (said.verdict, said.answering) == ("idle", 3)
    assert not any(member.primary for member in said.members), "who is in no set follows no views"
    assert said.why == ("replica 0 (alder) is unreachable: it is not registered with this node", follower)


def test_an_unregistered_member_is_unreachable() -> None:
    members = members_of(engine(), VALIDATORS, {}, "gmnode-0")
    assert [member.state for member in members] == ["this node", *["unreachable"] * 3]
    assert members[1].detail == "it is not registered with this node"


@pytest.mark.parametrize(
    "status", [{"sequences_in_flight": 1}, {"batches_waiting": 1}, {"last_executed": 42}, {"epoch_end": 300}]
)
def test_whatever_is_unfinished_is_work(status: dict[str, Any]) -> None:
    assert work_waits(engine(**status), 0)
    assert not work_waits(engine(), 0)
    assert work_waits(engine(), 1)


@pytest.mark.parametrize(("certified", "target", "behind"), [(9, None, 4), (9, 12, 7), (5, None, 0), (0, None, 0)])
def test_the_metric_shows_certified_blocks_that_are_missing_whether_they_are_fetched_or_not(
    certified: int, target: int | None, behind: int
) -> None:
    """L6: a replica whose decisions come late does not synchronize, and is behind all the same."""
    values: dict[str, Any] = dict.fromkeys(CoreStatus.__struct_fields__, 0) | {"height": 5}
    core = CoreStatus(
        **(values | {"engine": engine(highest_certified=certified), "contradictions": {}, "sync": progress(target)})
    )
    readings = {reading.name: reading.value for reading in _core_readings(core)}
    assert readings["guildmark_sync_blocks_behind"] == behind
