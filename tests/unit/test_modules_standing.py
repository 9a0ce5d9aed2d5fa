"""How a grant stands: who may hold it, what `check` says of it in every state, and how it is shown as a token."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.assets.records import OWNERSHIP, Share
from ledger.modules.licenses import check as checks
from ledger.modules.licenses.grants import State, require_grant, state_at
from ledger.modules.licenses.operations import Renew, Revoke, SetSeats, Terms, terms_digest
from ledger.modules.licenses.standing import require_holdable
from ledger.parameters import DAY_MS
from primitives.identifiers import account_to_text
from tests.unit.modules_kit import World, make_genesis
from tests.unit.standing_kit import REVOCABLE, TERM_MS, USE, WINDOW, colleague, hold, sold


def test_who_may_hold_a_grant_is_one_question() -> None:
    """For every step that makes a grant live; here as a transfer would ask it."""
    from ledger.errors import OperationError

    world = World()
    asset = world.register("alice", "A")
    terms = msgspec.structs.replace(USE, credentials=("organization:org-alice", "organization:org-bob"), seats=1)
    grant_id = world.license("alice", asset, "bob", terms)
    grant = require_grant(world.view, grant_id)
    exclusive = msgspec.structs.replace(terms, exclusivity="exclusive")
    context = world.context(world.view, b"", b"transfer")
    require_holdable(context, grant_id, grant, terms, world.accounts["bob"])
    require_holdable(context, grant_id, grant, terms, world.accounts["alan"])
    require_holdable(context, grant_id, grant, exclusive, world.accounts["bob"])
    other = world.license("alice", asset, "bob", terms)
    for code, identifier, asked, licensee in (
        ("licenses.self_purchase", grant_id, terms, "alice"),
        ("licenses.credential_missing", grant_id, terms, "carol"),
        ("licenses.collision", grant_id, exclusive, "bob"),
        ("licenses.collision", other, exclusive, "bob"),
    ):
        with pytest.raises(OperationError) as caught:
            require_holdable(context, identifier, grant, asked, world.accounts[licensee])
        assert caught.value.code == code
    two = msgspec.structs.replace(terms, seats=2, credentials=())
    seated = world.license("alice", asset, "bob", two)
    world.do("bob", SetSeats(seated, (colleague(world),)))
    with pytest.raises(OperationError) as caught:
        require_holdable(context, seated, grant, terms, world.accounts["bob"])
    assert caught.value.code == "licenses.too_many_seats"
    require_holdable(context, seated, grant, two, world.accounts["alan"])


def test_every_state_that_gives_no_right_has_a_reason() -> None:
    assert set(checks.STATE_REASONS) == set(get_args(State)) - {"active"}
    reasons = {reason for reason, _ in checks.STATE_REASONS.values()}
    assert reasons <= set(checks.NEARNESS)


def test_check_says_every_reason() -> None:
    world = World(make_genesis(escrow_timeout_ms=5_000))
    now_ms = world.now_ms
    asked: list[tuple[str, str, bytes, dict[str, Any]]] = []

    def case(reason: str, who: str, terms: Terms | None, **asking: Any) -> bytes:
        asset = world.register("alice", reason, held=asking.pop("held", True))
        if terms is not None:
            world.license("alice", asset, "bob", terms)
        asked.append((reason, who, asset, asking))
        return asset

    short = msgspec.structs.replace(REVOCABLE, term_ms=1)
    case("no_grant", "carol", USE)
    case("owner", "alice", USE)
    case("granted", "bob", USE)
    case("right_not_granted", "bob", USE, right="download")
    case("unknown_right", "bob", USE, right="thinking")
    case("exclusive_grant_live", "alice", msgspec.structs.replace(USE, exclusivity="exclusive"))
    case("refunded", "bob", USE, held=False)
    case("not_started", "bob", msgspec.structs.replace(USE, start_ms=now_ms + 30 * DAY_MS))
    case("expired", "bob", short)
    case("outside_territory", "bob", msgspec.structs.replace(USE, territory=("DE",)), country="FR")
    case("field_denied", "bob", msgspec.structs.replace(USE, field_deny=("law",)), field_of_use="law")
    case("revoked", "bob", msgspec.structs.replace(USE, revocation_causes=("breach",)))
    world.do("alice", Revoke(grant_of(world, asked[-1][2]), "breach"))
    case("disputed", "bob", WINDOW)
    hold(world, grant_of(world, asked[-1][2]))
    co_owned = case("co_owner", "carol", USE)
    record = OWNERSHIP.get(world.view, co_owned)
    assert record is not None
    shares = (Share(world.accounts["alice"], 5_000), Share(world.accounts["carol"], 5_000))
    OWNERSHIP.put(world.view, msgspec.structs.replace(record, shares=shares), co_owned)
    public = world.register("alice", "public", visibility="public")
    asked.append(("public", "bob", public, {"right": "download"}))
    asked.append(("unknown_asset", "bob", bytes(32), {}))
    training = Terms(rights=("inference", "train-on"), price=1, quota=1, quota_unit="trainings", derivatives="yes")
    exhausted = case("exhausted", "bob", training)
    right = assets.Derivation(exhausted, "train-on", grant_of(world, exhausted))
    world.register("bob", "trained", derivations=[right])
    renewable = msgspec.structs.replace(USE, term_ms=5_000, renewable=True)
    superseded = case("superseded", "bob", renewable)
    supersede(world, superseded, renewable)
    seated = case("no_seat", "alan", msgspec.structs.replace(USE, seats=2))
    mislay_seat(world, seated)
    world.advance(6_000)
    asked.append(("escrowed", "bob", world.register("alice", "escrowed", held=False), {}))
    world.license("alice", asked[-1][2], "bob", USE)

    for reason, who, asset, asking in asked:
        answer = world.check(who, asset, **({"right": "inference"} | asking))
        assert answer.reason == reason
        assert answer.allowed is (reason in ("owner", "granted", "public"))
    documented = set((checks.CheckResult.__doc__ or "").split("`")[1::2]) - {"seats"}
    assert documented == {reason for reason, *_ in asked}


def grant_of(world: World, asset: bytes) -> bytes:
    return bytes.fromhex(world.query("licenses.grants", asset=asset.hex())[0].grant)


def supersede(world: World, asset: bytes, terms: Terms) -> None:
    """Let a successor take over that gives another right."""
    later = msgspec.structs.replace(terms, rights=("train-on",))
    offer = world.offer("alice", asset, later)
    world.do("bob", Renew(grant_of(world, asset), offer, terms_digest(later), later.price))


def mislay_seat(world: World, asset: bytes) -> None:
    """Let a seat be left over from an earlier licensee."""
    from ledger.modules.fields import MARKER
    from ledger.modules.licenses.records import SEATS, SEATS_BY_ACCOUNT, Seats

    grant, alan = grant_of(world, asset), world.accounts["alan"]
    SEATS.put(world.view, Seats(asset, world.accounts["dave"], "org-dave", (alan,)), grant)
    SEATS_BY_ACCOUNT.put(world.view, MARKER, alan, asset, grant)


@pytest.mark.parametrize("change_ms", [-1, 0, 1])
def test_states_change_at_their_millisecond(change_ms: int) -> None:
    """A pure function of record and time: one before, at, and one after each bound."""
    world = World()
    terms = msgspec.structs.replace(REVOCABLE, start_ms=world.now_ms + DAY_MS)
    _, identifier = sold(world, terms)
    grant = require_grant(world.view, identifier)
    assert grant.end_ms is not None
    late = change_ms >= 0
    assert state_at(grant, grant.start_ms + change_ms) == ("active" if late else "scheduled")
    assert state_at(grant, grant.end_ms + change_ms) == ("expired" if late else "active")
    superseded = msgspec.structs.replace(grant, superseded_at_ms=grant.end_ms)
    assert state_at(superseded, grant.end_ms + change_ms) == ("superseded" if late else "active")
    world.now_ms = grant.start_ms
    world.do("alice", Revoke(identifier, "breach"))
    revoked = require_grant(world.view, identifier)
    assert revoked.revocation is not None
    state = state_at(revoked, revoked.revocation.effect_ms + change_ms)
    assert state == ("revoked" if late else "scheduled")


def test_what_ancestors_deny_is_denied_to_owners_too() -> None:
    """An owner may do all that no ancestor's terms deny and no exclusive grant covers."""
    world = World()
    parent = world.register("alice", "parent")
    terms = Terms(rights=("train-on",), price=0, derivatives="yes", field_deny=("weapons",))
    right = assets.Derivation(parent, "train-on", world.license("alice", parent, "bob", terms))
    child = world.register("bob", "child", derivations=[right])
    grandchild = world.register("bob", "grandchild", derivations=[assets.Derivation(child, "train-on")])
    for asset in (child, grandchild):
        answer = world.check("bob", asset, "inference", field_of_use="weapons")
        assert (answer.allowed, answer.reason, answer.clause) == (False, "field_denied", "field_deny")
        assert world.check("bob", asset, "inference", field_of_use="health").reason == "owner"
        assert world.check("bob", asset, "inference").reason == "owner"
    assert world.check("alice", parent, "inference", field_of_use="weapons").reason == "owner"


def test_a_denial_that_comes_later_binds_earlier_grants() -> None:
    world = World()
    child = world.register("bob", "child", visibility="public")
    world.license("bob", child, "carol", USE)
    parent = world.register("alice", "parent")
    terms = Terms(rights=("train-on",), price=0, commercial=True, derivatives="yes", field_deny=("weapons",))
    right = assets.Derivation(parent, "train-on", world.license("alice", parent, "bob", terms))
    world.add_version("bob", child, "child 2", derivations=[right])
    assert not world.check("carol", child, "inference", field_of_use="weapons").allowed
    assert not world.check("dave", child, "download", field_of_use="weapons").allowed
    assert world.check("dave", child, "download").reason == "public"


def test_an_exclusive_grant_binds_its_owner_where_it_reaches() -> None:
    world = World()
    terms = msgspec.structs.replace(USE, exclusivity="exclusive", territory=("DE",), field_allow=("health",))
    asset, _ = sold(world, terms)
    for asking, allowed in (
        ({}, False),
        ({"country": "DE"}, False),
        ({"country": "FR"}, True),
        ({"field_of_use": "health"}, False),
        ({"field_of_use": "law"}, True),
        ({"field_of_use": "law", "country": "DE"}, True),
        ({"field_of_use": "health", "country": "DE"}, False),
    ):
        assert world.check("alice", asset, "inference", **asking).allowed is allowed
    shown_answer = world.query(
        "licenses.check",
        account=account_to_text(world.accounts["bob"]),
        asset=asset.hex(),
        right="inference",
        country="FR",
    )
    assert (shown_answer.reason, shown_answer.clause) == ("outside_territory", "territory")


def test_a_grant_is_shown_as_a_token() -> None:
    from ledger.errors import LedgerError

    world = World()
    asset = world.register("alice", "A", description="A set", metadata=(("image", "ipfs://x"),))
    terms = msgspec.structs.replace(REVOCABLE, editions_max=9, spdx_id="MIT")
    grant = world.license("alice", asset, "bob", terms)
    token = world.query("licenses.token", token=grant.hex())
    assert (token.token, token.owner) == (grant.hex(), account_to_text(world.accounts["bob"]))
    assert (token.asset, token.edition, token.editions) == (asset.hex(), 1, 9)
    assert list(token.metadata) == ["name", "description", "image", "attributes"]
    assert token.metadata["name"] == "A, license 1 of 9"
    assert (token.metadata["description"], token.metadata["image"]) == ("A set", "ipfs://x")
    attributes = token.metadata["attributes"]
    assert all(set(attribute) == {"trait_type", "value"} for attribute in attributes)
    assert all(type(attribute["value"]) in (str, int) for attribute in attributes), "galleries show text and numbers"
    assert json.loads(json.dumps(token.metadata)) == token.metadata
    traits = {attribute["trait_type"]: attribute["value"] for attribute in attributes}
    assert (traits["state"], traits["edition"], traits["end_ms"]) == ("active", "1 of 9", world.now_ms + TERM_MS)
    assert (traits["right"], traits["kind"], traits["spdx_id"]) == ("inference", "dataset", "MIT")
    plain = world.license("alice", world.register("alice", "B"), "bob", USE)
    metadata = world.query("licenses.token", token=plain.hex()).metadata
    assert (list(metadata), metadata["name"]) == (["name", "description", "attributes"], "B, license 1")
    with pytest.raises(LedgerError, match="no such token"):
        world.query("licenses.token", token=asset.hex())
