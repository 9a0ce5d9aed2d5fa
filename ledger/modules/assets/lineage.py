"""Derivation: by what right a version has its parents, and what the asset owes them for it.

Nothing is taken from the registrant's word: rate, cap and depth come from the terms of the live grant that the
operation names. Only parents of the same sole owner need no grant, and only while no exclusive grant keeps the owner
from using them.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets import events
from ledger.modules.assets.operations import Derivation
from ledger.modules.assets.reads import links, owner_organization, require_asset, sole_owner
from ledger.modules.assets.records import DENIED_USES_MAX, DERIVED, LINK_TERMS_MAX, LINKS, Asset, Link
from ledger.modules.fields import MARKER
from ledger.modules.licenses.check import check
from ledger.modules.licenses.grants import require_grant, require_terms, state_at
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.usage import use_training
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.royalties.payments import stack_of
from ledger.modules.royalties.records import STACKS, Stack
from ledger.modules.royalties.stack import check_lineage, merged


class Maker(NamedTuple):
    """Who has made a version, and whom it is made for."""

    account: bytes
    """May hold the grants, as the owner may."""
    owner: bytes | None
    """The sole owner of the asset, or None when there are several."""
    standing: bytes
    """The account whose organization counts as the asset's where there is no sole owner."""


class Descent(NamedTuple):
    """What a version's parents make of its asset."""

    asset: Asset
    """With what it inherits."""
    links: dict[bytes, Link]
    """parent -> link, of the parents that the version names."""
    stack: Stack
    """Whom the asset then pays."""


def derive(
    context: Context, asset_id: bytes, asset: Asset, maker: Maker, version: int, parents: tuple[Derivation, ...]
) -> Asset:
    """Check and record the parents of a version; return the asset with what it inherits from them.

    Raises:
        OperationError: as `descent`.
    """
    planned = descent(context, asset_id, asset, maker, version, parents)
    known = links(context.view, asset_id)
    for derivation in parents:
        if derivation.grant is not None:
            use_training(context, derivation.grant)
    for parent, link in planned.links.items():
        if link == known.get(parent):
            continue
        quota.store(context, asset.organization, LINKS, link, asset_id, parent)
        quota.store(context, asset.organization, DERIVED, MARKER, parent, asset_id)
        context.emit(events.Derived(asset_id, parent, link.right, link.rate_bps, link.grant))
    if planned.stack != stack_of(context.view, asset_id):
        quota.store(context, asset.organization, STACKS, planned.stack, asset_id)
    return planned.asset


def descent(
    context: Context, asset_id: bytes, asset: Asset, maker: Maker, version: int, parents: tuple[Derivation, ...]
) -> Descent:
    """Check the parents of a version and return what they make of the asset; nothing is recorded.

    Raises:
        OperationError: `assets.parent_repeated`, `assets.unknown_parent`, `assets.derivation_*`, `royalties.*`.
    """
    if len({parent.parent for parent in parents}) != len(parents):
        raise OperationError("assets.parent_repeated", "a version names each parent once")
    known = links(context.view, asset_id)
    named: dict[bytes, Link] = {}
    for derivation in parents:
        fresh, inherited = _link(context, asset_id, maker, version, derivation)
        asset = _inherit(asset, context, derivation.parent, inherited)
        before = known.get(derivation.parent)
        link = fresh if before is None else _heavier(before, fresh)
        named[derivation.parent] = link
    check_lineage(context.view, asset_id, {**known, **named})
    return Descent(asset, named, merged(stack_of(context.view, asset_id), named, context.view))


def _link(
    context: Context, asset_id: bytes, maker: Maker, version: int, derivation: Derivation
) -> tuple[Link, Terms | None]:
    """Return the link that a derivation makes, and the terms it is under."""
    parent = derivation.parent
    if parent == asset_id:
        raise OperationError("royalties.cycle", "an asset cannot be derived from itself")
    try:
        kind = require_asset(context.view, parent).kind
    except OperationError as error:
        raise OperationError("assets.unknown_parent", error.message) from error
    if kind == "dataset" and derivation.right != "train-on":
        raise OperationError("assets.derivation_right", "a data set is used by the right train-on")
    child_organization = organization_of(context.view, maker.standing if maker.owner is None else maker.owner)
    same = owner_organization(context.view, parent) == child_organization
    if derivation.grant is None:
        _check_own_parent(context, maker.owner, derivation)
        return Link(0, None, 0, 0, derivation.right, None, (), same, version), None
    terms = terms_of_grant(context, (maker.account, maker.owner), derivation, derivation.grant)
    link = Link(
        rate_bps=terms.revenue_share_bps,
        cap=terms.revenue_share_cap,
        least=terms.least_royalty if terms.revenue_share_bps else 0,
        depth=terms.revenue_share_depth,
        right=derivation.right,
        grant=derivation.grant,
        terms=(require_grant(context.view, derivation.grant).terms,),
        same_organization=same,
        version=version,
    )
    return link, terms


def _check_own_parent(context: Context, owner: bytes | None, derivation: Derivation) -> None:
    if owner is None or sole_owner(context.view, derivation.parent) != owner:
        raise OperationError("assets.derivation_without_grant", "a parent of another owner needs a live grant")
    answer = check(context.view, owner, derivation.parent, derivation.right, context.block_time_ms)
    if not answer.allowed:
        raise OperationError("assets.derivation_denied", f"the owner may not: {answer.reason}")


def terms_of_grant(
    context: Context, licensees: tuple[bytes | None, ...], derivation: Derivation, grant_id: bytes
) -> Terms:
    """Return the terms by which one of `licensees` may derive from a parent now.

    Raises:
        OperationError: `licenses.unknown_grant`, `assets.derivation_*`.
    """
    grant = require_grant(context.view, grant_id)
    if grant.asset != derivation.parent or grant.licensee not in licensees:
        raise OperationError("assets.derivation_grant", "the grant is for another asset or another licensee")
    terms = require_terms(context.view, grant.terms)
    state = state_at(grant, context.block_time_ms)
    if state != "active":
        raise OperationError("assets.derivation_grant_not_live", f"the grant is {state}")
    if derivation.right not in terms.rights:
        raise OperationError("assets.derivation_right", f"the grant does not give the right {derivation.right}")
    if terms.derivatives == "no":
        raise OperationError("assets.derivation_forbidden", "the terms allow no derivatives")
    if terms.derivatives == "on-approval" and not grant.approved:
        raise OperationError("assets.derivation_unapproved", "the licensor has not approved derivatives")
    return terms


def _inherit(asset: Asset, context: Context, parent: bytes, terms: Terms | None) -> Asset:
    ancestor = require_asset(context.view, parent)
    denied = {*asset.denied_uses, *ancestor.denied_uses, *(() if terms is None else terms.field_deny)}
    if len(denied) > DENIED_USES_MAX:
        raise OperationError(
            "assets.derivation_denied_uses", f"ancestors would deny {len(denied)} of at most {DENIED_USES_MAX} uses"
        )
    commercial = asset.commercial and ancestor.commercial and (terms is None or terms.commercial)
    return msgspec.structs.replace(asset, denied_uses=tuple(sorted(denied)), commercial=commercial)


def _heavier(before: Link, fresh: Link) -> Link:
    """Merge a link with what a later version brings for the same parent: nothing that is owed becomes less."""
    terms = before.terms if set(fresh.terms) <= set(before.terms) else (*before.terms, *fresh.terms)
    if len(terms) > LINK_TERMS_MAX:
        raise OperationError("assets.derivation_terms", f"more than {LINK_TERMS_MAX} terms for one parent")
    merged_debt = msgspec.structs.replace(
        before,
        rate_bps=max(before.rate_bps, fresh.rate_bps),
        cap=None if before.cap is None or fresh.cap is None else max(before.cap, fresh.cap),
        least=max(before.least, fresh.least),
        depth=max(before.depth, fresh.depth),
        same_organization=before.same_organization or fresh.same_organization,
        terms=terms,
    )
    if merged_debt == before:
        return before
    return msgspec.structs.replace(merged_debt, right=fresh.right, grant=fresh.grant, version=fresh.version)
