"""The main story through all modules: register, license, derive, sell, check, hand over."""

from __future__ import annotations

from ledger.modules.assets import operations as assets
from ledger.modules.licenses.operations import Terms
from ledger.modules.royalties.operations import Withdraw
from tests.unit.modules_kit import SUPPLY_EACH, World

TRAINING = Terms(
    rights=("download", "train-on"),
    price=1_000_000,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=500,
    revenue_share_depth=2,
)
USE = Terms(rights=("download", "inference"), price=2_000_000)


def test_a_data_set_earns_from_the_model_trained_on_it() -> None:
    world = World()
    digits = world.register("alice", "digits")
    training = world.license("alice", digits, "bob", TRAINING)
    model = world.register("bob", "classifier", "model", derivations=[assets.Derivation(digits, "train-on", training)])
    assert world.query("royalties.stack", asset=model.hex()).rate_bps == 500

    grant = world.license("bob", model, "carol", USE)
    assert world.balance("carol") == SUPPLY_EACH - 2_000_000
    assert world.owed("alice", digits) == 975_000 + 97_500
    assert world.owed("bob", model) == 1_950_000 - 97_500
    assert world.treasury == 25_000 + 50_000
    world.check_laws()

    assert world.check("carol", model).reason == "granted"
    assert world.check("carol", model).grant == grant
    assert world.check("dave", model).reason == "no_grant"
    assert world.check("carol", model, "fine-tune").clause == "rights"
    assert world.check("bob", model, "fine-tune").reason == "owner"

    world.transfer("bob", model, "dave", 5_000_000)
    assert world.query("assets.get", asset=model.hex()).owners[0].bps == 10_000
    assert world.check("dave", model).reason == "owner"
    assert world.check("bob", model).reason == "no_grant"
    assert world.check("carol", model).reason == "granted", "a grant survives the sale of the asset"
    world.check_laws()

    world.do("bob", Withdraw(model))
    world.do("alice", Withdraw(digits))
    assert world.balance("alice") == SUPPLY_EACH + 975_000 + 97_500
    world.check_laws()
