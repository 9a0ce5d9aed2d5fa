"""Reading assets. Handlers of every module ask here; what must exist raises a code when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ledger.errors import OperationError
from ledger.modules.assets.records import (
    ASSETS,
    CONTRIBUTED_MAX,
    CONTRIBUTORS,
    CONTRIBUTORS_MAX,
    DERIVED,
    LINKS,
    OWNERSHIP,
    VERSIONS,
    Asset,
    Link,
    Ownership,
    Version,
    version_part,
)
from ledger.modules.organizations.accounts import organization_of
from ledger.state.view import Readable


def require_asset(view: Readable, asset: bytes) -> Asset:
    """Return an asset's record. Raises `assets.unknown_asset`."""
    record = ASSETS.get(view, asset)
    if record is None:
        raise OperationError("assets.unknown_asset", f"no asset {asset.hex()}")
    return record


def require_tradable(view: Readable, asset: bytes) -> Asset:
    """Return the record of an asset that may be licensed and sold now.

    Raises:
        OperationError: as `require_manageable` and `require_sellable`.
    """
    record = require_manageable(view, asset)
    require_sellable(record)
    return record


def require_sellable(asset: Asset) -> None:
    """Refuse a sale of anything of an asset whose sales a dispute has frozen, or that a dispute takes back.

    Raises:
        OperationError: `assets.frozen`.
    """
    if asset.freezes or asset.recall is not None:
        raise OperationError("assets.frozen", "a dispute was decided against its sale: see disputes.list of the asset")


def require_manageable(view: Readable, asset: bytes) -> Asset:
    """Return the record of an asset that may be described and versioned now: what a dispute complains of can be put
    right while sales are frozen.

    Raises:
        OperationError: `assets.unknown_asset`, `assets.retired`, or `assets.locked` while it is in a transfer, listing
            or auction.
    """
    record = require_asset(view, asset)
    if record.retired:
        raise OperationError("assets.retired", f"asset {asset.hex()} is retired")
    if record.locked_by is not None:
        raise OperationError("assets.locked", f"the asset is locked by {record.locked_by.hex()}")
    return record


def require_version(view: Readable, asset: bytes, version: int) -> Version:
    """Return a version's record. Raises `assets.unknown_version`."""
    record = VERSIONS.get(view, asset, version_part(version)) if 1 <= version < 2**32 else None
    if record is None:
        raise OperationError("assets.unknown_version", f"asset {asset.hex()} has no version {version}")
    return record


def ownership(view: Readable, asset: bytes) -> Ownership:
    """Return who owns an asset that is known to exist."""
    record = OWNERSHIP.get(view, asset)
    assert record is not None
    return record


def sole_owner(view: Readable, asset: bytes) -> bytes | None:
    """Return the account that holds every share of an existing asset, or None when there are several."""
    shares = ownership(view, asset).shares
    return shares[0].account if len(shares) == 1 else None


def owner_organization(view: Readable, asset: bytes) -> str | None:
    """Return the organization of the sole owner, or None when there are several owners."""
    owner = sole_owner(view, asset)
    return None if owner is None else organization_of(view, owner)


def links(view: Readable, asset: bytes) -> dict[bytes, Link]:
    """Return parent -> link, in order of asset id. A version brings at most 8, an asset has at most `LINKS_MAX`."""
    return dict(LINKS.items(view, asset))


def contributors_of(view: Readable, asset: bytes) -> list[bytes]:
    """Return the accounts that made versions of somebody else's asset, each once, in order of their first one; at most
    `CONTRIBUTORS_MAX`, of the first `CONTRIBUTED_MAX` versions that were contributed."""
    made = islice(CONTRIBUTORS.items(view, asset), CONTRIBUTED_MAX)
    found = dict.fromkeys(record.account for _, record in made)
    return list(found)[:CONTRIBUTORS_MAX]


def children(view: Readable, asset: bytes, after: bytes = b"") -> Iterator[bytes]:
    """Yield the assets that are derived from `asset`, in order of id, beginning behind the asset `after`."""
    return (key for key, _ in DERIVED.items(view, asset, after=after))
