"""Members of the consortium: admission without a validator, suspension, removal, quotas, and who counts meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from epochs_kit import Consortium, add, key, make_genesis, rekey, remove

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.governance.operations import (
    AdmitOrganization,
    Founding,
    FoundingAccount,
    Propose,
    RecoverAccount,
    ReinstateOrganization,
    RemoveOrganization,
    SetQuota,
    SuspendOrganization,
    Vote,
)
from ledger.modules.governance.records import Change, proposal_id
from ledger.modules.licenses import operations as licenses
from ledger.modules.organizations.accounts import key_role
from ledger.modules.organizations.operations import (
    AddKey,
    CompleteRecovery,
    OpenAccount,
    Quota,
    RequestRecovery,
    RevokeKey,
)
from ledger.modules.organizations.quota import usage
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from ledger.transaction import decode_transaction
from primitives.codec import CodecError, decode, encode
from primitives.identifiers import account_id, account_to_text, key_to_text
from tests.unit.modules_kit import SUPPLY_EACH, World, seed_key

FRESH = seed_key("fresh").public_key


def six(**parameters: Any) -> Consortium:
    """Four validators of the first four of six organizations."""
    return Consortium(make_genesis(4, 6, **parameters))


def shown(world: Consortium, organization: str) -> Any:
    return world.chain.query("organizations.get", {"organization": organization})


def state_of(world: Consortium, proposal: bytes) -> Any:
    return world.chain.query("governance.proposal", {"proposal": proposal.hex()})


def elm(name: str = "elm") -> AdmitOrganization:
    return AdmitOrganization(name, Founding("Elm", (FoundingAccount(key(name).public_key, bytes(16), "first"),)))


def decide(world: World, change: Change, *voters: str) -> None:
    """Let three members of the modules' world, or those named, propose a change and approve it."""
    voters = voters or ("alice", "bob", "carol")
    world.do(voters[0], Propose(change, ""))
    proposal = proposal_id(world.transaction_id, change)
    for name in voters:
        world.do(name, Vote(proposal, True))


# --- admission


def test_an_organization_comes_in_without_a_validator_and_votes_at_once() -> None:
    """G2: it counts among all from the approval on."""
    world = Consortium()
    epoch = world.chain.epoch
    proposal = world.approve(elm())
    answer = state_of(world, proposal)
    account = account_id(world.network_id, "elm", key("elm").public_key, bytes(16))
    assert (answer.state, answer.organizations, answer.change.founding) == ("approved", 5, "Elm")
    assert answer.change.founding_accounts == (account_to_text(account),)
    assert world.chain.epoch == epoch, "no epoch ends for it"
    world.accounts["elm"] = account
    open_account = OpenAccount(FRESH, bytes(16), "customer")
    assert world.code(world.by("elm", open_account)) == ""
    second, code = world.propose(elm("fir"), by="elm")
    assert code == ""
    assert world.vote(second, "elm", "org-0", "org-1") == ["", "", ""]
    assert state_of(world, second).state == "open", "three of five are not more than two thirds"
    assert world.vote(second, "org-2") == [""]
    assert shown(world, "fir").membership == "active"
    assert world.replayed().head == world.chain.head


def test_an_admission_that_cannot_be_is_refused() -> None:
    """G5's kin: at the proposal, and again at the vote that decides."""
    world = six()
    validator, twice = key("v0").public_key, FoundingAccount(FRESH, bytes(16), "a")
    for change, code in [
        (AdmitOrganization("org-1", elm().founding), "governance.organization_exists"),
        (
            AdmitOrganization("elm", Founding("Elm", (FoundingAccount(validator, bytes(16), "a"),))),
            "governance.key_taken",
        ),
        (
            AdmitOrganization("elm", Founding("Elm", (FoundingAccount(bytes(32), bytes(16), "a"),))),
            "governance.invalid_key",
        ),
        (AdmitOrganization("elm", Founding("Elm", (twice, twice))), "governance.founding_accounts"),
    ]:
        assert world.propose(change)[1] == code, change
    first, second = world.propose(elm())[0], world.propose(elm(), by="org-1")[0]
    everybody = ("org-0", "org-1", "org-2", "org-3", "org-4")
    assert world.vote(first, *everybody) == [""] * 5
    assert world.vote(second, *everybody)[-1] == "governance.organization_exists"
    assert state_of(world, second).state == "open"
    with pytest.raises(CodecError):
        decode(encode(Propose(AdmitOrganization("Elm!", elm().founding), "")), Propose)
    with pytest.raises(CodecError):
        decode(encode(Propose(AdmitOrganization("elm", Founding("Elm", ())), "")), Propose)


# --- suspension


def test_a_suspended_organization_begins_nothing_new() -> None:
    world = World()
    asset = world.register("alice", "A")
    terms = licenses.Terms(rights=("download",), price=1_000)
    decide(world, SuspendOrganization("org-alice"))
    bob, expires_at_ms = world.accounts["bob"], world.now_ms + DAY_MS
    for operation in (
        OpenAccount(FRESH, bytes(16), ""),
        Transfer(bob, 1),
        assets.Commit(bytes(32)),
        world.registration("alice", "B"),
        assets.AddVersion(asset, world.artifact("C"), bytes(16)),
        assets.SetAlias(asset, "stable", 1),
        transfers.OfferGift(Thing("asset", asset), bob, expires_at_ms),
        transfers.Offer(Thing("asset", asset), bob, 1, expires_at_ms),
        licenses.Offer(asset, terms, expires_at_ms),
        licenses.Commit(bytes(32)),
    ):
        world.refused("organizations.suspended", "alice", operation)
    world.refused("organizations.suspended", "alan", Transfer(bob, 1))
    world.do("bob", Transfer(world.accounts["alice"], 1))
    decide(world, ReinstateOrganization("org-alice"), "bob", "carol", "dave")
    world.do("alice", Transfer(bob, 1))


def test_what_runs_goes_on_during_a_suspension() -> None:
    """Escrows, claims, votes, its validators, withdrawals, refunds, and answers to what others wait for."""
    world = World()
    terms = licenses.Terms(rights=("download",), price=1_000)
    sold, pending = world.register("alice", "sold"), world.register("alice", "pending", held=False)
    offer, other = world.offer("alice", sold, terms), world.offer("alice", pending, terms)
    transfer = world.give_transfer("bob", world.register("bob", "given"), "alice")
    unheld = world.register("bob", "unheld", held=False)
    bought = world.buy("alice", world.offer("bob", unheld, terms), terms)
    decide(world, SuspendOrganization("org-alice"))
    world.buy("bob", offer, terms)
    world.do("alice", Withdraw(sold))
    world.do("alice", licenses.WithdrawOffer(other), role="operator")
    world.do("alice", transfers.Withdraw(transfer))
    world.do("alice", AddKey(FRESH, "owner"), RevokeKey(seed_key("alice").public_key))
    world.do(world.validators[0], assets.ReportHeld(pending, 1), role="validator")
    world.advance(world.parameters.escrow_timeout_ms, limit=0)
    world.do("alice", licenses.Claim(bought))
    assert world.balance("alice") == SUPPLY_EACH + 975, "its refund came back, and its earnings are its own"
    world.do("alice", RequestRecovery(world.accounts["alan"], FRESH))
    decide(world, SetQuota("org-bob", None), "alice", "bob", "carol")
    world.check_laws()


def test_suspended_organizations_count_and_vote() -> None:
    """Two thirds of all: a suspension takes nobody's voice, so members cannot be suspended out of a majority."""
    world = six()
    world.approve(SuspendOrganization("org-5"))
    world.approve(SuspendOrganization("org-4"))
    proposal, code = world.propose(SuspendOrganization("org-3"), by="org-5")
    assert code == ""
    assert world.vote(proposal, "org-0", "org-1", "org-2") == [""] * 3
    assert state_of(world, proposal).state == "open"
    assert state_of(world, proposal).organizations == 6
    assert world.vote(proposal, "org-4", "org-5") == ["", ""]
    assert shown(world, "org-3").membership == "suspended"
    assert world.code(world.by("org-3", Transfer(world.accounts["org-0"], 1))) == "organizations.suspended"
    for organization in ("org-0", "org-1", "org-2"):
        world.approve(SuspendOrganization(organization))
    world.approve(ReinstateOrganization("org-0"))
    assert shown(world, "org-0").membership == "active", "even all of them, suspended, find back"
    assert world.replayed().head == world.chain.head


def test_the_validators_of_a_suspended_organization_go_on() -> None:
    world = six()
    world.approve(SuspendOrganization("org-1"))
    assert world.members() == ("v0", "v1", "v2", "v3")
    assert world.code(world.rejoin("v1", 7)) == ""
    world.turn()
    assert world.chain.validators(1)[1].incarnation == 7
    proposal, code = world.propose(rekey("v1", "n1"), by="org-1")
    assert code == "", "it proposes new keys for its validator"
    assert state_of(world, proposal).state == "open"


def test_admission_says_early_what_execution_would() -> None:
    """The pool does not take what would be refused."""
    world = six()
    world.approve(SuspendOrganization("org-5"))
    data = world.by("org-5", Transfer(world.accounts["org-0"], 1))
    error = world.chain.admission_error(decode_transaction(data), world.now_ms)
    assert error is not None
    assert error.code == "organizations.suspended" == world.code(data)
    vote = world.by("org-5", Vote(bytes(32), True))
    assert world.chain.admission_error(decode_transaction(vote), world.now_ms) is None


def test_changes_of_standing_that_are_none_are_refused() -> None:
    world = six()
    assert world.propose(SuspendOrganization("nobody"))[1] == "governance.unknown_organization"
    assert world.propose(ReinstateOrganization("nobody"))[1] == "governance.unknown_organization"
    assert world.propose(ReinstateOrganization("org-5"))[1] == "governance.not_suspended"
    assert world.propose(RemoveOrganization("nobody"))[1] == "governance.unknown_organization"
    first, second = (world.propose(SuspendOrganization("org-5"), by=by)[0] for by in ("org-0", "org-1"))
    everybody = tuple(f"org-{index}" for index in range(5))
    assert world.vote(first, *everybody) == [""] * 5
    assert world.vote(second, *everybody)[-1] == "governance.already_suspended"
    assert world.propose(SuspendOrganization("org-5"))[1] == "governance.already_suspended"


# --- removal


def test_a_removed_organization_has_no_vote_and_does_not_count() -> None:
    """G2: neither later, nor by the votes that it cast before."""
    world = six()
    pending, _ = world.propose(SuspendOrganization("org-0"), by="org-1")
    assert world.vote(pending, "org-5", "org-1", "org-2") == [""] * 3
    world.approve(RemoveOrganization("org-5"))
    answer = state_of(world, pending)
    assert (answer.organizations, answer.approvals) == (5, ("org-5", "org-1", "org-2"))
    assert world.vote(pending, "org-3") == [""]
    assert state_of(world, pending).state == "open", "org-1, org-2 and org-3: three of five"
    assert world.vote(pending, "org-5") == ["organizations.removed"]
    assert world.propose(SuspendOrganization("org-0"), by="org-5")[1] == "organizations.removed"
    assert world.vote(pending, "org-4") == [""]
    assert state_of(world, pending).state == "approved"
    assert world.propose(add("n0", "org-5"))[1] == "governance.unknown_organization"
    assert world.propose(SetQuota("org-5", None))[1] == "governance.unknown_organization"
    assert world.propose(AdmitOrganization("org-5", elm().founding))[1] == "governance.organization_exists"
    assert world.replayed().head == world.chain.head


def test_refusals_of_a_removed_organization_do_not_count_either() -> None:
    world = six()
    pending, _ = world.propose(SuspendOrganization("org-0"), by="org-1")
    assert world.vote(pending, "org-5", approve=False) == [""]
    world.approve(RemoveOrganization("org-5"))
    assert world.vote(pending, "org-4", approve=False) == [""]
    assert state_of(world, pending).state == "open", "four of five can still approve"
    assert world.vote(pending, "org-3", approve=False) == [""]
    assert state_of(world, pending).state == "rejected"


def test_nothing_of_a_removed_organization_is_stranded() -> None:
    """Its accounts withdraw, are refunded, end what they began, and hand on credits and assets."""
    world = World()
    decide(world, elm())
    member = account_id(world.network_id, "elm", key("elm").public_key, bytes(16))
    world.accounts["elm"] = member
    terms = licenses.Terms(rights=("download",), price=1_000)
    world.do("alice", Transfer(member, 5_000))
    asset = world.register("elm", "A")
    offer = world.offer("elm", asset, terms)
    world.buy("bob", offer, terms)
    bought = world.buy("elm", world.offer("bob", world.register("bob", "B", held=False), terms), terms)
    decide(world, RemoveOrganization("elm"), "alice", "bob", "carol", "dave")
    bob, expires_at_ms = world.accounts["bob"], world.now_ms + DAY_MS
    for operation in (
        OpenAccount(FRESH, bytes(16), ""),
        assets.Commit(bytes(32)),
        licenses.Offer(asset, terms, expires_at_ms),
        licenses.Commit(bytes(32)),
        Vote(bytes(32), True),
        RequestRecovery(bob, FRESH),
    ):
        world.refused("organizations.removed", "elm", operation)
    world.do("elm", licenses.WithdrawOffer(offer))
    world.do("elm", Withdraw(asset))
    world.advance(world.parameters.escrow_timeout_ms, limit=0)
    world.do("elm", licenses.Claim(bought))
    assert world.balance("elm") == 5_000 + 975
    world.do("elm", AddKey(FRESH, "owner"))
    world.transfer("elm", asset, "bob", 500)
    world.refused("royalties.nothing_owed", "elm", Withdraw(asset))
    world.do("elm", Transfer(bob, world.balance("elm")))
    assert world.balance("elm") == 0
    assert world.query("assets.get", asset=asset.hex()).manager == account_to_text(bob)
    decide(world, RecoverAccount(member, seed_key("again").public_key))
    assert key_role(world.view, member, seed_key("again").public_key) == "owner"
    world.check_laws()


def test_no_full_quota_keeps_a_removed_organization_from_handing_on_what_it_has() -> None:
    """Nobody could raise it any more."""
    world = World()
    decide(world, elm())
    world.accounts["elm"] = account_id(world.network_id, "elm", key("elm").public_key, bytes(16))
    asset = world.register("elm", "A")
    decide(world, SetQuota("elm", Quota(records=100, bytes=100_000, deadlines=10)), "alice", "bob", "carol", "dave")
    world.do("elm", *(assets.Commit(bytes([index]) * 32) for index in range(10)))
    gift = transfers.OfferGift(Thing("asset", asset), world.accounts["bob"], world.now_ms + 1_000)
    world.refused("organizations.quota_deadlines", "elm", gift)
    decide(world, RemoveOrganization("elm"), "alice", "bob", "carol", "dave")
    world.transfer("elm", asset, "bob")
    world.check_laws()


def test_a_recovery_that_was_requested_before_the_removal_is_completed() -> None:
    world = World()
    founders = tuple(FoundingAccount(key(name).public_key, bytes(16), name) for name in ("elm", "elm 2"))
    decide(world, AdmitOrganization("elm", Founding("Elm", founders)))
    for name in ("elm", "elm 2"):
        world.accounts[name] = account_id(world.network_id, "elm", key(name).public_key, bytes(16))
    world.do("elm", RequestRecovery(world.accounts["elm 2"], FRESH))
    decide(world, RemoveOrganization("elm"), "alice", "bob", "carol", "dave")
    world.advance(world.parameters.recovery_delay_ms)
    world.do("elm", CompleteRecovery(world.accounts["elm 2"]))
    assert key_role(world.view, world.accounts["elm 2"], FRESH) == "owner"


def test_who_validates_or_is_among_the_last_four_is_not_removed() -> None:
    """G1's kin: nor is one whose candidate waits; after its validator has left, it may go."""
    world = six()
    assert world.propose(RemoveOrganization("org-0"))[1] == "governance.organization_validates"
    world.approve(add("n0", "org-4"))
    assert world.propose(RemoveOrganization("org-4"))[1] == "governance.organization_validates"
    first, second = world.propose(RemoveOrganization("org-5"))[0], world.propose(add("n1", "org-5"))[0]
    assert world.vote(second, *(f"org-{index}" for index in range(5)))[-1] == ""
    assert world.vote(first, *(f"org-{index}" for index in range(5)))[-1] == "governance.organization_validates"
    assert world.code(world.ready("n0")) == ""
    assert world.turn() == ("v0", "v1", "v2", "v3", "n0")
    world.approve(remove("v0"))
    assert world.propose(RemoveOrganization("org-0"))[1] == "governance.organization_validates"
    assert world.turn() == ("v1", "v2", "v3", "n0")
    world.approve(RemoveOrganization("org-0"))
    assert shown(world, "org-0").membership == "removed"
    few = World()
    few.refused("governance.organization_validates", "alice", Propose(RemoveOrganization("org-bob"), ""))
    alone = Consortium(make_genesis(1, 4, development=True))
    assert alone.propose(RemoveOrganization("org-3"))[1] == "governance.too_few_organizations"


def test_a_removed_organization_can_be_reinstated_as_it_was() -> None:
    world = six()
    world.approve(RemoveOrganization("org-5"))
    back, _ = world.propose(ReinstateOrganization("org-5"))
    assert world.vote(back, "org-0", "org-1", "org-2", "org-3") == [""] * 4
    proposal, code = world.propose(elm(), by="org-5")
    assert code == ""
    assert state_of(world, proposal).organizations == 6


# --- quotas


def test_the_consortium_sets_the_quota_of_one_organization() -> None:
    world = World()
    world.register("alice", "A")
    used = usage(world.view, "org-alice")
    decide(world, SetQuota("org-alice", Quota(records=100, bytes=100_000, deadlines=10)))
    answer = world.query("organizations.get", organization="org-alice")
    assert (answer.quota_records, answer.quota_bytes, answer.quota_deadlines) == (100, 100_000, 10)
    assert answer.quota_voted
    assert answer.records >= used.records
    left = 10 - usage(world.view, "org-alice").deadlines
    world.do("alice", *(assets.Commit(bytes([index]) * 32) for index in range(left)))
    world.refused("organizations.quota_deadlines", "alan", assets.Commit(bytes([99]) * 32))
    world.do("bob", *(assets.Commit(bytes([index]) * 32) for index in range(20)))
    assert not world.query("organizations.get", organization="org-bob").quota_voted
    decide(world, SetQuota("org-alice", None), "bob", "carol", "dave")
    world.do("alan", assets.Commit(bytes([99]) * 32))
    answer = world.query("organizations.get", organization="org-alice")
    assert answer.quota_deadlines == world.parameters.quota_deadlines_per_organization
    world.check_laws()


def test_a_quota_below_what_is_used_lets_only_give_back() -> None:
    world = World()
    world.do("alice", *(assets.Commit(bytes([index]) * 32) for index in range(20)))
    decide(world, SetQuota("org-alice", Quota(records=100, bytes=100_000, deadlines=10)))
    world.refused("organizations.quota_deadlines", "alice", assets.Commit(bytes([99]) * 32))
    world.advance(world.parameters.commitment_lifetime_ms)
    world.do("alice", assets.Commit(bytes([99]) * 32))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field, low, high in (("records", 100, 10**9), ("bytes", 10**5, 10**12), ("deadlines", 10, 10**7))
        for value in (0, -1, low - 1, high + 1, 2**63, True, 1.5)
    ],
)
def test_no_vote_leaves_the_bounds_of_a_quota(field: str, value: object) -> None:
    """G5: refused at the proposal, before anybody could vote for it."""
    values: dict[str, Any] = {"records": 100, "bytes": 100_000, "deadlines": 10} | {field: value}
    with pytest.raises(CodecError):
        decode(encode(Propose(SetQuota("org-0", Quota(**values)), "")), Propose)


# --- what is shown


def test_every_change_is_shown_with_what_it_is_of() -> None:
    world = six()
    cases: list[tuple[Change, dict[str, Any]]] = [
        (elm(), {"organization": "elm", "founding": "Elm"}),
        (SuspendOrganization("org-5"), {"organization": "org-5"}),
        (RemoveOrganization("org-5"), {"organization": "org-5"}),
        (
            SetQuota("org-5", Quota(100, 100_000, 10)),
            {"organization": "org-5", "quota_records": 100, "quota_bytes": 100_000, "quota_deadlines": 10},
        ),
        (
            RecoverAccount(world.accounts["org-5"], FRESH),
            {"account": account_to_text(world.accounts["org-5"]), "owner_key": key_to_text(FRESH)},
        ),
    ]
    for change, fields in cases:
        proposal, code = world.propose(change)
        assert code == ""
        answer = state_of(world, proposal).change
        assert answer.kind == type(change).__struct_config__.tag
        assert {name: getattr(answer, name) for name in fields} == fields
        assert answer.node_id is None
