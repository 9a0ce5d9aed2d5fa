"""Reputation from scratch: whatever was ever paid and said is kept in order, and every score is made of all of it.

As docs/spec/reputation.md has it. Nothing is added up on the way: decay is a fraction, sums are taken over everything.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, isqrt
from typing import Any

from tests.reference.state import BPS, organization_of

S = 1_000_000
HALF_LIFE = 180 * 86_400_000
PERIODS_MAX = 800
PAYEES_MAX = 8
Weights = tuple[int, int]
"""(for, against)."""


# --- what happened


def paid(state: Any, source: bytes, shares: dict[bytes, int], amount: int) -> None:
    """Credits went from whoever they were to the holders of shares; `source` may be the name of an escrow."""
    payer = organization_of(state, state.purses.get(source, source))
    parts: dict[str, int] = {}
    for account, bps in shares.items():
        name = organization_of(state, account)
        parts[name] = parts.get(name, 0) + bps
    for name, bps in parts.items():
        units = amount * bps // BPS
        if units and name != payer:
            state.flows[len(state.flows)] = (state.now, payer, name, units)


def paid_in(state: Any, shares: dict[bytes, int], recipient: bytes, amount: int) -> None:
    """Somebody gets what others have together."""
    payee = organization_of(state, recipient)
    for payer in sorted({organization_of(state, account) for account in shares}):
        bps = sum(part for account, part in shares.items() if organization_of(state, account) == payer)
        units = amount * bps // BPS
        if units and payer != payee:
            state.flows[len(state.flows)] = (state.now, payer, payee, units)


def lost(state: Any, dispute: bytes, losers: dict[bytes, int]) -> None:
    """20 S against who lost, by their parts."""
    entry = ("given", dispute, state.now, None, "", tuple(losers.items()), 0, 20 * S, 0, ())
    state.words[len(state.words)] = entry


def reviewed(state: Any, grant: bytes, rater: bytes, rating: int, units: int) -> None:
    """A review of what a grant was for, about the asset's creators; `units` were paid for the grant."""
    asset_id = state.grants[grant]["asset"]
    brought = brought_owners(state, asset_id, units)
    own, parts = organization_of(state, rater), dict[str, int]()
    for account, bps in state.assets[asset_id]["shares"].items():
        name = organization_of(state, account)
        if name != own:
            parts[name] = parts.get(name, 0) + bps
    payees = tuple(sorted(parts.items(), key=lambda part: (-part[1], part[0]))[:PAYEES_MAX])
    creators = tuple(answering(state, asset_id).items())
    weight = review_weight(brought)
    entry = ("given", grant, state.now, rater, own, creators, rating, weight, brought, payees)
    state.words[len(state.words)] = entry


def answering(state: Any, asset_id: bytes) -> dict[bytes, int]:
    """Creators who own a share, or belong to the organization that registered it: others are named without a word."""
    asset = state.assets[asset_id]
    return {
        account: bps
        for account, bps in asset["creators"].items()
        if account in asset["shares"] or organization_of(state, account) == asset["organization"]
    }


def answering_for(state: Any, asset_id: bytes, number: int) -> dict[bytes, int]:
    """Who made the version for the owners, or else the creators."""
    made = state.assets[asset_id]["versions"][number - 1]["maker"]
    return answering(state, asset_id) if made is None else {made[0]: BPS}


def stated(state: Any, statement: bytes, rater: bytes, subjects: dict[bytes, int], rating: int, tier: int) -> None:
    """What an accredited account says."""
    own = organization_of(state, rater)
    entry = ("given", statement, state.now, rater, own, tuple(subjects.items()), rating, tier * S, 0, ())
    state.words[len(state.words)] = entry


def ended(state: Any, identifier: bytes) -> None:
    state.words[len(state.words)] = ("ended", identifier)


def rated_anew(state: Any, identifier: bytes, rating: int) -> None:
    state.words[len(state.words)] = ("rated", identifier, rating)


def returned(state: Any, grant_id: bytes) -> None:
    """Some of a grant's payment went back: its review weighs by what was paid in the end."""
    if not any(entry[0] == "given" and entry[1] == grant_id for entry in state.words.values()):
        return
    asset = state.grants[grant_id]["asset"]
    brought = brought_owners(state, asset, paid_units(state, grant_id))
    state.words[len(state.words)] = ("returned", grant_id, brought, state.now)


def paid_units(state: Any, grant_id: bytes) -> int:
    grant = state.grants[grant_id]
    units = grant["used"] * state.terms[grant["terms"]]["usage_price"]
    if grant["state"] == "active":
        waiting = grant["disputed"] or grant["due"] is not None
        units += grant["price"] * (grant["terms_paid"] - waiting) - grant["refunded"]
    return max(0, int(units))


def brought_owners(state: Any, asset_id: bytes, units: int) -> int:
    net = units - ceil(Fraction(units * state.fee_bps, BPS))
    rates = [entry["rate"] for entry in state.assets[asset_id]["stack"].values()]
    return min(2**63 - 1, max(0, net - sum(ceil(Fraction(net * rate, BPS)) for rate in rates)))


# --- what it weighs


def decay(at: int) -> Fraction:
    """Half every half-life, linear between."""
    period, offset = divmod(at, HALF_LIFE)
    if period > PERIODS_MAX:
        period, offset = PERIODS_MAX, HALF_LIFE - 1
    return Fraction(2 * HALF_LIFE - offset, 2 * HALF_LIFE) / 2**period


def grid(weight: int, at: int) -> int:
    return ceil(weight / decay(at))


def review_weight(units: int) -> int:
    return min(isqrt(units) * 1_000, 20 * S)


class Piece:
    """What one piece of evidence says about one account."""

    def __init__(self, entry: Any, subject: bytes, bps: int, weight: int) -> None:
        _, self.id, self.at, self.rater, self.organization, _, self.rating, _, self.paid, self.payees = entry
        self.subject, self.bps, self.weight, self.live = subject, bps, weight, True

    def weighed(self) -> int:
        return int(self.paid * self.bps * self.bps // BPS**2)

    def sides(self) -> Weights:
        in_favor = self.weight * self.rating // S
        return in_favor, self.weight - in_favor


def pieces(state: Any) -> tuple[list[Piece], dict[tuple[str, str], int], set[tuple[str, str]]]:
    """Follow everything that was said; return what stands, what is claimed to be paid, and who has rated whom."""
    found: list[Piece] = []
    brought: dict[bytes, int] = {}
    given = [entry for entry in state.words.values() if entry[0] == "given"]
    for entry in state.words.values():
        if entry[0] != "given":
            change(found, brought, entry)
            continue
        brought[entry[1]] = entry[8]
        for subject, bps in entry[5]:
            found.append(arrival(state, found, entry, subject, bps))
    claimed: dict[tuple[str, str], int] = {}
    for entry in given:
        for payee, bps in entry[9]:
            units = grid(brought[entry[1]] * bps // BPS, entry[2])
            claimed[entry[4], payee] = claimed.get((entry[4], payee), 0) + units
    pairs = {(piece.organization, organization_of(state, piece.subject)) for piece in found if piece.rater}
    return [piece for piece in found if piece.live], claimed, {pair for pair in pairs if pair[0] != pair[1]}


def change(found: list[Piece], brought: dict[bytes, int], entry: Any) -> None:
    """What becomes of evidence after it was given."""
    kind, identifier = entry[:2]
    mine = [piece for piece in found if piece.id == identifier and piece.live]
    if not mine:
        return
    if kind == "rated":
        for piece in mine:
            piece.rating = entry[2]
        return
    left = 0 if kind == "ended" else entry[2]
    if kind == "returned" and left >= brought[identifier]:
        return
    brought[identifier] = left
    for piece in mine:
        piece.live = kind == "returned" and left > 0
        if piece.live:
            piece.paid = left
            room = together([other for other in found if other is not piece], piece, entry[3])
            piece.weight = min(piece.weight, review_weight(left) * piece.bps // BPS, room)


def together(others: list[Piece], piece: Piece, now: int) -> int:
    """Many small payments weigh no more than one of their sum, also after parts of them went back: what is left for a
    review beside the others of its organization, as of its own time."""
    reviews = [
        other
        for other in others
        if other.live and other.subject == piece.subject and other.organization == piece.organization
    ]
    reviews = [other for other in reviews if other.paid and other.weight]
    if not reviews:
        return 20 * S
    units = sum(grid(other.weighed(), other.at) for other in (*reviews, piece))
    given = sum(grid(other.weight, other.at) for other in reviews)
    room = max(0, isqrt(int(units * decay(now))) * 1_000 - int(given * decay(now)))
    return int(grid(room, now) * decay(piece.at))


def arrival(state: Any, before: list[Piece], entry: Any, subject: bytes, bps: int) -> Piece:
    """What a piece weighs when it arrives: 30 S a rater and 60 S an organization about one account are the most."""
    piece = Piece(entry, subject, bps, entry[7] * bps // BPS)
    if piece.rater is None:
        return piece
    if piece.organization == organization_of(state, subject):
        piece.weight = 0
        return piece
    live = [other for other in before if other.live and other.subject == subject]
    if piece.paid:
        piece.weight = min(piece.weight, together(before, piece, piece.at))
    for most, same in (
        (30 * S, [other for other in live if other.rater == piece.rater]),
        (60 * S, [other for other in live if other.organization == piece.organization]),
    ):
        given = sum(grid(other.weight, other.at) for other in same if other.weight)
        piece.weight = min(piece.weight, max(0, most - int(given * decay(piece.at))))
    return piece


def moved(state: Any) -> dict[tuple[str, str], int]:
    """What organizations have paid one another."""
    found: dict[tuple[str, str], int] = {}
    for at, payer, payee, units in state.flows.values():
        found[payer, payee] = found.get((payer, payee), 0) + grid(units, at)
    return found


def came_back(flows: dict[tuple[str, str], int], payee: str, payer: str) -> int:
    """What may have returned directly, through one other or through two: by the first step and by the last."""
    names = {name for pair in flows for name in pair} - {payee, payer}

    def flow(one: str, other: str) -> int:
        return flows.get((one, other), 0) if one != other else 0

    by_first = by_last = 0
    for one in names:
        onward = flow(one, payer) + sum(min(flow(one, two), flow(two, payer)) for two in names)
        by_first += min(flow(payee, one), onward)
        inward = flow(payee, one) + sum(min(flow(payee, two), flow(two, one)) for two in names)
        by_last += min(flow(one, payer), inward)
    return flow(payee, payer) + min(by_first, by_last)


def scores(state: Any, now: int) -> dict[Any, Weights]:
    """Return what counts for and against every account and organization with evidence: account or name -> weights."""
    live, claimed, rated = pieces(state)
    flows = moved(state)
    sums: dict[tuple[bytes, str, str], list[int]] = {}
    for piece in live:
        if piece.weight == 0:
            continue
        reviewed = piece.payees or (("", BPS),)
        for payee, bps in reviewed:
            total = sums.setdefault((piece.subject, piece.organization, payee), [0, 0])
            for side, weight in enumerate(piece.sides()):
                total[side] += grid(weight * bps // BPS, piece.at)
    found: dict[Any, Weights] = {}
    between: dict[tuple[str, str], Weights] = {}
    for (subject, rater, payee), total in sums.items():
        counted = [int(side * decay(now)) for side in total]
        target = organization_of(state, subject)
        if payee:
            net = max(0, flows.get((rater, payee), 0) - came_back(flows, payee, rater))
            due = claimed.get((rater, payee), 0)
            kept = S if net >= due else isqrt(net * S * S // due)
            counted = [side * kept // S for side in counted]
        if (target, rater) in rated:
            counted[0] //= 2
        add(found, subject, counted)
        add(between, (rater, target), counted)
    for (rater, target), (in_favor, against) in between.items():
        whole = in_favor + against
        if rater and whole > 60 * S:
            in_favor, against = in_favor * 60 * S // whole, against * 60 * S // whole
        add(found, target, [in_favor, against])
    return {key: weights for key, weights in found.items() if any(weights)}


def add(table: dict[Any, Weights], key: Any, weights: list[int]) -> None:
    before = table.get(key, (0, 0))
    table[key] = (before[0] + weights[0], before[1] + weights[1])
