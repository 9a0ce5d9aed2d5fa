"""What the fields of license terms may be together: each rule once, with one error code.

A rule here either makes two fields agree, or refuses what this chain could not enforce and would only seem to promise.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses.operations import Terms

ORGANIZATION_CREDENTIAL: Final = "organization:"
VOUCHER_UNITS: Final = frozenset({"calls", "kilotokens", "key-releases"})
"""Units that licensee and provider count by vouchers."""
SEEN_BY_PROVIDER: Final = frozenset({"inference-as-service", "compute-only"})
"""Rights that are exercised at the provider's. Of all others nobody but the licensee sees the use."""
TRAINING_RIGHTS: Final = frozenset({"train-on", "fine-tune", "distill-merge"})
"""Rights whose use the chain itself sees: a training is a registration that names the grant."""
PERIOD_END_MS_MAX: Final = 2**52
"""The latest end of a period that begins at a fixed time."""


def check_terms(terms: Terms) -> None:
    """Refuse terms that contradict themselves.

    Raises:
        OperationError: `licenses.terms_*`, one code a rule, in the order of the fields.
    """
    for field in ("rights", "field_allow", "field_deny", "territory", "credentials", "revocation_causes"):
        values = getattr(terms, field)
        if tuple(sorted(set(values))) != values:
            raise OperationError("licenses.terms_unsorted", f"{field} must be sorted and without repeats")
    if not terms.rights:
        raise OperationError("licenses.terms_no_rights", "a license grants at least one right")
    _check_use(terms)
    _check_money(terms)
    if terms.share_alike != "no" and terms.derivatives == "no":
        raise OperationError("licenses.terms_share_alike", "share-alike speaks of derivatives, which are not allowed")
    _check_revocation(terms)
    if terms.legal_text_cid:
        check_cid(terms.legal_text_cid, "licenses.terms_legal_text")


def _check_revocation(terms: Terms) -> None:
    if terms.refund_mode != "none" and not terms.revocation_causes:
        raise OperationError("licenses.terms_refund", "a refund mode needs causes for revocation")
    if terms.notice_ms and not terms.revocation_causes:
        raise OperationError("licenses.terms_notice", "a notice needs causes for revocation")
    if terms.refund_mode == "pro-rata" and terms.term_ms is None:
        raise OperationError("licenses.terms_refund_term", "a part of a perpetual license has no price to pay back")


def _check_use(terms: Terms) -> None:
    if terms.exclusivity != "none" and terms.editions_max not in (None, 1):
        raise OperationError("licenses.terms_editions", "a sole or exclusive license has one edition")
    if terms.renewable and terms.term_ms is None:
        raise OperationError("licenses.terms_renewal", "a perpetual license cannot be renewed")
    if terms.renewable and terms.term_ms is not None and terms.dispute_window_ms > terms.term_ms:
        raise OperationError(
            "licenses.terms_renewal_window", "the dispute window of a renewable license ends within its term"
        )
    if terms.start_ms is not None and terms.start_ms + (terms.term_ms or 0) > PERIOD_END_MS_MAX:
        raise OperationError("licenses.terms_period", f"a fixed period ends by {PERIOD_END_MS_MAX}")
    _check_metering(terms)
    if set(terms.field_allow) & set(terms.field_deny):
        raise OperationError("licenses.terms_fields", "a field of use is both allowed and denied")
    for credential in terms.credentials:
        if not credential.startswith(ORGANIZATION_CREDENTIAL):
            raise OperationError("licenses.terms_credential", f"nothing on this chain certifies {credential!r}")


def _check_metering(terms: Terms) -> None:
    if (terms.quota is None) != (terms.quota_unit is None):
        raise OperationError("licenses.terms_quota", "a quota and its unit come together")
    if terms.quota_unit in VOUCHER_UNITS and not SEEN_BY_PROVIDER.issuperset(terms.rights):
        unseen = sorted(set(terms.rights) - SEEN_BY_PROVIDER)
        raise OperationError("licenses.terms_unmetered", f"nobody counts the {terms.quota_unit} of {unseen}")
    if terms.quota_unit == "trainings" and TRAINING_RIGHTS.isdisjoint(terms.rights):
        raise OperationError("licenses.terms_quota_right", "a quota of trainings needs a right to train")
    if not terms.usage_price:
        return
    if terms.quota is None:
        raise OperationError("licenses.terms_usage_quota", "a price for use needs a quota: it is what is deposited")
    if terms.term_ms is None:
        raise OperationError("licenses.terms_usage_term", "a price for use needs a term, after which the rest returns")
    if terms.price + terms.quota * terms.usage_price > AMOUNT_MAX:
        raise OperationError("licenses.terms_usage_amount", f"price and whole use exceed {AMOUNT_MAX}")


def _check_money(terms: Terms) -> None:
    if terms.resale_royalty_bps and not terms.transferable:
        raise OperationError("licenses.terms_resale", "a resale royalty needs a transferable license")
    if terms.revenue_share_bps and not terms.commercial:
        raise OperationError("licenses.terms_non_commercial", "a non-commercial license has no revenue to share")
    if terms.revenue_share_bps and terms.derivatives == "no":
        raise OperationError("licenses.terms_no_derivatives", "a revenue share speaks of derivatives: allow them")
    if terms.least_royalty and not (terms.revenue_share_bps or terms.transferable):
        raise OperationError("licenses.terms_least_royalty", "a least royalty needs a revenue share or resale")
    if terms.revenue_share_cap is not None and not terms.revenue_share_bps:
        raise OperationError("licenses.terms_cap", "a cap needs a revenue share")
    if terms.revenue_share_cap is not None and terms.revenue_share_cap < max(terms.least_royalty, 1):
        raise OperationError("licenses.terms_cap_too_low", "a cap is at least 1 and at least the least royalty")
    if bool(terms.revenue_share_depth) != bool(terms.revenue_share_bps):
        raise OperationError("licenses.terms_depth", "a depth of 1 to 8 and a revenue share come together")
