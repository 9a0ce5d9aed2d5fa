"""An offer of licenses: who offers, for which asset, under which terms."""

from __future__ import annotations

from ledger.certificates.reading import Records, need
from ledger.certificates.subjects.subject import SubjectBase, fields
from ledger.certificates.verified import Verified, Where
from ledger.modules.assets.records import ASSETS
from ledger.modules.licenses.records import OFFERS, TERMS
from primitives.finality import Bytes32
from primitives.identifiers import account_to_text


class VerifiedLicense(Verified, frozen=True, kw_only=True):
    offer: str
    asset: str
    name: str
    """Of the asset."""
    version: int
    terms: str
    """Digest of the terms in hex; their record is proven too."""
    rights: tuple[str, ...]
    price: int
    """Minor units for each term."""
    term_ms: int | None
    """None is perpetual."""
    maker: str
    buyer: str | None
    """The only account that may buy; None offers to all."""
    expires_at_ms: int
    current: bool
    """The asset has not changed hands since the offer, and the offer had not expired at the block's time. Whether it
    can be bought may hang on more: locks, disputes, editions, other grants."""

    def lines(self) -> list[str]:
        return [
            f"license offer {self.offer} on {self.name!r}, asset {self.asset}, version {self.version}",
            f"{', '.join(self.rights)} for {self.price} units, terms {self.terms}",
            f"made by {self.maker}, {'current' if self.current else 'no longer current'}",
        ]


class LicenseSubject(SubjectBase, frozen=True, tag="license"):
    offer: Bytes32

    def read(self, records: Records, where: Where) -> VerifiedLicense:
        offer = need(records, f"open offer {self.offer.hex()}", OFFERS, self.offer)
        terms = need(records, "terms", TERMS, offer.terms)
        asset = need(records, "asset", ASSETS, offer.asset)
        return VerifiedLicense(
            proves="license",
            **fields(where),
            offer=self.offer.hex(),
            asset=offer.asset.hex(),
            name=asset.name,
            version=offer.version,
            terms=offer.terms.hex(),
            rights=terms.rights,
            price=terms.price,
            term_ms=terms.term_ms,
            maker=account_to_text(offer.maker),
            buyer=None if offer.buyer is None else account_to_text(offer.buyer),
            expires_at_ms=offer.expires_at_ms,
            current=offer.transfers == asset.transfers and where.block_time_ms < offer.expires_at_ms,
        )
