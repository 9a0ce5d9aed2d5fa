"""What it costs to fake a reputation: each attack is carried out by real operations, and measured.

    python -m tests.property.reputation_attacks

writes the table of docs/reputation.md anew; a test compares the two. Fees are those of the default parameters. `burnt`
is what all attackers together had before less what they have and are owed afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.modules.assets.operations import Metric, Provenance
from ledger.modules.assets.reads import require_asset
from ledger.modules.attestations.operations import Review
from ledger.modules.credits.operations import Transfer
from ledger.modules.credits.records import ESCROWS
from ledger.modules.disputes.operations import Subject
from ledger.modules.licenses.operations import Terms
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.reputation.decay import HALF_LIFE_MS
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.royalties.pools import owed, shares_of
from ledger.modules.transfers.operations import Thing
from primitives.identifiers import account_id, account_to_text
from tests.unit.attestations_kit import BOND, Bench
from tests.unit.modules_kit import NAMES, seed_key

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "reputation.md"
BEGIN: Final = "<!-- written by python -m tests.property.reputation_attacks -->"
END: Final = "<!-- until here -->"
CREDIT: Final = 1_000_000
POINT: Final = 10_000
"""A hundredth of the scale of scores."""
FULL: Final = 925
"""Credits of one of four payments, two by each of two accounts, with which an organization reaches its 60 S."""
ATTACKERS: Final = ("erin", "frank", "grace", "heidi", "ivan")
HONEST: Final = ("alice", "bob", "carol", "dave", "judy", "karl", "lena", "mike")


class Row(NamedTuple):
    """What became of an attack."""

    attack: str
    burnt: int
    """Units."""
    before: int
    after: int
    confidence: int
    note: str
    gainers: int = 1
    """Attackers who have gained as much as the one that is shown."""
    gained: bool = True
    """Whether the change is what the attackers wanted."""

    def text(self) -> str:
        points = self.gainers * abs(self.after - self.before) / POINT
        each = f"{self.burnt / CREDIT / points:,.2f}" if points and self.burnt and self.gained else "-"
        burnt = f"{self.burnt / CREDIT:,.1f}"
        return (
            f"| {self.attack} | {burnt} | {self.before:,} | {self.after:,} | {self.confidence:,} | {each} |"
            f" {self.note} |"
        )


class Stage(Bench):
    """Five organizations of attackers, eight others."""

    def __init__(self) -> None:
        super().__init__(names=(*NAMES, *ATTACKERS, *HONEST[4:]))
        self.works: dict[str, bytes] = {}
        self.had = self.wealth()

    def wealth(self) -> int:
        """What the attackers and their second accounts have, also in escrow, and what their works owe them."""
        total = 0
        for name in self.accounts:
            if name.removesuffix(" 2") in ATTACKERS:
                total += self.balance(name)
                total += sum(one.amount for _, one in ESCROWS.items(self.view) if one.payer == self.accounts[name])
                for asset in self.works.values():
                    record = require_asset(self.view, asset)
                    pools = shares_of(self.view, asset, record, self.accounts[name])
                    total += sum(owed(self.view, pool, self.accounts[name], bps)[0] for pool, bps in pools)
        return total

    def work(self, who: str) -> bytes:
        if who not in self.works:
            self.works[who] = self.register(who, f"work of {who}")
        return self.works[who]

    def second(self, who: str) -> str:
        """Open a second account, and give it half of what the first has."""
        name, key = f"{who} 2", seed_key(f"{who} 2").public_key
        if name not in self.accounts:
            self.do(who, OpenAccount(key, bytes(16), name))
            self.accounts[name] = account_id(self.network_id, f"org-{who}", key, bytes(16))
        return name

    def pay_and_rate(self, who: str, seller: str, credits: int, rating_ppm: int = 1_000_000) -> None:
        """Buy, withdraw for the seller, and review."""
        asset = self.work(seller)
        grant = self.license(seller, asset, who, price(credits))
        self.do(seller, Withdraw(asset))
        self.do(who, Review(grant, 1, rating_ppm))

    def reach_most(self, who: str, seller: str, rating_ppm: int = 1_000_000) -> None:
        """Give all that one organization can: by two accounts, in four payments."""
        other = self.second(who)
        for payer in (who, other, who, other):
            if payer == other:
                self.do(who, Transfer(self.accounts[other], FULL * CREDIT))
            self.pay_and_rate(payer, seller, FULL, rating_ppm)

    def score(self, who: str) -> tuple[int, int]:
        found = self.query("reputation.score", account=account_to_text(self.accounts[who]))
        return found.score_ppm, found.confidence_ppm

    def organization_score(self, who: str) -> int:
        return int(self.query("reputation.score", organization=f"org-{who}").score_ppm)

    def row(self, attack: str, about: str, before: int, note: str, **fields: Any) -> Row:
        after, confidence = self.score(about)
        return Row(attack, self.had - self.wealth(), before, after, confidence, note, **fields)


def price(credits: int, **fields: Any) -> Terms:
    return Terms(rights=("download", "inference"), price=credits * CREDIT, **fields)


def honest(stage: Stage, who: str, buyers: Sequence[str] = ("alice", "bob", "carol"), credits: int = 40) -> int:
    """Buyers of other organizations are content."""
    for buyer in buyers:
        stage.pay_and_rate(buyer, who, credits)
    return stage.score(who)[0]


def honest_creator() -> Row:
    stage = Stage()
    honest(stage, "erin")
    return Row("*no attack: three buyers pay 40 credits each and rate 1,000,000*", 0, 500_000, *stage.score("erin"), "")


def wash_sales() -> Row:
    """A second account of the seller's organization buys; it may not even review."""
    stage = Stage()
    buyer = stage.second("erin")
    stage.do("erin", Transfer(stage.accounts[buyer], 4 * FULL * CREDIT))
    for _ in range(4):
        bought = stage.license("erin", stage.work("erin"), buyer, price(FULL))
        stage.refused("attestations.interested", buyer, Review(bought, 1, 1_000_000))
    note = "the review is refused, and evidence of one's own organization weighs nothing"
    return stage.row("wash sales inside one organization", "erin", 500_000, note)


def self_review() -> Row:
    """An accomplice registers and sells the work, and the creator's second account reviews it."""
    stage = Stage()
    creators = ((stage.accounts["erin"], 10_000),)
    stage.works["frank"] = stage.register("frank", "by erin", creators=creators)
    buyer = stage.second("erin")
    stage.do("erin", Transfer(stage.accounts[buyer], (FULL + 1) * CREDIT))
    stage.pay_and_rate(buyer, "frank", FULL)
    stage.transfer("frank", Thing("share", stage.works["frank"], 1), "erin")
    bought = stage.license("frank", stage.works["frank"], buyer, price(1))
    stage.refused("attestations.interested", buyer, Review(bought, 1, 1_000_000))
    note = "who is only named creator gains nothing, and who owns a share may not review"
    return stage.row("self-review through a second account", "erin", 500_000, note)


def ring(members: int) -> Row:
    """Each buys from the next, until everybody has rated as much as it can."""
    stage = Stage()
    around = ATTACKERS[:members]
    for who, seller in zip(around, (*around[1:], around[0]), strict=True):
        stage.reach_most(who, seller)
    note = "everything returned; what is left is the decay in the seconds between the payments"
    if members > 4:
        note = "longer than the rule looks: each member has gained as much"
    return stage.row(f"ring of {members} organizations", "erin", 500_000, note, gainers=members)


def patient_ring() -> Row:
    """What was paid half a year ago comes back, and buys a review of its own."""
    stage = Stage()
    stage.reach_most("erin", "frank")
    stage.now_ms += HALF_LIFE_MS
    stage.reach_most("frank", "erin")
    note = "a payment that is a half-life old counts half as a return; the other member has gained nothing"
    return stage.row("ring of 2 organizations, 180 days apart", "erin", 500_000, note)


def paid_back_outside() -> Row:
    stage = Stage()
    stage.reach_most("frank", "erin")
    note = "no ledger sees it; the fee is what is burnt, and the accomplice must trust"
    return stage.row("one accomplice, paid back outside of the chain", "erin", 500_000, note)


def split_payments() -> Row:
    """The same credits in sixty parts."""
    stage = Stage()
    for _ in range(60):
        stage.pay_and_rate("frank", "erin", 1)
    note = "sixty payments weigh together what one of their sum would"
    return stage.row("the same, 60 credits in 60 payments", "erin", 500_000, note)


def bad_mouthing() -> Row:
    """An honest competitor is bought from, and rated 0."""
    stage = Stage()
    before = honest(stage, "judy")
    stage.reach_most("erin", "judy", 0)
    return stage.row("bad-mouthing a creator of three content buyers", "judy", before, "the price goes to the victim")


def false_creator() -> Row:
    """A competitor is named as the creator of rubbish, which an accomplice buys and rates 0."""
    stage = Stage()
    before = honest(stage, "judy")
    stage.works["erin"] = stage.register("erin", "rubbish", creators=((stage.accounts["judy"], 10_000),))
    stage.reach_most("frank", "erin", 0)
    note = "who is only named is neither praised nor blamed; what moves is decay in seconds"
    return stage.row("the same, of rubbish in the creator's name", "judy", before, note, gained=False)


def whitewashing() -> Row:
    """Who has lost a dispute goes on under a new account."""
    stage = Stage()
    lose(stage, "erin")
    before = stage.score("erin")[0]
    assert stage.organization_score("erin") == before
    other = stage.second("erin")
    after = stage.organization_score("erin")
    note = f"confidence 0, and the organization's score stays {after:,}"
    return stage.row("whitewashing by a new account", other, before, note)


def build_up_then_fraud() -> Row:
    """A good name, then three buyers who were deceived."""
    stage = Stage()
    before = honest(stage, "erin", ("alice", "bob", "carol"), 400)
    stage.had = stage.wealth()
    for buyer in ("judy", "karl", "lena"):
        terms = price(400, dispute_window_ms=86_400_000)
        bought = stage.license("erin", stage.work("erin"), buyer, terms)
        stage.conclude(stage.file_refund(buyer, bought, 400 * CREDIT), uphold=True)
    note = "three lost disputes; the prices went back, and a bond for each answer would go too"
    return stage.row("slow build-up, then fraud", "erin", before, note, gained=False)


def cartel() -> Row:
    """Three accredited organizations of the highest tier confirm whatever each of them claims."""
    stage = Stage()
    members = ATTACKERS[:3]
    confirmed = confirm_one_another(stage, members)
    assert confirmed
    note = f"bonds of {BOND // CREDIT} credits are up for each, and lost with the first dispute"
    return stage.row("evaluator cartel of 3, not found out", "erin", 500_000, note)


def cartel_found_out() -> Row:
    """Somebody disputes one statement of each member."""
    stage = Stage()
    members = ATTACKERS[:3]
    statements = confirm_one_another(stage, members)
    before = stage.score("erin")[0]
    for statement in statements:
        subject = Subject("attestation", statement)
        claim = stage.file("alice", subject, "refute", BOND, ground="false-statement", bond=BOND)
        stage.conclude(claim, uphold=True)
    note = "20 S against each, and the bonds are lost"
    return stage.row("the same, one statement of each refuted", "erin", before, note, gained=False)


def confirm_one_another(stage: Stage, members: Sequence[str]) -> list[bytes]:
    """Return the first statement of each."""
    stage.accredit(*members, tier=10)
    first: dict[str, bytes] = {}
    for owner in members:
        for number in range(3):
            claim = Metric("accuracy", 990_000, 0, stage.dataset, 1)
            provenance = Provenance(metrics=(claim,))
            model = stage.register(owner, f"model {number} of {owner}", "model", provenance=provenance)
            for who in members:
                if who != owner:
                    statement = stage.evaluate(who, 990_000, asset=model)
                    first.setdefault(who, statement)
    return list(first.values())


def lose(stage: Stage, who: str) -> None:
    """Lose a dispute about what was sold."""
    bought = stage.license(who, stage.work(who), "judy", price(10, dispute_window_ms=86_400_000))
    stage.conclude(stage.file_refund("judy", bought, 10 * CREDIT), uphold=True)


ATTACKS: Final[tuple[Callable[[], Row], ...]] = (
    honest_creator,
    wash_sales,
    self_review,
    *(partial(ring, members) for members in (2, 3, 4)),
    patient_ring,
    partial(ring, 5),
    paid_back_outside,
    split_payments,
    bad_mouthing,
    false_creator,
    whitewashing,
    build_up_then_fraud,
    cartel,
    cartel_found_out,
)


def table() -> str:
    """Carry all attacks out; return the table."""
    head = (
        "| attack | credits burnt | score before | score reached | confidence | credits for one point | |\n"
        "|---|---:|---:|---:|---:|---:|---|\n"
    )
    return head + "".join(f"{attack().text()}\n" for attack in ATTACKS)


def written() -> str:
    """Return what the page says."""
    return PAGE.read_text(encoding="utf-8").partition(f"{BEGIN}\n")[2].partition(END)[0]


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(f"{BEGIN}\n")[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
