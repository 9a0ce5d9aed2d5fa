"""A license that somebody holds: what it allows, and how it stands at the block's time."""

from __future__ import annotations

from ledger.certificates.reading import Records, need
from ledger.certificates.subjects.subject import SubjectBase, fields
from ledger.certificates.verified import Verified, Where
from ledger.modules.licenses.grants import ends_ms, state_at
from ledger.modules.licenses.records import GRANTS, TERMS
from primitives.finality import Bytes32
from primitives.identifiers import account_to_text


class VerifiedGrant(Verified, frozen=True, kw_only=True):
    grant: str
    asset: str
    licensee: str
    edition: int
    terms: str
    """Digest of the terms in hex; their record is proven too."""
    rights: tuple[str, ...]
    price: int
    """Minor units paid for each term."""
    state: str
    """At the block's time (`ledger.modules.licenses.grants.State`)."""
    granted_at_ms: int
    start_ms: int
    end_ms: int | None
    """Exclusive, by term or revocation; None never ends."""

    def lines(self) -> list[str]:
        return [
            f"license {self.grant}, edition {self.edition}, on asset {self.asset}",
            f"held by {self.licensee}: {', '.join(self.rights)}, terms {self.terms}",
            f"{self.state}, from {self.start_ms} ms " + ("on" if self.end_ms is None else f"to {self.end_ms} ms"),
        ]


class GrantSubject(SubjectBase, frozen=True, tag="grant"):
    grant: Bytes32

    def read(self, records: Records, where: Where) -> VerifiedGrant:
        grant = need(records, f"grant {self.grant.hex()}", GRANTS, self.grant)
        terms = need(records, "terms", TERMS, grant.terms)
        return VerifiedGrant(
            proves="grant",
            **fields(where),
            grant=self.grant.hex(),
            asset=grant.asset.hex(),
            licensee=account_to_text(grant.licensee),
            edition=grant.edition,
            terms=grant.terms.hex(),
            rights=terms.rights,
            price=grant.price,
            state=state_at(grant, where.block_time_ms),
            granted_at_ms=grant.granted_at_ms,
            start_ms=grant.start_ms,
            end_ms=ends_ms(grant),
        )
