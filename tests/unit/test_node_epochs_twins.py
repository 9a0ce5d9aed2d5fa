"""A directory whose number the validator set names no more, because another one has rejoined in its place."""

from __future__ import annotations

from node_epochs_kit import Member

from ledger.modules.validators.operations import Rejoin
from ledger.transaction import decode_transaction
from node.wire import TransactionsOffer


def numbers_asked_for(member: Member) -> set[int]:
    """The incarnations that the node has asked to rejoin with."""
    return {
        operation.incarnation
        for _, offer in member.node.said(TransactionsOffer)
        for data in offer.transactions
        for operation in decode_transaction(data).body.operations
        if isinstance(operation, Rejoin)
    }


def test_a_process_that_was_voting_leaves_the_place_to_its_twin_until_it_is_started_again() -> None:
    """R8: if each of two processes with one key rejoined whenever the other has, epochs would never stop ending."""
    member = Member()
    member.node.let_it_vote()
    member.show(member.end_epoch(member.world.rejoin("v0", 7)))
    member.pass_time(20_000)
    assert (member.core.epochs.epoch, member.core.engine_status().voting) == (1, False)
    assert numbers_asked_for(member) == set()
    assert any("another process" in reason for reason in member.core.epochs.why())
    again = member.again("v0")
    again.core.start()
    again.pass_time(20_000)
    assert again.core.epochs.incarnation not in (0, 7)
    assert numbers_asked_for(again) == {again.core.epochs.incarnation}


def test_a_directory_that_was_behind_when_its_validator_rejoined_rejoins() -> None:
    """R5, R6: an empty one, or a copy from before."""
    member = Member()
    member.core.start()
    member.show(member.end_epoch(member.world.rejoin("v0", 7)))
    member.pass_time(20_000)
    assert member.core.epochs.epoch == 1
    assert numbers_asked_for(member) == {member.core.epochs.incarnation}
    assert member.core.epochs.incarnation not in (0, 7)
