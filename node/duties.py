"""What a validator says in its own name without being asked: that it is ready, that it must rejoin, that another lied.

Each is a transaction of the validator's own account. It is made again as long as the ledger shows that it has not taken
effect: any transaction may be lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

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
"""Pieces of evidence that wait to be reported; the oldest makes room. Consensus finds few of one replica."""


class Duties:
    """Watches one validator's standing in the ledger."""

    def __init__(
        self,
        clock: Clock,
        executor: ExecutorPort,
        network_id: bytes,
        node_id: str,
        key: SigningKey,
        lifetime_ms: int,
        submit: Callable[[bytes], None],
        block_time_ms: Callable[[], int],
    ) -> None:
        """Args:
        lifetime_ms: how long its transactions may wait.
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
        self._evidence: deque[bytes] = deque(maxlen=EVIDENCE_WAITING_MAX)
        self._timer: Cancelable | None = None
        self._said_at_ms: dict[str, int] = {}
        self.incarnation = 0
        """The number to rejoin with, once it is durable; 0 while there is no need."""
        self.may_vote = True
        """Whether nothing keeps this validator from voting in the present epoch, as far as its set goes."""
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
        if len(data) <= EVIDENCE_BYTES_MAX and data not in self._evidence:
            self._evidence.append(data)

    def _due(self) -> None:
        self._timer = self._clock.call_later(PERIOD_MS, self._due)
        if self.may_vote and not self._evidence:
            return

        def found(standing: Any, error: BaseException | None) -> None:
            if error is None and self._timer is not None:
                self.standing = standing
                self._act(standing)

        self._executor.call("standing", (self._node_id, self._key.public_key), found)

    def _act(self, standing: OwnStanding) -> None:
        if standing.is_candidate and self.caught_up:
            self._say(standing, "ready", Ready(standing.certified_height, standing.certified_hash))
        elif self._must_rejoin(standing) and self.caught_up:
            self._say(standing, "rejoin", Rejoin(self.incarnation))
        if standing.is_member and self._evidence:
            self._say(standing, "evidence", ReportEvidence(self._evidence.popleft()))

    def _must_rejoin(self, standing: OwnStanding) -> bool:
        """Whether this directory's number is not the one on record, nor about to be."""
        lost = standing.is_member and self.incarnation not in (0, standing.incarnation)
        return lost and standing.rejoin_pending != self.incarnation

    def _say(self, standing: OwnStanding, what: str, operation: Operation) -> None:
        now_ms = self._clock.now_ms()
        if what != "evidence" and abs(now_ms - self._said_at_ms.get(what, -AGAIN_MS)) < AGAIN_MS:
            return
        self._said_at_ms[what] = now_ms
        transaction = build(
            network_id=self._network_id,
            sender=standing.account,
            key=self._key,
            operations=[operation],
            expires_at_ms=self._block_time_ms() + self._lifetime_ms,
            salt=tagged_hash("duty-salt", encode((what, now_ms)))[:16],
        )
        self._submit(transaction)
