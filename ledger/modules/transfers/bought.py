"""What of each owner's share was paid for. A dispute takes an asset back from who did not pay, and from nobody else.

Whoever buys from another organization is protected, and with it everybody to whom it passes the share on as a gift.
What moves inside one organization was not bought. What was not bought leaves its holder first.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger.modules.assets.reads import require_asset
from ledger.modules.assets.records import BOUGHT, SOURCES_MAX, Bought, Source
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import same_organization
from ledger.state.view import Readable


class Move(NamedTuple):
    """Shares that change hands."""

    giver: bytes
    held_bps: int
    """The giver's, before."""
    recipient: bytes
    bps: int
    paid: bool


def bought_bps(view: Readable, asset: bytes, account: bytes) -> int:
    """Return how much of an owner's share was paid for."""
    record = BOUGHT.get(view, asset, account)
    return 0 if record is None else record.bps


def carry(context: Context, asset: bytes, move: Move) -> None:
    """Keep the records of what was bought in step with a move of shares. Each part keeps who answers for it."""
    left = _sources(context.view, asset, move.giver)
    unbought_bps = min(move.bps, move.held_bps - sum(left.values()))
    gained = _taken(left, move.bps - unbought_bps)
    _set(context, asset, move.giver, left)
    if unbought_bps and move.paid and not same_organization(context.view, move.giver, move.recipient):
        gained[move.giver] = unbought_bps
    # Who sold what was not its own is not protected by buying it again.
    held = _sources(context.view, asset, move.recipient)
    for source, bps in gained.items():
        if not same_organization(context.view, source, move.recipient):
            held[source] = held.get(source, 0) + bps
    _set(context, asset, move.recipient, held)


def _sources(view: Readable, asset: bytes, account: bytes) -> dict[bytes, int]:
    record = BOUGHT.get(view, asset, account)
    return {} if record is None else {source.account: source.bps for source in record.sources}


def _taken(held: dict[bytes, int], bps: int) -> dict[bytes, int]:
    """Take so much out of what was bought, in order of who answers for it."""
    taken = {}
    for source in sorted(held):
        part = min(bps, held[source])
        if part:
            taken[source] = part
            held[source] -= part
            bps -= part
    return taken


def _set(context: Context, asset: bytes, account: bytes, held: dict[bytes, int]) -> None:
    """Store what an account has bought, where that has changed."""
    if held == _sources(context.view, asset, account):
        return
    sources = {source: bps for source, bps in held.items() if bps}
    while len(sources) > SOURCES_MAX:
        least = min(sources, key=lambda source: (sources[source], source))
        bps = sources.pop(least)
        sources[max(sources, key=lambda source: (sources[source], source))] += bps
    organization = require_asset(context.view, asset).organization
    if sources:
        record = Bought(tuple(Source(source, sources[source]) for source in sorted(sources)))
        quota.store(context, organization, BOUGHT, record, asset, account, enforced=False)
    else:
        quota.remove(context, organization, BOUGHT, asset, account)
