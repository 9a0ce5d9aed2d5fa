"""A world for tests of the ledger's modules: the real handlers over a state in memory, without blocks and
signatures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ledger import deadlines
from ledger.epochs import write_genesis_epoch
from ledger.errors import OperationError
from ledger.execution import check_role, write_parameters
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
from ledger.modules.assets.transfers import transfer_id
from ledger.modules.credits.accounting import balance, total
from ledger.modules.credits.records import ESCROWS, SUPPLY, TREASURY
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.check import CheckResult, check
from ledger.modules.module import Context
from ledger.modules.royalties.pools import owed, shares_of
from ledger.operations import Registry, default_registry
from ledger.parameters import DAY_MS, Parameters
from ledger.state.indexes import IndexAudit
from ledger.state.view import StateView
from primitives.codec import decode, encode
from primitives.digest import tagged_hash
from primitives.identifiers import AccountId, key_to_text
from primitives.keys import SigningKey

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

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.records):
            if key.startswith(prefix):
                yield key, self.records[key]


def seed_key(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


def make_genesis(validators: int = 4, **parameters: Any) -> Genesis:
    people = [*((name, f"org-{name}") for name in NAMES), ("alan", "org-alice")]
    chosen: dict[str, Any] = {"commitment_age_ms": COMMITMENT_AGE_MS, "escrow_timeout_ms": DAY_MS, "fee_bps": 250}
    genesis = Genesis(
        version=1,
        name="modules",
        salt="cd" * 32,
        created_at_ms=START_MS,
        development=True,
        parameters=Parameters(**(chosen | parameters)),
        organizations=tuple(GenesisOrganization(f"org-{name}", name.title()) for name in NAMES),
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
        self.view = StateView(Dictionary())
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
            parameters=self.parameters,
            sender=AccountId(sender),
            signer=b"",
            transaction_id=identifier,
        )

    def do(self, who: str | bytes, *operations: Any, role: str = "owner") -> list[Any]:
        """Run one transaction; all of it or nothing. Return its events. What is sent is decoded as it would be."""
        sender = self.accounts[who] if isinstance(who, str) else who
        self._count += 1
        self.transaction_id = tagged_hash("test-transaction", self._count.to_bytes(8, "big"))
        view = self.view.child()
        context = self.context(view, sender, self.transaction_id)
        for operation in operations:
            assert decode(encode(operation), type(operation)) == operation
            check_role(self.registry, role, operation)
            self.registry.handlers[type(operation)](context, operation)
        self.view.apply(view)
        self.events = list(context.events)
        self.artifacts = list(context.artifacts)
        for event in context.events:
            assert msgspec.msgpack.decode(encode(event))["type"].count(".") == 1
        return self.events

    def refused(self, code: str, who: str | bytes, *operations: Any, role: str = "owner") -> OperationError:
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

    def commit(self, who: str, label: str) -> None:
        """Commit to the artifact `label`, and let the commitment become old enough."""
        self.do(who, assets.Commit(assets.commitment(cid(label), self.accounts[who], self.salt(label))))
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
        self.commit(who, label)
        self.do(who, self.registration(who, label, kind, **fields))
        asset = assets.asset_id(self.network_id, self.accounts[who], cid(label))
        if held:
            self.hold(asset)
        return asset

    def add_version(self, who: str, asset: bytes, label: str, kind: str = "dataset", **fields: Any) -> None:
        self.commit(who, label)
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

    def give_transfer(self, who: str, asset: bytes, to: str, price: int = 0) -> bytes:
        expires_at_ms = self.now_ms + DAY_MS
        recipient = self.accounts[to]
        if price:
            self.do(who, assets.OfferTransfer(asset, recipient, price, expires_at_ms))
        else:
            self.do(who, assets.OfferGift(asset, recipient, expires_at_ms))
        return transfer_id(self.transaction_id, asset)

    def transfer(self, who: str, asset: bytes, to: str, price: int = 0) -> None:
        transfer = self.give_transfer(who, asset, to, price)
        self.do(to, assets.AcceptTransfer(transfer, price))

    def check(self, who: str, asset: bytes, right: str = "download", **arguments: Any) -> CheckResult:
        at_ms = arguments.pop("at_ms", self.now_ms)
        return check(self.view, self.accounts[who], asset, right, at_ms, **arguments)

    def check_laws(self) -> None:
        """E4 and more: what must hold at every height."""
        check_laws(self)


def check_laws(world: World) -> None:
    from ledger.modules.assets.records import ASSETS, OWNERSHIP
    from ledger.modules.credits.records import BALANCES, pool_holder
    from ledger.modules.licenses.grants import is_live, require_terms
    from ledger.modules.licenses.records import GRANTS
    from ledger.modules.organizations.records import USAGE
    from ledger.modules.royalties.records import CAP_BPS, OWED, STACKS, creators_pool

    view = world.view
    supply = SUPPLY.get(view)
    assert supply is not None
    assert total(view) == supply.amount == sum(account.credits for account in world.genesis.accounts)
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
    exclusive: dict[bytes, int] = {}
    for _, grant in GRANTS.items(view):
        terms = require_terms(view, grant.terms)
        if terms.exclusivity == "exclusive" and is_live(grant, terms, world.now_ms):
            exclusive[grant.asset] = exclusive.get(grant.asset, 0) + 1
    assert all(count == 1 for count in exclusive.values())
    audit = IndexAudit(world.registry.indexes)
    assert list(audit.records(view.iterate(b"")))
    assert audit.unsound() == []
    assert all(min(usage.records, usage.bytes, usage.deadlines) >= 0 for _, usage in USAGE.items(view))
