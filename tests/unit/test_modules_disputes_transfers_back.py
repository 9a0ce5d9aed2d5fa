"""What a decision about an asset does: it goes to the claimant, but for what others have paid for, which is owed."""

from __future__ import annotations

import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import BOUGHT, OWNERS_MAX
from ledger.modules.credits.operations import Transfer
from ledger.modules.disputes.records import RECALL_RETRY_MS
from ledger.modules.licenses.operations import Terms
from ledger.modules.market import operations as market
from ledger.modules.market.records import AUCTIONS
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS, HOUR_MS
from primitives.identifiers import account_id, account_to_text
from tests.unit.disputes_kit import APPEAL_MS, MORE, TERMS, Court
from tests.unit.modules_kit import NAMES, SUPPLY_EACH, seed_key


def owners(court: Court, asset: bytes) -> dict[str, int]:
    names = {account_to_text(account): name for name, account in court.accounts.items()}
    return {names[owner.account]: owner.bps for owner in court.query("assets.get", asset=asset.hex()).owners}


def test_a_stolen_registration_comes_back() -> None:
    """The asset, its management and what it earns from then on; what it has earned stays owed to who owned it."""
    court = Court()
    asset = court.register("alice", "A")
    free = Terms(rights=("download",), price=1_000)
    offer = court.offer("alice", asset, free)
    court.buy("carol", offer, free)
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    before = court.balance("bob")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 10_000}
    shown = court.query("assets.get", asset=asset.hex())
    assert (shown.manager, shown.transfers) == (account_to_text(court.accounts["bob"]), 1)
    assert court.owed("alice", asset) == 975
    assert court.dispute(identifier).taken_bps == 10_000
    assert court.balance("bob") == before + 7_000
    assert court.debts("alice") == []
    court.refused("licenses.offer_void", "dave", court.purchase_operation(offer, free))
    court.license("bob", asset, "carol", free)
    court.check_laws()


def test_it_reaches_who_got_it_as_a_gift_or_inside_the_organization() -> None:
    """The attack: to move it to a friend, or to sell it to oneself, before the decision."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.transfer("alice", asset, "alan", 9_999)
    court.transfer("alan", Thing("share", asset, 4_000), "carol")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 10_000}
    court.check_laws()


def test_it_never_reaches_a_later_buyer_who_paid() -> None:
    """Nor whom that one gave it to. It becomes a debt of who sold it."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.transfer("alice", asset, "carol", 50_000)
    court.transfer("carol", asset, "dave")
    court.empty("alice")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"dave": 10_000}
    (debt,) = court.debts("alice")
    assert (debt.owed, debt.creditor) == (70_000, account_to_text(court.accounts["bob"]))
    assert court.lost("carol") == court.lost("dave") == []
    court.check_laws()


def test_a_part_that_was_sold_becomes_a_part_of_a_debt() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.transfer("alice", Thing("share", asset, 2_500), "carol", 50_000)
    before = court.balance("alice")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 7_500, "carol": 2_500}
    assert court.balance("alice") == before - 17_500
    assert court.dispute(identifier).owed == 17_500
    court.check_laws()


def test_who_sold_it_before_the_filing_answers_for_it() -> None:
    """The owner who paid is no respondent; who sold what was not its own is."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", asset, "carol", 50_000)
    court.transfer("carol", asset, "dave", 50_000)
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    assert [r.account for r in court.dispute(identifier).respondents] == [court.accounts["alice"]]
    assert "dave" not in court.arbiter_names(identifier)
    before = court.balance("alice")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"dave": 10_000}
    assert court.balance("alice") == before - 70_000
    court.check_laws()


def test_who_buys_it_back_is_not_protected() -> None:
    """The attack: to sell it to a friend and to buy it back."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", asset, "carol", 1)
    court.transfer("carol", asset, "alan", 1)
    assert not list(BOUGHT.items(court.view, asset))
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 10_000}


def test_who_sold_a_part_answers_for_that_part_alone() -> None:
    """The attack: to sell what was stolen together with a poor friend's share, so that the friend answers for all."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", Thing("share", asset, 1), "carol")
    sale = transfers.Offer(Thing("asset", asset), court.accounts["dave"], 50_000, court.now_ms + HOUR_MS)
    court.do("carol", assets.Consent(asset, assets.action_digest(sale), court.now_ms + HOUR_MS))
    court.do("alice", sale)
    court.do("dave", transfers.Accept(transfers.transfer_id(court.transaction_id, sale.thing), 50_000))
    court.transfer("dave", Thing("share", asset, 5_000), "erin", 1_000)
    identifier = court.file_against("bob", asset, "transfer_back", 100_000)
    against = {one.account: one.bps for one in court.dispute(identifier).respondents}
    assert against == {court.accounts["alice"]: 9_999, court.accounts["carol"]: 1}
    before = court.balance("alice")
    court.conclude(identifier, uphold=True)
    assert court.balance("alice") == before - 99_990
    court.check_laws()


def test_of_many_who_sold_the_least_part_is_counted_to_the_greatest() -> None:
    """Eight are remembered behind one owner's share, and every share has somebody who answers for it."""
    sellers = ("bob", "carol", *MORE, "ivan", "judy", "mallory")
    court = Court((*NAMES, *MORE, "ivan", "judy", "mallory"))
    asset = court.register("alice", "A")
    for index, who in enumerate(sellers):
        court.transfer("alice", Thing("share", asset, 100 + index), who)
        court.transfer(who, Thing("share", asset, 100 + index), "dave", 10)
    (record,) = [row for _, row in BOUGHT.items(court.view, asset)]
    named = {one.account: one.bps for one in record.sources}
    expected = {court.accounts[who]: 100 + index for index, who in enumerate(sellers) if index}
    expected[court.accounts["mallory"]] += 100
    assert named == expected
    assert record.bps == sum(range(100, 109))


@pytest.mark.parametrize("kind", ["asset", "share"])
def test_a_locked_asset_is_taken_back_when_its_lock_ends(kind: str) -> None:
    """No pending sale or gift is concluded meanwhile, and no new one begins: the wait has an end."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.decide(identifier, uphold=True)
    court.advance(APPEAL_MS - 1)
    thing = Thing("asset", asset) if kind == "asset" else Thing("share", asset, 5)
    pending = court.give_transfer("alice", thing, "carol", 900)
    events = court.advance(1)
    assert "RecallWaiting" in [type(event).__name__ for event in events]
    assert court.dispute(identifier).state == "recalling"
    assert court.query("assets.get", asset=asset.hex()).recall == identifier.hex()
    assert court.lost("alice") == [identifier.hex()]
    court.refused("assets.frozen", "carol", transfers.Accept(pending, 900))
    gift = transfers.OfferGift(Thing("share", asset, 1), court.accounts["dave"], court.now_ms + 1)
    court.refused("assets.locked" if kind == "asset" else "assets.frozen", "alice", gift)
    court.advance(RECALL_RETRY_MS)
    court.advance(0)
    if court.dispute(identifier).state == "recalling":
        court.advance(RECALL_RETRY_MS)
    assert court.dispute(identifier).state == "closed"
    assert owners(court, asset) == {"bob": 10_000}
    assert court.query("assets.get", asset=asset.hex()).recall is None
    court.transfer("bob", asset, "carol", 100)
    court.check_laws()


def test_two_who_claim_it_back() -> None:
    """The first gets it, the second a debt of those against whom it was decided; the first owes nothing."""
    court = Court()
    asset = court.register("alice", "A")
    first, second = (court.file_against(who, asset, "transfer_back", 70_000) for who in ("bob", "carol"))
    court.open_vote(first)
    for identifier in (first, second):
        court.decide(identifier, uphold=True)
    before = {name: court.balance(name) for name in ("alice", "bob", "carol")}
    court.advance(APPEAL_MS)
    winner = next(iter(owners(court, asset)))
    other = {"bob": "carol", "carol": "bob"}[winner]
    assert owners(court, asset) == {winner: 10_000}
    assert court.balance("alice") == before["alice"] - 70_000
    assert court.balance(winner) == before[winner] + 7_000
    assert court.balance(other) == before[other] + 77_000
    # A claim against the new owner is another matter.
    third = court.file_against("dave", asset, "transfer_back", 70_000)
    assert [r.account for r in court.dispute(third).respondents] == [court.accounts[winner]]
    court.conclude(third, uphold=True)
    assert owners(court, asset) == {"dave": 10_000}
    court.check_laws()


def test_a_retired_asset_comes_back_too() -> None:
    """The attack: to retire what one is about to lose, so that nobody ever sells it."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.do("alice", assets.Retire(asset))
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 10_000}
    court.license("bob", asset, "carol", TERMS)
    court.check_laws()


def test_a_listed_or_auctioned_asset_is_frozen_and_taken_back_like_any_other() -> None:
    """The market conveys by the same way as transfers: a bid returns, and the recall waits for the auction's end."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.decide(identifier, uphold=True)
    court.advance(APPEAL_MS - 1)
    thing = Thing("asset", asset)
    court.do("alice", market.OpenAuction(thing, 1_000, 100, court.now_ms + DAY_MS, 0))
    auction = next(key for key, _ in AUCTIONS.items(court.view))
    court.do("carol", market.Bid(auction, 2_000))
    court.advance(1)
    assert court.dispute(identifier).state == "recalling"
    court.advance(2 * DAY_MS)
    court.advance(RECALL_RETRY_MS)
    assert court.dispute(identifier).state == "closed"
    assert owners(court, asset) == {"bob": 10_000}
    assert court.balance("carol") == SUPPLY_EACH
    court.check_laws()


def test_what_was_not_bought_leaves_its_holder_first() -> None:
    """The attack: to buy a little, and to give away what was not bought under its cover."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.transfer("alice", Thing("share", asset, 2_500), "carol", 50_000)
    court.transfer("alice", Thing("share", asset, 2_500), "carol")
    court.transfer("carol", Thing("share", asset, 2_500), "dave")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 7_500, "carol": 2_500}
    court.check_laws()


def _held(court: Court, asset: bytes, who: str) -> int:
    return next(s.bps for s in ownership(court.view, asset).shares if s.account == court.accounts[who])


def test_an_asset_never_has_more_owners_than_it_may() -> None:
    """Where the claimant would be one too many, all of it becomes a debt."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", Thing("share", asset, 1), "carol", 5)
    for index in range(OWNERS_MAX - 2):
        court.do("carol", OpenAccount(seed_key(f"friend {index}").public_key, bytes(16), f"friend {index}"))
        name = f"friend {index}"
        court.accounts[name] = account_id(court.network_id, "org-carol", seed_key(name).public_key, bytes(16))
        court.do("carol", Transfer(court.accounts[name], 100))
        court.transfer("alice", Thing("share", asset, 1), name, 5)
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    for name in list(court.accounts):
        if name == "carol" or name.startswith("friend"):
            court.transfer("alice", Thing("share", asset, 1), name)
    court.transfer("alice", Thing("share", asset, _held(court, asset, "alice")), "carol")
    court.transfer("carol", Thing("share", asset, 1), "dave", 5)
    before = ownership(court.view, asset).shares
    assert len(before) == OWNERS_MAX
    court.conclude(identifier, uphold=True)
    assert ownership(court.view, asset).shares == before
    assert court.dispute(identifier).owed == 70_000
    court.check_laws()
