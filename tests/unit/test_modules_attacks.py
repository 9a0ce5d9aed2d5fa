"""Ways around what is owed, and why they lead nowhere: stories of docs/attacks.md that no other test tells."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ledger.modules.assets import operations as assets
from ledger.modules.licenses.operations import Revoke, Terms
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.royalties.records import ANCESTORS_MAX
from ledger.parameters import DAY_MS
from primitives.identifiers import account_id
from tests.unit.modules_kit import World, seed_key

ROOT = Path(__file__).resolve().parents[2]
SHARING = Terms(
    rights=("download", "train-on"),
    price=0,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=500,
    revenue_share_depth=2,
)
USE = Terms(rights=("inference",), price=10_000, commercial=True)


def owed_by(world: World, asset: bytes) -> dict[str, int]:
    return {entry.ancestor: entry.rate_bps for entry in world.query("royalties.stack", asset=asset.hex()).entries}


def test_a_derivative_registered_again_without_its_parents_is_the_same_derivative() -> None:
    """The attack: to register the model anew, as if it came from nothing: from another account, or saved again."""
    world = World()
    data = world.register("alice", "data")
    grant = world.license("alice", data, "bob", SHARING)
    model = world.register("bob", "model", "model", derivations=[assets.Derivation(data, "train-on", grant)])
    tensors = world.artifact("model", "model").tensors_digest
    for who in ("bob", "carol"):
        world.commit(who, "model")
        refused = world.refused("assets.artifact_claimed", who, world.registration(who, "model", "model"))
        assert model.hex() in refused.message
        world.commit(who, "saved again")
        copy = msgspec.structs.replace(world.artifact("saved again", "model"), tensors_digest=tensors)
        refused = world.refused(
            "assets.tensors_claimed", who, world.registration(who, "saved again", "model", artifact=copy)
        )
        assert model.hex() in refused.message


def test_noise_first_and_the_real_derivative_as_a_later_version() -> None:
    """The attack: to register noise, which owes nobody, to sell licenses that cover all versions, and to add the model
    that was trained on somebody's data as version 2."""
    world = World()
    data = world.register("alice", "data")
    grant = world.license("alice", data, "bob", SHARING)
    noise = world.register("bob", "noise")
    world.commit("bob", "real")
    hidden = assets.AddVersion(noise, world.artifact("real"), world.salt("real"))
    named = msgspec.structs.replace(
        hidden, provenance=assets.Provenance(derivations=(assets.Derivation(data, "train-on", grant),))
    )
    world.do("bob", named)
    assert owed_by(world, noise) == {data.hex(): 500}
    world.hold(noise, 2)
    before = world.owed("alice", data)
    world.license("bob", noise, "carol", USE)
    assert world.owed("alice", data) - before == 487, "from then on every payment for any version pays the data set"


def test_shells_of_one_organization_use_up_no_depth() -> None:
    """The attack: to derive from one's own derivative, through accounts of one's own, until the ancestor's generations
    are over."""
    world = World()
    data = world.register("alice", "data")
    grant = world.license("alice", data, "bob", SHARING)
    last = world.register("bob", "shell 0", derivations=[assets.Derivation(data, "train-on", grant)])
    key, salt = seed_key("bobby").public_key, bytes(16)
    world.do("bob", OpenAccount(key, salt, "bobby"))
    world.accounts["bobby"] = account_id(world.network_id, "org-bob", key, salt)
    for number in range(1, 6):
        owner, buyer = ("bob", "bobby") if number % 2 else ("bobby", "bob")
        free = msgspec.structs.replace(SHARING, revenue_share_bps=0, revenue_share_depth=0, commercial=True)
        grant = world.license(owner, last, buyer, free)
        derivation = assets.Derivation(last, "train-on", grant)
        last = world.register(buyer, f"shell {number}", derivations=[derivation])
    assert owed_by(world, last) == {data.hex(): 500}


def test_shells_of_ones_own_evict_no_ancestor() -> None:
    """The attack: to fill the stack with ancestors of one's own until the one that is to be paid falls out of it."""
    world = World()
    data = world.register("alice", "data")
    grant = world.license("alice", data, "bob", SHARING)
    thin = msgspec.structs.replace(SHARING, revenue_share_bps=1, revenue_share_depth=8)
    layer = []
    for group in range(ANCESTORS_MAX // 8):
        shells = []
        for number in range(8):
            shell = world.register("carol", f"shell {group}.{number}")
            shells.append(assets.Derivation(shell, "train-on", world.license("carol", shell, "bob", thin)))
        joined = world.register("bob", f"group {group}", derivations=shells)
        layer.append(assets.Derivation(joined, "train-on"))
    halves = [world.register("bob", f"half {half}", derivations=layer[half::2]) for half in range(2)]
    full = world.register("bob", "full", derivations=[assets.Derivation(half, "train-on") for half in halves])
    assert len(owed_by(world, full)) == ANCESTORS_MAX
    world.commit("bob", "one more")
    derived = assets.Provenance(derivations=(assets.Derivation(data, "train-on", grant),))
    version = assets.AddVersion(full, world.artifact("one more"), world.salt("one more"), derived)
    world.refused("royalties.too_many_ancestors", "bob", version)
    assert len(owed_by(world, full)) == ANCESTORS_MAX


def test_payments_of_one_unit_pay_what_one_large_payment_does() -> None:
    """The attack: to split a price into units, each of which is too small for the ancestor's part of it."""
    world = World()
    data = world.register("alice", "data")
    grant = world.license("alice", data, "bob", SHARING)
    model = world.register("bob", "model", derivations=[assets.Derivation(data, "train-on", grant)])
    unit = msgspec.structs.replace(USE, price=1)
    offer = world.offer("bob", model, unit)
    for _ in range(1_000):
        world.buy("carol", offer, unit)
    assert world.treasury == 25
    assert world.owed("alice", data) == 48
    assert world.owed("bob", model) == 1_000 - 25 - 48
    world.check_laws()


def test_a_sleeping_exclusive_grant_blocks_from_the_day_it_is_sold() -> None:
    """The attack: to sell an exclusive license that begins later, and to sell others into its time meanwhile."""
    world = World()
    asset = world.register("alice", "A")
    later_ms = world.now_ms + 20 * DAY_MS
    sleeping = msgspec.structs.replace(USE, exclusivity="exclusive", start_ms=later_ms, term_ms=30 * DAY_MS)
    grant = world.license("alice", asset, "bob", sleeping)
    forever = world.offer("alice", asset, USE)
    refused = world.refused("licenses.collision", "carol", world.purchase_operation(forever, USE))
    assert grant.hex() in refused.message
    month = msgspec.structs.replace(USE, term_ms=30 * DAY_MS)
    world.refused("licenses.collision", "carol", world.purchase_operation(world.offer("alice", asset, month), month))
    week = msgspec.structs.replace(USE, term_ms=7 * DAY_MS)
    assert world.check("carol", asset, "inference").reason == "no_grant"
    world.buy("carol", world.offer("alice", asset, week), week)
    assert world.check("alice", asset, "inference").allowed, "it does not bind the owner before it begins"
    world.advance(20 * DAY_MS)
    assert world.check("alice", asset, "inference").grant == grant
    assert world.check("bob", asset, "inference").allowed


def test_a_refund_takes_the_evidence_of_its_payment_along() -> None:
    """The attack: to pay a friend, to be counted as a paying customer whose word has weight, and to get the price
    back."""
    world = World()
    asset = world.register("alice", "A")
    revocable = msgspec.structs.replace(USE, term_ms=10 * DAY_MS, revocation_causes=("misuse",), refund_mode="pro-rata")
    grant = world.license("alice", asset, "bob", revocable)
    assert world.query("licenses.grant", grant=grant.hex()).paid == 10_000
    world.advance(4 * DAY_MS)
    world.do("alice", Revoke(grant, "misuse", None))
    shown = world.query("licenses.grant", grant=grant.hex())
    assert (shown.paid, shown.refunded) == (4_000, 6_000)
    world.check_laws()


# --- the table


def test_every_row_of_the_table_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (?!attack|-)(.+?) \| .+? \| (.+?) \|$", page)
    assert len(rows) >= 12
    for attack, named in rows:
        tests = re.findall(r"`([\w/]+\.py)::(\w+)`", named)
        assert tests, attack
        for path, name in tests:
            source = (ROOT / "tests" / path).read_text(encoding="utf-8")
            assert f"def {name}(" in source, f"{path} has no {name}"
