"""What might happen in disputes next: claims, answers, votes, appeals, debts. See situations_kit.py."""

from __future__ import annotations

from typing import Any

from ledger.modules.disputes import operations as disputes
from tests.property.drawing_kit import UNKNOWN, Draft, Draw, Nothing
from tests.reference.attestations import posted
from tests.reference.disputes import RELIEFS

Claim = tuple[bytes, disputes.Subject, str, int]
"""Who may claim, about what, for which relief, and how much at least is in dispute."""


def evidence(draw: Draw) -> str:
    known = list(draw.state.claims)
    return "b" + "a" * 58 if draw.rarely(3) or not known else draw.some(known)


def in_dispute(draw: Draw, respondent: bytes) -> int:
    """Little, or more than the respondent has: then there is a debt."""
    held = draw.state.balances.get(respondent, 0)
    if draw.at_the_end():
        return draw.price()
    return int(draw.some([1, 10**6, held + 1, held + 7, held + 10**9] if draw.rarely(60) else [1, 500]))


def refunds(draw: Draw) -> list[Claim]:
    """Of prices in escrow or paid out; of renewals and of what was partly paid back first where there are any."""
    state = draw.state
    found = [
        (grant["licensee"], disputes.Subject("grant", key), "refund", grant["price"] - grant["refunded"])
        for key, grant in state.grants.items()
        if (grant["state"] == "active" and not grant["disputed"] and grant["price"] > grant["refunded"])
        and (state.terms[grant["terms"]]["dispute_window_ms"] or draw.rarely(2))
    ]
    grants = {claim: state.grants[claim[1].id] for claim in found}
    first = [claim for claim, grant in grants.items() if grant["renewed_from"] is not None or grant["refunded"]]
    return first if first and draw.rarely(60) else found


def payments(draw: Draw) -> list[Claim]:
    """By owners of another organization than the licensee's that have the bond for it, where there are such."""
    state = draw.state
    found = [
        (owner, disputes.Subject("grant", key), "payment", in_dispute(draw, grant["licensee"]))
        for key, grant in state.grants.items()
        for owner in state.assets[grant["asset"]]["shares"]
        if draw.rarely(20)
    ]
    foreign = [
        row
        for row in found
        if state.accounts[row[0]]["organization"] != state.accounts[state.grants[row[1].id]["licensee"]]["organization"]
    ]
    return [row for row in foreign if row[3] < 10 * state.balances.get(row[0], 0)] or found


def about_assets(draw: Draw) -> list[Claim]:
    """By anybody of another organization."""
    state, found = draw.state, []
    for key, asset in state.assets.items():
        own = {state.accounts[one]["organization"] for one in asset["shares"]}
        others = [one for one in draw.parties() if state.accounts[one]["organization"] not in own or draw.rarely()]
        if not others:
            continue
        claimant, amount = draw.some(others), in_dispute(draw, draw.some(list(asset["shares"])))
        found.append((claimant, disputes.Subject("asset", key), draw.some(["freeze_sales", "transfer_back"]), amount))
        version = draw.some([1, 1, len(asset["versions"]), 9 if draw.rarely(5) else 1])
        found.append((claimant, disputes.Subject("version", key, version), "freeze_sales", 0))
    return found


def lifts(draw: Draw) -> list[Claim]:
    state = draw.state
    return [
        (owner, disputes.Subject("freeze", key), "lift", draw.some([0, 500]))
        for key, row in state.disputes.items()
        if row["freezing"] or draw.rarely(2)
        for owner in state.assets[row["asset"]]["shares"]
    ]


def refutations(draw: Draw) -> list[Claim]:
    """By anybody of another organization, for some or all of what is up of the bond."""
    state, found = draw.state, []
    refuted = {key: row for key, row in state.statements.items() if row["refuted"] is not None}
    for key, row in (refuted if draw.rarely(20) else state.statements).items():
        own = row["organization"]
        others = [one for one in draw.parties() if state.accounts[one]["organization"] != own or draw.rarely()]
        if not others or (row["refuted"] is not None and not draw.rarely(30)):
            continue
        up = 0 if row["kind"] == "review" else posted(state, row["attestor"])
        amount = draw.some([0, up // 2, up, up]) if not draw.rarely() else up + 1
        found.append((draw.some(others), disputes.Subject("attestation", key), "refute", amount))
    return found


def odd_claims(draw: Draw) -> list[Claim]:
    kinds: Any = ("asset", "version", "grant", "freeze", "attestation")
    subject = disputes.Subject(draw.some(kinds), UNKNOWN, draw.some([0, 1]))
    return [(draw.anyone(), subject, draw.some(["refund", "payment", "lift", "freeze_sales", "refute"]), 1)]


def file(draw: Draw) -> Draft:
    """A few at a time: who is a party to everything decides nothing."""
    opened = [row for row in draw.state.disputes.values() if row["state"] != "closed"]
    if len(opened) > 4 and not draw.rarely():
        raise Nothing
    makers = [refunds, refunds, payments, payments, about_assets, about_assets, lifts, refutations]
    rows = odd_claims(draw) if draw.rarely(4) else draw.some(makers)(draw)
    sender, (_, subject, relief, amount) = draw.subject(rows, lambda row: row[0])
    grounds = [ground for (kind, ground), reliefs in RELIEFS.items() if kind == subject.kind and relief in reliefs]
    ground: Any = "settled" if draw.rarely(2) or not grounds else draw.some(grounds)
    asked: Any = relief
    amount += draw.rarely(2)
    least = max((amount + 9) // 10, draw.state.bond_min)
    bond = draw.some([least, least, min(least + 1, max(least, amount)), max(least, amount)])
    bond = draw.some([max(1, least - 1), max(least, amount) + 1]) if draw.rarely(4) else bond
    operation = disputes.File(subject, ground, asked, amount, bond, evidence(draw))
    return sender, [operation]


def in_states(draw: Draw, *states: str) -> list[bytes]:
    """Disputes in one of these states, and rarely others."""
    known = draw.state.disputes
    return list(known) if draw.rarely(8) else [key for key, row in known.items() if row["state"] in states]


def answer(draw: Draw) -> Draft:
    rows = [UNKNOWN] if draw.rarely(3) else in_states(draw, "answering")
    known = draw.state.disputes
    sender, key = draw.subject(rows, lambda key: draw.some(known[key]["respondents"])[0] if key in known else UNKNOWN)
    sender = draw.anyone() if sender == UNKNOWN else sender
    return sender, [disputes.Answer(key, draw.rarely(50), evidence(draw) if draw.rarely(30) else None)]


def vote(draw: Draw) -> Draft:
    """An arbiter that has not voted yet, first on what others have voted on or what leaves a debt; rarely another."""
    state = draw.state
    rows = [UNKNOWN] if draw.rarely(3) else in_states(draw, "voting", "appealed")
    known = state.disputes
    begun = [key for key in rows if key in known and (known[key]["votes"] or beyond_means(draw, key))]
    rows = begun if begun and draw.rarely(60) else rows

    def arbiter(key: bytes) -> bytes:
        row = known.get(key, {"arbiters": (), "state": "", "votes": {}})
        votes = row["appeal_votes" if row["state"] == "appealed" else "votes"]
        left = [name for name in row["arbiters"] if name not in votes or draw.rarely()]
        speakers = [one for one in draw.parties() if state.accounts[one]["vouches"]]
        fit = [one for one in speakers if state.accounts[one]["organization"] in left]
        return draw.some(draw.parties() if draw.rarely(10) else fit)

    sender, key = draw.subject(rows, arbiter)
    owing = key in known and beyond_means(draw, key)
    return sender, [disputes.Vote(key, draw.rarely(95 if owing else 70))]


def beyond_means(draw: Draw, key: bytes) -> bool:
    """Whether the respondents of a claim for credits do not have what is asked."""
    row = draw.state.disputes[key]
    held = sum(draw.state.balances.get(account, 0) for account, _ in row["respondents"])
    return row["relief"] == "payment" and row["amount"] > held


def appeal(draw: Draw) -> Draft:
    known = draw.state.disputes
    rows = [UNKNOWN] if draw.rarely(3) else in_states(draw, "decided")

    def loser(key: bytes) -> bytes:
        if key not in known:
            return draw.anyone()
        row = known[key]
        return bytes(draw.some(row["respondents"])[0] if row["first"] == "upheld" else row["claim"][0])

    sender, key = draw.subject(rows, loser)
    bond = 2 * known[key]["claim"][1] if key in known else 1
    return sender, [disputes.Appeal(key, max(1, bond - draw.rarely(5)), evidence(draw) if draw.rarely(20) else None)]


def lift(draw: Draw) -> Draft:
    known = draw.state.disputes
    freezing = [key for key, row in known.items() if row["freezing"]] or list(known)[:1]
    rows = [UNKNOWN] if draw.rarely(3) else freezing
    sender, key = draw.subject(rows, lambda key: known[key]["claim"][0] if key in known else draw.anyone())
    if not known and not draw.rarely(10):
        raise Nothing
    return sender, [disputes.Lift(key)]


def collect(draw: Draw) -> Draft:
    balances, debts = draw.state.balances, draw.state.debts
    rows = [key for key, debt in debts.items() if balances.get(debt["debtor"]) or draw.rarely(20)]
    if not rows and not draw.rarely():
        raise Nothing
    return draw.anyone(), [disputes.Collect(draw.some([UNKNOWN] if draw.rarely(8) or not rows else rows))]
