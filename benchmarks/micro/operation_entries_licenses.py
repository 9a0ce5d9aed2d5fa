"""What `operation_costs` measures of licenses and royalties, as `operation_entries_core` does of what they stand on."""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.micro.operation_entries_core import register_derived
from benchmarks.micro.operation_entry import METERED, TERMS, Ready, entry
from benchmarks.micro.operation_world import NAMES, World, key
from ledger.modules.assets import operations as assets
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from ledger.modules.royalties.operations import Withdraw
from ledger.parameters import DAY_MS


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
    ready = register_derived(world)
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


def _metered(world: World, **fields: Any) -> tuple[bytes, bytes]:
    """An asset of alder's, and birch's grant under metered terms."""
    asset = world.register("alder", "work")
    return asset, world.license("alder", asset, "birch", msgspec.structs.replace(METERED, **fields))


def _renewal(world: World, **fields: Any) -> Ready:
    asset, grant = _metered(world)
    terms = msgspec.structs.replace(METERED, **fields)
    offer = world.offer("alder", asset, terms)
    return Ready(world.accounts["birch"], licenses.Renew(grant, offer, licenses.terms_digest(terms), terms.price))


@entry("licenses.renew")
def _renew(world: World) -> Ready:
    return _renewal(world)


@entry("licenses.renew", "under other terms")
def _succeed(world: World) -> Ready:
    return _renewal(world, price=1_200)


@entry("licenses.revoke")
def _revoke(world: World) -> Ready:
    return Ready(world.accounts["alder"], licenses.Revoke(_metered(world)[1], "breach"))


@entry("licenses.set_seats", "for three accounts")
def _set_seats(world: World) -> Ready:
    accounts = tuple(world.open_account("birch", f"desk {number}") for number in range(3))
    return Ready(world.accounts["birch"], licenses.SetSeats(_metered(world)[1], accounts))


@entry("licenses.report_usage", "with its signature check")
def _report_usage(world: World) -> Ready:
    _, grant = _metered(world)
    signature = sign_voucher(Voucher(world.network_id, grant, 7), key("birch"))
    report = licenses.ReportUsage(grant, 7, key("birch").public_key, signature)
    return Ready(world.accounts["alder"], report)


@entry("royalties.withdraw")
def _withdraw(world: World) -> Ready:
    asset = world.register("alder", "work")
    world.license("alder", asset, "birch", TERMS)
    return Ready(world.accounts["alder"], Withdraw(asset))
