"""The wired node: what it makes of payloads, answers and failures, at whatever moment they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from node_core_kit import Clock, Disk, Executor, Jobs, Links

from consensus.evidence import Evidence
from consensus.messages import BatchRequest, decode_message, encode_message
from consensus.pbft.configuration import _RANGES as ENGINE_RANGES
from consensus.pbft.configuration import Configuration as EngineConfiguration
from ledger.chain import Chain, ExecutedBlock
from ledger.errors import InvalidBlock, StorageError
from ledger.genesis import Genesis, network_id, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.parameters import Parameters
from ledger.state.store import MemoryStore
from ledger.transaction import build
from node.chain_service import BlockResult, ChainService
from node.core import CoreConfiguration, NodeCore
from node.engine_setup import log_secret
from node.failures import ExitCode, NodeFailure
from node.intake import Admission
from node.journal import Journal, JournalDamaged
from node.ports import Ports
from node.verifier import InlineVerifier
from node.wire import BlocksRequest, encode_sync
from p2p.channels import Channel
from simulation.cluster import make_genesis, seeded_key
from simulation.world import START_MS

QUIET = EngineConfiguration(status_period_ms=60_000)


class Node:
    """One node of a network of `n`, without the others: its surroundings do what a test says."""

    def __init__(self, n: int = 4, *, disk: Disk | None = None, store: MemoryStore | None = None) -> None:
        self.genesis: Genesis = make_genesis(n)
        self.names = [validator.node_id for validator in self.genesis.validators]
        self.clock, self.disk, self.jobs = Clock(START_MS), disk or Disk(), Jobs()
        self.links = Links(*self.names[1:])
        self.store = store or MemoryStore()
        self.chain = Chain.open(self.store, self.genesis)
        self.executor = Executor(ChainService(self.chain))
        self.fatal: list[BaseException] = []
        self.executed: list[int] = []
        self.certified: list[int] = []
        self.core = NodeCore(
            CoreConfiguration(engine=QUIET),
            self.genesis,
            self.names[0],
            seeded_key("validator", 0),
            head=self.executor.service.head(),
            stable=self.chain.certificate(self.chain.certified_height),
            ports=Ports(self.clock, self.disk, self.jobs, self.links, self.executor, InlineVerifier()),
            on_fatal=self.fatal.append,
        )
        self.core.subscribe(self)

    def on_executed(self, block: ExecutedBlock) -> None:
        self.executed.append(block.header.height)

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:
        self.certified += [height] if blocks else []

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        """Nothing is awaited here."""

    def on_evidence(self, evidence: Evidence) -> None:
        """Counted by the core itself."""

    def transfer(self, salt: int) -> bytes:
        identifier = network_id(self.genesis)
        accounts = [organization_account(identifier, account) for account in self.genesis.accounts]
        return build(
            network_id=identifier,
            sender=accounts[0],
            key=seeded_key("account", 0),
            operations=[Transfer(accounts[1], 1)],
            expires_at_ms=self.clock.now_ms() + 60_000,
            salt=salt.to_bytes(16, "big"),
        )

    def submit(self, *transactions: bytes) -> list[Admission]:
        heard: list[Admission] = []
        self.core.submit(transactions, heard.extend)
        return heard


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
    node.core.start()
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
    node.core.start()
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


def test_a_validator_without_its_vote_log_does_not_start() -> None:
    """R7"""
    node = Node(1)
    node.core.start()
    node.submit(node.transfer(1))
    with pytest.raises(NodeFailure, match="no vote log"):
        Node(1, store=node.store)


def test_a_ledger_older_than_the_vote_log_does_not_start() -> None:
    """R6, R7: the ledger was lost or is a copy."""
    disk = Disk()
    journal = Journal(disk, Jobs(), lambda _: None, log_secret(seeded_key("validator", 0)))
    journal.rewrite([], 7, lambda: None)
    with pytest.raises(NodeFailure, match="truncated when the ledger had 7"):
        Node(1, disk=disk)


def test_a_vote_log_with_strange_records_is_damage_and_no_traceback() -> None:
    """D1"""
    disk = Disk()
    journal = Journal(disk, Jobs(), lambda _: None, log_secret(seeded_key("validator", 0)))
    journal.append(b"no record of ours")
    journal.sync(lambda: None)
    with pytest.raises(JournalDamaged) as caught:
        Node(1, disk=disk)
    assert caught.value.exit_code is ExitCode.STORAGE


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
