"""Attestations: who is accredited and for what bond, what was stated, and how much of it counts.

As docs/spec/attestations.md has it. What counts is looked up among all statements whenever somebody asks; what is up of
a bond is what its escrow holds, and how many disputes are open is counted among the disputes.
"""

from __future__ import annotations

from typing import Any

from ledger.modules.assets.operations import Metric
from ledger.modules.attestations import operations as ops
from ledger.modules.governance import operations as governance
from primitives.digest import tagged_hash
from tests.reference import reputation
from tests.reference.credits import add, give_back, move, take_from
from tests.reference.grants import known_grant
from tests.reference.reputation import S
from tests.reference.state import BPS, Call, drop_deadline, is_cid, is_party, need, organization_of, set_deadline

LONGEST_MS = 5 * 366 * 86_400_000
LESS_IS_BETTER = ("accuracy-gap", "mean-absolute-error")


def bond_name(account: bytes) -> bytes:
    return tagged_hash("attestation-bond", account)


def posted(state: Any, account: bytes) -> int:
    return int(state.escrows.get(bond_name(account), (b"", 0))[1])


# --- accreditation


def accredit(call: Call, change: governance.Accredit) -> None:
    """By a vote; what was decided about the account before is over."""
    state, account = call.state, change.account
    need(is_party(state, account), "attestations.invalid_account")
    need(len(set(change.roles)) == len(change.roles), "attestations.roles")
    need(state.attestation_bonds[0] <= change.bond <= state.attestation_bonds[1], "attestations.bond_out_of_bounds")
    need(call.now < change.until_ms <= call.now + LONGEST_MS, "attestations.until")
    known = state.accreditations.get(account)
    if known is not None and known["ended"] is None:
        need(not known["suspended"], "attestations.already_suspended")
        drop_deadline(state, known["until"], "attestations.expiry", account)
    elif known is not None and known["bond_until"] is not None:
        drop_deadline(state, known["bond_until"], "attestations.bond_due", account)
    organization = organization_of(state, account)
    state.accreditations[account] = {
        "organization": organization,
        "roles": change.roles,
        "tier": change.tier,
        "bond": change.bond,
        "until": change.until_ms,
        "since": call.now,
        "suspended": False,
        "ended": None,
        "bond_until": None,
    }
    set_deadline(state, change.until_ms, "attestations.expiry", account, organization)


def accredited(state: Any, account: bytes) -> dict[str, Any]:
    known: dict[str, Any] = state.accreditations.get(account, {"ended": "never"})
    need(known["ended"] is None, "attestations.not_accredited")
    return known


def suspend(call: Call, change: governance.SuspendAccreditation) -> None:
    known = accredited(call.state, change.account)
    need(not known["suspended"], "attestations.already_suspended")
    known["suspended"] = True


def reinstate(call: Call, change: governance.ReinstateAccreditation) -> None:
    known = accredited(call.state, change.account)
    need(known["suspended"], "attestations.not_suspended")
    known["suspended"] = False


def end(call: Call, account: bytes, how: str) -> None:
    """The bond stays as long as a dispute may take."""
    known = accredited(call.state, account)
    if how != "expired":
        drop_deadline(call.state, known["until"], "attestations.expiry", account)
    known.update(ended=how, suspended=False)
    if posted(call.state, account):
        state = call.state
        known["bond_until"] = call.now + state.answer_time + 2 * state.voting_time + state.appeal_time
        set_deadline(state, known["bond_until"], "attestations.bond_due", account, known["organization"])


def bond_due(call: Call, account: bytes) -> None:
    call.state.accreditations[account]["bond_until"] = None
    return_bond(call.state, account)


def return_bond(state: Any, account: bytes) -> None:
    """When the accreditation is over, its time too, and nobody disputes what the account has stated."""
    known = state.accreditations[account]
    over = known["ended"] is not None and known["bond_until"] is None
    if over and posted(state, account) and not open_disputes(state, account):
        give_back(state, bond_name(account))


def open_disputes(state: Any, account: bytes) -> int:
    about = [row["subject"][1] for row in state.disputes.values() if row["state"] != "closed"]
    mine = [state.statements[one] for one in about if one in state.statements]
    return sum(row["attestor"] == account and row["kind"] != "review" for row in mine)


def post_bond(call: Call, operation: ops.PostBond) -> None:
    state, account = call.state, operation.account
    known = accredited(state, account)
    need(call.organization == known["organization"], "attestations.another_organization")
    missing = known["bond"] - posted(state, account)
    need(missing > 0, "attestations.bond_is_up")
    payer, _ = state.escrows.get(bond_name(account), (call.sender, 0))
    need(payer == call.sender, "attestations.another_payer")
    add(state, bond_name(account), call.sender, missing)


def resign(call: Call, _operation: ops.Resign) -> None:
    end(call, call.sender, "resigned")


# --- statements


def may_state(call: Call, role: str) -> int:
    """Return the tier of the sender, which may state something now."""
    known = accredited(call.state, call.sender)
    need(call.now < known["until"], "attestations.not_accredited")
    need(role in known["roles"], "attestations.role")
    need(not known["suspended"], "attestations.accreditation_suspended")
    need(posted(call.state, call.sender) >= known["bond"], "attestations.bond_missing")
    return int(known["tier"])


def known_version(state: Any, asset: bytes, number: int) -> Any:
    need(asset in state.assets, "assets.unknown_asset")
    versions = state.assets[asset]["versions"]
    need(1 <= number <= len(versions), "assets.unknown_version")
    return versions[number - 1]


def interested(state: Any, asset: bytes, number: int) -> set[str]:
    """The organizations of owners, of who registered it, and of who made the version for the owners."""
    record = state.assets[asset]
    made = record["versions"][number - 1]["maker"]
    accounts = {*record["shares"], *([made[0]] if made else [])}
    return {organization_of(state, one) for one in accounts} | {record["organization"]}


def named(state: Any, asset: bytes, number: int) -> set[str]:
    """Those who were made creators or manager, and have no other interest."""
    record = state.assets[asset]
    accounts = {*record["creators"], record["manager"]}
    return {organization_of(state, one) for one in accounts} - interested(state, asset, number)


def check_subject(call: Call, asset: bytes, version: int) -> None:
    known_version(call.state, asset, version)
    need(call.organization not in interested(call.state, asset, version), "attestations.interested")


def check_text(cid: str | None) -> None:
    need(cid is None or is_cid(cid), "attestations.text")


def check_until(call: Call, until: int | None) -> None:
    need(until is None or until > call.now, "attestations.until")


def enter(call: Call, operation: Any, **row: Any) -> None:
    """Write a statement in place of the sender's latest about the same."""
    state = call.state
    same = [key for key, one in state.statements.items() if (one["kind"], one["about"]) == (row["kind"], row["about"])]
    if row["kind"] == "review":
        need(not same or state.statements[same[-1]]["attestor"] == call.sender, "attestations.already_reviewed")
    mine = [key for key in same if state.statements[key]["attestor"] == call.sender]
    need(operation.supersedes == (mine[-1] if mine else None), "attestations.supersedes")
    state.statements[ops.statement_id(call.id, operation)] = {
        "attestor": call.sender,
        "organization": call.organization,
        "supersedes": operation.supersedes,
        "refuted": None,
        "contested": False,
        "at": call.now,
        **row,
    }


def evaluate(call: Call, operation: ops.Evaluate) -> None:
    tier = may_state(call, "evaluate")
    check_subject(call, operation.asset, operation.version)
    need(
        known_version(call.state, operation.asset, operation.version)["cid"] not in call.state.down, "assets.taken_down"
    )
    need(operation.dataset in call.state.assets, "assets.unknown_asset")
    need(call.state.assets[operation.dataset]["kind"] == "dataset", "attestations.not_a_dataset")
    data = known_version(call.state, operation.dataset, operation.dataset_version)
    need(data["cid"] not in call.state.down, "assets.taken_down")
    check_text(operation.report)
    check_until(call, operation.until_ms)
    measured = (operation.metric, operation.dataset, operation.dataset_version)
    about = (operation.asset, operation.version, *measured)
    enter(
        call, operation, kind="evaluation", about=about, said=operation.value_ppm, until=operation.until_ms, tier=tier
    )
    weigh_evaluation(call, ops.statement_id(call.id, operation))


def audit(call: Call, operation: ops.Audit) -> None:
    tier = may_state(call, "audit")
    check_subject(call, operation.asset, operation.version)
    check_text(operation.report)
    check_until(call, operation.until_ms)
    about = (operation.asset, operation.version)
    enter(call, operation, kind="audit", about=about, said=operation.verdict, until=operation.until_ms, tier=tier)
    key = ops.statement_id(call.id, operation)
    for other in earlier(call.state, key):
        reputation.ended(call.state, other)
    rating = {"passed": S, "conditional": S // 2, "failed": 0}[operation.verdict]
    if rating and call.organization in named(call.state, *about):
        return
    about_whom = reputation.answering_for(call.state, operation.asset, operation.version)
    reputation.stated(call.state, key, call.sender, about_whom, rating, tier)


def review(call: Call, operation: ops.Review) -> None:
    state = call.state
    grant = known_grant(state, operation.grant)
    need(grant["licensee"] == call.sender, "attestations.not_licensee")
    check_subject(call, grant["asset"], operation.version)
    paid = grant["used"] * state.terms[grant["terms"]]["usage_price"]
    if grant["state"] == "active":
        waiting = grant["disputed"] or grant["due"] is not None
        paid += grant["price"] * (grant["terms_paid"] - waiting) - grant["refunded"]
    need(paid > 0 and not grant["exempt"], "attestations.not_paid")
    check_text(operation.text)
    said = (grant["asset"], operation.version, operation.rating_ppm)
    enter(call, operation, kind="review", about=(operation.grant,), said=said, until=None, tier=0)
    if operation.supersedes is None:
        reputation.reviewed(state, operation.grant, call.sender, operation.rating_ppm, paid)
    else:
        reputation.rated_anew(state, operation.grant, operation.rating_ppm)


def answer(call: Call, operation: ops.Answer) -> None:
    state = call.state
    need(operation.statement in state.statements, "attestations.unknown_statement")
    asset = state.assets[asset_of(state.statements[operation.statement])]
    need(call.sender in (asset["manager"], *asset["shares"]), "attestations.not_concerned")
    need((operation.statement, call.sender) not in state.answers, "attestations.already_answered")
    check_text(operation.text)
    state.answers[operation.statement, call.sender] = (operation.text, call.now)


def asset_of(statement: dict[str, Any]) -> bytes:
    return bytes(statement["said"][0] if statement["kind"] == "review" else statement["about"][0])


# --- what counts


def counting(state: Any, kind: str, about: tuple[Any, ...], apart: set[str] | None = None) -> list[tuple[bool, Any]]:
    """What organizations without an interest, or beside those `apart`, have said last about one thing, where it holds:
    (whether also what is good counts of it, what was said)."""
    latest: dict[str, bytes] = {}
    for key, row in state.statements.items():
        if (row["kind"], row["about"]) == (kind, about):
            latest[row["organization"]] = key
    concerned = interested(state, *about[:2]) if apart is None else apart
    partial = named(state, *about[:2]) if apart is None else set()
    heard = {name: key for name, key in latest.items() if name not in concerned and holds(state, key)}
    return [(name not in partial, state.statements[key]["said"]) for name, key in heard.items()]


def holds(state: Any, key: bytes) -> bool:
    row = state.statements[key]
    known = state.accreditations[row["attestor"]]
    role = "evaluate" if row["kind"] == "evaluation" else "audit"
    accredited_now = known["ended"] is None and not known["suspended"] and state.now < known["until"]
    bonded = posted(state, row["attestor"]) >= known["bond"]
    fresh = row["until"] is None or state.now < row["until"]
    return bool(accredited_now and role in known["roles"] and bonded and fresh and row["refuted"] is None)


def standing_of(state: Any, asset: bytes, number: int) -> list[tuple[int, int]]:
    """For each claim of a version how many reproduce it, and how many contradict it."""
    claims: list[tuple[str, int, int, bytes | None, int | None]] = state.assets[asset]["versions"][number - 1]["claims"]
    found = []
    for name, value, tolerance, dataset, version in claims:
        said = counting(state, "evaluation", (asset, number, name, dataset, version)) if dataset is not None else []
        near = [impartial for impartial, one in said if value - tolerance <= one <= value + tolerance]
        found.append((sum(near), len(said) - len(near)))
    return found


def check_claims(state: Any, metrics: tuple[Metric, ...]) -> None:
    """A claim names a registered version of a data set, or nothing."""
    for metric in metrics:
        if (metric.dataset, metric.dataset_version) == (None, None):
            continue
        need(metric.dataset is not None and metric.dataset_version is not None, "assets.metric_dataset")
        assert metric.dataset is not None
        assert metric.dataset_version is not None
        need(metric.dataset in state.assets, "assets.unknown_asset")
        need(state.assets[metric.dataset]["kind"] == "dataset", "assets.metric_dataset")
        known_version(state, metric.dataset, metric.dataset_version)


# --- what it is evidence of


def earlier(state: Any, key: bytes) -> list[bytes]:
    """What the same organization has stated about the same thing before, by whichever account."""
    row = state.statements[key]
    same = ("kind", "about", "organization")
    return [
        other
        for other, one in state.statements.items()
        if other != key and all(one[name] == row[name] for name in same)
    ]


def agreement(one: bytes, other: bytes) -> bytes:
    return tagged_hash("evaluation-agreement", one + other)


def end_evaluation(state: Any, key: bytes) -> None:
    """It speaks of nobody any more, and nobody speaks of it."""
    reputation.ended(state, key)
    for other, row in state.statements.items():
        if (row["kind"], row["about"]) == ("evaluation", state.statements[key]["about"]):
            reputation.ended(state, agreement(key, other))
            reputation.ended(state, agreement(other, key))


def weigh_evaluation(call: Call, key: bytes) -> None:
    """Of the creators where it is what the owner claims that was measured; of the four others who measured it last, and
    they of it, where they count: two values agree within twice the tolerance."""
    state, row = call.state, call.state.statements[key]
    for other in earlier(state, key):
        end_evaluation(state, other)
    asset, number, *measured = row["about"]
    claims = state.assets[asset]["versions"][number - 1]["claims"]
    mine = [(claim[1], claim[2]) for claim in claims if [claim[0], *claim[3:]] == measured]
    if not mine:
        return
    near = sum(value - tolerance <= row["said"] <= value + tolerance for value, tolerance in mine)
    rating = S * near // len(mine)
    if not (near and call.organization in named(state, asset, number)):
        reputation.stated(state, key, call.sender, reputation.answering_for(state, asset, number), rating, row["tier"])
    latest: dict[str, bytes] = {}
    for other, one in state.statements.items():
        if (one["kind"], one["about"]) == ("evaluation", row["about"]):
            latest.pop(one["organization"], None)
            latest[one["organization"]] = other
    last = [name for name in reversed(latest) if name != row["organization"]][:4]
    names = [name for name in last if name not in interested(state, asset, number)]
    for other in [latest[name] for name in names if holds(state, latest[name])]:
        one = state.statements[other]
        agree = S if abs(one["said"] - row["said"]) <= 2 * max(tolerance for _, tolerance in mine) else 0
        reputation.stated(state, agreement(key, other), call.sender, {one["attestor"]: BPS}, agree, row["tier"])
        reputation.stated(state, agreement(other, key), one["attestor"], {call.sender: BPS}, agree, one["tier"])


def unweigh(state: Any, statement: bytes) -> None:
    """What was found to be false is evidence of nothing."""
    row = state.statements[statement]
    if row["kind"] == "evaluation":
        end_evaluation(state, statement)
    elif row["kind"] == "audit":
        reputation.ended(state, statement)
    elif row["contested"] or is_latest_review(state, statement):
        reputation.ended(state, row["about"][0])


def is_latest_review(state: Any, statement: bytes) -> bool:
    about = state.statements[statement]["about"]
    return [key for key, one in state.statements.items() if one["about"] == about][-1] == statement


# --- disputes about statements


def contest(state: Any, statement: bytes) -> None:
    """Nobody saves a review's evidence by saying the same again after the claim."""
    row = state.statements[statement]
    if row["kind"] == "review" and is_latest_review(state, statement):
        row["contested"] = True


def respondent(state: Any, statement: bytes, amount: int) -> tuple[bytes, bytes]:
    """Return the asset and the attestor of a statement that may be disputed for so much."""
    need(statement in state.statements, "attestations.unknown_statement")
    row = state.statements[statement]
    need(row["refuted"] is None, "attestations.already_refuted")
    up = 0 if row["kind"] == "review" else posted(state, row["attestor"])
    need(amount <= up, "attestations.beyond_the_bond")
    return asset_of(row), row["attestor"]


def refute(state: Any, statement: bytes, dispute: bytes, recipient: bytes, amount: int) -> int:
    """The statement counts no more; return what the claimant gets of the bond."""
    row = state.statements[statement]
    if row["refuted"] is None:
        unweigh(state, statement)
    row["refuted"] = row["refuted"] or dispute
    taken = 0 if row["kind"] == "review" else min(amount, posted(state, row["attestor"]))
    if taken:
        move(state, take_from(state, bond_name(row["attestor"]), taken), recipient, taken)
        reputation.paid(state, row["attestor"], {recipient: BPS}, taken)
    return taken


def dispute_closed(state: Any, statement: bytes) -> None:
    row = state.statements[statement]
    if row["kind"] != "review":
        return_bond(state, row["attestor"])


OPERATIONS = {
    ops.Evaluate: evaluate,
    ops.Audit: audit,
    ops.Review: review,
    ops.Answer: answer,
    ops.PostBond: post_bond,
    ops.Resign: resign,
}
DEADLINES = {
    "attestations.expiry": lambda call, account: end(call, account, "expired"),
    "attestations.bond_due": bond_due,
}
