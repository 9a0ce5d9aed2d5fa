"""Lists in pages: every page begins behind its cursor, holds what follows, and reads no more than that."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger.errors import LedgerError
from ledger.modules.assets.operations import Derivation
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.licenses.operations import Terms
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import condition_of
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.operations import default_registry
from ledger.parameters import DAY_MS
from ledger.state.view import Readable
from primitives.identifiers import account_to_text
from tests.unit.modules_kit import World, cid, seed_key

ASSETS = 30
SOLD = 10
"""The place of the work of which shares are sold."""
BOND = 1_000_000
TERMS = Terms(rights=("download",), price=5)


class Counting:
    """A state that counts what is read of it."""

    def __init__(self, base: Readable) -> None:
        self._base = base
        self.read = 0

    def get(self, key: bytes) -> bytes | None:
        return self._base.get(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for record in self._base.iterate(prefix, start):
            self.read += 1
            yield record


@pytest.fixture(scope="module")
def world() -> World:
    """Thirty works of alice's that derive from one; on two of them offers, and bob's and carol's grants under them."""
    made = World()
    first = made.register("alice", "first")
    works = [made.register("alice", str(n), derivations=[Derivation(first, "train-on")]) for n in range(ASSETS)]
    for asset in sorted(works)[3:5]:
        offers = [made.offer("alice", asset, TERMS) for _ in range(ASSETS)]
        for offer in offers:
            made.buy("bob", offer, TERMS)
            made.buy("carol", offer, TERMS)
    for number in range(ASSETS):
        made.do("alice", OpenAccount(seed_key(f"member {number}").public_key, bytes(16), f"member {number}"))
    _trade(made, sorted(works)[SOLD])
    for work in sorted(works):
        claim = disputes.File(Subject("asset", work), "infringement", "freeze_sales", 0, BOND, cid("evidence"))
        made.do("dave", claim)
    return made


def _trade(world: World, asset: bytes) -> None:
    """Thirty of everything that can be done with shares of one work."""
    ends_at_ms = world.now_ms + DAY_MS
    for bps in range(1, ASSETS + 1):
        thing = Thing("share", asset, bps)
        world.do("alice", market.List(thing, 100, ends_at_ms))
        world.do("alice", market.OpenAuction(thing, 100, 10, ends_at_ms, extension_ms=0))
        auction = market.auction_id(world.transaction_id, thing)
        world.do("bob", market.Bid(auction, 100 + bps))
        condition = condition_of(world.view, thing)
        world.do("carol", market.MakeOffer(thing, 50, ends_at_ms, condition, world.accounts["alice"]))
        world.do("alice", transfers.Offer(thing, world.accounts["dave"], 7, ends_at_ms))


def asset(world: World, place: int) -> str:
    """The id of one of the two works with grants, or of others before, between and behind."""
    every = sorted(summary.asset for summary in world.query("assets.list") if summary.name != "first")
    return str(every[place])


Arguments = Callable[[World], dict[str, Any]]

LISTS: list[tuple[str, str, Arguments]] = [
    ("assets.list", "asset", lambda _: {}),
    ("assets.list", "asset", lambda world: {"owner": account_to_text(world.accounts["alice"])}),
    ("assets.list", "asset", lambda _: {"kind": "dataset"}),
    ("assets.children", "asset", lambda world: {"asset": first_of(world)}),
    ("licenses.offers", "offer", lambda world: {"asset": asset(world, 3)}),
    ("licenses.grants", "grant", lambda world: {"asset": asset(world, 4)}),
    ("licenses.grants", "grant", lambda world: {"account": account_to_text(world.accounts["bob"])}),
    (
        "licenses.grants",
        "grant",
        lambda world: {"account": account_to_text(world.accounts["bob"]), "asset": asset(world, 3)},
    ),
    ("accounts.list", "account", lambda _: {"organization": "org-alice"}),
    ("transfers.list", "transfer", lambda world: {"account": account_to_text(world.accounts["dave"])}),
    ("market.listings", "listing", lambda _: {}),
    ("market.listings", "listing", lambda world: {"asset": asset(world, SOLD)}),
    ("market.listings", "listing", lambda world: {"account": account_to_text(world.accounts["alice"])}),
    ("market.auctions", "auction", lambda _: {}),
    ("market.auctions", "auction", lambda world: {"asset": asset(world, SOLD)}),
    ("market.auctions", "auction", lambda world: {"bidder": account_to_text(world.accounts["bob"])}),
    ("market.offers", "offer", lambda world: {"thing": asset(world, SOLD)}),
    ("market.offers", "offer", lambda world: {"account": account_to_text(world.accounts["carol"])}),
    ("market.prices", "sale", lambda world: {"asset": asset(world, SOLD)}),
    ("disputes.list", "dispute", lambda _: {}),
    ("disputes.list", "dispute", lambda world: {"account": account_to_text(world.accounts["dave"])}),
]


def first_of(world: World) -> str:
    (found,) = (summary.asset for summary in world.query("assets.list") if summary.name == "first")
    return str(found)


@pytest.mark.parametrize(("name", "key", "arguments"), LISTS)
def test_pages_of_any_size_are_the_list_and_read_only_themselves(
    name: str, key: str, arguments: Arguments, world: World
) -> None:
    given = arguments(world)
    whole = [getattr(item, key) for item in world.query(name, **given)]
    assert len(whole) >= ASSETS
    for limit in (1, 5, 200):
        paged: list[str] = []
        while True:
            counting = Counting(world.view)
            answer = world.registry.queries[name](
                counting, world.network_id, world.now_ms, **given, after=paged[-1] if paged else "", limit=limit
            )
            page = [getattr(item, key) for item in answer]
            each = 8  # what an item of the list reads of its own: its keys, links, holders
            assert counting.read <= (len(page) + 1) * each, "what lies before the cursor is not read"
            if not page:
                break
            paged += page
        assert paged == whole


NAMING = sorted(
    name
    for name, query in default_registry().queries.items()
    if {"asset", "thing"} & inspect.signature(query).parameters.keys()
)
"""What can be asked about an asset, or about a thing: an asset or a grant."""
BESIDE: dict[str, dict[str, Any]] = {
    "assets.holders": {"version": 1},
    "attestations.latest": {"account": "bob", "version": 1},
    "licenses.check": {"account": "bob"},
    "licenses.seats": {"account": "bob"},
    "royalties.owed": {"account": "bob"},
    "royalties.quote": {"price": 1, "fee_bps": 0},
}
"""What else some of these want to know."""


class Gets:
    """A state that counts the records that are asked for one by one, and lists none."""

    def __init__(self, base: Readable) -> None:
        self._base = base
        self.read = 0

    def get(self, key: bytes) -> bytes | None:
        self.read += 1
        return self._base.get(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        raise AssertionError("nothing is listed of what there is not")


@pytest.mark.parametrize(
    ("name", "beside"), [*((name, BESIDE.get(name, {})) for name in NAMING), ("licenses.grants", {"account": "bob"})]
)
def test_what_was_never_registered_is_not_found_and_has_no_empty_lists(
    name: str, beside: dict[str, Any], world: World
) -> None:
    """A mistyped id would else be told that there is nothing of it. To know it takes one read, of a thing two."""
    query = world.registry.queries[name]
    about = "thing" if "thing" in inspect.signature(query).parameters else "asset"
    arguments = {about: "ab" * 32, **beside}
    if "account" in arguments:
        arguments["account"] = account_to_text(world.accounts["bob"])
    counting = Gets(world.view)
    with pytest.raises(LedgerError) as caught:
        query(counting, world.network_id, world.now_ms, **arguments)
    assert caught.value.code == "query.not_found"
    assert counting.read <= (2 if about == "thing" else 1)


@pytest.mark.parametrize("place", range(6))
def test_grants_of_one_asset_behind_a_grant_of_another(place: int, world: World) -> None:
    """The cursor may lie before the asset, in it, or behind it: the list is that of the asset, from the cursor on."""
    bob = account_to_text(world.accounts["bob"])
    whole = [(grant.asset, grant.grant) for grant in world.query("licenses.grants", account=bob)]
    for after_asset, after in whole[:: len(whole) // 4]:
        chosen = asset(world, place)
        expected = [grant for grant in whole if grant[0] == chosen and grant > (after_asset, after)]
        found = world.query("licenses.grants", account=bob, asset=chosen, after=after)
        assert [(grant.asset, grant.grant) for grant in found] == expected
