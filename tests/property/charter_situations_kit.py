"""What owners of assets with charters might do next: propose, vote, withdraw. See situations_kit.py."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.modules.assets.charter import Charter, Majority
from ledger.modules.charters import operations as charters
from ledger.modules.market import operations as market
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from tests.property.contribution_situations_kit import reward, waiting
from tests.property.drawing_kit import UNKNOWN, Draft, Draw, Nothing
from tests.property.license_situations_kit import terms_for
from tests.reference.locks import locked_bps
from tests.reference.royalties import treasury_name

PERIODS_MS = (60_000, 600_000, 3_600_000)
WEAK = Majority(1, 5_001)


def charter_for(draw: Draw) -> Charter | None:
    """A charter for a new asset, mostly a lenient one, rarely one whose parts do not fit, or none."""
    if draw.rarely(45):
        return None
    return random_charter(draw)


def random_charter(draw: Draw) -> Charter:
    def majority(*thresholds: int) -> Majority:
        return Majority(draw.some([1, 3_000, 5_000]), draw.some([5_001, *thresholds]))

    charter = Charter(
        voting_period_ms=draw.some(PERIODS_MS),
        terms=majority(),
        aliases=majority(6_000),
        contributions=majority(),
        management=majority(),
        payments=majority(6_700),
        charter=Majority(5_000, draw.some([6_700, 6_700, 9_000])),
        dissolution=Majority(5_000, 9_000),
        drag_along_bps=draw.some([6_667, 6_667, 8_000, 10_000]),
        least_price=draw.some([0, 0, 500]),
        treasury_bps=draw.some([0, 333, 5_000, 5_000]),
        voted=draw.some([(), ("terms",), ("management",), ("contributions", "management", "terms")]),
        voted_aliases=draw.some([(), ("stable",), ("next", "stable")]),
    )
    if not draw.rarely(8):
        return charter
    wrong: dict[str, Any] = draw.some(
        [
            {"voted": ("terms", "terms")},
            {"voted_aliases": ("latest",)},
            {"charter": WEAK},
            {"payments": Majority(6_000, 5_001)},
            {"dissolution": Majority(5_000, 6_667)},
        ]
    )
    return msgspec.structs.replace(charter, **wrong)


def chartered(draw: Draw) -> list[bytes]:
    """Assets with a charter, those of several owners first, and rarely others."""
    state = draw.state
    rows = list(state.charters)
    if draw.rarely(4):
        return [UNKNOWN, *state.assets]
    in_trade = draw.tradable()
    rows = [key for key in rows if key in in_trade or draw.rarely(15)]
    several = [key for key in rows if len(state.assets[key]["shares"]) > 1]
    return several if several and draw.rarely(70) else rows


def random_action(draw: Draw, asset_id: bytes) -> Any:
    state = draw.state
    asset = state.assets[asset_id]
    held = state.balances.get(treasury_name(asset_id), 0)
    paying = held or draw.rarely(10)
    offers = [key for key, row in state.offers.items() if row["asset"] == asset_id or draw.rarely(3)]
    bids = [key for key, row in state.buyers_offers.items() if row["thing"] == ("asset", asset_id, 0) or draw.rarely(2)]
    makers = [
        lambda: charters.OfferTerms(terms_for(draw, asset_id), draw.expiry(), draw.some([None, 1, 2]), None),
        lambda: charters.WithdrawTerms(draw.some([*offers, UNKNOWN] if draw.rarely(9) else offers)),
        lambda: charters.PointAlias(
            draw.some(["stable", "next", "latest", *asset["aliases"]]), draw.some([None, 1, 1, 1, 2])
        ),
        lambda: charters.NameManager(draw.other(UNKNOWN)),
        lambda: charters.Pay(payee(draw, paying), max(1, draw.some([1, held // 3, held // 2, held, held + 1]))),
        lambda: charters.Pay(payee(draw, paying), max(1, held // 2)),
        lambda: charters.SellWhole(draw.some([*bids, UNKNOWN] if draw.rarely(9) else bids), draw.some([0, 0, 600])),
        lambda: charters.SellWhole(draw.some(bids)),
        lambda: charters.ListWhole(draw.some([400, 12_345, 10**6]), draw.expiry()),
        lambda: contribution(draw, asset_id),
        lambda: contribution(draw, asset_id),
        lambda: charters.ChangeCharter(changed(draw, asset_id)),
        charters.Dissolve,
    ]
    return draw.some(makers)()


def payee(draw: Draw, paying: object) -> bytes:
    """Whom to pay, where there is something to pay with."""
    if not paying:
        raise Nothing
    return UNKNOWN if draw.rarely(6) else draw.other(UNKNOWN)


def contribution(draw: Draw, asset_id: bytes) -> charters.AcceptContribution:
    """One that waits, rarely one to another asset."""
    known = draw.state.contributions
    rows = [key for key in waiting(draw) if known[key]["asset"] == asset_id or draw.rarely(3)]
    if draw.rarely(2):
        return charters.AcceptContribution(UNKNOWN)
    key = draw.some(rows)
    return charters.AcceptContribution(key, reward(draw, known[key]))


def changed(draw: Draw, asset_id: bytes) -> Charter:
    """Another charter, or one that is a little different."""
    fresh = random_charter(draw)
    if asset_id not in draw.state.charters or draw.rarely(40):
        return fresh
    plain = draw.state.charters[asset_id]
    kept = {name: plain[name] for name in ("drag_along_bps", "least_price")}
    kept |= {name: Majority(*plain[name]) for name in ("terms", "aliases", "contributions", "management", "payments")}
    kept |= {name: Majority(*plain[name]) for name in ("charter", "dissolution")}
    return msgspec.structs.replace(fresh, **kept)


def propose(draw: Draw) -> Draft:
    state = draw.state
    rows = chartered(draw)
    bids = {row["asset"] for row in state.buyers_offers.values() if row["thing"][0] == "asset"}
    wanted = [key for key in rows if key in bids]
    wanted = [key for key in wanted if locked_bps(state, key)] or wanted
    rows = wanted if wanted and draw.rarely(50) else rows

    def owner(key: bytes) -> bytes:
        return draw.anyone() if key not in state.assets else bytes(draw.some(list(state.assets[key]["shares"])))

    sender, asset_id = draw.subject(rows, owner)
    if asset_id not in state.assets:
        return sender, [charters.Propose(asset_id, charters.Dissolve())]
    if draw.rarely(3):
        several = [charters.Propose(asset_id, charters.PointAlias(f"a{number}", 1)) for number in range(5)]
        return sender, several
    known = list(state.claims)
    text = draw.some(["b" + "a" * 58, *known]) if draw.rarely(5) else None
    action = random_action(draw, asset_id)
    if asset_id in wanted and draw.rarely(60):
        whole = [key for key, row in state.buyers_offers.items() if row["thing"] == ("asset", asset_id, 0)]
        action = charters.SellWhole(draw.some(whole))
        if draw.rarely(50):  # decided while a share is in a sale, it has to wait
            listing = market.List(Thing("share", asset_id, 1), 10**9, state.now + draw.some([DAY_MS, 20 * DAY_MS]))
            return sender, [charters.Propose(asset_id, action), listing]
    operation = charters.Propose(asset_id, action, "", text)
    return sender, [operation] * (2 if draw.rarely(2) else 1)


def open_proposals(draw: Draw) -> list[bytes]:
    rows = [key for key, row in draw.state.proposals.items() if row["state"] == "open" or draw.rarely(2)]
    return [UNKNOWN] if draw.rarely(2) else rows


def vote(draw: Draw) -> Draft:
    """Who had a share then and has not voted; rarely anybody else."""
    known = draw.state.proposals

    def voter(key: bytes) -> bytes:
        row = known.get(key, {"power": {}, "votes": {}})
        left = [one for one in row["power"] if one not in row["votes"] or draw.rarely(3)]
        return bytes(draw.some(left or draw.parties()))

    sender, key = draw.subject(open_proposals(draw), voter)
    return sender, [charters.Vote(key, draw.rarely(80))]


def withdraw(draw: Draw) -> Draft:
    known = draw.state.proposals
    rows = open_proposals(draw)
    if not rows:
        raise Nothing
    sender, key = draw.subject(rows, lambda key: known[key]["proposer"] if key in known else draw.anyone())
    sender = draw.anyone() if draw.rarely(15) else sender
    return sender, [charters.Withdraw(key)]
