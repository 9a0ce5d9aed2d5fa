"""Where credits are.

    balance/  + holder (32)   Balance
    escrow/   + escrow id (32) Escrow
    supply/                   Supply

A holder is an account, or a place that only modules can name: the treasury, the pool of an asset, an escrow. All
credits are in `balance/`, and one function moves them, so that their sum is the supply by construction.
"""

from __future__ import annotations

from typing import Final

from ledger.modules.fields import Amount, Bytes32, Record
from ledger.state.view import Table
from primitives.digest import Digest, tagged_hash


class Balance(Record, frozen=True):
    """There is no record for a balance of zero."""

    amount: Amount


class Escrow(Record, frozen=True):
    """Credits in the holder `escrow_holder(id)`, waiting for what the module that put them there watches."""

    payer: Bytes32
    amount: Amount


class Supply(Record, frozen=True):
    """The sum of all balances: what the genesis gave, and what the consortium has minted and not burned since."""

    amount: Amount


BALANCES: Final = Table[Balance](b"balance/", Balance)
ESCROWS: Final = Table[Escrow](b"escrow/", Escrow)
SUPPLY: Final = Table[Supply](b"supply/", Supply)

TREASURY: Final = tagged_hash("treasury", b"")
"""The holder that fees go to."""


def pool_holder(asset: bytes) -> Digest:
    """Name the holder of what an asset has earned and its owners have not withdrawn."""
    return tagged_hash("pool", asset)


def treasury_holder(asset: bytes) -> Digest:
    """Name the holder of what the owners of an asset have set aside together."""
    return tagged_hash("asset-treasury", asset)


def escrow_holder(escrow: bytes) -> Digest:
    """Name the holder of the credits of one escrow."""
    return tagged_hash("escrow", escrow)
