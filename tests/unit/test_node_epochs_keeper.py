"""A node goes from epoch to epoch: when, with which engine and log, and what becomes of peers and transactions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from epochs_kit import Consortium, add, key, make_genesis, node, remove
from node_core_kit import Disk, Jobs
from node_epochs_kit import Member, short

from consensus.messages import Batch, BatchRequest, Message, Prepare, decode_message, encode_message
from ledger.block import block_hash
from ledger.errors import StorageError
from ledger.modules.credits.operations import Transfer
from ledger.transaction import build, decode_transaction
from node.engine_setup import log_secret
from node.epoch_keeper import FAREWELL_MS
from node.journal import Journal, LogHead
from node.wire import HeadAnswer, HeadRequest, TransactionsOffer, encode_sync
from p2p.channels import Channel
from primitives.list_root import list_root


def log_head(member: Member, name: str = "v0") -> LogHead:
    """What the vote log on the disk says of itself."""
    return Journal(member.node.disk, Jobs(), member.node.fatal.append, log_secret(key(name))).head


def batches_sent(member: Member) -> list[Batch]:
    found = [decode_message(payload) for _, channel, payload in member.node.links.sent if channel is Channel.BATCHES]
    return [message for message in found if isinstance(message, Batch)]


def test_the_certified_last_block_ends_the_epoch() -> None:
    """G3: another set, another engine above that block, another log."""
    member = Member()
    member.node.let_it_vote()
    assert (member.core.epochs.epoch, log_head(member).epoch) == (0, 0)
    end = member.end_epoch(member.world.rejoin("v1", 7))
    member.show(end)
    status = member.core.engine_status()
    assert (member.core.epochs.epoch, status.epoch, log_head(member).epoch) == (1, 1, 1)
    assert (status.low_watermark, status.last_executed, status.view) == (end.height, end.height, 0)
    assert status.voting, "what was proven of the log in one epoch of this life needs no proof in the next"
    assert [validator.incarnation for validator in member.core.epochs.membership.validators] == [0, 7, 0, 0]
    assert member.node.fatal == []


def test_a_node_that_was_not_proven_is_not_in_the_next_epoch_either() -> None:
    """R6: a copy of an old directory follows through epochs, and waits for Status in each."""
    member = Member()
    member.core.start()
    member.show(member.end_epoch(member.world.rejoin("v1", 7)))
    assert member.core.epochs.epoch == 1
    assert "waits for the Status" in member.core.engine_status().silent_because
    member.node.hear_status(1, 2)
    assert member.core.engine_status().voting


def test_only_the_last_block_ends_an_epoch() -> None:
    """A certificate of a lower block tells the end and changes nothing else."""
    member = Member()
    member.node.let_it_vote()
    member.world.execute(member.world.rejoin("v1", 7))
    end = member.world.chain.epoch.end
    member.world.run_to(end - 1)
    member.show(member.certify())
    member.settle()
    assert member.core.head.header.height == end - 1
    assert (member.core.epochs.epoch, member.core.engine_status().epoch_end) == (0, end)
    member.world.run_to(end)
    assert member.core.epochs.epoch == 0
    member.show(member.certify())
    member.settle()
    assert member.core.epochs.epoch == 1


def test_several_epochs_are_followed_one_after_the_other() -> None:
    """G3, L6: the certificates of the newest epoch mean nothing to a node that does not know its validators."""
    world = Consortium(make_genesis(development=True, rejoin_interval_ms=0))
    member = Member("v0", world)
    member.core.start()
    for incarnation in (1, 2, 3):
        member.end_epoch(world.rejoin("v1", incarnation))
        world.execute()
    world.execute()
    top = member.certify()
    member.show(top)
    assert member.core.head.header.height == 0, "it cannot verify this"
    for _ in range(3):
        member.node.hear_status(1, epoch=3)
        member.answer()
        member.settle()
    asked = [(peer, request.epoch) for peer, request in member.node.said(HeadRequest)]
    assert asked == [(node("v1"), epoch) for epoch in range(3)], "whoever is ahead is asked how our epoch ended"
    assert member.core.epochs.epoch == 3
    member.show(top)
    member.settle()
    assert member.core.head.header.height == top.height
    assert member.node.fatal == []


def test_a_ledger_that_cannot_tell_the_next_set_ends_the_node() -> None:
    """D4"""
    member = Member()
    member.core.start()
    failure = StorageError("storage.failed", "no space")

    class Failing:
        def __getattr__(self, name: str) -> object:
            def fail(*_: object) -> None:
                raise failure

            return fail if name == "membership" else getattr(service, name)

    service = member.node.executor.service
    member.node.executor.service = Failing()
    member.show(member.end_epoch(member.world.rejoin("v1", 7)))
    assert member.node.fatal == [failure]


def test_the_last_certificate_is_durable_before_the_log_of_the_epoch_goes() -> None:
    """R4: a loss of power must not leave the ledger in the old epoch, and its votes forgotten."""
    member = Member(world=Consortium(make_genesis(1, development=True)))
    member.core.start()
    asked: list[int] = []
    ledger_call = member.node.executor.call

    def call(method: str, arguments: Any, answer: Any) -> None:
        if method == "add_certificate":
            certificate, durably = arguments
            if durably:
                asked.append(certificate.height)
                assert log_head(member).epoch == certificate.epoch
        ledger_call(method, arguments, answer)

    member.node.executor.call = call  # type: ignore[method-assign]
    assert member.node.submit(member.world.rejoin("v0", 7))[0].code == ""
    end = member.core.epochs.membership.base
    assert (member.core.epochs.epoch, end, log_head(member).epoch) == (1, 1 + 8, 1)
    assert asked == [end]


def test_what_was_to_leave_with_a_sync_stays_when_the_epoch_has_ended_meanwhile() -> None:
    """Its receivers have other ids by now, and none of them counts it."""
    member = Member()
    member.node.let_it_vote()
    member.node.jobs.held = True
    member.node.submit(transfer_of(member))
    end = member.end_epoch(member.world.rejoin("v1", 7))
    member.core.synchronizer.need(end, ())
    member.answer()
    assert member.core.epochs.epoch == 1
    member.node.links.sent.clear()
    member.answered = 0
    member.node.jobs.held = False
    member.node.jobs.go_on()
    sent = [decode_message(payload) for _, channel, payload in member.node.links.sent if channel is not Channel.SYNC]
    assert {message.epoch for message in sent} == {1}


@pytest.mark.parametrize("restarts", ["before the log", "after"])
def test_a_restart_at_the_end_of_an_epoch_finds_the_next_one(restarts: str) -> None:
    """R4: the ledger tells the epoch; a log of the epoch before holds nothing that counts."""
    member = Member()
    member.node.let_it_vote()
    if restarts == "before the log":
        member.node.jobs.held = True
    member.show(member.end_epoch(member.world.rejoin("v1", 7)))
    assert log_head(member).epoch == (restarts == "after")
    again = member.again("v0")
    again.node.let_it_vote()
    assert (again.core.epochs.epoch, log_head(again).epoch, again.core.engine_status().voting) == (1, 1, True)
    assert again.core.engine_status().low_watermark == again.core.head.header.height


def test_a_restart_in_the_midst_of_an_epoch_that_will_end_knows_the_end() -> None:
    """R4"""
    member = Member()
    member.core.start()
    member.world.execute(member.world.rejoin("v1", 7))
    member.world.run_to(4)
    member.show(member.certify())
    member.settle()
    assert member.core.head.header.height == 4
    again = member.again("v0")
    again.node.let_it_vote()
    assert again.core.engine_status().epoch_end == 1 + 8
    again.show(again.end_epoch())
    again.settle()
    assert again.core.epochs.epoch == 1


# --- what peers say


def test_whoever_is_ahead_is_asked_once_a_period() -> None:
    """N8: a message of a later epoch costs nobody more than one question."""
    member = Member()
    member.core.start()
    member.node.links.sent.clear()
    ahead = encode_message(BatchRequest(5, (bytes(32),)))
    for _ in range(100):
        for peer in ("v1", "v2"):
            member.core.on_payload(node(peer), Channel.BATCHES, ahead)
    asked = [(peer, (request.epoch, request.height)) for peer, request in member.node.said(HeadRequest)]
    assert asked == [(node("v1"), (0, 0)), (node("v2"), (0, 0))]
    member.node.clock.advance(60_000)
    member.core.on_payload(node("v1"), Channel.BATCHES, ahead)
    assert len(member.node.said(HeadRequest)) == 3


def test_whoever_is_behind_is_shown_how_its_epoch_ended() -> None:
    """L6, G3: also one that asks nothing, for it does not know that there is another epoch."""
    member = Member()
    member.core.start()
    end = member.end_epoch(member.world.rejoin("v1", 7))
    member.show(end)
    assert member.core.epochs.epoch == 1
    member.node.hear_status(2, epoch=0)
    assert member.node.said(HeadAnswer) == [(node("v2"), HeadAnswer(end))]
    member.node.clock.advance(1_000)
    member.node.hear_status(2, epoch=0, stable=end)
    assert len(member.node.said(HeadAnswer)) == 1, "it has this one"
    member.core.on_payload(node("v2"), Channel.BATCHES, encode_message(BatchRequest(0, (bytes(32),))))
    assert len(member.node.said(HeadAnswer)) == 1, "only a Status tells where it stands"


def test_certificates_that_do_not_hold_move_nobody() -> None:
    """L13, S12: forged, of strangers, of an epoch that is not ours."""
    member = Member()
    member.node.let_it_vote()
    end = member.end_epoch(member.world.rejoin("v1", 7))
    member.world.execute()
    following = member.certify()
    few = msgspec.structs.replace(end, signatures=end.signatures[:2])
    other = msgspec.structs.replace(end, block_hash=bytes(32))
    sooner = msgspec.structs.replace(end, epoch_end=end.height + 1)
    for wrong in (few, other, sooner, following):
        member.show(wrong)
        member.settle()
    status = member.core.engine_status()
    assert (member.core.epochs.epoch, status.epoch_end, status.stable_checkpoint) == (0, 0, 0)
    assert member.core.head.header.height == 0
    member.show(end)
    assert member.core.epochs.epoch == 1


def test_messages_of_the_old_epoch_count_for_nothing_in_the_new_one() -> None:
    """S10: replayed for ever after."""
    member = Member()
    member.node.let_it_vote()
    data = transfer_of(member)
    old: list[Message] = [
        member.node.signed(Batch(0, 2, 1, 1, list_root((data,)), (data,), bytes(64))),
        member.node.signed(Prepare(0, 2, 1, 0, 10, bytes(32), bytes(64))),
        member.node.signed(Prepare(0, 0, 99, 0, 10, bytes(32), bytes(64))),
    ]
    member.show(member.end_epoch(member.world.rejoin("v1", 7)))
    before = member.core.engine_status()
    for message in old:
        channel = Channel.BATCHES if isinstance(message, Batch) else Channel.CONSENSUS
        member.core.on_payload(node("v2"), channel, encode_message(message))
    assert member.core.engine_status() == before
    assert member.node.links.complaints == [], "it is late, and no lie"


# --- peers


def test_a_removed_peer_keeps_its_link_for_a_while() -> None:
    """It has to learn that its epoch has ended, and how."""
    member = Member(validators=5)
    member.node.let_it_vote()
    everyone = ["v0", "v1", "v2", "v3", "v4"]
    assert member.registered == everyone
    member.world.approve(remove("v4"))
    member.show(member.end_epoch())
    assert short(member.core.epochs.node_ids) == everyone[:4]
    assert member.registered == everyone
    member.core.epochs.register()  # as a block that changes the set would ask for
    assert member.registered == everyone
    member.node.clock.advance(FAREWELL_MS - 1)
    assert member.registered == everyone
    member.node.clock.advance(1)
    assert member.registered == everyone[:4]
    member.core.stop()
    assert member.node.clock.timers == 0


def test_a_stop_during_the_farewell_leaves_no_timer() -> None:
    member = Member(validators=5)
    member.core.start()
    member.world.approve(remove("v4"))
    member.show(member.end_epoch())
    member.core.stop()
    assert member.node.clock.timers == 0


def test_an_approved_candidate_is_registered_before_it_is_in_the_set() -> None:
    """Else it could not follow, and following is the condition for being let in."""
    member = Member("v0", Consortium(make_genesis(4, 5)))
    member.core.start()
    member.world.approve(add("n0", "org-4"))
    member.show(member.certify())
    member.settle()
    assert member.core.head.header.height == member.world.chain.height
    assert member.registered == ["n0", "v0", "v1", "v2", "v3"]
    assert short(member.core.epochs.node_ids) == ["v0", "v1", "v2", "v3"]


# --- transactions


def transfer_of(member: Member) -> bytes:
    return build(
        network_id=member.node.network_id,
        sender=member.world.accounts["org-0"],
        key=key("org-0"),
        operations=[Transfer(member.world.accounts["org-1"], 1)],
        expires_at_ms=member.node.clock.now_ms() + 100_000,
    )


def test_what_an_epoch_left_undecided_goes_into_batches_of_the_next() -> None:
    """Nothing that was taken is lost with the epoch."""
    member = Member()
    member.node.let_it_vote()
    data = transfer_of(member)
    assert member.node.submit(data)[0].code == ""
    assert [(batch.epoch, batch.items) for batch in batches_sent(member)[:1]] == [(0, (data,))]
    member.show(member.end_epoch(member.world.rejoin("v1", 7)))
    member.node.links.sent.clear()
    member.answered = 0
    member.node.clock.advance(5_000)
    assert {(batch.epoch, batch.items) for batch in batches_sent(member)} == {(1, (data,))}


def test_what_the_ended_epoch_did_decide_is_not_offered_again() -> None:
    member = Member()
    member.node.let_it_vote()
    data = transfer_of(member)
    member.node.submit(data)
    member.world.execute(data)
    member.show(member.end_epoch(member.world.rejoin("v1", 7)))
    member.node.links.sent.clear()
    member.answered = 0
    member.node.clock.advance(5_000)
    assert (batches_sent(member), len(member.core.pool)) == ([], 0)


def test_batches_of_an_author_that_left_are_taken_over() -> None:
    """The others hold what a removed validator had promised to its clients."""
    member = Member(validators=5)
    member.node.let_it_vote()
    data = transfer_of(member)
    batch = member.node.signed(Batch(0, 4, 1, 1, list_root((data,)), (data,), bytes(64)))
    member.core.on_payload(node("v4"), Channel.BATCHES, encode_message(batch))
    member.world.approve(remove("v4"))
    member.show(member.end_epoch())
    assert len(member.core.pool) == 1
    member.node.clock.advance(5_000)
    assert (1, (data,)) in {(found.epoch, found.items) for found in batches_sent(member)}


def test_batches_of_an_author_that_stays_are_its_own_affair() -> None:
    member = Member()
    member.node.let_it_vote()
    data = transfer_of(member)
    batch = member.node.signed(Batch(0, 2, 1, 1, list_root((data,)), (data,), bytes(64)))
    member.core.on_payload(node("v2"), Channel.BATCHES, encode_message(batch))
    member.show(member.end_epoch(member.world.rejoin("v1", 7)))
    assert (member.core.epochs.epoch, len(member.core.pool)) == (1, 0)


# --- leaving and coming


def test_a_removed_validator_follows_on_without_a_vote() -> None:
    member = Member("v4", validators=5)
    member.node.let_it_vote()
    member.world.approve(remove("v4"))
    member.show(member.end_epoch())
    assert member.core.epochs.follows_only
    assert (member.core.epochs.replica_id, member.core.own_account) == (None, b"")
    assert "this node is not in the validator set, it follows the others" in member.core.status().why
    member.world.execute()
    member.certify()
    member.pass_time()
    assert member.core.certified_height == member.world.chain.height
    data = transfer_of(member)
    member.node.submit(data)
    member.node.clock.advance(5_000)
    assert {offer.transactions for _, offer in member.node.said(TransactionsOffer)} == {(data,)}


def test_a_candidate_says_that_it_is_ready_and_takes_its_place() -> None:
    """G3: the whole way of a fifth validator, at its own node."""
    world = Consortium(make_genesis(4, 5))
    world.approve(add("n0", "org-4"))
    member = Member("n0", world)
    member.core.start()
    assert member.core.epochs.follows_only
    member.certify()
    member.pass_time()
    offers = [offer.transactions for _, offer in member.node.said(TransactionsOffer)]
    assert offers, "it asks the validators to order its word"
    world.now_ms = member.node.clock.now_ms()
    assert world.code(offers[-1][0]) == ""
    member.end_epoch()
    member.settle()
    assert (member.core.epochs.epoch, member.core.epochs.follows_only) == (1, False)
    assert member.core.epochs.replica_id == 4
    member.node.hear_status(0, 1, 2)
    assert member.core.engine_status().voting
    assert member.node.fatal == []


def test_a_validator_that_lost_its_log_rejoins_by_itself() -> None:
    """R5, R7: silent in its epoch, one word to the ledger, and a vote in the epoch that says its number."""
    earlier = Member("v1")
    block = earlier.world.execute()
    encoded = earlier.world.chain.encoded_block(1)
    assert encoded is not None
    earlier.node.chain.replay(encoded, expected_hash=block_hash(block.header))
    lost = Member("v1", earlier.world, store=earlier.node.store)
    lost.core.start()
    lost.node.hear_status(0, 2, 3)
    assert lost.core.engine_status().outdated
    lost.pass_time(6_000)
    offers = {offer.transactions for _, offer in lost.node.said(TransactionsOffer)}
    assert len(offers) >= 1
    lost.world.now_ms = lost.node.clock.now_ms()
    lost.end_epoch(offers.pop()[0])
    lost.settle()
    epochs = lost.core.epochs
    assert (epochs.epoch, epochs.replica_id, epochs.follows_only) == (1, 1, False)
    assert epochs.membership.validators[1].incarnation == epochs.incarnation > 0
    lost.node.hear_status(0, 2)
    assert lost.core.engine_status().voting
    again = lost.again("v1")
    again.core.start()
    again.node.hear_status(0, 2)
    assert again.core.engine_status().voting, "the number is in its log as well"


def forgotten_vote(member: Member, position: int = 9) -> bytes:
    """A message with the node's own signature, from above its log."""
    return encode_message(member.node.signed(Prepare(0, 0, position, 0, 1, bytes(32), bytes(64))))


def about_to_go_on() -> Member:
    """A node that waits for the last blocks of its epoch, with a record that waits for a slow disk."""
    member = Member()
    member.node.let_it_vote()
    end = member.end_epoch(member.world.rejoin("v1", 7))
    member.core.on_payload(node("v1"), Channel.SYNC, encode_sync(HeadAnswer(end)))
    member.node.jobs.held = True
    data = transfer_of(member)
    held = member.node.signed(Batch(0, 2, 1, 1, list_root((data,)), (data,), bytes(64)))
    member.core.on_payload(node("v2"), Channel.BATCHES, encode_message(held))
    member.core.on_payload(node("v1"), Channel.CONSENSUS, forgotten_vote(member))
    assert member.core.engine_status().outdated
    return member


def test_a_number_that_was_drawn_silences_in_every_epoch_until_the_rejoin() -> None:
    """R6: the epoch may end for another reason; number and silence go together."""
    member = about_to_go_on()
    member.node.jobs.go_on()
    drawn = member.core.epochs.incarnation
    member.answer()
    assert member.core.epochs.epoch == 1
    member.node.jobs.held = False
    member.node.jobs.go_on()
    member.node.hear_status(1, 2, 3)
    epochs = member.core.epochs
    assert member.core.engine_status().outdated
    assert log_head(member).incarnation == epochs.incarnation == drawn > 0, "the rejoin under way names this one"
    assert any("votes were lost" in sentence for sentence in member.core.status().why)
    member.pass_time(6_000)
    assert member.node.said(TransactionsOffer), "it asks to rejoin"
    assert member.node.fatal == []


def test_an_old_log_of_an_epoch_that_ended_first_draws_no_number() -> None:
    """R6: positions begin anew with each epoch, so the gate of the next one judges again."""
    member = about_to_go_on()
    member.answer()
    assert member.core.epochs.epoch == 1
    member.node.jobs.held = False
    member.node.jobs.go_on()
    assert (member.core.epochs.incarnation, log_head(member).incarnation) == (0, 0)
    assert "waits for the Status" in member.core.engine_status().silent_because
    member.node.hear_status(1, 2, seen=4)
    assert member.core.engine_status().outdated
    assert log_head(member).incarnation == member.core.epochs.incarnation > 0
    assert member.node.fatal == []


@pytest.mark.parametrize("restarts", [False, True])
def test_a_removed_validator_with_a_number_is_let_in_again(restarts: bool) -> None:
    """G3, R5: its new record begins without a number, while its directory still has the one of its last rejoin."""
    member = Member("v4", Consortium(make_genesis(5, development=True, rejoin_interval_ms=0)), disk=numbered("v4", 66))
    world = member.world
    member.core.start()
    member.show(member.end_epoch(world.rejoin("v4", 66)))
    member.node.hear_status(0, 1, 2, 3)
    assert (member.core.epochs.epoch, member.core.engine_status().voting) == (1, True)
    world.approve(remove("v4"))
    member.show(member.end_epoch())
    member.settle()
    assert (member.core.epochs.epoch, member.core.epochs.replica_id) == (2, None)
    if restarts:
        member = member.again("v4")
        member.core.start()
    world.approve(add("v4", "org-4"))
    member.show(member.end_epoch(world.ready("v4")))
    member.settle()
    assert (member.core.epochs.epoch, member.core.epochs.replica_id) == (3, 4)
    member.pass_time(6_000)
    if restarts:  # it cannot know that no other life of it was let in: an epoch more
        world.now_ms = member.node.clock.now_ms()
        member.show(member.end_epoch(newest(member)))
        member.settle()
    member.node.hear_status(0, 1, 2, 3)
    assert member.core.engine_status().voting, member.core.status().why
    assert member.core.epochs.membership.validators[4].incarnation == member.core.epochs.incarnation
    assert member.node.fatal == []


def newest(member: Member) -> bytes:
    """Of the transactions that the node gave to validators, the one that expires last."""
    offered: list[bytes] = [data for _, offer in member.node.said(TransactionsOffer) for data in offer.transactions]
    return max(offered, key=lambda data: decode_transaction(data).body.expires_at_ms)


def numbered(name: str, incarnation: int) -> Disk:
    """A disk with a log that was begun under a number."""
    disk = Disk()
    Journal(disk, Jobs(), lambda _: None, log_secret(key(name))).begin(0, incarnation, ())
    return disk
