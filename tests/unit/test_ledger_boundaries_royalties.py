"""The bounds of royalties, at them and one beyond."""

from __future__ import annotations

import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses import operations as licenses
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from tests.reference.state import TREASURY
from tests.unit.boundaries_kit import AGE_MS, DAY_MS, Stage
from tests.unit.modules_kit import NAMES, cid


@pytest.mark.parametrize(
    ("price", "rate", "times", "fee", "royalty"),
    [
        (1, 1, 1, 0, 0),
        (1, 5_000, 1, 0, 0),
        (1, 5_000, 2, 0, 1),
        (1, 1, 39, 0, 0),
        (1, 1, 40, 1, 0),
        (1, 256, 40, 1, 0),
        (1, 257, 40, 1, 1),
        (39, 1, 1, 0, 0),
        (40, 1, 1, 1, 0),
        (9_999, 1, 1, 249, 0),
        (10_257, 1, 1, 256, 1),
    ],
)
def test_rates_that_floor_to_zero_are_paid_later(price: int, rate: int, times: int, fee: int, royalty: int) -> None:
    """E3: a payment of a unit pays no fee of 2.5 % and no royalty; forty of them pay what one of forty would."""
    stage = Stage()
    (root,) = stage.register("alice", "A")
    free = licenses.Terms(
        rights=("train-on",),
        price=0,
        commercial=True,
        derivatives="yes",
        revenue_share_bps=rate,
        revenue_share_depth=1,
    )
    (derivation,) = stage.license("alice", "bob", root, terms=free)
    (child,) = stage.register("bob", "B", parents=[derivation])
    terms = licenses.Terms(rights=("download",), price=price)
    (offer,) = stage.offer("bob", child, terms=terms)
    for _ in range(times):
        stage.send("carol", stage.purchase(offer, terms))
    state = stage.pair.state
    assert state.balances.get(TREASURY, 0) == fee
    assert state.received.get(root, 0) == royalty
    assert state.received[child] == price * times - fee - royalty


@pytest.mark.parametrize(("roots", "code"), [(7, ""), (8, "royalties.too_many_ancestors")])
def test_an_asset_pays_sixty_four_ancestors(roots: int, code: str) -> None:
    """Eight parents with seven ancestors each are 64; one more on one of them is refused."""
    stage = Stage()
    parents = []
    for number in range(8):
        count = roots if number == 0 else 7
        made = stage.register("alice", *[f"root {number} {index}" for index in range(count)])
        parents += stage.register("bob", f"parent {number}", parents=stage.license("alice", "bob", *made))
    derivations = stage.license("bob", "carol", *parents)
    (child,) = stage.register("carol", "child", parents=derivations, code=code)
    if not code:
        assert len(stage.stack(child)) == 64
        assert sum(entry["rate"] for entry in stage.stack(child).values()) == 640


def test_a_claim_reaches_eight_generations_and_not_the_ninth() -> None:
    stage = Stage()
    line = [stage.register("alice", "generation 0")[0]]
    for generation in range(1, 10):
        maker, seller = NAMES[generation % 2], NAMES[(generation - 1) % 2]
        derivations = stage.license(seller, maker, line[-1])
        line += stage.register(maker, f"generation {generation}", parents=derivations)
    assert stage.stack(line[8])[line[0]]["depth"] == 1
    assert line[0] not in stage.stack(line[9])
    assert [len(stage.stack(asset)) for asset in line] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    deeper = licenses.Terms(("train-on",), 1, True, derivatives="yes", revenue_share_bps=1, revenue_share_depth=9)
    offer = licenses.Offer(line[0], deeper, stage.now + DAY_MS)
    stage.send("alice", offer, code="transaction.malformed", malformed=True)


def test_a_loop_of_derived_models_is_refused_at_any_length() -> None:
    """E6: itself, its child, its grandchild."""
    stage = Stage()
    line = stage.register("alice", "A")
    for label, seller, maker in (("B", "alice", "bob"), ("C", "bob", "carol")):
        line += stage.register(maker, label, parents=stage.license(seller, maker, line[-1]))
    stage.commit("alice", "A 2")
    version = assets.Artifact(cid("A 2"), 1)
    sellers = dict(zip(line[1:], ("bob", "carol"), strict=True))
    stage.pause(AGE_MS)
    loops = [assets.Derivation(line[0], "train-on")]
    loops += [stage.license(sellers[asset], "alice", asset)[0] for asset in line[1:]]
    for loop in loops:
        operation = assets.AddVersion(line[0], version, bytes(16), assets.Provenance((loop,)))
        stage.send("alice", operation, code="royalties.cycle")


def test_who_pays_himself_is_refused_or_nets_nothing() -> None:
    """E6: self-transfer, self-purchase, a sale to oneself, a payee named twice, and a payee that buys."""
    stage = Stage()
    alice = stage.accounts["alice"]
    (asset,) = stage.register("alice", "A")
    (offer,) = stage.offer("alice", asset)
    stage.send("alice", Transfer(alice, 1), code="credits.self_transfer")
    stage.send("alice", stage.purchase(offer), code="licenses.self_purchase")
    whole = Thing("asset", asset)
    stage.send("alice", transfers.Offer(whole, alice, 1, stage.now + DAY_MS), code="transfers.self_transfer")
    stage.commit("alice", "B")
    twice = stage.registration("B", creators=((alice, 5_000), (alice, 5_000)))
    stage.send("alice", twice, code="assets.creator_repeated", later=AGE_MS)
    (child,) = stage.register("bob", "C", parents=stage.license("alice", "bob", asset))
    terms = licenses.Terms(rights=("download",), price=10_000)
    before = stage.pair.state.balances[alice]
    stage.license("bob", "alice", child, terms=terms)
    stage.send("alice", Withdraw(asset))
    # What bob paid for his grant (100 less the fee of 2), and 10 bps of the 9,750 that were left of alice's payment.
    assert stage.pair.state.balances[alice] == before - 10_000 + 98 + 9
