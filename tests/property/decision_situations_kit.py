"""What organizations might decide next: proposals, votes, objections. See situations_kit.py."""

from __future__ import annotations

from typing import Any

from ledger.modules.governance import operations as governance
from tests.property.drawing_kit import UNKNOWN, Draft, Draw, Nothing
from tests.reference.governance import RANGES, known_room
from tests.reference.state import TREASURY

CALM = {
    "fee_bps": (0, 100, 250, 500),
    "escrow_timeout_ms": (50_000, 86_400_000),
    "commitment_age_ms": (0, 3_000, 10_000, 59_999),
    "commitment_lifetime_ms": (60_000, 86_400_000),
    "lifetime_ms": (60_000, 120_000, 600_000),
    "deadlines_per_block_max": (2, 1_000),
    "offer_lifetime_ms_max": (30 * 86_400_000, 40 * 86_400_000),
    "dispute_answer_ms": (60_000, 600_000),
    "dispute_voting_ms": (60_000, 86_400_000),
    "dispute_appeal_ms": (60_000, 600_000),
    "dispute_bond_min": (1, 100, 1_000),
    "attestation_bond_min": (1, 1_000),
    "attestation_bond_max": (10**5, 10**7),
    "recovery_delay_ms": (60_000, 86_400_000),
    "voting_period_ms": (600_000, 86_400_000),
    "decision_delay_ms": (1_000, 60_000),
    "payment_delay_ms": (1_000, 50_000),
    "window": (8, 16, 32),
    "batches_per_proposal_max": (1, 64),
    "proposal_bytes_max": (65_536, 4_194_304),
    "quota_deadlines_per_organization": (100_000, 10**7),
    "artifact_bytes_max": (5_000, 6_000),
}
"""Parameter -> values that leave something to do in the same life."""


def parameters(draw: Draw) -> Any:
    named = [draw.some(list(CALM)) for _ in range(draw.some([1, 1, 2, 3]))]
    names = named if draw.rarely(3) else list(dict.fromkeys(named))
    values = [(name, draw.some(CALM[name])) for name in names]
    if draw.rarely(3):  # each of them within its range, and not both at once
        values = [("commitment_age_ms", 60_000), ("commitment_lifetime_ms", 60_000)]
    elif draw.rarely(10):
        name = draw.some(list(RANGES))
        low, high = RANGES[name]
        hostile = [(name, draw.some([low - 1, high + 1, 0, -1, 2**63])), ("gas_limit", 1), ("opaque_bundles", 1)]
        values.append(draw.some([*hostile, ("commitment_lifetime_ms", 60_000), ("commitment_age_ms", 3_600_000)]))
    return governance.SetParameters(tuple(governance.NamedValue(name, value) for name, value in values))


def credits(draw: Draw, sender: bytes) -> Any:
    """Of the treasury rarely more than it has, or about all of it twice."""
    state = draw.state
    treasury = state.balances.get(TREASURY, 0)
    kind = draw.some(["mint", "mint", "burn", "pay", "pay", "pay"])
    if kind == "mint":
        account = draw.some([None, None, draw.other(sender)])
        left = known_room(state)
        return governance.Mint(draw.some([1, 10**9, left, left + 1]) if draw.rarely(10) and left else 10**6, account)
    account = draw.some([None, None, sender, draw.other(sender)]) if kind == "burn" else draw.other(sender)
    held = treasury if account is None or kind == "pay" else state.balances.get(account, 0)
    amount = max(1, draw.some([1, held // 3, held, held + draw.rarely(20)]))
    return governance.Burn(amount, account) if kind == "burn" else governance.Pay(account, amount)


def artifacts(draw: Draw) -> Any:
    """Few are down at a time, and not for long: nothing is sold of them."""
    down = list(draw.state.down)
    if down and not draw.rarely(20):
        return governance.RestoreArtifact(draw.some(down))
    known = list(draw.state.claims)
    artifact = draw.some(known) if known and not draw.rarely(8) else "b" + "a" * 58
    if draw.rarely(8):
        return governance.RestoreArtifact(artifact)
    report = draw.some([None, None, artifact, "b" + "a" * 58])
    return governance.TakeDown(artifact, draw.some(["unlawful", "infringing", "other"]), report)


def representatives(draw: Draw) -> list[bytes]:
    return [one for one in draw.parties() if draw.state.accounts[one]["vouches"] or draw.rarely(3)]


def propose(draw: Draw) -> Draft:
    sender = draw.actor or draw.some(representatives(draw))
    kind = draw.some(["parameters", "parameters", "credits", "credits", "credits", "artifacts"])
    if kind == "parameters":
        change = parameters(draw)
    else:
        change = credits(draw, sender) if kind == "credits" else artifacts(draw)
    if draw.rarely(2):
        many = [governance.Mint(amount) for amount in range(1, 10)]
        return sender, [governance.Propose(one, "one of many") for one in many]
    text = "b" + "a" * 58 if draw.rarely(2) else None
    operation = governance.Propose(change, draw.notebook.next("proposal"), text)
    return sender, [operation, operation] if draw.rarely(3) else [operation]


def voters(draw: Draw, spoken: list[str]) -> bytes:
    """Who speaks for an organization that has not spoken yet; rarely another."""
    fit = [one for one in representatives(draw) if draw.state.accounts[one]["organization"] not in spoken]
    return draw.some(fit if fit and not draw.rarely() else representatives(draw))


def vote(draw: Draw) -> Draft:
    rows = {key: row for key, row in draw.state.motions.items() if row["state"] == "open" or draw.rarely(1)}
    if draw.rarely(2):
        return draw.actor or draw.some(representatives(draw)), [governance.Vote(UNKNOWN, True)]
    # What others have begun is decided before the next begins.
    begun = [key for key, row in rows.items() if row["approvals"] or row["refusals"]]
    key = draw.some(begun if begun and not draw.rarely(30) else list(rows))
    row = rows[key]
    sender = draw.actor or voters(draw, row["approvals"] + row["refusals"])
    return sender, [governance.Vote(key, draw.rarely(85))]


def object_to(draw: Draw) -> Draft:
    rows = {key: row for key, row in draw.state.motions.items() if row["state"] == "waiting" or draw.rarely(1)}
    if not rows and not draw.rarely():
        raise Nothing
    if draw.rarely(3) or not rows:
        return draw.actor or draw.some(representatives(draw)), [governance.Object(UNKNOWN)]
    objected = [key for key, row in rows.items() if row["objections"]]
    key = draw.some(objected if objected and draw.rarely(60) else list(rows))
    spoken = rows[key]["objections"]
    others = [name for name in draw.state.organizations if name not in spoken]
    return draw.actor or voters(draw, others if spoken and draw.rarely(30) else spoken), [governance.Object(key)]
