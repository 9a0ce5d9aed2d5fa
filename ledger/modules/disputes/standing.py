"""Who may claim what against whom, and who decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ledger.errors import OperationError
from ledger.modules.assets.reads import ownership, require_asset, require_version
from ledger.modules.assets.records import BOUGHT
from ledger.modules.attestations.statements import require_refutable
from ledger.modules.disputes.operations import File, Ground, Relief, Subject, SubjectKind
from ledger.modules.disputes.records import DISPUTES, Respondent
from ledger.modules.fields import BPS
from ledger.modules.licenses.disputing import refundable, require_disputable
from ledger.modules.licenses.grants import require_grant, require_terms
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import organization_of, organizations
from ledger.state.view import Readable

RELIEFS: Final[Mapping[tuple[SubjectKind, Ground], tuple[Relief, ...]]] = {
    ("asset", "infringement"): ("freeze_sales", "transfer_back"),
    ("version", "infringement"): ("freeze_sales",),
    ("version", "wrong-content"): ("freeze_sales",),
    ("grant", "infringement"): ("refund",),
    ("grant", "wrong-content"): ("refund",),
    ("grant", "unpaid"): ("payment",),
    ("freeze", "settled"): ("lift",),
    ("attestation", "false-statement"): ("refute",),
}
"""What may be asked for, by subject and ground."""


class Case(NamedTuple):
    """What the ledger knows about a claim."""

    asset: bytes
    respondents: tuple[Respondent, ...]
    concerned: frozenset[bytes]
    """Accounts whose organizations do not vote, beside the claimant's."""


def examine(context: Context, claim: File) -> Case:
    """Check that the sender may file `claim`, and return whom it is against.

    Raises:
        OperationError: `disputes.*`, `assets.unknown_asset`, `assets.unknown_version`, `licenses.unknown_grant`,
            `licenses.not_disputable`, `attestations.*`.
    """
    subject, view = claim.subject, context.view
    if (subject.kind == "version") != (subject.version > 0):
        raise OperationError("disputes.subject", "a version is named by its number, anything else by none")
    allowed = RELIEFS.get((subject.kind, claim.ground), ())
    if claim.relief not in allowed:
        raise OperationError(
            "disputes.relief",
            f"{claim.ground} of {subject.kind} lets one ask for {', '.join(allowed) or 'nothing'}, not {claim.relief}",
        )
    if subject.kind == "grant":
        asset, shares = _about_grant(context, claim)
    elif subject.kind == "freeze":
        asset, shares = _about_freeze(context, subject)
    elif subject.kind == "attestation":
        statement = require_refutable(context, subject.id, claim.amount)
        asset, shares = statement.asset, {statement.attestor: BPS}
    else:
        asset, shares = subject.id, _about_asset(view, claim)
    respondents = tuple(Respondent(account, shares[account]) for account in sorted(shares))
    assert sum(respondent.bps for respondent in respondents) == BPS
    own = organization_of(view, context.sender)
    if any(organization_of(view, account) == own for account in shares):
        raise OperationError("disputes.same_organization", f"the claim is against an account of {own}")
    owners = {share.account for share in ownership(view, asset).shares}
    return Case(asset, respondents, frozenset(owners | shares.keys()))


def arbiters(view: Readable, claimant: bytes, concerned: frozenset[bytes]) -> tuple[str, ...]:
    """Return all organizations that are no party, in order.

    Raises:
        OperationError: `disputes.no_arbiter`.
    """
    involved = {organization_of(view, account) for account in (claimant, *sorted(concerned))}
    found = tuple(name for name in organizations(view) if name not in involved)
    if not found:
        raise OperationError("disputes.no_arbiter", "every organization is a party: nobody could decide")
    return found


def owns_now(view: Readable, organization: str, asset: bytes) -> bool:
    """Tell whether an organization has a share of the asset: who has bought in since the filing does not vote."""
    return any(organization_of(view, share.account) == organization for share in ownership(view, asset).shares)


def _about_asset(view: Readable, claim: File) -> dict[bytes, int]:
    """Return account -> bps: the owners, and for a share that was paid for who sold it without having paid."""
    asset = claim.subject.id
    require_asset(view, asset)
    if claim.subject.kind == "version":
        require_version(view, asset, claim.subject.version)
    shares: dict[bytes, int] = {}
    for share in ownership(view, asset).shares:
        bought = BOUGHT.get(view, asset, share.account) if claim.relief == "transfer_back" else None
        parts = [(share.account, share.bps - (bought.bps if bought else 0))]
        if bought is not None:
            parts += [(source.account, source.bps) for source in bought.sources]
        for account, bps in parts:
            if bps:
                shares[account] = shares.get(account, 0) + bps
    return shares


def _about_grant(context: Context, claim: File) -> tuple[bytes, dict[bytes, int]]:
    """The licensee claims against the owners, an owner against the licensee."""
    grant = require_grant(context.view, claim.subject.id)
    owners = {share.account: share.bps for share in ownership(context.view, grant.asset).shares}
    if claim.relief == "payment":
        if context.sender not in owners:
            raise OperationError("disputes.not_a_party", "only an owner of the asset claims that its use is unpaid")
        if claim.amount == 0:
            raise OperationError("disputes.amount", "a claim for payment names what is unpaid")
        return grant.asset, {grant.licensee: BPS}
    if context.sender != grant.licensee:
        raise OperationError("disputes.not_a_party", "only the licensee claims the price of a grant back")
    require_disputable(grant, require_terms(context.view, grant.terms).dispute_window_ms)
    price = refundable(grant)
    if price == 0 or claim.amount != price:
        raise OperationError("disputes.amount", f"what of the price can be claimed back is {price}")
    return grant.asset, owners


def _about_freeze(context: Context, subject: Subject) -> tuple[bytes, dict[bytes, int]]:
    """An owner claims against who had the sales frozen."""
    frozen = DISPUTES.get(context.view, subject.id)
    if frozen is None or not frozen.freezing:
        raise OperationError("disputes.not_freezing", f"no dispute {subject.id.hex()} keeps an asset from being sold")
    if not any(share.account == context.sender for share in ownership(context.view, frozen.asset).shares):
        raise OperationError("disputes.not_a_party", "only an owner of the asset claims that it may be sold again")
    return frozen.asset, {frozen.claim.account: BPS}
