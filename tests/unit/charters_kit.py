"""Short ways to say what the owners of an asset with a charter do."""

from __future__ import annotations

from typing import Any

from ledger.modules.assets.charter import Charter, Majority
from ledger.modules.charters import operations as charters
from ledger.modules.charters.records import PROPOSALS, Proposal
from ledger.modules.credits.records import treasury_holder
from ledger.modules.licenses.operations import Terms
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import condition_of
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from tests.unit.modules_kit import World

SIMPLE = Majority(quorum_bps=5_000, threshold_bps=5_001)
STRONG = Majority(quorum_bps=6_000, threshold_bps=7_000)
USE = Terms(rights=("download",), price=1_000_000)
PERIOD_MS = 3 * DAY_MS


def a_charter(**fields: Any) -> Charter:
    base: dict[str, Any] = {
        "voting_period_ms": PERIOD_MS,
        **dict.fromkeys(("terms", "aliases", "contributions", "management", "payments"), SIMPLE),
        "charter": STRONG,
        "dissolution": STRONG,
        "drag_along_bps": 7_500,
    }
    return Charter(**(base | fields))


class Owners(World):
    """A world in which alice, bob and carol own the asset `A` together: 50, 30 and 20 percent."""

    def __init__(self, *parts: tuple[str, int], **fields: Any) -> None:
        super().__init__()
        registered = {name: fields.pop(name) for name in ("transfer_terms", "derivations") if name in fields}
        self.asset = self.register("alice", "A", charter=a_charter(**fields), **registered)
        for who, bps in parts or (("bob", 3_000), ("carol", 2_000)):
            self.transfer("alice", self.share(bps), who)

    def share(self, bps: int) -> Thing:
        return Thing("share", self.asset, bps)

    def propose(self, who: str, action: charters.Action) -> bytes:
        self.do(who, charters.Propose(self.asset, action))
        return charters.proposal_id(self.transaction_id, self.asset, action)

    def vote(self, proposal: bytes, *names: str, approve: bool = True) -> list[Any]:
        """Vote in this order; return the events of all votes."""
        return [event for who in names for event in self.do(who, charters.Vote(proposal, approve))]

    def decide(self, action: charters.Action, *names: str) -> Proposal:
        """Let alice propose, and these owners approve; return what became of it."""
        proposal = self.propose("alice", action)
        self.vote(proposal, *names)
        return self.proposal(proposal)

    def decide_alone(self, who: str, action: charters.Action) -> str:
        """Let one owner propose and approve; return the state that comes of it."""
        proposal = self.propose(who, action)
        self.vote(proposal, who)
        return self.proposal(proposal).state

    def license_by_vote(self, buyer: str) -> bytes:
        """Let alice and bob decide to offer a license, and `buyer` buy one."""
        self.decide(self.terms(), "alice", "bob")
        offer = next(event.offer for event in self.events if type(event).__name__ == "Offered")
        return self.buy(buyer, offer, USE)

    def proposal(self, identifier: bytes) -> Proposal:
        record = PROPOSALS.get(self.view, identifier)
        assert record is not None
        return record

    def fate(self, identifier: bytes) -> tuple[str, str]:
        record = self.proposal(identifier)
        return record.state, record.code

    def bid(self, who: str, price: int, lasts_ms: int = 5 * DAY_MS) -> bytes:
        """An offer for the whole asset, in escrow."""
        whole = Thing("asset", self.asset)
        self.do(who, market.MakeOffer(whole, price, self.now_ms + lasts_ms, condition_of(self.view, whole)))
        return market.offer_id(self.transaction_id, whole)

    def terms(self) -> charters.OfferTerms:
        return charters.OfferTerms(USE, self.now_ms + 20 * DAY_MS)

    @property
    def set_aside(self) -> int:
        return self.balance(treasury_holder(self.asset))
