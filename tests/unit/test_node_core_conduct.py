"""The wired node: what it makes of payloads, answers and failures, at whatever moment they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from node_core_kit import Disk, Jobs, Node

from consensus.messages import BatchRequest, decode_message, encode_message
from consensus.pbft.configuration import _RANGES as ENGINE_RANGES
from ledger.chain import Chain
from ledger.errors import InvalidBlock, StorageError
from ledger.execution import DecidedProposal
from ledger.parameters import Parameters
from node.chain_service import BlockResult
from node.engine_setup import log_secret
from node.failures import ExitCode
from node.journal import DAMAGED_FILE_NAME, FILE_NAME, Journal, JournalDamaged, JournalForeign
from node.wire import BlocksRequest, encode_sync
from p2p.channels import Channel
from simulation.cluster import seeded_key
from simulation.world import START_MS


def extend(chain: Chain) -> None:
    """Execute an empty block."""
    chain.execute(chain.height + 1, DecidedProposal(0, START_MS + 100), [])


def kinds_sent(node: Node) -> list[str]:
    """The kinds of consensus messages that left."""
    return [decode_message(payload).kind for _, channel, payload in node.links.sent if channel is not Channel.SYNC]


def test_a_network_of_one_commits_what_is_submitted() -> None:
    node = Node(1)
    node.core.start()
    assert [admission.code for admission in node.submit(node.transfer(1), b"junk")] == ["", "transaction.malformed"]
    assert (node.executed, node.certified, node.fatal) == ([1], [1], [])
    assert node.core.certified_height == node.core.head.header.height == 1
    assert node.submit(node.transfer(1))[0].known
    assert len(node.core.pool) == 0


def test_nothing_of_a_transaction_is_executed_before_the_vote_log_has_it() -> None:
    """R1: after a loss of power the ledger must not know what the log forgot."""
    node = Node(1)
    node.core.start()
    node.jobs.held = True
    node.submit(node.transfer(1))
    assert "execute" not in [method for method, _ in node.executor.calls]
    node.jobs.go_on()
    assert node.executed == [1]


# --- payloads


@pytest.mark.parametrize("channel", [Channel.CONSENSUS, Channel.BATCHES, Channel.SYNC])
@pytest.mark.parametrize("payload", [b"", b"\x00", b"\xc1" * 100, b"\x93" * 10_000, b"\xdd\xff\xff\xff\xff", b"{}"])
def test_a_payload_that_is_no_message_is_counted_and_its_sender_named(channel: Channel, payload: bytes) -> None:
    """N4"""
    node = Node()
    node.core.start()
    for _ in range(3):
        node.core.on_payload(node.names[2], channel, payload)
    assert node.core.refused_payloads == {node.names[2]: 3}
    assert [name for name, _ in node.links.complaints] == [node.names[2]] * 3
    assert all(len(reason) <= 200 for _, reason in node.links.complaints)
    assert node.fatal == []


def test_a_message_on_a_channel_that_is_not_its_own_is_refused() -> None:
    """Bulk data must not come where votes have priority."""
    node = Node()
    node.core.start()
    request = encode_message(BatchRequest(0, (bytes(32),)))
    node.core.on_payload(node.names[1], Channel.BATCHES, request)
    assert node.core.refused_payloads == {}
    node.core.on_payload(node.names[1], Channel.CONSENSUS, request)
    assert node.core.refused_payloads == {node.names[1]: 1}


def test_messages_leave_for_the_others_on_their_channels_and_never_for_oneself() -> None:
    node = Node()
    node.let_it_vote()
    node.links.sent.clear()
    node.submit(node.transfer(1))
    receivers = {name for name, channel, _ in node.links.sent if channel is Channel.BATCHES}
    assert receivers == set(node.names[1:])
    assert {channel for _, channel, _ in node.links.sent} == {Channel.BATCHES, Channel.CONSENSUS}
    for _, _, payload in node.links.sent:
        decode_message(payload)


# --- answers and failures


def test_an_answer_after_the_stop_changes_nothing() -> None:
    node = Node(1)
    node.core.start()
    node.executor.held = True
    node.submit(node.transfer(1))
    node.executor.one()
    assert node.executor.waiting[0][0] == "execute"
    node.core.stop()
    node.executor.go_on()
    assert (node.executed, node.certified, node.fatal) == ([], [], [])
    assert node.clock.timers == 0


def test_after_the_stop_no_payload_and_no_link_matters() -> None:
    node = Node()
    node.core.start()
    node.core.stop()
    node.links.sent.clear()
    node.core.on_payload(node.names[1], Channel.SYNC, b"junk")
    node.core.on_payload(node.names[1], Channel.SYNC, encode_sync(BlocksRequest(1, 1, 5)))
    node.core.on_peer_connected(node.names[1])
    node.core.on_peer_disconnected(node.names[1])
    node.clock.advance(600_000)
    assert (node.links.sent, node.links.complaints, node.core.refused_payloads) == ([], [], {})


class _Failing:
    """A ledger of which one method fails."""

    def __init__(self, service: Any, method: str, failure: BaseException) -> None:
        self._service = service
        self._method = method
        self._failure = failure

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def fail(*_: Any) -> None:
            raise self._failure

        return fail if name == self._method else getattr(self._service, name)


@pytest.mark.parametrize("method", ["execute", "add_certificate"])
@pytest.mark.parametrize("failure", [StorageError("storage.failed", "no space"), InvalidBlock("block.height", "gap")])
def test_a_ledger_that_cannot_follow_a_decision_ends_the_node(method: str, failure: BaseException) -> None:
    """D4, D5"""
    node = Node(1)
    node.core.start()
    node.executor.service = _Failing(node.executor.service, method, failure)
    node.submit(node.transfer(1))
    assert node.fatal == [failure]
    assert node.certified == []


def test_a_failed_vote_log_ends_the_node_and_nothing_leaves() -> None:
    """D5"""
    node = Node()
    node.let_it_vote()
    node.links.sent.clear()
    node.disk.fail_sync = OSError(5, "Input/output error")
    node.submit(node.transfer(1))
    assert [type(error).__name__ for error in node.fatal] == ["JournalFailed"]
    assert node.links.sent == []


def test_a_block_that_synchronization_brought_first_executes_once_and_is_signed() -> None:
    """S15: the engine hears of the block although nobody executed its decision."""
    node = Node(1)
    node.core.start()
    node.executor.held = True
    node.submit(node.transfer(1))
    node.executor.one()
    method, arguments, answer = node.executor.waiting.popleft()
    assert method == "execute"
    first = node.executor.service.execute(*arguments)
    assert isinstance(first, BlockResult)
    node.executor.waiting.append((method, arguments, answer))
    node.executor.go_on()
    assert node.chain.height == 1
    assert node.core.engine_status().last_executed == 1


# --- starting


def test_a_node_goes_on_where_it_was() -> None:
    """R3"""
    node = Node(1)
    node.core.start()
    node.submit(node.transfer(1))
    node.core.stop()
    again = Node(1, disk=node.disk, store=node.store)
    again.core.start()
    assert again.submit(again.transfer(1))[0].known
    again.submit(again.transfer(2))
    assert (again.executed, again.certified, again.fatal) == ([2], [2], [])


def test_a_validator_without_its_vote_log_is_silent_and_says_why() -> None:
    """R7: it cannot know what it promised; it draws the number under which it will ask to vote again."""
    node = Node()
    node.let_it_vote()
    node.core.stop()
    extend(node.chain)
    again = Node(store=node.store)
    again.core.start()
    again.links.sent.clear()
    again.hear_status(1, 2, 3)
    again.submit(again.transfer(2))
    status = again.core.status()
    assert (status.engine.voting, status.engine.outdated) == (False, True)
    assert any("votes were lost" in sentence and "rejoin" in sentence for sentence in status.why)
    assert [kind for kind in kinds_sent(again) if kind != "status"] == []
    assert again.fatal == []


def test_the_silence_outlives_a_restart() -> None:
    """R7: otherwise the second start would find a log, and vote."""
    node = Node()
    extend(node.chain)
    first = Node(store=node.store)
    incarnation = first.core.epochs.incarnation
    assert incarnation > 0
    first.core.stop()
    second = Node(store=node.store, disk=first.disk)
    assert (second.core.epochs.incarnation, second.drawn) == (incarnation, 0)
    second.core.start()
    second.hear_status(1, 2, 3)
    assert second.core.engine_status().outdated


def test_a_ledger_older_than_the_vote_log_makes_a_validator_silent() -> None:
    """R6, R7: the ledger was lost or is a copy."""
    disk = Disk()
    journal = Journal(disk, Jobs(), lambda _: None, log_secret(seeded_key("validator", 0, "real")))
    journal.begin(0, 0, ())
    journal.rewrite([], 0, 7, 0, lambda: None)
    node = Node(disk=disk)
    node.core.start()
    node.hear_status(1, 2, 3)
    assert node.core.engine_status().outdated
    assert any("votes were lost" in sentence for sentence in node.core.status().why)


def test_a_damaged_vote_log_is_put_aside_and_the_validator_is_silent() -> None:
    """D1, R7: also beside an empty ledger, where a missing log would be the first one."""
    disk = Disk()
    journal = Journal(disk, Jobs(), lambda _: None, log_secret(seeded_key("validator", 0, "real")))
    journal.begin(0, 0, ())
    for record in (b"one", b"two"):
        journal.append(record)
        journal.sync(lambda: None)
    torn = bytearray(disk.durable[FILE_NAME])
    torn[100] ^= 1
    disk.replace(FILE_NAME, bytes(torn))
    node = Node(disk=disk)
    node.core.start()
    node.hear_status(1, 2, 3)
    assert disk.durable[DAMAGED_FILE_NAME] == bytes(torn)
    assert node.core.engine_status().outdated
    assert any("put aside" in sentence and "byte" in sentence for sentence in node.core.status().why)


def test_a_vote_log_of_another_key_is_not_touched() -> None:
    """Somebody put the wrong directory here: that is no loss, and nothing of it may be overwritten."""
    disk = Disk()
    journal = Journal(disk, Jobs(), lambda _: None, b"of another validator")
    journal.begin(0, 0, ())
    before = dict(disk.durable)
    with pytest.raises(JournalForeign) as caught:
        Node(disk=disk)
    assert caught.value.exit_code is ExitCode.STORAGE
    assert disk.durable == before


def test_a_vote_log_with_strange_records_is_damage_and_no_traceback() -> None:
    """D1"""
    disk = Disk()
    journal = Journal(disk, Jobs(), lambda _: None, log_secret(seeded_key("validator", 0, "real")))
    journal.begin(0, 0, ())
    journal.append(b"no record of ours")
    journal.sync(lambda: None)
    with pytest.raises(JournalDamaged) as caught:
        Node(1, disk=disk)
    assert caught.value.exit_code is ExitCode.STORAGE


def test_a_validator_that_lost_everything_is_silent_once_the_others_say_so() -> None:
    """R5: with nothing left it looks like a first start; the others know better, and after them its own log."""
    node = Node()
    node.core.start()
    node.hear_status(1, 2, seen=9)
    assert node.core.engine_status().outdated
    assert node.core.epochs.incarnation > 0
    node.core.stop()
    again = Node(disk=node.disk, store=node.store)
    again.core.start()
    again.hear_status(1, 2, 3)
    assert again.core.engine_status().outdated
    assert again.core.epochs.incarnation == node.core.epochs.incarnation


def test_a_started_validator_is_silent_until_a_quorum_has_spoken() -> None:
    """R6: its log may be an old copy, which only the others can tell."""
    node = Node()
    node.core.start()
    node.submit(node.transfer(1))
    node.hear_status(1)
    assert [kind for kind in kinds_sent(node) if kind != "status"] == []
    assert "waits for the Status" in node.core.engine_status().silent_because
    node.hear_status(2)
    assert node.core.engine_status().voting
    node.clock.advance(5_000)
    assert {"batch", "pre-prepare"} <= set(kinds_sent(node)), "what waited meanwhile goes its way"


def test_every_genesis_that_the_ledger_allows_suits_the_engine() -> None:
    """Otherwise a node would end with a traceback on a file that was checked."""
    hints = get_type_hints(Parameters, include_extras=True)
    for field in ("window", "proposal_bytes_max", "batches_per_proposal_max"):
        meta = next(item for item in get_args(hints[field])[1:] if isinstance(item, msgspec.Meta))
        low, high = ENGINE_RANGES[field]
        assert meta.ge is not None
        assert meta.le is not None
        assert low <= meta.ge, field
        assert meta.le <= high, field
