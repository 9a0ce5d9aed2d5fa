"""What a buyer relies on when it names or accepts a price, beside what cannot change.

Between a price and the sale the holder, or the asset's manager, could make a thing worth less: add a version with a
dear parent, sell an exclusive license to a friend, give one away under new terms, use a grant up. So a sale knows the
condition that it was made on, and is refused in any other. Whoever wants the thing as it is now names a price anew.

A whole asset is bought as it is, but for further licenses under terms that it has been licensed under. A share is a
part of a business that goes on: new versions, and licenses that reserve nothing, do not spoil a sale of shares, or
every manager could by its daily work. What is locked changes less than this allows for; shares, and what buyers make
offers on, are not locked against the manager.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_asset
from ledger.modules.assets.records import Asset
from ledger.modules.charters.adopted import CHARTERS
from ledger.modules.licenses.grants import ends_ms, require_grant, require_terms
from ledger.modules.licenses.records import EDITIONS
from ledger.modules.market.operations import Condition
from ledger.modules.royalties.payments import stack_of
from ledger.modules.transfers.operations import Thing
from ledger.state.view import Readable
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

LICENSED_TERMS_MAX: Final = 1_000
"""Different terms that the licenses of an asset may have for it, and its shares, to be sold in the market."""


def condition_of(view: Readable, thing: Thing) -> Condition:
    """Return the condition of something that exists.

    Raises:
        OperationError: `assets.unknown_asset`, `licenses.unknown_grant`, `market.too_many_terms`.
    """
    if thing.kind == "grant":
        grant = require_grant(view, thing.id)
        ends = [end_ms for end_ms in (ends_ms(grant), grant.superseded_at_ms) if end_ms is not None]
        return Condition(used=grant.used, end_ms=min(ends, default=None))
    asset = require_asset(view, thing.id)
    terms, reserved = _licensed(view, thing.id)
    whole = thing.kind == "asset"
    return Condition(
        transfers=asset.transfers,
        versions=asset.versions if whole else 0,
        duties=_duties(view, thing.id, asset, whole=whole),
        terms=terms if whole else 0,
        reserved=reserved,
    )


class Conditions:
    """The conditions of several things, of each asset and its shares found once: most sales and offers in a list are of
    one thing, whose condition may take LICENSED_TERMS_MAX terms to find."""

    __slots__ = ("_known", "view")

    def __init__(self, view: Readable) -> None:
        self.view = view
        self._known: dict[tuple[str, bytes], Condition | None] = {}

    def of(self, thing: Thing) -> Condition | None:
        """Return the condition of a thing; None where `condition_of` refuses."""
        if thing.kind == "grant":
            return self._found(thing)
        name = thing.kind, thing.id  # all shares are in one condition
        if name not in self._known:
            self._known[name] = self._found(thing)
        return self._known[name]

    def _found(self, thing: Thing) -> Condition | None:
        try:
            return condition_of(self.view, thing)
        except OperationError:
            return None


def require_condition(view: Readable, thing: Thing, condition: Condition) -> None:
    """Refuse a thing that is no longer what a price was named for.

    Raises:
        OperationError: `market.condition_changed`, or as `condition_of`.
    """
    now = condition_of(view, thing)
    changed = [name for name in Condition.__struct_fields__ if getattr(now, name) != getattr(condition, name)]
    if changed:
        raise OperationError("market.condition_changed", f"it has changed since the price was named: {changed}")


def condition_digest(condition: Condition) -> Digest:
    """Name a condition, where only its being the same matters."""
    return tagged_hash("market-condition", encode(condition))


def _duties(view: Readable, asset_id: bytes, asset: Asset, *, whole: bool) -> Digest:
    """Return a digest of what lowers every later income: the ancestors' rates, caps and least royalties, which only
    grow, without what has been paid of them; the denied uses; and under which charter the owners decide. Of a share,
    which is sold with its part of their treasury, also how often that has paid."""
    owed = tuple((entry.ancestor, entry.rate_bps, entry.cap, entry.least) for entry in stack_of(view, asset_id).entries)
    adopted = CHARTERS.get(view, asset_id)
    decided = None if adopted is None else (adopted.revision, 0 if whole else adopted.payments)
    return tagged_hash("market-duties", encode((owed, asset.denied_uses, decided)))


def _licensed(view: Readable, asset: bytes) -> tuple[int, int]:
    """Return how many different terms grants have had, and how many grants were sole or exclusive. Refunded ones
    count: these numbers only grow."""
    terms = reserved = 0
    for digest, editions in EDITIONS.items(view, asset):
        terms += 1
        if terms > LICENSED_TERMS_MAX:
            limit = f"licenses under more than {LICENSED_TERMS_MAX} different terms"
            raise OperationError("market.too_many_terms", f"the asset has {limit}")
        if require_terms(view, digest).exclusivity != "none":
            reserved += editions.issued
    return terms, reserved
