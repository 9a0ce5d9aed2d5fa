"""License terms: which of them make sense, and which of them an asset's ancestors allow."""

from __future__ import annotations

from typing import Any

from ledger.modules.licenses import operations as ops
from tests.reference.state import is_cid, need

TRAINING = {"train-on", "fine-tune", "distill-merge"}
AT_THE_PROVIDERS = {"inference-as-service", "compute-only"}
COUNTED_BY_VOUCHERS = {"calls", "kilotokens", "key-releases"}
AMOUNT_MAX = 2**63 - 1
PERIOD_END_MAX = 2**52


def check_terms(terms: ops.Terms) -> None:
    """Every rule once, in the order of the fields."""
    for values in (
        terms.rights,
        terms.field_allow,
        terms.field_deny,
        terms.territory,
        terms.credentials,
        terms.revocation_causes,
    ):
        need(list(values) == sorted(set(values)), "licenses.terms_unsorted")
    check_time(terms)
    check_metering(terms)
    need(not set(terms.field_allow) & set(terms.field_deny), "licenses.terms_fields")
    known = [credential.startswith("organization:") for credential in terms.credentials]
    need(all(known), "licenses.terms_credential")
    check_money(terms)
    need(terms.share_alike == "no" or terms.derivatives != "no", "licenses.terms_share_alike")
    need(terms.refund_mode == "none" or terms.revocation_causes, "licenses.terms_refund")
    need(not terms.notice_ms or terms.revocation_causes, "licenses.terms_notice")
    need(terms.refund_mode == "none" or terms.term_ms is not None, "licenses.terms_refund_term")
    need(not terms.legal_text_cid or is_cid(terms.legal_text_cid), "licenses.terms_legal_text")


def check_time(terms: ops.Terms) -> None:
    single = terms.editions_max is None or terms.editions_max == 1
    need(terms.exclusivity == "none" or single, "licenses.terms_editions")
    if terms.renewable:
        need(terms.term_ms is not None, "licenses.terms_renewal")
        need(terms.dispute_window_ms <= (terms.term_ms or 0), "licenses.terms_renewal_window")
    fixed_end = 0 if terms.start_ms is None else terms.start_ms + (terms.term_ms or 0)
    need(fixed_end <= PERIOD_END_MAX, "licenses.terms_period")


def check_metering(terms: ops.Terms) -> None:
    """What is promised to be counted is what somebody sees."""
    unit, rights = terms.quota_unit, set(terms.rights)
    need((terms.quota is None) == (unit is None), "licenses.terms_quota")
    need(unit not in COUNTED_BY_VOUCHERS or rights <= AT_THE_PROVIDERS, "licenses.terms_unmetered")
    need(unit != "trainings" or TRAINING & rights, "licenses.terms_quota_right")
    if terms.usage_price:
        need(terms.quota is not None, "licenses.terms_usage_quota")
        need(terms.term_ms is not None, "licenses.terms_usage_term")
        whole = terms.price + (terms.quota or 0) * terms.usage_price
        need(whole <= AMOUNT_MAX, "licenses.terms_usage_amount")


def check_money(terms: ops.Terms) -> None:
    share = terms.revenue_share_bps
    need(terms.transferable or not terms.resale_royalty_bps, "licenses.terms_resale")
    need(terms.commercial or not share, "licenses.terms_non_commercial")
    need(terms.derivatives != "no" or not share, "licenses.terms_no_derivatives")
    need(share or terms.transferable or not terms.least_royalty, "licenses.terms_least_royalty")
    cap = terms.revenue_share_cap
    need(share or cap is None, "licenses.terms_cap")
    need(cap is None or (cap > 0 and cap >= terms.least_royalty), "licenses.terms_cap_too_low")
    need((terms.revenue_share_depth > 0) == (share > 0), "licenses.terms_depth")


IDENTICAL = (
    *("rights", "commercial", "exclusivity", "field_allow", "field_deny", "territory"),
    *("derivatives", "share_alike", "attribution", "legal_text_cid", "spdx_id"),
)
"""What of terms must be equal: all but price, time, numbers, credentials and shares of revenue."""
FREEDOM = {"no": 0, "on-approval": 1, "yes": 2}


def ancestors(state: Any, asset: bytes) -> set[bytes]:
    """All from which an asset derives, over all generations."""
    found: set[bytes] = set()
    generation = {asset}
    while generation:
        parents = {parent for one in generation for parent in state.assets[one]["links"]}
        generation = parents - found
        found |= parents
    return found


def check_inherited(state: Any, asset_id: bytes, ours: dict[str, Any]) -> None:
    """What an asset's ancestors demand of every license on it."""
    asset = state.assets[asset_id]
    need(asset["denied"] <= set(ours["field_deny"]), "licenses.denied_field_dropped")
    free = not ours["commercial"] and not ours["price"] and not ours["usage_price"]
    need(asset["commercial"] or free, "licenses.non_commercial_parent")
    for heir in {asset_id} | ancestors(state, asset_id):
        for link in state.assets[heir]["links"].values():
            for digest in link["terms"]:
                need(alike(state.terms[digest], ours), "licenses.share_alike")


def alike(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    """superset: what theirs permit, to whomever, ours permit too and pass on. identical: the same clauses."""
    if theirs["share_alike"] == "identical":
        return all(theirs[name] == ours[name] for name in IDENTICAL)
    if theirs["share_alike"] == "superset":
        return (
            set(theirs["rights"]) <= set(ours["rights"])
            and ours["commercial"] >= theirs["commercial"]
            and (ours["exclusivity"] == "none" or theirs["exclusivity"] != "none")
            and all(covers(theirs[name], ours[name]) for name in ("field_allow", "territory", "credentials"))
            and set(ours["field_deny"]) <= set(theirs["field_deny"])
            and FREEDOM[ours["derivatives"]] >= max(1, FREEDOM[theirs["derivatives"]])
            and ours["share_alike"] != "no"
        )
    return True


def covers(theirs: tuple[str, ...], ours: tuple[str, ...]) -> bool:
    """Whether our list covers theirs; an empty one covers everything."""
    return not ours or (theirs != () and set(theirs) <= set(ours))
