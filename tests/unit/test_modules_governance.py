"""Governance of the validator set: who may propose and vote, which limits hold, and what an approval leads to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from epochs_kit import START_MS, WINDOW, Consortium, add, address, certificate, key, make_genesis, node, rekey, remove

from ledger.epochs import current_set, pending_changes
from ledger.errors import LedgerError
from ledger.genesis import validator_account_id
from ledger.modules.governance.operations import (
    AddValidator,
    Founding,
    FoundingAccount,
    Propose,
    RekeyValidator,
    RemoveValidator,
    Vote,
)
from ledger.modules.governance.records import OPEN_PROPOSALS_MAX
from ledger.modules.organizations.operations import AddKey, OpenAccount
from ledger.modules.organizations.quota import usage
from ledger.parameters import HOUR_MS
from primitives.codec import CodecError, decode, encode
from primitives.identifiers import account_id, account_to_text, key_to_text
from primitives.keys import SigningKey

ALL = ("org-0", "org-1", "org-2", "org-3")


def five(**parameters: Any) -> Consortium:
    """Five validators of five organizations."""
    return Consortium(make_genesis(5, **parameters))


def state_of(world: Consortium, proposal: bytes) -> str:
    return str(world.chain.query("governance.proposal", {"proposal": proposal.hex()}).state)


def test_more_than_two_thirds_of_all_organizations_let_a_validator_in() -> None:
    """G2, G3: approved, ready, and in the set from one height on, which the headers have named."""
    world = Consortium()
    proposal, code = world.propose(add("n0", "org-1"), by="org-3")
    assert code == "governance.power", "org-1 would have two of five validators, and only one may fail"
    world = Consortium(make_genesis(4, 5))
    proposal, code = world.propose(add("n0", "org-4"), by="org-3")
    assert code == ""
    assert world.vote(proposal, "org-0", "org-1", "org-2") == ["", "", ""]
    assert state_of(world, proposal) == "open", "3 of 5 is not more than two thirds"
    assert world.vote(proposal, "org-3") == [""]
    assert state_of(world, proposal) == "approved"
    assert world.chain.epoch.end == 0, "nothing ends before the candidate is ready"
    assert [record.node_id for record in world.chain.candidates()] == [node("n0")]
    assert world.code(world.ready("n0")) == ""
    end = world.chain.height + WINDOW
    assert world.chain.epoch.end == end
    assert world.turn() == ("v0", "v1", "v2", "v3", "n0")
    assert world.chain.epoch.base == end
    assert world.chain.candidates() == ()
    entered = world.chain.validators(1)[4]
    assert (entered.organization, entered.address, entered.incarnation) == ("org-4", address("n0"), 0)
    assert world.replayed().head == world.chain.head


def test_removal_ends_the_epoch_when_it_passes() -> None:
    """G3: without anybody's readiness."""
    world = five()
    world.approve(remove("v1"))
    assert world.chain.epoch.end == world.chain.height + WINDOW
    assert world.turn() == ("v0", "v2", "v3", "v4")


def test_the_set_never_falls_below_four() -> None:
    """G1: at the proposal, at the vote, and counting what is approved already."""
    assert Consortium().propose(remove("v0"))[1] == "governance.too_few_validators"
    development = Consortium(make_genesis(4, development=True))
    assert development.propose(remove("v0"))[1] == "governance.too_few_validators"
    world = five()
    first, code = world.propose(remove("v0"))
    second, other = world.propose(remove("v1"))
    assert (code, other) == ("", "")
    assert world.vote(first, *ALL) == [""] * 4
    assert world.vote(second, *ALL) == ["", "", "", "governance.too_few_validators"]
    assert state_of(world, second) == "open"
    assert world.turn() == ("v1", "v2", "v3", "v4")
    assert world.vote(second, "org-3") == ["governance.too_few_validators"]


def test_small_development_networks_grow_and_then_stay() -> None:
    """G1: one to three validators may only become more."""
    world = Consortium(make_genesis(1, development=True))
    assert world.propose(remove("v0"))[1] == "governance.too_few_validators"
    for name in ("n0", "n1"):
        world.approve(add(name, "org-0"))
        assert world.code(world.ready(name)) == ""
        world.turn()
    assert world.members() == ("v0", "n0", "n1")
    assert world.propose(remove("n0"))[1] == "governance.too_few_validators"


def test_one_vote_an_organization_and_the_first_stands() -> None:
    """G2: neither a second vote, nor a second account, nor another key adds one."""
    world = five()
    proposal, _ = world.propose(remove("v4"), by="org-0")
    assert world.vote(proposal, "org-0", "org-0") == ["", "governance.already_voted"]
    assert world.vote(proposal, "org-0", approve=False) == ["governance.already_voted"]
    assert world.vote(proposal, "org-4", "org-4", approve=False) == ["", "governance.already_voted"]
    assert world.vote(proposal, "org-4") == ["governance.already_voted"]
    fresh = SigningKey(bytes([7]) * 32)
    account = world.by("org-1", OpenAccount(fresh.public_key, bytes(16), "customer"))
    key_added = world.by("org-1", AddKey(fresh.public_key, "operator"))
    assert [receipt.code for receipt in world.execute(account, key_added).receipts] == ["", ""]
    opened = account_id(world.network_id, "org-1", fresh.public_key, bytes(16))
    vote = Vote(proposal, True)
    assert world.code(world._build(opened, fresh, [vote])) == "governance.not_a_representative"
    assert world.code(world._build(opened, fresh, [Propose(remove("v3"), "")])) == "governance.not_a_representative"
    assert world.code(world._build(world.accounts["org-1"], fresh, [vote])) == "organizations.key_not_allowed"
    assert world.code(world.by_validator("v1", vote)) == "organizations.key_not_allowed"
    assert world.code(world.by("org-1", vote, vote)) == "governance.already_voted"
    result = world.chain.query("governance.proposal", {"proposal": proposal.hex()})
    assert (result.approvals, result.refusals, result.organizations) == (("org-0",), ("org-4",), 5)


def test_enough_refusals_reject_and_time_ends_a_vote() -> None:
    world = five(voting_period_ms=HOUR_MS)
    used = usage(world.chain.view(), "org-0")
    rejected, _ = world.propose(remove("v1"))
    assert world.vote(rejected, "org-1", approve=False) == [""]
    assert state_of(world, rejected) == "open", "four of five can still approve"
    assert world.vote(rejected, "org-2", approve=False) == [""]
    assert state_of(world, rejected) == "rejected"
    assert world.vote(rejected, "org-0") == ["governance.voting_closed"]
    expired, _ = world.propose(remove("v1"))
    world.vote(expired, "org-0", "org-1", "org-2")
    late = world.execute(step_ms=HOUR_MS)
    assert [receipt.code for receipt in late.receipts] == [""]
    assert state_of(world, expired) == "expired"
    assert world.vote(expired, "org-3") == ["governance.voting_closed"]
    assert world.vote(bytes(32), "org-3") == ["governance.unknown_proposal"]
    assert usage(world.chain.view(), "org-0").deadlines == used.deadlines
    assert usage(world.chain.view(), "org-0").records == used.records + 2
    assert world.chain.epoch.number == 0 == world.chain.epoch.end


def test_an_organization_has_few_open_proposals_and_others_have_theirs() -> None:
    world = five()
    opened = [world.propose(remove(f"v{index % 5}")) for index in range(OPEN_PROPOSALS_MAX)]
    assert [code for _, code in opened] == [""] * OPEN_PROPOSALS_MAX
    assert world.propose(remove("v0"))[1] == "governance.too_many_proposals"
    assert world.propose(remove("v0"), by="org-1")[1] == ""
    assert world.vote(opened[0][0], "org-1", "org-2", approve=False) == ["", ""]
    assert world.propose(remove("v0"))[1] == ""
    change = Propose(remove("v1"), "twice")
    assert world.code(world.by("org-2", change, change)) == "governance.proposal_exists"


def test_a_proposal_that_could_not_take_effect_is_refused() -> None:
    """G5's kin: hostile or mistaken changes end at the proposal, each with a code of its own."""
    world = Consortium(make_genesis(5, 7))
    good = add("n0", "org-5")
    small_order = bytes(32)
    account_key = key("org-2").public_key
    cases: list[tuple[AddValidator | RemoveValidator | RekeyValidator, str]] = [
        (msgspec.structs.replace(good, organization="nobody"), "governance.unknown_organization"),
        (msgspec.structs.replace(good, node_id=node("n1")), "governance.node_id"),
        (msgspec.structs.replace(good, tls_certificate=b"no key"), "governance.tls_certificate"),
        (msgspec.structs.replace(good, tls_certificate=2 * certificate("n0")), "governance.tls_certificate"),
        (msgspec.structs.replace(good, signing_key=small_order), "governance.invalid_key"),
        (msgspec.structs.replace(good, signing_key=account_key), "governance.key_of_account"),
        (add("v0", "org-5"), "governance.key_of_account"),
        (add("v0", "org-5", "n0"), "governance.node_taken"),
        (add("n0", "org-0", "v0"), "governance.key_taken"),
        (add("n0", "org-0"), "governance.power"),
        (remove("n0"), "governance.unknown_validator"),
        (rekey("n0", "n1"), "governance.unknown_validator"),
        (rekey("v0", "v1"), "governance.key_of_account"),
        (msgspec.structs.replace(rekey("v0", "n1"), tls_certificate=certificate("v1")), "governance.node_taken"),
        (
            # Links know one certificate of a node: at its approval this one would cut off a validator that votes.
            msgspec.structs.replace(rekey("v0", "n1"), tls_certificate=certificate("v0") + b", renewed"),
            "governance.tls_certificate",
        ),
    ]
    for change, code in cases:
        assert world.propose(change)[1] == code, change
    assert world.chain.query("governance.proposals", {}) == []
    world.approve(good)
    pending: list[tuple[AddValidator | RemoveValidator | RekeyValidator, str]] = [
        (good, "governance.node_taken"),
        (add("n1", "org-6", "n0"), "governance.key_of_account"),
        (add("n1", "org-5", "n0"), "governance.key_taken"),
        (add("n0", "org-6", "n1"), "governance.node_taken"),
    ]
    for change, code in pending:
        assert world.propose(change)[1] == code, change
    world.approve(remove("v0"))
    assert world.propose(remove("v0"))[1] == "governance.change_pending"
    assert world.propose(rekey("v0", "n3"))[1] == "governance.change_pending"


@pytest.mark.parametrize("bad", ["nohost", "a:b", "host:123456", "", "ho st:1", "x" * 300 + ":1"])
def test_an_address_has_the_form_that_a_genesis_demands(bad: str) -> None:
    with pytest.raises(CodecError):
        decode(encode(Propose(msgspec.structs.replace(add("n0", "org-1"), address=bad), "")), Propose)


def test_a_text_must_be_a_cid() -> None:
    world = five()
    assert world.code(world.by("org-0", Propose(remove("v0"), "why", "b" + "a" * 58))) == "governance.text"


def test_what_was_possible_at_the_proposal_is_asked_again_at_the_vote() -> None:
    """G1: two additions of one organization, each harmless alone."""
    world = Consortium(make_genesis(4, 5))
    first, second = world.propose(add("n0", "org-4"))[0], world.propose(add("n1", "org-4"))[0]
    assert set(world.vote(first, *ALL)) == {""}
    codes = world.vote(second, *ALL)
    assert codes[-1] == "governance.power"
    assert [record.node_id for record in world.chain.candidates()] == [node("n0")]


def test_a_candidate_shows_that_it_follows_before_it_counts() -> None:
    """G3: readiness names a recent block of this very chain, once."""
    world = Consortium(make_genesis(4, 5))
    world.run_to(300)
    account_before = world.ready("n0")
    assert world.execute(account_before).outcomes[-1].mark.code == "transaction.unknown_signer"
    world.approve(add("n0", "org-4"))
    height = world.chain.height
    assert world.code(world.by_validator("v0", *_operations(world, height))) == "validators.not_a_candidate"
    assert world.code(world.ready("n0", height + 50, bytes([1]) * 32)) == "validators.block_not_recent"
    assert world.code(world.ready("n0", world.chain.height - 256)) == "validators.block_not_recent"
    assert world.code(world.ready("n0", height, bytes([1]) * 32)) == "validators.another_block"
    assert world.chain.epoch.end == 0
    assert world.code(world.ready("n0", world.chain.height - 255)) == ""
    assert world.code(world.ready("n0")) == "validators.already_ready"
    assert world.turn()[-1] == "n0"
    assert world.code(world.ready("n0")) == "validators.not_a_candidate"


def _operations(world: Consortium, height: int) -> list[Any]:
    from ledger.block import block_hash
    from ledger.modules.validators.operations import Ready

    header = world.chain.header(height)
    assert header is not None
    return [Ready(height, block_hash(header))]


def test_who_is_not_ready_waits_and_in_the_end_lapses() -> None:
    world = Consortium(make_genesis(5, 6, admission_lifetime_ms=HOUR_MS))
    proposal = world.approve(add("n0", "org-5"))
    world.approve(remove("v4"))
    assert world.turn() == ("v0", "v1", "v2", "v3"), "not ready, so not in the set"
    assert [record.node_id for record in world.chain.candidates()] == [node("n0")]
    assert world.chain.epoch.end == 0
    swept = world.execute(step_ms=HOUR_MS)
    assert len(swept.receipts) == 1, "the deadline of what has taken effect is gone"
    assert swept.membership_changed
    assert world.chain.candidates() == ()
    assert state_of(world, proposal) == "lapsed"
    late = world.by_validator("n0", *_operations(world, world.chain.height), organization="org-5")
    assert world.code(late) == "validators.not_a_candidate"
    world.approve(add("n0", "org-5"))
    assert world.code(world.ready("n0")) == ""
    assert world.turn()[-1] == "n0"


def test_changes_beyond_the_turnover_wait_in_order_for_the_next_epochs() -> None:
    """G3: at most max(1, f) enter an epoch; what waits ends the next epoch by itself."""
    world = Consortium(make_genesis(4, 7))
    for index in range(3):
        world.approve(add(f"n{index}", f"org-{4 + index}"))
    for index in (2, 1, 0):
        assert world.code(world.ready(f"n{index}")) == ""
    assert world.turn() == ("v0", "v1", "v2", "v3", "n0"), "in order of approval, not of readiness"
    assert world.chain.epoch.end == world.chain.epoch.base + WINDOW
    assert world.chain.head.epoch_end == world.chain.epoch.end
    assert world.turn() == ("v0", "v1", "v2", "v3", "n0", "n1")
    assert world.turn() == ("v0", "v1", "v2", "v3", "n0", "n1", "n2")
    assert world.chain.epoch.end == 0
    assert world.replayed().head == world.chain.head


def test_four_validators_can_replace_one_in_a_single_epoch() -> None:
    """G1: the addition makes the removal possible that was approved with it."""
    world = Consortium(make_genesis(4, 5))
    world.approve(add("n0", "org-4"))
    world.approve(remove("v0"))
    assert world.chain.epoch.end
    assert world.turn() == ("v0", "v1", "v2", "v3"), "the newcomer is not ready, so nobody leaves"
    assert world.code(world.ready("n0")) == ""
    assert world.turn() == ("v1", "v2", "v3", "n0")


def test_a_validator_gets_new_keys_when_the_new_node_has_followed() -> None:
    """G4: a mistyped key locks nobody out, and in the new epoch the old account states nothing."""
    from ledger.modules.assets.operations import ReportHeld

    world = Consortium()
    world.approve(rekey("v2", "n0"))
    assert world.chain.epoch.end == 0
    assert world.code(world.ready("n0")) == ""
    assert world.turn() == ("v0", "v1", "n0", "v3")
    entered = world.chain.validators(1)[2]
    assert entered.account == validator_account_id(world.network_id, "org-2", key("n0").public_key)
    old = world.by_validator("v2", ReportHeld(bytes(32), 1), organization="org-2")
    assert world.code(old) == "assets.not_a_validator"
    assert world.code(world.by_validator("n0", ReportHeld(bytes(32), 1))) == "assets.unknown_asset"


def test_another_address_keeps_key_account_and_incarnation() -> None:
    world = Consortium(make_genesis(4))
    assert world.code(world.rejoin("v1", 9)) == ""
    world.turn()
    moved = RekeyValidator(node("v1"), key("v1").public_key, certificate("v1"), "elsewhere.example:7")
    world.approve(moved)
    assert world.code(world.ready("v1")) == ""
    world.now_ms += 1_000
    before = world.chain.validators(1)[1]
    world.turn()
    after = world.chain.validators(2)[1]
    assert after == msgspec.structs.replace(before, address="elsewhere.example:7")
    assert after.incarnation == 9


def test_a_removed_validator_keeps_its_account_without_power_and_may_come_back() -> None:
    """G2: what it says after its removal does not count."""
    world = five()
    world.approve(remove("v4"))
    world.turn()
    for data in (world.rejoin("v4", 3), world.by_validator("v4", *_operations(world, world.chain.height))):
        assert world.code(data) in ("validators.not_a_validator", "validators.not_a_candidate")
    world.approve(add("v4", "org-4"))
    assert world.code(world.ready("v4")) == ""
    assert world.turn() == ("v0", "v1", "v2", "v3", "v4")
    assert world.code(world.rejoin("v4", 3)) == ""


def test_no_account_takes_the_key_of_a_validator() -> None:
    """G4: a validator's key signs statements only."""
    world = five()
    taken = key("v0").public_key
    assert world.code(world.by("org-1", OpenAccount(taken, bytes(16), ""))) == "organizations.validator_key"
    assert world.code(world.by("org-1", AddKey(taken, "owner"))) == "organizations.validator_key"


def test_the_queries_tell_the_state_of_things() -> None:
    world = Consortium(make_genesis(4, 5))
    proposal, _ = world.propose(add("n0", "org-4"))
    shown = world.chain.query("governance.proposals", {"state": "open"})
    assert [item.proposal for item in shown] == [proposal.hex()]
    change = shown[0].change
    assert (change.kind, change.node_id, change.organization) == ("add_validator", node("n0"), "org-4")
    assert change.signing_key == key_to_text(key("n0").public_key)
    assert (shown[0].title, shown[0].proposer) == ("a change", account_to_text(world.accounts["org-0"]))
    assert shown[0].closes_at_ms == START_MS + 100 + world.genesis.parameters.voting_period_ms
    world.vote(proposal, *ALL)
    assert world.chain.query("governance.proposals", {"state": "open"}) == []
    assert [item.state for item in world.chain.query("governance.proposals", {})] == ["approved"]
    waiting = world.chain.query("validators.pending", {})
    assert [(item.kind, item.node_id, item.ready) for item in waiting] == [("add", node("n0"), False)]
    assert waiting[0].address == address("n0")
    epoch = world.chain.query("validators.epoch", {})
    assert (epoch.epoch, epoch.base, epoch.end, epoch.validators, epoch.rejoining) == (0, 0, None, 4, None)
    world.execute(world.ready("n0"), world.rejoin("v3", 5))
    epoch = world.chain.query("validators.epoch", {})
    assert (epoch.end, epoch.rejoining) == (world.chain.height + WINDOW, node("v3"))
    world.turn()
    assert [item.incarnation for item in world.chain.query("validators.list", {})] == [0, 0, 0, 5, 0]
    assert len(world.chain.query("validators.list", {"epoch": "0"})) == 4
    assert world.chain.query("validators.list", {"epoch": "2"}) == ()
    head = world.chain.query("chain.head", {})
    assert (head.epoch, head.epoch_end) == (1, None)
    block = world.chain.query("blocks.get", {"height": world.chain.epoch.base})
    assert block.epoch_end == world.chain.epoch.base
    assert block.next_validator_set_hash != block.validator_set_hash
    with pytest.raises(LedgerError):
        world.chain.query("governance.proposal", {"proposal": "00" * 32})
    assert pending_changes(world.chain.view()) == {}
    assert len(current_set(world.chain.view()).validators) == 5


def founded(name: str = "n0", organization: str = "org-new", **changes: Any) -> AddValidator:
    founder = FoundingAccount(key("founder").public_key, bytes(16), "founder")
    founding = msgspec.structs.replace(Founding("Newcomer", (founder,)), **changes)
    return msgspec.structs.replace(add(name, organization), founding=founding)


def test_an_organization_comes_with_its_first_validator() -> None:
    """Four members of one validator each take in a fifth, which then has a vote."""
    world = Consortium()
    world.approve(founded())
    assert world.code(world.ready("n0")) == ""
    assert world.turn() == ("v0", "v1", "v2", "v3", "n0")
    founder = account_id(world.network_id, "org-new", key("founder").public_key, bytes(16))
    proposal, _ = world.propose(remove("v0"))
    assert world.chain.query("governance.proposal", {"proposal": proposal.hex()}).organizations == 5
    assert world.code(world._build(founder, key("founder"), [Vote(proposal, True)])) == ""
    assert world.chain.query("organizations.get", {"organization": "org-new"}).name == "Newcomer"
    shown = [item for item in world.chain.query("governance.proposals", {}) if item.change.founding]
    assert shown[0].change.founding_accounts == (account_to_text(founder),)
    assert world.replayed().head == world.chain.head


def test_a_founding_is_checked_like_everything_else() -> None:
    world = Consortium()
    founder = FoundingAccount(key("founder").public_key, bytes(16), "founder")
    cases = [
        (founded(organization="org-0"), "governance.organization_exists"),
        (founded(accounts=(founder, founder)), "governance.founding_accounts"),
        (founded(accounts=(FoundingAccount(bytes(32), bytes(16), "x"),)), "governance.invalid_key"),
        (founded(accounts=(FoundingAccount(key("n0").public_key, bytes(16), "x"),)), "governance.key_of_account"),
        (founded(accounts=(FoundingAccount(key("v1").public_key, bytes(16), "x"),)), "governance.key_taken"),
    ]
    for change, code in cases:
        assert world.propose(change)[1] == code
    first, second = (world.propose(founded(name))[0] for name in ("n0", "n1"))
    assert set(world.vote(first, "org-0", "org-1", "org-2")) == {""}
    assert world.vote(second, "org-0", "org-1", "org-2", "org-3")[-1] == "governance.organization_exists"


def test_a_candidate_is_withdrawn_by_its_removal() -> None:
    """A mistyped address blocks neither name nor key for long, and ends no epoch."""
    world = Consortium(make_genesis(4, 5))
    first = world.approve(add("n0", "org-4"))
    world.approve(remove("n0"))
    assert world.chain.candidates() == ()
    assert world.chain.epoch.end == 0
    assert state_of(world, first) == "lapsed"
    world.approve(add("n0", "org-4"))
    assert world.code(world.ready("n0")) == ""
    assert world.turn()[-1] == "n0"
    world.run_to(world.chain.height + 3)
    assert world.execute(step_ms=8 * 24 * HOUR_MS).receipts == (), "no deadline is left"
    assert world.propose(remove("n1"))[1] == "governance.unknown_validator"


def test_what_one_change_makes_possible_for_an_earlier_one_happens_in_the_same_epoch() -> None:
    """G1: the removal was approved counting on n0; n1, approved later, takes its place."""
    world = Consortium(make_genesis(4, 6))
    world.approve(add("n0", "org-4"))
    world.approve(remove("v0"))
    world.approve(add("n1", "org-5"))
    assert world.code(world.ready("n1")) == ""
    assert world.turn() == ("v1", "v2", "v3", "n1")


def test_a_vote_is_too_late_even_where_the_sweep_has_not_come_to_the_proposal() -> None:
    world = five(voting_period_ms=HOUR_MS, deadlines_per_block_max=1)
    data = [world.by(f"org-{index}", Propose(remove(f"v{index}"), "")) for index in range(2)]
    world.execute(*data)
    opened = [bytes.fromhex(item.proposal) for item in world.chain.query("governance.proposals", {})]
    world.now_ms += HOUR_MS
    votes = [world.by("org-2", Vote(proposal, True)) for proposal in opened]
    codes = [receipt.code for receipt in world.execute(*votes).receipts]
    assert codes == ["", "governance.voting_closed", "governance.voting_closed"]
    assert sorted(state_of(world, proposal) for proposal in opened) == ["expired", "open"]


@pytest.mark.parametrize(
    ("where", "bound", "code"),
    [
        ("ledger.membership.PENDING_MAX", 0, "governance.too_many_changes"),
        ("ledger.membership.VALIDATORS_MAX", 4, "governance.too_many_validators"),
        ("ledger.modules.governance.founding.ORGANIZATIONS_MAX", 5, "governance.too_many_organizations"),
    ],
)
def test_validators_organizations_and_changes_are_bounded(
    where: str, bound: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G1: the bound stops the proposal, one more lets it through."""
    founding = Founding("Sixth", (FoundingAccount(key("sixth").public_key, bytes(16), "first"),))
    newcomer = msgspec.structs.replace(add("n0", "org-5"), founding=founding)
    change = newcomer if "founding" in where else add("n0", "org-4")
    monkeypatch.setattr(where, bound)
    assert Consortium(make_genesis(4, 5)).propose(change)[1] == code
    monkeypatch.setattr(where, bound + 1)
    assert Consortium(make_genesis(4, 5)).propose(change)[1] == ""
