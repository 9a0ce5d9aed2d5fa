"""Recovery: who may ask for it, what it freezes and for how long, the veto, the vote, and what it leads to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ledger.errors import InvalidGenesis
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.governance.operations import Propose, RecoverAccount, Vote
from ledger.modules.governance.records import proposal_id
from ledger.modules.licenses import operations as licenses
from ledger.modules.organizations.accounts import key_role
from ledger.modules.organizations.handlers import open_validator_account
from ledger.modules.organizations.operations import (
    AddKey,
    CompleteRecovery,
    OpenAccount,
    RequestRecovery,
    RevokeKey,
    VetoRecovery,
)
from ledger.modules.organizations.quota import usage
from ledger.modules.organizations.records import ACCOUNTS, RECOVERIES
from ledger.modules.organizations.recovery import FREEZE_MS_MAX, REQUESTS_APART_MS
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS, Parameters
from primitives.identifiers import account_id, account_to_text, key_to_text
from tests.unit.modules_kit import SUPPLY_EACH, World, make_genesis, seed_key

FRESH = seed_key("fresh").public_key
OLD = seed_key("alan").public_key
DELAY_MS = 7 * DAY_MS


@pytest.fixture
def world() -> World:
    """A production network: alice and alan speak for one organization, and alan's key is gone."""
    return World(msgspec.structs.replace(make_genesis(), development=False))


def request(world: World, by: str = "alice", of: str = "alan", key: bytes = FRESH) -> None:
    world.do(by, RequestRecovery(world.accounts[of], key))


def pay(world: World, who: str = "alan") -> Transfer:
    return Transfer(world.accounts["bob"], 1)


def show(world: World, who: str = "alan") -> Any:
    return world.query("accounts.get", account=account_to_text(world.accounts[who]))


def propose(world: World, by: str = "alice", key: bytes = FRESH) -> bytes:
    change = RecoverAccount(world.accounts["alan"], key)
    world.do(by, Propose(change, "a lost key"))
    return proposal_id(world.transaction_id, change)


def test_a_recovery_waits_a_week_and_replaces_all_keys(world: World) -> None:
    """G4: the old keys sign nothing any more; until then what the account has stays where it is."""
    world.do("alan", AddKey(seed_key("daily").public_key, "operator"))
    before = usage(world.view, "org-alice")
    request(world)
    world.refused("organizations.frozen", "alan", pay(world))
    shown = show(world)
    assert shown.frozen_until_ms == world.now_ms + FREEZE_MS_MAX
    assert (shown.recovery.state, shown.recovery.owner_key) == ("waiting", key_to_text(FRESH))
    world.advance(DELAY_MS - 1)
    world.refused("organizations.recovery_too_young", "alice", CompleteRecovery(world.accounts["alan"]))
    world.advance(1)
    world.do("alice", CompleteRecovery(world.accounts["alan"]))
    alan = world.accounts["alan"]
    assert [(entry.key, entry.role) for entry in ACCOUNTS.get(world.view, alan).keys] == [(FRESH, "owner")]  # type: ignore[union-attr]
    assert key_role(world.view, alan, OLD) is None
    assert (show(world).frozen_until_ms, show(world).recovery.state) == (None, "completed")
    world.do("alan", pay(world))
    world.refused("organizations.no_recovery", "alice", CompleteRecovery(alan))
    world.advance(REQUESTS_APART_MS)
    assert show(world).recovery is None
    after = usage(world.view, "org-alice")
    assert (after.records, after.deadlines) == (before.records - 1, before.deadlines), "one key of two is left"
    world.check_laws()


def test_a_frozen_account_gives_nothing_and_receives_all_the_same(world: World) -> None:
    asset = world.register("alan", "A")
    own = world.offer("alan", asset, licenses.Terms(rights=("download",), price=1_000))
    others = world.register("bob", "B")
    terms = licenses.Terms(rights=("inference",), price=10)
    offer = world.offer("bob", others, terms)
    expires_at_ms = world.now_ms + DAY_MS
    request(world)
    bob = world.accounts["bob"]
    for operation in (
        pay(world),
        transfers.OfferGift(Thing("asset", asset), bob, expires_at_ms),
        transfers.Offer(Thing("asset", asset), bob, 5, expires_at_ms),
        assets.SetManager(asset, bob),
        assets.Retire(asset),
        licenses.Offer(asset, terms, expires_at_ms),
        world.purchase_operation(offer, terms),
    ):
        world.refused("organizations.frozen", "alan", operation)
    world.do("bob", Transfer(world.accounts["alan"], 7))
    world.buy("bob", own, licenses.Terms(rights=("download",), price=1_000))
    world.do("alan", Withdraw(asset))
    assert world.balance("alan") == SUPPLY_EACH + 7 + 975
    world.do("alan", licenses.WithdrawOffer(own))
    world.do("alan", assets.Commit(bytes(32)))


def test_what_was_offered_before_the_freeze_cannot_be_taken_during_it(world: World) -> None:
    """A thief offers the asset to himself; the freeze comes before he accepts."""
    asset = world.register("alan", "A")
    transfer = world.give_transfer("alan", asset, "bob")
    request(world)
    world.refused("organizations.frozen", "bob", transfers.Accept(transfer, 0))
    world.advance(DAY_MS)
    assert world.query("assets.get", asset=asset.hex()).locked_by is None, "it expires as it would have"


def test_an_owner_key_vetoes_once_and_then_the_consortium_decides(world: World) -> None:
    """G4: a lost key is replaced against a veto by two thirds of all organizations, and by no fewer."""
    request(world)
    world.refused("organizations.key_not_allowed", "alan", VetoRecovery(), role="operator")
    world.do("alan", VetoRecovery())
    world.do("alan", pay(world))
    world.refused("organizations.no_recovery", "alan", VetoRecovery())
    world.advance(DELAY_MS)
    world.refused("organizations.no_recovery", "alice", CompleteRecovery(world.accounts["alan"]))
    again = RequestRecovery(world.accounts["alan"], FRESH)
    assert "30 days" in world.refused("organizations.recovery_needs_vote", "alice", again).message
    proposal = propose(world)
    world.refused("organizations.frozen", "alan", pay(world))
    world.refused("organizations.no_recovery", "alan", VetoRecovery())
    assert show(world).recovery.vote == proposal.hex()
    for name in ("alice", "bob", "carol"):
        assert key_role(world.view, world.accounts["alan"], FRESH) is None
        world.do(name, Vote(proposal, True))
    assert key_role(world.view, world.accounts["alan"], FRESH) == "owner"
    assert show(world).frozen_until_ms is None
    world.check_laws()


def test_after_thirty_days_a_request_is_a_first_one_again(world: World) -> None:
    request(world)
    world.do("alan", VetoRecovery())
    world.advance(REQUESTS_APART_MS - 1)
    again = RequestRecovery(world.accounts["alan"], FRESH)
    world.refused("organizations.recovery_needs_vote", "alice", again)
    world.advance(1)
    world.do("alice", again)
    world.refused("organizations.frozen", "alan", pay(world))
    world.do("alan", VetoRecovery())


def test_a_sweep_that_is_behind_keeps_no_request_alive(world: World) -> None:
    """The record is still there, its deadline due: time decides."""
    request(world)
    world.advance(REQUESTS_APART_MS, limit=0)
    assert show(world).recovery is None
    request(world)
    events = world.advance(0)
    assert events == []
    assert RECOVERIES.get(world.view, world.accounts["alan"]) is not None, "the old deadline is gone"
    world.check_laws()


def test_no_freeze_outlives_fourteen_days_whatever_nobody_does(world: World) -> None:
    """Neither completed nor vetoed nor swept: the freeze ends by the time alone."""
    request(world)
    world.advance(FREEZE_MS_MAX - 1, limit=0)
    world.refused("organizations.frozen", "alan", pay(world))
    world.advance(1, limit=0)
    world.do("alan", pay(world))
    assert show(world).recovery.state == "lapsed"
    world.refused("organizations.no_recovery", "alice", CompleteRecovery(world.accounts["alan"]))


def test_a_vote_freezes_once_and_for_fourteen_days_at_most() -> None:
    """However long the vote lasts, and however often its organization proposes."""
    genesis = make_genesis(voting_period_ms=30 * DAY_MS)
    world = World(msgspec.structs.replace(genesis, development=False))
    propose(world)
    world.do("alan", pay(world))
    request(world)
    world.do("alan", VetoRecovery())
    propose(world, by="bob")
    world.do("alan", pay(world))
    propose(world)
    world.advance(FREEZE_MS_MAX - 1)
    world.refused("organizations.frozen", "alan", pay(world))
    world.advance(1)
    propose(world)
    world.do("alan", pay(world))
    world.advance(REQUESTS_APART_MS - FREEZE_MS_MAX - 1)
    world.refused("organizations.recovery_needs_vote", "alice", RequestRecovery(world.accounts["alan"], FRESH))
    world.advance(1)
    request(world)
    world.check_laws()


@pytest.mark.parametrize("ending", ["rejected", "expired"])
def test_a_vote_that_fails_thaws_the_account(world: World, ending: str) -> None:
    request(world)
    world.do("alan", VetoRecovery())
    proposal = propose(world)
    if ending == "rejected":
        for name in ("bob", "carol"):
            world.do(name, Vote(proposal, False))
    else:
        world.advance(world.parameters.voting_period_ms)
    assert world.query("governance.proposal", proposal=proposal.hex()).state == ending
    assert show(world).frozen_until_ms is None
    world.do("alan", pay(world))
    assert key_role(world.view, world.accounts["alan"], OLD) == "owner"


def test_a_vote_settles_a_request_that_waits(world: World) -> None:
    """And does not lengthen its freeze."""
    request(world)
    until_ms = show(world).frozen_until_ms
    proposal = propose(world, key=seed_key("other").public_key)
    assert show(world).frozen_until_ms == until_ms
    for name in ("alice", "bob", "carol"):
        world.do(name, Vote(proposal, True))
    world.advance(DELAY_MS)
    world.refused("organizations.no_recovery", "alice", CompleteRecovery(world.accounts["alan"]))
    assert key_role(world.view, world.accounts["alan"], FRESH) is None
    assert key_role(world.view, world.accounts["alan"], seed_key("other").public_key) == "owner"


def test_a_key_that_became_a_validators_after_the_request_is_not_given(world: World) -> None:
    alan = world.accounts["alan"]
    request(world)
    proposal = propose(world, by="bob")
    for name in ("alice", "bob"):
        world.do(name, Vote(proposal, True))
    open_validator_account(world.context(world.view, b"", bytes(32)), "org-bob", FRESH)
    world.refused("governance.key_taken", "carol", Vote(proposal, True))
    world.advance(DELAY_MS)
    world.refused("organizations.validator_key", "alice", CompleteRecovery(alan))
    assert key_role(world.view, alan, OLD) == "owner"


def test_only_another_account_that_speaks_for_the_organization_asks(world: World) -> None:
    alan, validator = world.accounts["alan"], world.validators[0]
    key = seed_key("customer").public_key
    world.do("alice", OpenAccount(key, bytes(16), "customer"))
    customer = account_id(world.network_id, "org-alice", key, bytes(16))
    world.refused("organizations.not_vouching", customer, RequestRecovery(alan, FRESH))
    world.refused("organizations.another_organization", "bob", RequestRecovery(alan, FRESH))
    world.refused("organizations.unknown_account", "bob", RequestRecovery(bytes(32), FRESH))
    world.refused("organizations.own_account", "alan", RequestRecovery(alan, FRESH))
    world.refused("organizations.validator_account", "alice", RequestRecovery(validator, FRESH))
    world.refused("organizations.invalid_key", "alice", RequestRecovery(alan, bytes([1]) + bytes(31)))
    signing = seed_key("validator 1").public_key
    world.refused("organizations.validator_key", "alice", RequestRecovery(alan, signing))
    world.refused("organizations.no_recovery", "alice", CompleteRecovery(alan))
    request(world)
    world.refused("organizations.recovery_pending", "alice", RequestRecovery(alan, FRESH))
    world.advance(DELAY_MS)
    world.refused("organizations.another_organization", "bob", CompleteRecovery(alan))
    world.do("alice", RequestRecovery(customer, FRESH))
    world.refused("organizations.not_vouching", customer, CompleteRecovery(alan))
    world.do("alice", CompleteRecovery(alan))
    assert show(world).vouches, "it speaks as it did"


def test_keys_may_change_during_a_freeze_and_are_all_replaced(world: World) -> None:
    """A thief who adds keys gains nothing by it, an owner who revokes the thief's loses nothing."""
    request(world)
    world.do("alan", AddKey(seed_key("thief").public_key, "owner"), RevokeKey(OLD))
    world.advance(DELAY_MS)
    world.do("alice", CompleteRecovery(world.accounts["alan"]))
    assert [entry.key for entry in show(world).keys] == [key_to_text(FRESH)]
    world.check_laws()


def test_no_full_quota_keeps_an_account_from_being_recovered() -> None:
    world = World(make_genesis(quota_records_per_organization=100, quota_deadlines_per_organization=10))
    for index in range(10):
        world.do("alice", assets.Commit(bytes([index]) * 32))
    world.refused("organizations.quota_deadlines", "alice", assets.Commit(bytes([99]) * 32))
    request(world)
    world.do("alan", VetoRecovery())
    propose_refused = Propose(RecoverAccount(world.accounts["alan"], FRESH), "")
    world.refused("organizations.quota_deadlines", "alice", propose_refused)
    proposal = propose(world, by="bob")
    for name in ("alice", "bob", "carol"):
        world.do(name, Vote(proposal, True))
    assert key_role(world.view, world.accounts["alan"], FRESH) == "owner"


def test_a_recovery_that_cannot_be_is_not_proposed(world: World) -> None:
    for account, key, code in [
        (bytes(32), FRESH, "governance.unknown_account"),
        (world.validators[0], FRESH, "governance.validator_account"),
        (world.accounts["alan"], bytes([1]) + bytes(31), "governance.invalid_key"),
        (world.accounts["alan"], seed_key("validator 0").public_key, "governance.key_taken"),
    ]:
        world.refused(code, "bob", Propose(RecoverAccount(account, key), ""))


def test_the_delay_has_a_floor_that_only_development_networks_leave() -> None:
    """G5: the owner's week to veto is not for the founders to give away."""
    for ms, development, fine in [(DELAY_MS, False, True), (DELAY_MS - 1, False, False), (0, True, True)]:
        parameters = Parameters(recovery_delay_ms=ms)
        if fine:
            parameters.validate(development=development)
            continue
        with pytest.raises(InvalidGenesis, match="recovery_delay_ms"):
            parameters.validate(development=development)
    with pytest.raises(InvalidGenesis, match="recovery_delay_ms"):
        Parameters(recovery_delay_ms=10 * DAY_MS + 1).validate(development=True)
