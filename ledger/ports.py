"""What the ledger asks of those that it does not know; the node supplies it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ledger.block import Header
    from ledger.state.view import Readable


class EvidenceJudge(Protocol):
    """Says whether two signed consensus messages contradict each other.

    A verdict becomes part of the chain: it must depend on the arguments alone, and every node of a network must have
    the judge. A node without one would execute to another state and stop.
    """

    def epoch_of(self, evidence: bytes) -> int | None:
        """Return the epoch that the evidence names; None when it cannot be read."""
        ...

    def judge(self, network_id: bytes, epoch: int, public_keys: Sequence[bytes], evidence: bytes) -> int | None:
        """Return the culprit's index in the set of `epoch`, whose keys are given in order; None without a proof."""
        ...


class StateFollower(Protocol):
    """Keeps something that is derived from the state at the chain's head. It must not raise for reasons of its own: the
    chain does not wait for it to be well."""

    def begin(self, header: Header, block_hash: bytes, state: Readable) -> None:
        """The chain is open, and this is its head."""
        ...

    def executed(self, header: Header, block_hash: bytes, changes: Iterable[bytes], state: Readable) -> None:
        """The block of `header` is durable. `changes` are the keys of the state that it wrote or deleted; `state`
        reads what it led to, until this call returns."""
        ...
