"""What the owners of an asset may propose to one another, and how they vote."""

from __future__ import annotations

from ledger.modules.assets.charter import Charter
from ledger.modules.contributions.operations import Reward
from ledger.modules.fields import (
    Alias,
    Amount,
    Bytes32,
    CidText,
    Operation,
    Part,
    PositiveAmount,
    ShortText,
    TimeMs,
    VersionNumber,
)
from ledger.modules.licenses.operations import Terms
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash


class OfferTerms(Part, frozen=True, tag="offer_terms"):
    """Let the manager offer licenses; the fields are those of `licenses.offer`."""

    terms: Terms
    expires_at_ms: TimeMs
    version: VersionNumber | None = None
    buyer: Bytes32 | None = None


class WithdrawTerms(Part, frozen=True, tag="withdraw_terms"):
    """Withdraw an offer of licenses."""

    offer: Bytes32


class PointAlias(Part, frozen=True, tag="point_alias"):
    """Point an alias to a version."""

    alias: Alias
    version: VersionNumber | None = None
    """None removes the alias."""


class NameManager(Part, frozen=True, tag="name_manager"):
    """Replace the manager."""

    manager: Bytes32


class AcceptContribution(Part, frozen=True, tag="accept_contribution"):
    """Make a contribution the asset's next version, for a reward. A share of all owners takes the votes of all of them;
    one of a single owner is given by who proposes this. The contributor's organization does not vote on it."""

    contribution: Bytes32
    reward: Reward = Reward()


class Pay(Part, frozen=True, tag="pay"):
    """Pay from the asset's treasury. Shares of the recipient's own organization do not vote on it, unless there are no
    others."""

    recipient: Bytes32
    amount: PositiveAmount


class SellWhole(Part, frozen=True, tag="sell_whole"):
    """Sell the whole asset to who has put the price into escrow by `market.make_offer`."""

    offer: Bytes32
    price_min: Amount = 0


class ListWhole(Part, frozen=True, tag="list_whole"):
    """Put the whole asset up for sale in the market, in the name of who proposes this."""

    price: PositiveAmount
    expires_at_ms: TimeMs


class ChangeCharter(Part, frozen=True, tag="change_charter"):
    """Put another charter in the place of the present one."""

    charter: Charter


class Dissolve(Part, frozen=True, tag="dissolve"):
    """End the charter and pay the treasury out by shares. The asset stays its owners'."""


Action = (
    OfferTerms
    | WithdrawTerms
    | PointAlias
    | NameManager
    | AcceptContribution
    | Pay
    | SellWhole
    | ListWhole
    | ChangeCharter
    | Dissolve
)


class Propose(Operation, frozen=True, tag="charters.propose"):
    """Propose, as an owner, what the owners then vote on by the shares that they have now. It must be possible as
    things stand."""

    asset: Bytes32
    action: Action
    title: ShortText = ""
    text: CidText | None = None
    """CID of a longer explanation."""


class Vote(Operation, frozen=True, tag="charters.vote"):
    """Vote with the share that the sender had when it was proposed, whoever has it now. What is decided is done at
    once."""

    proposal: Bytes32
    approve: bool


class Withdraw(Operation, frozen=True, tag="charters.withdraw"):
    """Take a proposal back that is not decided. By its proposer."""

    proposal: Bytes32


def proposal_id(transaction_id: bytes, asset: bytes, action: Action) -> Digest:
    """Return the id of what a transaction proposes; known before it is sent."""
    return tagged_hash("charter-proposal", encode((transaction_id, asset, action)))
