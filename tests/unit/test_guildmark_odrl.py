"""ODRL: what a policy of ours looks like, which plain policies map, and how everything else is refused."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from guildmark_kit import FakeNode, fake_node, make_genesis

from guildmark.cli import main
from guildmark.errors import InvalidArgument, OdrlRefused, Refused
from guildmark.licenses import read_terms, write_terms
from guildmark.odrl import from_odrl, read_odrl, to_odrl
from guildmark.odrl.page import fields_table, rights_table
from guildmark.odrl.reading import DEPTH_MAX, DOCUMENT_BYTES_MAX, ITEMS_MAX, MEMBERS_MAX
from guildmark.odrl.vocabulary import CREDIT, ODRL, OURS, PLACES, PROFILE, RIGHT_ACTIONS
from guildmark.sync import Client
from ledger.modules.licenses.check import RIGHTS
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.terms import check_terms
from primitives.identifiers import AccountId, account_to_text

ROOT = Path(__file__).resolve().parents[2]
ASSET = "ab" * 32
ASSIGNER, ASSIGNEE = "https://example.com/alder", "https://example.com/birch"
CONTEXT = "http://www.w3.org/ns/odrl.jsonld"
DAY_MS = 86_400_000
MAKER, BUYER, MANAGER = (account_to_text(AccountId(bytes([number]) * 32)) for number in (1, 2, 3))

RICH = Terms(
    rights=("display-print", "download", "train-on"),
    price=9_007_199_254_740_993,
    commercial=True,
    editions_max=3,
    start_ms=1_700_000_000_123,
    term_ms=90 * DAY_MS + 1,
    renewable=True,
    quota=5,
    quota_unit="trainings",
    seats=2,
    field_deny=("health", "law"),
    territory=("DE", "FR"),
    transferable=True,
    resale_royalty_bps=250,
    derivatives="on-approval",
    share_alike="superset",
    revenue_share_bps=500,
    revenue_share_depth=2,
    attribution='Alder "Labs"\x7f\n\u2028 Münster',
    revocation_causes=("breach",),
    notice_ms=DAY_MS,
    refund_mode="pro-rata",
    dispute_window_ms=3_600_000,
    spdx_id="LicenseRef-alder",
)


def exported(terms: Terms = RICH, **parties: Any) -> dict[str, Any]:
    return to_odrl(terms, **({"asset": ASSET, "assigner": ASSIGNER} | parties))


def plain(**members: Any) -> dict[str, Any]:
    """A policy without our profile; `members` of the permission but for those of the policy."""
    policy = {name: members.pop(name) for name in list(members) if name in POLICY_LEVEL}
    permission = {"target": "https://example.com/model", "assigner": ASSIGNER, "action": "display"}
    permission |= {"action": ["display", "print"]} | members
    base = {"@context": CONTEXT, "@type": "Offer", "uid": "https://example.com/policy/1", "permission": [permission]}
    return {name: value for name, value in (base | policy).items() if value is not None}


POLICY_LEVEL = (
    *("@context", "@type", "uid", "type", "profile", "permission", "prohibition", "obligation", "conflict"),
    *("inheritFrom", "inheritAllowed", "gm:renewable", "dct:isReplacedBy"),
)


def limit(left: str, operator: str, right: Any, **more: Any) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right, **more}


def fee(amount: Any = "5", unit: Any = CREDIT, **more: Any) -> dict[str, Any]:
    return {"action": "compensate", "constraint": [limit("payAmount", "eq", amount, unit=unit)], **more}


# --- what we write


def test_every_field_and_right_has_a_place() -> None:
    """A field of the terms without a mapping would be lost on the way out."""
    assert set(PLACES) == set(Terms.__struct_fields__)
    assert set(RIGHT_ACTIONS) == set(RIGHTS)
    actions = [action for of_right in RIGHT_ACTIONS.values() for action in of_right]
    assert len(set(actions)) == len(actions)


def test_the_specification_shows_the_mapping_of_the_code() -> None:
    page = (ROOT / "docs" / "spec" / "odrl.md").read_text()
    assert rights_table() in page
    assert fields_table() in page


def test_every_code_of_the_specification_exists_and_the_other_way_round() -> None:
    page = (ROOT / "docs" / "spec" / "odrl.md").read_text()
    source = "".join(path.read_text() for path in sorted((ROOT / "guildmark" / "odrl").glob("*.py")))
    raised = set(re.findall(r"refuse\(\s*\"([a-z_]+)\"", source)) | {"duty", "several"}
    assert set(re.findall(r"(?m)`odrl\.([a-z_]+)`(?=[^\n]*\|[^\n]*\|$)", page)) == raised


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


@pytest.mark.parametrize("assignee", [None, ASSIGNEE])
def test_a_policy_has_what_the_information_model_requires(assignee: str | None) -> None:
    """Policy: uid, type, a rule, the profile of its words. Offer: one assigner; Agreement: one assignee too. Rule: one
    target, an action. Constraint: left operand, operator, right operand."""
    check_terms(RICH)
    policy = exported(assignee=assignee)
    assert policy["@context"][0] == CONTEXT
    assert policy["@type"] == ("Agreement" if assignee else "Offer")
    assert policy["uid"].startswith("urn:guildmark:terms:")
    assert policy["profile"] == PROFILE
    for rule in [*policy["permission"], *policy["prohibition"]]:
        assert rule["target"] == f"urn:guildmark:asset:{ASSET}"
        assert rule["assigner"] == ASSIGNER
        assert rule.get("assignee") == assignee
        assert rule["action"]
    operands = [part for part in walk(policy) if "leftOperand" in part]
    assert len(operands) > 6
    assert all(
        {"leftOperand", "operator", "rightOperand"} <= part.keys() <= {*part.keys(), "unit"} for part in operands
    )
    prefixes = {"odrl", "xsd", "rdf", *policy["@context"][1]}
    words = [v for part in walk(policy) for k, v in part.items() if k in ("@type", "leftOperand") and ":" in v]
    assert {word.split(":")[0] for word in words} <= prefixes


def test_an_amount_is_a_typed_text_so_that_no_reader_rounds_it() -> None:
    (duty,) = (duty for duty in exported()["permission"][0]["duty"] if duty.get("uid"))
    (refinement,) = duty["action"][0]["refinement"]
    assert refinement["rightOperand"] == {"@value": "9007199254740993", "@type": "xsd:integer"}
    assert refinement["unit"] == CREDIT
    assert not [part for part in walk(exported()) for value in part.values() if isinstance(value, float)]


def test_derivatives_on_approval_need_consent_and_are_paid_for_once() -> None:
    use, derive = exported()["permission"]
    assert derive["action"] == "derive"
    assert [duty["action"] for duty in derive["duty"]][-1] == "obtainConsent"
    payments = [duty for rule in (use, derive) for duty in rule["duty"] if "uid" in duty]
    assert len(payments) == 2
    assert payments[0] == payments[1]


def test_denied_purposes_count_before_the_permission() -> None:
    policy = exported()
    assert policy["conflict"] == "prohibit"
    assert "conflict" not in exported(Terms(rights=("download",), price=0, commercial=True))


@pytest.mark.parametrize("wrong", ["no iri", "https://a b", "x:" + "y" * 600, "a:<b>", ""])
def test_parties_and_assets_are_iris(wrong: str) -> None:
    for name in ("asset", "assigner", "assignee"):
        with pytest.raises(InvalidArgument) as caught:
            exported(**{name: wrong})
        assert caught.value.code == "odrl.iri"


def test_a_mistyped_account_is_no_party() -> None:
    assert exported(assigner=MAKER)["permission"][0]["assigner"] == f"urn:guildmark:account:{MAKER}"
    for wrong in (MAKER[:-1] + ("q" if MAKER[-1] != "q" else "p"), "gm1", "gm1x:y"):
        with pytest.raises(InvalidArgument) as caught:
            exported(assigner=wrong)
        assert caught.value.code == "argument.account"


def test_an_agreement_needs_an_assignee() -> None:
    with pytest.raises(InvalidArgument) as caught:
        exported(kind="Agreement")
    assert caught.value.code == "odrl.assignee"


# --- what we read: the subset of plain ODRL


TRAINED = {"rights": ("display-print",), "price": 0, "commercial": True}

READ: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "display and print": ({}, {}),
    "prefixed": ({"action": ["odrl:display", ODRL + "print"]}, {}),
    "distribute": ({"action": "distribute"}, {"rights": ("redistribute",)}),
    "reproduce": ({"action": "reproduce"}, {"rights": ("download",)}),
    "action nodes": ({"action": [{"rdf:value": {"@id": "odrl:display"}}, {"@id": "odrl:print"}]}, {}),
    "derive": ({"action": ["distribute", "derive"]}, {"rights": ("redistribute",), "derivatives": "yes"}),
    "use is everything": ({"action": "use"}, {"rights": tuple(sorted(RIGHTS)), "derivatives": "yes"}),
    "a price": ({"duty": [fee()]}, {"price": 5}),
    "a price, typed": ({"duty": fee({"@value": "500", "@type": "xsd:decimal"})}, {"price": 500}),
    "a price as a number": ({"duty": fee({"@value": 7, "@type": "xsd:integer"})}, {"price": 7}),
    "a refined price": (
        {
            "duty": {
                "action": [
                    {
                        "rdf:value": {"@id": "odrl:compensate"},
                        "refinement": [limit("payAmount", "eq", 5, unit={"@id": CREDIT})],
                    }
                ]
            }
        },
        {"price": 5},
    ),
    "the assigner is paid": ({"duty": fee(compensatedParty=ASSIGNER)}, {"price": 5}),
    "attribution": ({"duty": {"action": "attribute", "attributedParty": ASSIGNEE}}, {"attribution": ASSIGNEE}),
    "a beginning": (
        {"constraint": limit("dateTime", "gteq", {"@value": "2026-01-01T00:00:00Z", "@type": "xsd:dateTime"})},
        {"start_ms": 1_767_225_600_000},
    ),
    "beginning and end": (
        {
            "constraint": [
                limit("dateTime", "gteq", {"@value": "2026-01-01T01:00:00+01:00", "@type": "xsd:dateTime"}),
                limit("dateTime", "lt", {"@value": "2026-01-03Z", "@type": "xsd:date"}),
            ]
        },
        {"start_ms": 1_767_225_600_000, "term_ms": 2 * DAY_MS},
    ),
    "a span": ({"constraint": limit("elapsedTime", "lteq", "P30DT1H")}, {"term_ms": 30 * DAY_MS + 3_600_000}),
    "places": ({"constraint": limit("spatial", "isAnyOf", ["FR", "DE"])}, {"territory": ("DE", "FR")}),
    "a purpose": ({"constraint": limit("purpose", "eq", "research")}, {"field_allow": ("research",)}),
    "not a purpose": ({"constraint": limit("purpose", "isNoneOf", ["law"])}, {"field_deny": ("law",)}),
    "a prohibited purpose": (
        {
            "conflict": "prohibit",
            "prohibition": {
                "target": "https://example.com/model",
                "assigner": ASSIGNER,
                "action": "use",
                "constraint": limit("purpose", "eq", "law"),
            },
        },
        {"field_deny": ("law",)},
    ),
    "not commercial": (
        {
            "prohibition": {
                "target": "https://example.com/model",
                "assigner": ASSIGNER,
                "action": "http://creativecommons.org/ns#CommercialUse",
            }
        },
        {"commercial": False},
    ),
    "no derivatives": (
        {"prohibition": {"target": "https://example.com/model", "assigner": ASSIGNER, "action": "derive"}},
        {},
    ),
    "a set": ({"@type": "Set"}, {}),
    "no type": ({"@type": None}, {}),
    "target and party as nodes": (
        {
            "target": {"@type": "Asset", "uid": "https://example.com/model"},
            "assigner": {"@type": "Party", "@id": ASSIGNER},
        },
        {},
    ),
    "our profile": ({"profile": [PROFILE], "action": OURS + "inference"}, {"rights": ("inference",)}),
    "another prefix for our words": (
        {"@context": [CONTEXT, {"own": OURS}], "profile": PROFILE, "action": "own:train-on"},
        {"rights": ("train-on",)},
    ),
    "trainings are counted": (
        {"profile": PROFILE, "action": OURS + "train-on", "constraint": limit("count", "lteq", 5)},
        {"rights": ("train-on",), "quota": 5, "quota_unit": "trainings"},
    ),
}


@pytest.mark.parametrize("name", list(READ))
def test_plain_policies_in_the_part_that_maps_are_read(name: str) -> None:
    given, expected = READ[name]
    assert from_odrl(plain(**copy.deepcopy(given))) == Terms(**(TRAINED | expected))


def test_shared_properties_may_stand_at_the_policy() -> None:
    policy = plain(permission={"duty": fee()})
    policy |= {"target": "https://example.com/model", "assigner": ASSIGNER, "action": ["display", "print"]}
    assert from_odrl(policy) == Terms(**(TRAINED | {"price": 5}))


def test_two_permissions_that_agree_are_one_license() -> None:
    shared = {"target": "https://example.com/model", "assigner": ASSIGNER, "duty": fee(uid="https://example.com/d")}
    policy = plain(permission=[shared | {"action": ["display", "print"]}, shared | {"action": "distribute"}])
    assert from_odrl(policy).rights == ("display-print", "redistribute")
    assert from_odrl(policy).price == 5


# --- what we refuse

NO = {"target": "https://example.com/model", "assigner": ASSIGNER}
RULE = NO | {"action": ["display", "print"]}

REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("odrl.context", "$.@context", {"@context": None}),
    ("odrl.context", "$.@context", {"@context": "https://example.com/context"}),
    ("odrl.context", "$.@context[1]", {"@context": [CONTEXT, "https://example.com/more"]}),
    ("odrl.context", "$.@context[1].use", {"@context": [CONTEXT, {"use": ODRL + "print"}]}),
    ("odrl.context", "$.@context[1].@vocab", {"@context": [CONTEXT, {"@vocab": "https://example.com/"}]}),
    ("odrl.context", "$.@context[1].odrl", {"@context": [CONTEXT, {"odrl": "https://example.com/"}]}),
    ("odrl.context", "$.@context[1].https", {"@context": [CONTEXT, {"https": "https://example.com/"}]}),
    ("odrl.iri", "$.permission[0].action", {"@context": [CONTEXT, {"use": "https://x.example/"}], "action": "use"}),
    ("odrl.profile", "$.profile", {"profile": "https://example.com/profile"}),
    ("odrl.profile", "$.profile[1]", {"profile": [PROFILE, "https://example.com/profile"]}),
    ("odrl.profile", "$.permission[0].action", {"action": OURS + "inference"}),
    ("odrl.kind", "$.@type", {"@type": "Request"}),
    ("odrl.duplicate", "$.type", {"type": "Offer"}),
    ("odrl.missing", "$", {"uid": None}),
    ("odrl.iri", "$.uid", {"uid": {}}),
    ("odrl.iri", "$.uid", {"uid": {"@type": "Asset", "uid": "https://e.example"}}),
    ("odrl.missing", "$", {"permission": []}),
    ("odrl.missing", "$.permission[0]", {"@type": "Agreement"}),
    ("odrl.missing", "$.permission[0]", {"permission": [{"target": "https://x.example", "action": "print"}]}),
    ("odrl.missing", "$.permission[0]", {"permission": [{"assigner": ASSIGNER, "action": "print"}]}),
    ("odrl.missing", "$.permission[0]", {"permission": [NO]}),
    ("odrl.property", "$.inheritFrom", {"inheritFrom": "https://example.com/parent"}),
    ("odrl.property", "$.inheritAllowed", {"inheritAllowed": True}),
    ("odrl.property", "$.obligation", {"obligation": []}),
    ("odrl.property", "$.dct:isReplacedBy", {"dct:isReplacedBy": "https://example.com/next"}),
    ("odrl.property", "$.permission[0].output", {"output": "https://example.com/result"}),
    ("odrl.property", "$.permission[0].remedy", {"remedy": []}),
    ("odrl.property", "$.permission[0].hasPolicy", {"hasPolicy": "https://example.com/other"}),
    ("odrl.property", "$.permission[0].duty[0].consequence", {"duty": [fee(consequence=[])]}),
    ("odrl.property", "$.prohibition[0].remedy", {"prohibition": [NO | {"action": "derive", "remedy": []}]}),
    ("odrl.property", "$.permission[0].constraint.xone", {"constraint": {"xone": {"@list": []}}}),
    ("odrl.property", "$.permission[0].constraint.status", {"constraint": limit("count", "lteq", 5, status=2)}),
    ("odrl.property", "$.permission[0].constraint.dataType", {"constraint": limit("count", "lteq", 5, dataType="x:y")}),
    ("odrl.profile", "$.gm:renewable", {"gm:renewable": True, "@context": [CONTEXT, {"gm": OURS}]}),
    ("odrl.property", "$.gm:renewable", {"gm:renewable": True}),
    ("odrl.several", "$.permission[0].target", {"target": ["https://example.com/a", "https://example.com/b"]}),
    ("odrl.property", "$.permission[0].target.source", {"target": {"source": "https://example.com/all"}}),
    ("odrl.kind", "$.permission[0].target.@type", {"target": {"@type": "AssetCollection", "uid": "https://e.example"}}),
    ("odrl.several", "$.permission[1]", {"permission": [RULE, RULE | {"target": "https://example.com/other"}]}),
    ("odrl.several", "$.prohibition", {"prohibition": RULE | {"assigner": ASSIGNEE, "action": "derive"}}),
    ("odrl.action", "$.permission[0].action", {"action": "play"}),
    ("odrl.action", "$.permission[0].action[1]", {"action": ["display", "transfer"]}),
    ("odrl.action", "$.permission[0]", {"action": "display"}),
    ("odrl.action", "$.permission[0]", {"action": "derive"}),
    (
        "odrl.refinement",
        "$.permission[0].action.refinement[0]",
        {"action": {"@id": "odrl:print", "refinement": [limit("resolution", "lteq", 1200)]}},
    ),
    ("odrl.operand", "$.permission[0].constraint", {"constraint": limit("resolution", "lteq", 1200)}),
    ("odrl.operator", "$.permission[0].constraint", {"constraint": limit("count", "gteq", 5)}),
    ("odrl.operator", "$.permission[0].constraint", {"constraint": limit("spatial", "isNoneOf", ["DE"])}),
    (
        "odrl.several",
        "$.permission[0].constraint[1]",
        {"constraint": [limit("spatial", "eq", c) for c in ("DE", "FR")]},
    ),
    ("odrl.several", "$.permission[0].constraint.rightOperand", {"constraint": limit("spatial", "eq", ["DE", "FR"])}),
    ("odrl.value", "$.permission[0].constraint.rightOperand", {"constraint": limit("spatial", "eq", "Germany")}),
    ("odrl.value", "$.permission[0].constraint.rightOperand", {"constraint": limit("purpose", "eq", "https://e.x/p")}),
    ("odrl.unit", "$.permission[0].constraint.unit", {"constraint": limit("count", "lteq", 5, unit="https://e.x/u")}),
    ("odrl.unit", "$.permission[0].constraint.unit", {"constraint": limit("spatial", "eq", "DE", unit=CREDIT)}),
    ("odrl.number", "$.permission[0].constraint.rightOperand", {"constraint": limit("count", "lteq", 5.0)}),
    ("odrl.number", "$.permission[0].constraint.rightOperand", {"constraint": limit("count", "lteq", True)}),
    ("odrl.number", "$.permission[0].constraint.rightOperand", {"constraint": limit("count", "lteq", -1)}),
    ("odrl.number", "$.permission[0].constraint.rightOperand", {"constraint": limit("count", "lteq", "05")}),
    ("odrl.value", "$.permission[0].constraint.rightOperand", {"constraint": limit("count", "lteq", 2**40)}),
    ("odrl.value", "$.permission[0].constraint.rightOperand", {"constraint": limit("count", "lteq", 10**4000)}),
    ("odrl.time", "$.permission[0].constraint.rightOperand", {"constraint": limit("elapsedTime", "eq", "P1Y")}),
    ("odrl.time", "$.permission[0].constraint.rightOperand", {"constraint": limit("elapsedTime", "eq", "P")}),
    ("odrl.time", "$.permission[0].constraint.rightOperand", {"constraint": limit("dateTime", "gteq", "2026-01-01")}),
    ("odrl.time", "$.permission[0].constraint.rightOperand", {"constraint": limit("dateTime", "gteq", "2026-02-30Z")}),
    ("odrl.time", "$.permission[0].constraint.rightOperand", {"constraint": limit("dateTime", "gteq", "1969-12-31Z")}),
    ("odrl.time", "$.permission[0]", {"constraint": limit("dateTime", "lt", "2026-01-01Z")}),
    ("odrl.operator", "$.permission[0].constraint", {"constraint": limit("dateTime", "lteq", "2026-01-01Z")}),
    ("odrl.number", "$.permission[0].duty.constraint[0].rightOperand", {"duty": fee("500.00")}),
    ("odrl.number", "$.permission[0].duty.constraint[0].rightOperand", {"duty": fee(5.5)}),
    ("odrl.number", "$.permission[0].duty.constraint[0].rightOperand", {"duty": fee(float("nan"))}),
    ("odrl.value", "$.permission[0].duty.constraint[0].rightOperand", {"duty": fee(2**63)}),
    ("odrl.unit", "$.permission[0].duty.constraint[0].unit", {"duty": fee(5, "http://dbpedia.org/resource/Euro")}),
    (
        "odrl.unit",
        "$.permission[0].duty",
        {"duty": {"action": "compensate", "constraint": limit("payAmount", "eq", 5)}},
    ),
    ("odrl.duty", "$.permission[0].duty", {"duty": {"action": "compensate"}}),
    ("odrl.duty", "$.permission[0].duty.action", {"duty": {"action": "watermark"}}),
    ("odrl.duty", "$.permission[0]", {"duty": {"action": "obtainConsent"}}),
    ("odrl.party", "$.permission[0].duty.compensatedParty", {"duty": fee(compensatedParty=ASSIGNEE)}),
    ("odrl.party", "$.permission[0].duty.attributedParty", {"duty": fee(attributedParty=ASSIGNEE)}),
    ("odrl.attribution", "$.permission[0].duty", {"duty": {"action": "attribute"}}),
    ("odrl.several", "$.permission[0].duty[1]", {"duty": [fee(), fee()]}),
    ("odrl.differing", "$.permission[1]", {"permission": [RULE | {"duty": fee()}, RULE]}),
    ("odrl.differing", "$.permission[1]", {"permission": [RULE | {"duty": fee()}, RULE | {"duty": fee()}]}),
    ("odrl.differing", "$.permission[1]", {"permission": [RULE | {"duty": fee(uid="a:b")}, RULE]}),
    (
        "odrl.differing",
        "$.permission[1]",
        {"permission": [RULE | {"duty": fee(5, uid="a:b")}, RULE | {"duty": fee(6, uid="a:b")}]},
    ),
    ("odrl.differing", "$.permission[1]", {"permission": [RULE, RULE | {"constraint": limit("spatial", "eq", "DE")}]}),
    ("odrl.prohibition", "$.prohibition.action", {"prohibition": NO | {"action": "archive"}}),
    ("odrl.prohibition", "$.prohibition", {"prohibition": NO | {"action": "use"}, "conflict": "prohibit"}),
    ("odrl.conflict", "$.conflict", {"conflict": "perm"}),
    ("odrl.conflict", "$.prohibition", {"prohibition": NO | {"action": "derive"}, "action": "use"}),
    (
        "odrl.conflict",
        "$.prohibition",
        {"prohibition": NO | {"action": "use", "constraint": limit("purpose", "eq", "law")}},
    ),
    (
        "odrl.terms",
        "$",
        {"constraint": [limit("purpose", "eq", "law"), limit("purpose", "neq", "law")]},
    ),
    ("odrl.type", "$.permission[0]", {"permission": ["display"]}),
    ("odrl.type", "$.permission[0].action", {"action": 5}),
    ("odrl.type", "$.permission[0].constraint.rightOperand", {"constraint": limit("spatial", "eq", {"a": 1})}),
    ("odrl.text", "$.permission[0].action", {"action": "\ud800"}),
    ("odrl.too_many", "$.permission[0].action", {"action": ["display"] * (ITEMS_MAX + 1)}),
    ("odrl.too_many", "$.permission[0].target", {"target": {f"a{at}": 1 for at in range(MEMBERS_MAX + 1)}}),
    ("odrl.too_many", "$.@context", {"@context": [CONTEXT] * 9}),
]


@pytest.mark.parametrize("at", range(len(REFUSED)), ids=[f"{code}-{at}" for at, (code, _, _) in enumerate(REFUSED)])
def test_what_does_not_map_is_refused_by_its_place(at: int) -> None:
    code, path, given = REFUSED[at]
    with pytest.raises(OdrlRefused) as caught:
        from_odrl(plain(**copy.deepcopy(given)))
    assert (caught.value.code, caught.value.path) == (code, path), caught.value.message
    assert caught.value.message.startswith(f"{path}: ")
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("member", ["o:profile", ODRL + "profile"])
def test_a_foreign_profile_cannot_hide_behind_another_spelling(member: str) -> None:
    policy = plain(**{"@context": [CONTEXT, {"o": ODRL}]})
    policy[member] = "https://example.com/profile"
    with pytest.raises(OdrlRefused) as caught:
        from_odrl(policy)
    assert caught.value.code == "odrl.profile"


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("odrl.type", b'{"\\ud800": 1}'),
        ("odrl.json", b"{"),
        ("odrl.json", b"\xff"),
        ("odrl.json", b'{"a": NaN}'),
        ("odrl.json", b'{"a": -Infinity}'),
        ("odrl.json", b'{"a": ' + b"9" * 5_000 + b"}"),
        ("odrl.duplicate", b'{"uid": "a:b", "uid": "a:c"}'),
        ("odrl.too_deep", b"[" * 100_000 + b"]" * 100_000),
        ("odrl.too_deep", b"[" * (DEPTH_MAX + 2) + b"]" * (DEPTH_MAX + 2)),
        ("odrl.too_large", b" " * (DOCUMENT_BYTES_MAX + 1)),
        ("odrl.type", b"[]"),
        ("odrl.type", b"null"),
    ],
)
def test_hostile_bytes_are_refused_with_a_code(code: str, data: bytes) -> None:
    with pytest.raises(OdrlRefused) as caught:
        read_odrl(data)
    assert caught.value.code == code


def test_python_values_that_json_lacks_are_refused() -> None:
    ring: dict[str, Any] = plain()
    ring["permission"][0]["duty"] = ring
    for wrong in (ring, plain(action=("display", "print")), plain(target=b"x"), {5: 6}, plain(duty={1, 2})):
        with pytest.raises(OdrlRefused):
            from_odrl(wrong)


def test_control_characters_of_a_document_do_not_reach_the_message() -> None:
    with pytest.raises(OdrlRefused) as caught:
        from_odrl(plain(action="\x1b[2Jprint\n") | {"\x1b[2J": 1})
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message


# --- terms files, the command line and the client


@pytest.mark.parametrize("name", ["terms.toml", "terms.json"])
def test_written_terms_are_read_as_the_same_terms(name: str, tmp_path: Path) -> None:
    for terms in (RICH, Terms(rights=("download",), price=0)):
        path = tmp_path / name
        path.write_text(write_terms(terms, json=name.endswith("json")), encoding="utf-8")
        assert read_terms(path) == terms


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GUILDMARK_NETWORK", "GUILDMARK_ACCOUNT", "GUILDMARK_NODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("guildmark.cli.session.RETRY_TIMEOUT_S", 0.2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "terms.toml").write_text(write_terms(RICH))
    return tmp_path


PARTIES = ["--asset", ASSET, "--assigner", ASSIGNER]


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("output", ["back.toml", "back.json"])
def test_a_terms_file_goes_out_and_comes_back(
    surroundings: Path, options: list[str], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["license", "odrl", "export", "terms.toml", *PARTIES, *options]) == 0
    policy = capsys.readouterr().out
    assert json.loads(policy) == exported()
    (surroundings / "policy.jsonld").write_text(policy)
    assert main.run(["license", "odrl", "import", "policy.jsonld", "--output", output]) == 0
    assert read_terms(surroundings / output) == RICH
    capsys.readouterr()
    assert main.run(["license", "odrl", "import", "policy.jsonld", *options]) == 0
    (surroundings / ("printed.json" if options else "printed.toml")).write_text(capsys.readouterr().out)
    assert read_terms(surroundings / ("printed.json" if options else "printed.toml")) == RICH


def test_a_refused_policy_names_the_place_and_writes_nothing(
    surroundings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (surroundings / "policy.jsonld").write_text(json.dumps(plain(action="play")))
    assert main.run(["license", "odrl", "import", "policy.jsonld", "--output", "back.toml", "--json"]) == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "odrl.action"
    assert "$.permission[0].action" in error["message"]
    assert not (surroundings / "back.toml").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["terms.toml"],
        ["terms.toml", "--asset", ASSET],
        ["terms.toml", "--offer", ASSET, *PARTIES],
        ["--offer", ASSET, "--grant", ASSET],
        ["--offer", ASSET, "--asset", ASSET],
    ],
)
def test_an_export_says_what_it_needs(
    surroundings: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["license", "odrl", "export", *arguments]) == 2
    assert capsys.readouterr().out == ""


@pytest.fixture
def node() -> Iterator[FakeNode]:
    fields = {name: msgspec.to_builtins(getattr(RICH, name)) for name in RICH.__struct_fields__}
    stated = {"terms": fields, "asset": ASSET}
    with fake_node(make_genesis()[0]) as made:

        def query(answer: dict[str, Any]) -> Any:
            return lambda _: (200, {"height": 7, "result": answer})

        offer = stated | {"offer": "cd" * 32, "maker": MAKER, "buyer": None}
        made.routes[("GET", "/v1/query/licenses.offer")] = query(offer)
        made.routes[("GET", "/v1/query/licenses.grant")] = query(stated | {"grant": "ef" * 32, "licensee": BUYER})
        made.routes[("GET", "/v1/query/assets.get")] = query({"manager": MANAGER})
        yield made


def test_an_offer_and_a_grant_of_the_network_are_exported(
    node: FakeNode, surroundings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["license", "odrl", "export", "--offer", "cd" * 32, "--node", node.url]) == 0
    offer = json.loads(capsys.readouterr().out)
    assert (offer["@type"], offer["uid"]) == ("Offer", "urn:guildmark:offer:" + "cd" * 32)
    assert offer["permission"][0]["assigner"] == f"urn:guildmark:account:{MAKER}"
    assert "assignee" not in offer["permission"][0]
    with Client(node.url) as client:
        grant = client.licenses.export_odrl(grant="ef" * 32)
    assert (grant["@type"], grant["uid"]) == ("Agreement", "urn:guildmark:grant:" + "ef" * 32)
    assert grant["permission"][0]["assigner"] == f"urn:guildmark:account:{MANAGER}"
    assert grant["permission"][0]["assignee"] == f"urn:guildmark:account:{BUYER}"
    assert from_odrl(offer) == from_odrl(grant) == RICH


def test_a_directed_offer_names_its_buyer_and_stays_an_offer(node: FakeNode) -> None:
    before = node.routes[("GET", "/v1/query/licenses.offer")]

    def directed(asked: Any) -> Any:
        status, answer = before(asked)
        return status, answer | {"result": answer["result"] | {"buyer": BUYER}}

    node.routes[("GET", "/v1/query/licenses.offer")] = directed
    with Client(node.url) as client:
        offer = client.licenses.export_odrl(offer="cd" * 32)
    assert offer["@type"] == "Offer"
    assert offer["permission"][0]["assignee"] == f"urn:guildmark:account:{BUYER}"


def test_exactly_one_of_offer_and_grant_is_named() -> None:
    with Client("http://127.0.0.1:9") as client:
        for wrong in ({}, {"offer": ASSET, "grant": ASSET}):
            with pytest.raises(Refused) as caught:
                client.licenses.export_odrl(**wrong)
            assert caught.value.code == "odrl.source"
