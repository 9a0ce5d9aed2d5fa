"""Epochs of the chain: when they end, what the headers say, what follows. Over whole blocks and the modules that
ship."""

from __future__ import annotations

import hashlib
from typing import Any

import libipld
import msgspec
import pytest
from epochs_kit import Consortium, add, remove
from epochs_kit import make_genesis as consortium
from ledger_core_kit import VALIDATORS, Kit, certify, make_genesis

from ledger.certificates.export import export
from ledger.certificates.format import MAGIC, Certificate, Handoff
from ledger.certificates.subjects.asset import AssetSubject
from ledger.certificates.verification import verify
from ledger.certificates.verified import describe
from ledger.chain import Chain, ExecutedBlock
from ledger.epochs import last_height
from ledger.errors import InvalidBlock, InvalidProof, LedgerError
from ledger.genesis import Genesis, validator_account
from ledger.modules.assets.operations import Artifact, Commit, Register, asset_id, commitment
from ledger.modules.validators.operations import Rejoin
from ledger.operations import default_registry
from ledger.parameters import Parameters
from ledger.state.store import MemoryStore
from ledger.validators import ValidatorSet
from primitives.codec import decode, encode

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


def governed() -> tuple[Consortium, bytes]:
    """A chain whose validators were all replaced since the genesis, one an epoch, and an asset of its first epoch."""
    world = Consortium(spacious())
    asset = register(world)
    for index in range(5):
        world.approve(add(f"n{index}", f"org-{5 + index}"))
        assert world.code(world.ready(f"n{index}")) == ""
        world.approve(remove(f"v{index}"))
        world.turn()
        for height in range(world.chain.certified_height + 1, world.chain.height + 1):
            world.chain.add_certificate(world.certify(height))
    assert world.members() == tuple(f"n{index}" for index in range(5))
    return world, asset


def spacious() -> Genesis:
    return consortium(5, 10, commitment_age_ms=1)


def register(world: Consortium) -> bytes:
    account, salt = world.accounts["org-0"], bytes(16)
    cid = libipld.encode_cid(b"\x01\x55\x12\x20" + hashlib.sha256(b"artifact").digest())
    assert world.code(world.by("org-0", Commit(commitment(cid, account, salt)))) == ""
    assert world.code(world.by("org-0", Register(Artifact(cid, 8), salt, "dataset", "digits"))) == ""
    return asset_id(world.network_id, account, cid)


def test_an_ownership_certificate_follows_all_sets_from_the_genesis_hash_alone() -> None:
    """P3: none of the genesis' validators is left, and still their word leads to those who sign today."""
    world, asset = governed()
    data = export(world.chain, AssetSubject(asset))
    verified = verify(data, world.network_id)
    assert (verified.epoch, verified.height) == (5, world.chain.height)
    assert set(verified.signers) <= {f"org-{5 + index}" for index in range(5)}
    assert "epoch 5" in describe(verified)
    assert verify(data, world.network_id, (world.chain.height, world.chain.head_hash)).pinned
    step = len(data) // 900
    for index in range(0, len(data), step):
        changed = data[:index] + bytes([data[index] ^ 1 << index % 8]) + data[index + 1 :]
        with pytest.raises(InvalidProof):
            verify(changed, world.network_id)


def test_a_certificate_cannot_skip_swap_or_forge_a_set() -> None:
    """P3: certificates of a past or non-member set, and ends that are none, are refused."""
    world, asset = governed()
    opened = decode(export(world.chain, AssetSubject(asset))[len(MAGIC) :], Certificate)
    steps = opened.handoffs
    before = world.chain.header(steps[0].header.height - 1)
    finality = world.chain.certificate(steps[0].header.height - 1)
    assert before is not None
    assert finality is not None
    replace = msgspec.structs.replace
    cases = {
        "certificate.header": [steps[:-1], ()],
        "certificate.handoff": [
            (steps[1], *steps[1:]),
            (steps[0], *steps[2:], steps[1]),
            (*steps, steps[-1]),
            (Handoff(before, finality, steps[0].members), *steps[1:]),
            (Handoff(before, finality, ValidatorSet(world.chain.validators(0))), *steps[1:]),
            (replace(steps[0], members=steps[1].members), *steps[1:]),
        ],
        "certificate.signatures": [
            (replace(steps[0], finality=replace(steps[0].finality, signatures=())), *steps[1:]),
        ],
    }
    for code, wrong in cases.items():
        for handoffs in wrong:
            with pytest.raises(InvalidProof) as caught:
                verify(MAGIC + encode(replace(opened, handoffs=handoffs)), world.network_id)
            assert caught.value.code == code
    old = world.certify(world.chain.height, [f"v{index}" for index in range(5)])
    with pytest.raises(InvalidProof):
        verify(MAGIC + encode(replace(opened, finality=old)), world.network_id)


def test_an_epoch_whose_set_stays_is_crossed_like_any_other() -> None:
    """P3: the candidate was withdrawn in the last moment; the number of epochs is still shown, not claimed."""
    world = Consortium(spacious())
    asset = register(world)
    world.approve(add("n0", "org-5"))
    assert world.code(world.ready("n0")) == ""
    world.approve(remove("n0"))
    end = world.chain.epoch.end
    world.turn()
    for height in (end - 1, end, end + 1):
        world.chain.add_certificate(world.certify(height))
    assert world.chain.validators(1) == world.chain.validators(0)
    data = export(world.chain, AssetSubject(asset))
    assert verify(data, world.network_id).epoch == 1
    opened = decode(data[len(MAGIC) :], Certificate)
    header, finality = world.chain.header(end - 1), world.chain.certificate(end - 1)
    assert header is not None
    assert finality is not None
    early = Handoff(header, finality, opened.handoffs[0].members)
    for handoffs, code in (((), "certificate.header"), ((early,), "certificate.handoff")):
        with pytest.raises(InvalidProof) as caught:
            verify(MAGIC + encode(msgspec.structs.replace(opened, handoffs=handoffs)), world.network_id)
        assert caught.value.code == code


def test_an_export_waits_for_the_ends_of_all_epochs() -> None:
    world = Consortium(spacious())
    asset = register(world)
    world.execute(world.rejoin("v0", 5))
    world.turn()
    world.chain.add_certificate(world.certify(world.chain.height))
    with pytest.raises(LedgerError) as caught:
        export(world.chain, AssetSubject(asset))
    assert caught.value.code == "certificate.pending"
    world.chain.add_certificate(world.certify(world.chain.epoch.base))
    assert verify(export(world.chain, AssetSubject(asset)), world.network_id).epoch == 1


def test_the_last_height_of_an_epoch_is_kept_for_ever() -> None:
    """Whoever shows an older epoch is answered with its last block."""
    world, _ = governed()
    view = world.chain.view()
    ends = [last_height(view, epoch) for epoch in range(7)]
    assert ends[5:] == [None, None]
    assert ends[4] == world.chain.epoch.base
    for epoch, height in enumerate(ends[:5]):
        assert height is not None
        header = world.chain.header(height)
        assert header is not None
        assert (header.epoch, header.epoch_end) == (epoch, height)
