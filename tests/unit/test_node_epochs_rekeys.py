"""A validator whose record changes while its key stays: it votes on, and must state that it is ready all the same."""

from __future__ import annotations

import pytest
from epochs_kit import certificate, key, node
from node_epochs_kit import Member

from consensus.messages import Batch, decode_message
from ledger.modules.governance.operations import RekeyValidator
from ledger.modules.validators.operations import Ready
from ledger.transaction import decode_transaction
from p2p.channels import Channel


def batched(member: Member) -> list[bytes]:
    """The transactions that the node has put into batches."""
    batches = [decode_message(payload) for _, channel, payload in member.node.links.sent if channel is Channel.BATCHES]
    return [item for batch in batches if isinstance(batch, Batch) for item in batch.items]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_new_address_takes_effect(restarted: bool) -> None:
    """G3: the node is a member with the key that it had, so nothing else makes it look for a change that waits."""
    member = Member()
    member.node.let_it_vote()
    change = RekeyValidator(node("v0"), key("v0").public_key, certificate("v0"), "elsewhere.example:7000")
    member.world.approve(change)
    member.show(member.certify())
    member.settle()
    if restarted:
        member = member.again("v0")
        member.node.let_it_vote()
    else:
        member.pass_time()  # it has to notice that it has caught up
    member.pass_time(3_000)
    ready = [data for data in batched(member) if isinstance(decode_transaction(data).body.operations[0], Ready)]
    assert ready
    member.world.now_ms = member.node.clock.now_ms()
    member.show(member.end_epoch(ready[-1]))
    member.settle()
    assert member.core.epochs.epoch == 1
    assert member.core.epochs.membership.validators[0].address == "elsewhere.example:7000"
    assert member.core.engine_status().voting
