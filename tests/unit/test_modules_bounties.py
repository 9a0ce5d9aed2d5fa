"""Bounties: credits in escrow for a contribution. All of it is paid for what was accepted, or returns."""

from __future__ import annotations

import pytest

from ledger.errors import LedgerError
from ledger.modules.contributions import operations as contributions
from ledger.modules.contributions.operations import AwardBounty, CancelBounty, OpenBounty
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.identifiers import account_to_text
from tests.unit.contributions_kit import TEXT, Workshop
from tests.unit.modules_kit import SUPPLY_EACH


def test_a_bounty_is_paid_with_the_acceptance_to_the_last_unit() -> None:
    """E4: no fee, as between accounts, and no part of it to ancestors."""
    shop = Workshop()
    bounty = shop.open_bounty("alice", 12_345, description=TEXT)
    assert shop.balance("alice") == SUPPLY_EACH - 12_345
    identifier = shop.propose("B", bounty=bounty)
    shown = shop.query("contributions.bounty", bounty=bounty.hex())
    assert (shown.amount, shown.named, shown.awarded, shown.description) == (12_345, 1, None, TEXT)
    shop.check_laws()
    shop.refused("contributions.wrong_bounty", "alice", shop.accept(identifier))
    treasury = shop.treasury
    shop.do("alice", shop.accept(identifier, bounty=bounty))
    assert (shop.balance("bob"), shop.treasury) == (SUPPLY_EACH + 12_345, treasury)
    shop.refused("contributions.unknown_bounty", "alice", CancelBounty(bounty))
    assert not_found(shop, bounty) == not_found(shop, bytes(32)), "the state does not know what was"
    for told in ("paid or cancelled", "contributions.bounty_paid", "contributions.bounty_ended"):
        assert told in not_found(shop, bounty)
    assert shop.advance(DAY_MS) == []
    shop.check_laws()


def not_found(shop: Workshop, bounty: bytes) -> str:
    with pytest.raises(LedgerError) as caught:
        shop.query("contributions.bounty", bounty=bounty.hex())
    assert caught.value.code == "query.not_found"
    return caught.value.message


def test_owners_do_not_spend_the_bounty_of_somebody_else() -> None:
    """Who owns the asset could else accept a friend's junk for what a third party has put up."""
    shop = Workshop()
    bounty = shop.open_bounty("carol", 5_000)
    identifier = shop.propose("B", bounty=bounty)
    operation = shop.accept(identifier, bounty=bounty)
    shop.refused("contributions.not_awarded", "alice", operation)
    shop.refused("contributions.not_the_opener", "alice", AwardBounty(bounty, identifier))
    other = shop.propose("C", bounty=bounty)
    shop.do("carol", AwardBounty(bounty, other))
    shop.refused("contributions.not_awarded", "alice", operation)
    shop.do("carol", AwardBounty(bounty, None))
    shop.do("carol", AwardBounty(bounty, identifier))
    assert shop.query("contributions.bounty", bounty=bounty.hex()).awarded == identifier.hex()
    shop.do("alice", operation)
    assert shop.balance("bob") == SUPPLY_EACH + 5_000
    # The second one was for a bounty that is gone: it cannot be had for less.
    shop.refused("contributions.unknown_bounty", "alice", shop.accept(other, bounty=bounty))
    shop.refused("contributions.wrong_bounty", "alice", shop.accept(other))
    shop.check_laws()


def test_who_waits_until_the_bounty_is_over_does_not_get_the_work() -> None:
    """An owner could else let the escrow return first, and accept for credit alone then."""
    shop = Workshop()
    bounty = shop.open_bounty("alice")
    identifier = shop.propose("B", bounty=bounty, expires_at_ms=shop.now_ms + 9 * DAY_MS)
    shop.now_ms += DAY_MS
    shop.refused("contributions.bounty_over", "alice", shop.accept(identifier, bounty=bounty))
    (ended,) = shop.advance(0)
    assert (type(ended).__name__, ended.amount, ended.reason) == ("BountyEnded", 1_000, "expired")
    assert shop.balance("alice") == SUPPLY_EACH
    shop.refused("contributions.unknown_bounty", "alice", shop.accept(identifier, bounty=bounty))
    shop.refused("contributions.wrong_bounty", "alice", shop.accept(identifier))
    shop.do("alice", contributions.Refuse(identifier))
    shop.commit("alice", "B")
    shop.refused("assets.artifact_reserved", "alice", shop.registration("alice", "B"))
    shop.check_laws()


def test_a_bounty_that_somebody_has_worked_for_is_not_cancelled() -> None:
    shop = Workshop()
    bounty = shop.open_bounty("alice")
    shop.refused("contributions.not_the_opener", "bob", CancelBounty(bounty))
    identifier = shop.propose("B", bounty=bounty)
    shop.do("alice", AwardBounty(bounty, identifier))
    shop.refused("contributions.bounty_named", "alice", CancelBounty(bounty))
    shop.do("bob", contributions.Withdraw(identifier))
    assert shop.query("contributions.bounty", bounty=bounty.hex()).awarded is None
    shop.do("alice", CancelBounty(bounty))
    assert shop.balance("alice") == SUPPLY_EACH
    assert shop.advance(DAY_MS) == []
    shop.check_laws()


def test_several_contributions_may_name_one_bounty() -> None:
    shop = Workshop()
    bounty = shop.open_bounty("alice")
    first, second = shop.propose("B", bounty=bounty), shop.propose("C", bounty=bounty)
    assert shop.query("contributions.bounty", bounty=bounty.hex()).named == 2
    shop.do("alice", contributions.Refuse(first))
    assert shop.query("contributions.bounty", bounty=bounty.hex()).named == 1
    shop.do("alice", shop.accept(second, bounty=bounty))
    assert shop.balance("bob") == SUPPLY_EACH + 1_000


def test_a_contribution_names_a_bounty_that_runs_and_is_for_its_asset() -> None:
    shop = Workshop()
    other = shop.register("alice", "other")
    bounty = shop.open_bounty("carol", asset=other)
    shop.refused("contributions.wrong_bounty", "bob", shop.proposal("B", bounty=bounty))
    shop.refused("contributions.unknown_bounty", "bob", shop.proposal("B", bounty=bytes(32)))
    bounty = shop.open_bounty("carol", closes_at_ms=shop.now_ms + DAY_MS // 2)
    proposal = shop.proposal("C", bounty=bounty, expires_at_ms=shop.now_ms + 5 * DAY_MS)
    shop.now_ms += DAY_MS // 2
    shop.refused("contributions.bounty_over", "bob", proposal)


def test_a_bounty_is_awarded_to_what_names_it() -> None:
    shop = Workshop()
    bounty, identifier = shop.open_bounty("carol"), shop.propose("B")
    shop.refused("contributions.wrong_bounty", "carol", AwardBounty(bounty, identifier))
    shop.refused("contributions.unknown_contribution", "carol", AwardBounty(bounty, bytes(32)))


def test_what_a_bounty_needs() -> None:
    shop = Workshop()
    opening = OpenBounty(shop.asset, 1, shop.now_ms + DAY_MS)
    shop.refused("contributions.bounty_exists", "carol", opening, opening)
    shop.refused("assets.unknown_asset", "carol", OpenBounty(bytes(32), 1, shop.now_ms + DAY_MS))
    shop.refused("contributions.expiry_out_of_range", "carol", OpenBounty(shop.asset, 1, shop.now_ms))
    shop.refused("contributions.text", "carol", OpenBounty(shop.asset, 1, shop.now_ms + DAY_MS, "b" + "a" * 58))
    shop.refused("credits.insufficient", "carol", OpenBounty(shop.asset, SUPPLY_EACH + 1, shop.now_ms + DAY_MS))


@pytest.mark.parametrize("named", [True, False])
def test_a_giver_is_named_for_a_share_only(named: bool) -> None:
    shop = Workshop()
    identifier = shop.propose("B", share_bps_min=0 if named else 1)
    if named:
        shop.refused("contributions.giver", "alice", shop.accept(identifier, 0, giver="alice"))
    else:
        shop.do("alice", shop.accept(identifier, 1, giver="alice"))


def test_a_share_and_a_bounty_come_together() -> None:
    shop = Workshop()
    bounty = shop.open_bounty("alice")
    shop.transfer("alice", Thing("share", shop.asset, 100), "carol")
    identifier = shop.propose("B", bounty=bounty, share_bps_min=50)
    shop.do("alice", shop.accept(identifier, 50, giver="alice", bounty=bounty))
    assert shop.shares() == {"alice": 9_850, "carol": 100, "bob": 50}
    assert shop.balance("bob") == SUPPLY_EACH + 1_000
    shop.check_laws()


def test_bounties_are_listed_by_asset_and_opener() -> None:
    shop = Workshop()
    first, second = shop.open_bounty("alice"), shop.open_bounty("carol", 7)

    def listed(**arguments: str) -> set[str]:
        return {row.bounty for row in shop.query("contributions.bounties", **arguments)}

    assert listed() == listed(asset=shop.asset.hex()) == {first.hex(), second.hex()}
    assert listed(opener=account_to_text(shop.accounts["carol"])) == {second.hex()}
