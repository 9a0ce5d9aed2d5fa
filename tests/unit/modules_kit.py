"""A world for tests of the ledger's modules: the real handlers over a state in memory, without blocks and
signatures."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from ledger import deadlines
from ledger.epochs import write_genesis_epoch
from ledger.errors import OperationError
from ledger.genesis import (
    Genesis,
    GenesisAccount,
    GenesisOrganization,
    GenesisValidator,
    network_id,
    organization_account,
    validator_account,
)
from ledger.modules.assets import operations as assets
from ledger.modules.credits import accounting
from ledger.modules.credits.accounting import balance, total
from ledger.modules.credits.records import ESCROWS, SUPPLY, TREASURY
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.check import CheckResult, check
from ledger.modules.module import Context, Role
from ledger.modules.organizations.accounts import standing_in_role
from ledger.modules.organizations.records import ACCOUNTS
from ledger.modules.royalties.pools import owed, shares_of
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.operations import MODULE_NAMES, Registry, default_registry
from ledger.parameters import DAY_MS, Parameters, read_parameters, write_parameters
from ledger.state.indexes import IndexAudit
from ledger.state.view import StateView, Table, table_of
from primitives.codec import decode, encode
from primitives.digest import tagged_hash
from primitives.identifiers import AccountId, key_to_text
from primitives.keys import SigningKey
from tests.readable_kit import ReadableView, require_readable_event

START_MS = 1_700_000_000_000
SUPPLY_EACH = 10_000_000_000
COMMITMENT_AGE_MS = 10_000
NAMES = ("alice", "bob", "carol", "dave")
"""Owners, each of an organization of its own; `alan` is a second account of alice's organization."""


class Dictionary:
    """The bottom of the state: records in a dict."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.records.get(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.records):
            if key.startswith(prefix) and key >= start:
                yield key, self.records[key]


def seed_key(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


def make_genesis(validators: int = 4, names: Sequence[str] = NAMES, **parameters: Any) -> Genesis:
    people = [*((name, f"org-{name}") for name in names), ("alan", "org-alice")]
    chosen: dict[str, Any] = {"commitment_age_ms": COMMITMENT_AGE_MS, "escrow_timeout_ms": DAY_MS, "fee_bps": 250}
    genesis = Genesis(
        version=1,
        name="modules",
        salt="cd" * 32,
        created_at_ms=START_MS,
        development=True,
        parameters=Parameters(**(chosen | parameters)),
        organizations=tuple(GenesisOrganization(f"org-{name}", name.title()) for name in names),
        accounts=tuple(
            GenesisAccount(org, key_to_text(seed_key(name).public_key), "00" * 16, SUPPLY_EACH, name)
            for name, org in people
        ),
        validators=tuple(
            GenesisValidator(
                f"org-{NAMES[index % len(NAMES)]}",
                f"gmnode1{index}",
                key_to_text(seed_key(f"validator {index}").public_key),
                base64.b64encode(b"certificate %d" % index).decode(),
                f"127.0.0.1:{7000 + index}",
            )
            for index in range(validators)
        ),
    )
    genesis.validate()
    return genesis


def cid(content: str | bytes) -> str:
    """The raw CIDv1 of some content."""
    data = content.encode() if isinstance(content, str) else content
    raw = b"\x01\x55\x12\x20" + hashlib.sha256(data).digest()
    return "b" + base64.b32encode(raw).decode().lower().rstrip("=")


class World:
    """A state, a clock, and short ways to say what accounts do."""

    def __init__(self, genesis: Genesis | None = None, registry: Registry | None = None) -> None:
        self.genesis = genesis or make_genesis()
        self.registry = registry or default_registry()
        self.network_id = network_id(self.genesis)
        self.parameters = self.genesis.parameters
        self.now_ms = START_MS
        self.view: StateView = ReadableView(Dictionary())
        self.events: list[msgspec.Struct] = []
        self.artifacts: list[Any] = []
        self.transaction_id = b""
        self._count = 0
        self.accounts: dict[str, AccountId] = {
            account.name: organization_account(self.network_id, account) for account in self.genesis.accounts
        }
        self.validators = [validator_account(self.network_id, validator) for validator in self.genesis.validators]
        write_parameters(self.view, self.parameters)
        write_genesis_epoch(self.view, self.network_id, self.genesis)
        for module in self.registry.modules:
            if module.genesis is not None:
                module.genesis(self.context(self.view, b"", b"genesis"), self.genesis)

    # --- the ledger's part

    def context(self, view: StateView, sender: bytes, identifier: bytes) -> Context:
        return Context(
            view=view,
            network_id=self.network_id,
            height=self._count,
            block_time_ms=self.now_ms,
            parameters=read_parameters(view),
            sender=AccountId(sender),
            signer=b"",
            transaction_id=identifier,
        )

    def do(self, who: str | bytes, *operations: Any, role: Role = "owner") -> list[Any]:
        """Run one transaction; all of it or nothing. Return its events. What is sent is decoded as it would be."""
        sender = self.accounts[who] if isinstance(who, str) else who
        self._count += 1
        self.transaction_id = tagged_hash("test-transaction", self._count.to_bytes(8, "big"))
        view = self.view.child()
        context = self.context(view, sender, self.transaction_id)
        record = ACCOUNTS.get(view, sender)
        assert record is not None
        standing = standing_in_role(view, record, role)
        for operation in operations:
            assert decode(encode(operation), type(operation)) == operation
            self.registry.require_permitted(standing, operation, self.now_ms)
            self.registry.handlers[type(operation)](context, operation)
        self.view.apply(view)
        self.events = list(context.events)
        self.artifacts = list(context.artifacts)
        for event in context.events:
            require_readable_event(event)
            assert msgspec.msgpack.decode(encode(event))["type"].count(".") == 1
        return self.events

    def refused(self, code: str, who: str | bytes, *operations: Any, role: Role = "owner") -> OperationError:
        """Expect the transaction to be refused with `code`, leaving no trace."""
        before = self.view.changes()
        with pytest.raises(OperationError) as caught:
            self.do(who, *operations, role=role)
        assert caught.value.code == code, caught.value.message
        assert self.view.changes() == before
        return caught.value

    def advance(self, ms: int, limit: int = 1_000) -> list[Any]:
        """Let time pass and sweep the deadlines that fall due, at most `limit`; return their events."""
        self.now_ms += ms
        events: list[Any] = []
        for deadline in deadlines.due(self.view, self.now_ms, limit):
            view = self.view.child()
            if not deadlines.take(view, deadline):
                continue
            context = self.context(view, b"", deadline.id)
            self.registry.deadlines[deadline.kind](context, deadline.subject)
            self.view.apply(view)
            for event in context.events:
                require_readable_event(event)
            events += context.events
        return events

    def query(self, name: str, **arguments: Any) -> Any:
        """Ask, and check that the answer is made for JSON."""
        answer = self.registry.queries[name](self.view, self.network_id, self.now_ms, **arguments)
        msgspec.json.encode(answer)
        return answer

    # --- stories

    def balance(self, who: str | bytes) -> int:
        return balance(self.view, self.accounts[who] if isinstance(who, str) else who)

    @property
    def treasury(self) -> int:
        return balance(self.view, TREASURY)

    def owed(self, who: str, asset: bytes) -> int:
        """Whole units that an account could withdraw from an asset."""
        from ledger.modules.assets.reads import require_asset

        account = self.accounts[who]
        shares = shares_of(self.view, asset, require_asset(self.view, asset), account)
        return sum(owed(self.view, pool, account, bps)[0] for pool, bps in shares)

    def salt(self, label: str) -> bytes:
        return hashlib.sha256(label.encode()).digest()[:16]

    def artifact(self, label: str, kind: str = "dataset") -> assets.Artifact:
        digest = hashlib.sha256(b"tensors " + label.encode()).digest() if kind == "model" else None
        return assets.Artifact(cid(label), 1_000 + len(label), digest)

    def commit(self, who: str, label: str, kind: str = "dataset") -> None:
        """Commit to the artifact `label`, and let the commitment become old enough."""
        digest = self.artifact(label, kind).tensors_digest
        self.do(who, assets.Commit(assets.commitment(cid(label), self.accounts[who], self.salt(label), digest)))
        self.advance(self.parameters.commitment_age_ms)

    def registration(self, who: str, label: str, kind: str = "dataset", **fields: Any) -> assets.Register:
        derivations = tuple(fields.pop("derivations", ()))
        base: dict[str, Any] = {
            "artifact": self.artifact(label, kind),
            "salt": self.salt(label),
            "kind": kind,
            "name": label,
            "provenance": assets.Provenance(derivations=derivations),
        }
        return assets.Register(**(base | fields))

    def register(self, who: str, label: str, kind: str = "dataset", *, held: bool = True, **fields: Any) -> bytes:
        """Commit and register; unless told otherwise a quorum of validators holds it at once."""
        self.commit(who, label, kind)
        self.do(who, self.registration(who, label, kind, **fields))
        asset = assets.asset_id(self.network_id, self.accounts[who], cid(label))
        if held:
            self.hold(asset)
        return asset

    def add_version(self, who: str, asset: bytes, label: str, kind: str = "dataset", **fields: Any) -> None:
        self.commit(who, label, kind)
        derivations = tuple(fields.pop("derivations", ()))
        provenance = assets.Provenance(derivations=derivations)
        self.do(who, assets.AddVersion(asset, self.artifact(label, kind), self.salt(label), provenance, **fields))

    def hold(self, asset: bytes, version: int = 1, count: int | None = None) -> list[Any]:
        """Let the first `count` validators (all but one by default) state that they hold the version."""
        events: list[Any] = []
        for account in self.validators[: len(self.validators) - 1 if count is None else count]:
            events += self.do(account, assets.ReportHeld(asset, version), role="validator")
        return events

    def offer(self, who: str, asset: bytes, terms: licenses.Terms, **fields: Any) -> bytes:
        expires_at_ms = fields.pop("expires_at_ms", self.now_ms + DAY_MS)
        self.do(who, licenses.Offer(asset, terms, expires_at_ms, **fields))
        return licenses.offer_id(self.transaction_id, asset, licenses.terms_digest(terms), fields.get("buyer"))

    def purchase_operation(self, offer: bytes, terms: licenses.Terms, salt: bytes | None = None) -> licenses.Purchase:
        return licenses.Purchase(offer, licenses.terms_digest(terms), terms.price, salt)

    def buy(self, who: str, offer: bytes, terms: licenses.Terms, *, committed: bool = False) -> bytes:
        salt = None
        if committed:
            salt = self.salt(f"purchase {who}")
            commitment = licenses.purchase_commitment(offer, self.accounts[who], salt)
            self.do(who, licenses.Commit(commitment))
            self.advance(self.parameters.commitment_age_ms)
        self.do(who, self.purchase_operation(offer, terms, salt))
        return licenses.grant_id(self.transaction_id, offer)

    def license(self, seller: str, asset: bytes, buyer: str, terms: licenses.Terms) -> bytes:
        """Offer and buy in one go."""
        committed = terms.exclusivity == "exclusive" or terms.editions_max == 1
        return self.buy(buyer, self.offer(seller, asset, terms), terms, committed=committed)

    def give_transfer(self, who: str, thing: bytes | Thing, to: str, price: int = 0) -> bytes:
        """Offer a thing, or the whole of an asset."""
        whole = Thing("asset", thing) if isinstance(thing, bytes) else thing
        expires_at_ms = self.now_ms + DAY_MS
        recipient = self.accounts[to]
        if price:
            self.do(who, transfers.Offer(whole, recipient, price, expires_at_ms))
        else:
            self.do(who, transfers.OfferGift(whole, recipient, expires_at_ms))
        return transfers.transfer_id(self.transaction_id, whole)

    def transfer(self, who: str, thing: bytes | Thing, to: str, price: int = 0) -> None:
        transfer = self.give_transfer(who, thing, to, price)
        self.do(to, transfers.Accept(transfer, price))

    def check(self, who: str, asset: bytes, right: str = "download", **arguments: Any) -> CheckResult:
        at_ms = arguments.pop("at_ms", self.now_ms)
        return check(self.view, self.accounts[who], asset, right, at_ms, **arguments)

    def check_laws(self) -> None:
        """E4 and more: what must hold at every height."""
        check_laws(self)


def check_laws(world: World) -> None:
    from ledger.modules.assets.records import ASSETS, OWNERSHIP
    from ledger.modules.credits.records import BALANCES, pool_holder
    from ledger.modules.licenses.grants import is_live, overlap, require_terms
    from ledger.modules.licenses.records import GRANTS
    from ledger.modules.licenses.usage import deposit_id
    from ledger.modules.organizations.records import USAGE
    from ledger.modules.royalties.records import CAP_BPS, OWED, STACKS, creators_pool

    view = world.view
    supply = SUPPLY.get(view)
    assert supply is not None
    assert total(view) == supply.amount
    assert all(record.amount > 0 for _, record in BALANCES.items(view))
    for escrow, record in ESCROWS.items(view):
        assert balance(view, tagged_hash("escrow", escrow)) == record.amount
    for _, stack in STACKS.items(view):
        assert sum(entry.rate_bps for entry in stack.entries) <= CAP_BPS
        assert all(entry.cap is None or entry.paid <= entry.cap for entry in stack.entries)
    for asset, record in ASSETS.items(view):
        shares = OWNERSHIP.get(view, asset)
        assert shares is not None
        assert sum(share.bps for share in shares.shares) == 10_000
        for pool, present in ((asset, shares.shares), (creators_pool(asset), record.creators)):
            names = {share.account: share.bps for share in present}
            names |= {key: names.get(key, 0) for key, _ in OWED.items(view, pool)}
            claims = [owed(view, pool, account, bps) for account, bps in names.items()]
            held = balance(view, pool_holder(pool))
            assert sum(units * 10_000 + parts for units, parts in claims) == held * 10_000
    live = [
        (grant, require_terms(view, grant.terms)) for _, grant in GRANTS.items(view) if is_live(grant, world.now_ms)
    ]
    for index, (grant, terms) in enumerate(live):
        for other, other_terms in live[index + 1 :]:
            if grant.asset == other.asset and {terms.exclusivity, other_terms.exclusivity} != {"none"}:
                assert not overlap(grant, terms, other, other_terms)
    for grant_id, grant in GRANTS.items(view):
        terms = require_terms(view, grant.terms)
        deposited = ESCROWS.get(view, deposit_id(grant_id))
        left = 0 if grant.quota is None or grant.state == "refunded" else grant.quota - grant.used
        assert (0 if deposited is None else deposited.amount) == left * terms.usage_price
        assert (grant.usage_due_ms is not None) == (deposited is not None and grant.state == "active")
        assert left >= 0
        assert not grant.disputed or grant.due_ms is None
        in_escrow = ESCROWS.get(view, grant_id) is not None
        # What is disputed may have been paid out before.
        assert in_escrow == (grant.due_ms is not None) or (in_escrow and grant.disputed)
    check_locks(world)
    check_escrows(world)
    check_charters(world)
    check_readable(world)
    audit = IndexAudit(world.registry.indexes)
    assert list(audit.records(view.iterate(b"")))
    assert audit.unsound() == []
    assert all(min(usage.records, usage.bytes, usage.deadlines) >= 0 for _, usage in USAGE.items(view))


def tables() -> dict[bytes, Table[Any]]:
    """Every table of a module, by its prefix."""
    found: dict[bytes, Table[Any]] = {}
    for name in MODULE_NAMES:
        with contextlib.suppress(ModuleNotFoundError):
            records = vars(importlib.import_module(f"ledger.modules.{name}.records"))
            found |= {table.prefix: table for table in records.values() if isinstance(table, Table)}
    return found


def check_readable(world: World) -> None:
    """No handler has written what reading refuses: writing checks no bounds, and such a record stops every node."""
    known = tables()
    for key, value in world.view.iterate(b""):
        if (table := known.get(table_of(key))) is not None:
            table.read(value)


def open_things(world: World) -> list[tuple[bytes, Thing, bytes, int]]:
    """What is in a transfer, listing or auction: (its id, thing, holder, end)."""
    from ledger.modules.market.records import AUCTIONS, LISTINGS
    from ledger.modules.transfers.records import TRANSFERS

    view = world.view
    found = [(key, row.thing, row.giver, row.expires_at_ms) for key, row in TRANSFERS.items(view)]
    found += [(key, row.thing, row.seller, row.ends_at_ms) for key, row in LISTINGS.items(view)]
    return found + [(key, row.thing, row.seller, row.ends_at_ms) for key, row in AUCTIONS.items(view)]


def check_locks(world: World) -> None:
    """Each lock is of exactly one open transfer, listing or auction, and each of these has its lock and its deadline.
    Locked shares are their holder's."""
    from ledger.modules.assets.records import ASSETS, OWNERSHIP, SHARE_LOCKS
    from ledger.modules.licenses.records import GRANTS

    view = world.view
    locks: list[tuple[bytes, str, bytes]] = []
    locks += [(row.locked_by, "asset", key) for key, row in ASSETS.items(view) if row.locked_by is not None]
    locks += [(row.locked_by, "grant", key) for key, row in GRANTS.items(view) if row.locked_by is not None]
    things = open_things(world)
    assert sorted(locks) == sorted((key, thing.kind, thing.id) for key, thing, _, _ in things if thing.kind != "share")
    shares: dict[bytes, int] = {}
    for _, thing, holder, _ in things:
        if thing.kind == "share":
            shares[thing.id + holder] = shares.get(thing.id + holder, 0) + thing.bps
            asset = ASSETS.get(view, thing.id)
            assert asset is not None
            assert asset.locked_by is None, "a whole asset is locked only while none of its shares is"
    assert {key: row.bps for key, row in SHARE_LOCKS.items(view)} == shares
    for key, bps in shares.items():
        owners = OWNERSHIP.get(view, key[:32])
        assert owners is not None
        assert sum(share.bps for share in owners.shares if share.account == key[32:]) >= bps
    ends = {deadline.subject: deadline.at_ms for deadline in deadlines.due(view, 2**62, 10**9)}
    assert all(ends[key] == end_ms for key, _, _, end_ms in things)


def check_charters(world: World) -> None:
    """Each open proposal has its deadline and its mark, no other has one; a treasury's rate is that of the charter; and
    what only charters keep is gone without one."""
    from ledger.modules.charters.records import CHARTERS, OPEN, PROPOSALS, SALES, SHARE_PRICES, VOTING_END
    from ledger.modules.royalties.records import POOLS

    view = world.view
    opened = {key: row for key, row in PROPOSALS.items(view) if row.state == "open"}
    due = {one.subject: one.at_ms for one in deadlines.due(view, 2**62, 10**9) if one.kind == VOTING_END}
    assert due == {key: row.closes_at_ms for key, row in opened.items()}
    assert sorted(key[-32:] for key, _ in OPEN.items(view)) == sorted(opened)
    for row in opened.values():
        power = sum(voter.bps for voter in row.voters)
        assert 0 < power <= 10_000
        assert [voter.account for voter in row.voters] == sorted({voter.account for voter in row.voters})
    selling = {row.proposal for _, row in SALES.items(view)}
    assert selling == {key for key, row in PROPOSALS.items(view) if row.state == "selling"}
    charters = {key: row.rules for key, row in CHARTERS.items(view)}
    rates = {key: row.treasury_bps for key, row in POOLS.items(view) if row.treasury_bps}
    assert rates == {key: rules.treasury_bps for key, rules in charters.items() if rules.treasury_bps}
    assert {key for key, _ in SHARE_PRICES.items(view)} <= charters.keys()


def check_escrows(world: World) -> None:
    """Each escrow is of exactly one grant, gift, offer, best bid, bounty or bond, in full, and will end by a deadline.
    Deposits and disputed payments are looked at elsewhere."""
    from ledger.modules.attestations.records import ACCREDITATIONS
    from ledger.modules.attestations.records import bond_escrow as bond_name
    from ledger.modules.charters.records import SALES
    from ledger.modules.contributions.records import BOUNTIES
    from ledger.modules.disputes.records import DISPUTES, bond_escrow
    from ledger.modules.licenses.records import GRANTS
    from ledger.modules.licenses.usage import deposit_id
    from ledger.modules.market.records import AUCTIONS, OFFERS, best_bid
    from ledger.modules.transfers.records import TRANSFERS

    view = world.view
    held = [(key, row) for key, row in GRANTS.items(view) if row.due_ms is not None]
    # Who paid need not be the licensee any more, and a dispute holds an escrow without a deadline.
    deposits = {deposit_id(key) for key, _ in GRANTS.items(view)}
    disputed = {key for key, row in GRANTS.items(view) if row.disputed}
    expected = [(key, row.licensee, row.price) for key, row in held]
    expected += [(key, row.giver, row.royalty_held) for key, row in TRANSFERS.items(view) if not row.price]
    expected += [(key, row.buyer, row.price) for key, row in OFFERS.items(view)]
    expected += [(key, row.opener, row.amount) for key, row in BOUNTIES.items(view)]
    bids = [(key, best_bid(row)) for key, row in AUCTIONS.items(view)]
    expected += [(key, best.bidder, best.amount) for key, best in bids if best is not None]
    ends = {deadline.subject for deadline in deadlines.due(view, 2**62, 10**9)}
    assert all(key in ends for key, _, _ in expected)
    for key, dispute in DISPUTES.items(view):
        assert (key in ends) == (dispute.state != "closed")
        said = {"claim": dispute.claim, "answer": dispute.answer, "appeal": dispute.appeal}
        expected += [
            (bond_escrow(key, name), part.account, part.bond)  # type: ignore[arg-type]
            for name, part in said.items()
            if part is not None and part.bond and dispute.outcome is None
        ]
    bonds = {bond_name(account): record for account, record in ACCREDITATIONS.items(view)}
    for account, record in ACCREDITATIONS.items(view):
        assert accounting.held(view, bond_name(account)) == record.posted
        assert (account in ends) == (record.ended is None or record.bond_until_ms is not None)
    for asset, sale in SALES.items(view):
        assert asset in ends
        expected.append((sale.offer, sale.buyer, sale.price))
    others = [(key, row) for key, row in ESCROWS.items(view) if key not in deposits | disputed | bonds.keys()]
    assert sorted(expected) == sorted((key, row.payer, row.amount) for key, row in others)
