"""A grant as a unique token, in the words that wallets and galleries read: ERC-721's metadata.

The chain itself keeps no second record: the token's id is the grant's, its owner the licensee.
"""

from __future__ import annotations

from typing import Any, Final

from ledger.modules import texts
from ledger.modules.assets.records import ASSETS, Asset
from ledger.modules.fields import Result
from ledger.modules.licenses.grants import ends_ms, require_terms, state_at
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.records import GRANTS, Grant
from ledger.state.view import Readable
from primitives.identifiers import account_to_text

IMAGE: Final = "image"
"""Member of an asset's metadata that names its picture."""


class TokenResult(Result, frozen=True):
    token: str
    """The grant's id."""
    owner: str
    """The licensee."""
    asset: str
    edition: int
    editions: int | None
    """How many there may be under these terms; None is without limit."""
    metadata: dict[str, Any]
    """In the shape of ERC-721's metadata JSON: name, description, image where the asset names one, and attributes, each
    with trait_type and value."""


def get_token(view: Readable, _network_id: bytes, block_time_ms: int, *, token: str) -> TokenResult:
    """A grant as a unique token: owner, edition n of N, and metadata."""
    identifier = texts.identifier(token)
    grant = GRANTS.get(view, identifier)
    if grant is None:
        raise texts.not_found("token")
    terms = require_terms(view, grant.terms)
    asset = ASSETS.get(view, grant.asset)
    assert asset is not None
    metadata: dict[str, Any] = {
        "name": f"{asset.name}, license {_edition(grant, terms)}",
        "description": asset.description,
    }
    image = dict(asset.metadata).get(IMAGE)
    if image is not None:
        metadata["image"] = image
    metadata["attributes"] = [
        {"trait_type": name, "value": value} for name, value in _traits(asset, grant, terms, block_time_ms)
    ]
    return TokenResult(
        token=token,
        owner=account_to_text(grant.licensee),
        asset=grant.asset.hex(),
        edition=grant.edition,
        editions=terms.editions_max,
        metadata=metadata,
    )


def _edition(grant: Grant, terms: Terms) -> str:
    return f"{grant.edition}" if terms.editions_max is None else f"{grant.edition} of {terms.editions_max}"


def _traits(asset: Asset, grant: Grant, terms: Terms, block_time_ms: int) -> list[tuple[str, str | int]]:
    """Return (trait, value); a right is a trait of its own, because values are single."""
    traits: list[tuple[str, str | int]] = [
        ("asset", grant.asset.hex()),
        ("kind", asset.kind),
        ("edition", _edition(grant, terms)),
        ("state", state_at(grant, block_time_ms)),
        *(("right", right) for right in terms.rights),
        ("exclusivity", terms.exclusivity),
        ("commercial", "yes" if terms.commercial else "no"),
        ("transferable", "yes" if terms.transferable else "no"),
        ("terms", grant.terms.hex()),
        ("start_ms", grant.start_ms),
    ]
    end_ms = ends_ms(grant)
    if end_ms is not None:
        traits.append(("end_ms", end_ms))
    if terms.spdx_id:
        traits.append(("spdx_id", terms.spdx_id))
    return traits
