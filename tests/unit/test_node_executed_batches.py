"""Batches that were executed by synchronization or gossip: told once, and never in an epoch that is not theirs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from node.executed_batches import ExecutedBatches


def result(epoch: int, *batches: tuple[int, int]) -> Any:
    return SimpleNamespace(block=SimpleNamespace(header=SimpleNamespace(epoch=epoch)), batches=batches)


def test_batches_are_told_once_in_order() -> None:
    executed = ExecutedBatches()
    executed.note([result(0, (0, 1), (1, 1)), result(0, (0, 2))])
    executed.note([result(0, (2, 1))])
    assert executed.take() == ((0, 1), (1, 1), (0, 2), (2, 1))
    assert executed.take() == ()


def test_batches_of_an_ended_epoch_are_dropped() -> None:
    """S10: number 1 of the next epoch is another batch."""
    executed = ExecutedBatches()
    executed.note([result(0, (0, 1))])
    executed.note([result(1, (0, 1), (1, 1))])
    assert executed.take() == ((0, 1), (1, 1))
