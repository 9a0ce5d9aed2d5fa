"""Disputes by anybody about anything, against the laws: every bond is settled exactly once, nothing outlives its
deadline, and who paid keeps what it bought."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import initialize, invariant, rule

from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import ASSETS, BOUGHT
from ledger.modules.credits.operations import Transfer
from ledger.modules.credits.records import ESCROWS
from ledger.modules.disputes import events
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.disputes.records import DISPUTES, OPEN, OPEN_MAX, Dispute, about, bond_due, losers
from ledger.modules.licenses.records import GRANTS
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.royalties.records import DEBTS
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.records import TRANSFERS
from ledger.parameters import DAY_MS, HOUR_MS
from primitives.identifiers import account_to_text
from tests.property.machine_kit import Life
from tests.thoroughness import tries
from tests.unit.disputes_kit import BOND_MIN, EVIDENCE, TERMS, Court

WHO = ("alice", "alan", "bob", "carol", "dave", "erin")
PEOPLE = st.sampled_from(WHO)
PICK = st.integers(0, 1_000)
MOSTLY = st.sampled_from([True, True, True, False])
STAGES = st.lists(st.tuples(MOSTLY, MOSTLY), min_size=1, max_size=4)
"""(act, yes): whether somebody acts before the time is over, and for the claim."""


class Disputes(Life):
    """Five organizations with three assets, some of them shared, licensed and sold."""

    court: Court

    @initialize(bond_min=st.sampled_from([1, BOND_MIN]))
    def begin(self, bond_min: int) -> None:
        self.world = self.court = Court(("alice", "bob", "carol", "dave", "erin"), dispute_bond_min=bond_min)
        self.paid: dict[bytes, int] = {}
        """Dispute -> units of bonds that were paid out."""
        court = self.court
        self.assets = [court.register("alice", "A"), court.register("bob", "B")]
        self.transfer("alice", Thing("share", self.assets[0], 3_333), "carol", 0)
        self.offers = [
            court.offer(who, asset, TERMS, expires_at_ms=court.now_ms + 20 * DAY_MS)
            for who, asset in zip(("alice", "bob"), self.assets, strict=True)
        ]
        for index, who in enumerate(("bob", "alice", "dave")):
            court.buy(who, self.offers[index % 2], TERMS)

    def note(self, happened: list[Any]) -> None:
        for event in happened:
            if isinstance(event, events.BondPaid):
                self.paid[event.dispute] = self.paid.get(event.dispute, 0) + event.amount

    def pick_open(self, index: int) -> Any:
        rows = [row for row in DISPUTES.items(self.court.view) if row[1].state != "closed"]
        return rows[index % len(rows)] if rows else None

    def transfer(self, who: str, thing: Thing, to: str, price: int) -> None:
        expires_at_ms, recipient = self.court.now_ms + 5 * HOUR_MS, self.court.accounts[to]
        operation: Any = transfers.OfferGift(thing, recipient, expires_at_ms)
        if price:
            operation = transfers.Offer(thing, recipient, price, expires_at_ms)
        if self.attempt(who, operation):
            identifier = transfers.transfer_id(self.court.transaction_id, thing)
            if price % 2 == 0:
                self.attempt(to, transfers.Accept(identifier, price))

    def protected(self, asset: bytes) -> dict[bytes, int]:
        return {account: record.bps for account, record in BOUGHT.items(self.court.view, asset)}

    @rule(
        who=PEOPLE,
        kind=st.sampled_from(["freeze_sales", "version", *2 * ["transfer_back"], "refund", "payment", "lift"]),
        index=PICK,
        amount=st.sampled_from([0, 1, 999, 10_001, 123_457, 10**10]),
        more=st.sampled_from([-1, 0, 0, 0, 7]),
    )
    def file(self, who: str, kind: str, index: int, amount: int, more: int) -> None:
        """Mostly by somebody who may."""
        asset, relief, ground = self.assets[index % 2], kind, "infringement"
        subject, possible = Subject("asset", asset), ["erin", "dave"]
        if kind == "version":
            subject, relief = Subject("version", asset, 1), "freeze_sales"
        elif kind == "refund":
            grant, record = self.pick(GRANTS, index)
            subject, ground, amount = Subject("grant", grant), "wrong-content", record.price
            possible = [self.name(record.licensee)]
        elif kind == "payment":
            grant, record = self.pick(GRANTS, index)
            subject, ground, possible = Subject("grant", grant), "unpaid", self.owners(record.asset)
        elif kind == "lift":
            frozen = [(key, record) for key, record in DISPUTES.items(self.court.view) if record.freezing]
            if not frozen:
                return
            key, dispute = frozen[index % len(frozen)]
            subject, ground, possible = Subject("freeze", key), "settled", self.owners(dispute.asset)
        bond = bond_due(amount, self.court.parameters.dispute_bond_min) + more
        if bond > 0:
            operation = disputes.File(subject, ground, relief, amount, bond, EVIDENCE)  # type: ignore[arg-type]
            filed = self.attempt(possible[index % len(possible)] if index % 5 else who, operation)
            assert not (filed and more < 0), "no bond below the least"

    def owners(self, asset: bytes) -> list[str]:
        return [self.name(share.account) for share in ownership(self.court.view, asset).shares]

    def name(self, account: bytes) -> str:
        return next(name for name, known in self.court.accounts.items() if known == account)

    @rule(index=PICK, bonded=st.booleans())
    def answer(self, index: int, bonded: bool) -> None:
        chosen = self.pick_open(index)
        if chosen:
            who = chosen[1].respondents[index % len(chosen[1].respondents)].account
            self.attempt(who, disputes.Answer(chosen[0], bonded))

    @rule(who=PEOPLE, index=PICK, uphold=st.booleans())
    def vote(self, who: str, index: int, uphold: bool) -> None:
        chosen = self.pick_open(index)
        if chosen:
            self.attempt(who, disputes.Vote(chosen[0], uphold))

    @rule(index=PICK, stages=STAGES)
    def proceed(self, index: int, stages: list[tuple[bool, bool]]) -> None:
        """Take a dispute on: by what its parties and arbiters do, or by the end of its time."""
        chosen = self.pick_open(index)
        for act, yes in stages if chosen else ():
            record = self.court.dispute(chosen[0])
            if not act and record.due_ms is not None:
                self.note(self.court.advance(max(0, record.due_ms - self.court.now_ms)))
            elif record.state == "answering":
                self.attempt(record.respondents[0].account, disputes.Answer(chosen[0], yes))
            elif record.state == "decided":
                loser = record.respondents[0] if record.first == "upheld" else record.claim
                self.attempt(loser.account, disputes.Appeal(chosen[0], 2 * record.claim.bond))
            elif record.state != "closed":
                for name in WHO:
                    self.attempt(name, disputes.Vote(chosen[0], yes))

    @rule(index=PICK, claimant=st.booleans(), factor=st.sampled_from([1, 2, 3]))
    def appeal(self, index: int, claimant: bool, factor: int) -> None:
        chosen = self.pick_open(index)
        if chosen:
            identifier, record = chosen
            who = record.claim.account if claimant else record.respondents[0].account
            done = self.attempt(who, disputes.Appeal(identifier, factor * record.claim.bond))
            assert not (done and factor < 2)

    @rule(index=PICK)
    def lift(self, index: int) -> None:
        chosen = self.pick(DISPUTES, index)
        if chosen:
            self.attempt(chosen[1].claim.account, disputes.Lift(chosen[0]))

    @rule(index=PICK, who=PEOPLE)
    def collect(self, index: int, who: str) -> None:
        chosen = self.pick(DEBTS, index)
        if chosen:
            self.attempt(who, disputes.Collect(chosen[0]))

    @rule(who=PEOPLE, to=PEOPLE, asset=st.integers(0, 1), bps=st.sampled_from([0, 1, 3_333, 6_667]),
          price=st.sampled_from([0, 0, 2, 3, 50_000]))  # fmt: skip
    def hand_over(self, who: str, to: str, asset: int, bps: int, price: int) -> None:
        """An odd price leaves the transfer pending."""
        thing = Thing("share" if bps else "asset", self.assets[asset], bps)
        self.transfer(who, thing, to, price)

    @rule(index=PICK, accept=st.booleans())
    def end_transfer(self, index: int, accept: bool) -> None:
        chosen = self.pick(TRANSFERS, index)
        if chosen:
            accepted, declined = transfers.Accept(chosen[0], chosen[1].price), transfers.Withdraw(chosen[0])
            self.attempt(chosen[1].recipient, accepted if accept else declined)

    @rule(index=PICK, to=PEOPLE)
    def pass_grant_on(self, index: int, to: str) -> None:
        grant, record = self.pick(GRANTS, index)
        self.transfer(self.name(record.licensee), Thing("grant", grant), to, 500)

    @rule(who=PEOPLE, offer=st.integers(0, 1))
    def buy(self, who: str, offer: int) -> None:
        self.attempt(who, self.court.purchase_operation(self.offers[offer], TERMS))

    @rule(who=PEOPLE, to=PEOPLE, keep=st.sampled_from([0, 1, 5_000]), asset=st.integers(0, 1))
    def move_credits(self, who: str, to: str, keep: int, asset: int) -> None:
        self.attempt(who, Withdraw(self.assets[asset]))
        if (amount := self.court.balance(who) - keep) > 0:
            self.attempt(who, Transfer(self.court.accounts[to], amount))

    @rule(
        ms=st.sampled_from([1, HOUR_MS - 1, HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS, 3 * HOUR_MS, DAY_MS]),
        limit=st.sampled_from([0, 1, 1_000, 1_000, 1_000]),
    )
    def wait(self, ms: int, limit: int) -> None:
        before = {asset: self.protected(asset) for asset in self.assets}
        self.note(self.court.advance(ms, limit))
        assert {asset: self.protected(asset) for asset in self.assets} == before, "no deadline takes what was bought"

    @invariant()
    def laws(self) -> None:
        court = self.court
        court.check_laws()
        freezes: dict[bytes, int] = {}
        held: list[bytes] = []
        places: dict[tuple[bytes, str], int] = {}
        for identifier, record in DISPUTES.items(court.view):
            self.check_dispute(identifier, record)
            freezes[record.asset] = freezes.get(record.asset, 0) + record.freezing
            if record.relief == "refund" and record.state != "closed":
                held.append(record.subject.id)
            if record.state != "closed":
                place = (about(record.subject, record.asset), record.organization)
                places[place] = places.get(place, 0) + 1
        assert all(number == 1 for number in places.values())
        assert sorted(held) == [key for key, grant in GRANTS.items(court.view) if grant.disputed]
        for asset, entry in ASSETS.items(court.view):
            assert entry.freezes == freezes.get(asset, 0)
            assert sum(1 for _ in OPEN.items(court.view, asset)) <= OPEN_MAX
            shares = {share.account: share.bps for share in ownership(court.view, asset).shares}
            assert all(bps <= shares.get(account, 0) for account, bps in self.protected(asset).items())
        assert all(0 < debt.owed <= debt.amount for _, debt in DEBTS.items(court.view))

    def check_dispute(self, identifier: bytes, record: Dispute) -> None:
        """Bonds are in escrow until the final outcome, and paid out with it, all of them and nothing else."""
        bonds = sum(said.bond for said in (record.claim, record.answer, record.appeal) if said is not None)
        assert self.paid.get(identifier, 0) == (bonds if record.outcome is not None else 0)
        assert (record.due_ms is None) == (record.state == "closed")
        assert (record.outcome is None) == (record.state not in ("closed", "recalling"))
        for account in losers(record):
            text = account_to_text(account)
            lost = self.court.query("disputes.list", lost=text)
            assert identifier.hex() in [item.dispute for item in lost]

    def teardown(self) -> None:
        """Whatever was left open ends by itself."""
        if not hasattr(self, "court"):
            return
        for _ in range(8):
            self.note(self.court.advance(DAY_MS, limit=100_000))
        self.laws()
        view = self.court.view
        assert list(OPEN.items(view)) == []
        assert list(ESCROWS.items(view)) == []
        assert all(asset.recall is None and asset.locked_by is None for _, asset in ASSETS.items(view))
        for identifier, debt in list(DEBTS.items(view)):
            for name in WHO:
                if (held := self.court.balance(name)) and self.court.accounts[name] != debt.debtor:
                    self.court.do(name, Transfer(debt.debtor, held))
            self.court.do("erin", disputes.Collect(identifier))
            assert DEBTS.get(view, identifier) is None or self.court.balance(debt.debtor) == 0
            self.court.check_laws()
        for item in self.court.query("disputes.list", asset=self.assets[0].hex()):
            self.court.query("disputes.get", dispute=item.dispute)


Disputes.TestCase.settings = settings(max_examples=tries(75), stateful_step_count=60, deadline=None)
TestDisputes = Disputes.TestCase
