"""The light client over random histories of validator sets: skipping leads where stepping leads, and no coalition of
at most f of each set leads it anywhere else."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.block import block_hash
from ledger.errors import InvalidProof, LedgerError
from ledger.light.blocks import LightBlock
from ledger.light.client import Ask, EpochEnd, drive
from primitives.quorum import fault_bound, quorum
from tests.unit.light_kit import Counting, HeaderChain, members, resigned

EPOCHS_MAX = 24


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, ...]]:
    """Sets of 4 to 10; from one to the next anything between no change and a full turnover."""
    size = draw(st.integers(4, 10))
    pool, sets = size, [tuple(f"v{index}" for index in range(size))]
    for _ in range(draw(st.integers(0, EPOCHS_MAX - 1))):
        leaving = draw(st.integers(0, len(sets[-1])))
        entering = draw(st.integers(max(0, 4 - len(sets[-1]) + leaving), max(leaving, 4)))
        kept = sets[-1][leaving:]
        sets.append((*kept, *(f"v{index}" for index in range(pool, pool + entering))))
        pool += entering
    return sets


def drawn_quorum(seed: int) -> object:
    """Let a random quorum sign each block."""

    def signers(height: int, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(random.Random(f"{seed} {height}").sample(names, quorum(len(names))))

    return signers


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(1, 4), st.integers(0, 2**32), st.data())
def test_skipping_leads_where_stepping_leads(
    sets: list[tuple[str, ...]], length: int, seed: int, data: st.DataObject
) -> None:
    """P3: to any height, from any place, with at most two questions an epoch."""
    chain = HeaderChain(sets, length, signers=drawn_quorum(seed))  # type: ignore[arg-type]  # as the kit calls it
    stepping, skipping = chain.client(), chain.client()
    for epoch in range(len(sets) - 1):
        drive(stepping.update((epoch + 1) * length), chain.fetch)
    for _ in range(3):
        height = data.draw(st.integers(1, chain.height))
        provider = Counting(chain.fetch)
        found = drive(skipping.update(height), provider)
        assert found.hash() == drive(stepping.update(height), chain.fetch).hash() == block_hash(chain.header(height))
        assert len(provider.asked) <= 2 * len(sets)


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(0, 2**32), st.data())
def test_at_most_f_liars_of_every_set_lead_nowhere(sets: list[tuple[str, ...]], seed: int, data: st.DataObject) -> None:
    """P3: they sign a block of any later epoch under a set of strangers and themselves; from there on nothing true is
    told, and the client trusts nothing of it."""
    chain = HeaderChain(sets, 3, signers=drawn_quorum(seed))  # type: ignore[arg-type]  # as the kit calls it
    liars = tuple(sets[0][: fault_bound(len(sets[0]))])
    strangers = tuple(f"stranger {index}" for index in range(4 + 2 * len(liars)))
    own = (*liars, *strangers)
    start = data.draw(st.integers(0, len(sets) - 1))

    def forge(block: LightBlock) -> LightBlock:
        header = msgspec.structs.replace(
            block.header, validator_set_hash=members(own).hash(), next_validator_set_hash=members(own).hash()
        )
        return resigned(LightBlock(header, (), block.finality, members(own)), own)

    def lying(ask: Ask) -> LightBlock:
        block = chain.fetch(ask)
        return forge(block) if block.epoch >= start or not isinstance(ask, EpochEnd) else block

    client = chain.client()
    try:
        drive(client.update(), lying)
    except (InvalidProof, LedgerError):
        pass
    else:
        raise AssertionError("a forged block is trusted")
    for height in range(1, chain.height + 1):
        trusted = client.trusted(height)
        assert trusted is None or trusted.hash() == block_hash(chain.header(height))
