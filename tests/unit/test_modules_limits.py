"""Every bound that an operation can meet: what it may carry, how many of something there may be, and the millisecond
before and after an end."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from ledger.errors import OperationError
from ledger.modules.assets import lineage
from ledger.modules.assets import operations as assets
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.governance import operations as governance
from ledger.modules.licenses import grants, inheritance, purchases
from ledger.modules.licenses.operations import Terms
from ledger.modules.organizations.operations import AddKey
from ledger.modules.royalties import stack
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.operations import default_registry
from primitives.codec import CodecError, decode, encode
from tests.unit.modules_kit import SUPPLY_EACH, World, make_genesis, seed_key

OPERATIONS = sorted(default_registry().handlers, key=lambda operation: str(operation.__struct_config__.tag))
PLAIN = Terms(rights=("train-on",), price=10_000, commercial=True)
SHARED = Terms(
    rights=("download", "train-on"),
    price=100,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=100,
    revenue_share_depth=8,
)


def parts(kind: inspect.Type, where: str) -> Iterator[tuple[str, inspect.Type]]:
    """Yield (place, type) of everything inside a type."""
    if isinstance(kind, inspect.Metadata):
        yield from parts(kind.type, where)
    elif isinstance(kind, inspect.UnionType):
        for member in kind.types:
            yield from parts(member, where)
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from parts(field.type, f"{where}.{field.name}")
    else:
        yield where, kind
        if isinstance(kind, inspect.VarTupleType | inspect.ListType):
            yield from parts(kind.item_type, f"{where}[]")
        elif isinstance(kind, inspect.TupleType):
            for index, member in enumerate(kind.item_types):
                yield from parts(member, f"{where}[{index}]")


# --- what an operation may carry

BOUNDED_BY_A_RULE = "NamedValue.value"
"""What a parameter is to be: each has a range of its own, and a proposal that leaves it is told that range
(tests/unit/test_modules_decisions.py). MessagePack bounds it to 64 bits."""


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.__struct_config__.tag))
def test_everything_in_an_operation_is_bounded(operation: type[msgspec.Struct]) -> None:
    """E4: numbers fit a signed word and are no floats; texts, bytes and lists have a largest size."""
    for where, kind in parts(inspect.type_info(operation), operation.__name__):
        if operation is governance.Propose and where == "Propose.change.values[].value":
            continue  # BOUNDED_BY_A_RULE
        match kind:
            case inspect.IntType():
                assert kind.ge is not None, where
                assert kind.le is not None, where
                assert -AMOUNT_MAX <= kind.ge <= kind.le <= AMOUNT_MAX, where
            case inspect.StrType():
                assert kind.max_length is not None or (kind.pattern is not None and "*" not in kind.pattern), where
            case inspect.BytesType() | inspect.VarTupleType():
                assert kind.max_length is not None, where
            case inspect.LiteralType() | inspect.BoolType() | inspect.NoneType() | inspect.TupleType():
                pass
            case _:
                pytest.fail(f"{where}: nothing bounds a {type(kind).__name__}")


def numbers() -> dict[str, Any]:
    """Each kind of number that operations carry, by the first place where it is."""
    found: dict[str, Any] = {}
    structs: list[type[msgspec.Struct]] = list(OPERATIONS)
    for struct in structs:
        for name, hint in typing.get_type_hints(struct, include_extras=True).items():
            whole = [kind for where, kind in parts(inspect.type_info(hint), "") if not where]
            place = f"{struct.__name__}.{name}"
            numeric = any(isinstance(kind, inspect.IntType) for kind in whole)
            if numeric and hint not in found.values() and place != BOUNDED_BY_A_RULE:
                found[place] = hint
            structs += [member for member in members(hint) if member not in structs]
    return found


def members(hint: Any) -> list[type[msgspec.Struct]]:
    """The Structs that a type names."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [member for argument in typing.get_args(hint) for member in members(argument)]


def test_numbers_are_found_wherever_they_are() -> None:
    assert {"OpenBounty.amount", "Metric.value_ppm", "SetAlias.version", "Terms.revenue_share_depth"} <= set(numbers())


@pytest.mark.parametrize("amount", [-(2**63) - 1, 2**63, 2**64 - 1, True, 1.0, 0.5, "1", float("inf")])
@pytest.mark.parametrize("place", numbers())
def test_what_is_no_number_of_a_field_does_not_decode(place: str, amount: object) -> None:
    """E4: 2^63, true and 1.0, in every kind of number that there is."""
    hint = numbers()[place]
    try:
        encoded = encode(amount)
    except (CodecError, OverflowError):
        return  # it has no encoding at all
    with pytest.raises(CodecError):
        decode(encoded, hint)


def test_one_less_and_one_more_than_a_number_may_be() -> None:
    """E4: 0 and -1 where they are not allowed, and the ends of every range."""
    for place, hint in numbers().items():
        (kind,) = [kind for _, kind in parts(inspect.type_info(hint), "") if isinstance(kind, inspect.IntType)]
        assert kind.ge is not None
        assert kind.le is not None
        for allowed in (kind.ge, kind.le):
            assert decode(encode(allowed), hint) == allowed, place
        for wrong in (kind.ge - 1, kind.le + 1):
            with pytest.raises(CodecError):
                decode(encode(wrong), hint)


def test_a_handler_refuses_a_role_that_decoding_would_not_let_through() -> None:
    world = World()
    operation = AddKey(seed_key("other").public_key, "validator")  # type: ignore[arg-type]
    with pytest.raises(CodecError):
        decode(encode(operation), AddKey)
    context = world.context(world.view, world.accounts["alice"], b"")
    with pytest.raises(OperationError) as caught:
        world.registry.handlers[AddKey](context, operation)
    assert caught.value.code == "organizations.role_reserved"


# --- how many there may be


def derived(world: World, who: str, label: str, parent: bytes, grant: bytes | None = None) -> bytes:
    return world.register(who, label, derivations=[assets.Derivation(parent, "train-on", grant)])


def test_generations_pay_to_the_eighth_and_not_to_the_ninth() -> None:
    """Each generation by an organization of its own: the eighth descendant pays the first asset, the ninth does not."""
    with pytest.raises(CodecError):
        decode(encode(msgspec.structs.replace(SHARED, revenue_share_depth=9)), Terms)
    people = [f"owner{generation}" for generation in range(10)]
    world = World(make_genesis(names=("alice", "bob", "carol", "dave", *people)))
    first = last = world.register(people[0], "generation 0")
    paying = {}
    for generation in range(1, 10):
        grant = world.license(people[generation - 1], last, people[generation], SHARED)
        last = derived(world, people[generation], f"generation {generation}", last, grant)
        entries = world.query("royalties.stack", asset=last.hex()).entries
        assert len(entries) == min(generation, 8)
        paying[generation] = first.hex() in {entry.ancestor for entry in entries}
        before = world.owed(people[0], first)
        world.license(people[generation], last, "alice", PLAIN)
        assert (world.owed(people[0], first) > before) is paying[generation]
    assert [generation for generation, pays in paying.items() if pays] == [1, 2, 3, 4, 5, 6, 7, 8]
    world.check_laws()


def test_the_terms_of_one_parent_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "LINK_TERMS_MAX", 2)
    world = World()
    parent = world.register("alice", "parent")
    granted = [
        world.license("alice", parent, "bob", msgspec.structs.replace(SHARED, price=price)) for price in (1, 2, 3)
    ]
    child = derived(world, "bob", "child", parent, granted[0])
    world.add_version("bob", child, "child 2", derivations=[assets.Derivation(parent, "train-on", granted[1])])
    world.commit("bob", "child 3")
    provenance = assets.Provenance(derivations=(assets.Derivation(parent, "train-on", granted[2]),))
    third = assets.AddVersion(child, world.artifact("child 3"), world.salt("child 3"), provenance)
    world.refused("assets.derivation_terms", "bob", third)
    known = msgspec.structs.replace(
        third, provenance=assets.Provenance(derivations=(assets.Derivation(parent, "train-on", granted[0]),))
    )
    world.do("bob", known)


def test_a_lineage_in_which_a_cycle_is_sought_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "LINEAGE_MAX", 2)
    world = World()
    last = world.register("alice", "0")
    for label in ("1", "2"):
        last = derived(world, "alice", label, last)
    world.commit("alice", "3")
    one_more = world.registration("alice", "3", derivations=[assets.Derivation(last, "train-on")])
    world.refused("royalties.lineage_too_large", "alice", one_more)


def test_ancestors_whose_terms_are_read_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an offer can no longer be made, one made before can no longer be bought: both read the ancestors."""
    world = World()
    last = world.register("alice", "0")
    for label in ("1", "2"):
        last = derived(world, "alice", label, last)
    monkeypatch.setattr(inheritance, "ANCESTORS_MAX", 3)
    offer = world.offer("alice", last, PLAIN)
    monkeypatch.setattr(inheritance, "ANCESTORS_MAX", 2)
    world.refused("licenses.lineage_too_large", "bob", world.purchase_operation(offer, PLAIN))


def test_relatives_and_grants_that_an_exclusive_one_is_compared_with_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    asset = world.register("alice", "A")
    derived(world, "alice", "B", asset)
    for buyer in ("bob", "carol"):
        world.license("alice", asset, buyer, msgspec.structs.replace(PLAIN, rights=("inference",)))
    sole = msgspec.structs.replace(PLAIN, exclusivity="sole")
    offer = world.offer("alice", asset, sole)
    salt = world.salt("sole")
    purchase = world.purchase_operation(offer, sole, salt)
    monkeypatch.setattr(grants, "FAMILY_MAX", 1)
    world.refused("licenses.family_too_large", "dave", purchase)
    monkeypatch.setattr(grants, "FAMILY_MAX", 2)
    monkeypatch.setattr(grants, "SCAN_MAX", 1)
    world.refused("licenses.too_many_grants", "dave", purchase)
    monkeypatch.setattr(grants, "SCAN_MAX", 2)
    world.buy("dave", offer, sole)


def test_sole_and_exclusive_grants_that_live_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has ended makes room."""
    monkeypatch.setattr(purchases, "RESERVING_MAX", 1)
    world = World()
    asset = world.register("alice", "A")
    here, there = (
        msgspec.structs.replace(PLAIN, exclusivity="sole", term_ms=1_000, territory=(country,))
        for country in ("CH", "DE")
    )
    world.license("alice", asset, "bob", here)
    offer = world.offer("alice", asset, there)
    world.refused("licenses.too_many_reserving", "carol", world.purchase_operation(offer, there))
    world.advance(999)
    world.refused("licenses.too_many_reserving", "carol", world.purchase_operation(offer, there))
    world.advance(1)
    world.buy("carol", offer, there)
    world.check_laws()


def test_one_transaction_offers_a_thing_once() -> None:
    world = World()
    asset = world.register("alice", "A")
    share = transfers.Offer(Thing("share", asset, 100), world.accounts["bob"], 5, world.now_ms + 1)
    world.refused("transfers.transfer_exists", "alice", share, share)
    world.do("alice", share, msgspec.structs.replace(share, thing=Thing("share", asset, 101)))
    world.check_laws()


def test_a_repeated_payee_is_refused_and_several_are_paid_their_parts() -> None:
    """E6: nobody's part is counted twice, wherever payees are named."""
    world = World()
    alice, bob = world.accounts["alice"], world.accounts["bob"]
    world.commit("alice", "A")
    for creators, code in (
        (((bob, 5_000), (bob, 5_000)), "assets.creator_repeated"),
        (((bob, 10_000), (alice, 0)), "assets.creator_shares"),
        (((bob, 9_999),), "assets.creator_shares"),
        (((bob, 10_000), (alice, 1)), "assets.creator_shares"),
    ):
        world.refused(code, "alice", world.registration("alice", "A", creators=creators))
    due = assets.TransferTerms(resale_royalty_bps=1_000)
    registration = world.registration("alice", "A", creators=((alice, 1), (bob, 9_999)), transfer_terms=due)
    world.do("alice", registration)
    asset = assets.asset_id(world.network_id, alice, registration.artifact.cid)
    world.hold(asset)
    world.transfer("alice", asset, "carol", 1_000_000)
    assert world.owed("bob", asset) == 975_000 // 10 * 9_999 // 10_000
    world.check_laws()


# --- the millisecond before and after


@pytest.mark.parametrize(("before_ms", "code"), [(1, ""), (0, "transfers.expired"), (-1, "transfers.expired")])
def test_a_transfer_is_accepted_until_its_last_millisecond(before_ms: int, code: str) -> None:
    """Whether the sweep has come by or not."""
    world = World()
    asset = world.register("alice", "A")
    thing = Thing("asset", asset)
    ends_ms = world.now_ms + 1_000
    world.do("alice", transfers.Offer(thing, world.accounts["bob"], 5, ends_ms))
    accept = transfers.Accept(transfers.transfer_id(world.transaction_id, thing), 5)
    world.advance(ends_ms - before_ms - world.now_ms, limit=0)
    if code:
        world.refused(code, "bob", accept)
        world.advance(0)
        assert world.query("assets.get", asset=asset.hex()).locked_by is None
        assert world.balance("bob") == SUPPLY_EACH
    else:
        world.do("bob", accept)
    world.check_laws()


@pytest.mark.parametrize(("before_ms", "counts"), [(1, True), (0, False), (-1, False)])
def test_a_consent_counts_until_its_last_millisecond(before_ms: int, counts: bool) -> None:
    world = World()
    asset = world.register("alice", "A")
    world.transfer("alice", Thing("share", asset, 5_000), "bob", 5)
    retire = assets.Retire(asset)
    ends_ms = world.now_ms + 1_000
    world.do("bob", assets.Consent(asset, assets.action_digest(retire), ends_ms))
    world.advance(ends_ms - before_ms - world.now_ms, limit=0)
    if counts:
        world.do("alice", retire)
    else:
        world.refused("assets.consent_missing", "alice", retire)
    world.advance(0)
    world.check_laws()


@pytest.mark.parametrize(("before_ms", "code"), [(1, ""), (0, "assets.commitment_missing")])
def test_a_commitment_is_revealed_until_its_last_millisecond(before_ms: int, code: str) -> None:
    world = World()
    registration = world.registration("alice", "A")
    committed = assets.commitment(registration.artifact.cid, world.accounts["alice"], registration.salt)
    world.do("alice", assets.Commit(committed))
    world.advance(world.parameters.commitment_lifetime_ms - before_ms, limit=0)
    if code:
        world.refused(code, "alice", registration)
    else:
        world.do("alice", registration)


@pytest.mark.parametrize(("before_ms", "derives"), [(1, True), (0, False)])
def test_a_grant_derives_until_its_last_millisecond(before_ms: int, derives: bool) -> None:
    world = World()
    parent = world.register("alice", "parent")
    grant = world.license("alice", parent, "bob", msgspec.structs.replace(SHARED, term_ms=50_000))
    ends_ms = world.query("licenses.grant", grant=grant.hex()).end_ms
    world.commit("bob", "child")
    registration = world.registration("bob", "child", derivations=[assets.Derivation(parent, "train-on", grant)])
    world.advance(ends_ms - before_ms - world.now_ms)
    if derives:
        world.do("bob", registration)
    else:
        world.refused("assets.derivation_grant_not_live", "bob", registration)
