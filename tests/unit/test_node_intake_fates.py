"""What becomes of submitted transactions: taken, refused, marked, given back, expired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from node_core_kit import Clock, Executor

from ledger.block import Mark
from ledger.chain import Chain, ExecutedBlock
from ledger.errors import LedgerError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import network_id, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.modules.organizations.operations import OpenAccount
from ledger.parameters import LIFETIME_MS_MAX
from ledger.replay import BUCKET_MS
from ledger.state.store import MemoryStore
from ledger.transaction import build, transaction_id
from node import intake
from node.batcher import RETRY_MS, BatchLimits
from node.chain_service import ChainService
from node.intake import RATE_CODE, Admission, Intake
from node.pool import OWN_RESERVED, PoolLimits
from node.verifier import check_signatures
from primitives.codec import decode, encode
from primitives.identifiers import account_id
from primitives.keys import SigningKey
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
        self.held = False
        self.waiting: list[Callable[[], None]] = []

    def verify(self, transactions: Sequence[bytes], answer: Any) -> None:
        self.asked += transactions
        found = None if self.busy else check_signatures(transactions)
        self.waiting.append(lambda: answer(found))
        if not self.held:
            self.go_on()

    def go_on(self) -> None:
        waiting, self.waiting = self.waiting, []
        for answer in waiting:
            answer()


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


class Heard:
    """Submissions by name, and what became of each transaction."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.codes: dict[str, list[str]] = {}

    def submit(self, name: str, *transactions: bytes, own: bool = False) -> None:
        def done(admissions: list[Admission]) -> None:
            self.codes[name] = [each.code or ("known" if each.known else "taken") for each in admissions]

        self.counter.intake.submit(transactions, done, own=own)


def test_what_will_not_fit_is_not_verified_even_while_others_are() -> None:
    """N8: requests that were judged together share the room there is."""
    counter = Counter(PoolLimits(transactions_max=4))
    heard, verifier = Heard(counter), counter.verifier
    verifier.held = True
    heard.submit("three", *(transfer(salt, sender=salt) for salt in range(3)))
    heard.submit("two", transfer(3, sender=3), transfer(4, sender=4), b"junk")
    assert verifier.asked == [*(transfer(salt, sender=salt) for salt in range(3)), transfer(3, sender=3)]
    verifier.go_on()
    assert heard.codes == {"three": ["taken"] * 3, "two": ["taken", "pool.full", "transaction.malformed"]}
    assert len(counter.intake.pool) == 4
    heard.submit("flood", transfer(0), *(transfer(salt, sender=5) for salt in range(5, 9)))
    assert heard.codes["flood"] == ["known", *["pool.full"] * 4]
    assert len(verifier.asked) == 4


def test_bad_signatures_give_their_room_back() -> None:
    counter = Counter(PoolLimits(transactions_max=4))
    heard, verifier = Heard(counter), counter.verifier
    for _ in range(3):
        heard.submit("bad", *(with_bad_signature(transfer(salt, sender=salt)) for salt in range(4)))
        assert heard.codes["bad"] == ["transaction.bad_signature"] * 4
    assert len(verifier.asked) == 12
    heard.submit("good", transfer(9))
    assert heard.codes["good"] == ["taken"]


def test_what_executed_is_known_to_a_full_pool_too() -> None:
    """A client that sends again after a restart must not take a committed payment for a refused one."""
    counter = Counter(PoolLimits(transactions_max=1))
    counter.execute(transfer(1))
    counter.submit(transfer(2))
    assert [(each.code, each.known) for each in counter.submit(transfer(1), transfer(3))] == [
        ("", True),
        ("pool.full", False),
    ]


def test_no_more_is_judged_at_once_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """N8: while a large block executes, requests wait for the ledger; their number is bounded."""
    monkeypatch.setattr(intake, "JUDGING_MAX", 3)
    counter = Counter()
    heard, executor = Heard(counter), counter.executor
    executor.held = True
    heard.submit("two", transfer(1), transfer(2))
    heard.submit("too many", transfer(3), transfer(4))
    heard.submit("one", transfer(5))
    assert heard.codes == {"too many": ["pool.full"] * 2}
    executor.go_on()
    assert heard.codes == {"too many": ["pool.full"] * 2, "two": ["taken"] * 2, "one": ["taken"]}
    executor.held = False
    heard.submit("room", transfer(3), transfer(4))
    assert heard.codes["room"] == ["taken"] * 2


def test_a_flood_does_not_keep_out_what_this_validator_has_to_say() -> None:
    """N8: some room is for its own statements alone, and that is bounded too."""
    counter = Counter(PoolLimits(transactions_max=1))
    heard = Heard(counter)
    heard.submit("flood", transfer(1))
    heard.submit("late", transfer(2))
    own = [transfer(salt, sender=3) for salt in range(3, 3 + OWN_RESERVED + 1)]
    for number, transaction in enumerate(own):
        heard.submit(f"own {number}", transaction, own=True)
    assert heard.codes["late"] == ["pool.full"]
    assert [heard.codes[f"own {number}"] for number in range(len(own))] == [["taken"]] * OWN_RESERVED + [["pool.full"]]


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


# --- the rate of an organization

TWO_A_SECOND = PoolLimits(organization_transactions_per_second=2)


def codes(admissions: Sequence[Admission]) -> list[str]:
    return [admission.code for admission in admissions]


def test_an_organization_sends_at_its_rate_and_takes_no_room_of_others() -> None:
    counter = Counter(TWO_A_SECOND)
    flood = [transfer(salt) for salt in range(6)]
    assert codes(counter.submit(*flood)) == ["", "", "", "", RATE_CODE, RATE_CODE]
    assert len(counter.verifier.asked) == 4, "what the rate does not allow is not verified"
    assert codes(counter.submit(transfer(sender=1))) == [""]
    (refused,) = counter.submit(flood[4])
    assert GENESIS.accounts[0].organization in refused.message
    counter.clock.advance(499)
    assert codes(counter.submit(flood[4])) == [RATE_CODE]
    counter.clock.advance(1)
    assert codes(counter.submit(flood[4], flood[5])) == ["", RATE_CODE]


def _of(account: bytes, key: SigningKey) -> bytes:
    return build(
        network_id=NETWORK_ID,
        sender=account,
        key=key,
        operations=[Transfer(ACCOUNTS[1], 1)],
        expires_at_ms=START_MS + 60_000,
        salt=bytes(16),
    )


def test_more_accounts_bring_no_higher_rate() -> None:
    counter = Counter(TWO_A_SECOND)
    key, organization = seeded_key("account", 77), GENESIS.accounts[0].organization
    counter.execute(transfer(9, operations=[OpenAccount(key.public_key, bytes(16), "more")]))
    more = account_id(NETWORK_ID, organization, key.public_key, bytes(16))
    assert codes(counter.submit(*(transfer(salt) for salt in range(4)))) == [""] * 4
    assert codes(counter.submit(_of(more, key))) == [RATE_CODE]


def test_forged_and_known_transactions_count_against_nobody() -> None:
    """The attack: to use up a competitor's rate with transactions in its name."""
    counter = Counter(TWO_A_SECOND)
    forged = [with_bad_signature(transfer(salt)) for salt in range(100, 120)]
    for batch in (forged[:10], forged[10:]):
        assert set(codes(counter.submit(*batch))) <= {"transaction.bad_signature", "pool.full"}
    assert codes(counter.submit(transfer(0))) == [""]
    for _ in range(10):
        assert counter.submit(transfer(0))[0].known
    assert codes(counter.submit(*(transfer(salt) for salt in range(1, 4)))) == [""] * 3


def test_what_was_taken_before_and_own_statements_are_not_refused_for_the_rate() -> None:
    counter = Counter(TWO_A_SECOND)
    counter.submit(*(transfer(salt) for salt in range(4)))
    heard: list[list[Admission]] = []
    counter.intake.submit([transfer(5)], heard.append, own=True)
    counter.intake.on_released([transfer(6)])
    assert codes(heard[0]) == [""]
    assert {transaction_id(transfer(salt)) for salt in (5, 6)} <= set(counter.intake.pool._entries)
    assert codes(counter.submit(transfer(7))) == [RATE_CODE]


def test_without_a_rate_nobody_is_counted() -> None:
    counter = Counter()
    assert codes(counter.submit(*(transfer(salt) for salt in range(50)))) == [""] * 50
