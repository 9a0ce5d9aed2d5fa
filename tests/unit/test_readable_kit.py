"""The views of the tests, which read again whatever is written: what they do not let pass."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from ledger.modules.credits.events import Transferred
from ledger.modules.credits.operations import Transfer
from ledger.modules.credits.records import BALANCES, Balance
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from tests.property.pairing_kit import Pair, random_genesis
from tests.readable_kit import require_readable_event
from tests.unit.modules_kit import World

TOO_MUCH = Balance(AMOUNT_MAX + 1)
HOLDER = bytes(32)
UNREADABLE = r"'balance/' was written that cannot be read: .* <= 9223372036854775807"


def test_what_outgrew_its_type_is_not_written() -> None:
    world = World()
    BALANCES.put(world.view, Balance(AMOUNT_MAX), HOLDER)
    for view in (world.view, world.view.child(), world.view.child().child()):
        with pytest.raises(AssertionError, match=UNREADABLE):
            BALANCES.put(view, TOO_MUCH, HOLDER)
    assert BALANCES.get(world.view, HOLDER) == Balance(AMOUNT_MAX)


def test_whatever_is_charged_to_a_quota_is_read_again_too() -> None:
    world = World()
    context = world.context(world.view.child(), world.accounts["alice"], b"")
    with pytest.raises(AssertionError, match=UNREADABLE):
        quota.store(context, "org-alice", BALANCES, TOO_MUCH, HOLDER)
    with pytest.raises(AssertionError, match=UNREADABLE):
        quota.create(context, "org-alice", (BALANCES, TOO_MUCH, (HOLDER,)))
    with pytest.raises(AssertionError, match=UNREADABLE):
        quota.Tally(context).store("org-alice", BALANCES, TOO_MUCH, HOLDER)


@pytest.mark.parametrize("key", [b"nobodys/" + HOLDER, b"nobodys", b"balances/"])
def test_what_no_table_claims_is_not_written(key: bytes) -> None:
    with pytest.raises(AssertionError, match="no table claims"):
        World().view.put(key, b"\x90")


def test_an_event_is_what_its_type_says() -> None:
    require_readable_event(Transferred(HOLDER, HOLDER, 1))
    wrong: Any = "one"
    with pytest.raises(AssertionError, match="cannot be read"):
        require_readable_event(Transferred(HOLDER, HOLDER, wrong))


def test_a_random_life_fails_at_the_block_that_writes_what_cannot_be_read() -> None:
    def outgrow(context: Context, operation: Transfer) -> None:
        BALANCES.put(context.view, TOO_MUCH, operation.recipient)

    pair = Pair(random_genesis(0))
    pair.registry.handlers[Transfer] = outgrow
    sender, recipient = list(pair.state.accounts)[:2]
    sent = pair.transaction(sender, [Transfer(recipient, 1)], Random(1))
    with pytest.raises(AssertionError, match=UNREADABLE):
        pair.let_pass(1, sent)
