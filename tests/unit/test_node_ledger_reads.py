"""Questions to the ledger's owner: expensive ones take turns, and only so many wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ledger.errors import LedgerError
from node.services import EXPENSIVE_WAITING_MAX, LedgerReads


class Owner:
    """Answers when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def call(self, method: str, arguments: tuple[Any, ...], answer: Any) -> None:
        self.asked.append((method, answer))

    def answer(self, result: Any, error: BaseException | None = None) -> None:
        _, answer = self.asked.pop(0)
        answer(result, error)


def test_expensive_questions_are_asked_one_at_a_time_and_cheap_ones_pass_them() -> None:
    """A10: a block waits for one of them at most, however many clients ask."""

    async def story() -> None:
        owner = Owner()
        reads = LedgerReads(owner)
        proofs = [asyncio.create_task(reads.ask_expensively("prove", number)) for number in range(3)]
        cheap = asyncio.create_task(reads.ask("block_hash", 1))
        await asyncio.sleep(0)
        assert [method for method, _ in owner.asked] == ["prove", "block_hash"]
        owner.answer("first")
        owner.answer("hash")
        assert (await proofs[0], await cheap) == ("first", "hash")
        await asyncio.sleep(0)
        assert len(owner.asked) == 1
        owner.answer(None, LedgerError("proof.pruned", "too old"))
        with pytest.raises(LedgerError, match="too old"):
            await proofs[1]
        await asyncio.sleep(0)
        owner.answer("third")
        assert await proofs[2] == "third"

    asyncio.run(story())


def test_no_more_wait_than_the_bound() -> None:
    """A3: the rest is told to come again, and a place that is free again can be taken."""

    async def story() -> None:
        owner = Owner()
        reads = LedgerReads(owner)
        waiting = [asyncio.create_task(reads.ask_expensively("prove", at)) for at in range(EXPENSIVE_WAITING_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(LedgerError) as refused:
            await reads.ask_expensively("prove", 0)
        assert refused.value.code == "executor.busy"
        for number in range(EXPENSIVE_WAITING_MAX):
            owner.answer(number)
            assert await waiting[number] == number
            await asyncio.sleep(0)
        assert not owner.asked
        last = asyncio.create_task(reads.ask_expensively("prove", 1))
        await asyncio.sleep(0)
        owner.answer("again")
        assert await last == "again"

    asyncio.run(story())
