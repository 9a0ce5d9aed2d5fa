"""What is kept about single validators. The sets and the epoch are the core's (ledger/epochs.py).

validator-rejoin/ + account (32)                              LastRejoin
evidence/         + epoch (8) + culprit's index (4) + digest (32)  Evidence
"""

from __future__ import annotations

from typing import Final

from ledger.modules.fields import Bytes32, Record, TimeMs
from ledger.state.view import Table
from primitives.digest import Digest, tagged_hash

EVIDENCE_PER_CULPRIT_MAX: Final = 8
"""Records against one validator in one epoch; further evidence is refused: the case is made."""


class LastRejoin(Record, frozen=True):
    at_ms: TimeMs


class Evidence(Record, frozen=True):
    """Where the evidence stands: the transaction carries the messages themselves."""

    node_id: str
    """The culprit's in that epoch."""
    account: Bytes32
    reporter: Bytes32
    """Account of the validator that brought it."""
    transaction: Bytes32
    height: int
    at_ms: TimeMs


LAST_REJOINS: Final = Table[LastRejoin](b"validator-rejoin/", LastRejoin)
EVIDENCE: Final = Table[Evidence](b"evidence/", Evidence)


def evidence_digest(evidence: bytes) -> Digest:
    return tagged_hash("evidence", evidence)


def culprit_part(epoch: int, culprit: int) -> bytes:
    """Return the key part under which all evidence against a validator of an epoch stands."""
    return epoch.to_bytes(8, "big") + culprit.to_bytes(4, "big")
