"""What an asset owes to its ancestors, and what its owners have earned.

    royalty-stack/ + asset (32)                   Stack
    pool/          + pool (32)                    Pool
    owed/          + pool (32) + account (32)     Owed
    debt/          + debt (32)                    Debt
    ~debtor-debt/  + account (32) + debt (32)     Marker
    ~creditor-debt/ + account (32) + debt (32)    Marker

The pool of an asset's owners has the asset's id; that of its creators, for resale royalties, has
`creators_pool(asset)`.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ledger.modules.fields import BPS, Amount, Bytes32, Marker, Part, Rate, Record, TimeMs
from ledger.state.indexes import Index
from ledger.state.view import Table
from primitives.digest import Digest, tagged_hash

CAP_BPS: Final = 5_000
"""The most that all ancestors together take of a payment."""
DEPTH_MAX: Final = 8
ANCESTORS_MAX: Final = 64
PARENTS_MAX: Final = 8
RESALE_MAX_BPS: Final = 1_500

Remainder = Annotated[int, msgspec.Meta(ge=0, lt=BPS)]
"""Ten-thousandths of a unit that the last division left; they count at the next payment."""
Carried = Annotated[int, msgspec.Meta(ge=0, lt=2**20)]
"""As `Remainder`, with whole units that a payment of a few units could not hold. Such a payment is paid out as a whole,
to the ancestors and, of a share, to the creators, and adds less to what they are due. So the sum over a stack, with
what the creators are due of shares, stays below (ANCESTORS_MAX + 1) * BPS."""
Wide = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
"""A sum over all payments there ever were, big endian: it may leave 64 bits."""


class Entry(Part, frozen=True):
    """One ancestor's part in every payment for the asset."""

    ancestor: Bytes32
    rate_bps: Rate
    cap: Amount | None
    """Units that the asset pays to the ancestor in all; None is without limit."""
    least: Amount
    depth: Annotated[int, msgspec.Meta(ge=1, le=DEPTH_MAX)]
    """Generations that pay the ancestor, the asset's own among them."""
    paid: Amount = 0
    """Units paid so far, counted where there is a cap."""
    remainder: Carried = 0


class Stack(Record, frozen=True):
    entries: tuple[Entry, ...] = ()
    """In order of asset id; rates sum to at most CAP_BPS."""
    fee_remainder: Remainder = 0
    resale_remainder: Remainder = 0
    """Of what the creators get when the asset is sold."""
    grant_resale_remainder: Remainder = 0
    """Of what the owners get when a licensee passes a grant on."""
    share_resale_remainder: Remainder = 0
    """Of what the creators get when a share is sold. Apart from that of the asset: what other sales have added would
    come due where it leaves the ancestors of a share nothing, again and again."""


class Pool(Record, frozen=True):
    received: Wide
    """Units that ever came in. A share of bps is owed as many ten-thousandths of each."""
    treasury_bps: Rate = 0
    """Of an owners' pool: what the asset's treasury gets of every income before."""
    treasury_remainder: Remainder = 0
    """Ten-thousandths of a unit that the treasury is still owed."""


class Owed(Record, frozen=True):
    """What an account is owed from a pool, settled up to `seen`."""

    units: Amount
    parts: Remainder
    """Ten-thousandths of a unit beyond `units`."""
    seen: Wide


class Debt(Record, frozen=True):
    debtor: Bytes32
    creditor: Bytes32
    amount: Amount
    """As it was decided."""
    owed: Amount
    """What is left of it."""
    asset: Bytes32 | None
    """What it pays for, as a price that owners and ancestors share; None is the creditor's alone."""
    dispute: Bytes32
    since_ms: TimeMs


STACKS: Final = Table[Stack](b"royalty-stack/", Stack)
POOLS: Final = Table[Pool](b"pool/", Pool)
OWED: Final = Table[Owed](b"owed/", Owed)
DEBTS: Final = Table[Debt](b"debt/", Debt)
DEBTS_BY_DEBTOR: Final = Table[Marker](b"~debtor-debt/", Marker)
DEBTS_BY_CREDITOR: Final = Table[Marker](b"~creditor-debt/", Marker)

INDEXES: Final = (
    Index(DEBTS_BY_DEBTOR, DEBTS, lambda debt, record: [(record.debtor, debt)]),
    Index(DEBTS_BY_CREDITOR, DEBTS, lambda debt, record: [(record.creditor, debt)]),
)


def creators_pool(asset: bytes) -> Digest:
    """Name the pool of an asset's creators."""
    return tagged_hash("creators-pool", asset)


def wide(value: int) -> bytes:
    """Write a `Wide`."""
    return value.to_bytes(16, "big")


def narrow(value: bytes) -> int:
    """Read a `Wide`."""
    return int.from_bytes(value, "big")
