"""Share-alike: which terms a derivative may be licensed under, over all combinations of demand and difference."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.licenses.operations import Offer, Terms
from ledger.modules.licenses.share_alike import IDENTICAL, broken_clause
from tests.unit.modules_kit import World

BASE = Terms(
    rights=("download", "train-on"),
    price=5,
    field_allow=("health", "law"),
    field_deny=("spam", "weapons"),
    territory=("DE", "FR"),
    credentials=("organization:org-bob", "organization:org-carol"),
    derivatives="on-approval",
    share_alike="superset",
)
CLOSED = ("superset", "identical")
NEVER: tuple[str, ...] = ()
ONLY_IDENTICAL = ("identical",)

DIFFERENCES: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    # clause, theirs, ours, the demands that it breaks
    ("rights", {}, {"rights": ("download", "inference", "train-on")}, ONLY_IDENTICAL),
    ("rights", {}, {"rights": ("train-on",)}, CLOSED),
    ("rights", {}, {"rights": ("inference", "train-on")}, CLOSED),
    ("commercial", {}, {"commercial": True}, ONLY_IDENTICAL),
    ("commercial", {"commercial": True}, {}, CLOSED),
    ("exclusivity", {}, {"exclusivity": "sole"}, CLOSED),
    ("exclusivity", {}, {"exclusivity": "exclusive"}, CLOSED),
    ("exclusivity", {"exclusivity": "exclusive"}, {}, ONLY_IDENTICAL),
    ("exclusivity", {"exclusivity": "sole"}, {"exclusivity": "exclusive"}, ONLY_IDENTICAL),
    ("field_allow", {}, {"field_allow": ()}, ONLY_IDENTICAL),
    ("field_allow", {}, {"field_allow": ("finance", "health", "law")}, ONLY_IDENTICAL),
    ("field_allow", {}, {"field_allow": ("health",)}, CLOSED),
    ("field_allow", {"field_allow": ()}, {"field_allow": ("health",)}, CLOSED),
    ("field_deny", {}, {"field_deny": ("spam",)}, ONLY_IDENTICAL),
    ("field_deny", {}, {"field_deny": ("gambling", "spam", "weapons")}, CLOSED),
    ("territory", {}, {"territory": ()}, ONLY_IDENTICAL),
    ("territory", {}, {"territory": ("AT", "DE", "FR")}, ONLY_IDENTICAL),
    ("territory", {}, {"territory": ("DE",)}, CLOSED),
    ("territory", {"territory": ()}, {"territory": ("DE",)}, CLOSED),
    ("credentials", {}, {"credentials": ()}, NEVER),
    ("credentials", {}, {"credentials": ("organization:org-bob",)}, ("superset",)),
    ("credentials", {"credentials": ()}, {"credentials": ("organization:org-bob",)}, ("superset",)),
    ("derivatives", {}, {"derivatives": "yes"}, ONLY_IDENTICAL),
    ("derivatives", {"derivatives": "yes"}, {"derivatives": "on-approval"}, CLOSED),
    ("derivatives", {}, {"derivatives": "no"}, CLOSED),
    ("attribution", {}, {"attribution": "by me"}, ONLY_IDENTICAL),
    ("legal_text_cid", {}, {"legal_text_cid": "x"}, ONLY_IDENTICAL),
    ("spdx_id", {}, {"spdx_id": "MIT"}, ONLY_IDENTICAL),
    *(
        (name, {}, {name: value}, NEVER)
        for name, value in {
            "price": 9,
            "editions_max": 1,
            "start_ms": 1,
            "term_ms": 1,
            "renewable": True,
            "quota": 1,
            "quota_unit": "trainings",
            "usage_price": 1,
            "seats": 1,
            "transferable": True,
            "resale_royalty_bps": 1,
            "least_royalty": 1,
            "revenue_share_bps": 1,
            "revenue_share_cap": 1,
            "revenue_share_depth": 1,
            "revocation_causes": ("breach",),
            "notice_ms": 1,
            "refund_mode": "pro-rata",
            "dispute_window_ms": 1,
        }.items()
    ),
]


@pytest.mark.parametrize("ours_alike", ["no", "superset", "identical"])
@pytest.mark.parametrize("theirs_alike", ["no", "superset", "identical"])
@pytest.mark.parametrize(("clause", "theirs", "ours", "breaks"), DIFFERENCES)
def test_which_clause_breaks_which_demand(
    clause: str,
    theirs: dict[str, Any],
    ours: dict[str, Any],
    breaks: tuple[str, ...],
    theirs_alike: Any,
    ours_alike: Any,
) -> None:
    parent = msgspec.structs.replace(BASE, **theirs, share_alike=theirs_alike)
    child = msgspec.structs.replace(BASE, **theirs, share_alike=ours_alike)
    child = msgspec.structs.replace(child, **{clause: getattr(BASE, clause)} | ours)
    if theirs_alike in breaks:
        assert broken_clause(parent, child) == clause
    elif (theirs_alike == "superset" and ours_alike == "no") or (
        theirs_alike == "identical" and ours_alike != "identical"
    ):
        assert broken_clause(parent, child) == "share_alike"
    else:
        assert broken_clause(parent, child) is None


def test_every_clause_has_a_row() -> None:
    """A field that is added to terms must be decided on here."""
    assert {clause for clause, *_ in DIFFERENCES} | {"share_alike"} == set(Terms.__struct_fields__)
    assert set(IDENTICAL) <= set(Terms.__struct_fields__)


def shared(world: World, parent: bytes, terms: Terms, label: str) -> bytes:
    grant = world.license("alice", parent, "bob", terms)
    return world.register("bob", label, derivations=[assets.Derivation(parent, "train-on", grant)])


def test_a_derivative_of_ones_own_derivative_does_not_wash_share_alike_off() -> None:
    """The attack: between two assets of one owner there is a link without terms."""
    world = World()
    parent = world.register("alice", "parent")
    alike = Terms(rights=("train-on",), price=0, derivatives="yes", share_alike="superset")
    child = shared(world, parent, alike, "child")
    grandchild = world.register("bob", "grandchild", derivations=[assets.Derivation(child, "train-on")])
    closed = Terms(rights=("train-on",), price=0)
    error = world.refused("licenses.share_alike", "bob", Offer(grandchild, closed, world.now_ms + 1))
    assert parent.hex() in error.message
    assert "derivatives" in error.message
    world.offer("bob", grandchild, alike)


def test_two_parents_may_demand_what_no_terms_satisfy() -> None:
    world = World()
    first, second = world.register("alice", "first"), world.register("alice", "second")
    alike = Terms(rights=("train-on",), price=0, derivatives="yes", share_alike="superset")
    denying = msgspec.structs.replace(alike, field_deny=("weapons",))
    right = assets.Derivation(second, "train-on", world.license("alice", second, "bob", denying))
    child = shared(world, first, alike, "child")
    world.add_version("bob", child, "child 2", derivations=[right])
    world.refused("licenses.share_alike", "bob", Offer(child, denying, world.now_ms + 1))
    world.refused("licenses.denied_field_dropped", "bob", Offer(child, alike, world.now_ms + 1))
