"""What might happen to accreditations and statements next. See situations_kit.py."""

from __future__ import annotations

from typing import Any

from ledger.modules.assets.operations import Metric
from ledger.modules.attestations import operations as attestations
from ledger.modules.governance import operations as governance
from tests.property import fulfilment_kit as fulfilment
from tests.property.drawing_kit import DAY_MS, UNKNOWN, Draft, Draw, Nothing
from tests.reference.attestations import asset_of, interested, posted
from tests.reference.decisions import Decide

METRICS: tuple[Any, ...] = ("accuracy", "accuracy", "accuracy-gap")
VALUES = (900_000, 900_000, 905_000, 910_000, 0, 1_000_000)
ROLES: tuple[Any, ...] = (("evaluate", "audit"), ("evaluate", "audit"), ("evaluate",), ("audit",))


def text(draw: Draw) -> str:
    known = list(draw.state.claims)
    return "b" + "a" * 58 if draw.rarely(3) or not known else draw.some(known)


def claims(draw: Draw) -> tuple[Metric, ...]:
    """What a version claims: mostly on a data set that there is."""
    datasets = [key for key, asset in draw.state.assets.items() if asset["kind"] == "dataset"]
    found = []
    for _ in range(draw.some([0, 1, 2])):
        dataset = draw.some(datasets[:2]) if datasets and draw.rarely(85) else None
        version = None if dataset is None else 1
        if draw.rarely(3):
            dataset = draw.some([UNKNOWN, *draw.state.assets])
            version = draw.some([1, 9, None])
        name = draw.some((*METRICS, "a-word-of-its-own"))
        found.append(Metric(name, draw.some(VALUES), draw.some([0, 5_000, 10_000]), dataset, version))
    return tuple(found)


# --- accreditation


def decide(draw: Draw) -> Draft:
    """Accredit while few are, then anything."""
    state, sender = draw.state, draw.anyone()
    live = [key for key, row in state.accreditations.items() if row["ended"] is None]
    heard = {state.accounts[key]["organization"] for key in attestors(draw, "evaluate")}
    lacking = fulfilment.needed(state) - heard
    short = [key for key in live if state.accounts[key]["organization"] in lacking]
    if lacking and not short and draw.rarely(80):
        low, _ = state.attestation_bonds
        fit = [one for one in draw.parties() if state.accounts[one]["organization"] in lacking]
        fit = [one for one in fit if state.balances.get(one, 0) >= low and state.accounts[one]["frozen"] <= state.now]
        return sender, [Decide(governance.Accredit(draw.some(fit), ("evaluate",), 5, low, state.now + 30 * DAY_MS))]
    if len(live) < 3 or draw.rarely(10):
        return sender, [Decide(accreditation(draw))]
    changes: list[Any] = [
        governance.SuspendAccreditation,
        governance.ReinstateAccreditation,
        governance.ReinstateAccreditation,
        governance.EndAccreditation,
    ]
    suspended = [key for key in live if state.accreditations[key]["suspended"]]
    change = draw.some(changes)
    rows = suspended if change is governance.ReinstateAccreditation and not draw.rarely(10) else live
    rows = [UNKNOWN, *state.accreditations] if draw.rarely(10) else rows
    return sender, [Decide(change(draw.some(rows)))]


def accreditation(draw: Draw) -> governance.Accredit:
    low, high = draw.state.attestation_bonds
    account = draw.other(UNKNOWN) if not draw.rarely() else draw.some([UNKNOWN, draw.state.validators[0]])
    bond = draw.some([low, low, low + 1, 10 * low])
    if draw.rarely(5):
        bond = draw.some([max(1, low - 1), high, high + 1])
    until = draw.state.now + draw.some([1, 60_000, 30 * DAY_MS, 30 * DAY_MS, 366 * DAY_MS])
    if draw.rarely(5):
        until = draw.state.now + draw.some([0, 5 * 366 * DAY_MS, 5 * 366 * DAY_MS + 1])
    roles = ("audit", "audit") if draw.rarely(3) else draw.some(ROLES)
    return governance.Accredit(account, roles, draw.some([1, 5, 10]), bond, until)


def post_bond(draw: Draw) -> Draft:
    state = draw.state
    rows = [
        key
        for key, row in state.accreditations.items()
        if draw.rarely() or (row["ended"] is None and posted(state, key) < row["bond"])
    ]
    needed = fulfilment.needed(state)
    rows = [key for key in rows if state.accreditations[key]["organization"] in needed or draw.rarely(40)] or rows
    if draw.rarely(3):
        rows = [UNKNOWN]
    account = draw.some(rows)
    organization = state.accreditations.get(account, {"organization": ""})["organization"]
    own = [one for one in draw.parties() if state.accounts[one]["organization"] == organization]
    rich = [one for one in own if state.balances.get(one, 0) >= state.accreditations[account]["bond"]]
    first = rich if account not in rich and not draw.rarely(20) else [account]
    payer = draw.some(first) if first and draw.rarely(80) else draw.some([*own, draw.anyone()])
    return draw.actor or payer, [attestations.PostBond(account)]


def resign(draw: Draw) -> Draft:
    rows = [key for key, row in draw.state.accreditations.items() if row["ended"] is None or draw.rarely()]
    sender, _ = draw.subject(rows, lambda account: account)
    return sender, [attestations.Resign()]


# --- statements


def attestors(draw: Draw, role: str) -> list[bytes]:
    """Who may state something; rarely who may not."""
    state = draw.state
    if draw.rarely(12):
        return list(state.accreditations)
    return [
        key
        for key, row in state.accreditations.items()
        if role in row["roles"] and row["ended"] is None and not row["suspended"] and posted(state, key) >= row["bond"]
    ]


def subject(draw: Draw, attestor: bytes) -> tuple[bytes, int]:
    """A version that the attestor's organization has nothing to do with, mostly one that claims something."""
    state = draw.state
    if draw.rarely(2):
        return UNKNOWN, 1
    organization = state.accounts[attestor]["organization"]
    foreign = [
        key
        for key, asset in state.assets.items()
        if draw.rarely(4) or organization not in interested(state, key, len(asset["versions"]))
    ]
    claiming = [key for key in foreign if any(version["claims"] for version in state.assets[key]["versions"])]
    asset = draw.some(claiming if claiming and draw.rarely(80) else foreign)
    versions = state.assets[asset]["versions"]
    with_claims = [number for number, version in enumerate(versions, 1) if version["claims"]]
    return asset, 9 if draw.rarely(2) else draw.some(with_claims or [len(versions)])


def until(draw: Draw) -> int | None:
    now = draw.state.now
    return draw.some([now, now + 1, now + 60_000, now + DAY_MS]) if draw.rarely(20) else None


def superseded(draw: Draw, sender: bytes, kind: str, about: tuple[Any, ...]) -> bytes | None:
    """The sender's latest about the same, or rarely something else."""
    rows = draw.state.statements
    if rows and draw.rarely(4):
        return draw.some([*rows, UNKNOWN])
    mine = [
        key
        for key, row in rows.items()
        if (row["kind"], row["about"]) == (kind, about) and (row["attestor"] == sender or draw.rarely(10))
    ]
    return None if not mine or draw.rarely(4) else mine[-1]


def for_bounties(draw: Draw, senders: list[bytes]) -> list[tuple[bytes, fulfilment.Waiting]]:
    """(who may say it, what a bounty waits for)"""
    organizations = {one: draw.state.accounts[one]["organization"] for one in senders}
    waiting = fulfilment.fulfillable(draw.state)
    return [(one, row) for row in waiting for one, name in organizations.items() if name in row.silent]


def evaluate(draw: Draw) -> Draft:
    senders = [draw.actor] if draw.actor is not None else attestors(draw, "evaluate")
    waiting = for_bounties(draw, senders) if draw.rarely(80) else []
    sender, awaited = draw.some(waiting) if waiting else (draw.some(senders), None)
    asset, version = subject(draw, sender)
    known = draw.state.assets.get(asset, {"versions": []})["versions"]
    claimed = [row for row in known[version - 1]["claims"] if row[3] is not None] if version <= len(known) else []
    datasets = [key for key, one in draw.state.assets.items() if one["kind"] == "dataset"]
    if awaited is not None:
        asset, version, metric, dataset, dataset_version = awaited.about
        value = min(max(awaited.bound + draw.some([0, 0, 0, 1, -1]), 0), 10**6)
    elif claimed and draw.rarely(80):
        name, value, _, dataset, dataset_version = draw.some(claimed)
        metric: Any = name if name in attestations.METRICS else "accuracy"
        value = draw.some([min(max(value, 0), 10**6), draw.some(VALUES)])
    else:
        metric, value = draw.some(METRICS), draw.some(VALUES)
        dataset, dataset_version = draw.some([*datasets, UNKNOWN] if draw.rarely(20) else datasets), 1
    if draw.rarely(3):
        dataset, dataset_version = draw.some(list(draw.state.assets)), draw.some([1, 9])
    about = (asset, version, metric, dataset, dataset_version)
    operation = attestations.Evaluate(
        asset,
        version,
        metric,
        value,
        1_000,
        dataset,
        dataset_version,
        bytes(32),
        bytes(32),
        text(draw) if draw.rarely(20) else None,
        superseded(draw, sender, "evaluation", about),
        until(draw),
    )
    return sender, [operation]


def audit(draw: Draw) -> Draft:
    sender = draw.actor or draw.some(attestors(draw, "audit"))
    asset, version = subject(draw, sender)
    verdict: Any = draw.some(["passed", "failed", "conditional"])
    before = superseded(draw, sender, "audit", (asset, version))
    return sender, [attestations.Audit(asset, version, verdict, text(draw), before, until(draw))]


def review(draw: Draw) -> Draft:
    """Of what was paid for; rarely of what was not."""
    state = draw.state
    rows = [
        key
        for key, grant in state.grants.items()
        if draw.rarely(8) or (grant["state"] == "active" and grant["price"] and grant["due"] is None)
    ]
    rows = [UNKNOWN] if draw.rarely(2) else rows
    grants = state.grants
    sender, grant = draw.subject(rows, lambda key: grants[key]["licensee"] if key in grants else draw.anyone())
    before = superseded(draw, sender, "review", (grant,))
    version = 9 if draw.rarely(2) else 1
    rating = draw.some([0, 500_000, 1_000_000])
    return sender, [attestations.Review(grant, version, rating, text(draw) if draw.rarely(30) else None, before)]


def answer(draw: Draw) -> Draft:
    state = draw.state
    rows = [UNKNOWN] if draw.rarely(3) else list(state.statements)
    if not rows:
        raise Nothing

    def concerned(key: bytes) -> bytes:
        if key not in state.statements:
            return draw.anyone()
        asset = state.assets[asset_of(state.statements[key])]
        return bytes(draw.some([asset["manager"], *asset["shares"]]))

    sender, key = draw.subject(rows, concerned)
    return sender, [attestations.Answer(key, text(draw))]
