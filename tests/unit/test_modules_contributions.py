"""Contributions: proposing, talking, accepting for a share, refusing; and whose the artifact is at every step."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ledger.errors import LedgerError, OperationError
from ledger.modules.assets import operations as assets
from ledger.modules.assets.operations import Derivation
from ledger.modules.assets.reservations import RESERVED
from ledger.modules.contributions import operations as contributions
from ledger.modules.contributions.acceptance import accept
from ledger.modules.contributions.operations import Reward
from ledger.modules.contributions.records import (
    COMMENTS_ACCOUNT_MAX,
    COMMENTS_MAX,
    OPEN_ASSET_MAX,
    OPEN_MAKER_MAX,
    OPEN_ORGANIZATION_MAX,
)
from ledger.modules.licenses.operations import Terms
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.organizations.quota import usage
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.rewards import diluted
from ledger.parameters import DAY_MS
from primitives.identifiers import AccountId, account_id, account_to_text
from tests.unit.charters_kit import a_charter
from tests.unit.contributions_kit import TERMS, TEXT, Workshop
from tests.unit.modules_kit import cid, seed_key


def test_a_contribution_from_the_proposal_to_the_share() -> None:
    shop = Workshop("model")
    identifier = shop.propose("B", share_bps_min=500)
    shown = shop.query("contributions.get", contribution=identifier.hex())
    assert (shown.state, shown.open, shown.cid, shown.share_bps_min) == ("open", True, cid("B"), 500)
    shop.do("alice", contributions.Comment(identifier, TEXT))
    shop.do("bob", contributions.Comment(identifier, TEXT))
    assert [one.text for one in shop.query("contributions.get", contribution=identifier.hex()).comments] == [TEXT] * 2
    shop.refused("contributions.reward_too_low", "alice", shop.accept(identifier, 499))
    shop.do("alice", shop.accept(identifier, 600))
    assert shop.shares() == {"alice": 9_400, "bob": 600}
    shown = shop.query("contributions.get", contribution=identifier.hex())
    assert (shown.state, shown.open, shown.version, shown.share_bps, shown.comments) == ("accepted", False, 2, 600, ())
    version = shop.query("assets.version", asset=shop.asset.hex(), version=2)
    bob = account_to_text(shop.accounts["bob"])
    assert (version.cid, version.notes, version.contributor) == (cid("B"), "better B", bob)
    assert version.contribution == identifier.hex()
    assert shop.query("assets.get", asset=shop.asset.hex()).contributors == (bob,)
    assert [record.version for record in shop.artifacts] == [2]
    # From then on the contributor is paid like any owner.
    shop.hold(shop.asset, 2)
    shop.license("alice", shop.asset, "carol", Terms(rights=("download",), price=10_000))
    assert shop.owed("bob", shop.asset) == 9_750 * 600 // 10_000
    shop.check_laws()


def test_nobody_is_made_an_owner_unasked() -> None:
    """The attack: bob evaluates the asset, and contributes to it for credit. With a share, however small, what his
    organization has said of the asset would count no more."""
    shop = Workshop()
    identifier = shop.propose("B")
    shop.share_with({"carol": 4_000})
    for giver in (None, "alice"):
        operation = shop.accept(identifier, 1, giver=giver)
        shop.consent("carol", operation)
        shop.refused("contributions.share_unasked", "alice", operation)
    assert shop.shares() == {"alice": 6_000, "carol": 4_000}
    shop.do("alice", shop.accept(identifier))
    shop.check_laws()


def test_contributors_are_looked_for_among_a_bounded_number_of_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner can accept its own contributions without end; whoever asks for the asset must not read all of them."""
    shop = Workshop()
    shop.share_with({"carol": 1_000})
    for label, who in (("B", "bob"), ("C", "carol")):
        shop.do("alice", shop.accept(shop.propose(label, who)))

    def contributors() -> tuple[str, ...]:
        found: tuple[str, ...] = shop.query("assets.get", asset=shop.asset.hex()).contributors
        return found

    both = tuple(account_to_text(shop.accounts[who]) for who in ("bob", "carol"))
    assert contributors() == both
    monkeypatch.setattr("ledger.modules.assets.reads.CONTRIBUTED_MAX", 1)
    assert contributors() == both[:1]


def test_credit_alone_keeps_the_contributors_name_for_ever() -> None:
    shop = Workshop()
    identifier = shop.propose("B")
    shop.do("alice", shop.accept(identifier))
    assert shop.shares() == {"alice": 10_000}
    shop.transfer("alice", shop.asset, "carol")
    bob = account_to_text(shop.accounts["bob"])
    assert shop.query("assets.get", asset=shop.asset.hex()).contributors == (bob,)
    shop.check_laws()


def test_who_sees_a_proposal_cannot_be_first() -> None:
    """E6 and more: the artifact was committed to, by its maker, and the commitment had to age."""
    shop = Workshop()
    proposal = shop.proposal("B")
    shop.refused("assets.commitment_missing", "carol", shop.registration("carol", "B"))
    young = shop.proposal("C", committed=False)
    digest = assets.commitment(cid("C"), shop.accounts["bob"], shop.salt("C"))
    shop.do("bob", assets.Commit(digest))
    shop.refused("assets.commitment_too_young", "bob", young)
    shop.do("bob", proposal)


@pytest.mark.parametrize("ending", ["refused", "withdrawn", "expired"])
def test_what_came_to_nothing_stays_its_makers_and_nobody_elses(ending: str) -> None:
    shop = Workshop("model")
    before = usage(shop.view, "org-bob")
    identifier = shop.propose("B", expires_at_ms=shop.now_ms + DAY_MS)
    shop.do("alice", contributions.Comment(identifier, TEXT))
    if ending == "refused":
        shop.refused("assets.not_manager", "bob", contributions.Refuse(identifier))
        (event,) = shop.do("alice", contributions.Refuse(identifier, "too large"))
        assert (event.reason, event.said) == ("refused", "too large")
    elif ending == "withdrawn":
        shop.refused("contributions.not_the_contributor", "alice", contributions.Withdraw(identifier))
        (event,) = shop.do("bob", contributions.Withdraw(identifier))
        assert event.reason == "withdrawn"
    else:
        (event,) = [one for one in shop.advance(DAY_MS) if type(one).__name__ == "Ended"]
        assert event.reason == "expired"
    assert shop.contribution(identifier) is None
    with pytest.raises(LedgerError, match=r"refused or withdrawn, or has expired.*: contributions\.ended") as caught:
        shop.query("contributions.get", contribution=identifier.hex())
    assert caught.value.code == "query.not_found"
    shop.refused("contributions.unknown_contribution", "alice", shop.accept(identifier))
    # What is left on the contributor's quota are the two reservations.
    after = usage(shop.view, "org-bob")
    assert (after.records - before.records, after.deadlines) == (2, before.deadlines)
    # Who has seen the bytes cannot register them, under whatever commitment; nor with those tensors in another file.
    shop.commit("alice", "B", "model")
    shop.refused("assets.artifact_reserved", "alice", shop.registration("alice", "B", "model"))
    saved = assets.Artifact(cid("saved again"), 10, shop.artifact("B", "model").tensors_digest)
    registration = shop.registration("alice", "B", "model", artifact=saved)
    shop.refused("assets.tensors_reserved", "alice", registration)
    add = assets.AddVersion(shop.asset, shop.artifact("B", "model"), shop.salt("B"))
    shop.refused("assets.artifact_reserved", "alice", add)
    # Its maker may, by its license: then it owes what the license says.
    parents = [Derivation(shop.asset, "train-on", shop.grant)]
    own = shop.register("bob", "B", "model", derivations=parents)
    assert shop.query("assets.get", asset=own.hex()).parents[0].rate_bps == 500
    assert list(RESERVED.items(shop.view)) == []
    shop.check_laws()


def test_a_refused_artifact_may_be_proposed_again_and_an_open_one_not() -> None:
    shop = Workshop()
    identifier = shop.propose("B")
    shop.refused("assets.artifact_reserved", "bob", shop.proposal("B"))
    shop.refused("assets.artifact_reserved", "bob", shop.registration("bob", "B"))
    shop.do("alice", contributions.Refuse(identifier))
    again = shop.propose("B", committed=False)
    assert again != identifier
    shop.do("alice", shop.accept(again))


def test_what_is_registered_is_not_proposed() -> None:
    shop = Workshop()
    shop.register("bob", "B")
    shop.refused("assets.artifact_claimed", "bob", shop.proposal("B"))
    shop.refused("assets.tensors_digest", "bob", shop.proposal("C", artifact=shop.artifact("C", "model")))


def test_it_takes_a_right_to_derive() -> None:
    shop = Workshop()
    shop.refused("assets.derivation_without_grant", "carol", shop.proposal("C", "carol"))
    shop.refused("assets.derivation_grant", "carol", shop.proposal("C", "carol", grant=shop.grant))
    shop.refused("assets.derivation_right", "bob", shop.proposal("B", right="fine-tune"))
    download = shop.license("alice", shop.asset, "carol", Terms(rights=("download",), price=0))
    shop.refused("assets.derivation_right", "carol", shop.proposal("C", "carol", grant=download))
    no = shop.license(
        "alice",
        shop.asset,
        "carol",
        msgspec.structs.replace(TERMS, derivatives="no", revenue_share_bps=0, revenue_share_depth=0),
    )
    shop.refused("assets.derivation_forbidden", "carol", shop.proposal("C", "carol", grant=no))
    shop.share_with({"dave": 1_000})
    shop.do("dave", shop.proposal("D", "dave"))


def test_an_exclusive_license_keeps_owners_from_it_too() -> None:
    shop = Workshop()
    shop.share_with({"dave": 1_000})
    other = shop.register("alice", "other")
    terms = msgspec.structs.replace(TERMS, exclusivity="exclusive")
    shop.license("alice", other, "carol", terms)
    shop.transfer("alice", Thing("share", other, 1_000), "dave")
    shop.refused("assets.derivation_denied", "dave", shop.proposal("D", "dave", asset=other))


def test_a_license_that_has_ended_gives_no_right() -> None:
    shop = Workshop()
    grant = shop.license("alice", shop.asset, "carol", msgspec.structs.replace(TERMS, term_ms=DAY_MS))
    shop.advance(DAY_MS)
    shop.refused("assets.derivation_grant_not_live", "carol", shop.proposal("C", "carol", grant=grant))


def test_other_parents_are_by_the_contributors_licenses_and_are_paid_by_the_asset_from_then_on() -> None:
    shop = Workshop()
    parent = shop.register("carol", "P")
    derivation = Derivation(parent, "train-on", None)
    shop.refused(
        "assets.derivation_without_grant", "bob", shop.proposal("B", provenance=assets.Provenance((derivation,)))
    )
    itself = assets.Provenance((Derivation(shop.asset, "train-on", shop.grant),))
    shop.refused("royalties.cycle", "bob", shop.proposal("B", provenance=itself))
    grant = shop.license("carol", parent, "bob", msgspec.structs.replace(TERMS, term_ms=DAY_MS))
    named = assets.Provenance((Derivation(parent, "train-on", grant),))
    identifier = shop.propose("B", provenance=named, expires_at_ms=shop.now_ms + 9 * DAY_MS)
    # Nothing is owed before it is accepted, and then only while the license lives.
    assert shop.query("assets.get", asset=shop.asset.hex()).parents == ()
    shop.advance(DAY_MS)
    shop.refused("assets.derivation_grant_not_live", "alice", shop.accept(identifier))
    grant = shop.license("carol", parent, "bob", TERMS)
    named = assets.Provenance((Derivation(parent, "train-on", grant),))
    second = shop.propose("C", provenance=named)
    shop.do("alice", shop.accept(second))
    (link,) = shop.query("assets.get", asset=shop.asset.hex()).parents
    assert (link.parent, link.rate_bps, link.version) == (parent.hex(), 500, 2)
    version = shop.query("assets.version", asset=shop.asset.hex(), version=2)
    assert [one.grant for one in version.derivations] == [grant.hex()]
    shop.check_laws()


def test_a_training_is_not_counted_against_a_license_whose_owners_get_the_result() -> None:
    shop = Workshop()
    terms = msgspec.structs.replace(TERMS, quota=1, quota_unit="trainings")
    grant = shop.license("alice", shop.asset, "carol", terms)
    identifier = shop.propose("C", "carol", grant=grant)
    shop.do("alice", contributions.Refuse(identifier))
    assert shop.query("licenses.grant", grant=grant.hex()).used == 0
    shop.register("carol", "C", derivations=[Derivation(shop.asset, "train-on", grant)])
    assert shop.query("licenses.grant", grant=grant.hex()).used == 1


def test_a_majority_accepts_and_nobodys_share_shrinks_unasked() -> None:
    """A majority could else give the minority's part away, to a friend for next to nothing."""
    shop = Workshop()
    shop.share_with({"carol": 3_000, "dave": 1_000})
    identifier = shop.propose("B", share_bps_min=1)
    operation = shop.accept(identifier, 1_001)
    shop.refused("assets.not_manager", "carol", operation)
    shop.refused("assets.consent_missing", "alice", operation)
    shop.consent("carol", operation)
    shop.refused("assets.consent_missing", "alice", operation)
    shop.consent("dave", operation)
    shop.do("alice", operation)
    # 6000, 3000 and 1000 bps of 1001: 600.6, 300.3 and 100.1.
    assert shop.shares() == {"alice": 5_399, "carol": 2_700, "dave": 900, "bob": 1_001}
    assert shop.query("assets.get", asset=shop.asset.hex()).versions == 2
    shop.check_laws()


def test_a_majority_gives_of_its_own_share_without_the_others() -> None:
    shop = Workshop()
    shop.share_with({"carol": 4_000})
    identifier = shop.propose("B", share_bps_min=500)
    shop.refused("assets.consent_missing", "alice", shop.accept(identifier, 500, giver="carol"))
    shop.refused("transfers.not_the_holder", "alice", shop.accept(identifier, 6_001, giver="alice"))
    shop.refused("transfers.self_transfer", "alice", shop.accept(identifier, 500, giver="bob"))
    shop.do("alice", shop.accept(identifier, 500, giver="alice"))
    assert shop.shares() == {"alice": 5_500, "carol": 4_000, "bob": 500}


def test_half_is_no_majority_and_the_manager_alone_none() -> None:
    shop = Workshop()
    shop.share_with({"carol": 5_000})
    identifier = shop.propose("B")
    operation = shop.accept(identifier)
    shop.refused("assets.not_majority_owner", "alice", operation)
    shop.consent("carol", operation)
    shop.do("alice", operation)


def test_an_owner_who_contributes_is_diluted_like_the_others() -> None:
    shop = Workshop()
    shop.share_with({"dave": 2_000})
    identifier = shop.propose("D", "dave", share_bps_min=1_000)
    shop.do("alice", shop.accept(identifier, 1_000))
    assert shop.shares() == {"alice": 7_200, "dave": 2_800}
    shop.check_laws()


def test_locked_shares_are_not_touched() -> None:
    shop = Workshop()
    shop.share_with({"carol": 4_000})
    identifier = shop.propose("B", share_bps_min=1_000)
    operation = shop.accept(identifier, 1_000)
    shop.consent("carol", operation)
    thing = Thing("share", shop.asset, 3_601)
    offered = shop.give_transfer("carol", thing, "dave")
    shop.refused("transfers.locked", "alice", operation)
    shop.do("carol", transfers.Withdraw(offered))
    shop.do("alice", operation)
    assert shop.shares() == {"alice": 5_400, "carol": 3_600, "bob": 1_000}
    shop.check_laws()


def test_a_share_is_given_by_the_rules_of_gifts() -> None:
    """A reward would else be the way to sell shares past what their creators ask for."""
    forbidding = Workshop(transfer_terms=assets.TransferTerms(gifts=False))
    identifier = forbidding.propose("B", share_bps_min=1)
    forbidding.refused("transfers.gifts_forbidden", "alice", forbidding.accept(identifier, 1))
    shop = Workshop(transfer_terms=assets.TransferTerms(resale_royalty_bps=100, least_royalty=700))
    identifier = shop.propose("B", share_bps_min=1)
    before = shop.balance("alice")
    shop.do("alice", shop.accept(identifier, 1))
    assert before - shop.balance("alice") == 700
    assert shop.owed("alice", shop.asset) == 700
    shop.check_laws()


def test_a_manager_does_not_decide_what_the_charter_leaves_to_a_vote() -> None:
    shop = Workshop(charter=a_charter(voted=("contributions",)))
    identifier = shop.propose("B")
    shop.refused("charters.vote_required", "alice", shop.accept(identifier))
    shop.refused("charters.vote_required", "alice", contributions.Refuse(identifier))
    shop.do("bob", contributions.Withdraw(identifier))


def test_a_vote_cannot_spend_anybodys_credits() -> None:
    shop = Workshop(transfer_terms=assets.TransferTerms(resale_royalty_bps=100, least_royalty=700))
    identifier, for_credit = shop.propose("B", share_bps_min=1), shop.propose("C")
    context = shop.context(shop.view.child(), b"", b"vote")
    with pytest.raises(OperationError) as caught:
        accept(context, identifier, Reward(1))
    assert caught.value.code == "contributions.royalty_due"
    view = shop.view.child()
    accept(shop.context(view, b"", b"vote"), for_credit, Reward())
    shop.view.apply(view)
    assert shop.query("assets.get", asset=shop.asset.hex()).versions == 2


@pytest.mark.parametrize(
    ("shares", "bps", "given"),
    [
        ({b"a": 10_000}, 1, {b"a": 1}),
        ({b"a": 5_000, b"b": 5_000}, 1, {b"a": 1}),
        ({b"a": 3_333, b"b": 3_333, b"c": 3_334}, 100, {b"a": 33, b"b": 33, b"c": 34}),
        ({b"a": 9_999, b"b": 1}, 9_999, {b"a": 9_998, b"b": 1}),
    ],
)
def test_dilution_is_exact(shares: dict[bytes, int], bps: int, given: dict[bytes, int]) -> None:
    assert diluted(shares, bps) == given


def test_what_was_proposed_to_earlier_owners_is_not_the_buyers() -> None:
    shop = Workshop()
    identifier = shop.propose("B")
    shop.transfer("alice", shop.asset, "carol", 1_000)
    assert not shop.query("contributions.get", contribution=identifier.hex()).open
    shop.refused("contributions.asset_changed_hands", "carol", shop.accept(identifier))
    shop.do("bob", contributions.Withdraw(identifier))


def test_nothing_is_accepted_while_the_asset_is_in_a_sale_or_retired() -> None:
    shop = Workshop()
    identifier = shop.propose("B")
    offered = shop.give_transfer("alice", shop.asset, "carol")
    shop.refused("assets.locked", "alice", shop.accept(identifier))
    shop.do("alice", transfers.Withdraw(offered))
    shop.do("alice", assets.Retire(shop.asset))
    shop.refused("assets.retired", "alice", shop.accept(identifier))
    shop.refused("assets.retired", "bob", shop.proposal("C"))
    shop.refused("assets.retired", "bob", contributions.OpenBounty(shop.asset, 1, shop.now_ms + DAY_MS))
    shop.do("alice", contributions.Refuse(identifier))


def test_what_is_over_but_not_swept_cannot_be_decided_on() -> None:
    shop = Workshop()
    identifier = shop.propose("B")
    shop.now_ms += DAY_MS
    shop.refused("contributions.not_open", "alice", shop.accept(identifier))
    shop.refused("contributions.not_open", "alice", contributions.Refuse(identifier))
    shop.refused("contributions.not_open", "bob", contributions.Comment(identifier, TEXT))
    shop.do("bob", contributions.Withdraw(identifier))


def test_what_is_accepted_is_not_taken_back() -> None:
    shop = Workshop()
    identifier = shop.propose("B")
    shop.do("alice", shop.accept(identifier))
    shop.refused("contributions.not_open", "bob", contributions.Withdraw(identifier))
    shop.refused("contributions.not_open", "alice", shop.accept(identifier))


@pytest.mark.parametrize("end_ms", [0, 30 * DAY_MS + 1])
def test_a_contribution_ends_within_the_networks_bounds(end_ms: int) -> None:
    shop = Workshop()
    proposal = shop.proposal("B")
    odd = msgspec.structs.replace(proposal, expires_at_ms=shop.now_ms + end_ms)
    shop.refused("contributions.expiry_out_of_range", "bob", odd)


def test_comments_are_by_those_concerned_and_few() -> None:
    shop = Workshop()
    identifier = shop.propose("B")
    shop.refused("contributions.not_a_party", "carol", contributions.Comment(identifier, TEXT))
    shop.refused("contributions.text", "bob", contributions.Comment(identifier, "b" + "a" * 58))
    said = contributions.Comment(identifier, TEXT)
    shop.do("bob", *[said] * COMMENTS_ACCOUNT_MAX)
    shop.refused("contributions.too_many_comments", "bob", said)
    shop.do("alice", *[said] * COMMENTS_ACCOUNT_MAX)
    shop.share_with({"carol": 1_000, "dave": 1_000, "alan": 1_000})
    for who in ("carol", "dave"):
        shop.do(who, *[said] * COMMENTS_ACCOUNT_MAX)
    assert len(shop.query("contributions.get", contribution=identifier.hex()).comments) == COMMENTS_MAX
    shop.refused("contributions.too_many_comments", "alan", said)
    shop.do("bob", contributions.Withdraw(identifier))
    shop.check_laws()


def more_accounts(shop: Workshop, organization: str, by: str, count: int) -> list[AccountId]:
    """Open accounts of one organization, all owners of a small share."""
    found = []
    for number in range(count):
        public_key = seed_key(f"{organization} {number}").public_key
        shop.do(by, OpenAccount(public_key, bytes(16), f"{organization} {number}"))
        account = account_id(shop.network_id, organization, public_key, bytes(16))
        shop.accounts[f"{organization} {number}"] = account
        shop.transfer("alice", Thing("share", shop.asset, 1), f"{organization} {number}")
        found.append(account)
    return found


def test_an_organization_cannot_take_all_places() -> None:
    shop = Workshop()
    more_accounts(shop, "org-bob", "bob", 1)
    for number in range(OPEN_ORGANIZATION_MAX):
        shop.propose(f"B{number}", expires_at_ms=shop.now_ms + 20 * DAY_MS)
    shop.refused("contributions.too_many_of_organization", "org-bob 0", shop.proposal("C", "org-bob 0"))
    shop.share_with({"carol": 1_000, "dave": 1_000})
    more_accounts(shop, "org-alice", "alice", 1)
    for who in ("carol", "dave", "org-alice 0"):
        for number in range(OPEN_ORGANIZATION_MAX):
            shop.propose(f"{who} {number}", who, expires_at_ms=shop.now_ms + 20 * DAY_MS)
    assert len(shop.query("contributions.list", asset=shop.asset.hex())) == OPEN_ASSET_MAX
    shop.refused("contributions.too_many_on_asset", "carol", shop.proposal("one more", "carol"))
    shop.check_laws()


def test_one_account_has_so_many_open() -> None:
    shop = Workshop()
    for number in range(OPEN_MAKER_MAX // OPEN_ORGANIZATION_MAX):
        asset = shop.register("bob", f"work {number}")
        for again in range(OPEN_ORGANIZATION_MAX):
            shop.propose(f"{number}.{again}", asset=asset, grant=None, expires_at_ms=shop.now_ms + 25 * DAY_MS)
    shop.refused("contributions.too_many_of_contributor", "bob", shop.proposal("one more"))


def test_nodes_hold_what_is_proposed_for_those_who_decide() -> None:
    shop = Workshop()
    identifier = shop.propose("B")
    (told,) = shop.artifacts
    assert (told.contribution, told.version, told.cid, told.taken_down) == (identifier, 0, cid("B"), False)
    found = shop.query("contributions.by_artifact", cid=cid("B"))
    assert (found.contribution, found.asset) == (identifier.hex(), shop.asset.hex())

    def may_read(who: str) -> bool:
        account = account_to_text(shop.accounts[who])
        return bool(shop.query("contributions.may_read", contribution=identifier.hex(), account=account).allowed)

    shop.license("alice", shop.asset, "carol", Terms(rights=("download",), price=0))
    assert [may_read(who) for who in ("alice", "bob", "carol", "dave")] == [True, True, False, False]
    shop.do("alice", contributions.Refuse(identifier))
    (told,) = shop.artifacts
    assert (told.contribution, told.taken_down) == (identifier, True)
    with pytest.raises(LedgerError, match="no such proposed artifact"):
        shop.query("contributions.by_artifact", cid=cid("B"))
    again = shop.propose("B")
    shop.do("alice", shop.accept(again))
    (told,) = shop.artifacts
    assert (told.asset, told.version, told.contribution) == (shop.asset, 2, None)
    with pytest.raises(LedgerError, match="no such proposed artifact"):
        shop.query("contributions.by_artifact", cid=cid("B"))


def test_lists_are_by_asset_and_contributor_and_state() -> None:
    shop = Workshop()
    first, second = shop.propose("B"), shop.propose("C")
    shop.do("alice", shop.accept(first))

    def listed(**arguments: Any) -> list[str]:
        return [row.contribution for row in shop.query("contributions.list", **arguments)]

    bob = account_to_text(shop.accounts["bob"])
    assert listed(asset=shop.asset.hex()) == listed(contributor=bob) == [second.hex()]
    # Of all there are no list and no index: whoever asks for it would have the whole ledger's history read.
    for arguments in ({}, {"state": "accepted"}, {"asset": shop.asset.hex(), "contributor": bob}):
        with pytest.raises(LedgerError, match="name an asset or a contributor") as caught:
            listed(**arguments)
        assert caught.value.code == "query.argument"
    assert (
        listed(asset=shop.asset.hex(), state="accepted") == listed(contributor=bob, state="accepted") == [first.hex()]
    )
