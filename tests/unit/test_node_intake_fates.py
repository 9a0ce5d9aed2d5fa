"""What becomes of submitted transactions: taken, refused, marked, given back, expired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from node_core_kit import Clock, Executor

from ledger.block import Mark
from ledger.chain import Chain, ExecutedBlock
from ledger.errors import LedgerError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import network_id, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.parameters import LIFETIME_MS_MAX
from ledger.replay import BUCKET_MS
from ledger.state.store import MemoryStore
from ledger.transaction import build, transaction_id
from node.batcher import RETRY_MS, BatchLimits
from node.chain_service import ChainService
from node.intake import Admission, Intake
from node.pool import PoolLimits
from node.verifier import check_signatures
from primitives.codec import decode, encode
from simulation.cluster import make_genesis, seeded_key
from simulation.world import START_MS

GENESIS = make_genesis(4)
NETWORK_ID = network_id(GENESIS)
ACCOUNTS = [organization_account(NETWORK_ID, account) for account in GENESIS.accounts]


class Verifier:
    """Checks at once, unless it is busy; remembers what it was asked."""

    def __init__(self) -> None:
        self.busy = False
        self.asked: list[bytes] = []

    def verify(self, transactions: Sequence[bytes], answer: Any) -> None:
        self.asked += transactions
        answer(None if self.busy else check_signatures(transactions))


class Counter:
    """An intake over a real chain, and what it closed."""

    def __init__(self, pool: PoolLimits | None = None) -> None:
        self.clock = Clock(START_MS + 1_000)
        self.chain = Chain.open(MemoryStore(), GENESIS)
        self.executor = Executor(ChainService(self.chain))
        self.verifier = Verifier()
        self.closed: list[tuple[bytes, ...]] = []
        self.intake = Intake(
            self.clock, self.executor, self.verifier, pool or PoolLimits(), BatchLimits(), self.closed.append
        )

    def submit(self, *transactions: bytes) -> list[Admission]:
        heard: list[list[Admission]] = []
        self.intake.submit(transactions, heard.append)
        assert len(heard) == 1
        return heard[0]

    def execute(self, *transactions: bytes, timestamp_ms: int | None = None) -> tuple[ExecutedBlock, list[bytes]]:
        """Execute a block and tell the intake; return the ids that it dropped too."""
        proposal = DecidedProposal(0, self.clock.now_ms() if timestamp_ms is None else timestamp_ms)
        number = self.chain.height + 1
        block = self.chain.execute(number, proposal, [DecidedBatch(0, number, transactions)])
        return block, self.intake.on_executed(block)


def transfer(salt: int = 0, sender: int = 0, lifetime_ms: int = 60_000, **changes: Any) -> bytes:
    fields = {
        "network_id": NETWORK_ID,
        "sender": ACCOUNTS[sender],
        "key": seeded_key("account", sender),
        "operations": [Transfer(ACCOUNTS[sender + 1], 1)],
        "expires_at_ms": START_MS + 1_000 + lifetime_ms,
        "salt": salt.to_bytes(16, "big"),
    }
    return build(**(fields | changes))


def with_bad_signature(data: bytes) -> bytes:
    """Return the same transaction, by id, with a signature that does not hold."""
    body, _ = decode(data, tuple[bytes, bytes])  # type: ignore[arg-type]  # a generic alias is no type to mypy
    return encode((body, bytes(64)))


def test_a_good_transaction_is_taken_and_leaves_in_a_batch_at_once() -> None:
    counter, data = Counter(), transfer()
    assert counter.submit(data) == [Admission(transaction_id(data))]
    assert counter.closed == [(data,)]
    assert transaction_id(data) in counter.intake.pool


def test_each_of_many_has_its_own_answer_in_order() -> None:
    counter = Counter()
    good, twin = transfer(1), transfer(1)
    foreign = transfer(2, network_id=bytes(32))
    answers = counter.submit(good, b"junk", foreign, with_bad_signature(transfer(3)), twin, transfer(4, lifetime_ms=-1))
    assert [(answer.code, answer.known) for answer in answers] == [
        ("", False),
        (answers[1].code, False),
        ("transaction.wrong_network", False),
        ("transaction.bad_signature", False),
        ("", True),
        ("transaction.expired", False),
    ]
    assert answers[1].id == b""
    assert answers[1].code.startswith("transaction.")
    assert counter.closed == [(good,)]


def test_what_is_pending_or_executed_is_known_and_not_verified_again() -> None:
    counter, data = Counter(), transfer()
    counter.submit(data)
    assert counter.submit(data) == [Admission(transaction_id(data), known=True)]
    counter.execute(data)
    assert counter.submit(data) == [Admission(transaction_id(data), known=True)]
    assert counter.verifier.asked == [data]


def test_what_executed_long_ago_is_known_though_its_id_is_held_no_more() -> None:
    """It has expired meanwhile, like what never executed: only the disk tells them apart."""
    counter, data, never = Counter(), transfer(1), transfer(2)
    counter.execute(data)
    counter.clock.advance(LIFETIME_MS_MAX + 2 * BUCKET_MS)
    counter.execute()
    counter.execute(transfer(3, lifetime_ms=LIFETIME_MS_MAX + 3 * BUCKET_MS))
    answers = counter.submit(data, never)
    assert [(answer.known, answer.code) for answer in answers] == [(True, ""), (False, "transaction.expired")]


@pytest.mark.parametrize(
    ("limits", "busy", "code"),
    [(PoolLimits(transactions_max=1), False, "pool.full"), (PoolLimits(), True, "pool.full")],
)
def test_what_there_is_no_room_for_is_told_to_come_again(limits: PoolLimits, busy: bool, code: str) -> None:
    """A correct signature is never called bad because the verifier is busy."""
    counter = Counter(limits)
    counter.submit(transfer(1))
    counter.verifier.busy = busy
    assert counter.submit(transfer(2, sender=1))[0].code == code


def test_a_flood_is_refused_without_waiting_for_a_block() -> None:
    """N8: what is being judged counts towards the bound, and nothing is judged beyond it."""
    counter = Counter(PoolLimits(transactions_max=4))
    executor = counter.executor
    executor.held = True  # as while it executes a large block
    heard: dict[str, list[str]] = {}

    def submit(name: str, *transactions: bytes) -> None:
        def done(admissions: list[Admission]) -> None:
            heard[name] = [admission.code or ("known" if admission.known else "taken") for admission in admissions]

        counter.intake.submit(transactions, done)

    submit("three", *(transfer(salt, sender=salt) for salt in range(3)))
    submit("fits in part", transfer(3, sender=3), transfer(4), b"junk")
    submit("late", transfer(5), b"junk")
    assert heard == {"late": ["pool.full", "transaction.malformed"]}
    assert counter.verifier.asked == []
    executor.go_on()
    assert heard["three"] == ["taken"] * 3
    assert heard["fits in part"] == ["taken", "pool.full", "transaction.malformed"]
    submit("again", transfer(0), transfer(6))
    assert heard["again"] == ["known", "pool.full"]
    counter.execute(transfer(0))
    submit("room", transfer(7))
    executor.go_on()
    assert heard["room"] == ["taken"]
    assert len(counter.intake.pool) == 4


def test_a_ledger_that_refuses_to_judge_is_an_answer_too() -> None:
    class Busy:
        def admit(self, *_: Any) -> None:
            raise LedgerError("executor.busy", "later")

    counter = Counter()
    counter.executor.service = Busy()
    assert [answer.code for answer in counter.submit(transfer(1), transfer(2))] == ["executor.busy"] * 2


def test_an_executed_transaction_leaves_the_pool() -> None:
    counter, data = Counter(), transfer()
    counter.submit(data)
    _, dropped = counter.execute(data)
    assert dropped == []
    assert len(counter.intake.pool) == 0


def test_a_bad_copy_in_a_block_does_not_remove_the_good_one() -> None:
    """A validator that saw a transaction orders it with another signature, so that its sender gives up."""
    counter, data = Counter(), transfer()
    counter.submit(data)
    block, dropped = counter.execute(with_bad_signature(data))
    assert [outcome.mark for outcome in block.outcomes] == [Mark.BAD_SIGNATURE]
    assert dropped == []
    assert transaction_id(data) in counter.intake.pool
    block, _ = counter.execute(data)
    assert [outcome.mark for outcome in block.outcomes] == [Mark.EXECUTED]


def test_a_transaction_that_came_too_early_is_offered_again_later() -> None:
    """The primary's clock was behind; nothing is wrong with the transaction."""
    counter = Counter()
    data = transfer(lifetime_ms=120_000)
    counter.submit(data)
    block, dropped = counter.execute(data, timestamp_ms=counter.clock.now_ms() - 900)
    assert [outcome.mark for outcome in block.outcomes] == [Mark.TOO_EARLY]
    assert dropped == []
    counter.intake.poll()
    assert counter.closed == [(data,)]
    counter.clock.advance(RETRY_MS)
    assert counter.closed == [(data,), (data,)]


def test_an_expired_transaction_is_named_once_block_time_says_so() -> None:
    counter = Counter()
    data = transfer(lifetime_ms=5_000)
    counter.submit(data)
    counter.clock.advance(60_000)
    _, dropped = counter.execute(timestamp_ms=START_MS + 5_999)
    assert dropped == []
    _, dropped = counter.execute(timestamp_ms=START_MS + 6_000)
    assert dropped == [transaction_id(data)]
    assert len(counter.intake.pool) == 0


def test_a_batch_that_comes_back_is_kept_and_offered_again() -> None:
    counter = Counter()
    first, second = transfer(1), transfer(2)
    counter.submit(first, second)
    counter.intake.on_released(counter.closed.pop())
    assert len(counter.intake.pool) == 2
    counter.submit(transfer(3))
    assert counter.closed == [], "it would only come back"
    counter.clock.advance(RETRY_MS)
    assert counter.closed == [(first, second, transfer(3))]


def test_a_batch_of_an_earlier_life_is_taken_into_the_pool_again() -> None:
    """Its items were lost with the pool; one of them has executed meanwhile."""
    counter = Counter()
    lost, executed = transfer(1), transfer(2)
    counter.execute(executed)
    counter.intake.on_released((lost, executed, b"of an older program"))
    counter.clock.advance(RETRY_MS)
    assert counter.closed == [(lost,)]


def test_a_stopped_intake_closes_nothing() -> None:
    counter = Counter()
    counter.intake.on_released((transfer(1),))
    counter.intake.stop()
    counter.clock.advance(10 * RETRY_MS)
    assert counter.closed == []
