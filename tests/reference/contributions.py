"""Contributions and bounties, as docs/spec/contributions.md has it.

`reserved`: CID or digest -> (whose it is, the open contribution that it is in). A contribution that came to nothing is
gone; one that was accepted stays.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import astuple

from ledger.modules.assets import operations as asset_ops
from ledger.modules.contributions import operations as ops
from tests.reference import assets, attestations, guards, reputation, royalties, things
from tests.reference.credits import escrow_name, give_back, hold, move
from tests.reference.grants import exclusive_over, sole_owner
from tests.reference.locks import locked_bps
from tests.reference.royalties import Due
from tests.reference.state import (
    BPS,
    Call,
    drop_deadline,
    is_cid,
    is_party,
    need,
    organization_of,
    reveal,
    set_deadline,
)

ON_ASSET, OF_ORGANIZATION, OF_MAKER = 32, 8, 64
COMMENTS, COMMENTS_OF_ONE = 32, 8
EVALUATION_MS = 14 * 86_400_000
LESS_IS_BETTER = ("accuracy-gap", "mean-absolute-error")
MANAGED_BY = "assets.not_manager"


def known_asset(state: Any, asset_id: bytes) -> Any:
    need(asset_id in state.assets, "assets.unknown_asset")
    need(not state.assets[asset_id]["retired"], "assets.retired")
    return state.assets[asset_id]


def known_bounty(state: Any, identifier: bytes) -> Any:
    need(identifier in state.bounties, "contributions.unknown_bounty")
    return state.bounties[identifier]


def opened(call: Call, identifier: bytes) -> Any:
    """A contribution that can still be decided on."""
    need(identifier in call.state.contributions, "contributions.unknown_contribution")
    row = call.state.contributions[identifier]
    need(row["version"] is None and call.now < row["expires"], "contributions.not_open")
    return row


# --- proposing


def propose(call: Call, operation: ops.Propose) -> None:
    state, asset_id, artifact = call.state, operation.asset, operation.artifact
    asset = known_asset(state, asset_id)
    assets.version_of(asset, operation.parent_version)
    assets.check_expiry(call, operation.expires_at_ms, "contributions.expiry_out_of_range")
    check_right(call, operation, asset)
    assets.check_artifact(call, artifact, asset["kind"], None)
    attestations.check_claims(state, operation.provenance.metrics)
    reveal(call, "assets", asset_ops.commitment(artifact.cid, call.sender, operation.salt, artifact.tensors_digest))
    makers = (call.sender, sole_owner(asset), asset["manager"])
    assets.parentage(call, asset_id, makers, operation.provenance.derivations)
    check_room(call, asset_id)
    if operation.bounty is not None:
        bounty = known_bounty(state, operation.bounty)
        need(call.now < bounty["closes"], "contributions.bounty_over")
        need(bounty["asset"] == asset_id, "contributions.wrong_bounty")
    identifier = ops.contribution_id(call.id, asset_id, artifact.cid)
    state.contributions[identifier] = {
        "asset": asset_id,
        "maker": call.sender,
        "artifact": (artifact.cid, artifact.size_bytes, artifact.tensors_digest),
        "from": operation.parent_version,
        "right": operation.right,
        "grant": operation.grant,
        "parents": tuple((one.parent, one.right, one.grant) for one in operation.provenance.derivations),
        "metrics": tuple(astuple(one) for one in operation.provenance.metrics),
        "message": operation.message,
        "least": operation.share_bps_min,
        "bounty": operation.bounty,
        "transfers": asset["transfers"],
        "expires": operation.expires_at_ms,
        "comments": [],
        "version": None,
        "given": 0,
        "accepted": None,
        "manager": None,
    }
    for claimed in (artifact.cid, artifact.tensors_digest):
        if claimed is not None:
            state.reserved[claimed] = (call.sender, identifier)
    set_deadline(state, operation.expires_at_ms, "contributions.expiry", identifier, call.organization)


def check_right(call: Call, operation: ops.Propose, asset: Any) -> None:
    """Owners, while nobody has an exclusive license to it, and who holds a grant to derive."""
    need(asset["kind"] != "dataset" or operation.right == "train-on", "assets.derivation_right")
    if operation.grant is None:
        need(call.sender in asset["shares"], "assets.derivation_without_grant")
        bound = exclusive_over(call.state, operation.asset, operation.right)
        need(bound is None, "assets.derivation_denied")
    else:
        derivation = asset_ops.Derivation(operation.asset, operation.right, operation.grant)
        assets.right_to_derive(call.state, derivation, (call.sender,))


def check_room(call: Call, asset_id: bytes) -> None:
    waiting = [row for row in call.state.contributions.values() if row["version"] is None]
    there = [row for row in waiting if row["asset"] == asset_id]
    need(len(there) < ON_ASSET, "contributions.too_many_on_asset")
    ours = [row for row in there if organization_of(call.state, row["maker"]) == call.organization]
    need(len(ours) < OF_ORGANIZATION, "contributions.too_many_of_organization")
    mine = [row for row in waiting if row["maker"] == call.sender]
    need(len(mine) < OF_MAKER, "contributions.too_many_of_contributor")


def comment(call: Call, operation: ops.Comment) -> None:
    row = opened(call, operation.contribution)
    asset = call.state.assets[row["asset"]]
    parties = {row["maker"], asset["manager"], *asset["shares"]}
    need(call.sender in parties or evaluates(call.state, call.sender), "contributions.not_a_party")
    need(is_cid(operation.text), "contributions.text")
    said = [account for account, *_ in row["comments"]]
    room = len(said) < COMMENTS and said.count(call.sender) < COMMENTS_OF_ONE
    need(room, "contributions.too_many_comments")
    row["comments"].append((call.sender, operation.text, call.now))


def evaluates(state: Any, account: bytes) -> bool:
    known = state.accreditations.get(account)
    if known is None or "evaluate" not in known["roles"] or known["ended"] is not None or known["suspended"]:
        return False
    return bool(state.now < known["until"] and attestations.posted(state, account) >= known["bond"])


# --- deciding


def accept(call: Call, operation: ops.Accept) -> None:
    """By the manager for a majority, and with everybody who gives something of its share."""
    state, identifier, reward = call.state, operation.contribution, operation.reward
    row = opened(call, identifier)
    asset = assets.manageable(state, row["asset"])
    need(call.sender == asset["manager"], MANAGED_BY)
    guards.check_unguarded(state, row["asset"], "contributions")
    agreeing = assets.agreeing(call, row["asset"], operation)
    need(2 * sum(agreeing.values()) > BPS, "assets.not_majority_owner")
    given = parts_of(asset["shares"], row["maker"], reward)
    need(set(given) <= set(agreeing), "assets.consent_missing")
    take(call, identifier, reward, call.sender)


def take(call: Call, identifier: bytes, reward: ops.Reward, payer: bytes | None) -> None:
    """Make it the next version and give the reward; by a vote nobody signs, and pays, for it."""
    state, row = call.state, opened(call, identifier)
    asset = assets.manageable(state, row["asset"])
    need(row["transfers"] == asset["transfers"], "contributions.asset_changed_hands")
    need(reward.share_bps >= row["least"], "contributions.reward_too_low")
    need(row["least"] or not reward.share_bps, "contributions.share_unasked")
    need(reward.bounty == row["bounty"], "contributions.wrong_bounty")
    need(reward.share_bps or reward.giver is None, "contributions.giver")
    parents = tuple(asset_ops.Derivation(*one) for one in row["parents"])
    assets.derive(call, row["asset"], (row["maker"], sole_owner(asset), asset["manager"]), parents)
    metrics = tuple(asset_ops.Metric(*one) for one in row["metrics"])
    artifact = asset_ops.Artifact(*row["artifact"])
    assets.write_version(call, row["asset"], artifact, metrics, (row["maker"], identifier))
    if row["bounty"] is not None:
        pay_bounty(call, identifier, row, payer)
    drop_deadline(state, row["expires"], "contributions.expiry", identifier)
    give_share(call, row["asset"], row["maker"], parts_of(asset["shares"], row["maker"], reward), payer)
    version = len(asset["versions"])
    row.update(
        manager=asset["manager"],
        version=version,
        given=reward.share_bps,
        accepted=call.now,
        comments=[],
        parents=(),
        metrics=(),
        message="",
    )


def parts_of(shares: dict[bytes, int], maker: bytes, reward: ops.Reward) -> dict[bytes, int]:
    """Who gives how much. Of all owners each gives its part, rounded down; what is missing is asked of those whose part
    was rounded most."""
    if not reward.share_bps:
        return {}
    if reward.giver is not None:
        need(reward.giver != maker, "transfers.self_transfer")
        need(shares.get(reward.giver, 0) >= reward.share_bps, "transfers.not_the_holder")
        return {reward.giver: reward.share_bps}
    exact = {owner: bps * reward.share_bps for owner, bps in shares.items()}
    given = {owner: part // BPS for owner, part in exact.items()}
    by_rest = sorted(shares, key=lambda owner: (-(exact[owner] % BPS), owner))
    for owner in by_rest[: reward.share_bps - sum(given.values())]:
        given[owner] += 1
    return {owner: bps for owner, bps in sorted(given.items()) if bps and owner != maker}


def give_share(call: Call, asset_id: bytes, maker: bytes, given: dict[bytes, int], payer: bytes | None) -> None:
    """As a gift of the givers', whose royalty the payer pays; without one there must be none."""
    state, asset = call.state, call.state.assets[asset_id]
    if not given:
        return
    inside = {organization_of(state, owner) for owner in given} == {organization_of(state, maker)}
    due = Due("share", asset_id, asset["resale"], asset["least"], inside)
    need(payer is not None or not royalties.gift_royalty(state, due), "contributions.royalty_due")
    need(asset["recall"] is None, "assets.frozen")
    need(asset["gifts"], "transfers.gifts_forbidden")
    need(is_party(state, maker), "transfers.invalid_recipient")
    for owner, bps in given.items():
        need(state.accounts[owner]["frozen"] <= call.now, "organizations.frozen")
        free = asset["shares"][owner] - locked_bps(state, asset_id, owner)
        need(bps <= free, "transfers.locked")
    after = {owner for owner, bps in asset["shares"].items() if bps > given.get(owner, 0)} | {maker}
    need(len(after) <= things.OWNERS_MAX, "transfers.too_many_owners")
    royalties.pay_gift(state, due, maker if payer is None else payer)
    for owner, bps in given.items():
        things.move_share(state, asset_id, owner, maker, bps, False)


def refuse(call: Call, operation: ops.Refuse) -> None:
    row = opened(call, operation.contribution)
    need(call.sender == call.state.assets[row["asset"]]["manager"], MANAGED_BY)
    guards.check_unguarded(call.state, row["asset"], "contributions")
    end(call, operation.contribution)


def withdraw(call: Call, operation: ops.Withdraw) -> None:
    need(operation.contribution in call.state.contributions, "contributions.unknown_contribution")
    row = call.state.contributions[operation.contribution]
    need(call.sender == row["maker"], "contributions.not_the_contributor")
    need(row["version"] is None, "contributions.not_open")
    end(call, operation.contribution)


def end(call: Call, identifier: bytes, swept: bool = False) -> None:
    """The artifact stays its maker's."""
    row = call.state.contributions.pop(identifier)
    if not swept:
        drop_deadline(call.state, row["expires"], "contributions.expiry", identifier)
    cid, _, tensors = row["artifact"]
    for claimed in (cid, tensors):
        if claimed is not None:
            call.state.reserved[claimed] = (row["maker"], None)
    bounty = call.state.bounties.get(row["bounty"])
    if bounty is not None and bounty["awarded"] == identifier:
        bounty["awarded"] = None


# --- bounties


def open_bounty(call: Call, operation: ops.OpenBounty) -> None:
    state = call.state
    known_asset(state, operation.asset)
    assets.check_expiry(call, operation.closes_at_ms, "contributions.expiry_out_of_range")
    need(operation.description is None or is_cid(operation.description), "contributions.text")
    wanted = operation.condition
    if wanted is not None:
        need(wanted.dataset in state.assets, "assets.unknown_asset")
        need(state.assets[wanted.dataset]["kind"] == "dataset", "contributions.not_a_dataset")
        assets.version_of(state.assets[wanted.dataset], wanted.dataset_version)
    identifier = ops.bounty_id(call.id, operation)
    need(identifier not in state.bounties, "contributions.bounty_exists")
    state.bounties[identifier] = {
        "asset": operation.asset,
        "opener": call.sender,
        "closes": operation.closes_at_ms,
        "due": operation.closes_at_ms,
        "condition": None if wanted is None else astuple(wanted),
        "awarded": None,
    }
    set_deadline(state, operation.closes_at_ms, "contributions.bounty_due", identifier, call.organization)
    hold(state, identifier, call.sender, operation.amount)


def own_bounty(call: Call, identifier: bytes) -> Any:
    bounty = known_bounty(call.state, identifier)
    need(call.sender == bounty["opener"], "contributions.not_the_opener")
    return bounty


def award_bounty(call: Call, operation: ops.AwardBounty) -> None:
    bounty = own_bounty(call, operation.bounty)
    need(bounty["condition"] is None, "contributions.by_condition")
    if operation.contribution is not None:
        row = opened(call, operation.contribution)
        need(row["bounty"] == operation.bounty, "contributions.wrong_bounty")
    bounty["awarded"] = operation.contribution


def named(state: Any, identifier: bytes) -> int:
    """Open contributions that name a bounty."""
    return sum(row["bounty"] == identifier and row["version"] is None for row in state.contributions.values())


def accepted_for(state: Any, identifier: bytes) -> int:
    """Accepted contributions that a bounty may still be paid for: those that it has not been paid for."""
    return sum(row["bounty"] == identifier and row["version"] is not None for row in state.contributions.values())


def cancel_bounty(call: Call, operation: ops.CancelBounty) -> None:
    bounty = own_bounty(call, operation.bounty)
    waits = named(call.state, operation.bounty) + accepted_for(call.state, operation.bounty)
    need(not waits, "contributions.bounty_named")
    drop_deadline(call.state, bounty["due"], "contributions.bounty_due", operation.bounty)
    return_bounty(call, operation.bounty)


def bounty_due(call: Call, identifier: bytes) -> None:
    """It closes, and returns then, or when the evaluators' time is over."""
    bounty = call.state.bounties[identifier]
    if bounty["due"] == bounty["closes"] and accepted_for(call.state, identifier):
        bounty["due"] += EVALUATION_MS
        organization = organization_of(call.state, bounty["opener"])
        set_deadline(call.state, bounty["due"], "contributions.bounty_due", identifier, organization)
    else:
        return_bounty(call, identifier)


def return_bounty(call: Call, identifier: bytes) -> None:
    del call.state.bounties[identifier]
    give_back(call.state, identifier)


def pay_bounty(call: Call, contribution: bytes, row: Any, payer: bytes | None) -> None:
    """With the acceptance, once its opener has said that it is for this; one with a condition waits."""
    bounty = known_bounty(call.state, row["bounty"])
    need(call.now < bounty["closes"], "contributions.bounty_over")
    if bounty["condition"] is None:
        agreed = payer == bounty["opener"] or bounty["awarded"] == contribution
        need(agreed, "contributions.not_awarded")
        pay_out(call, row)


def pay_out(call: Call, row: Any) -> None:
    """All of it."""
    state, identifier = call.state, row["bounty"]
    bounty = state.bounties.pop(identifier)
    drop_deadline(state, bounty["due"], "contributions.bounty_due", identifier)
    _, amount = state.escrows.pop(identifier)
    move(state, escrow_name(identifier), row["maker"], amount)
    reputation.paid(state, bounty["opener"], {row["maker"]: BPS}, amount)


def claim_bounty(call: Call, operation: ops.ClaimBounty) -> None:
    bounty = known_bounty(call.state, operation.bounty)
    need(operation.contribution in call.state.contributions, "contributions.unknown_contribution")
    row = call.state.contributions[operation.contribution]
    need(bounty["condition"] is not None, "contributions.no_condition")
    for_it = row["version"] is not None and row["bounty"] == operation.bounty
    need(for_it, "contributions.not_accepted")
    need(call.now < bounty["closes"] + EVALUATION_MS, "contributions.bounty_over")
    version = call.state.assets[row["asset"]]["versions"][row["version"] - 1]
    need(version["cid"] not in call.state.down, "assets.taken_down")
    need(confirmed(call.state, bounty, row) >= bounty["condition"][4], "contributions.condition_unmet")
    pay_out(call, row)


def confirmed(state: Any, bounty: Any, row: Any) -> int:
    """Organizations that state it, but those of owners, creators, registrant, contributor, opener, and of who was the
    manager when it was accepted."""
    metric, bound, dataset, dataset_version, _ = bounty["condition"]
    asset = state.assets[row["asset"]]
    involved = {*asset["shares"], *asset["creators"], row["manager"], row["maker"], bounty["opener"]}
    apart = {organization_of(state, one) for one in involved} | {asset["organization"]}
    about = (row["asset"], row["version"], metric, dataset, dataset_version)
    said = attestations.counting(state, "evaluation", about, apart)
    return sum(one <= bound if metric in LESS_IS_BETTER else one >= bound for _, one in said)


OPERATIONS = {
    ops.Propose: propose,
    ops.Comment: comment,
    ops.Accept: accept,
    ops.Refuse: refuse,
    ops.Withdraw: withdraw,
    ops.OpenBounty: open_bounty,
    ops.ClaimBounty: claim_bounty,
    ops.AwardBounty: award_bounty,
    ops.CancelBounty: cancel_bounty,
}
DEADLINES = {
    "contributions.expiry": lambda call, identifier: end(call, identifier, swept=True),
    "contributions.bounty_due": bounty_due,
}
