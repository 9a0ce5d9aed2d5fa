"""What a validator says in its own name: ready, rejoin, evidence; again as long as the ledger shows no effect."""

from __future__ import annotations

from typing import Any

import pytest
from epochs_kit import Consortium, add, key, make_genesis, node
from node_core_kit import Clock, Executor

from consensus.evidence import Evidence, build_evidence
from consensus.messages import Prepare, PreparedCertificate, PrePrepare, Proposal, ViewChange, sign
from ledger.errors import StorageError
from ledger.modules.validators.operations import EVIDENCE_BYTES_MAX, Ready, Rejoin, ReportEvidence
from ledger.transaction import decode_transaction
from node.chain_service import ChainService
from node.duties import AGAIN_MS, EVIDENCE_TIMES_MAX, EVIDENCE_WAITING_MAX, PERIOD_MS, Duties
from node.evidence_judge import ConsensusJudge
from primitives.codec import encode

LIFETIME_MS = 30_000


class Post:
    """The duties of the validator `name` over a consortium's chain, and what they said."""

    def __init__(self, name: str = "v0", world: Consortium | None = None) -> None:
        self.world = world or Consortium(judge=ConsensusJudge())
        self.clock = Clock(self.world.now_ms)
        self.executor = Executor(ChainService(self.world.chain))
        self.said: list[bytes] = []
        self.duties = Duties(
            self.clock,
            self.executor,
            self.world.network_id,
            node(name),
            key(name),
            lambda: LIFETIME_MS,
            self.said.append,
            lambda: self.clock.now_ms() + 1_000,
        )
        self.duties.caught_up = True
        self.duties.start()

    def after(self, duration_ms: int) -> list[Any]:
        """The operations that were said in the next time."""
        before = len(self.said)
        self.clock.advance(duration_ms)
        return [decode_transaction(data).body.operations[0] for data in self.said[before:]]

    def execute(self, data: bytes) -> str:
        self.world.now_ms = max(self.world.now_ms, self.clock.now_ms())
        return self.world.code(data)

    def calls(self) -> int:
        return len(self.executor.calls)


def evidence(world: Consortium, culprit: int, number: int, epoch: int = 0) -> Evidence:
    """Two prepares of one member for one sequence, different for each number."""
    votes = [
        sign(
            world.network_id,
            key(f"v{culprit}"),
            Prepare(epoch, culprit, 1, number, 1, bytes([side]) * 32, bytes(64)),
        )
        for side in (1, 2)
    ]
    return build_evidence(votes[0], votes[1])


def test_a_validator_with_nothing_to_say_does_not_ask_the_ledger() -> None:
    post = Post()
    assert post.after(60_000) == []
    assert post.calls() == 0


# --- ready


def candidate() -> Post:
    world = Consortium(make_genesis(4, 5))
    world.approve(add("n0", "org-4"))
    world.chain.add_certificate(world.certify(world.chain.height - 1))
    post = Post("n0", world)
    post.duties.may_vote = False
    return post


def test_a_candidate_names_the_highest_certified_block_and_the_ledger_takes_it() -> None:
    """G3: it states what it has followed; a head that is not certified may not be the chain's."""
    post = candidate()
    (ready,) = post.after(PERIOD_MS)
    height = post.world.chain.certified_height
    assert ready == Ready(height, post.executor.service.block_hash(height))
    assert height == post.world.chain.height - 1
    assert post.execute(post.said[0]) == ""
    assert post.after(3 * AGAIN_MS) == [], "the ledger shows that it is ready"


def test_ready_is_said_again_while_the_ledger_does_not_show_it() -> None:
    """Any transaction may be lost. Each time it is another one, else the pools would call it known."""
    post = candidate()
    assert len(post.after(PERIOD_MS)) == 1
    assert post.after(AGAIN_MS - PERIOD_MS) == []
    assert len(post.after(PERIOD_MS)) == 1
    post.after(AGAIN_MS)
    assert len({decode_transaction(data).id for data in post.said}) == 3


def test_a_candidate_that_has_not_caught_up_waits() -> None:
    post = candidate()
    post.duties.caught_up = False
    assert post.after(2 * AGAIN_MS) == []
    post.duties.caught_up = True
    assert len(post.after(PERIOD_MS)) == 1


def test_what_is_said_expires_by_block_time() -> None:
    post = candidate()
    post.after(PERIOD_MS)
    body = decode_transaction(post.said[0]).body
    assert body.expires_at_ms == post.clock.now_ms() + 1_000 + LIFETIME_MS
    assert body.signer == key("n0").public_key


def test_a_stranger_says_nothing() -> None:
    """A key that the ledger has never heard of has no account to speak for."""
    post = Post("n7")
    post.duties.may_vote = False
    post.duties.incarnation = 5
    assert post.after(2 * AGAIN_MS) == []
    assert post.duties.standing is not None
    assert (post.duties.standing.is_member, post.duties.standing.account) == (False, b"")


# --- rejoin


def amnesiac(world: Consortium | None = None) -> Post:
    post = Post("v1", world)
    post.duties.may_vote, post.duties.incarnation = False, 77
    return post


def test_an_amnesiac_asks_for_its_number_until_the_ledger_has_noted_it() -> None:
    """R5"""
    post = amnesiac()
    assert post.after(PERIOD_MS) == [Rejoin(77)]
    assert post.after(2 * AGAIN_MS) == [Rejoin(77)] * 2
    assert post.execute(post.said[-1]) == ""
    assert post.after(3 * AGAIN_MS) == [], "noted for the next epoch"
    post.world.turn()
    assert post.after(3 * AGAIN_MS) == [], "and in force"


def test_an_amnesiac_that_another_one_came_before_asks_again_in_the_next_epoch() -> None:
    """R5: one at a time."""
    world = Consortium()
    post = amnesiac(world)
    post.after(PERIOD_MS)
    assert world.code(world.rejoin("v2", 5)) == ""
    assert post.execute(post.said[0]) == "validators.rejoin_pending"
    world.turn()
    assert post.after(AGAIN_MS) == [Rejoin(77)]
    assert post.execute(post.said[-1]) == ""


def test_a_number_that_another_life_asked_for_is_not_ours() -> None:
    """R6: the directory was lost once more before the epoch came."""
    post = amnesiac()
    assert post.execute(post.world.rejoin("v1", 66)) == ""
    assert post.after(PERIOD_MS) == [Rejoin(77)]


def test_an_amnesiac_that_has_not_caught_up_waits() -> None:
    """Its ledger may be of long ago: it may have been removed, or rejoined already."""
    post = amnesiac()
    post.duties.caught_up = False
    assert post.after(2 * AGAIN_MS) == []


@pytest.mark.parametrize("incarnation", [0, 5])
def test_without_need_nobody_rejoins(incarnation: int) -> None:
    """A rejoin ends the epoch for everyone."""
    world = Consortium()
    if incarnation:
        world.execute(world.rejoin("v1", incarnation))
        world.turn()
    post = Post("v1", world)
    post.duties.may_vote, post.duties.incarnation = False, incarnation
    assert post.after(3 * AGAIN_MS) == []


# --- evidence


def test_evidence_is_reported_until_the_ledger_records_it() -> None:
    """S18"""
    post = Post()
    found = evidence(post.world, 2, 1)
    post.duties.on_evidence(found)
    post.duties.on_evidence(found)
    assert post.after(PERIOD_MS) == [ReportEvidence(encode(found))]
    assert post.after(AGAIN_MS - PERIOD_MS) == []
    assert len(post.after(PERIOD_MS)) == 1, "the first may be lost"
    assert post.execute(post.said[-1]) == ""
    assert post.after(3 * AGAIN_MS) == []
    before = post.calls()
    post.clock.advance(60_000)
    assert post.calls() == before


def test_evidence_that_another_validator_brought_is_not_reported() -> None:
    """All who saw it find the same: one record is enough."""
    post = Post()
    found = evidence(post.world, 2, 1)
    assert post.execute(post.world.by_validator("v3", ReportEvidence(encode(found)))) == ""
    post.duties.on_evidence(found)
    assert post.after(3 * AGAIN_MS) == []


def test_of_much_evidence_against_one_the_ledger_takes_enough() -> None:
    post = Post()
    for number in range(12):
        post.duties.on_evidence(evidence(post.world, 2, number))
    codes = []
    for _ in range(40):
        before = len(post.said)
        post.clock.advance(PERIOD_MS)
        codes += [post.execute(data) for data in post.said[before:]]
    assert codes == [""] * 8
    assert post.after(60_000) == []


def test_pieces_of_evidence_do_not_wait_for_each_other() -> None:
    post = Post()
    pieces = [evidence(post.world, culprit, 1) for culprit in (1, 2, 3)]
    for piece in pieces:
        post.duties.on_evidence(piece)
    assert post.after(3 * PERIOD_MS) == [ReportEvidence(encode(piece)) for piece in pieces]


def test_evidence_that_the_ledger_never_takes_is_given_up() -> None:
    """It stays in this node's logs; nobody can make a validator repeat itself for ever."""
    post = Post()
    post.duties.on_evidence(evidence(post.world, 2, 1))
    assert len(post.after(20 * AGAIN_MS)) == EVIDENCE_TIMES_MAX
    before = post.calls()
    post.clock.advance(60_000)
    assert post.calls() == before


def test_evidence_too_large_for_a_transaction_is_kept_out() -> None:
    world = Consortium(judge=ConsensusJudge())
    post = Post("v0", world)
    batches = tuple(index.to_bytes(32, "big") for index in range(1_024))
    proposal = PrePrepare(0, 2, 1, 0, 1, Proposal(2, 1, batches), bytes(64))
    prepared = PreparedCertificate(proposal, ())
    wishes = [
        sign(world.network_id, key("v2"), ViewChange(0, 2, position, 1, None, (prepared,), bytes(64)))
        for position in (1, 2)
    ]
    large = build_evidence(wishes[0], wishes[1])
    assert len(encode(large)) > EVIDENCE_BYTES_MAX
    post.duties.on_evidence(large)
    assert post.after(2 * AGAIN_MS) == []


def test_the_oldest_evidence_makes_room() -> None:
    """N8: a member that contradicts itself all the time fills no memory."""
    post = Post()
    pieces = [evidence(post.world, 2, number) for number in range(EVIDENCE_WAITING_MAX + 1)]
    for piece in pieces:
        post.duties.on_evidence(piece)
    assert post.after(PERIOD_MS) == [ReportEvidence(encode(pieces[1]))]


def test_evidence_of_an_epoch_that_has_ended_still_counts() -> None:
    """S18: a removed member answers for what it signed as a member."""
    world = Consortium(judge=ConsensusJudge())
    post = Post("v0", world)
    found = evidence(world, 2, 1)
    world.execute(world.rejoin("v1", 5))
    world.turn()
    post.duties.on_evidence(found)
    post.after(PERIOD_MS)
    assert post.execute(post.said[0]) == ""
    assert post.after(2 * AGAIN_MS) == []


def test_whoever_is_no_member_reports_nothing() -> None:
    post = candidate()
    post.duties.may_vote = True
    post.duties.on_evidence(evidence(post.world, 2, 1))
    operations = post.after(AGAIN_MS)
    assert [type(operation) for operation in operations] == [Ready]


# --- time and failures


def test_a_failing_ledger_is_asked_again() -> None:
    post = amnesiac()
    service = post.executor.service

    class Failing:
        def __getattr__(self, name: str) -> Any:
            def fail(*_: Any) -> None:
                raise StorageError("storage.failed", "no space")

            return fail

    post.executor.service = Failing()
    post.duties.on_evidence(evidence(post.world, 2, 1))
    assert post.after(3 * PERIOD_MS) == []
    post.executor.service = service
    assert Rejoin(77) in post.after(PERIOD_MS)


def test_after_the_stop_nothing_is_said() -> None:
    post = amnesiac()
    post.duties.on_evidence(evidence(post.world, 2, 1))
    post.executor.held = True
    post.clock.advance(PERIOD_MS)
    post.duties.stop()
    post.executor.go_on()
    post.clock.advance(60_000)
    assert (post.said, post.clock.timers) == ([], 0)


def test_a_wall_clock_set_back_puts_nothing_off() -> None:
    post = amnesiac()
    post.after(PERIOD_MS)
    post.clock.set_by_ms = -3_600_000
    assert post.after(PERIOD_MS) == [Rejoin(77)]
