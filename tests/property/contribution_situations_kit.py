"""What might happen with contributions and bounties next. See situations_kit.py."""

from __future__ import annotations

from typing import Any

from ledger.modules.assets import operations as assets
from ledger.modules.contributions import operations as contributions
from tests.property import fulfilment_kit as fulfilment
from tests.property.drawing_kit import (
    DAY_MS,
    DERIVING,
    UNKNOWN,
    Draft,
    Draw,
    Nothing,
    Plan,
    Secret,
    may_derive,
    revealable,
)
from tests.property.sale_situations_kit import planned
from tests.reference.grants import state_of

BAD_TEXT = "b" + "a" * 58


def text(draw: Draw) -> str:
    known = list(draw.state.claims)
    return BAD_TEXT if draw.rarely(4) or not known else draw.some(known)


def waiting(draw: Draw) -> list[bytes]:
    """Open contributions, and rarely accepted ones."""
    return [key for key, row in draw.state.contributions.items() if row["version"] is None or draw.rarely(4)]


def rights(draw: Draw, asset: bytes, allowed: Any) -> Any:
    if draw.state.assets[asset]["kind"] == "dataset" and not draw.rarely(3):
        return "train-on"
    return draw.some([right for right in DERIVING if right in allowed or draw.rarely(3)] or DERIVING)


def reasons(draw: Draw, account: bytes, kind: str) -> list[tuple[bytes, bytes | None, Any]]:
    """(asset, grant, right) by which an account may propose; rarely by what gives it no right."""
    state = draw.state
    found: list[tuple[bytes, bytes | None, Any]] = []
    for key, grant in state.grants.items():
        good = grant["licensee"] == account and (may_derive(state, grant) or draw.rarely(4))
        unapproved = state.terms[grant["terms"]]["derivatives"] == "on-approval"
        odd = draw.rarely(8 if unapproved else 1) and state_of(state, grant) == "active"
        if good or odd:
            allowed = state.terms[grant["terms"]]["rights"]
            found.append((grant["asset"], key, rights(draw, grant["asset"], allowed)))
    for key, asset in state.assets.items():
        if account in asset["shares"] or draw.rarely(2):
            found.append((key, None, rights(draw, key, DERIVING)))
    fit = [row for row in found if row[0] in state.assets and state.assets[row[0]]["kind"] == kind]
    return found if draw.rarely(2) else fit


def propose(draw: Draw) -> Draft:
    """Mostly by what gives the right to; of an artifact that was committed to, or one that came to nothing before."""
    if draw.rarely(1):
        return draw.anyone(), [odd_proposal(draw)]
    rows: list[tuple[bytes, Secret]] = revealable(draw, "assets")
    chances = [(row, reason) for row in rows for reason in reasons(draw, row[0], row[1].subject[0])]
    wanted = {row["asset"] for row in draw.state.bounties.values()}
    chances = [chance for chance in chances if chance[1][0] in wanted or draw.rarely(50)] or chances
    work = fulfilment.wanted_work(draw.state)
    paid = [chance for chance in chances if chance[1][0] in work and chance[0][1].asset == chance[1][0]]
    chances = paid if paid and draw.rarely(80) else chances
    sender, ((_, secret), (asset, grant, right)) = draw.subject(chances, lambda chance: chance[0][0])
    draw.notebook.tries[secret.salt] += 1
    known = draw.state.assets.get(asset, {"versions": [1]})["versions"]
    bounties = [key for key, row in draw.state.bounties.items() if row["asset"] == asset or draw.rarely(2)]
    named = draw.some(bounties) if bounties and draw.rarely(70) else None
    expires = draw.expiry()
    if asset in work and not draw.rarely(10):
        named, expires = work[asset], draw.state.now + 20 * DAY_MS
    operation = contributions.Propose(
        asset,
        draw.some([1, len(known), 9 if draw.rarely(3) else 1]),
        right,
        secret.subject[1],
        secret.salt,
        expires,
        grant,
        assets.Provenance(parents(draw, sender, asset)),
        "better",
        draw.some([0, 0, 1, 7, 100, 2_500, 9_999 if draw.rarely() else 0]),
        UNKNOWN if draw.rarely(1) else named,
    )
    return sender, [operation]


def parents(draw: Draw, account: bytes, asset: bytes) -> tuple[assets.Derivation, ...]:
    """Sometimes another parent, by a grant of the contributor or none."""
    if draw.rarely(70):
        return ()
    state = draw.state
    held = [
        assets.Derivation(grant["asset"], rights(draw, grant["asset"], state.terms[grant["terms"]]["rights"]), key)
        for key, grant in state.grants.items()
        if grant["licensee"] == account and may_derive(state, grant) and grant["asset"] != asset
    ]
    if draw.rarely(10):
        held += [assets.Derivation(key, "fine-tune", None) for key in (asset, UNKNOWN)]
    return (draw.some(held),) if held else ()


def odd_proposal(draw: Draw) -> contributions.Propose:
    artifact = assets.Artifact(BAD_TEXT, 1)
    asset = draw.some([UNKNOWN, *draw.state.assets])
    return contributions.Propose(asset, 1, "fine-tune", artifact, bytes(16), draw.expiry())


def party(draw: Draw, key: bytes) -> bytes:
    row = draw.state.contributions[key]
    asset = draw.state.assets[row["asset"]]
    return bytes(draw.some([row["maker"], asset["manager"], *asset["shares"]]))


def comment(draw: Draw) -> Draft:
    if draw.rarely(3):
        return draw.anyone(), [contributions.Comment(UNKNOWN, text(draw))]
    sender, key = draw.subject(waiting(draw), lambda key: party(draw, key))
    many = 9 if draw.rarely(4) else 1
    return sender, [contributions.Comment(key, text(draw)) for _ in range(many)]


def reward(draw: Draw, row: Any) -> contributions.Reward:
    """What was asked for, more, or rarely less, or a share unasked; from all owners or from one."""
    owners = draw.state.assets[row["asset"]]["shares"]
    bps = draw.some([row["least"], row["least"], row["least"], max(row["least"], 500), 7])
    bps = 0 if not row["least"] and not draw.rarely(15) else min(bps, 9_999)
    giver = None
    if draw.rarely(40) and (bps or draw.rarely(10)):
        rich = [owner for owner, held in owners.items() if held >= bps]
        giver = draw.some(rich or list(owners)) if not draw.rarely() else draw.anyone()
    bounty = row["bounty"] if not draw.rarely(4) else draw.some([None, UNKNOWN, *draw.state.bounties])
    return contributions.Reward(bps, giver, bounty)


def manager(draw: Draw, key: bytes) -> bytes:
    return bytes(draw.state.assets[draw.state.contributions[key]["asset"]]["manager"])


def stale(draw: Draw, key: bytes) -> bool:
    """Whether what is asked for is gone, or who it was proposed to."""
    row = draw.state.contributions[key]
    gone = row["bounty"] is not None and row["bounty"] not in draw.state.bounties
    return gone or row["transfers"] != draw.state.assets[row["asset"]]["transfers"]


def accept(draw: Draw) -> Draft:
    """Of an asset of several owners what the others have consented to, or a plan for them to consent to."""
    if draw.rarely(2):
        return draw.anyone(), [contributions.Accept(UNKNOWN)]
    draw.notebook.plans = [plan for plan in draw.notebook.plans if not over(draw, plan)]
    if draw.rarely(50):
        try:
            return planned(draw, contributions.Accept)
        except Nothing:
            pass
    state = draw.state
    tradable = draw.tradable()
    rows = [key for key in waiting(draw) if state.contributions[key]["asset"] in tradable or draw.rarely()]
    rows = [key for key in rows if draw.rarely(40) or not stale(draw, key)] or rows
    tested = [key for key in rows if by_condition(draw, key) and not stale(draw, key)]
    rows = tested if tested and draw.rarely(60) else rows
    sender, key = draw.subject(rows, lambda key: manager(draw, key))
    row = state.contributions[key]
    operation = contributions.Accept(key, reward(draw, row))
    owners = state.assets[row["asset"]]["shares"]
    if any(owner != sender for owner in owners) and not draw.rarely(15):
        draw.notebook.plans.append(Plan(row["asset"], sender, operation))
        raise Nothing
    return sender, [operation]


def over(draw: Draw, plan: Plan) -> bool:
    """Whether a plan to accept came to nothing; rarely it is sent all the same."""
    operation = plan.operation
    if not isinstance(operation, contributions.Accept) or draw.rarely(2):
        return False
    row = draw.state.contributions.get(operation.contribution)
    return row is None or row["version"] is not None


def by_condition(draw: Draw, key: bytes) -> bool:
    """Whether it names a bounty that evaluators decide on."""
    bounty = draw.state.bounties.get(draw.state.contributions[key]["bounty"])
    return bounty is not None and bounty["condition"] is not None


def refuse(draw: Draw) -> Draft:
    if draw.rarely(2):
        return draw.anyone(), [contributions.Refuse(UNKNOWN)]
    rows = [key for key in waiting(draw) if not by_condition(draw, key) or draw.rarely(20)]
    sender, key = draw.subject(rows, lambda key: manager(draw, key))
    return sender, [contributions.Refuse(key, "no")]


def withdraw(draw: Draw) -> Draft:
    if draw.rarely(2):
        return draw.anyone(), [contributions.Withdraw(UNKNOWN)]
    sender, key = draw.subject(waiting(draw), lambda key: bytes(draw.state.contributions[key]["maker"]))
    return sender, [contributions.Withdraw(key)]


def open_bounty(draw: Draw) -> Draft:
    """Mostly on what somebody may contribute to."""
    state = draw.state
    licensed = [grant["asset"] for grant in state.grants.values() if may_derive(state, grant)]
    rows = [*state.assets, UNKNOWN] if draw.rarely(8) or not licensed else licensed
    asset = draw.some(rows)
    owners = list(state.assets[asset]["shares"]) if asset in state.assets else []
    sender = draw.actor or (draw.some(owners) if owners and draw.rarely(70) else draw.anyone())
    held = state.balances.get(sender, 0)
    amount = draw.some([1, 500, 12_345, max(1, held // 50), held + 1 if draw.rarely() else 7])
    amount = max(1, draw.price()) if draw.at_the_end() else amount
    wanted, closes = None, draw.expiry()
    if draw.rarely(50):
        asset, wanted = confirmable(draw, asset, sender), condition(draw)
        closes = draw.state.now + 20 * DAY_MS if draw.rarely(80) else closes
    described = text(draw) if draw.rarely(20) else None
    operation = contributions.OpenBounty(asset, amount, closes, described, wanted)
    return sender, [operation] * (2 if draw.rarely(2) else 1)


def confirmable(draw: Draw, asset: bytes, opener: bytes) -> bytes:
    """One of the opener's in trade that as many organizations as possible have no part in, or the asset itself."""
    known = draw.state.assets
    rows = [key for key in draw.tradable() if opener in known[key]["shares"] and not draw.rarely(30)]
    simple = [key for key in rows if opener == known[key]["manager"] and len(known[key]["shares"]) == 1]
    charters = draw.state.charters
    simple = [key for key in simple if key not in charters or "contributions" not in charters[key]["voted"]]
    rows = simple if simple and draw.rarely(75) else rows
    if not rows or draw.rarely(10):
        return asset
    return max(rows, key=lambda key: len(fulfilment.apart(draw.state, key, (opener, known[key]["manager"]))))


def condition(draw: Draw) -> contributions.Condition:
    """What one or two evaluators may say some day."""
    assets_known = draw.state.assets
    datasets = [key for key, asset in assets_known.items() if asset["kind"] == "dataset"]
    if draw.rarely(6):
        datasets = [UNKNOWN, *assets_known]
    metrics: Any = draw.some(["accuracy", "accuracy", "accuracy-gap"])
    bound = draw.some([0, 500_000, 900_000, 1_000_000])
    return contributions.Condition(metrics, bound, draw.some(datasets), 9 if draw.rarely() else 1, draw.some([1, 1, 2]))


def claim_bounty(draw: Draw) -> Draft:
    state = draw.state
    known = state.contributions.items()
    pairs = [
        (row["bounty"], key)
        for key, row in known
        if row["bounty"] in state.bounties and (row["version"] is not None or draw.rarely())
    ]
    if draw.rarely(4):
        pairs = [(bounty, key) for bounty in (UNKNOWN, *state.bounties) for key in (UNKNOWN, *state.contributions)]
    met = [(one.bounty, one.contribution) for one in fulfilment.waiting(state) if one.missing <= 0]
    bounty, key = draw.some(met if met and not draw.rarely() else pairs)
    return draw.anyone(), [contributions.ClaimBounty(bounty, key)]


def of_opener(draw: Draw, key: bytes) -> bytes:
    return bytes(draw.state.bounties[key]["opener"])


def award_bounty(draw: Draw) -> Draft:
    if draw.rarely(2):
        return draw.anyone(), [contributions.AwardBounty(UNKNOWN)]
    state = draw.state
    pairs = [(row["bounty"], key) for key, row in state.contributions.items() if row["bounty"] in state.bounties]
    pairs = [pair for pair in pairs if state.bounties[pair[0]]["condition"] is None or draw.rarely(15)]
    pairs += [(key, UNKNOWN) for key in state.bounties if draw.rarely(2)]
    if draw.rarely(4):
        pairs = [(bounty, key) for bounty in state.bounties for key in state.contributions]
    sender, (bounty, key) = draw.subject(pairs, lambda pair: of_opener(draw, pair[0]))
    return sender, [contributions.AwardBounty(bounty, None if draw.rarely(8) else key)]


def cancel_bounty(draw: Draw) -> Draft:
    if draw.rarely(2):
        return draw.anyone(), [contributions.CancelBounty(UNKNOWN)]
    sender, key = draw.subject(list(draw.state.bounties), lambda key: of_opener(draw, key))
    return sender, [contributions.CancelBounty(key)]
