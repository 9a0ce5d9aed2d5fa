"""Assets: commitment and reveal, scarcity, derivation, versions, and what several owners do together."""

from __future__ import annotations

from typing import Any

from ledger.modules.assets import operations as ops
from primitives.quorum import quorum
from tests.reference import licenses, royalties, usage
from tests.reference.attestations import check_claims
from tests.reference.charter_rules import adopt, check_charter
from tests.reference.grants import exclusive_over, known_grant, sole_owner, state_of
from tests.reference.guards import check_alias_unguarded, check_unguarded
from tests.reference.locks import lock_of
from tests.reference.state import (
    BPS,
    Call,
    commit,
    drop_deadline,
    forget_commitment,
    is_cid,
    is_party,
    need,
    organization_of,
    reveal,
    set_deadline,
)

ALIASES_MAX = 16
LINK_TERMS_MAX = 16


def tradable(state: Any, asset_id: bytes) -> dict[str, Any]:
    """Return an asset that may be licensed and sold."""
    asset = manageable(state, asset_id)
    check_sellable(state, asset_id)
    return asset


def check_sellable(state: Any, asset_id: bytes) -> None:
    """Nothing of an asset is sold that a dispute keeps from it, or takes back."""
    frozen = [row for row in state.disputes.values() if row["freezing"] and row["asset"] == asset_id]
    need(not frozen and state.assets[asset_id]["recall"] is None, "assets.frozen")


def manageable(state: Any, asset_id: bytes) -> dict[str, Any]:
    """Return an asset that may be described and versioned."""
    need(asset_id in state.assets, "assets.unknown_asset")
    asset: dict[str, Any] = state.assets[asset_id]
    need(not asset["retired"], "assets.retired")
    need(lock_of(state, "asset", asset_id) is None, "assets.locked")
    return asset


def version_of(asset: dict[str, Any], number: int) -> dict[str, Any]:
    need(1 <= number <= len(asset["versions"]), "assets.unknown_version")
    version: dict[str, Any] = asset["versions"][number - 1]
    return version


def check_expiry(call: Call, expires: int, code: str) -> None:
    """What is open ends after this block, and not too late."""
    need(call.now < expires <= call.now + call.state.offer_lifetime, code)


def check_artifact(call: Call, artifact: ops.Artifact, kind: str, own: bytes | None) -> None:
    state = call.state
    need(is_cid(artifact.cid), "assets.invalid_cid")
    need(artifact.size_bytes <= state.artifact_bytes, "assets.artifact_too_large")
    need((kind == "model") == (artifact.tensors_digest is not None), "assets.tensors_digest")
    need(state.claims.get(artifact.cid, (own, 0))[0] == own, "assets.artifact_claimed")
    need(state.tensors.get(artifact.tensors_digest, (own, 0))[0] == own, "assets.tensors_claimed")
    mine = (call.sender, None)
    need(state.reserved.get(artifact.cid, mine) == mine, "assets.artifact_reserved")
    need(state.reserved.get(artifact.tensors_digest, mine) == mine, "assets.tensors_reserved")


def write_version(
    call: Call, asset_id: bytes, artifact: ops.Artifact, metrics: tuple[ops.Metric, ...], maker: Any = None
) -> None:
    """`maker` is (account, contribution) of who made it for the asset's owners."""
    versions = call.state.assets[asset_id]["versions"]
    claims = [(one.name, one.value_ppm, one.tolerance_ppm, one.dataset, one.dataset_version) for one in metrics]
    versions.append({"cid": artifact.cid, "available": None, "held": set(), "claims": claims, "maker": maker})
    for claimed in (artifact.cid, artifact.tensors_digest):
        call.state.reserved.pop(claimed, None)
    call.state.claims.setdefault(artifact.cid, (asset_id, len(versions)))
    if artifact.tensors_digest is not None:
        call.state.tensors.setdefault(artifact.tensors_digest, (asset_id, len(versions)))


def check_labels(operation: ops.Register | ops.UpdateMetadata) -> None:
    need(operation.name.strip(), "assets.name")
    need(len(set(operation.tags)) == len(operation.tags), "assets.repeated_label")
    need(len(dict(operation.metadata)) == len(operation.metadata), "assets.repeated_label")


def labels_of(operation: ops.Register | ops.UpdateMetadata) -> dict[str, Any]:
    return {name: getattr(operation, name) for name in ("name", "description", "tags", "metadata")}


def creators_of(call: Call, named: tuple[tuple[bytes, int], ...]) -> dict[bytes, int]:
    creators = dict(named) or {call.sender: BPS}
    need(len(creators) == max(len(named), 1), "assets.creator_repeated")
    need(sum(creators.values()) == BPS and min(creators.values()) > 0, "assets.creator_shares")
    need(all(is_party(call.state, account) for account in creators), "assets.invalid_creator")
    return creators


def register(call: Call, operation: ops.Register) -> None:
    artifact, state = operation.artifact, call.state
    check_artifact(call, artifact, operation.kind, None)
    check_claims(state, operation.provenance.metrics)
    reveal(call, "assets", ops.commitment(artifact.cid, call.sender, operation.salt, artifact.tensors_digest))
    asset_id = ops.asset_id(state.network, call.sender, artifact.cid)
    manager = operation.manager or call.sender
    need(is_party(state, manager), "assets.invalid_manager")
    check_labels(operation)
    asked = operation.transfer_terms
    need(asked.resale_royalty_bps or not asked.least_royalty, "assets.transfer_terms")
    if operation.charter is not None:
        check_charter(operation.charter)
    state.assets[asset_id] = {
        "kind": operation.kind,
        **labels_of(operation),
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
        "grant_resale_rest": 0,
        "share_resale_rest": 0,
        "denied": set(),
        "commercial": True,
        "transfers": 0,
        "retired": False,
        "recall": None,
        "recalls": 0,
    }
    derive(call, asset_id, (call.sender, call.sender, call.sender), operation.provenance.derivations)
    write_version(call, asset_id, artifact, operation.provenance.metrics)
    if operation.charter is not None:
        adopt(call, asset_id, operation.charter, 0)


def add_version(call: Call, operation: ops.AddVersion) -> None:
    asset = manageable(call.state, operation.asset)
    need(asset["manager"] == call.sender, "assets.not_manager")
    check_artifact(call, operation.artifact, asset["kind"], operation.asset)
    check_claims(call.state, operation.provenance.metrics)
    artifact = operation.artifact
    reveal(call, "assets", ops.commitment(artifact.cid, call.sender, operation.salt, artifact.tensors_digest))
    makers = (call.sender, sole_owner(asset), call.sender)
    derive(call, operation.asset, makers, operation.provenance.derivations)
    write_version(call, operation.asset, operation.artifact, operation.provenance.metrics)


Makers = tuple[bytes, bytes | None, bytes]
"""Who made the version and may hold the grants; the sole owner, who may too; who speaks for the asset without one."""


def derive(call: Call, child: bytes, makers: Makers, parents: tuple[ops.Derivation, ...]) -> None:
    """Note what the asset owes the parents of a version and inherits from them."""
    asset = call.state.assets[child]
    asset["denied"], asset["commercial"], asset["stack"], fresh = parentage(call, child, makers, parents)
    for derivation in parents:
        if derivation.grant is not None:
            usage.count_training(call.state, derivation.grant)
    asset["links"].update(fresh)


def parentage(call: Call, child: bytes, makers: Makers, parents: tuple[ops.Derivation, ...]) -> Any:
    """Check by what right a version has its parents; return what is denied then, whether the asset is commercial, whom
    it pays, and the links."""
    asset = call.state.assets[child]
    need(len({derivation.parent for derivation in parents}) == len(parents), "assets.parent_repeated")
    fresh, denied, commercial = {}, set(asset["denied"]), asset["commercial"]
    for derivation in parents:
        link, terms = new_link(call, child, makers, derivation)
        parent = call.state.assets[derivation.parent]
        denied |= parent["denied"] | set(terms["field_deny"] if terms else ())
        commercial &= parent["commercial"] and (terms is None or terms["commercial"])
        known = asset["links"].get(derivation.parent)
        fresh[derivation.parent] = link if known is None else heavier(known, link)
    royalties.check_lineage(call.state, child, list({**asset["links"], **fresh}))
    return denied, commercial, royalties.stack_with(call.state, asset, fresh), fresh


def new_link(
    call: Call, child: bytes, makers: Makers, derivation: ops.Derivation
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return what a derivation owes, and the terms that say so; rate, cap and depth are the grant's, never the
    child's."""
    state, parent_id = call.state, derivation.parent
    maker, owner, speaker = makers
    need(parent_id != child, "royalties.cycle")
    need(parent_id in state.assets, "assets.unknown_parent")
    parent = state.assets[parent_id]
    need(parent["kind"] != "dataset" or derivation.right == "train-on", "assets.derivation_right")
    owners = sole_owner(parent)
    organization = organization_of(state, owner or speaker)
    same = owners is not None and organization_of(state, owners) == organization
    link = {"right": derivation.right, "grant": derivation.grant, "same": same, "version": len_next(state, child)}
    if derivation.grant is None:
        need(owner is not None and owners == owner, "assets.derivation_without_grant")
        bound = exclusive_over(state, parent_id, derivation.right)
        need(bound is None, "assets.derivation_denied")
        return {**link, "rate": 0, "cap": None, "least": 0, "depth": 0, "terms": []}, None
    grant, terms = right_to_derive(state, derivation, (maker, owner))
    share = terms["revenue_share_bps"]
    owed = {
        "rate": share,
        "cap": terms["revenue_share_cap"],
        "least": terms["least_royalty"] if share else 0,
        "depth": terms["revenue_share_depth"],
    }
    return {**link, **owed, "terms": [grant["terms"]]}, terms


def right_to_derive(state: Any, derivation: ops.Derivation, licensees: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return (grant, terms) that let one of the licensees derive now."""
    grant = known_grant(state, derivation.grant)
    mine = grant["asset"] == derivation.parent and grant["licensee"] in licensees
    need(mine, "assets.derivation_grant")
    need(state_of(state, grant) == "active", "assets.derivation_grant_not_live")
    terms = state.terms[grant["terms"]]
    need(derivation.right in terms["rights"], "assets.derivation_right")
    need(terms["derivatives"] != "no", "assets.derivation_forbidden")
    need(terms["derivatives"] == "yes" or grant["approved"], "assets.derivation_unapproved")
    return grant, terms


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
    asset = manageable(call.state, operation.asset)
    need(asset["manager"] == call.sender, "assets.not_manager")
    check_alias_unguarded(call.state, operation.asset, operation.alias)
    point_alias(call, operation)


def point_alias(call: Call, operation: ops.SetAlias) -> None:
    asset = manageable(call.state, operation.asset)
    need(operation.alias != "latest", "assets.alias_reserved")
    if operation.version is None:
        need(operation.alias in asset["aliases"], "assets.unknown_alias")
        del asset["aliases"][operation.alias]
    else:
        version_of(asset, operation.version)
        asset["aliases"][operation.alias] = operation.version
        need(len(asset["aliases"]) <= ALIASES_MAX, "assets.too_many_aliases")


def update_metadata(call: Call, operation: ops.UpdateMetadata) -> None:
    asset = manageable(call.state, operation.asset)
    need(asset["manager"] == call.sender, "assets.not_manager")
    check_labels(operation)
    asset.update(labels_of(operation))


def set_manager(call: Call, operation: ops.SetManager) -> None:
    manageable(call.state, operation.asset)
    check_unguarded(call.state, operation.asset, "management")
    need(2 * agreed_bps(call, operation.asset, operation) > BPS, "assets.not_majority_owner")
    replace_manager(call, operation)


def replace_manager(call: Call, operation: ops.SetManager) -> None:
    asset = manageable(call.state, operation.asset)
    need(is_party(call.state, operation.manager), "assets.invalid_manager")
    asset["manager"] = operation.manager


def retire(call: Call, operation: ops.Retire) -> None:
    asset = manageable(call.state, operation.asset)
    check_all_agree(call, operation.asset, operation)
    asset["retired"] = True


# --- what several owners do together


def consent(call: Call, operation: ops.Consent) -> None:
    """Consents: (asset, action, account) -> when it expires."""
    state, key = call.state, (operation.asset, operation.action, call.sender)
    need(operation.asset in state.assets, "assets.unknown_asset")
    need(call.sender in state.assets[operation.asset]["shares"], "assets.not_an_owner")
    check_expiry(call, operation.expires_at_ms, "assets.consent_expiry_out_of_range")
    need(key not in state.consents, "assets.consent_exists")
    waiting = [one for one in state.consents if (one[0], one[2]) == (operation.asset, call.sender)]
    need(len(waiting) < 16, "assets.too_many_consents")
    state.consents[key] = operation.expires_at_ms
    set_deadline(state, operation.expires_at_ms, "assets.consent_expiry", consent_subject(key), call.organization)


def withdraw_consent(call: Call, operation: ops.WithdrawConsent) -> None:
    key = (operation.asset, operation.action, call.sender)
    need(key in call.state.consents, "assets.unknown_consent")
    use_consent(call.state, key)


def use_consent(state: Any, key: tuple[bytes, bytes, bytes]) -> None:
    drop_deadline(state, state.consents.pop(key), "assets.consent_expiry", consent_subject(key))


def consent_subject(key: tuple[bytes, bytes, bytes]) -> bytes:
    asset, action, account = key
    return asset + account + action


def forget_consent(call: Call, subject: bytes) -> None:
    del call.state.consents[subject[:32], subject[64:], subject[32:64]]


def agreed_bps(call: Call, asset: bytes, operation: Any) -> int:
    """The shares of the sender and of the owners who have consented to this very operation; their consents end."""
    return sum(agreeing(call, asset, operation).values())


def agreeing(call: Call, asset: bytes, operation: Any) -> dict[bytes, int]:
    agreed = {}
    for owner, bps in call.state.assets[asset]["shares"].items():
        key = (asset, ops.action_digest(operation), owner)
        if owner == call.sender:
            agreed[owner] = bps
        elif call.state.consents.get(key, 0) > call.now:
            agreed[owner] = bps
            use_consent(call.state, key)
    return agreed


def check_all_agree(call: Call, asset: bytes, operation: Any) -> None:
    need(call.sender in call.state.assets[asset]["shares"], "assets.not_an_owner")
    need(agreed_bps(call, asset, operation) == BPS, "assets.consent_missing")


def report_held(call: Call, operation: ops.ReportHeld) -> None:
    need(call.sender in call.state.validators, "assets.not_a_validator")
    need(operation.asset in call.state.assets, "assets.unknown_asset")
    version = version_of(call.state.assets[operation.asset], operation.version)
    need(version["cid"] not in call.state.down, "assets.taken_down")
    need(call.sender not in version["held"], "assets.already_reported")
    version["held"].add(call.sender)
    if version["available"] is None and len(version["held"]) >= quorum(len(call.state.validators)):
        version["available"] = call.now
        licenses.became_available(call, operation.asset, operation.version)


OPERATIONS = {
    ops.Commit: lambda call, operation: commit(call, "assets", operation.commitment),
    ops.Register: register,
    ops.AddVersion: add_version,
    ops.SetAlias: set_alias,
    ops.SetManager: set_manager,
    ops.UpdateMetadata: update_metadata,
    ops.Consent: consent,
    ops.WithdrawConsent: withdraw_consent,
    ops.Retire: retire,
    ops.ReportHeld: report_held,
}
DEADLINES = {
    "assets.commitment_expiry": lambda call, subject: forget_commitment(call, "assets", subject),
    "assets.consent_expiry": forget_consent,
}
