"""Assets: commitment and reveal, scarcity, derivation, versions, and handing an asset over."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ledger.modules.assets import operations as ops
from primitives.codec import encode
from primitives.digest import tagged_hash
from primitives.quorum import quorum
from tests.reference import licenses, royalties
from tests.reference.credits import escrow_name, give_back, hold, move
from tests.reference.state import (
    BPS,
    Call,
    commit,
    drop_deadline,
    forget_commitment,
    is_party,
    need,
    organization_of,
    reveal,
    set_deadline,
)

ALIASES_MAX = 16
LINK_TERMS_MAX = 16


def is_cid(text: str) -> bool:
    """CIDv1, base32, raw or dag-pb, sha2-256: the spelling that its own bytes have, and no other."""
    if len(text) != 59 or text[0] != "b" or not text.isascii():
        return False
    try:
        data = base64.b32decode(text[1:].upper() + "======")
    except binascii.Error:
        return False
    spelled = "b" + base64.b32encode(data).decode().lower().rstrip("=")
    return spelled == text and data[:2] in (b"\x01\x55", b"\x01\x70") and data[2:4] == b"\x12\x20"


def sole_owner(asset: dict[str, Any]) -> bytes | None:
    owners = list(asset["shares"])
    return owners[0] if len(owners) == 1 else None


def tradable(state: Any, asset_id: bytes) -> dict[str, Any]:
    """Return an asset that may be versioned, offered and sold."""
    need(asset_id in state.assets, "assets.unknown_asset")
    asset: dict[str, Any] = state.assets[asset_id]
    need(not asset["retired"], "assets.retired")
    need(asset["pending"] is None, "assets.locked")
    return asset


def version_of(asset: dict[str, Any], number: int) -> dict[str, Any]:
    need(1 <= number <= len(asset["versions"]), "assets.unknown_version")
    version: dict[str, Any] = asset["versions"][number - 1]
    return version


def check_expiry(call: Call, expires: int, module: str) -> None:
    """An offer expires after this block, and not too late."""
    need(call.now < expires <= call.now + call.state.offer_lifetime, f"{module}.expiry_out_of_range")


def check_artifact(state: Any, artifact: ops.Artifact, kind: str, own: bytes | None) -> None:
    need(is_cid(artifact.cid), "assets.invalid_cid")
    need(artifact.size_bytes <= state.artifact_bytes, "assets.artifact_too_large")
    need((kind == "model") == (artifact.tensors_digest is not None), "assets.tensors_digest")
    need(state.claims.get(artifact.cid, (own, 0))[0] == own, "assets.artifact_claimed")
    need(state.tensors.get(artifact.tensors_digest, (own, 0))[0] == own, "assets.tensors_claimed")


def write_version(call: Call, asset_id: bytes, artifact: ops.Artifact) -> None:
    versions = call.state.assets[asset_id]["versions"]
    versions.append({"cid": artifact.cid, "available": None, "held": set()})
    call.state.claims.setdefault(artifact.cid, (asset_id, len(versions)))
    if artifact.tensors_digest is not None:
        call.state.tensors.setdefault(artifact.tensors_digest, (asset_id, len(versions)))


def check_labels(operation: ops.Register) -> None:
    terms = operation.transfer_terms
    need(operation.name.strip(), "assets.name")
    need(len(set(operation.tags)) == len(operation.tags), "assets.repeated_label")
    need(len(dict(operation.metadata)) == len(operation.metadata), "assets.repeated_label")
    need(terms.resale_royalty_bps or not terms.least_royalty, "assets.transfer_terms")


def creators_of(call: Call, named: tuple[tuple[bytes, int], ...]) -> dict[bytes, int]:
    creators = dict(named) or {call.sender: BPS}
    need(len(creators) == max(len(named), 1), "assets.creator_repeated")
    need(sum(creators.values()) == BPS and min(creators.values()) > 0, "assets.creator_shares")
    need(all(is_party(call.state, account) for account in creators), "assets.invalid_creator")
    return creators


def register(call: Call, operation: ops.Register) -> None:
    artifact, state = operation.artifact, call.state
    check_artifact(state, artifact, operation.kind, None)
    reveal(call, "assets", ops.commitment(artifact.cid, call.sender, operation.salt))
    asset_id = ops.asset_id(state.network, call.sender, artifact.cid)
    manager = operation.manager or call.sender
    need(is_party(state, manager), "assets.invalid_manager")
    check_labels(operation)
    state.assets[asset_id] = {
        "kind": operation.kind,
        "name": operation.name,
        "visibility": operation.visibility,
        "organization": call.organization,
        "manager": manager,
        "creators": creators_of(call, operation.creators),
        "shares": {call.sender: BPS},
        "resale": operation.transfer_terms.resale_royalty_bps,
        "least": operation.transfer_terms.least_royalty,
        "gifts": operation.transfer_terms.gifts,
        "versions": [],
        "aliases": {},
        "links": {},
        "stack": {},
        "fee_rest": 0,
        "resale_rest": 0,
        "denied": set(),
        "commercial": True,
        "transfers": 0,
        "pending": None,
        "retired": False,
    }
    derive(call, asset_id, call.sender, operation.provenance.derivations)
    write_version(call, asset_id, artifact)


def add_version(call: Call, operation: ops.AddVersion) -> None:
    asset = tradable(call.state, operation.asset)
    need(asset["manager"] == call.sender, "assets.not_manager")
    check_artifact(call.state, operation.artifact, asset["kind"], operation.asset)
    reveal(call, "assets", ops.commitment(operation.artifact.cid, call.sender, operation.salt))
    derive(call, operation.asset, sole_owner(asset), operation.provenance.derivations)
    write_version(call, operation.asset, operation.artifact)


def derive(call: Call, child: bytes, owner: bytes | None, parents: tuple[ops.Derivation, ...]) -> None:
    """Check by what right a version has its parents; note what the asset owes them and inherits from them."""
    asset = call.state.assets[child]
    need(len({derivation.parent for derivation in parents}) == len(parents), "assets.parent_repeated")
    fresh = {}
    for derivation in parents:
        link, terms = new_link(call, child, owner, derivation)
        parent = call.state.assets[derivation.parent]
        asset["denied"] |= parent["denied"] | set(terms["field_deny"] if terms else ())
        asset["commercial"] &= parent["commercial"] and (terms is None or terms["commercial"])
        known = asset["links"].get(derivation.parent)
        fresh[derivation.parent] = link if known is None else heavier(known, link)
    royalties.check_lineage(call.state, child, list({**asset["links"], **fresh}))
    asset["stack"] = royalties.stack_with(call.state, asset, fresh)
    asset["links"].update(fresh)


def new_link(
    call: Call, child: bytes, owner: bytes | None, derivation: ops.Derivation
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return what a derivation owes, and the terms that say so; rate, cap and depth are the grant's, never the
    child's."""
    state, parent_id = call.state, derivation.parent
    need(parent_id != child, "royalties.cycle")
    need(parent_id in state.assets, "assets.unknown_parent")
    parent = state.assets[parent_id]
    need(parent["kind"] != "dataset" or derivation.right == "train-on", "assets.derivation_right")
    owners = sole_owner(parent)
    organization = organization_of(state, owner or call.sender)
    same = owners is not None and organization_of(state, owners) == organization
    link = {"right": derivation.right, "grant": derivation.grant, "same": same, "version": len_next(state, child)}
    if derivation.grant is None:
        need(owner is not None and owners == owner, "assets.derivation_without_grant")
        bound = licenses.exclusive_over(state, parent_id, derivation.right)
        need(bound is None, "assets.derivation_denied")
        return {**link, "rate": 0, "cap": None, "least": 0, "depth": 0, "terms": []}, None
    need(derivation.grant in state.grants, "licenses.unknown_grant")
    grant = state.grants[derivation.grant]
    mine = grant["asset"] == parent_id and grant["licensee"] in (call.sender, owner)
    need(mine, "assets.derivation_grant")
    need(licenses.state_of(state, grant) == "active", "assets.derivation_grant_not_live")
    terms = state.terms[grant["terms"]]
    need(derivation.right in terms["rights"], "assets.derivation_right")
    need(terms["derivatives"] != "no", "assets.derivation_forbidden")
    need(terms["derivatives"] == "yes" or grant["approved"], "assets.derivation_unapproved")
    if terms["quota_unit"] == "trainings":
        grant["used"] += 1
    share = terms["revenue_share_bps"]
    owed = {
        "rate": share,
        "cap": terms["revenue_share_cap"],
        "least": terms["least_royalty"] if share else 0,
        "depth": terms["revenue_share_depth"],
    }
    return {**link, **owed, "terms": [grant["terms"]]}, terms


def len_next(state: Any, asset: bytes) -> int:
    """The number of the version that is being made."""
    return len(state.assets[asset]["versions"]) + 1


def heavier(known: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """A parent named again: nothing that is owed becomes less, and every license goes on demanding."""
    terms = known["terms"] + [digest for digest in fresh["terms"] if digest not in known["terms"]]
    need(len(terms) <= LINK_TERMS_MAX, "assets.derivation_terms")
    link = {**royalties.joined(known, fresh), "terms": terms, "same": known["same"] or fresh["same"]}
    return {**link, **{name: fresh[name] for name in ("right", "grant", "version")}} if link != known else known


def set_alias(call: Call, operation: ops.SetAlias) -> None:
    asset = tradable(call.state, operation.asset)
    need(asset["manager"] == call.sender, "assets.not_manager")
    if operation.version is None:
        need(operation.alias in asset["aliases"], "assets.unknown_alias")
        del asset["aliases"][operation.alias]
    else:
        version_of(asset, operation.version)
        asset["aliases"][operation.alias] = operation.version
        need(len(asset["aliases"]) <= ALIASES_MAX, "assets.too_many_aliases")


def set_manager(call: Call, operation: ops.SetManager) -> None:
    asset = tradable(call.state, operation.asset)
    need(asset["shares"].get(call.sender, 0) > BPS // 2, "assets.not_majority_owner")
    need(is_party(call.state, operation.manager), "assets.invalid_manager")
    asset["manager"] = operation.manager


def retire(call: Call, operation: ops.Retire) -> None:
    asset = tradable(call.state, operation.asset)
    need(sole_owner(asset) == call.sender, "assets.not_sole_owner")
    asset["retired"] = True


def report_held(call: Call, operation: ops.ReportHeld) -> None:
    need(call.sender in call.state.validators, "assets.not_a_validator")
    need(operation.asset in call.state.assets, "assets.unknown_asset")
    version = version_of(call.state.assets[operation.asset], operation.version)
    need(call.sender not in version["held"], "assets.already_reported")
    version["held"].add(call.sender)
    if version["available"] is None and len(version["held"]) >= quorum(len(call.state.validators)):
        version["available"] = call.now
        licenses.became_available(call, operation.asset, operation.version)


def offer(call: Call, operation: ops.OfferTransfer | ops.OfferGift, price: int) -> bytes:
    """Lock the asset for one recipient; return the name of the offer."""
    asset = tradable(call.state, operation.asset)
    need(sole_owner(asset) == call.sender, "assets.not_sole_owner")
    need(operation.recipient != call.sender, "assets.self_transfer")
    need(is_party(call.state, operation.recipient), "assets.invalid_recipient")
    check_expiry(call, operation.expires_at_ms, "assets")
    need(asset["commercial"] or not price, "assets.non_commercial")
    need(asset["gifts"] or price, "assets.gifts_forbidden")
    identifier = transfer_id(call.id, operation.asset)
    call.state.transfers[identifier] = {
        "asset": operation.asset,
        "giver": call.sender,
        "recipient": operation.recipient,
        "price": price,
        "expires": operation.expires_at_ms,
    }
    set_deadline(call.state, operation.expires_at_ms, "assets.transfer_expiry", identifier, call.organization)
    asset["pending"] = identifier
    return identifier


def transfer_id(transaction: bytes, asset: bytes) -> bytes:
    return tagged_hash("asset-transfer", encode((transaction, asset)))


def exempt(state: Any, pending: dict[str, Any]) -> bool:
    """Moves inside one organization owe no least royalties."""
    return organization_of(state, pending["giver"]) == organization_of(state, pending["recipient"])


def offer_transfer(call: Call, operation: ops.OfferTransfer) -> None:
    offer(call, operation, operation.price)


def offer_gift(call: Call, operation: ops.OfferGift) -> None:
    identifier = offer(call, operation, 0)
    inside = exempt(call.state, call.state.transfers[identifier])
    royalty = royalties.gift_royalty(call.state, operation.asset, inside)
    hold(call.state, identifier, call.sender, royalty)


def pending_transfer(state: Any, identifier: bytes) -> dict[str, Any]:
    need(identifier in state.transfers, "assets.unknown_transfer")
    pending: dict[str, Any] = state.transfers[identifier]
    return pending


def accept_transfer(call: Call, operation: ops.AcceptTransfer) -> None:
    state = call.state
    pending = pending_transfer(state, operation.transfer)
    asset_id, giver, price = pending["asset"], pending["giver"], pending["price"]
    need(pending["recipient"] == call.sender, "assets.not_the_recipient")
    need(call.now < pending["expires"], "assets.transfer_expired")
    need(price <= operation.price_max, "assets.price_above_max")
    asset, inside = state.assets[asset_id], exempt(state, pending)
    if price:
        need(asset["versions"][-1]["available"] is not None, "assets.not_available")
        royalties.pay_resale(state, asset_id, call.sender, giver, price, inside)
    else:
        royalty, source = royalties.gift_royalty(state, asset_id, inside), escrow_name(operation.transfer)
        if not inside:
            royalties.pay_creators(state, asset_id, source, asset["least"], royalty, False)
        del state.escrows[operation.transfer]
        move(state, source, giver, state.balances.get(source, 0))
    unlock(call, operation.transfer)
    royalties.hand_over_pool(state, asset_id, giver, call.sender)
    asset["shares"], asset["manager"] = {call.sender: BPS}, call.sender
    asset["transfers"] += 1


def unlock(call: Call, identifier: bytes) -> None:
    """End a transfer; its deadline may have been what ended it."""
    pending = call.state.transfers.pop(identifier)
    call.state.assets[pending["asset"]]["pending"] = None
    deadline = (pending["expires"], "assets.transfer_expiry", identifier)
    if deadline in call.state.deadlines:
        drop_deadline(call.state, *deadline)


def give_up(call: Call, identifier: bytes) -> None:
    if not call.state.transfers[identifier]["price"]:
        give_back(call.state, identifier)
    unlock(call, identifier)


def withdraw_transfer(call: Call, operation: ops.WithdrawTransfer) -> None:
    pending = pending_transfer(call.state, operation.transfer)
    need(call.sender in (pending["giver"], pending["recipient"]), "assets.not_a_party")
    give_up(call, operation.transfer)


OPERATIONS = {
    ops.Commit: lambda call, operation: commit(call, "assets", operation.commitment),
    ops.Register: register,
    ops.AddVersion: add_version,
    ops.SetAlias: set_alias,
    ops.SetManager: set_manager,
    ops.OfferTransfer: offer_transfer,
    ops.OfferGift: offer_gift,
    ops.AcceptTransfer: accept_transfer,
    ops.WithdrawTransfer: withdraw_transfer,
    ops.Retire: retire,
    ops.ReportHeld: report_held,
}
DEADLINES = {
    "assets.commitment_expiry": lambda call, subject: forget_commitment(call, "assets", subject),
    "assets.transfer_expiry": give_up,
}
