"""The light client over chains of headers: what it follows, how little it asks for, and whom it does not believe."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from light_kit import NETWORK, START_MS, Counting, HeaderChain, members, resigned

from ledger.block import block_hash
from ledger.errors import InvalidProof, LedgerError
from ledger.light.blocks import LightBlock
from ledger.light.client import (
    TRUSTED_MAX,
    Ask,
    At,
    EpochEnd,
    Fork,
    Latest,
    LightClient,
    drive,
)
from ledger.state.proofs import prove
from ledger.state.tree import StateTree
from ledger.validators import ValidatorSet
from primitives.quorum import quorum

FOUR = ("a", "b", "c", "d")


def rolling(epochs: int, size: int = 4) -> list[tuple[str, ...]]:
    """One member is replaced at the end of each epoch."""
    return [tuple(f"v{index}" for index in range(epoch, epoch + size)) for epoch in range(epochs)]


def refused(code: str, client: LightClient, fetch: object, height: int | None = None) -> InvalidProof:
    before = client.dump()
    with pytest.raises(InvalidProof) as caught:
        drive(client.update(height), fetch)  # type: ignore[arg-type]  # what the tests call providers
    assert caught.value.code == code
    assert client.newest.height == 0 or client.dump() == before
    return caught.value


def test_one_epoch_is_reached_by_one_block() -> None:
    chain = HeaderChain([FOUR], length=50)
    provider, client = Counting(chain.fetch), chain.client()
    assert drive(client.update(), provider).hash() == block_hash(chain.header(50))
    assert provider.asked == [Latest()]
    assert drive(client.update(20), provider).height == 20
    assert drive(client.update(20), provider).height == 20
    assert provider.asked == [Latest(), At(20)]
    assert client.newest.height == 50


def test_a_set_that_hardly_changes_is_skipped_over() -> None:
    """P3: with seven of ten old members among the signers nothing between is needed."""
    sets = [tuple(f"v{index}" for index in range(10))] * 300
    sets += [(*sets[0][1:], "new")]
    chain = HeaderChain(sets, length=2)
    provider, client = Counting(chain.fetch), chain.client()
    drive(client.update(), provider)
    assert provider.asked == [Latest()]


def test_a_full_turnover_is_stepped_through() -> None:
    """P3: nobody of epoch 0 is left in epoch 1: only the hand-over leads there."""
    chain = HeaderChain([FOUR, ("e", "f", "g", "h"), ("i", "j", "k", "l")], length=4)
    provider, client = Counting(chain.fetch), chain.client()
    assert drive(client.update(), provider).epoch == 2
    assert set(provider.asked) == {Latest(), EpochEnd(0), EpochEnd(1)}


def test_a_set_that_rolls_is_crossed_in_steps_that_overlap() -> None:
    chain = HeaderChain(rolling(64), length=3)
    provider, client = Counting(chain.fetch), chain.client()
    trusted = drive(client.update(), provider)
    assert trusted.hash() == block_hash(chain.header(chain.height))
    assert len(provider.asked) == len(set(provider.asked)) <= 64


@pytest.mark.parametrize(("faithful", "accepted"), [(1, False), (2, True), (3, True)])
def test_a_skip_needs_more_of_the_trusted_set_than_may_be_faulty(faithful: int, accepted: bool) -> None:
    """P3: with four, one may be faulty, so one old member among the signers says nothing."""
    later = (*FOUR[:faithful], *("w", "x", "y", "z")[: 4 - faithful])
    # The old members come first, so all of them sign.
    chain = HeaderChain([FOUR, FOUR, FOUR, later], length=3)
    target = chain.block(chain.height)
    client = chain.client()

    def nothing_between(ask: Ask) -> LightBlock:
        if isinstance(ask, EpochEnd):
            raise LedgerError("test.asked", "for more")
        return target

    if accepted:
        assert drive(client.update(), nothing_between).epoch == 3
    else:
        with pytest.raises(LedgerError, match="for more"):
            drive(client.update(), nothing_between)


def test_repeated_keys_count_once() -> None:
    """P3: a set of its own making, in which one old member stands many times."""
    chain = HeaderChain([FOUR, FOUR, FOUR], length=3)
    forged = members(("a", "a", "a", "a"))
    block = chain.block(chain.height)
    header = msgspec.structs.replace(block.header, validator_set_hash=forged.hash())
    fake = resigned(LightBlock(header, (), block.finality, forged), ("a",))
    assert len(fake.finality.signatures) == 4
    client = chain.client()
    asked: list[Ask] = []

    def provider(ask: Ask) -> LightBlock:
        asked.append(ask)
        return chain.fetch(ask) if isinstance(ask, EpochEnd) else fake

    refused_code = "light.set"
    with pytest.raises(InvalidProof) as caught:
        drive(client.update(), provider)
    assert caught.value.code == refused_code
    assert asked[:2] == [Latest(), EpochEnd(1)]


def test_certificates_of_past_and_foreign_sets_are_refused() -> None:
    """P3: signed well, by those who have no say any more or never had."""
    chain = HeaderChain([FOUR, ("e", "f", "g", "h"), ("i", "j", "k", "l")], length=4)
    block = chain.block(chain.height)
    for names in (FOUR, ("p", "q", "r", "s")):
        header = msgspec.structs.replace(block.header, validator_set_hash=members(names).hash())
        fake = resigned(LightBlock(header, (), block.finality, members(names)), names)

        def provider(ask: Ask, fake: LightBlock = fake) -> LightBlock:
            return chain.fetch(ask) if isinstance(ask, EpochEnd) else fake

        client = chain.client()
        if names == FOUR:
            # More than f of the trusted set signed what it may not sign: only a coalition beyond f does, and only
            # from before the first hand-over. After it, its word is worth nothing.
            drive(client.update(4), chain.fetch)
            drive(client.update(8), chain.fetch)
        with pytest.raises(InvalidProof) as caught:
            drive(client.update(), provider)
        assert caught.value.code in ("light.set", "certificate.header")


def test_damaged_blocks_are_refused_and_change_nothing() -> None:
    """P3: whatever of an answer is wrong; the one who sent it can be named."""
    chain = HeaderChain([FOUR, ("b", "c", "d", "e")], length=4)
    good = chain.block(3)
    cases = {
        "certificate.signatures": [
            msgspec.structs.replace(
                good, finality=msgspec.structs.replace(good.finality, signatures=good.finality.signatures[:2])
            ),
            msgspec.structs.replace(
                good,
                finality=msgspec.structs.replace(
                    good.finality, signatures=tuple((index, bytes(64)) for index, _ in good.finality.signatures)
                ),
            ),
        ],
        "certificate.header": [
            msgspec.structs.replace(good, header=msgspec.structs.replace(good.header, state_root=bytes(32))),
            msgspec.structs.replace(good, finality=chain.block(2).finality),
        ],
        "light.set": [
            msgspec.structs.replace(good, header=msgspec.structs.replace(good.header, validator_set_hash=bytes(32)))
        ],
        "light.height": [chain.block(2)],
        "light.time": [resigned(good, FOUR, timestamp_ms=START_MS)],
    }
    for code, wrong in cases.items():
        for block in wrong:
            refused(code, chain.client(), lambda _, block=block: block, 3)
    strangers = LightBlock(good.header, (), good.finality, ValidatorSet(good.members.validators[:3]))
    refused("certificate.header", chain.client(), lambda _: strangers, 3)


def test_an_epoch_that_was_said_to_end_ends_there() -> None:
    chain = HeaderChain([FOUR, ("b", "c", "d", "e")], length=4)
    for trusted, wrong in (
        (4, resigned(chain.block(5), FOUR, epoch=0, epoch_end=0, validator_set_hash=members(FOUR).hash())),
        (3, resigned(chain.block(4), FOUR, epoch_end=9)),
    ):
        client = chain.client()
        drive(client.update(trusted), chain.fetch)
        refused("light.epoch", client, lambda _, wrong=wrong: wrong, wrong.height)
    client = chain.client()
    drive(client.update(4), chain.fetch)
    orphan = resigned(chain.block(5), ("b", "c", "d"), parent_hash=bytes(32))
    refused("light.parent", client, lambda _: orphan, 5)


def test_a_provider_that_invents_epochs_is_found_out() -> None:
    """L13: a block of a far epoch leads nowhere, and an end of an epoch that is none is refused."""
    chain = HeaderChain([FOUR] * 4, length=4)
    others = ("p", "q", "r", "s")
    header = msgspec.structs.replace(
        chain.header(16),
        height=10**9,
        epoch=10**6,
        timestamp_ms=START_MS * 2,
        validator_set_hash=members(others).hash(),
    )
    far = resigned(LightBlock(header, (), chain.block(16).finality, members(others)), others)

    def inventing(ask: Ask) -> LightBlock:
        if isinstance(ask, EpochEnd) and ask.epoch > 2:
            height = 10**8 + ask.epoch * 10
            end = msgspec.structs.replace(
                header, height=height, epoch=ask.epoch, epoch_end=height, timestamp_ms=START_MS + height
            )
            return resigned(LightBlock(end, (), far.finality, members(others)), others)
        return chain.fetch(ask) if isinstance(ask, EpochEnd) else far

    provider, client = Counting(inventing), chain.client()
    with pytest.raises(InvalidProof):
        drive(client.update(), provider)
    assert len(provider.asked) < 64
    refused("light.epoch", chain.client(), lambda ask: far if not isinstance(ask, EpochEnd) else chain.block(5))


def test_blocks_without_a_certificate_of_their_own_are_reached_by_their_trail() -> None:
    chain = HeaderChain([FOUR, ("b", "c", "d", "e")], length=6, certified=lambda height: height in (4, 12))
    client = chain.client()
    for height in (2, 5, 9, 12):
        block = drive(client.update(height), chain.fetch)
        assert block.hash() == block_hash(chain.header(height))
    block = chain.block(2)
    assert len(block.trail) == 2
    torn = msgspec.structs.replace(block, trail=block.trail[1:])
    refused("certificate.trail", chain.client(), lambda _: torn, 2)


def test_a_fork_is_shown_with_both_blocks_and_its_signers() -> None:
    """S1, S12: a coalition beyond f certified two blocks; whoever sees both has them, and those who signed both."""
    chain = HeaderChain([FOUR], length=8)
    other = HeaderChain([FOUR], length=8, salt=b"other", signers=lambda _, names: names[1:])
    ours, theirs = chain.client(), chain.client()
    drive(ours.update(), chain.fetch)
    assert ours.compare(chain.block(8))
    assert not ours.compare(chain.block(5))
    drive(theirs.update(), other.fetch)
    with pytest.raises(Fork) as caught:
        ours.compare(other.block(8))
    fork = caught.value
    assert {fork.ours.hash(), fork.theirs.hash()} == {block_hash(chain.header(8)), block_hash(other.header(8))}
    named = {
        member.organization
        for member in chain.block(8).members.validators
        if member.signing_key in fork.double_signers()
    }
    assert named == {"b", "c"}
    for block in (fork.ours, fork.theirs):
        block.check(NETWORK)


def test_a_pin_replaces_the_genesis() -> None:
    chain = HeaderChain(rolling(6), length=3)
    client = chain.client()
    hashed = block_hash(chain.header(14))
    with pytest.raises(InvalidProof) as caught:
        drive(client.pin(14, bytes(32)), chain.fetch)
    assert caught.value.code == "light.pin"
    assert client.newest.height == 0
    drive(client.pin(14, hashed), chain.fetch)
    with pytest.raises(LedgerError) as below:
        drive(client.update(13), chain.fetch)
    assert below.value.code == "light.below"
    assert drive(client.update(), chain.fetch).height == 18


def test_nothing_follows_from_what_is_older_than_the_trust_period() -> None:
    chain = HeaderChain([FOUR], length=8)
    client = chain.client(trust_period_ms=10_000)
    drive(client.update(2, now_ms=START_MS + 10_000), chain.fetch)
    with pytest.raises(LedgerError) as caught:
        drive(client.update(8, now_ms=START_MS + 12_001), chain.fetch)
    assert caught.value.code == "light.expired"
    assert drive(client.update(8, now_ms=START_MS + 12_000), chain.fetch).height == 8


def test_the_state_survives_as_bytes_and_stays_bounded() -> None:
    chain = HeaderChain(rolling(40), length=4)
    client = chain.client()
    for height in range(1, 161):
        drive(client.update(height), chain.fetch)
    data = client.dump()
    restored = LightClient.restore(data, NETWORK)
    assert restored.dump() == data
    assert restored.newest.height == 160
    kept = [height for height in range(161) if restored.trusted(height)]
    assert len(kept) == TRUSTED_MAX - 1  # and the genesis
    assert drive(restored.update(3), chain.fetch).hash() == block_hash(chain.header(3))
    for wrong in (data[:-1], data + b"\x00", b"", b"\x94\x01"):
        with pytest.raises(InvalidProof):
            LightClient.restore(wrong, NETWORK)
    with pytest.raises(InvalidProof):
        LightClient.restore(data, bytes(32))


def test_a_provider_that_is_behind_takes_nothing_back() -> None:
    chain = HeaderChain([FOUR], length=8)
    client = chain.client()
    drive(client.update(), chain.fetch)
    assert drive(client.update(), lambda _: chain.block(3)).height == 8


def test_records_are_verified_under_trusted_blocks_only() -> None:
    chain = HeaderChain([FOUR], length=8)
    tree = StateTree.build([(b"k", b"v"), (b"l", b"w")])
    header = msgspec.structs.replace(chain.header(8), state_root=tree.root)
    block = resigned(msgspec.structs.replace(chain.block(8), header=header), FOUR)
    client = chain.client()
    with pytest.raises(LedgerError) as caught:
        client.verify_record(8, b"k", b"v", prove(tree, b"k"))
    assert caught.value.code == "light.untrusted"
    drive(client.update(8), lambda _: block)
    client.verify_record(8, b"k", b"v", prove(tree, b"k"))
    client.verify_record(8, b"m", None, prove(tree, b"m"))
    with pytest.raises(InvalidProof):
        client.verify_record(8, b"k", b"w", prove(tree, b"k"))


def test_the_library_brings_no_node_and_no_store() -> None:
    code = "import sys, ledger.light.client; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(run.stdout.split())
    assert not modules & {"asyncio", "plyvel", "node", "consensus", "p2p", "aiohttp", "sqlite3", "ledger.chain"}
    assert quorum(4) == 3
