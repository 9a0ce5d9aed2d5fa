"""`check` names the reason and the clause in every case that there is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.licenses.check import NEARNESS, STATE_REASONS, CheckResult
from ledger.modules.licenses.operations import SetSeats, Terms
from ledger.modules.licenses.records import GRANTS, Revocation
from ledger.modules.transfers.operations import Thing
from tests.unit.modules_kit import World

USE: Final = Terms(
    rights=("download", "inference"),
    price=100,
    term_ms=100_000,
    renewable=True,
    transferable=True,
    quota=None,
    seats=2,
    field_allow=("health",),
    field_deny=("sport",),
    territory=("CH",),
    revocation_causes=("breach",),
)


class Scene:
    """Alice's asset, of which bob has a license."""

    def __init__(self) -> None:
        self.world = World()
        self.asset = self.world.register("alice", "A")
        self.grant = self.world.license("alice", self.asset, "bob", USE)

    def let(self, **changes: object) -> None:
        """Change the grant's record."""
        record = GRANTS.get(self.world.view, self.grant)
        assert record is not None
        GRANTS.put(self.world.view, msgspec.structs.replace(record, **changes), self.grant)

    def revoke(self) -> None:
        now_ms = self.world.now_ms
        self.let(revocation=Revocation("breach", None, self.world.accounts["alice"], now_ms, now_ms))


def seat(scene: Scene, *, passed_on: bool) -> None:
    """Alan, of alice's organization, has a seat of her license on carol's asset; then dave may be its licensee."""
    world = scene.world
    scene.asset = world.register("carol", "C")
    scene.grant = world.license("carol", scene.asset, "alice", USE)
    world.do("alice", SetSeats(scene.grant, (world.accounts["alan"],)))
    if passed_on:
        scene.let(licensee=world.accounts["dave"])


def exclude(scene: Scene) -> None:
    exclusive = Terms(rights=("inference",), price=100, exclusivity="exclusive")
    scene.asset = scene.world.register("carol", "C")
    scene.grant = scene.world.license("carol", scene.asset, "dave", exclusive)


def inherit(scene: Scene) -> None:
    """Bob's child of alice's asset inherits what her terms deny."""
    terms = msgspec.structs.replace(USE, rights=("train-on",), derivatives="yes", field_allow=(), commercial=True)
    grant = scene.world.license("alice", scene.asset, "bob", terms)
    scene.asset = scene.world.register("bob", "B", derivations=[assets.Derivation(scene.asset, "train-on", grant)])


def publish(scene: Scene) -> None:
    scene.asset = scene.world.register("alice", "P", visibility="public")


def sell_half(scene: Scene) -> None:
    scene.world.transfer("alice", Thing("share", scene.asset, 5_000), "carol", 5)


CASES: Final[list[tuple[str, str, str, str, dict[str, str], Callable[[Scene], object]]]] = [
    # reason, clause, who, right, field and country, what happened
    ("granted", "", "bob", "inference", {}, lambda scene: None),
    ("granted", "", "bob", "inference", {"field_of_use": "health", "country": "CH"}, lambda scene: None),
    ("granted", "seats", "alan", "inference", {}, lambda scene: seat(scene, passed_on=False)),
    ("owner", "", "alice", "fine-tune", {}, lambda scene: None),
    ("public", "", "dave", "download", {}, publish),
    ("no_grant", "", "dave", "download", {}, lambda scene: None),
    ("co_owner", "", "carol", "inference", {}, sell_half),
    ("exclusive_grant_live", "exclusivity", "carol", "inference", {}, exclude),
    ("right_not_granted", "rights", "bob", "fine-tune", {}, lambda scene: None),
    ("escrowed", "", "bob", "inference", {}, lambda scene: scene.let(state="escrowed")),
    ("refunded", "", "bob", "inference", {}, lambda scene: scene.let(state="refunded")),
    ("not_started", "start_ms", "bob", "inference", {}, lambda scene: scene.let(start_ms=scene.world.now_ms + 1)),
    ("expired", "term_ms", "bob", "inference", {}, lambda scene: scene.let(end_ms=scene.world.now_ms)),
    ("exhausted", "quota", "bob", "inference", {}, lambda scene: scene.let(quota=3, used=3)),
    ("revoked", "revocation_causes", "bob", "inference", {}, Scene.revoke),
    ("superseded", "renewable", "bob", "inference", {}, lambda scene: scene.let(superseded_at_ms=scene.world.now_ms)),
    ("disputed", "dispute_window_ms", "bob", "inference", {}, lambda scene: scene.let(disputed=True)),
    ("no_seat", "seats", "alan", "inference", {}, lambda scene: seat(scene, passed_on=True)),
    ("field_denied", "field_deny", "bob", "inference", {"field_of_use": "sport"}, lambda scene: None),
    ("field_denied", "field_allow", "bob", "inference", {"field_of_use": "finance"}, lambda scene: None),
    ("field_denied", "field_deny", "bob", "inference", {"field_of_use": "sport"}, inherit),
    ("outside_territory", "territory", "bob", "inference", {"country": "DE"}, lambda scene: None),
    ("unknown_right", "rights", "bob", "fly", {}, lambda scene: None),
    ("unknown_asset", "", "bob", "inference", {}, lambda scene: setattr(scene, "asset", bytes(32))),
]
ALLOW: Final = {"granted", "owner", "public"}


@pytest.mark.parametrize(("reason", "clause", "who", "right", "asked", "happens"), CASES)
def test_the_reason_and_the_clause_of_each_answer(
    reason: str, clause: str, who: str, right: str, asked: dict[str, str], happens: Callable[[Scene], object]
) -> None:
    scene = Scene()
    happens(scene)
    answer = scene.world.check(who, scene.asset, right, **asked)
    assert (answer.reason, answer.clause) == (reason, clause)
    assert answer.allowed is (reason in ALLOW)
    decided_by_a_grant = reason in {*NEARNESS, "granted", "exclusive_grant_live"} and happens is not inherit
    assert answer.grant == (scene.grant if decided_by_a_grant else None)


def test_no_reason_is_without_a_case() -> None:
    told = set(re.findall(r"`([a-z_]+)`", CheckResult.__doc__ or "")) - {"seats"}
    assert told == {reason for reason, *_ in CASES}
    assert {reason for reason, _ in STATE_REASONS.values()} <= told
    assert set(NEARNESS) <= told


def test_a_clause_is_a_field_of_the_terms() -> None:
    assert {clause for _, clause, *_ in CASES} - {""} <= set(Terms.__struct_fields__)
