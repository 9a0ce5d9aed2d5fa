"""What accounts of a random ledger might do next: one function an operation, steered towards what can succeed.

A function looks at the reference's state and proposes (sender, operations); now and then it names a wrong sender or a
wrong value on purpose, because refusals are half of the rules. `SITUATIONS` is the table of all of them; those of
licenses, of sales, of disputes and of contributions have files of their own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ledger.modules.assets import operations as assets
from ledger.modules.attestations import operations as attestations
from ledger.modules.charters import operations as charters
from ledger.modules.contributions import operations as contributions
from ledger.modules.credits import operations as credits
from ledger.modules.development import operations as development
from ledger.modules.disputes import operations as disputes
from ledger.modules.governance import operations as governance
from ledger.modules.licenses import operations as licenses
from ledger.modules.market import operations as market
from ledger.modules.observers import operations as observers
from ledger.modules.organizations import operations as organizations
from ledger.modules.royalties import operations as royalties
from ledger.modules.transfers import operations as transfers
from primitives.identifiers import node_id
from primitives.keys import SigningKey
from tests.property import attestations_situations_kit as attesting
from tests.property import charter_situations_kit as deciding
from tests.property import contribution_situations_kit as contributing
from tests.property import decision_situations_kit as governing
from tests.property import dispute_situations_kit as disputing
from tests.property import fulfilment_kit as fulfilment
from tests.property import license_situations_kit as licensing
from tests.property import sale_situations_kit as sales
from tests.property.drawing_kit import (
    DERIVING,
    KINDS,
    UNKNOWN,
    Draft,
    Draw,
    Nothing,
    Secret,
    may_derive,
    reveal_one,
    revealable,
)
from tests.reference.decisions import Decide

ED25519 = bytes.fromhex("302a300506032b6570032100")
"""What stands before the key in a node's certificate."""

# --- accounts and credits


def transfer(draw: Draw) -> Draft:
    sender = draw.anyone()
    held = draw.state.balances.get(sender, 0)
    amount = draw.some([1, 7, 12_345, held // 20, held // 20, held // 7])
    if draw.rarely(6):
        amount = draw.some([held, held + 1, 2**63 - 1])
    debtors = [debt["debtor"] for debt in draw.state.debts.values()]
    recipient = draw.some(debtors) if debtors and draw.rarely(60) else draw.other(sender)
    return sender, [credits.Transfer(recipient, min(max(amount, 1), 2**63 - 1))]


def fresh_key(draw: Draw, sender: bytes) -> bytes:
    if draw.rarely(20):
        validator = next(iter(draw.state.accounts[draw.state.validators[0]]["keys"]))
        return bytes(draw.some([bytes(32), validator, *draw.state.accounts[sender]["keys"]]))
    return draw.notebook.new_key()


def open_account(draw: Draw) -> Draft:
    vouching = [account for account, record in draw.state.accounts.items() if record["vouches"]]
    sender = draw.actor or (draw.anyone() if draw.rarely(20) else draw.some(vouching))
    if draw.notebook.opened and draw.rarely(20):
        return sender, [draw.some(draw.notebook.opened)]
    operation = organizations.OpenAccount(fresh_key(draw, sender), draw.salt(), draw.notebook.next("account"))
    if len(draw.parties()) < 12 or draw.rarely():
        draw.notebook.opened.append(operation)
        return sender, [operation]
    raise Nothing


def add_key(draw: Draw) -> Draft:
    sender = draw.anyone()
    if draw.rarely(3):
        return sender, [organizations.AddKey(draw.notebook.new_key(), "operator") for _ in range(16)]
    roles: tuple[Any, ...] = ("owner", "operator", "operator", "release")
    return sender, [organizations.AddKey(fresh_key(draw, sender), draw.some(roles))]


def own_key(draw: Draw, sender: bytes) -> bytes:
    keys = list(draw.state.accounts[sender]["keys"])
    return bytes(draw.some([UNKNOWN, *draw.notebook.keys] if draw.rarely(10) else keys))


def revoke_key(draw: Draw) -> Draft:
    rich = [account for account in draw.parties() if len(draw.state.accounts[account]["keys"]) > 1]
    sender = draw.actor or draw.some(draw.parties() if draw.rarely(20) else rich)
    return sender, [organizations.RevokeKey(own_key(draw, sender))]


def rotate_key(draw: Draw) -> Draft:
    sender = draw.anyone()
    return sender, [organizations.RotateKey(own_key(draw, sender), fresh_key(draw, sender))]


def request_recovery(draw: Draw) -> Draft:
    """Few at a time: what a frozen account has is out of the game for days."""
    state = draw.state
    frozen = [account for account, record in state.accounts.items() if state.now < record["frozen"]]
    if len(frozen) > 1 and not draw.rarely():
        raise Nothing
    sender = draw.actor or draw.some([one for one in draw.parties() if state.accounts[one]["vouches"] or draw.rarely()])
    organization = state.accounts[sender]["organization"]
    own = [one for one in draw.parties() if state.accounts[one]["organization"] == organization and one != sender]
    rows = [UNKNOWN, sender, *state.accounts] if draw.rarely(15) else own
    return sender, [organizations.RequestRecovery(draw.some(rows), fresh_key(draw, sender))]


def complete_recovery(draw: Draw) -> Draft:
    state = draw.state
    rows = [key for key, row in state.recoveries.items() if row["state"] == "waiting" or draw.rarely()]
    account = draw.some([UNKNOWN, *state.accounts] if draw.rarely() else rows)
    organization = state.accounts.get(account, {"organization": ""})["organization"]
    speaks = [
        one
        for one in draw.parties()
        if draw.rarely(2) or (state.accounts[one]["vouches"] and state.accounts[one]["organization"] == organization)
    ]
    return draw.actor or draw.some(speaks), [organizations.CompleteRecovery(account)]


def veto_recovery(draw: Draw) -> Draft:
    rows = list(draw.state.recoveries)
    sender, _ = draw.subject(rows, lambda account: account)
    return sender, [organizations.VetoRecovery()]


def advance_clock(draw: Draw) -> Draft:
    if draw.rarely():
        return draw.anyone(), [development.AdvanceClock(development.ADVANCE_MS_MAX)] * 11
    return draw.anyone(), [development.AdvanceClock(draw.some([1, 999, 10_000]))]


# --- observers


def register_observer(draw: Draw) -> Draft:
    """A node of one's own; rarely another's, or one that the sender cannot speak for."""
    state = draw.state
    vouching = [account for account, record in state.accounts.items() if record["vouches"]]
    sender = draw.actor or (draw.anyone() if draw.rarely(10) else draw.some(vouching))
    organization = state.accounts[sender]["organization"]
    if draw.rarely(4):
        return sender, [registration(draw, organization, draw.notebook.next("node")) for _ in range(17)]
    known = draw.notebook.nodes
    label = draw.some(sorted(known.values())) if known and draw.rarely(25) else draw.notebook.next("node")
    return sender, [registration(draw, organization, label)]


def registration(draw: Draw, organization: str, label: str) -> observers.Register:
    """Signed by the node's key over what is sent, unless something is wrong on purpose."""
    node_key = SigningKey(hashlib.sha256(label.encode()).digest())
    node = node_id(node_key.public_key)
    draw.notebook.nodes[node] = label
    tls = b"a certificate" + ED25519 + node_key.public_key
    if draw.rarely(1):
        tls = draw.some([b"none", tls + tls, tls[:-1]])
    address = draw.some(["", "observer.example:7100"])
    signed = observers.registration_bytes(draw.state.network, organization, tls, address)
    proof = bytes(64) if draw.rarely(1) else node_key.sign(signed)
    named = draw.some(draw.state.nodes) if draw.rarely(1) else node
    return observers.Register(named, tls, address, proof)


def withdraw_observer(draw: Draw) -> Draft:
    rows = list(draw.state.observers)
    if draw.rarely(10):
        rows = [*draw.state.nodes, *rows]
    chosen = draw.some(rows)
    accounts = draw.state.accounts
    vouching = [account for account, record in accounts.items() if record["vouches"]]
    if chosen in draw.state.observers and not draw.rarely():
        owner = draw.state.observers[chosen]["organization"]
        vouching = [account for account in vouching if accounts[account]["organization"] == owner]
    return draw.actor or draw.some(vouching), [observers.Withdraw(chosen)]


# --- assets


def new_artifact(draw: Draw, kinds: Sequence[str]) -> tuple[str, assets.Artifact]:
    """Return one of these kinds and an artifact of it; rarely a malformed or a claimed one."""
    label, kind = draw.notebook.next("artifact"), draw.some(kinds)
    content = hashlib.sha256(label.encode()).digest()
    cid = "b" + base64.b32encode(b"\x01\x55\x12\x20" + content).decode().lower().rstrip("=")
    size, tensors = 1_000, hashlib.sha256(content).digest() if kind == "model" else None
    if draw.rarely(8):
        reserved = [key for key in draw.state.reserved if isinstance(key, str)]
        claimed: list[str] = [*draw.state.claims, *reserved, *reserved]
        cid = draw.some([*claimed, *claimed, cid.upper(), "b" + "a" * 58, cid[:-1] + "b"])
    if draw.rarely():
        size = draw.some([draw.state.artifact_bytes, draw.state.artifact_bytes + 1])
    if draw.rarely():
        reserved = [key for key in draw.state.reserved if isinstance(key, bytes)]
        tensors = draw.some([None, content, *draw.state.tensors, *reserved, *reserved])
    return kind, assets.Artifact(cid, size, tensors)


def commit_artifact(draw: Draw) -> Draft:
    known = [key for key in draw.state.commitments if key[0] == "assets"]
    if known and draw.rarely(6):
        _, account, commitment = draw.some(known)
        return account if draw.rarely(50) else draw.anyone(), [assets.Commit(commitment)]
    if len(known) > 12:
        raise Nothing
    learned = [grant["licensee"] for grant in draw.state.grants.values() if may_derive(draw.state, grant)]
    sender = draw.actor or (draw.some(learned) if learned and draw.rarely(70) else draw.anyone())
    begun = {secret.asset for _, secret in revealable(draw, "assets", 0)}
    work = [key for key in fulfilment.wanted_work(draw.state) if key not in begun]
    asset = draw.some(work) if work and draw.actor is None and draw.rarely(60) else None
    if asset is not None:
        sender = draw.some(list(draw.state.assets[asset]["shares"]))
    kinds = KINDS if asset is None else (draw.state.assets[asset]["kind"],)
    (kind, artifact), salt = new_artifact(draw, kinds), draw.salt()
    commitment = assets.commitment(artifact.cid, sender, salt, artifact.tensors_digest)
    draw.notebook.secrets[commitment] = Secret((kind, artifact), salt, asset)
    return sender, [assets.Commit(commitment)]


def parents_for(draw: Draw, account: bytes) -> tuple[assets.Derivation, ...]:
    """Derive from what the account holds a grant on, from its own, and rarely from anything."""
    state, found = draw.state, {}
    for _ in range(draw.some([0, 1, 1, 2, 2, 3, 9])):
        grants = [
            (key, grant)
            for key, grant in state.grants.items()
            if draw.rarely(1) or (grant["licensee"] == account and (may_derive(state, grant) or draw.rarely(6)))
        ]
        own = [key for key, asset in state.assets.items() if account in asset["shares"]]
        if grants and draw.rarely(75):
            key, grant = draw.some(grants)
            allowed = state.terms[grant["terms"]]["rights"]
            rights = [right for right in DERIVING if right in allowed or draw.rarely(2)]
            parent, grant_id = grant["asset"], key
        elif own and not draw.rarely():
            parent, grant_id, rights = draw.some(own), None, list(DERIVING)
        elif not draw.rarely(10):
            continue
        else:
            parent, grant_id, rights = draw.some([UNKNOWN, *state.assets]), draw.some([None, UNKNOWN]), []
        if parent in state.assets and state.assets[parent]["kind"] == "dataset" and not draw.rarely():
            rights = ["train-on"]
        right: Any = draw.some(rights or DERIVING)
        found[parent] = assets.Derivation(parent, right, grant_id)
    parents = list(found.values())[: assets.PARENTS_MAX]
    return tuple(parents + parents[:1]) if draw.rarely(2) and len(parents) < assets.PARENTS_MAX else tuple(parents)


def creators_for(draw: Draw, sender: bytes) -> tuple[tuple[bytes, int], ...]:
    if draw.rarely(50):
        return ()
    bps, other = draw.random.randrange(1, 10_000), draw.other(sender)
    if draw.rarely():
        return draw.some(
            [((sender, 10_000), (other, 0)), ((sender, bps), (other, bps)), ((sender, 1), (sender, 9_999))]
        )
    return ((sender, bps), (other, 10_000 - bps))


def least_of(draw: Draw) -> int:
    """A least royalty that an asset may ask for when it changes hands."""
    return draw.price() if draw.at_the_end(10) else draw.some([0, 0, 3, 10**6])


def register(draw: Draw) -> Draft:
    sender, (account, secret) = reveal_one(draw, "assets")
    kind, artifact = secret.subject
    resale = draw.some([0, 0, 250, 1_500])
    terms = assets.TransferTerms(resale, least_of(draw) if resale else 0, not draw.rarely(20))
    labels: dict[str, Any] = {"name": draw.notebook.next("asset")}
    if draw.rarely():
        labels |= draw.some(
            [
                {"name": " "},
                {"tags": ("a", "a")},
                {"metadata": (("a", "1"), ("a", "2"))},
                {"transfer_terms": assets.TransferTerms(0, 1)},
                {"kind": "model" if kind != "model" else "software"},
            ]
        )
    fields = {"kind": kind, "transfer_terms": terms} | labels
    operation = assets.Register(
        artifact,
        draw.salt() if draw.rarely(3) else secret.salt,
        provenance=assets.Provenance(parents_for(draw, account), metrics=attesting.claims(draw)),
        creators=creators_for(draw, sender),
        manager=draw.other(sender) if draw.rarely(10) else None,
        visibility="public" if draw.rarely(10) else "licensed",
        charter=deciding.charter_for(draw),
        **fields,
    )
    return sender, [operation]


def add_version(draw: Draw) -> Draft:
    sender, (account, secret) = reveal_one(draw, "assets")
    kind, artifact = secret.subject
    tradable = draw.tradable()
    managed = [
        key
        for key, asset in draw.state.assets.items()
        if draw.rarely(2) or (asset["manager"] == account and asset["kind"] == kind and key in tradable)
    ]
    waiting = {grant["asset"] for grant in draw.state.grants.values() if grant["due"] is not None}
    asset = draw.some([key for key in managed if key in waiting] or managed)
    named = parents_for(draw, draw.some([account, *draw.state.assets[asset]["shares"]]))
    parents = tuple(one for one in named if one.parent != asset or draw.rarely())
    provenance = assets.Provenance(parents, metrics=attesting.claims(draw))
    return sender, [assets.AddVersion(asset, artifact, secret.salt, provenance)]


def set_alias(draw: Draw) -> Draft:
    sender, asset = draw.asset()
    if draw.rarely(3):
        return sender, [assets.SetAlias(asset, f"alias{number}", 1) for number in range(17)]
    known = draw.state.assets.get(asset, {"aliases": ()})["aliases"]
    alias = "latest" if draw.rarely() else draw.some(["stable", "next", *known])
    return sender, [assets.SetAlias(asset, alias, draw.some([None, 1, 1, 2, 3]))]


def update_metadata(draw: Draw) -> Draft:
    sender, asset = draw.asset()
    labels: dict[str, Any] = {"name": draw.notebook.next("asset"), "tags": ("b",), "metadata": (("c", "d"),)}
    if draw.rarely(10):
        labels |= draw.some([{"name": " "}, {"tags": ("a", "a")}, {"metadata": (("a", "1"), ("a", "2"))}])
    return sender, [assets.UpdateMetadata(asset, labels["name"], "described", labels["tags"], labels["metadata"])]


def set_manager(draw: Draw) -> Draft:
    if draw.rarely(25):
        return sales.planned(draw, assets.SetManager)
    sender, asset = draw.asset("owner")
    return sender, [assets.SetManager(asset, draw.anyone() if draw.rarely(70) else draw.other(sender))]


def retire(draw: Draw) -> Draft:
    if draw.rarely(40):
        return sales.planned(draw, assets.Retire)
    if len(draw.state.assets) < 6 and not draw.rarely():
        raise Nothing
    sender, asset = draw.asset("owner")
    return sender, [assets.Retire(asset)]


def report_held(draw: Draw) -> Draft:
    """One validator reports every version that it has not reported, or one that is none of its business."""
    validators = draw.state.validators
    sender = draw.actor or draw.some(validators if not draw.rarely() else draw.parties())
    if sender not in validators and draw.actor is not None and not draw.rarely():
        raise Nothing
    wanted = [
        assets.ReportHeld(key, number + 1)
        for key, asset in draw.state.assets.items()
        for number, version in enumerate(asset["versions"])
        if sender not in version["held"]
    ]
    if draw.rarely():
        anything = [assets.ReportHeld(key, draw.some([1, 9])) for key in (UNKNOWN, *draw.state.assets)]
        return sender, [draw.some(anything)]
    return sender, [draw.some(wanted)] if draw.rarely(50) else wanted[:20] or [draw.some(wanted)]


class Situation(NamedTuple):
    weight: int
    draft: Callable[[Draw], Draft]


SITUATIONS: dict[type, Situation] = {
    organizations.OpenAccount: Situation(3, open_account),
    organizations.AddKey: Situation(3, add_key),
    organizations.RevokeKey: Situation(3, revoke_key),
    organizations.RotateKey: Situation(3, rotate_key),
    organizations.RequestRecovery: Situation(2, request_recovery),
    organizations.CompleteRecovery: Situation(2, complete_recovery),
    organizations.VetoRecovery: Situation(1, veto_recovery),
    credits.Transfer: Situation(6, transfer),
    development.AdvanceClock: Situation(1, advance_clock),
    assets.Commit: Situation(14, commit_artifact),
    assets.Register: Situation(18, register),
    assets.AddVersion: Situation(14, add_version),
    assets.SetAlias: Situation(4, set_alias),
    assets.SetManager: Situation(3, set_manager),
    assets.UpdateMetadata: Situation(2, update_metadata),
    assets.Consent: Situation(10, sales.consent),
    assets.WithdrawConsent: Situation(1, sales.withdraw_consent),
    assets.Retire: Situation(2, retire),
    assets.ReportHeld: Situation(18, report_held),
    transfers.Offer: Situation(7, sales.offer_transfer),
    transfers.OfferGift: Situation(6, sales.offer_gift),
    transfers.Accept: Situation(12, sales.accept_transfer),
    transfers.Withdraw: Situation(2, sales.withdraw_transfer),
    licenses.Commit: Situation(7, licensing.commit_purchase),
    licenses.Offer: Situation(16, licensing.offer_license),
    licenses.WithdrawOffer: Situation(2, licensing.withdraw_offer),
    licenses.Purchase: Situation(26, licensing.purchase),
    licenses.Renew: Situation(12, licensing.renew),
    licenses.ReportUsage: Situation(8, licensing.report_usage),
    licenses.SetSeats: Situation(5, licensing.set_seats),
    licenses.Revoke: Situation(3, licensing.revoke),
    licenses.Claim: Situation(4, licensing.claim),
    licenses.ApproveDerivatives: Situation(4, licensing.approve),
    royalties.Withdraw: Situation(7, licensing.withdraw),
    market.Commit: Situation(6, sales.commit_purchase),
    market.List: Situation(7, sales.list_for_sale),
    market.Buy: Situation(12, sales.buy),
    market.WithdrawListing: Situation(2, sales.withdraw_listing),
    market.MakeOffer: Situation(8, sales.make_offer),
    market.AcceptOffer: Situation(8, sales.accept_offer),
    market.WithdrawOffer: Situation(2, sales.withdraw_offer),
    market.OpenAuction: Situation(6, sales.open_auction),
    market.Bid: Situation(12, sales.bid),
    market.OpenDutchAuction: Situation(5, sales.open_dutch_auction),
    market.Take: Situation(8, sales.take),
    market.CancelAuction: Situation(2, sales.cancel_auction),
    market.Settle: Situation(4, sales.settle),
    observers.Register: Situation(4, register_observer),
    observers.Withdraw: Situation(2, withdraw_observer),
    Decide: Situation(6, attesting.decide),
    attestations.Evaluate: Situation(14, attesting.evaluate),
    attestations.Audit: Situation(5, attesting.audit),
    attestations.Review: Situation(6, attesting.review),
    attestations.Answer: Situation(3, attesting.answer),
    attestations.PostBond: Situation(6, attesting.post_bond),
    attestations.Resign: Situation(1, attesting.resign),
    disputes.File: Situation(8, disputing.file),
    disputes.Answer: Situation(8, disputing.answer),
    disputes.Vote: Situation(18, disputing.vote),
    disputes.Appeal: Situation(4, disputing.appeal),
    disputes.Lift: Situation(3, disputing.lift),
    disputes.Collect: Situation(8, disputing.collect),
    charters.Propose: Situation(20, deciding.propose),
    charters.Vote: Situation(36, deciding.vote),
    charters.Withdraw: Situation(3, deciding.withdraw),
    contributions.Propose: Situation(22, contributing.propose),
    contributions.Comment: Situation(6, contributing.comment),
    contributions.Accept: Situation(28, contributing.accept),
    contributions.Refuse: Situation(6, contributing.refuse),
    contributions.Withdraw: Situation(2, contributing.withdraw),
    contributions.OpenBounty: Situation(8, contributing.open_bounty),
    contributions.ClaimBounty: Situation(12, contributing.claim_bounty),
    contributions.AwardBounty: Situation(5, contributing.award_bounty),
    contributions.CancelBounty: Situation(2, contributing.cancel_bounty),
    governance.Propose: Situation(4, governing.propose),
    governance.Vote: Situation(14, governing.vote),
    governance.Object: Situation(3, governing.object_to),
}
"""Operation -> how often it is tried, and how."""
