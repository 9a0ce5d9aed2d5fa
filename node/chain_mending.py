"""What the ledger's owner does about damage: reads through everything, tells peers records, and puts back its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from ledger.chain import Chain
from ledger.mending import Mending, Record
from ledger.scrubbing import Scrubbing, ScrubStep


class ChainMending:
    """A part of `ChainService`. Every method may raise LedgerError."""

    _chain: Chain

    @cached_property
    def _mending(self) -> Mending:
        return Mending(self._chain)

    @cached_property
    def _scrubbing(self) -> Scrubbing:
        return Scrubbing(self._chain)

    def height_to_mend(self) -> int:
        """Return the height whose state is here: a node that mends itself stands still, and the others go on."""
        return self._chain.height

    def tell_records(self, first: bytes, behind: bytes, height: int) -> list[Record]:
        """Return records of the store for a peer that has lost its own, and whose head is block `height`."""
        return self._mending.tell(first, behind, height)

    def take_records(self, records: Sequence[Record], wrong: bytes) -> int:
        """Put back those of a peer's records that are missed here and hold; return how many."""
        return self._mending.take(records, wrong)

    def make_records(self, first: bytes, behind: bytes, wrong: bytes) -> int:
        """Put back what follows from what is here; return how many."""
        return self._mending.make(first, behind, wrong)

    def scrub(self, cursor: bytes) -> ScrubStep:
        """Read on from `cursor`, and check it."""
        return self._scrubbing.step(cursor)
