"""What a validator says in its own name without being asked: that it is ready, that it must rejoin, that another lied.

Each is a transaction of the validator's own account. It is made again as long as the ledger shows that it has not taken
effect: any transaction may be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from consensus.evidence import Evidence
from ledger.modules.fields import Operation
from ledger.modules.validators.operations import EVIDENCE_BYTES_MAX, Ready, Rejoin, ReportEvidence
from ledger.transaction import build
from node.membership import OwnStanding
from node.ports import Cancelable, Clock, ExecutorPort
from primitives.codec import encode
from primitives.digest import tagged_hash
from primitives.keys import SigningKey

PERIOD_MS: Final = 1_000
"""How often what is due is looked at."""
AGAIN_MS: Final = 5_000
"""How long a transaction gets before the same is said again."""
EVIDENCE_WAITING_MAX: Final = 64
"""Pieces of evidence that wait to be recorded; the oldest makes room. Consensus finds few of one replica."""
EVIDENCE_TIMES_MAX: Final = 5
"""How often one piece is reported; what the ledger does not take then stays with this node's logs."""


class _Report(msgspec.Struct):
    """Evidence that the ledger is not known to hold."""

    epoch: int
    culprit: int
    said_at_ms: int | None = None
    times: int = 0

    def due(self, now_ms: int) -> bool:
        return self.said_at_ms is None or abs(now_ms - self.said_at_ms) >= AGAIN_MS


class Duties:
    """Watches one validator's standing in the ledger."""

    def __init__(
        self,
        clock: Clock,
        executor: ExecutorPort,
        network_id: bytes,
        node_id: str,
        key: SigningKey,
        lifetime_ms: Callable[[], int],
        submit: Callable[[bytes], None],
        block_time_ms: Callable[[], int],
    ) -> None:
        """Args:
        lifetime_ms: how long its transactions may wait, as the chain's parameters are.
        submit: takes a signed transaction.
        block_time_ms: the time that transactions' expiry is judged by, about now.
        """
        self._clock = clock
        self._executor = executor
        self._network_id = network_id
        self._node_id = node_id
        self._key = key
        self._lifetime_ms = lifetime_ms
        self._submit = submit
        self._block_time_ms = block_time_ms
        self._evidence: dict[bytes, _Report] = {}
        """By encoding, oldest first."""
        self._timer: Cancelable | None = None
        self._said_at_ms: dict[str, int] = {}
        self.incarnation = 0
        """The number to rejoin with, once it is durable; 0 while there is no need."""
        self.may_vote = True
        """Whether nothing keeps this validator from voting in the present epoch, as far as its set goes."""
        self.membership_changed = False
        """Whether a change of the set may concern this validator, also a voting one: another address, for example."""
        self.caught_up = False
        """Whether nothing certified is known beyond what is executed here."""
        self.standing: OwnStanding | None = None
        """As the ledger last said."""

    def start(self) -> None:
        self._timer = self._clock.call_later(PERIOD_MS, self._due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_evidence(self, evidence: Evidence) -> None:
        """Report a contradiction to the ledger. Evidence too large for a transaction stays with this node's logs."""
        data = encode(evidence)
        if len(data) > EVIDENCE_BYTES_MAX or data in self._evidence:
            return
        if len(self._evidence) >= EVIDENCE_WAITING_MAX:
            del self._evidence[next(iter(self._evidence))]
        self._evidence[data] = _Report(evidence.first.epoch, evidence.culprit)

    def _due(self) -> None:
        self._timer = self._clock.call_later(PERIOD_MS, self._due)
        if self.may_vote and not self._evidence and not self.membership_changed:
            return

        def found(standing: Any, error: BaseException | None) -> None:
            if error is None and self._timer is not None:
                self.standing = standing
                self.membership_changed = standing.is_candidate
                self._act(standing)

        self._executor.call("standing", (self._node_id, self._key.public_key), found)

    def _act(self, standing: OwnStanding) -> None:
        if standing.is_candidate and self.caught_up:
            self._say(standing, "ready", Ready(standing.certified_height, standing.certified_hash))
        elif self._must_rejoin(standing) and self.caught_up:
            self._say(standing, "rejoin", Rejoin(self.incarnation))
        if standing.is_member:
            self._report(standing)

    def _must_rejoin(self, standing: OwnStanding) -> bool:
        """Whether this directory's number is not the one on record, nor about to be."""
        lost = standing.is_member and self.incarnation not in (0, standing.incarnation)
        return lost and standing.rejoin_pending != self.incarnation

    def _report(self, standing: OwnStanding) -> None:
        """Report one piece of evidence, unless the ledger holds it or enough against that validator."""
        now_ms = self._clock.now_ms()
        data = next((data for data, report in self._evidence.items() if report.due(now_ms)), None)
        if data is None:
            return
        report = self._evidence[data]

        def found(settled: Any, error: BaseException | None) -> None:
            if error is not None or self._timer is None or data not in self._evidence:
                return
            if settled or report.times == EVIDENCE_TIMES_MAX:
                del self._evidence[data]
                return
            report.times += 1
            report.said_at_ms = now_ms
            self._submit_operation(standing, "evidence", ReportEvidence(data))

        self._executor.call("evidence_settled", (report.epoch, report.culprit, data), found)

    def _say(self, standing: OwnStanding, what: str, operation: Operation) -> None:
        now_ms = self._clock.now_ms()
        if abs(now_ms - self._said_at_ms.get(what, -AGAIN_MS)) < AGAIN_MS:
            return
        self._said_at_ms[what] = now_ms
        self._submit_operation(standing, what, operation)

    def _submit_operation(self, standing: OwnStanding, what: str, operation: Operation) -> None:
        transaction = build(
            network_id=self._network_id,
            sender=standing.account,
            key=self._key,
            operations=[operation],
            expires_at_ms=self._block_time_ms() + self._lifetime_ms(),
            salt=tagged_hash("duty-salt", encode((what, self._clock.now_ms())))[:16],
        )
        self._submit(transaction)
