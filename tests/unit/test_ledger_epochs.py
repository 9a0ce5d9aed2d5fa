"""Epochs of the chain: when they end, what the headers say, what follows. Over whole blocks and the modules that
ship."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from ledger_core_kit import VALIDATORS, Kit, certify, make_genesis

from ledger.chain import Chain, ExecutedBlock
from ledger.errors import InvalidBlock
from ledger.genesis import validator_account
from ledger.modules.validators.operations import Rejoin
from ledger.operations import default_registry
from ledger.parameters import Parameters
from ledger.state.store import MemoryStore
from ledger.validators import ValidatorSet

WINDOW = 8


def kit(**parameters: Any) -> Kit:
    chosen = Parameters(**({"window": WINDOW} | parameters))
    return Kit(genesis=make_genesis(parameters=chosen), registry=default_registry())


def rejoin(kit: Kit, index: int, incarnation: int) -> bytes:
    account = validator_account(kit.network_id, kit.genesis.validators[index])
    return kit.transaction(Rejoin(incarnation), sender=account, key=VALIDATORS[index])


def run_to(kit: Kit, height: int) -> list[ExecutedBlock]:
    return [kit.execute() for _ in range(height - kit.chain.height)]


def test_a_change_ends_the_epoch_a_window_later_and_the_headers_say_so() -> None:
    """G3: the end is known from the block of the change on, and the last header names the next set."""
    world = kit()
    run_to(world, 2)
    first = world.execute(rejoin(world, 1, 77))
    assert [receipt.code for receipt in first.receipts] == [""]
    blocks = [first, *run_to(world, 3 + WINDOW + 2)]
    end = 3 + WINDOW
    assert [block.header.epoch_end for block in blocks] == [end] * (WINDOW + 1) + [0, 0]
    assert [block.header.epoch for block in blocks] == [0] * (WINDOW + 1) + [1, 1]
    before, last, opening = blocks[-4].header, blocks[-3].header, blocks[-2].header
    assert before.next_validator_set_hash == before.validator_set_hash
    assert last.height == end
    assert last.next_validator_set_hash != last.validator_set_hash == before.validator_set_hash
    assert opening.validator_set_hash == last.next_validator_set_hash == opening.next_validator_set_hash
    assert [block.next_validators for block in blocks if block.next_validators] == [world.chain.validators(1)]
    assert blocks[-3].membership_changed
    assert ValidatorSet(world.chain.validators(1)).hash() == opening.validator_set_hash
    assert [member.incarnation for member in world.chain.validators(0)] == [0, 0, 0, 0]
    assert [member.incarnation for member in world.chain.validators(1)] == [0, 77, 0, 0]
    epoch = world.chain.epoch
    assert (epoch.number, epoch.base, epoch.end, epoch.rejoin) == (1, end, 0, None)


def test_epochs_follow_from_the_state_at_every_height() -> None:
    """A chain that is opened anew at each height, and one that replays the blocks, lead to the same hashes."""
    world = kit(rejoin_interval_ms=0)
    replayed = Chain.open(MemoryStore(), world.genesis, default_registry())
    for height in range(1, 3 * WINDOW):
        if height in (1, WINDOW + 3):
            world.execute(rejoin(world, 2, 5 + height))
        else:
            world.execute()
        world.chain = Chain.open(world.store, world.genesis, default_registry())
        data = world.chain.encoded_block(height)
        assert data is not None
        replayed.replay(data, expected_hash=world.chain.head_hash)
    assert world.chain.epoch.number == 2
    assert [member.incarnation for member in world.chain.validators(2)] == [0, 0, WINDOW + 8, 0]


def test_one_validator_rejoins_an_epoch_and_none_too_often() -> None:
    """A faulty member cannot churn epochs."""
    world = kit(rejoin_interval_ms=60_000)
    codes = []
    for index, incarnation in ((0, 1), (0, 2), (1, 3)):
        codes += [receipt.code for receipt in world.execute(rejoin(world, index, incarnation)).receipts]
    assert codes == ["", "validators.rejoin_pending", "validators.rejoin_pending"]
    run_to(world, 1 + WINDOW)
    codes = []
    for index, incarnation in ((0, 1), (0, 2), (1, 3)):
        codes += [receipt.code for receipt in world.execute(rejoin(world, index, incarnation)).receipts]
    assert codes == ["validators.incarnation_unchanged", "validators.rejoin_too_soon", ""]


def test_a_certificate_must_name_the_end_that_its_header_names() -> None:
    """S10: the end of the epoch is part of what a quorum signs."""
    world = kit()
    world.execute(rejoin(world, 0, 1))
    good = certify(world.chain, 1)
    assert good.epoch_end == 1 + WINDOW
    with pytest.raises(InvalidBlock) as caught:
        world.chain.add_certificate(msgspec.structs.replace(good, epoch_end=0))
    assert caught.value.code == "certificate.epoch_end"
    world.chain.add_certificate(good)
    run_to(world, WINDOW + 3)
    world.chain.add_certificate(certify(world.chain, WINDOW + 2))
    assert world.chain.certified_height == WINDOW + 2
