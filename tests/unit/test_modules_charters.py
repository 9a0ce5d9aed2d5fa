"""Owners decide together: charters, proposals, votes, and what comes of them."""

from __future__ import annotations

import msgspec
import pytest

from ledger.errors import OperationError
from ledger.modules.assets import operations as assets
from ledger.modules.assets.charter import Charter, Majority
from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.assets.records import ALIASES, ASSETS, OWNERSHIP, AliasTarget
from ledger.modules.charters import operations as charters
from ledger.modules.charters.adopted import CHARTERS
from ledger.modules.charters.adoption import check_charter
from ledger.modules.charters.records import OPEN_MAX
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses import operations as licenses
from ledger.modules.market import operations as market
from ledger.modules.organizations.membership import remove
from ledger.modules.organizations.operations import Quota
from ledger.modules.organizations.quota import set_quota
from ledger.modules.organizations.records import USAGE, Usage
from ledger.modules.royalties.operations import Withdraw
from ledger.parameters import DAY_MS
from primitives.codec import CodecError, decode, encode
from tests.unit.charters_kit import PERIOD_MS, SIMPLE, STRONG, USE, Owners, a_charter
from tests.unit.modules_kit import World

# --- the charter itself


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("charters.unordered", {"voted": ("terms", "management")}),
        ("charters.unordered", {"voted_aliases": ("a", "a")}),
        ("charters.alias_reserved", {"voted_aliases": ("latest",)}),
        ("charters.charter_majority", {"charter": Majority(5_000, 6_666)}),
        ("charters.charter_majority", {"charter": Majority(4_999, 6_667)}),
        ("charters.charter_easier", {"payments": Majority(6_001, 5_001)}),
        ("charters.charter_easier", {"terms": Majority(1, 7_001)}),
        ("charters.dissolution_easier", {"dissolution": Majority(6_000, 6_999)}),
    ],
)
def test_a_charter_whose_parts_do_not_fit_is_refused(code: str, fields: dict[str, object]) -> None:
    with pytest.raises(OperationError) as caught:
        check_charter(a_charter(**fields))
    assert caught.value.code == code
    world = World()
    world.commit("alice", "A")
    world.refused(code, "alice", world.registration("alice", "A", charter=a_charter(**fields)))


@pytest.mark.parametrize(
    "fields",
    [
        {"drag_along_bps": 6_666},
        {"drag_along_bps": 10_001},
        {"treasury_bps": 5_001},
        {"voting_period_ms": 59_999},
        {"voting_period_ms": 30 * DAY_MS + 1},
        {"terms": Majority(6_668, 5_001)},
        {"terms": Majority(5_000, 5_000)},
        {"terms": Majority(5_000, 9_001)},
        {"terms": Majority(0, 5_001)},
    ],
)
def test_no_charter_leaves_its_bounds(fields: dict[str, object]) -> None:
    """So that no asset becomes undecidable for ever, and nobody is dragged along by fewer than two thirds."""
    with pytest.raises(CodecError):
        decode(encode(a_charter(**fields)), Charter)


def test_an_asset_without_a_charter_has_no_votes() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.refused("charters.no_charter", "alice", charters.Propose(asset, charters.Dissolve()))
    world.refused("assets.unknown_asset", "alice", charters.Propose(bytes(32), charters.Dissolve()))


# --- proposing and voting


def test_owners_move_an_alias_and_nobody_else_does() -> None:
    """`production` moves by a vote only; the manager goes on moving the others."""
    world = Owners(voted_aliases=("production",))
    world.refused("charters.vote_required", "alice", assets.SetAlias(world.asset, "production", 1))
    world.do("alice", assets.SetAlias(world.asset, "stable", 1))
    proposal = world.propose("bob", charters.PointAlias("production", 1))
    world.vote(proposal, "bob")
    assert world.fate(proposal) == ("open", "")
    assert ALIASES.get(world.view, world.asset, b"production") is None
    events = world.vote(proposal, "alice")
    assert ALIASES.get(world.view, world.asset, b"production") == AliasTarget(1)
    assert [type(event).__name__ for event in events] == ["Voted", "AliasSet", "Executed"]
    assert world.fate(proposal) == ("executed", "")
    world.refused("charters.voting_closed", "carol", charters.Vote(proposal, approve=True))
    world.check_laws()


def test_the_manager_offers_licenses_only_as_decided() -> None:
    world = Owners(voted=("management", "terms"))
    operation = licenses.Offer(world.asset, USE, world.now_ms + DAY_MS)
    world.refused("charters.vote_required", "alice", operation)
    decided = world.decide(world.terms(), "alice", "carol")
    assert decided.state == "executed"
    identifier = next(event.offer for event in world.events if hasattr(event, "offer"))
    world.refused("charters.vote_required", "alice", licenses.WithdrawOffer(identifier))
    grant = world.buy("dave", identifier, USE)
    assert grant
    assert world.decide(charters.WithdrawTerms(identifier), "alice", "bob").state == "executed"
    world.refused("licenses.unknown_offer", "dave", world.purchase_operation(identifier, USE))
    other = world.register("alice", "B")
    foreign = world.offer("alice", other, USE)
    world.refused("charters.another_asset", "bob", charters.Propose(world.asset, charters.WithdrawTerms(foreign)))
    world.check_laws()


def test_a_manager_is_named_by_a_vote_where_the_charter_says_so() -> None:
    world = Owners(voted=("management",))
    replacing = assets.SetManager(world.asset, world.accounts["bob"])
    world.refused("charters.vote_required", "alice", replacing)
    assert world.decide(charters.NameManager(world.accounts["bob"]), "bob", "alice").state == "executed"
    assert require_asset(world.view, world.asset).manager == world.accounts["bob"]
    free = Owners(("bob", 3_000))
    free.do("alice", assets.SetManager(free.asset, free.accounts["bob"]))
    assert require_asset(free.view, free.asset).manager == free.accounts["bob"]


def test_who_may_propose_and_vote() -> None:
    world = Owners()
    action = charters.NameManager(world.accounts["bob"])
    world.refused("charters.not_an_owner", "dave", charters.Propose(world.asset, action))
    world.refused("charters.text", "alice", charters.Propose(world.asset, action, text="b" + "a" * 58))
    twice = charters.Propose(world.asset, action)
    world.refused("charters.proposal_exists", "alice", twice, twice)
    proposal = world.propose("alice", action)
    world.refused("charters.no_vote", "dave", charters.Vote(proposal, approve=True))
    world.refused("charters.unknown_proposal", "alice", charters.Vote(bytes(32), approve=True))
    world.vote(proposal, "bob")
    world.refused("charters.already_voted", "bob", charters.Vote(proposal, approve=False))
    world.refused("charters.not_the_proposer", "bob", charters.Withdraw(proposal))
    world.do("alice", charters.Withdraw(proposal))
    assert world.fate(proposal) == ("withdrawn", "")
    world.refused("charters.voting_closed", "alice", charters.Withdraw(proposal))
    world.check_laws()


def test_what_cannot_be_done_is_not_proposed() -> None:
    """As things stand; the refusal is that of the operation itself."""
    world = Owners()
    for code, action in (
        ("assets.unknown_version", charters.PointAlias("stable", 2)),
        ("assets.alias_reserved", charters.PointAlias("latest", 1)),
        ("assets.invalid_manager", charters.NameManager(bytes(32))),
        ("credits.insufficient", charters.Pay(world.accounts["dave"], 1)),
        ("charters.invalid_recipient", charters.Pay(bytes(32), 1)),
        ("licenses.unknown_offer", charters.WithdrawTerms(bytes(32))),
        ("market.unknown_offer", charters.SellWhole(bytes(32))),
        ("charters.charter_majority", charters.ChangeCharter(a_charter(charter=SIMPLE))),
    ):
        world.refused(code, "alice", charters.Propose(world.asset, action))


def test_proposals_of_one_organization_keep_nobody_else_from_proposing() -> None:
    """The attack: an owner of a sliver fills all places for proposals."""
    world = Owners()
    world.transfer("carol", world.share(1), "dave")
    opened = [world.propose("dave", charters.PointAlias(f"a{number}", 1)) for number in range(OPEN_MAX)]
    world.refused(
        "charters.too_many_proposals", "dave", charters.Propose(world.asset, charters.PointAlias("one-more", 1))
    )
    world.propose("alice", charters.PointAlias("stable", 1))
    world.do("dave", charters.Withdraw(opened[0]))
    world.propose("dave", charters.PointAlias("one-more", 1))
    world.advance(PERIOD_MS)
    assert {world.fate(proposal)[0] for proposal in opened} == {"withdrawn", "rejected"}
    world.check_laws()


def test_a_share_sold_after_the_proposal_votes_once_and_by_its_seller() -> None:
    """The attack: vote, sell the share to a friend, and vote again with it."""
    world = Owners()
    proposal = world.propose("alice", charters.NameManager(world.accounts["bob"]))
    world.vote(proposal, "carol")
    world.transfer("carol", world.share(2_000), "dave", 1_000)
    world.refused("charters.no_vote", "dave", charters.Vote(proposal, approve=True))
    world.transfer("bob", world.share(3_000), "dave", 1_000)
    world.vote(proposal, "bob", approve=False)
    assert [(voter.bps, voter.approve) for voter in world.proposal(proposal).voters if voter.approve is not None] == [
        (bps, approve)
        for _, bps, approve in sorted(
            [(world.accounts["bob"], 3_000, False), (world.accounts["carol"], 2_000, True)], key=lambda one: one[0]
        )
    ]
    later = world.propose("dave", charters.PointAlias("stable", 1))
    assert {voter.account: voter.bps for voter in world.proposal(later).voters} == {
        world.accounts["alice"]: 5_000,
        world.accounts["dave"]: 5_000,
    }


def test_a_vote_ends_early_only_when_no_further_vote_can_change_it() -> None:
    world = Owners(("bob", 3_000), ("carol", 2_000), terms=Majority(6_000, 6_000), charter=Majority(6_000, 7_000))
    proposal = world.propose("alice", world.terms())
    world.vote(proposal, "alice")  # 5,000 of 10,000: no quorum yet
    assert world.fate(proposal)[0] == "open"
    world.vote(proposal, "carol", approve=False)  # a quorum, and 71 percent; bob's vote against it would make it 50
    assert world.fate(proposal)[0] == "open"
    world.advance(PERIOD_MS)
    assert world.fate(proposal)[0] == "executed"
    against = world.propose("alice", world.terms())
    world.vote(against, "bob", "carol", approve=False)
    assert world.fate(against) == ("rejected", "")
    silent = world.propose("alice", world.terms())
    world.vote(silent, "alice")
    world.advance(PERIOD_MS)
    assert world.fate(silent) == ("rejected", ""), "5,000 bps are no quorum"
    world.check_laws()


def test_what_fails_at_the_end_says_why_and_changes_nothing() -> None:
    world = Owners(treasury_bps=2_000)
    world.license("alice", world.asset, "dave", USE)
    first = world.propose("alice", charters.Pay(world.accounts["dave"], world.set_aside))
    second = world.propose("bob", charters.Pay(world.accounts["dave"], world.set_aside))
    world.vote(first, "alice", "bob")
    assert world.fate(first) == ("executed", "")
    before = world.balance("dave")
    events = world.vote(second, "alice", "bob")
    assert world.fate(second) == ("failed", "credits.insufficient")
    assert [type(event).__name__ for event in events] == ["Voted", "Voted", "Failed"]
    assert world.balance("dave") == before
    world.check_laws()


def test_what_was_proposed_to_earlier_owners_or_under_another_charter_lapses() -> None:
    world = Owners()
    proposal = world.propose("alice", charters.NameManager(world.accounts["bob"]))
    changed = world.decide(charters.ChangeCharter(a_charter(treasury_bps=100)), "alice", "bob")
    assert changed.state == "executed"
    world.vote(proposal, "alice", "bob")
    assert world.fate(proposal) == ("failed", "charters.lapsed")
    sold = world.propose("alice", charters.NameManager(world.accounts["bob"]))
    offer = world.bid("dave", 1_000_000)
    assert world.decide(charters.SellWhole(offer), "alice", "bob").state == "executed"
    world.vote(sold, "alice")
    world.advance(PERIOD_MS)
    assert world.fate(sold) == ("failed", "charters.lapsed")
    assert require_asset(world.view, world.asset).manager == world.accounts["dave"]
    world.check_laws()


# --- the treasury


def test_the_treasury_gets_its_rate_of_all_income_to_the_unit() -> None:
    world = Owners(treasury_bps=1_234)
    odd = msgspec.structs.replace(USE, price=10_001)
    for _ in range(7):
        world.license("alice", world.asset, "dave", odd)
    fee = (7 * 10_001 * 250) // 10_000
    income = 7 * 10_001 - fee
    assert world.set_aside == income * 1_234 // 10_000
    assert sum(world.owed(who, world.asset) for who in ("alice", "bob", "carol")) <= income - world.set_aside
    world.check_laws()


def test_a_sale_of_the_whole_is_no_income_and_pays_the_treasury_out_to_its_sellers() -> None:
    world = Owners(treasury_bps=5_000)
    world.license("alice", world.asset, "dave", USE)
    income = 975_000
    assert world.set_aside == income // 2
    offer = world.bid("dave", 2_000_000)
    assert world.decide(charters.SellWhole(offer), "alice", "bob").state == "executed"
    assert world.set_aside == 0
    due = income + 2_000_000 - 50_000
    assert [world.owed(who, world.asset) for who in ("alice", "bob", "carol")] == [due // 2, due * 3 // 10, due // 5]
    assert world.owed("dave", world.asset) == 0
    assert CHARTERS.get(world.view, world.asset) is not None, "the charter stays, and dave alone decides by it"
    assert world.decide_alone("dave", charters.Dissolve()) == "executed"
    world.check_laws()


def test_who_is_paid_does_not_vote_on_it() -> None:
    """The attack: a majority pays the treasury to itself."""
    world = Owners(treasury_bps=5_000)
    world.license("alice", world.asset, "dave", USE)
    proposal = world.propose("alice", charters.Pay(world.accounts["alan"], world.set_aside))
    assert {voter.account for voter in world.proposal(proposal).voters} == {
        world.accounts["bob"],
        world.accounts["carol"],
    }
    world.refused("charters.no_vote", "alice", charters.Vote(proposal, approve=True))
    world.vote(proposal, "carol")
    world.vote(proposal, "bob", approve=False)
    assert world.fate(proposal)[0] == "rejected"
    alone = Owners(("alan", 1_000), treasury_bps=5_000)
    alone.license("alice", alone.asset, "dave", USE)
    assert alone.decide(charters.Pay(alone.accounts["alan"], 5), "alice").state == "executed"


def test_who_owned_everything_does_not_pay_itself_when_it_has_sold_a_share() -> None:
    """The attack: propose to pay everything to oneself, sell half of the asset with half of the treasury, and vote."""
    world = Owners(("alan", 1_000), treasury_bps=5_000)
    world.license("alice", world.asset, "dave", USE)
    proposal = world.propose("alice", charters.Pay(world.accounts["alan"], world.set_aside))
    world.transfer("alice", world.share(5_000), "bob", price=300_000)
    world.vote(proposal, "alice")
    assert world.fate(proposal) == ("failed", "charters.lapsed")
    assert world.set_aside
    world.check_laws()


def test_a_payment_is_carried_by_what_its_voters_still_have() -> None:
    """The attack: propose to pay a friend everything, sell most of the asset with most of the treasury, and vote."""
    world = Owners(("bob", 1_000), treasury_bps=5_000)
    world.license("alice", world.asset, "dave", USE)
    proposal = world.propose("alice", charters.Pay(world.accounts["dave"], world.set_aside))
    world.transfer("alice", world.share(5_000), "carol", price=300_000)
    world.vote(proposal, "alice")
    assert world.fate(proposal) == ("failed", "charters.lapsed")
    assert world.set_aside
    later = world.propose("carol", charters.Pay(world.accounts["dave"], 1_000))
    world.transfer("carol", world.share(100), "bob", price=10_000)
    world.vote(later, "carol", "bob")
    assert world.fate(later) == ("executed", ""), "what is left of the votes carries it"
    world.check_laws()


def test_a_share_is_not_bought_after_the_treasury_has_paid() -> None:
    """The attack: list a share for what its part of the treasury is worth, and empty that before it is bought. Who buys
    the whole gets nothing of the treasury, and goes on."""
    world = Owners(("bob", 1_000), treasury_bps=5_000)
    world.license("alice", world.asset, "dave", USE)
    ends_ms = world.now_ms + DAY_MS
    listed = market.List(world.share(5_000), 300_000, ends_ms)
    whole = world.bid("dave", 2_000_000)
    world.do("alice", listed)
    listing = market.listing_id(world.transaction_id, listed.thing)
    assert world.decide(charters.Pay(world.accounts["dave"], world.set_aside), "alice").state == "executed"
    world.refused("market.condition_changed", "carol", market.Buy(listing, 300_000))
    world.do("alice", market.WithdrawListing(listing))
    sale = world.propose("alice", charters.SellWhole(whole))
    world.vote(sale, "alice")
    assert world.fate(sale) == ("executed", "")
    world.check_laws()


def test_what_takes_all_owners_takes_those_who_bought_a_share_since() -> None:
    """The attack: sell a share that nobody can be dragged along with, and then lower that by a vote of before."""
    world = Owners(("bob", 3_000), drag_along_bps=10_000, least_price=5_000_000)
    proposal = world.propose("alice", charters.ChangeCharter(a_charter()))
    world.transfer("alice", world.share(2_000), "carol", price=1_000_000)
    world.vote(proposal, "alice", "bob")
    assert world.fate(proposal) == ("failed", "charters.lapsed")
    offer = world.bid("dave", 5_000_000)
    sale = world.propose("alice", charters.SellWhole(offer))
    world.transfer("bob", world.share(1_000), "carol")
    world.vote(sale, "alice", "bob", "carol")
    assert world.fate(sale) == ("executed", ""), "carol has agreed, with whatever share"
    world.check_laws()


def test_a_dissolution_pays_the_treasury_out_by_shares_and_ends_the_votes() -> None:
    world = Owners(treasury_bps=1_000, voted=("terms",))
    world.license_by_vote("dave")
    left = world.propose("alice", charters.PointAlias("stable", 1))
    held = world.set_aside
    assert held == 97_500
    before = [world.owed(who, world.asset) for who in ("alice", "bob", "carol")]
    assert world.decide(charters.Dissolve(), "alice", "carol").state == "executed"
    after = [world.owed(who, world.asset) for who in ("alice", "bob", "carol")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [held // 2, held * 3 // 10, held // 5]
    world.refused("charters.no_charter", "alice", charters.Propose(world.asset, charters.Dissolve()))
    world.vote(left, "alice", "bob")
    assert world.fate(left) == ("failed", "charters.lapsed")
    world.license("alice", world.asset, "dave", USE)
    assert world.set_aside == 0
    assert len(ownership(world.view, world.asset).shares) == 3
    world.do("carol", Withdraw(world.asset))
    world.check_laws()


# --- who stands in the way


def test_the_charter_is_changed_by_its_own_majority_and_that_of_what_it_touches() -> None:
    payments = Majority(6_000, 9_000)
    world = Owners(payments=payments, charter=Majority(6_000, 9_000), dissolution=Majority(6_000, 9_000))
    easier = a_charter(payments=SIMPLE, charter=Majority(6_000, 9_000), dissolution=Majority(6_000, 9_000))
    proposal = world.propose("alice", charters.ChangeCharter(easier))
    assert world.proposal(proposal).required.threshold_bps == 9_000
    world.vote(proposal, "alice", "bob")
    world.vote(proposal, "carol", approve=False)
    assert world.fate(proposal)[0] == "rejected"
    plain = Owners()
    for weaker in ({"drag_along_bps": 7_499}, {"least_price": 0}):
        safe = plain if "drag_along_bps" in weaker else Owners(least_price=5)
        identifier = safe.propose("alice", charters.ChangeCharter(a_charter(**weaker)))
        assert safe.proposal(identifier).required.of_all_bps == 10_000
        safe.vote(identifier, "alice", "bob")
        assert safe.fate(identifier)[0] == "open"
        safe.vote(identifier, "carol", approve=False)
        assert safe.fate(identifier)[0] == "rejected"


def test_few_who_vote_do_not_change_the_charter_of_the_others() -> None:
    world = Owners(("bob", 3_000), ("carol", 2_500), charter=Majority(5_000, 6_667), dissolution=STRONG)
    proposal = world.propose("alice", charters.ChangeCharter(a_charter(treasury_bps=5_000)))
    world.vote(proposal, "alice")
    world.vote(proposal, "carol", approve=False)  # 7,000 vote; 64 percent for it
    world.advance(PERIOD_MS)
    assert world.fate(proposal)[0] == "rejected"
    with_bob = world.propose("alice", charters.ChangeCharter(a_charter(treasury_bps=5_000)))
    world.vote(with_bob, "bob", "carol")  # all who vote, and more than half of all
    world.advance(PERIOD_MS)
    assert world.fate(with_bob)[0] == "executed"


def test_credits_move_as_before_for_an_asset_without_a_charter() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.license("alice", asset, "dave", USE)
    assert world.owed("alice", asset) == 975_000
    world.do("dave", Transfer(world.accounts["alice"], 5))
    world.check_laws()


def test_queries_tell_charter_votes_and_power() -> None:
    world = Owners(treasury_bps=1_000, voted_aliases=("production",), least_price=7)
    proposal = world.propose("alice", charters.PointAlias("production", 1))
    world.vote(proposal, "carol", approve=False)
    charter = world.query("charters.get", asset=world.asset.hex())
    assert (charter.revision, charter.treasury, charter.fair_price, charter.rules.treasury_bps) == (0, 0, 7, 1_000)
    told = world.query("charters.proposal", proposal=proposal.hex())
    assert (told.state, told.approving_bps, told.refusing_bps, told.power_bps) == ("open", 0, 2_000, 10_000)
    assert (told.action.kind, told.action.alias) == ("point_alias", "production")
    others = [
        charters.Dissolve(),
        charters.ChangeCharter(a_charter()),
        charters.NameManager(world.accounts["bob"]),
    ]
    for action in others:
        world.propose("bob", action)
    offer = world.offer("alice", world.asset, USE)
    bid = world.bid("dave", 1_000)
    for action in (charters.SellWhole(bid), charters.WithdrawTerms(offer), world.terms()):
        world.propose("carol", action)
    listed = world.query("charters.proposals", asset=world.asset.hex())
    assert len(listed) == 7
    assert world.query("charters.proposals", asset=world.asset.hex(), after=listed[5].proposal, limit=5) == [listed[6]]


# --- what else may have become of the asset


def test_the_treasury_of_a_retired_asset_is_still_the_owners_to_pay_out() -> None:
    """Nothing is stranded: not by retirement, and not while a dispute has frozen sales."""
    world = Owners(treasury_bps=5_000)
    world.license("alice", world.asset, "dave", USE)
    for who in ("bob", "carol"):
        consent = assets.Consent(world.asset, assets.action_digest(assets.Retire(world.asset)), world.now_ms + DAY_MS)
        world.do(who, consent)
    world.do("alice", assets.Retire(world.asset))
    world.refused("assets.retired", "alice", charters.Propose(world.asset, world.terms()))
    assert world.decide(charters.Pay(world.accounts["dave"], 1_000), "alice", "bob").state == "executed"
    assert world.decide(charters.Dissolve(), "alice", "bob").state == "executed"
    assert world.set_aside == 0
    world.check_laws()


def test_a_removed_organization_still_votes_and_a_full_quota_keeps_nobody_from_voting() -> None:
    """Or the quorum of an asset would be lost with a member, or a vote with a neighbor's records."""
    world = Owners()
    proposal = world.propose("alice", charters.NameManager(world.accounts["bob"]))
    remove(world.context(world.view, b"", b""), "org-bob")
    set_quota(world.context(world.view, b"", b""), "org-alice", Quota(100, 100_000, 10))
    USAGE.put(world.view, Usage(100, 100_000, 10, Quota(100, 100_000, 10)), b"org-alice")
    world.vote(proposal, "bob", "alice")
    assert world.fate(proposal) == ("executed", "")
    world.refused("organizations.removed", "bob", charters.Propose(world.asset, charters.Dissolve()))
    world.check_laws()


def test_a_recall_by_a_dispute_voids_what_the_earlier_owners_proposed() -> None:
    world = Owners(treasury_bps=5_000)
    world.license("alice", world.asset, "dave", USE)
    proposal = world.propose("alice", charters.Pay(world.accounts["dave"], world.set_aside))
    asset = require_asset(world.view, world.asset)
    ASSETS.put(world.view, msgspec.structs.replace(asset, transfers=asset.transfers + 1), world.asset)
    owners = ownership(world.view, world.asset)
    OWNERSHIP.put(world.view, msgspec.structs.replace(owners, transfers=asset.transfers + 1), world.asset)
    world.vote(proposal, "alice", "bob")
    assert world.fate(proposal) == ("failed", "charters.lapsed")
    assert world.set_aside > 0
