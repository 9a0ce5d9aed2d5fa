"""How each operation is prepared for `operation_costs`: one small function for each tag, and one more for a variant.

A function gets a fresh `World`, does what must have been done before, and returns who sends the operation, and it. The
cost of that operation alone is measured. Where an operation can take cheaper and dearer ways, the dearer one counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from benchmarks.errors import BenchError
from benchmarks.micro.operation_world import BLOCK_HASH, HEIGHT, NAMES, SALT, World, certificate, key, tls_key
from consensus.evidence import build_evidence
from consensus.messages import Prepare, sign
from ledger.epochs import pending_changes
from ledger.modules.assets import operations as assets
from ledger.modules.assets.transfers import transfer_id
from ledger.modules.credits.operations import Transfer
from ledger.modules.development.operations import AdvanceClock
from ledger.modules.governance import operations as governance
from ledger.modules.governance.records import proposal_id
from ledger.modules.licenses import operations as licenses
from ledger.modules.organizations import operations as organizations
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.validators import operations as validators
from ledger.operations import Registry
from ledger.parameters import DAY_MS
from primitives.codec import encode
from primitives.identifiers import node_id


class Ready(NamedTuple):
    """An operation that can be executed in the world that was prepared for it."""

    sender: bytes
    operation: Any


ENTRIES: Final[dict[tuple[str, str], Callable[[World], Ready]]] = {}
"""(tag, variant) -> its preparation; the variant is empty where there is one only."""


def entry(tag: str, variant: str = "") -> Callable[[Callable[[World], Ready]], Callable[[World], Ready]]:
    """Enter a preparation of the operation `tag`."""

    def note(prepare: Callable[[World], Ready]) -> Callable[[World], Ready]:
        assert (tag, variant) not in ENTRIES, f"two preparations of {tag} {variant}"
        ENTRIES[tag, variant] = prepare
        return prepare

    return note


def check_complete(registry: Registry) -> None:
    """Refuse to measure where an operation is missing, or an entry has none.

    Raises:
        BenchError: `operation_costs.incomplete`, naming the tags.
    """
    tags = {str(operation.__struct_config__.tag) for operation in registry.handlers}
    known = {tag for tag, _ in ENTRIES}
    if missing := sorted(tags - known):
        raise BenchError(
            "operation_costs.incomplete",
            f"no entry for {', '.join(missing)}: add a function to benchmarks/micro/operation_entries.py",
        )
    if foreign := sorted(known - tags):
        raise BenchError(
            "operation_costs.incomplete", f"entries for operations that do not exist: {', '.join(foreign)}"
        )


def prepare(registry: Registry, tag: str, variant: str) -> tuple[World, Ready]:
    """Prepare a world for one entry.

    Raises:
        BenchError: `operation_costs.entry`, it prepares another operation; `operation_costs.refused`, by `World.do`.
    """
    world = World(registry)
    ready = ENTRIES[tag, variant](world)
    made = type(ready.operation).__struct_config__.tag
    if made != tag:
        raise BenchError("operation_costs.entry", f"the entry for {tag} prepares {made}")
    return world, ready


TERMS: Final = licenses.Terms(rights=("download", "inference"), price=1_000, commercial=True)
TRAINING: Final = licenses.Terms(
    rights=("download", "train-on"),
    price=1_000,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=500,
    revenue_share_depth=8,
)


# --- organizations and credits


@entry("organizations.open_account")
def _open_account(world: World) -> Ready:
    return Ready(world.accounts["alder"], organizations.OpenAccount(key("new").public_key, SALT, "new"))


@entry("organizations.add_key")
def _add_key(world: World) -> Ready:
    return Ready(world.accounts["alder"], organizations.AddKey(key("second").public_key, "operator"))


@entry("organizations.revoke_key")
def _revoke_key(world: World) -> Ready:
    world.do("alder", organizations.AddKey(key("second").public_key, "operator"))
    return Ready(world.accounts["alder"], organizations.RevokeKey(key("second").public_key))


@entry("organizations.rotate_key")
def _rotate_key(world: World) -> Ready:
    return Ready(world.accounts["alder"], organizations.RotateKey(key("alder").public_key, key("next").public_key))


@entry("credits.transfer")
def _transfer(world: World) -> Ready:
    return Ready(world.accounts["alder"], Transfer(world.accounts["birch"], 5))


# --- assets


@entry("assets.commit")
def _commit(world: World) -> Ready:
    return Ready(world.accounts["alder"], assets.Commit(bytes(32)))


@entry("assets.register")
def _register(world: World) -> Ready:
    world.commit("alder", "work")
    return Ready(world.accounts["alder"], world.registration("work"))


@entry("assets.register", "with eight parents")
def _register_derived(world: World) -> Ready:
    derivations = []
    for at in range(assets.PARENTS_MAX):
        parent = world.register("alder", f"parent {at}")
        grant = world.license("alder", parent, "birch", TRAINING)
        derivations.append(assets.Derivation(parent, "train-on", grant))
    world.commit("birch", "work")
    provenance = assets.Provenance(derivations=tuple(derivations))
    return Ready(world.accounts["birch"], world.registration("work", provenance=provenance))


@entry("assets.add_version")
def _add_version(world: World) -> Ready:
    asset = world.register("alder", "work")
    world.commit("alder", "second")
    return Ready(world.accounts["alder"], assets.AddVersion(asset, world.artifact("second"), SALT))


@entry("assets.set_alias")
def _set_alias(world: World) -> Ready:
    return Ready(world.accounts["alder"], assets.SetAlias(world.register("alder", "work"), "stable", 1))


@entry("assets.set_manager")
def _set_manager(world: World) -> Ready:
    return Ready(world.accounts["alder"], assets.SetManager(world.register("alder", "work"), world.accounts["birch"]))


def _transfer_offer(world: World, price: int) -> tuple[bytes, Any]:
    asset, recipient = world.register("alder", "work"), world.accounts["birch"]
    end_ms = world.now_ms + DAY_MS
    if price:
        return asset, assets.OfferTransfer(asset, recipient, price, end_ms)
    return asset, assets.OfferGift(asset, recipient, end_ms)


@entry("assets.offer_transfer")
def _offer_transfer(world: World) -> Ready:
    return Ready(world.accounts["alder"], _transfer_offer(world, 1_000)[1])


@entry("assets.offer_gift")
def _offer_gift(world: World) -> Ready:
    return Ready(world.accounts["alder"], _transfer_offer(world, 0)[1])


@entry("assets.accept_transfer")
def _accept_transfer(world: World) -> Ready:
    asset, operation = _transfer_offer(world, 1_000)
    transfer = transfer_id(world.do("alder", operation), asset)
    return Ready(world.accounts["birch"], assets.AcceptTransfer(transfer, 1_000))


@entry("assets.withdraw_transfer")
def _withdraw_transfer(world: World) -> Ready:
    asset, operation = _transfer_offer(world, 1_000)
    return Ready(world.accounts["alder"], assets.WithdrawTransfer(transfer_id(world.do("alder", operation), asset)))


@entry("assets.retire")
def _retire(world: World) -> Ready:
    return Ready(world.accounts["alder"], assets.Retire(world.register("alder", "work")))


def _held_by_two(world: World) -> tuple[bytes, Ready]:
    """An asset that the next report makes available."""
    world.commit("alder", "work")
    world.do("alder", world.registration("work"))
    asset = assets.asset_id(world.network_id, world.accounts["alder"], world.artifact("work").cid)
    for name in NAMES[:2]:
        world.do(world.validators[name], assets.ReportHeld(asset, 1))
    return asset, Ready(world.validators[NAMES[2]], assets.ReportHeld(asset, 1))


@entry("assets.report_held")
def _report_held(world: World) -> Ready:
    return _held_by_two(world)[1]


@entry("assets.report_held", "that pays a waiting purchase")
def _report_held_paying(world: World) -> Ready:
    asset, ready = _held_by_two(world)
    world.license("alder", asset, "birch", TERMS)
    return ready


# --- licenses and royalties


@entry("licenses.commit")
def _commit_purchase(world: World) -> Ready:
    return Ready(world.accounts["birch"], licenses.Commit(bytes(32)))


@entry("licenses.offer")
def _offer(world: World) -> Ready:
    asset = world.register("alder", "work")
    return Ready(world.accounts["alder"], licenses.Offer(asset, TERMS, world.now_ms + DAY_MS))


@entry("licenses.withdraw_offer")
def _withdraw_offer(world: World) -> Ready:
    offer = world.offer("alder", world.register("alder", "work"), TERMS)
    return Ready(world.accounts["alder"], licenses.WithdrawOffer(offer))


@entry("licenses.purchase")
def _purchase(world: World) -> Ready:
    offer = world.offer("alder", world.register("alder", "work"), TERMS)
    return Ready(world.accounts["birch"], world.purchase(offer, TERMS))


@entry("licenses.purchase", "with eight ancestors")
def _purchase_of_derived(world: World) -> Ready:
    ready = _register_derived(world)
    world.do(ready.sender, ready.operation)
    asset = assets.asset_id(world.network_id, ready.sender, world.artifact("work").cid)
    for name in NAMES[:3]:
        world.do(world.validators[name], assets.ReportHeld(asset, 1))
    return Ready(world.accounts["cedar"], world.purchase(world.offer("birch", asset, TERMS), TERMS))


@entry("licenses.claim")
def _claim(world: World) -> Ready:
    terms = msgspec.structs.replace(TERMS, dispute_window_ms=DAY_MS)
    grant = world.license("alder", world.register("alder", "work"), "birch", terms)
    world.now_ms += DAY_MS
    return Ready(world.accounts["cedar"], licenses.Claim(grant))


@entry("licenses.approve_derivatives")
def _approve_derivatives(world: World) -> Ready:
    terms = msgspec.structs.replace(TERMS, derivatives="on-approval")
    grant = world.license("alder", world.register("alder", "work"), "birch", terms)
    return Ready(world.accounts["alder"], licenses.ApproveDerivatives(grant))


@entry("royalties.withdraw")
def _withdraw(world: World) -> Ready:
    asset = world.register("alder", "work")
    world.license("alder", asset, "birch", TERMS)
    return Ready(world.accounts["alder"], Withdraw(asset))


# --- governance and validators


def _admission() -> governance.Propose:
    change = governance.AddValidator(
        organization="org-alder",
        node_id=str(node_id(tls_key("candidate"))),
        signing_key=key("candidate").public_key,
        tls_certificate=certificate("candidate"),
        address="candidate.example:7000",
    )
    return governance.Propose(change, "let it in")


@entry("governance.propose")
def _propose(world: World) -> Ready:
    return Ready(world.accounts["alder"], _admission())


@entry("governance.vote", "that approves")
def _vote(world: World) -> Ready:
    operation = _admission()
    proposal = proposal_id(world.do("alder", operation), operation.change)
    for name in NAMES[:2]:
        world.do(name, governance.Vote(proposal, True))
    return Ready(world.accounts[NAMES[2]], governance.Vote(proposal, True))


@entry("validators.ready")
def _ready(world: World) -> Ready:
    approval = _vote(world)
    world.do(approval.sender, approval.operation)
    (change,) = pending_changes(world.view).values()
    assert change.record is not None
    return Ready(change.record.account, validators.Ready(HEIGHT - 1, BLOCK_HASH))


@entry("validators.rejoin")
def _rejoin(world: World) -> Ready:
    return Ready(world.validators["alder"], validators.Rejoin(7))


@entry("validators.report_evidence", "with its two signature checks")
def _report_evidence(world: World) -> Ready:
    culprit = key("validator birch")
    votes = [
        sign(world.network_id, culprit, Prepare(0, 1, 0, 3, 9, bytes([value]) * 32, bytes(64))) for value in (1, 2)
    ]
    evidence = encode(build_evidence(*votes))
    return Ready(world.validators["alder"], validators.ReportEvidence(evidence))


@entry("development.advance_clock")
def _advance_clock(world: World) -> Ready:
    return Ready(world.accounts["alder"], AdvanceClock(5))
