"""What accounts can name at the edges of a field: whatever comes of it, no record is written that cannot be read again,
and what cannot be is refused with a code. Anything else would stop every node at the same block."""

from __future__ import annotations

import msgspec

from ledger.modules.assets import operations as assets
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses.operations import Terms
from ledger.modules.royalties.records import STACKS
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from tests.unit.modules_kit import World

SHARING = Terms(
    rights=("train-on",),
    price=0,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=1_000,
    revenue_share_depth=2,
)


def derived(world: World, *least: int, **fields: object) -> tuple[list[bytes], bytes]:
    """Register one parent of carol's and dave's in turn for each least royalty, and alice's child of all of them."""
    parents: list[bytes] = []
    derivations: list[assets.Derivation] = []
    for index, units in enumerate(least):
        owner = ("carol", "dave")[index % 2]
        parent = world.register(owner, f"parent {index}")
        terms = msgspec.structs.replace(SHARING, least_royalty=units)
        grant = world.license(owner, parent, "alice", terms)
        parents.append(parent)
        derivations.append(assets.Derivation(parent, "train-on", grant))
    return parents, world.register("alice", "child", derivations=derivations, **fields)


def test_creators_least_royalty_leaves_the_ancestors_their_part_of_a_share_sale() -> None:
    """The attack: to make one's own least royalty as high as the price, so that nothing is left for the ancestors; what
    they were due would be carried in a remainder that no record can hold."""
    world = World()
    (parent,), child = derived(world, 0, transfer_terms=assets.TransferTerms(1, 975_000))
    share = Thing("share", child, 100)
    offered = world.give_transfer("alice", share, "bob", 1_000_000)
    world.refused("royalties.uncovered", "bob", transfers.Accept(offered, 1_000_000))
    world.do("bob", transfers.Withdraw(offered))
    world.transfer("alice", share, "bob", 1_200_000)
    assert world.owed("carol", parent) == 117_000, "a tenth of what the fee leaves"
    assert world.owed("alice", child) == 975_000
    stack = STACKS.get(world.view, child)
    assert stack is not None
    assert stack.entries[0].remainder == 0
    world.check_laws()


def test_a_gift_whose_least_royalties_exceed_all_credits_is_refused() -> None:
    """Each ancestor names an amount that fits; together they do not."""
    world = World()
    _, child = derived(world, AMOUNT_MAX, AMOUNT_MAX)
    for thing in (Thing("asset", child), Thing("share", child, 1)):
        gift = transfers.OfferGift(thing, world.accounts["bob"], world.now_ms + DAY_MS)
        world.refused("credits.insufficient", "alice", gift)
    world.transfer("alice", child, "alan")
    world.check_laws()
