"""Licenses of bob's on a data set of alice's, and what is done to them besides using them."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.modules.licenses.operations import ReportUsage, Terms
from ledger.modules.licenses.settlement import Outcome, hold_for_dispute, release_from_dispute
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from ledger.modules.organizations.operations import OpenAccount
from ledger.parameters import DAY_MS
from primitives.identifiers import account_id
from tests.unit.modules_kit import World, seed_key

USE = Terms(rights=("inference",), price=1_000)
TERM_MS = 1_000
REVOCABLE = Terms(
    rights=("inference",),
    price=1_000,
    term_ms=TERM_MS,
    revocation_causes=("breach", "non-payment"),
    refund_mode="pro-rata",
)
WINDOW = msgspec.structs.replace(USE, dispute_window_ms=DAY_MS)


def sold(world: World, terms: Terms = REVOCABLE, **fields: Any) -> tuple[bytes, bytes]:
    asset = world.register("alice", "A", **fields)
    return asset, world.license("alice", asset, "bob", terms)


def shown(world: World, grant: bytes) -> Any:
    return world.query("licenses.grant", grant=grant.hex())


def names(events: list[object]) -> list[str]:
    return [type(event).__name__ for event in events]


def report(world: World, grant: bytes, count: int) -> ReportUsage:
    key = seed_key("bob")
    return ReportUsage(grant, count, key.public_key, sign_voucher(Voucher(world.network_id, grant, count), key))


def hold(world: World, grant: bytes) -> None:
    context = world.context(world.view, b"", b"dispute")
    hold_for_dispute(context, grant)
    assert names(context.events) == ["HeldForDispute"]


def release(world: World, grant: bytes, outcome: Outcome) -> list[Any]:
    context = world.context(world.view, b"", b"ruling")
    release_from_dispute(context, grant, outcome)
    return context.events


def colleague(world: World, label: str = "colleague") -> bytes:
    """Open a further account of bob's organization."""
    key, salt = seed_key(label).public_key, bytes(16)
    world.do("bob", OpenAccount(key, salt, ""))
    return account_id(world.network_id, "org-bob", key, salt)
