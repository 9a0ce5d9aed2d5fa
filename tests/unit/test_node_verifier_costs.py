"""Signatures: checked once in a node's life, by jobs of bounded number, and never for what has no room."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from node_core_kit import Clock, Executor

from consensus.messages import Batch
from ledger.chain import Chain
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import network_id, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.state.store import MemoryStore
from ledger.transaction import DecodedTransaction, build
from node import batch_verdicts, verifier
from node.batch_verdicts import BatchVerdicts
from node.batcher import BatchLimits
from node.chain_service import ChainService
from node.intake import Admission, Intake
from node.pool import PoolLimits
from node.verifier import PART_TRANSACTIONS, ThreadVerifier, check_signatures
from primitives.list_root import list_root
from simulation.cluster import make_genesis, seeded_key
from simulation.world import START_MS

GENESIS = make_genesis(4)
NETWORK_ID = network_id(GENESIS)
ACCOUNTS = [organization_account(NETWORK_ID, account) for account in GENESIS.accounts]
WAIT_S = 60


def transfer(salt: int, key: int = 0) -> bytes:
    return build(
        network_id=NETWORK_ID,
        sender=ACCOUNTS[0],
        key=seeded_key("account", key),
        operations=[Transfer(ACCOUNTS[1], 1)],
        expires_at_ms=START_MS + 60_000,
        salt=salt.to_bytes(16, "big"),
    )


def spoiled(transaction: bytes) -> bytes:
    """Return the same transaction with another signature."""
    return transaction[:-1] + bytes([transaction[-1] ^ 1])


class SlowVerifier:
    """Answers when told to; counts."""

    def __init__(self) -> None:
        self.checked: list[bytes] = []
        self.waiting: list[Callable[[], None]] = []

    def verify(self, transactions: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
        self.checked += transactions
        found = check_signatures(transactions)
        self.waiting.append(lambda: answer(found))

    def go_on(self) -> None:
        waiting, self.waiting = self.waiting, []
        for answer in waiting:
            answer()


class Desk:
    def __init__(self, limits: PoolLimits | None = None) -> None:
        self.chain = Chain.open(MemoryStore(), GENESIS)
        self.executor = Executor(ChainService(self.chain))
        self.verifier = SlowVerifier()
        self.intake = Intake(
            Clock(START_MS), self.executor, self.verifier, limits or PoolLimits(), BatchLimits(), lambda _: None
        )
        self.heard: list[list[str]] = []

    def submit(self, *transactions: bytes) -> None:
        def done(admissions: list[Admission]) -> None:
            self.heard.append([admission.code or ("known" if admission.known else "") for admission in admissions])

        self.intake.submit(transactions, done)


def test_a_transaction_twice_in_one_submission_is_checked_once() -> None:
    """N8"""
    desk = Desk()
    desk.submit(transfer(1), transfer(1), transfer(2))
    desk.verifier.go_on()
    assert desk.verifier.checked == [transfer(1), transfer(2)]
    assert desk.heard == [["", "known", ""]]


def test_a_bad_signature_beside_the_good_one_is_told_apart_whatever_comes_first() -> None:
    """A7: the id does not cover the signature."""
    for first, second in ((transfer(1), spoiled(transfer(1))), (spoiled(transfer(1)), transfer(1))):
        desk = Desk()
        desk.submit(first, second)
        desk.verifier.go_on()
        codes = dict(zip((first, second), desk.heard[0], strict=True))
        assert codes[transfer(1)] == ""
        assert codes[spoiled(transfer(1))] in ("transaction.bad_signature", "known")


def test_what_there_is_no_room_for_is_not_checked() -> None:
    """N8: a full pool costs a flood's sender more than it costs us."""
    desk = Desk(PoolLimits(transactions_max=4))
    desk.submit(transfer(1))
    desk.verifier.go_on()
    desk.submit(*(transfer(salt) for salt in range(2, 20)))
    assert desk.heard[1] == ["pool.sender_full"] * 18
    assert len(desk.verifier.checked) == 1


def test_two_submissions_of_one_transaction_at_once_take_it_once() -> None:
    desk = Desk()
    desk.submit(transfer(1))
    desk.submit(transfer(1))
    desk.verifier.go_on()
    assert desk.heard == [[""], ["known"]]
    assert len(desk.intake.pool) == 1


def test_what_left_the_pool_while_others_were_checked_is_not_called_bad() -> None:
    """It was pending when it was judged; to come again is right, to give up is not."""
    desk = Desk()
    desk.submit(transfer(1))
    desk.verifier.go_on()
    desk.submit(transfer(1), transfer(2))
    for identifier in list(desk.intake.pool._entries):
        desk.intake.pool.remove(identifier)
    desk.verifier.go_on()
    assert desk.heard[1] == ["pool.full", ""]


# --- batches


def batch(*items: bytes, number: int = 1, author: int = 1) -> Batch:
    return Batch(0, author, 0, number, list_root(items), items, bytes(64))


class Checks:
    """The verdicts of batches, and what was made of them."""

    def __init__(self) -> None:
        self.verifier = SlowVerifier()
        self.verdicts = BatchVerdicts(self.verifier)
        self.changes = 0

    def take(self, *batches: Batch) -> list[bytes] | None:
        def changed() -> None:
            self.changes += 1

        return self.verdicts.take(batches, changed)


def test_a_batch_is_checked_when_it_is_held_and_its_verdicts_go_with_the_decision() -> None:
    checks, held = Checks(), batch(transfer(1), spoiled(transfer(2)), b"rubbish")
    checks.verdicts.on_held(held, checked=False)
    checks.verdicts.on_held(held, checked=False)
    assert checks.take(held) is None
    checks.verifier.go_on()
    assert checks.changes == 1
    assert checks.take(held) == [b"\x01\x00\x00"]
    assert checks.verifier.checked == list(held.items)


def test_a_batch_of_our_own_was_checked_when_its_transactions_came() -> None:
    checks, own, empty = Checks(), batch(transfer(1)), batch(number=2)
    checks.verdicts.on_held(own, checked=True)
    checks.verdicts.on_held(empty, checked=False)
    assert checks.take(own, empty) == [b"\x01", b""]
    assert checks.verifier.checked == []


def test_of_batches_of_an_earlier_life_nothing_is_known() -> None:
    assert Checks().take(batch(transfer(1))) == [b""]


def test_a_busy_verifier_leaves_a_batch_to_the_executor() -> None:
    class Busy:
        def verify(self, _: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
            answer(None)

    verdicts = BatchVerdicts(Busy())
    verdicts.on_held(batch(transfer(1)), checked=False)
    assert verdicts.take([batch(transfer(1))], lambda: None) == [b""]


def test_verdicts_of_batches_are_bounded_and_who_waits_for_a_forgotten_one_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_verdicts, "BATCHES_MAX", 2)
    checks = Checks()
    batches = [batch(transfer(number), number=number) for number in range(1, 4)]
    checks.verdicts.on_held(batches[0], checked=False)
    assert checks.take(batches[0]) is None
    checks.verdicts.on_held(batches[1], checked=False)
    checks.verdicts.on_held(batches[2], checked=False)
    assert checks.changes == 1
    checks.verifier.go_on()
    assert checks.take(*batches) == [b"", b"\x01", b"\x01"]


def test_a_block_checks_no_signature_that_is_known_to_be_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in a node's life: a verdict goes with the decision to the ledger."""
    desk = Desk()
    calls: list[bytes] = []

    def counted(transaction: DecodedTransaction) -> bool:
        calls.append(transaction.data)
        return True

    monkeypatch.setattr(DecodedTransaction, "verify", counted)
    batches = [DecidedBatch(0, 1, (transfer(1), transfer(2)), b"\x01\x00")]
    desk.executor.service.execute(1, DecidedProposal(0, START_MS), batches)
    assert calls == [transfer(2)]


# --- the thread


class Post:
    def __init__(self) -> None:
        self.callbacks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __call__(self, callback: Callable[[], None]) -> None:
        self.callbacks.put(callback)

    def wait(self, holds: Callable[[], Any]) -> None:
        while not holds():
            self.callbacks.get(timeout=WAIT_S)()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold the thread back until it is set."""
    event = threading.Event()

    def check(transactions: Sequence[bytes]) -> list[bool]:
        assert event.wait(WAIT_S)
        return check_signatures(transactions)

    monkeypatch.setattr(verifier, "check_signatures", check)
    yield event
    event.set()


def test_many_are_checked_in_small_parts_and_answered_together_in_order() -> None:
    post = Post()
    thread = ThreadVerifier(post)
    items = [transfer(salt) if salt % 3 else spoiled(transfer(salt)) for salt in range(2 * PART_TRANSACTIONS + 5)]
    answers: list[list[bool] | None] = []
    thread.verify([*items, b"no transaction"], answers.append)
    post.wait(lambda: answers)
    thread.stop()
    assert answers == [[bool(salt % 3) for salt in range(len(items))] + [False]]


def test_nothing_to_check_is_answered() -> None:
    post = Post()
    thread = ThreadVerifier(post)
    answers: list[list[bool] | None] = []
    thread.verify([], answers.append)
    post.wait(lambda: answers)
    thread.stop()
    assert answers == [[]]


def test_a_full_queue_says_so_and_calls_no_signature_bad(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I13: what waits is counted in transactions, whatever the size of the jobs."""
    monkeypatch.setattr(verifier, "WAITING_MAX", 1_000)
    post = Post()
    thread = ThreadVerifier(post)
    answers: list[list[bool] | None] = []
    for _ in range(3):
        thread.verify([b"x"] * 500, answers.append)
    post.wait(lambda: answers)
    assert answers == [None]
    assert thread.waiting == 1_000
    gate.set()
    post.wait(lambda: len(answers) == 3)
    assert thread.waiting == 0
    thread.stop()
    assert answers[1:] == [[False] * 500] * 2


def stop_and_release(thread: ThreadVerifier, gate: threading.Event) -> None:
    """Stop a verifier that is in the middle of a part, and let it finish that."""
    stopping = threading.Thread(target=thread.stop)
    stopping.start()
    while not thread.stopped:
        pass
    gate.set()
    stopping.join(WAIT_S)
    assert not stopping.is_alive()


def test_a_stop_does_not_wait_for_the_end_of_a_large_job(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[int] = []
    inner = verifier.check_signatures
    monkeypatch.setattr(verifier, "check_signatures", lambda part: checked.append(len(part)) or inner(part))
    post = Post()
    thread = ThreadVerifier(post)
    thread.verify([b"x"] * (100 * PART_TRANSACTIONS), lambda _: None)
    stop_and_release(thread, gate)
    assert len(checked) <= 1
    assert post.callbacks.empty()


def test_a_stop_does_not_check_what_waits(gate: threading.Event) -> None:
    post = Post()
    thread = ThreadVerifier(post)
    answers: list[list[bool] | None] = []
    for _ in range(100):
        thread.verify([transfer(1)], answers.append)
    stop_and_release(thread, gate)
    while not post.callbacks.empty():
        post.callbacks.get()()
    assert len(answers) <= 1
