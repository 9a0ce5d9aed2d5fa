"""Disputes: claims with bonds, votes of the organizations that are no party, one appeal, and what follows. Debts.

As docs/spec/disputes.md has it. How often an asset's sales are frozen is counted among the disputes that freeze.
"""

from __future__ import annotations

from typing import Any

from ledger.modules.disputes import operations as ops
from primitives.digest import tagged_hash
from tests.reference import assets, attestations, licenses, reputation, royalties, things
from tests.reference.credits import escrow_name, give_back, hold, move
from tests.reference.grants import known_grant, live, unopposed
from tests.reference.locks import lock_of, locked_bps
from tests.reference.organizations import speaker
from tests.reference.state import BPS, Call, drop_deadline, is_cid, need, organization_of, set_deadline
from tests.reference.terms import AMOUNT_MAX

OPEN_MAX = 8
RETRY_MS = 86_400_000
DEBTS_A_WITHDRAWAL = 8
RELIEFS = {
    ("asset", "infringement"): {"freeze_sales", "transfer_back"},
    ("version", "infringement"): {"freeze_sales"},
    ("version", "wrong-content"): {"freeze_sales"},
    ("grant", "infringement"): {"refund"},
    ("grant", "wrong-content"): {"refund"},
    ("grant", "unpaid"): {"payment"},
    ("freeze", "settled"): {"lift"},
    ("attestation", "false-statement"): {"refute"},
}
Parts = tuple[tuple[bytes, int], ...]
"""(account, bps) in order of account, all together the whole."""


def bond_name(dispute: bytes, bond: str) -> bytes:
    return tagged_hash("dispute-bond", dispute + bond.encode())


# --- claims


def file(call: Call, operation: ops.File) -> None:
    state, subject = call.state, operation.subject
    check_evidence(operation.evidence)
    least = max((operation.amount + 9) // 10, state.bond_min)
    need(operation.bond >= least, "disputes.bond_too_low")
    need(operation.bond <= max(least, min(operation.amount, AMOUNT_MAX // 2)), "disputes.bond_too_high")
    asset, against = respondents_to(call, operation)
    need(all(organization_of(state, one) != call.organization for one in against), "disputes.same_organization")
    about = subject.id if subject.kind in ("grant", "freeze", "attestation") else asset
    known = [row for row in state.disputes.values() if row["state"] != "closed" and row["about"] == about]
    need(all(row["organization"] != call.organization for row in known), "disputes.open_dispute")
    need(len(known) < OPEN_MAX, "disputes.too_many_disputes")
    concerned = {call.sender, *against, *state.assets[asset]["shares"]}
    involved = {organization_of(state, one) for one in concerned}
    arbiters = tuple(name for name in state.organizations if name not in involved)
    need(arbiters, "disputes.no_arbiter")
    identifier = ops.dispute_id(call.id, subject)
    state.disputes[identifier] = {
        "about": about,
        "subject": (subject.kind, subject.id, subject.version),
        "asset": asset,
        "ground": operation.ground,
        "relief": operation.relief,
        "amount": operation.amount,
        "organization": call.organization,
        "respondents": tuple(sorted(against.items())),
        "arbiters": arbiters,
        "recalls": state.assets[asset]["recalls"],
        "claim": (call.sender, operation.bond),
        "answer": None,
        "appeal": None,
        "votes": {},
        "appeal_votes": {},
        "first": None,
        "outcome": None,
        "freezing": False,
        "refunded": 0,
        "taken": 0,
        "owed": 0,
    }
    wait(call, identifier, "answering", state.answer_time)
    hold(state, bond_name(identifier, "claim"), call.sender, operation.bond)
    if operation.relief == "refund":
        hold_grant(state, subject.id)
    elif operation.relief == "refute":
        attestations.contest(state, subject.id)


def check_evidence(cid: str | None) -> None:
    need(cid is None or is_cid(cid), "disputes.evidence")


def respondents_to(call: Call, claim: ops.File) -> tuple[bytes, dict[bytes, int]]:
    """Return the asset, and whom the claim is against, by their parts."""
    state, subject = call.state, claim.subject
    need((subject.kind == "version") == (subject.version > 0), "disputes.subject")
    need(claim.relief in RELIEFS.get((subject.kind, claim.ground), ()), "disputes.relief")
    if subject.kind == "grant":
        return about_grant(call, claim)
    if subject.kind == "freeze":
        frozen = state.disputes.get(subject.id)
        need(frozen is not None and frozen["freezing"], "disputes.not_freezing")
        need(call.sender in state.assets[frozen["asset"]]["shares"], "disputes.not_a_party")
        return frozen["asset"], {frozen["claim"][0]: BPS}
    if subject.kind == "attestation":
        asset, attestor = attestations.respondent(state, subject.id, claim.amount)
        return asset, {attestor: BPS}
    need(subject.id in state.assets, "assets.unknown_asset")
    if subject.kind == "version":
        assets.version_of(state.assets[subject.id], subject.version)
    shares = state.assets[subject.id]["shares"]
    return subject.id, dict(shares) if claim.relief != "transfer_back" else unpaid_sources(state, subject.id)


def unpaid_sources(state: Any, asset: bytes) -> dict[bytes, int]:
    """For each share who did not pay for it: its owner, or who sold it."""
    found: dict[bytes, int] = {}
    for owner, bps in state.assets[asset]["shares"].items():
        bought = state.bought.get((asset, owner), {})
        for account, part in {**bought, owner: bps - sum(bought.values())}.items():
            if part:
                found[account] = found.get(account, 0) + part
    return found


def about_grant(call: Call, claim: ops.File) -> tuple[bytes, dict[bytes, int]]:
    state = call.state
    grant = known_grant(state, claim.subject.id)
    owners = dict(state.assets[grant["asset"]]["shares"])
    if claim.relief == "payment":
        need(call.sender in owners, "disputes.not_a_party")
        need(claim.amount > 0, "disputes.amount")
        return grant["asset"], {grant["licensee"]: BPS}
    need(call.sender == grant["licensee"], "disputes.not_a_party")
    in_force = grant["state"] == "active" and not grant["disputed"]
    need(in_force and state.terms[grant["terms"]]["dispute_window_ms"], "licenses.not_disputable")
    price = grant["price"] - grant["refunded"]
    need(price > 0 and claim.amount == price, "disputes.amount")
    return grant["asset"], owners


def known_dispute(state: Any, identifier: bytes) -> dict[str, Any]:
    need(identifier in state.disputes, "disputes.unknown_dispute")
    dispute: dict[str, Any] = state.disputes[identifier]
    return dispute


def in_state(call: Call, identifier: bytes, states: tuple[str, ...], code: str) -> dict[str, Any]:
    """Return a dispute whose state has not run out."""
    dispute = known_dispute(call.state, identifier)
    need(dispute["state"] in states and call.now < dispute["due"], code)
    return dispute


def wait(call: Call, identifier: bytes, state: str, time: int) -> None:
    dispute = call.state.disputes[identifier]
    dispute.update(state=state, due=call.now + time)
    set_deadline(call.state, dispute["due"], "disputes.due", identifier, dispute["organization"])


def end_wait(call: Call, identifier: bytes) -> None:
    drop_deadline(call.state, call.state.disputes[identifier]["due"], "disputes.due", identifier)


def answer(call: Call, operation: ops.Answer) -> None:
    state, identifier = call.state, operation.dispute
    dispute = in_state(call, identifier, ("answering",), "disputes.answering_over")
    need(call.sender in dict(dispute["respondents"]), "disputes.not_a_respondent")
    check_evidence(operation.evidence)
    bond = dispute["claim"][1] if operation.bonded else 0
    if bond:
        need(state.accounts[call.sender]["frozen"] <= call.now, "organizations.frozen")
        hold(state, bond_name(identifier, "answer"), call.sender, bond)
    dispute["answer"] = (call.sender, bond)
    end_wait(call, identifier)
    wait(call, identifier, "voting", state.voting_time)


def appeal(call: Call, operation: ops.Appeal) -> None:
    state, identifier = call.state, operation.dispute
    dispute = in_state(call, identifier, ("decided",), "disputes.no_appeal")
    claimant, bond = dispute["claim"]
    losers = set(dict(dispute["respondents"])) if dispute["first"] == "upheld" else {claimant}
    need(call.sender in losers, "disputes.not_the_loser")
    need(operation.bond >= 2 * bond, "disputes.bond_too_low")
    check_evidence(operation.evidence)
    hold(state, bond_name(identifier, "appeal"), call.sender, operation.bond)
    dispute["appeal"] = (call.sender, operation.bond)
    end_wait(call, identifier)
    wait(call, identifier, "appealed", state.voting_time)


# --- votes


def vote(call: Call, operation: ops.Vote) -> None:
    state, identifier = call.state, operation.dispute
    organization = speaker(call)["organization"]
    dispute = in_state(call, identifier, ("voting", "appealed"), "disputes.voting_closed")
    owners = {organization_of(state, one) for one in state.assets[dispute["asset"]]["shares"]}
    may_vote = organization in dispute["arbiters"] and organization not in owners
    need(may_vote, "disputes.not_an_arbiter")
    votes = dispute["appeal_votes" if dispute["state"] == "appealed" else "votes"]
    need(organization not in votes, "disputes.already_voted")
    votes[organization] = operation.uphold
    missing = len(dispute["arbiters"]) - len(votes)
    lead = abs(2 * sum(votes.values()) - len(votes))
    if lead > missing or not missing:
        end_wait(call, identifier)
        decide(call, identifier)


def outcome_of(dispute: dict[str, Any], votes: dict[str, bool]) -> str:
    """More than half must vote, and more of them for one side."""
    upholding = sum(votes.values())
    refusing = len(votes) - upholding
    if 2 * len(votes) <= len(dispute["arbiters"]) or upholding == refusing:
        return "failed"
    return "upheld" if upholding > refusing else "rejected"


def decide(call: Call, identifier: bytes) -> None:
    """What the votes say: an appeal that brings no majority leaves the first outcome."""
    dispute = call.state.disputes[identifier]
    if dispute["state"] == "voting":
        dispute["first"] = outcome_of(dispute, dispute["votes"])
        wait(call, identifier, "decided", call.state.appeal_time)
        return
    second = outcome_of(dispute, dispute["appeal_votes"])
    conclude(call, identifier, dispute["first"] if second == "failed" else second, second)


def due(call: Call, identifier: bytes) -> None:
    """Every state ends by itself."""
    dispute = call.state.disputes[identifier]
    if dispute["state"] == "answering":
        wait(call, identifier, "voting", call.state.voting_time)
    elif dispute["state"] == "decided":
        conclude(call, identifier, dispute["first"], "")
    elif dispute["state"] == "recalling":
        take_back(call, identifier)
    else:
        decide(call, identifier)


# --- what follows


def conclude(call: Call, identifier: bytes, outcome: str, second: str) -> None:
    dispute = call.state.disputes[identifier]
    dispute["outcome"] = outcome
    settle_bonds(call.state, identifier, dispute, second)
    if outcome == "rejected":
        reputation.lost(call.state, identifier, {dispute["claim"][0]: BPS})
    elif outcome == "upheld" and dispute["ground"] != "settled" and not found_before(call.state, dispute):
        reputation.lost(call.state, identifier, dict(dispute["respondents"]))
    if outcome == "upheld":
        UPHELD[dispute["relief"]](call, identifier)
    elif dispute["relief"] == "refund":
        release_grant(call, dispute["subject"][1])
    if outcome != "upheld" or dispute["relief"] != "transfer_back":
        close(dispute)
    if dispute["relief"] == "refute":
        attestations.dispute_closed(call.state, dispute["subject"][1])


def found_before(state: Any, dispute: dict[str, Any]) -> bool:
    """Whether it is about a statement that another dispute has found to be false."""
    return dispute["relief"] == "refute" and state.statements[dispute["subject"][1]]["refuted"] is not None


def close(dispute: dict[str, Any]) -> None:
    dispute.update(state="closed", due=None)


def settle_bonds(state: Any, identifier: bytes, dispute: dict[str, Any], second: str) -> None:
    """Each ends once: with the winner, or with who put it up."""
    claimant, answered, appealed = dispute["claim"][0], dispute["answer"], dispute["appeal"]
    against: Parts = dispute["respondents"]
    if answered is not None and answered[1]:
        against = ((answered[0], BPS),)
    winner: dict[str, Parts] = {"upheld": ((claimant, BPS),), "rejected": against}
    pay_bond(state, bond_name(identifier, "claim"), against if dispute["outcome"] == "rejected" else ())
    if answered is not None and answered[1]:
        pay_bond(state, bond_name(identifier, "answer"), winner["upheld"] if dispute["outcome"] == "upheld" else ())
    if appealed is not None:
        lost = second == ("rejected" if appealed[0] == claimant else "upheld")
        pay_bond(state, bond_name(identifier, "appeal"), winner[second] if lost else ())


def pay_bond(state: Any, escrow: bytes, winners: Parts) -> None:
    if not winners:
        give_back(state, escrow)
        return
    _, amount = state.escrows.pop(escrow)
    for account, part in portions(amount, winners):
        move(state, escrow_name(escrow), account, part)
        reputation.paid(state, escrow_name(escrow), {account: BPS}, part)


def portions(amount: int, parts: Parts) -> list[tuple[bytes, int]]:
    """By parts; what rounding leaves is the first one's."""
    divided = [(account, amount * bps // BPS) for account, bps in parts]
    rest = amount - sum(part for _, part in divided)
    return [(divided[0][0], divided[0][1] + rest), *divided[1:]]


def freeze(call: Call, identifier: bytes) -> None:
    call.state.disputes[identifier]["freezing"] = True


def lift_other(call: Call, identifier: bytes) -> None:
    call.state.disputes[call.state.disputes[identifier]["subject"][1]]["freezing"] = False


def lift(call: Call, operation: ops.Lift) -> None:
    dispute = known_dispute(call.state, operation.dispute)
    need(dispute["freezing"], "disputes.not_freezing")
    need(call.sender == dispute["claim"][0], "disputes.not_the_claimant")
    dispute["freezing"] = False


def hold_grant(state: Any, identifier: bytes) -> None:
    """A disputed grant gives no right, and its price stays where it is."""
    grant = state.grants[identifier]
    if grant["due"] is not None:
        drop_deadline(state, grant["due"], "licenses.escrow_due", identifier)
    grant.update(disputed=True, due=None)


def release_grant(call: Call, identifier: bytes) -> None:
    """A claim that did not prevail: the grant goes on, after the checks of a purchase where a price is in escrow."""
    state, grant = call.state, call.state.grants[identifier]
    grant["disputed"] = False
    if identifier in state.escrows:
        gone = live(state, grant) and not unopposed(state, identifier, grant, grant["licensee"])
        (licenses.refund if gone else licenses.settle)(call, identifier)


def refund(call: Call, identifier: bytes) -> None:
    """The price returns from escrow; of what was paid out the respondents owe it."""
    state, dispute = call.state, call.state.disputes[identifier]
    key = dispute["subject"][1]
    grant = state.grants[key]
    grant["disputed"] = False
    if key in state.escrows:
        dispute["refunded"] = state.escrows[key][1] - min(grant["refunded"], state.escrows[key][1])
        licenses.refund(call, key)
    else:
        licenses.end(call, key)
    owe(state, identifier, dispute["amount"] - dispute["refunded"], None)


def refute(call: Call, identifier: bytes) -> None:
    """The statement counts no more, and its attestor's bond pays what there is of the amount."""
    dispute = call.state.disputes[identifier]
    statement, claimant = dispute["subject"][1], dispute["claim"][0]
    dispute["owed"] = attestations.refute(call.state, statement, identifier, claimant, dispute["amount"])


def payment(call: Call, identifier: bytes) -> None:
    dispute = call.state.disputes[identifier]
    owe(call.state, identifier, dispute["amount"], dispute["asset"])


def take_back(call: Call, identifier: bytes) -> None:
    """Every share that nobody has paid for goes to the claimant, as soon as nothing is locked; the rest is owed."""
    state, dispute = call.state, call.state.disputes[identifier]
    asset_id, claimant = dispute["asset"], dispute["claim"][0]
    asset = state.assets[asset_id]
    if asset["recall"] in (None, identifier) and (lock_of(state, "asset", asset_id) or locked_bps(state, asset_id)):
        asset["recall"] = identifier
    if asset["recall"] not in (None, identifier) or lock_of(state, "asset", asset_id) or locked_bps(state, asset_id):
        wait(call, identifier, "recalling", RETRY_MS)
        return
    asset["recall"] = None
    taken = within_reach(state, dispute)
    for owner, bps in taken.items():
        things.move_share(state, asset_id, owner, claimant, bps, False)
    if taken:
        asset["manager"] = claimant
        asset["retired"] = False
        asset["transfers"] += 1
        asset["recalls"] += 1
    dispute["taken"] = sum(taken.values())
    free = asset["shares"].get(claimant, 0) - bought_bps(state, asset_id, claimant)
    owe(state, identifier, dispute["amount"] * (BPS - free) // BPS, None)
    close(dispute)


def bought_bps(state: Any, asset: bytes, account: bytes) -> int:
    return sum(state.bought.get((asset, account), {}).values())


def within_reach(state: Any, dispute: dict[str, Any]) -> dict[bytes, int]:
    asset_id, claimant = dispute["asset"], dispute["claim"][0]
    asset = state.assets[asset_id]
    if asset["recalls"] != dispute["recalls"]:
        return {}
    left = {one: bought_bps(state, asset_id, one) for one in asset["shares"] if one != claimant}
    if 1 + sum(bps > 0 for bps in left.values()) > things.OWNERS_MAX:
        return {}
    return {one: asset["shares"][one] - bps for one, bps in sorted(left.items()) if asset["shares"][one] > bps}


UPHELD = {
    "freeze_sales": freeze,
    "lift": lift_other,
    "refund": refund,
    "payment": payment,
    "transfer_back": take_back,
    "refute": refute,
}


# --- debts


def owe(state: Any, identifier: bytes, amount: int, into: bytes | None) -> None:
    """Each respondent its part, at once as far as its balance goes. A bond that the claimant got counts for what is
    the claimant's."""
    dispute = state.disputes[identifier]
    if into is None and dispute["answer"] is not None:
        amount = max(0, amount - dispute["answer"][1])
    dispute["owed"] = amount
    for debtor, part in portions(amount, dispute["respondents"]):
        key = tagged_hash("dispute-debt", identifier + debtor)
        state.debts[key] = {
            "debtor": debtor,
            "creditor": dispute["claim"][0],
            "amount": part,
            "owed": part,
            "asset": into,
            "dispute": identifier,
        }
        take_what_there_is(state, key)


def take_what_there_is(state: Any, key: bytes) -> int:
    """Take what the debtor's balance holds, at most what is owed; a paid debt is gone."""
    debt = state.debts[key]
    amount = min(debt["owed"], state.balances.get(debt["debtor"], 0))
    if debt["asset"] is None:
        move(state, debt["debtor"], debt["creditor"], amount)
        reputation.paid(state, debt["debtor"], {debt["creditor"]: BPS}, amount)
    elif amount:
        royalties.pay(state, debt["asset"], debt["debtor"], amount, True)
    debt["owed"] -= amount
    if not debt["owed"]:
        del state.debts[key]
    return int(amount)


def collect(call: Call, operation: ops.Collect) -> None:
    need(operation.debt in call.state.debts, "disputes.unknown_debt")
    need(take_what_there_is(call.state, operation.debt), "disputes.nothing_to_collect")


def withdraw(call: Call, operation: Any) -> None:
    """Of what is withdrawn debts are paid first."""
    royalties.withdraw(call, operation)
    mine = sorted(key for key, debt in call.state.debts.items() if debt["debtor"] == call.sender)
    for key in mine[:DEBTS_A_WITHDRAWAL]:
        take_what_there_is(call.state, key)


OPERATIONS = {
    ops.File: file,
    ops.Answer: answer,
    ops.Vote: vote,
    ops.Appeal: appeal,
    ops.Lift: lift,
    ops.Collect: collect,
}
DEADLINES = {"disputes.due": due}
