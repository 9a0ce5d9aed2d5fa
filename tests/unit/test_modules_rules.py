"""What each operation states about its signers, and what a suspended, removed or frozen account goes on with."""

from __future__ import annotations

from typing import Final

import pytest

from ledger.errors import OperationError
from ledger.modules.credits.operations import Transfer
from ledger.modules.module import OWNERS, Module, Rule, Standing
from ledger.operations import Registry, default_registry
from tests.unit.ledger_core_kit import OWNERS as KEYS
from tests.unit.ledger_core_kit import TOY, Put, PutIfAbove

GOES_ON: Final = {
    # tag: (while suspended, after removal, while frozen)
    "organizations.open_account": (False, False, True),
    "organizations.add_key": (True, True, True),
    "organizations.revoke_key": (True, True, True),
    "organizations.rotate_key": (True, True, True),
    "organizations.request_recovery": (True, False, True),
    "organizations.complete_recovery": (True, True, True),
    "organizations.veto_recovery": (True, True, True),
    "credits.transfer": (False, True, False),
    "assets.commit": (False, False, True),
    "assets.register": (False, False, True),
    "assets.add_version": (False, False, True),
    "assets.set_alias": (False, False, True),
    "assets.set_manager": (False, False, False),
    "assets.update_metadata": (False, False, True),
    "assets.consent": (False, True, False),
    "assets.withdraw_consent": (True, True, True),
    "assets.retire": (False, False, False),
    "assets.report_held": (True, False, True),
    "licenses.commit": (False, False, True),
    "licenses.offer": (False, False, False),
    "licenses.withdraw_offer": (True, True, True),
    "licenses.purchase": (False, False, False),
    "licenses.renew": (False, False, False),
    "licenses.report_usage": (True, True, True),
    "licenses.set_seats": (True, True, True),
    "licenses.revoke": (True, True, False),
    "licenses.claim": (True, True, True),
    "licenses.approve_derivatives": (True, True, True),
    "royalties.withdraw": (True, True, True),
    "transfers.offer": (False, True, False),
    "transfers.offer_gift": (False, True, False),
    "transfers.accept": (False, False, False),
    "transfers.withdraw": (True, True, True),
    "market.commit": (False, False, True),
    "market.list": (False, True, False),
    "market.buy": (False, False, False),
    "market.withdraw_listing": (True, True, True),
    "market.make_offer": (False, False, False),
    "market.accept_offer": (False, True, False),
    "market.withdraw_offer": (True, True, True),
    "market.open_auction": (False, True, False),
    "market.bid": (False, False, False),
    "market.open_dutch_auction": (False, True, False),
    "market.take": (False, False, False),
    "market.cancel_auction": (True, True, True),
    "market.settle": (True, True, True),
    "attestations.evaluate": (False, False, False),
    "attestations.audit": (False, False, False),
    "attestations.review": (False, False, False),
    "attestations.answer": (True, True, True),
    "attestations.post_bond": (False, False, False),
    "attestations.resign": (True, True, False),
    "disputes.file": (False, False, False),
    "disputes.answer": (True, True, True),
    "disputes.vote": (True, False, True),
    "disputes.appeal": (True, True, False),
    "disputes.lift": (True, True, False),
    "disputes.collect": (True, True, True),
    "charters.propose": (False, False, False),
    "charters.vote": (True, True, False),
    "charters.withdraw": (True, True, True),
    "contributions.propose": (False, False, False),
    "contributions.comment": (False, False, True),
    "contributions.accept": (False, False, False),
    "contributions.refuse": (True, True, True),
    "contributions.withdraw": (True, True, True),
    "contributions.open_bounty": (False, False, False),
    "contributions.claim_bounty": (True, True, True),
    "contributions.award_bounty": (False, False, False),
    "contributions.cancel_bounty": (True, True, True),
    "governance.propose": (True, False, True),
    "governance.vote": (True, False, True),
    "governance.object": (True, False, True),
    "validators.ready": (True, False, True),
    "validators.rejoin": (True, False, True),
    "validators.report_evidence": (True, False, True),
    "observers.register": (False, False, True),
    "observers.withdraw": (True, True, True),
    "development.advance_clock": (True, True, True),
}
"""Said twice, here and in the modules, so that no operation changes sides by an oversight."""


def test_every_operation_goes_on_or_stops_as_the_consortium_has_agreed() -> None:
    rules = default_registry().rules
    stated = {
        str(operation.__struct_config__.tag): (rule.while_suspended, rule.after_removal, rule.while_frozen)
        for operation, rule in rules.items()
    }
    assert stated == GOES_ON
    assert set(rules) == set(default_registry().handlers)


def test_whoever_may_not_move_value_while_suspended_may_hand_it_on_after_removal() -> None:
    """A suspension ends by a vote; a removal may last, and must strand nothing."""
    outgoing = {tag for tag, (_, after_removal, while_frozen) in GOES_ON.items() if after_removal and not while_frozen}
    assert outgoing == {
        "credits.transfer",
        "transfers.offer",
        "transfers.offer_gift",
        "assets.consent",
        "licenses.revoke",
        "market.list",
        "market.accept_offer",
        "market.open_auction",
        "market.open_dutch_auction",
        "attestations.resign",
        "disputes.appeal",
        "disputes.lift",
        "charters.vote",
    }


def test_an_operation_without_a_rule_makes_no_registry() -> None:
    rules = {operation: rule for operation, rule in TOY.rules.items() if operation is not PutIfAbove}
    forgotten = Module(name="toy", operations=TOY.operations, rules=rules)
    with pytest.raises(AssertionError, match=r"toy\.raise states no rule"):
        Registry([forgotten], standing=lambda _view, _account, _key: None)
    stray = Module(name="toy", operations={Put: TOY.operations[Put]}, rules=TOY.rules)
    with pytest.raises(AssertionError, match="none of its operations"):
        Registry([stray], standing=lambda _view, _account, _key: None)


@pytest.mark.parametrize(
    ("standing", "at_ms", "code"),
    [
        (Standing("owner"), 0, ""),
        (Standing("operator"), 0, "organizations.key_not_allowed"),
        (Standing("owner", "suspended"), 0, "organizations.suspended"),
        (Standing("owner", "removed"), 0, "organizations.removed"),
        (Standing("owner", "active", 10), 9, "organizations.frozen"),
        (Standing("owner", "active", 10), 10, ""),
    ],
)
def test_each_limit_has_a_code(standing: Standing, at_ms: int, code: str) -> None:
    strict = Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False)
    module = Module(name="credits", operations={Transfer: TOY.operations[Put]}, rules={Transfer: strict})
    registry = Registry([module], standing=lambda _view, _account, _key: None)
    operation = Transfer(KEYS[0].public_key, 1)
    if not code:
        registry.require_permitted(standing, operation, at_ms)
        return
    with pytest.raises(OperationError) as caught:
        registry.require_permitted(standing, operation, at_ms)
    assert caught.value.code == code
    assert "credits.transfer" in caught.value.message
