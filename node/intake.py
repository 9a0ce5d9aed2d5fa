"""From submitted bytes to closed batches: judging, verifying, the pool and the batcher."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from ledger.block import Mark
from ledger.chain import ExecutedBlock
from ledger.errors import InvalidTransaction
from ledger.genesis import ORGANIZATIONS_MAX
from ledger.transaction import transaction_id
from node.batch_verdicts import BatchVerdicts
from node.batcher import Batcher, BatchLimits
from node.chain_service import Verdict
from node.pool import Entry, Pool, PoolLimits
from node.ports import Clock, ExecutorPort, VerifierPort
from node.token_buckets import TokenBuckets

RESUBMITTED_AT_ONCE: Final = 1_000
"""Transactions in one request to the ledger when a batch of an earlier life comes back."""

JUDGING_MAX: Final = 65_536
"""Transactions that the ledger is asked about at once, under a second's work; with so many, more are refused unseen."""
FULL_MESSAGE: Final = "too many transactions wait; try again later"
RATE_CODE: Final = "pool.organization_rate"

FINAL_MARKS: Final = frozenset({Mark.EXECUTED, Mark.DUPLICATE})
"""A transaction with one of these has a receipt, in this block or an earlier one."""


class Admission(msgspec.Struct, frozen=True):
    """What became of one submitted transaction."""

    id: bytes
    """Empty when the bytes are no transaction."""
    code: str = ""
    """Empty: it was taken, or is known."""
    message: str = ""
    known: bool = False
    """It was in the pool, or had executed."""


Done = Callable[[list[Admission]], None]


class Intake:
    """Pending transactions of this node, and the batches that they become."""

    def __init__(
        self,
        clock: Clock,
        executor: ExecutorPort,
        verifier: VerifierPort,
        pool: PoolLimits,
        batches: BatchLimits,
        close: Callable[[tuple[bytes, ...]], None],
    ) -> None:
        """`close` gets the items of every batch."""
        self.pool = Pool(pool)
        per_second = pool.organization_transactions_per_second
        self._rates = TokenBuckets(per_second, ORGANIZATIONS_MAX) if per_second else None
        self._clock = clock
        self._executor = executor
        self._verifier = verifier
        self.batch_verdicts = BatchVerdicts(verifier)
        self._batcher = Batcher(clock, self.pool, batches, close)
        self._judging = 0
        """Transactions that the ledger is asked about."""
        self._verifying = 0
        """Transactions whose signatures are being checked: they have their room in the pool already."""

    def submit(self, transactions: Sequence[bytes], done: Done, *, own: bool = False, again: bool = False) -> None:
        """Judge, verify and take transactions; `done` hears what became of each, in order.

        `own` says that they are this validator's statements, for which the pool keeps some room; `again`, that they
        were taken before. Neither counts against an organization's rate.
        """
        rates = None if own or again else self._rates
        data = list(transactions)
        if self._judging + len(data) > JUDGING_MAX:
            done([Admission(b"", "pool.full", FULL_MESSAGE) for _ in data])
            return
        self._judging += len(data)

        def judged(verdicts: Any, error: BaseException | None) -> None:
            self._judging -= len(data)
            if error is not None:
                code, text = getattr(error, "code", "executor.failed"), str(error)
                done([Admission(b"", code, text) for _ in data])
                return
            self._verify(data, verdicts, done, rates, own=own)

        self._executor.call("admit", (data, self._clock.now_ms()), judged)

    def _verify(
        self, data: list[bytes], verdicts: Sequence[Verdict], done: Done, rates: TokenBuckets | None, *, own: bool
    ) -> None:
        to_verify = self._worth_verifying(data, verdicts, rates, own=own)
        self._verifying += len(to_verify)

        def verified(found: list[bool] | None) -> None:
            self._verifying -= len(to_verify)
            signatures = None if found is None else dict(zip(to_verify, found, strict=True))
            admissions = [
                self._take(transaction, verdict, signatures, rates, own=own)
                for transaction, verdict in zip(data, verdicts, strict=True)
            ]
            self._batcher.poll()
            done(admissions)

        if to_verify:
            self._verifier.verify(to_verify, verified)
        else:
            verified([])

    def _worth_verifying(
        self, data: list[bytes], verdicts: Sequence[Verdict], rates: TokenBuckets | None, *, own: bool
    ) -> list[bytes]:
        """Return what there will be room for if all signatures hold: a flood's signatures are not checked in vain."""
        found: dict[bytes, None] = {}
        counted: Counter[str] = Counter()
        now_s = self._clock.now_ms() / 1000
        room = self.pool.room(own=own) - self._verifying
        for transaction, verdict in zip(data, verdicts, strict=True):
            if len(found) >= room:
                break
            if (
                verdict.signed
                and not verdict.code
                and not verdict.known
                and verdict.id not in self.pool
                and not self.pool.refusal(verdict.sender, len(transaction), own=own)
                and (rates is None or counted[verdict.organization] < rates.left(verdict.organization, now_s))
                and transaction not in found
            ):
                found[transaction] = None
                counted[verdict.organization] += 1
        return list(found)

    def _take(
        self,
        transaction: bytes,
        verdict: Verdict,
        signatures: dict[bytes, bool] | None,
        rates: TokenBuckets | None,
        *,
        own: bool,
    ) -> Admission:
        if verdict.code:
            return Admission(verdict.id, verdict.code, verdict.message)
        if verdict.known or verdict.id in self.pool:
            return Admission(verdict.id, known=True)
        entry = Entry(transaction, verdict.sender, verdict.expires_at_ms)
        if not verdict.signed:
            code = self.pool.add(verdict.id, entry, own=own)
        elif signatures is None:
            return Admission(verdict.id, "pool.full", "too many signatures wait to be checked; try again later")
        elif transaction not in signatures:  # there was no room for it when the others went to be checked
            code = self.pool.refusal(verdict.sender, len(transaction), own=own) or self._short_of(verdict, rates)
        elif not signatures[transaction]:
            return Admission(verdict.id, "transaction.bad_signature", "the signature does not verify")
        else:
            code = self.pool.refusal(verdict.sender, len(transaction), own=own)
            # Counted behind the signature: nobody uses up another organization's rate by forging.
            if not code and rates is not None and not rates.take(verdict.organization, self._clock.now_ms() / 1000):
                code = RATE_CODE
            code = code or self.pool.add(verdict.id, entry, own=own)
        if code == RATE_CODE:
            return Admission(verdict.id, code, f"{verdict.organization} sends more than its rate; try again later")
        if code:
            return Admission(verdict.id, code, FULL_MESSAGE)
        return Admission(verdict.id)

    def _short_of(self, verdict: Verdict, rates: TokenBuckets | None) -> str:
        """Return what a transaction lacked for its signature to be checked: a token, or else room."""
        now_s = self._clock.now_ms() / 1000
        return "pool.full" if rates is None or rates.left(verdict.organization, now_s) else RATE_CODE

    def on_executed(self, block: ExecutedBlock) -> list[bytes]:
        """Take notice of a block; return the ids that left the pool because their time is over."""
        too_early: list[bytes] = []
        for outcome in block.outcomes:
            if outcome.id is None or outcome.id not in self.pool:
                continue
            if outcome.mark in FINAL_MARKS:
                self.pool.remove(outcome.id)
            elif outcome.mark is Mark.TOO_EARLY:
                too_early.append(outcome.id)
            elif outcome.mark is Mark.UNKNOWN_SIGNER:
                self.pool.park(outcome.id)
            # Bad or malformed is what somebody made of our transaction: its id does not cover the signature.
        expired = self.pool.expire(block.header.timestamp_ms)
        if too_early:
            self.pool.put_back(too_early)
            self._batcher.pause()
        return expired

    def on_released(self, items: Sequence[bytes]) -> None:
        """Keep what the engine gave back, and offer it again a little later."""
        self._batcher.pause()
        strangers: list[bytes] = []
        back: list[bytes] = []
        for item in items:
            try:
                identifier = transaction_id(item)
            except InvalidTransaction:
                continue  # what we batched was judged, so this is a batch of an older program's
            if identifier in self.pool:
                back.append(identifier)
            else:
                strangers.append(item)
        self.pool.put_back(back)
        for start in range(0, len(strangers), RESUBMITTED_AT_ONCE):
            self.submit(strangers[start : start + RESUBMITTED_AT_ONCE], lambda _: None, again=True)

    def poll(self) -> None:
        """Close the batches that are due."""
        self._batcher.poll()

    def stop(self) -> None:
        self._batcher.stop()
