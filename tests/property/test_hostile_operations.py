"""Whatever decodes is executed or refused with a code: nothing that somebody can sign halts the chain."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from ledger.errors import OperationError
from ledger.modules.organizations.accounts import is_validators
from ledger.modules.organizations.records import ACCOUNTS
from ledger.operations import default_registry
from tests.property.hostile_kit import Hostile
from tests.property.pairing_kit import Pair, random_genesis, random_steps
from tests.readable_kit import ReadableView
from tests.thoroughness import tries
from tests.unit.modules_kit import World

BLOCKS = 60
"""Of the life that the operations are about."""


@pytest.mark.parametrize("seed", range(4))
def test_operations_that_make_no_sense_are_refused_with_a_code(seed: int) -> None:
    """And what they bring about all the same is swept without a failure, by every kind of deadline that comes of it."""
    random, ends = Random(seed), seed % 2 == 1
    pair = Pair(random_genesis(seed, ends=ends), lineages=seed == 3, ends=ends)
    pair.run(random_steps(random, BLOCKS))
    world = World(pair.genesis, default_registry())
    world.view, world.now_ms = ReadableView(pair.chain.view()), pair.state.now
    hostile = Hostile(random, world.view, world.now_ms)
    kinds, codes, done = list(world.registry.handlers), Counter[str](), 0
    accounts = list(ACCOUNTS.items(world.view))
    for number in range(tries(2_500)):
        operation = hostile.operation(kinds[number % len(kinds)])
        signers = world.registry.rules[type(operation)].signers
        fit = [account for account, record in accounts if is_validators(record) == ("validator" in signers)]
        try:
            world.do(random.choice(fit), operation, role="validator" if "validator" in signers else "owner")
            done += 1
        except OperationError as error:
            codes[error.code] += 1
        if number % 50 == 0:
            world.advance(random.choice((1, 1_000, 60_000, 600_000)))
    assert len(codes) > 80
    assert done > 50
    world.advance(400 * 86_400_000, limit=100_000)
