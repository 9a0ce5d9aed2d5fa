"""Batches of blocks that were fetched and executed, until the engine hears of them."""

from __future__ import annotations

from collections.abc import Sequence

from node.chain_service import BlockResult


class ExecutedBatches:
    """Of blocks whose certificate has not been reached; the engine hears of them with it.

    Numbers begin anew with each epoch: those of an ended one would be taken for others, so they are dropped.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._batches: list[tuple[int, int]] = []

    def note(self, results: Sequence[BlockResult]) -> None:
        """Add those of one range of blocks, which is of one epoch."""
        epoch = results[0].block.header.epoch
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, []
        self._batches += [pair for result in results for pair in result.batches]

    def take(self) -> tuple[tuple[int, int], ...]:
        """Return (author, number) of all that were noted, and forget them."""
        batches, self._batches = tuple(self._batches), []
        return batches
