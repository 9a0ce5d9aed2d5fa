"""Terms: what their fields may be together, when two grants collide, what derivatives inherit."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.errors import OperationError
from ledger.modules.assets import operations as assets
from ledger.modules.licenses.operations import Offer, Terms, terms_digest
from ledger.modules.licenses.terms import check_terms
from ledger.parameters import DAY_MS
from tests.unit.modules_kit import World, cid

BASE: dict[str, Any] = {"rights": ("download", "inference"), "price": 100}
SHARING: dict[str, Any] = {
    "rights": ("download", "train-on"),
    "price": 0,
    "commercial": True,
    "derivatives": "yes",
    "revenue_share_bps": 500,
    "revenue_share_depth": 1,
}
METERED: dict[str, Any] = {
    "rights": ("inference-as-service",),
    "price": 100,
    "term_ms": 1_000,
    "quota": 5,
    "quota_unit": "calls",
    "usage_price": 3,
}

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("licenses.terms_unsorted", {"rights": ("inference", "download")}),
    ("licenses.terms_unsorted", {"rights": ("download", "download")}),
    ("licenses.terms_unsorted", {"field_deny": ("b", "a")}),
    ("licenses.terms_unsorted", {"territory": ("FR", "DE")}),
    ("licenses.terms_no_rights", {"rights": ()}),
    ("licenses.terms_editions", {"exclusivity": "exclusive", "editions_max": 2}),
    ("licenses.terms_renewal", {"renewable": True}),
    ("licenses.terms_quota", {"quota": 5}),
    ("licenses.terms_quota", {"quota_unit": "trainings"}),
    ("licenses.terms_unmetered", {"quota": 5, "quota_unit": "calls"}),
    ("licenses.terms_unmetered", {"quota": 5, "quota_unit": "kilotokens"}),
    ("licenses.terms_unmetered", {"quota": 5, "quota_unit": "key-releases"}),
    ("licenses.terms_unmetered", {**METERED, "rights": ("inference", "inference-as-service")}),
    ("licenses.terms_unmetered", {**METERED, "rights": ("compute-only", "download")}),
    ("licenses.terms_usage_quota", {"usage_price": 1, "term_ms": 5}),
    ("licenses.terms_usage_term", {**METERED, "term_ms": None}),
    ("licenses.terms_usage_amount", {**METERED, "quota": 2, "usage_price": 2**62}),
    ("licenses.terms_usage_amount", {**METERED, "quota": 1, "usage_price": 2**63 - 1, "price": 1}),
    ("licenses.terms_renewal_window", {"term_ms": 5, "renewable": True, "dispute_window_ms": 6}),
    ("licenses.terms_period", {"start_ms": 2**52 - 4, "term_ms": 5}),
    ("licenses.terms_period", {"start_ms": 2**52 + 1}),
    ("licenses.terms_quota_right", {"quota": 5, "quota_unit": "trainings"}),
    ("licenses.terms_fields", {"field_allow": ("a",), "field_deny": ("a",)}),
    ("licenses.terms_credential", {"credentials": ("doctor",)}),
    ("licenses.terms_resale", {"resale_royalty_bps": 1}),
    ("licenses.terms_non_commercial", {**SHARING, "commercial": False}),
    ("licenses.terms_no_derivatives", {**SHARING, "derivatives": "no"}),
    ("licenses.terms_least_royalty", {"least_royalty": 5}),
    ("licenses.terms_cap", {"revenue_share_cap": 5}),
    ("licenses.terms_cap_too_low", {**SHARING, "revenue_share_cap": 0}),
    ("licenses.terms_cap_too_low", {**SHARING, "revenue_share_cap": 4, "least_royalty": 5}),
    ("licenses.terms_depth", {**SHARING, "revenue_share_depth": 0}),
    ("licenses.terms_depth", {"revenue_share_depth": 1}),
    ("licenses.terms_share_alike", {"share_alike": "superset"}),
    ("licenses.terms_refund", {"refund_mode": "pro-rata"}),
    ("licenses.terms_notice", {"notice_ms": 5}),
    ("licenses.terms_refund_term", {"revocation_causes": ("breach",), "refund_mode": "pro-rata"}),
    ("licenses.terms_legal_text", {"legal_text_cid": "bafy"}),
]


@pytest.mark.parametrize(("code", "fields"), REFUSED)
def test_terms_that_contradict_themselves_are_refused(code: str, fields: dict[str, Any]) -> None:
    with pytest.raises(OperationError) as caught:
        check_terms(Terms(**(BASE | fields)))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "fields",
    [
        {},
        SHARING,
        {**SHARING, "revenue_share_cap": 5, "least_royalty": 5},
        {**SHARING, "quota": 1, "quota_unit": "trainings"},
        {"transferable": True, "resale_royalty_bps": 100, "least_royalty": 5},
        {"revocation_causes": ("breach",), "notice_ms": 5, "refund_mode": "pro-rata", "term_ms": 5},
        {"revocation_causes": ("breach",), "notice_ms": 5},
        METERED,
        {**METERED, "quota_unit": "kilotokens", "usage_price": 0, "term_ms": None},
        {**METERED, "quota_unit": "key-releases", "rights": ("compute-only", "inference-as-service")},
        {**METERED, "quota": 1, "usage_price": 2**63 - 101},
        {**SHARING, "quota": 1, "quota_unit": "trainings", "usage_price": 5, "term_ms": 5},
        {"start_ms": 2**52 - 5, "term_ms": 5},
        {"term_ms": 5, "renewable": True, "dispute_window_ms": 5},
        {"legal_text_cid": cid("text"), "spdx_id": "Apache-2.0"},
        {"exclusivity": "sole", "editions_max": 1, "term_ms": 5, "renewable": True},
        {"credentials": ("organization:org-bob",), "seats": 3, "territory": ("DE", "FR")},
    ],
)
def test_terms_that_hold_are_accepted(fields: dict[str, Any]) -> None:
    check_terms(Terms(**(BASE | fields)))


def test_every_cross_field_rule_has_a_row() -> None:
    """One code a rule, and no rule without a test."""
    source = Path(inspect.getfile(check_terms)).read_text()
    assert set(re.findall(r'"(licenses\.terms_[a-z_]+)"', source)) == {code for code, _ in REFUSED}


def test_terms_are_checked_when_they_are_offered() -> None:
    world = World()
    asset = world.register("alice", "A")
    bad = Terms(**(BASE | {"quota": 5, "quota_unit": "calls"}))
    world.refused("licenses.terms_unmetered", "alice", Offer(asset, bad, world.now_ms + 1))


def test_every_field_is_part_of_the_digest() -> None:
    """Content-addressed: no two terms share a name."""
    base = Terms(**BASE)
    digests = {terms_digest(base)}
    changed: dict[str, Any] = {**SHARING, "exclusivity": "sole", "seats": 1, "attribution": "x", "dispute_window_ms": 1}
    for name, value in changed.items():
        digests.add(terms_digest(msgspec.structs.replace(base, **{name: value})))
    assert len(digests) == 1 + sum(getattr(base, name) != value for name, value in changed.items())


# --- collision: rights, territory, field of use and time must all intersect, and one grant is sole or exclusive

EXCLUSIVE: dict[str, Any] = {**BASE, "exclusivity": "exclusive"}
COLLISIONS: list[tuple[str, bool, dict[str, Any], dict[str, Any]]] = [
    ("exclusive, then plain", True, EXCLUSIVE, BASE),
    ("plain, then exclusive", True, BASE, EXCLUSIVE),
    ("sole, then plain", True, {**BASE, "exclusivity": "sole"}, BASE),
    ("sole, then exclusive", True, {**BASE, "exclusivity": "sole"}, EXCLUSIVE),
    ("two plain ones", False, BASE, {**BASE, "price": 101}),
    ("other rights", False, EXCLUSIVE, {**BASE, "rights": ("train-on",)}),
    ("one right in common", True, EXCLUSIVE, {**BASE, "rights": ("inference", "train-on")}),
    ("other countries", False, {**EXCLUSIVE, "territory": ("DE",)}, {**BASE, "territory": ("FR",)}),
    ("everywhere meets somewhere", True, {**EXCLUSIVE, "territory": ("DE",)}, BASE),
    ("other fields", False, {**EXCLUSIVE, "field_allow": ("health",)}, {**BASE, "field_allow": ("law",)}),
    ("all fields meet one", True, {**EXCLUSIVE, "field_allow": ("health",)}, BASE),
    ("what one allows the other denies", False, {**EXCLUSIVE, "field_allow": ("a",)}, {**BASE, "field_deny": ("a",)}),
    ("denied here, allowed there", False, {**EXCLUSIVE, "field_deny": ("a",)}, {**BASE, "field_allow": ("a",)}),
    ("denials leave the rest", True, {**EXCLUSIVE, "field_deny": ("a",)}, {**BASE, "field_deny": ("b",)}),
]


@pytest.mark.parametrize(("story", "collides", "first", "second"), COLLISIONS)
def test_when_two_grants_collide(story: str, collides: bool, first: dict[str, Any], second: dict[str, Any]) -> None:
    world = World()
    asset = world.register("alice", "A")
    offers = [(world.offer("alice", asset, Terms(**fields)), Terms(**fields)) for fields in (first, second)]
    world.buy("bob", *offers[0], committed=True)
    if collides:
        error = world.refused("licenses.collision", "carol", world.purchase_operation(*offers[1]))
        assert "excludes" in error.message
    else:
        world.buy("carol", *offers[1], committed=True)
    world.check_laws()


def test_periods_that_only_touch_do_not_collide() -> None:
    world = World()
    asset = world.register("alice", "A")
    start_ms = world.now_ms + DAY_MS
    first = Terms(**EXCLUSIVE, start_ms=start_ms, term_ms=1_000)
    overlapping = Terms(**EXCLUSIVE, start_ms=start_ms + 999, term_ms=1_000)
    after = Terms(**EXCLUSIVE, start_ms=start_ms + 1_000, term_ms=1_000)
    before = Terms(**EXCLUSIVE, start_ms=start_ms - 1_000, term_ms=1_000)
    offers = [
        world.offer("alice", asset, terms, expires_at_ms=start_ms) for terms in (first, overlapping, after, before)
    ]
    world.buy("bob", offers[0], first, committed=True)
    world.refused("licenses.collision", "carol", world.purchase_operation(offers[1], overlapping))
    world.buy("carol", offers[2], after, committed=True)
    world.buy("dave", offers[3], before, committed=True)


def test_an_expired_exclusive_grant_blocks_nobody() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.license("alice", asset, "bob", Terms(**EXCLUSIVE, term_ms=1_000))
    assert world.check("alice", asset, "inference").reason == "exclusive_grant_live"
    world.advance(1_000)
    assert world.check("alice", asset, "inference").reason == "owner"
    world.license("alice", asset, "carol", Terms(**EXCLUSIVE))
    world.check_laws()


def test_exclusive_binds_the_owner_and_sole_does_not() -> None:
    world = World()
    first, second = world.register("alice", "A"), world.register("alice", "B")
    grant = world.license("alice", first, "bob", Terms(**EXCLUSIVE))
    world.license("alice", second, "bob", Terms(**{**BASE, "exclusivity": "sole"}))
    answer = world.check("alice", first, "inference")
    assert (answer.allowed, answer.clause, answer.grant) == (False, "exclusivity", grant)
    assert world.check("alice", first, "train-on").allowed, "a right that the grant does not cover"
    assert world.check("alice", second, "inference").allowed
    world.transfer("alice", first, "carol")
    assert not world.check("carol", first, "inference").allowed, "the next owner is bound too"


def test_a_derivative_by_the_same_owner_is_no_way_around_exclusivity() -> None:
    """The attack: to sell an exclusive license, then to derive a copy and license that; in either order, and through a
    second account of the same organization."""
    world = World()
    asset = world.register("alice", "A")
    copy = world.register("alice", "copy", derivations=[assets.Derivation(asset, "train-on")])
    further = world.register("alice", "further", derivations=[assets.Derivation(copy, "train-on")])
    terms = Terms(**BASE)
    offer = world.offer("alice", further, terms)
    exclusive = Terms(rights=("inference", "train-on"), price=1, exclusivity="exclusive")
    world.license("alice", asset, "bob", exclusive)
    world.refused("licenses.collision", "carol", world.purchase_operation(offer, terms))
    assert not world.check("alice", further, "inference").allowed
    world.commit("alice", "another copy")
    own = world.registration("alice", "another copy", derivations=[assets.Derivation(asset, "train-on")])
    world.refused("assets.derivation_denied", "alice", own)
    world.transfer("alice", copy, "alan")
    moved = world.offer("alan", copy, terms)
    world.refused("licenses.collision", "carol", world.purchase_operation(moved, terms))


def test_an_exclusive_license_is_not_sold_over_grants_on_derivatives() -> None:
    world = World()
    asset = world.register("alice", "A")
    copy = world.register("alice", "copy", derivations=[assets.Derivation(asset, "train-on")])
    world.license("alice", copy, "bob", Terms(**BASE))
    offer = world.offer("alice", asset, Terms(**EXCLUSIVE))
    world.refused("licenses.collision", "carol", world.purchase_operation(offer, Terms(**EXCLUSIVE)))
    copy_offer = world.offer("alice", copy, Terms(**{**EXCLUSIVE, "rights": ("train-on",)}))
    world.buy("carol", copy_offer, Terms(**{**EXCLUSIVE, "rights": ("train-on",)}), committed=True)


# --- what derivatives inherit


def derived(world: World, **terms: Any) -> bytes:
    parent = world.register("alice", "parent")
    grant = world.license("alice", parent, "bob", Terms(**{**SHARING, **terms}))
    return world.register("bob", "child", derivations=[assets.Derivation(parent, "train-on", grant)])


def test_a_denied_field_of_use_is_denied_by_all_descendants() -> None:
    world = World()
    child = derived(world, field_deny=("weapons",))
    grandchild = world.register("bob", "grandchild", derivations=[assets.Derivation(child, "train-on")])
    assert world.query("assets.get", asset=grandchild.hex()).denied_uses == ("weapons",)
    for asset in (child, grandchild):
        plain = Terms(**BASE)
        world.refused("licenses.denied_field_dropped", "bob", Offer(asset, plain, world.now_ms + 1))
        denying = Terms(**BASE, field_deny=("spam", "weapons"))
        world.license("bob", asset, "carol", denying)
        assert world.check("carol", asset, field_of_use="weapons").reason == "field_denied"


def test_a_non_commercial_license_makes_no_commerce_below_it() -> None:
    world = World()
    child = derived(world, commercial=False, revenue_share_bps=0, revenue_share_depth=0)
    for fields in ({"price": 5}, {"price": 0, "commercial": True}, {**METERED, "price": 0}):
        terms = Terms(**{**BASE, **fields})
        world.refused("licenses.non_commercial_parent", "bob", Offer(child, terms, world.now_ms + 1))
    world.license("bob", child, "carol", Terms(**{**BASE, "price": 0}))


def test_share_alike_is_passed_on() -> None:
    world = World()
    child = derived(world, share_alike="superset")
    narrow = Terms(**{**SHARING, "rights": ("train-on",), "share_alike": "superset"})
    closed = Terms(**SHARING)
    wide = Terms(**{**SHARING, "rights": ("download", "inference", "train-on"), "share_alike": "superset"})
    for terms in (narrow, closed):
        world.refused("licenses.share_alike", "bob", Offer(child, terms, world.now_ms + 1))
    world.offer("bob", child, wide)
    strict_world = World()
    strict = derived(strict_world, share_alike="identical")
    same = Terms(**{**SHARING, "share_alike": "identical", "price": 77, "revenue_share_bps": 900})
    strict_world.refused("licenses.share_alike", "bob", Offer(strict, wide, strict_world.now_ms + 1))
    strict_world.offer("bob", strict, same)


def test_a_second_license_does_not_wash_off_share_alike() -> None:
    world = World()
    parent = world.register("alice", "parent")
    grants = [
        world.license("alice", parent, "bob", Terms(**SHARING, share_alike=alike)) for alike in ("superset", "no")
    ]
    derivations = [assets.Derivation(parent, "train-on", grant) for grant in grants]
    child = world.register("bob", "child", derivations=derivations[:1])
    world.add_version("bob", child, "child2", derivations=derivations[1:])
    closed = Terms(**SHARING)
    world.refused("licenses.share_alike", "bob", Offer(child, closed, world.now_ms + 1))


def test_what_a_later_version_inherits_voids_older_offers() -> None:
    """The attack: to make an open offer first, and to derive from a restricted parent afterwards."""
    world = World()
    child = world.register("bob", "child")
    plain = Terms(**BASE)
    offer = world.offer("bob", child, plain)
    parent = world.register("alice", "parent")
    grant = world.license("alice", parent, "bob", Terms(**{**SHARING, "field_deny": ("weapons",)}))
    world.add_version("bob", child, "child2", derivations=[assets.Derivation(parent, "train-on", grant)])
    world.refused("licenses.denied_field_dropped", "carol", world.purchase_operation(offer, plain))
