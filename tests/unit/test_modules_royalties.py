"""Royalties: the stack, every payment's split, pools."""

from __future__ import annotations

import msgspec
import pytest

from ledger.errors import OperationError
from ledger.modules.assets import operations as assets
from ledger.modules.licenses.operations import Terms
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.royalties.records import Entry, Stack
from ledger.modules.royalties.splits import split_gift, split_resale, split_sale
from tests.unit.modules_kit import SUPPLY_EACH, World, make_genesis

A, B, C = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32


def sharing(bps: int, depth: int = 8, **fields: object) -> Terms:
    base = {
        "rights": ("download", "train-on"),
        "price": 0,
        "commercial": True,
        "derivatives": "yes",
        "revenue_share_bps": bps,
        "revenue_share_depth": depth,
    }
    return Terms(**(base | fields))  # type: ignore[arg-type]


PLAIN = Terms(rights=("download", "inference"), price=1_000_003)


def derive(world: World, who: str, label: str, *parents: tuple[str, bytes, Terms]) -> bytes:
    """Register `label` by `who`, with a grant under terms from each (seller, parent)."""
    derivations = []
    for seller, parent, terms in parents:
        grant = world.license(seller, parent, who, terms)
        derivations.append(assets.Derivation(parent, "train-on", grant))
    return world.register(who, label, derivations=derivations)


def paid(world: World, asset: bytes) -> int:
    return world.query("royalties.pool", asset=asset.hex()).received


def test_the_worked_example() -> None:
    """E3: A; B(A 5 %), C(A 5 %), D(B 10 %, C 3 %); D sells at 1,000,003 with a fee of 250 bps."""
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(500)))
    c = derive(world, "carol", "C", ("alice", a, sharing(500)))
    d = derive(world, "dave", "D", ("bob", b, sharing(1_000)), ("carol", c, sharing(300)))
    world.license("dave", d, "alan", PLAIN)
    assert world.treasury == 25_000
    assert [paid(world, asset) for asset in (a, b, c, d)] == [48_750, 97_500, 29_250, 799_503]
    world.check_laws()


def test_a_diamond_is_charged_once_with_each_maximum_for_itself() -> None:
    """Rate, cap and depth are maximized separately, so that neither of two ways to an ancestor makes it cheaper."""
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(500, depth=2, revenue_share_cap=10)))
    c = derive(world, "carol", "C", ("alice", a, sharing(300, depth=8, revenue_share_cap=20)))
    d = derive(world, "dave", "D", ("bob", b, sharing(100)), ("carol", c, sharing(100)))
    (entry,) = [e for e in world.query("royalties.stack", asset=d.hex()).entries if e.ancestor == a.hex()]
    assert (entry.rate_bps, entry.cap, entry.depth) == (500, 20, 7)


def test_depth_ends_a_claim_but_not_inside_one_organization() -> None:
    """An owner cannot dilute an ancestor by deriving from its own asset again and again."""
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(500, depth=1)))
    own = world.register("bob", "B2", derivations=[assets.Derivation(b, "train-on")])
    assert world.query("royalties.stack", asset=own.hex()).rate_bps == 500
    c = derive(world, "carol", "C", ("bob", b, sharing(200)))
    assert [e.ancestor for e in world.query("royalties.stack", asset=c.hex()).entries] == [b.hex()]


def test_a_cap_ends_payment_exactly() -> None:
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(1_000, revenue_share_cap=150_000)))
    for buyer in ("carol", "dave"):
        world.license("bob", b, buyer, PLAIN)
    assert paid(world, a) == 150_000
    world.license("bob", b, "carol", msgspec.structs.replace(PLAIN, price=7))
    assert paid(world, a) == 150_000
    world.check_laws()


def test_the_sum_of_rates_is_capped_at_registration() -> None:
    world = World()
    a = world.register("alice", "A")
    b = world.register("bob", "B")
    first = world.license("alice", a, "carol", sharing(3_000))
    second = world.license("bob", b, "carol", sharing(2_001))
    world.commit("carol", "C")
    both = [assets.Derivation(a, "train-on", first), assets.Derivation(b, "train-on", second)]
    world.refused("royalties.cap_exceeded", "carol", world.registration("carol", "C", derivations=both))
    world.do("carol", world.registration("carol", "C", derivations=both[:1]))


def test_a_later_version_may_not_close_a_cycle() -> None:
    """E6: a royalty loop of derived models is refused."""
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(100)))
    c = derive(world, "carol", "C", ("bob", b, sharing(100)))
    grant = world.license("carol", c, "alice", sharing(100))
    world.commit("alice", "A2")
    provenance = assets.Provenance(derivations=(assets.Derivation(c, "train-on", grant),))
    version = assets.AddVersion(a, world.artifact("A2"), world.salt("A2"), provenance)
    world.refused("royalties.cycle", "alice", version)
    own = assets.Provenance(derivations=(assets.Derivation(a, "train-on"),))
    world.refused("royalties.cycle", "alice", msgspec.structs.replace(version, provenance=own))


def test_a_later_version_adds_its_links_and_never_lightens_one() -> None:
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(500)))
    c = world.register("carol", "C")
    cheap = world.license("alice", a, "bob", sharing(100))
    other = world.license("carol", c, "bob", sharing(700))
    derivations = [assets.Derivation(a, "train-on", cheap), assets.Derivation(c, "train-on", other)]
    world.add_version("bob", b, "B2", derivations=derivations)
    entries = {e.ancestor: e.rate_bps for e in world.query("royalties.stack", asset=b.hex()).entries}
    assert entries == {a.hex(): 500, c.hex(): 700}
    dear = world.license("alice", a, "bob", sharing(900))
    world.add_version("bob", b, "B3", derivations=[assets.Derivation(a, "train-on", dear)])
    assert world.query("royalties.stack", asset=b.hex()).rate_bps == 900 + 700


def test_a_version_owes_what_its_parent_has_come_to_owe() -> None:
    """The attack: to let a parent of one's own take on ancestors only after the child is registered, and then to derive
    the child's next version from it."""
    world = World()
    a = world.register("alice", "A")
    b = world.register("bob", "B")
    child = world.register("bob", "child", derivations=[assets.Derivation(b, "train-on")])
    grant = world.license("alice", a, "bob", sharing(600))
    world.add_version("bob", b, "B2", derivations=[assets.Derivation(a, "train-on", grant)])
    assert world.query("royalties.stack", asset=child.hex()).rate_bps == 0
    world.add_version("bob", child, "child2", derivations=[assets.Derivation(b, "train-on")])
    assert world.query("royalties.stack", asset=child.hex()).rate_bps == 600


def test_too_many_parents_are_refused_across_versions() -> None:
    world = World()
    parents = [world.register("alice", f"P{index}") for index in range(9)]
    own = [assets.Derivation(parent, "train-on") for parent in parents]
    child = world.register("alice", "child", derivations=own[:8])
    world.commit("alice", "child2")
    provenance = assets.Provenance(derivations=(own[8],))
    world.refused(
        "royalties.too_many_parents",
        "alice",
        assets.AddVersion(child, world.artifact("child2"), world.salt("child2"), provenance),
    )


def test_many_small_payments_pay_what_one_large_payment_would() -> None:
    """Nothing is lost to rounding: a price below 1 / rate is no way around a royalty."""
    stack = Stack((Entry(A, 500, None, 0, 1), Entry(B, 33, None, 0, 1)))
    fee = to_a = to_b = rest = 0
    for _ in range(10_000):
        split = split_sale(stack, 7, 250, exempt=False)
        parts = dict(split.royalties)
        fee, to_a, to_b, rest = fee + split.fee, to_a + parts.get(A, 0), to_b + parts.get(B, 0), rest + split.rest
        stack = split.stack
    assert (fee, to_a, to_b) == (1_750, 3_412, 225)
    assert fee + to_a + to_b + rest == 70_000


@pytest.mark.parametrize("price", [0, 1, 7, 999, 10_000, 1_000_003, 2**63 - 1])
@pytest.mark.parametrize("fee_bps", [0, 1, 250, 500])
def test_parts_sum_to_the_price(price: int, fee_bps: int) -> None:
    """E3: at the ends of every range."""
    stack = Stack(
        (Entry(A, 4_999, None, 0, 1, remainder=9_999), Entry(B, 1, 5, 0, 1, paid=3, remainder=9_999)),
        fee_remainder=9_999,
        resale_remainder=9_999,
    )
    terms = assets.TransferTerms(resale_royalty_bps=1_500)
    for split in (
        split_sale(stack, price, fee_bps, exempt=False),
        split_resale(stack, price, fee_bps, terms, exempt=False),
    ):
        royalties = sum(units for _, units in split.royalties)
        assert split.fee + royalties + split.creators + split.rest == price
        assert min(split.fee, royalties, split.creators, split.rest) >= 0


def test_a_least_royalty_is_paid_or_the_payment_refused() -> None:
    stack = Stack((Entry(A, 500, None, 40, 1), Entry(B, 100, None, 30, 1)))
    split = split_sale(stack, 1_000, 0, exempt=False)
    assert dict(split.royalties) == {A: 50, B: 30}
    assert dict(split_sale(stack, 70, 0, exempt=False).royalties) == {A: 40, B: 30}
    with pytest.raises(OperationError, match="70 cannot be paid from 69"):
        split_sale(stack, 69, 0, exempt=False)
    assert dict(split_sale(stack, 69, 0, exempt=True).royalties) == {A: 3}
    capped = Stack((Entry(A, 500, 100, 40, 1, paid=90),))
    assert dict(split_sale(capped, 10, 0, exempt=False).royalties) == {A: 10}


def test_a_resale_pays_creators_through_the_ancestors() -> None:
    """resale(P): q of the net to the creators, of which the ancestors take their rates; the seller gets the rest."""
    stack = Stack((Entry(A, 1_000, None, 0, 1),))
    terms = assets.TransferTerms(resale_royalty_bps=1_000)
    split = split_resale(stack, 1_000_000, 250, terms, exempt=False)
    assert (split.fee, dict(split.royalties), split.creators, split.rest) == (25_000, {A: 9_750}, 87_750, 877_500)
    least = assets.TransferTerms(resale_royalty_bps=1_000, least_royalty=500_000)
    assert split_resale(stack, 1_000_000, 250, least, exempt=False).creators == 450_000
    assert split_resale(stack, 1_000_000, 250, least, exempt=True).creators == 87_750
    with pytest.raises(OperationError):
        split_resale(stack, 500_000, 250, least, exempt=False)
    gift = split_gift(stack, least, exempt=False)
    assert (dict(gift.royalties), gift.creators, gift.rest) == ({A: 50_000}, 450_000, 0)


def test_creators_are_frozen_and_share_resale_royalties() -> None:
    world = World()
    shares = ((world.accounts["alice"], 3_333), (world.accounts["bob"], 6_667))
    terms = assets.TransferTerms(resale_royalty_bps=1_000)
    asset = world.register("alice", "A", creators=shares, transfer_terms=terms)
    world.transfer("alice", asset, "carol", 1_000_000)
    assert (world.owed("alice", asset), world.owed("bob", asset)) == (32_496, 65_003)
    assert world.balance("alice") == SUPPLY_EACH + 877_500, "the seller's part is paid at once"
    world.transfer("carol", asset, "dave", 1_000_000)
    assert (world.owed("alice", asset), world.owed("bob", asset)) == (64_993, 130_006)
    world.do("bob", Withdraw(asset))
    world.check_laws()
    world.refused("royalties.nothing_owed", "bob", Withdraw(asset))


def test_earnings_stay_with_who_owned_the_asset_when_they_came() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.license("alice", asset, "bob", PLAIN)
    world.transfer("alice", asset, "carol")
    world.license("carol", asset, "dave", PLAIN)
    assert world.owed("alice", asset) == world.owed("carol", asset) == 975_003
    world.refused("royalties.nothing_owed", "bob", Withdraw(asset))
    world.do("alice", Withdraw(asset))
    assert world.owed("alice", asset) == 0
    world.transfer("carol", asset, "alice")
    assert (world.owed("alice", asset), world.owed("carol", asset)) == (0, 975_003)
    world.check_laws()


def test_the_buyer_may_be_a_payee_too() -> None:
    """E6: an ancestor's owner that buys from its descendant pays like anybody, and is paid like anybody."""
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(5_000)))
    world.license("bob", b, "alice", PLAIN)
    assert world.balance("alice") == SUPPLY_EACH - 1_000_003
    assert world.owed("alice", a) == 487_501
    world.check_laws()


def test_retired_assets_still_earn_and_pay() -> None:
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(500)))
    world.do("alice", assets.Retire(a))
    world.license("bob", b, "carol", PLAIN)
    world.do("alice", Withdraw(a))
    assert world.balance("alice") == SUPPLY_EACH + 48_750


def test_a_free_network_takes_no_fee() -> None:
    world = World(make_genesis(fee_bps=0))
    asset = world.register("alice", "A")
    world.license("alice", asset, "bob", PLAIN)
    assert world.treasury == 0
    assert world.owed("alice", asset) == 1_000_003


def test_a_quote_is_what_a_purchase_pays() -> None:
    world = World()
    a = world.register("alice", "A")
    b = derive(world, "bob", "B", ("alice", a, sharing(500)))
    quote = world.query("royalties.quote", asset=b.hex(), price=1_000_003, fee_bps="250")
    assert (quote.fee, quote.rest) == (25_000, 926_253)
    assert quote.royalties[0].amount == 48_750
