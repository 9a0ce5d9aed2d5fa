"""The bounds of amounts and of numbers of things, at them and one beyond."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses import grants
from ledger.modules.licenses import operations as licenses
from ledger.modules.market import operations as market
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.royalties import stack
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from primitives.identifiers import account_id
from tests.unit.boundaries_kit import AGE_MS, DAY_MS, Stage
from tests.unit.modules_kit import World, cid, seed_key


def amounts(value: Any) -> dict[str, Any]:
    """Every field for credits, with a value."""
    terms: dict[str, Any] = {"rights": ("download",), "price": 1}
    offer = {
        name: licenses.Offer(bytes(32), licenses.Terms(**(terms | {name: value})), 1)
        for name in ("price", "usage_price", "least_royalty", "revenue_share_cap")
    }
    return {
        "transfer": Transfer(bytes(32), value),
        "sale": transfers.Offer(Thing("asset", bytes(32)), bytes(32), value, 1),
        "highest price of an asset": transfers.Accept(bytes(32), value),
        "listing": market.List(Thing("asset", bytes(32)), value, 1),
        "bid": market.Bid(bytes(32), value),
        "reserve": market.OpenAuction(Thing("asset", bytes(32)), value, 1, 1, 0),
        "highest price of a grant": licenses.Purchase(bytes(32), bytes(32), value),
        **{f"{name} of terms": operation for name, operation in offer.items()},
    }


MAY_BE_ZERO = set(amounts(0)) - {"transfer", "sale", "listing", "bid"}
NO_AMOUNTS = [
    (field, value)
    for field in sorted(amounts(1))
    for value in (0, -1, 2**63, True, 1.0)
    if value != 0 or field not in MAY_BE_ZERO
]


@pytest.mark.parametrize(("field", "value"), NO_AMOUNTS)
def test_what_is_no_amount_leaves_no_receipt(field: str, value: Any) -> None:
    """E4: 0 where something must be paid, negative, 2^63, bool and float are malformed, whatever carries them."""
    stage = Stage()
    stage.send("alice", amounts(value)[field], code="transaction.malformed", malformed=True)


@pytest.mark.parametrize("amount", [1, 10**10, 10**10 + 1, 2**63 - 1])
def test_the_last_credit_can_be_paid_and_no_more(amount: int) -> None:
    """E2: at the balance and one beyond it."""
    stage = Stage()
    code = "" if amount <= 10**10 else "credits.insufficient"
    stage.send("alice", Transfer(stage.accounts["bob"], amount), code=code)


def test_sixty_four_sole_grants_of_an_asset_may_be_live() -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    countries = [f"{first}{second}" for first in "ABC" for second in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"][:65]
    all_terms = [licenses.Terms(("download",), 1, exclusivity="sole", territory=(country,)) for country in countries]
    stage.send("alice", *[licenses.Offer(asset, terms, stage.now + DAY_MS) for terms in all_terms])
    offers = [licenses.offer_id(stage.id, asset, licenses.terms_digest(terms)) for terms in all_terms]
    purchases = [stage.purchase(offer, terms) for offer, terms in zip(offers, all_terms, strict=True)]
    stage.send("bob", *purchases, code="licenses.too_many_reserving")
    stage.send("bob", *purchases[:64])
    stage.send("bob", purchases[64], code="licenses.too_many_reserving")


def test_an_asset_derives_from_a_parent_under_sixteen_different_terms() -> None:
    stage = Stage()
    (parent,) = stage.register("alice", "A")
    all_terms = [licenses.Terms(("train-on",), price, derivatives="yes") for price in range(17)]
    derivations = [stage.license("alice", "bob", parent, terms=terms)[0] for terms in all_terms]
    (child,) = stage.register("bob", "B")
    labels = [f"B {number}" for number in range(17)]
    stage.commit("bob", *labels)
    versions = [
        assets.AddVersion(child, assets.Artifact(cid(label), 1), bytes(16), assets.Provenance((derivation,)))
        for label, derivation in zip(labels, derivations, strict=True)
    ]
    stage.send("bob", *versions, code="assets.derivation_terms", later=AGE_MS)
    stage.send("bob", *versions[:16])
    stage.send("bob", versions[16], code="assets.derivation_terms")


def test_a_search_among_grants_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is 10,000; here it is 3."""
    monkeypatch.setattr(grants, "SCAN_MAX", 3)
    world = World()
    asset = world.register("alice", "A")
    plain = licenses.Terms(("download",), 1)
    sole = licenses.Terms(("inference",), 1, exclusivity="sole")
    offer, reserving = world.offer("alice", asset, plain), world.offer("alice", asset, sole)
    for _ in range(4):
        world.buy("bob", offer, plain)
    world.refused("licenses.too_many_grants", "carol", world.purchase_operation(reserving, sole))


@pytest.mark.parametrize(("bound", "code"), [(4, ""), (3, "licenses.family_too_large")])
def test_a_search_among_relatives_is_bounded(bound: int, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is 1,024 assets of one owner; here an asset has three derivatives."""
    monkeypatch.setattr(grants, "FAMILY_MAX", bound)
    world = World()
    asset = world.register("alice", "A")
    for label in "BCD":
        world.register("alice", label, derivations=[assets.Derivation(asset, "train-on")])
    sole = licenses.Terms(("inference",), 1, exclusivity="sole")
    purchase = world.purchase_operation(world.offer("alice", asset, sole), sole)
    if code:
        world.refused(code, "bob", purchase)
    else:
        world.do("bob", purchase)


@pytest.mark.parametrize(("bound", "good"), [(3, True), (2, False)])
def test_a_search_for_a_cycle_is_bounded(bound: int, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is 1,024 ancestors; here there are three."""
    world = World()
    line = [world.register("alice", "A")]
    for label in "BC":
        line.append(world.register("alice", label, derivations=[assets.Derivation(line[-1], "train-on")]))
    monkeypatch.setattr(stack, "LINEAGE_MAX", bound)
    world.commit("alice", "D")
    last = world.registration("alice", "D", derivations=[assets.Derivation(line[-1], "train-on")])
    if good:
        world.do("alice", last)
    else:
        world.refused("royalties.lineage_too_large", "alice", last)


def test_an_asset_has_sixty_four_owners() -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    keys = [seed_key(f"owner {index}") for index in range(64)]
    stage.pair.notebook.keys |= {key.public_key: key for key in keys}
    stage.send("alice", *[OpenAccount(key.public_key, bytes(16), "owner") for key in keys])
    accounts = [account_id(stage.pair.state.network, "org-alice", key.public_key, bytes(16)) for key in keys]
    thing, expires = Thing("share", asset, 1), stage.now + DAY_MS
    for account in accounts[:63]:
        stage.send("alice", transfers.OfferGift(thing, account, expires))
        stage.send(account, transfers.Accept(transfers.transfer_id(stage.id, thing), 0))
    assert len(stage.pair.state.assets[asset]["shares"]) == 64
    one_more = transfers.OfferGift(thing, accounts[63], expires)
    stage.send("alice", one_more, code="transfers.too_many_owners")
    stage.send("alice", transfers.OfferGift(thing, accounts[0], expires))
    stage.send(accounts[1], one_more)
    stage.send(accounts[63], transfers.Accept(transfers.transfer_id(stage.id, thing), 0))
    assert len(stage.pair.state.assets[asset]["shares"]) == 64
