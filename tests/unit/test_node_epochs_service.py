"""What the ledger tells the deciding parts of epochs: who validates, what is certified, which blocks one answer has."""

from __future__ import annotations

from typing import Any

import pytest
from epochs_kit import Consortium, add, key, make_genesis, node, rekey, remove
from sync_kit import take, trust_of

from ledger.block import decode_block
from ledger.chain import Chain
from ledger.state.store import MemoryStore
from node.chain_service import BlocksTaken, ChainService
from primitives.codec import encode
from primitives.finality import FinalityCertificate

END = 9
"""The height at which the first epoch of `changed` ends: a change at height 1, and the window."""


def changed(**genesis: Any) -> Consortium:
    """A chain whose first epoch has ended, with some blocks of the second. Its ends and its head are certified."""
    world = Consortium(make_genesis(**genesis))
    world.execute(world.rejoin("v1", 7))
    assert world.chain.epoch.end == END
    world.run_to(END)
    world.chain.add_certificate(world.certify(END))
    world.run_to(END + 4)
    world.chain.add_certificate(world.certify(END + 3))
    return world


@pytest.fixture(scope="module")
def world() -> Consortium:
    return changed()


@pytest.fixture(scope="module")
def service(world: Consortium) -> ChainService:
    return ChainService(world.chain)


def follower(world: Consortium) -> ChainService:
    return ChainService(Chain.open(MemoryStore(), world.genesis))


def fetch(source: ChainService, target: ChainService, first: int, last: int) -> BlocksTaken:
    blocks, headers, certificate = source.blocks(first, last)
    assert certificate is not None
    return take(target, blocks, headers, certificate, trust_of(target._chain, certificate.epoch))


# --- certificates


@pytest.mark.parametrize(
    ("epoch", "height", "found"),
    [
        (0, 0, END),
        (0, END - 1, END),
        (0, END, None),
        (0, END + 5, None),
        (1, 0, END + 3),
        (1, END, END + 3),
        (1, END + 3, None),
        (2, 0, None),
        (2**40, 0, None),
    ],
)
def test_the_highest_certificate_of_an_epoch_is_told(
    service: ChainService, epoch: int, height: int, found: int | None
) -> None:
    """L6: of an epoch that has ended it is that of the last block, for ever; of one that is not known, none."""
    certificate = service.head_certificate(epoch, height)
    assert (None if certificate is None else (certificate.epoch, certificate.height)) == (
        None if found is None else (epoch, found)
    )


def test_before_anything_is_certified_there_is_nothing_to_tell() -> None:
    world = Consortium()
    world.run_to(3)
    assert ChainService(world.chain).head_certificate(0, 0) is None


def test_a_certificate_of_the_last_block_says_so() -> None:
    """A node that holds it knows the end without having executed anything."""
    certificate = ChainService(changed().chain).head_certificate(0, 0)
    assert certificate is not None
    assert certificate.height == certificate.epoch_end == END


# --- blocks


@pytest.mark.parametrize(
    ("first", "last", "blocks", "certified"),
    [
        (1, 100, END, END),
        (1, END, END, END),
        (END, END + 2, 1, END),
        (END - 1, END, 2, END),
        (END + 1, END + 100, 3, END + 3),
        (END + 2, END + 2, 1, END + 3),
        (2, 4, 3, END),
    ],
)
def test_one_answer_stays_within_one_epoch(
    service: ChainService, first: int, last: int, blocks: int, certified: int
) -> None:
    """G3: the asker learns the next validators from the last block, and could not verify what follows it before."""
    found, headers, certificate = service.blocks(first, last)
    assert certificate is not None
    assert (len(found), certificate.height) == (blocks, certified)
    assert len(headers) == certified - (first + blocks - 1)


def test_a_new_chain_follows_over_the_end_of_an_epoch(world: Consortium, service: ChainService) -> None:
    """G3"""
    target = follower(world)
    for first, reached in ((1, END), (END + 1, END + 3)):
        taken = fetch(service, target, first, 100)
        assert taken.refusal is None
        assert target.head().header.height == target.head().certified_height == reached
    assert target.opening().membership == service.opening().membership


def test_blocks_of_an_epoch_that_is_not_known_yet_are_refused(world: Consortium, service: ChainService) -> None:
    """I12: nobody can say who had to sign them."""
    taken = take(follower(world), *service.blocks(END + 1, 100))
    assert (taken.results, taken.refusal and taken.refusal.code) == ((), "sync.epoch")


def test_a_range_over_the_end_of_an_epoch_is_refused(world: Consortium, service: ChainService) -> None:
    """S10: the validators of one epoch must not sign for blocks of another."""
    first, headers, _ = service.blocks(1, 100)
    second, trail, certificate = service.blocks(END + 1, 100)
    assert certificate is not None
    target = follower(world)
    for blocks, behind in (([*first, *second], [*headers, *trail]), (first, [_header(data) for data in second])):
        taken = take(target, blocks, behind, certificate)
        assert (taken.results, taken.refusal and taken.refusal.code) == ((), "sync.epoch")
    assert target.head().header.height == 0


def test_a_range_over_the_end_is_refused_although_both_sets_are_known(world: Consortium, service: ChainService) -> None:
    """S10: a quorum of the new set says nothing about blocks of the old one."""
    target = follower(world)
    assert fetch(service, target, 1, END).refusal is None
    first, _, _ = service.blocks(1, END)
    second, headers, certificate = service.blocks(END + 1, 100)
    assert certificate is not None
    taken = take(target, [first[-1], *second], headers, certificate)
    assert (taken.results, taken.refusal and taken.refusal.code) == ((), "sync.epoch")
    assert take(target, second, headers, certificate).refusal is None


@pytest.mark.parametrize("beyond", [False, True])
def test_another_past_that_old_keys_sign_is_the_liars_fault_and_not_ours(world: Consortium, beyond: bool) -> None:
    """S9, S10: the set of an ended epoch, its keys long out of use, can sign a second history of that epoch.

    Whoever shows it has lied; the node must not take itself for diverged, and stop. `beyond`: up to above our head.
    """
    fork = Consortium(world.genesis)
    fork.run_to(END + 10)
    reached = END + 8 if beyond else END - 2
    fork.chain.add_certificate(fork.certify(reached))
    target = follower(world)
    for first in (1, END + 1):
        assert fetch(ChainService(world.chain), target, first, END + 3).refusal is None
    head = target.head()
    taken = fetch(ChainService(fork.chain), target, head.header.height + 1 if beyond else 1, reached)
    assert (taken.results, taken.refusal and taken.refusal.code) == ((), "sync.forked")
    assert target.head() == head


def _header(data: bytes) -> bytes:
    return encode(decode_block(data).header)


@pytest.mark.parametrize("field", ["epoch", "epoch_end"])
def test_a_certificate_that_tells_another_epoch_or_end_is_refused(
    world: Consortium, service: ChainService, field: str
) -> None:
    """S10, S12: both are inside what was signed."""
    blocks, headers, certificate = service.blocks(1, 100)
    assert certificate is not None
    values = {name: getattr(certificate, name) for name in FinalityCertificate.__struct_fields__}
    forged = FinalityCertificate(**(values | {field: values[field] + 1}))
    taken = take(follower(world), blocks, headers, forged)
    assert taken.results == ()
    assert taken.refusal is not None
    assert taken.refusal.code == ("sync.epoch" if field == "epoch" else "sync.certificate")


# --- who validates


def test_consensus_is_in_the_epoch_of_the_head_until_its_last_block_is_certified() -> None:
    """R4: what a restart begins with. The chain itself is in the next epoch as soon as the last block is executed."""
    world = Consortium()
    service = ChainService(world.chain)
    world.execute(world.rejoin("v1", 7))
    seen = []
    for height in range(1, END + 1):
        world.run_to(height)
        seen.append((service.opening().membership.epoch, service.opening().membership.base))
    assert seen == [(0, 0)] * END
    world.chain.add_certificate(world.certify(END))
    opening = service.opening()
    assert (opening.membership.epoch, opening.membership.base, opening.stable) == (1, END, None)
    assert opening.membership.validators[1].incarnation == 7
    world.execute()
    assert (service.opening().membership.epoch, service.opening().stable) == (1, None)
    world.chain.add_certificate(world.certify(END + 1))
    stable = service.opening().stable
    assert stable is not None
    assert stable.height == END + 1


def test_the_first_epoch_begins_with_the_genesis() -> None:
    opening = ChainService(Consortium().chain).opening()
    assert (opening.membership.epoch, opening.membership.base, opening.stable) == (0, 0, None)
    assert opening.membership.node_ids == [node(f"v{index}") for index in range(4)]


def test_a_place_in_the_set_needs_the_node_and_its_key() -> None:
    """A node with its old key after a change has no place; nor has the key on another node."""
    members = ChainService(Consortium().chain).membership(0)
    assert [members.index_of(node(f"v{index}"), key(f"v{index}").public_key) for index in range(4)] == [0, 1, 2, 3]
    assert members.index_of(node("v1"), key("v2").public_key) is None
    assert members.index_of(node("n0"), key("v1").public_key) is None
    assert members.index_of(node("v1"), None) is None


# --- peers


def names(service: ChainService, epoch: int) -> list[str]:
    known = {node(name): name for name in [*(f"v{index}" for index in range(5)), "n0", "n1"]}
    return sorted(known[peer.node_id] for peer in service.peers(epoch))


def test_candidates_are_peers_and_removed_members_until_their_epoch_is_over() -> None:
    """Who follows needs links before it has a vote; who leaves, until it knows."""
    world = Consortium(make_genesis(5, 6))
    service = ChainService(world.chain)
    everyone = ["v0", "v1", "v2", "v3", "v4"]
    assert names(service, 0) == everyone
    world.approve(add("n0", "org-5"))
    assert names(service, 0) == ["n0", *everyone]
    world.approve(remove("v4"))
    world.turn()
    assert names(service, 0) == ["n0", *everyone], "while consensus is in the epoch before"
    assert names(service, 1) == ["n0", *everyone[:4]]


def test_a_peer_is_told_with_the_certificate_and_address_that_the_ledger_has() -> None:
    world = Consortium()
    peer = next(peer for peer in ChainService(world.chain).peers(0) if peer.node_id == node("v2"))
    assert (peer.address, peer.tls_certificate) == (
        "v2.example:7000",
        world.chain.validators(0)[2].tls_certificate,
    )


# --- one's own standing


def standing(world: Consortium, name: str, signer: str | None = None) -> Any:
    return ChainService(world.chain).standing(node(name), key(signer or name).public_key)


def test_a_member_is_told_its_number_and_what_its_rejoin_will_bring() -> None:
    """R5"""
    world = Consortium()
    before = standing(world, "v1")
    assert (before.is_member, before.incarnation, before.rejoin_pending, before.is_candidate) == (True, 0, 0, False)
    world.execute(world.rejoin("v1", 7))
    assert (standing(world, "v1").incarnation, standing(world, "v1").rejoin_pending) == (0, 7)
    assert standing(world, "v2").rejoin_pending == 0, "it is another's"
    world.turn()
    assert (standing(world, "v1").incarnation, standing(world, "v1").rejoin_pending) == (7, 0)


def test_a_candidate_is_one_until_it_has_said_that_it_is_ready() -> None:
    world = Consortium(make_genesis(4, 5))
    world.approve(add("n0", "org-4"))
    found = standing(world, "n0")
    assert (found.is_member, found.is_candidate) == (False, True)
    assert found.account
    world.chain.add_certificate(world.certify(2))
    assert standing(world, "n0").certified_height == 2
    assert world.code(world.ready("n0")) == ""
    assert not standing(world, "n0").is_candidate
    world.turn()
    assert (standing(world, "n0").is_member, standing(world, "n0").is_candidate) == (True, False)


def test_a_changed_key_is_a_candidate_while_the_old_one_is_a_member() -> None:
    """The same node, and the two keys on it, each with an account of its own."""
    world = Consortium()
    world.approve(rekey("v3", "n1"))
    old, new = standing(world, "v3"), standing(world, "n1")
    assert (old.is_member, old.is_candidate) == (True, False)
    assert (new.is_member, new.is_candidate) == (False, True)
    assert old.account != new.account


def test_a_stranger_has_no_account() -> None:
    found = standing(Consortium(), "n5")
    assert (found.account, found.is_member, found.is_candidate, found.incarnation) == (b"", False, False, 0)
    assert standing(Consortium(), "v1", "v2").account == b""
