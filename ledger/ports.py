"""What the ledger asks of those that it does not know; the node supplies it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


Past = Callable[[int], tuple[bytes, bytes | None] | None]
"""(height) -> the hash of that block of this chain, and what the follower noted of it, None where there was no
follower; None where there is no such block."""


class StateFollower(Protocol):
    """Keeps something that is derived from the state at the chain's head. It must not raise for reasons of its own: the
    chain does not wait for it to be well."""

    def begin(self, header: Header, block_hash: bytes, state: Readable, past: Past) -> None:
        """The chain is open, and this is its head."""
        ...

    def note(self, changes: Iterable[bytes]) -> bytes:
        """Say in a few bytes what a block changed that matters here, from the keys of the state that it writes or
        deletes. They are kept with the block, and come back with `executed` and through `past`."""
        ...

    def executed(self, header: Header, block_hash: bytes, notes: Sequence[bytes], state: Readable) -> None:
        """The blocks up to that of `header` are durable, and `notes` tell of those that were not told of before;
        `state` reads what they led to, until this call returns."""
        ...
