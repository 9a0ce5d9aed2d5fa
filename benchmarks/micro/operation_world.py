"""A small world in which every operation can be prepared: the real modules over a state in memory, without blocks.

What is prepared is then read as a node reads it: through the caches of `StateRecords`, by a block's view.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from artifacts.cid import raw_cid
from benchmarks.errors import BenchError
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
from ledger.modules.licenses import operations as licenses
from ledger.modules.module import ChainFacts, Context
from ledger.modules.organizations import operations as organizations
from ledger.node_names import KEY_PREFIX
from ledger.operations import Registry
from ledger.parameters import DAY_MS, Parameters, write_parameters
from ledger.state.indexes import committed
from ledger.state.records import STATE_PREFIX, StateRecords
from ledger.state.store import MemoryStore
from ledger.state.tree import StateTree
from ledger.state.view import StateView
from node.evidence_judge import ConsensusJudge
from primitives.digest import tagged_hash
from primitives.identifiers import AccountId, account_id, key_to_text, node_id
from primitives.keys import SigningKey

START_MS: Final = 1_700_000_000_000
HEIGHT: Final = 100
"""Of the block in which everything happens."""
BLOCK_HASH: Final = bytes(32)
"""Of every block before it."""
NAMES: Final = ("alder", "birch", "cedar", "dogwood")
"""Accounts, each of an organization of its own, which runs one validator."""
CREDITS_EACH: Final = 10**12
SALT: Final = bytes(16)
DEADLINES_MAX: Final = 100
"""That fall due at once."""


def key(name: str) -> SigningKey:
    """The signing key of an account or a validator."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


def tls_key(name: str) -> bytes:
    return key(f"tls {name}").public_key


def certificate(name: str) -> bytes:
    """Bytes that hold a node's TLS key as its certificate does."""
    return b"\x30\x82" + KEY_PREFIX + tls_key(name) + bytes(200)


def _genesis() -> Genesis:
    return Genesis(
        version=1,
        name="operation-costs",
        salt="00" * 32,
        created_at_ms=START_MS,
        development=True,
        parameters=Parameters(commitment_age_ms=0),
        organizations=tuple(GenesisOrganization(f"org-{name}", name.title()) for name in NAMES),
        accounts=tuple(
            GenesisAccount(f"org-{name}", key_to_text(key(name).public_key), SALT.hex(), CREDITS_EACH, name)
            for name in NAMES
        ),
        validators=tuple(
            GenesisValidator(
                f"org-{name}",
                str(node_id(tls_key(name))),
                key_to_text(key(f"validator {name}").public_key),
                base64.b64encode(certificate(name)).decode(),
                f"{name}.example:7000",
            )
            for name in NAMES
        ),
    )


class World:
    """A state, a block time, and short ways to say what accounts do. Nothing is swept but by `advance`."""

    def __init__(self, registry: Registry) -> None:
        genesis = _genesis()
        self.registry = registry
        self.network_id = network_id(genesis)
        self.parameters = genesis.parameters
        self.now_ms = START_MS
        self.view = StateView(MemoryStore())
        self._facts = ChainFacts(lambda _height: BLOCK_HASH, ConsensusJudge())
        self._count = 0
        accounts = {account.name: organization_account(self.network_id, account) for account in genesis.accounts}
        self.accounts: dict[str, bytes] = dict(accounts)
        self.validators: dict[str, bytes] = {
            name: validator_account(self.network_id, validator)
            for name, validator in zip(NAMES, genesis.validators, strict=True)
        }
        write_parameters(self.view, self.parameters)
        write_genesis_epoch(self.view, self.network_id, genesis)
        for module in registry.modules:
            if module.genesis is not None:
                module.genesis(self.context(self.view, b"", b"genesis"), genesis)

    def fresh_id(self) -> bytes:
        """Return the id of a transaction that was never executed."""
        self._count += 1
        return tagged_hash("operation-cost", self._count.to_bytes(8, "big"))

    def context(self, view: StateView, sender: bytes, identifier: bytes) -> Context:
        return Context(
            view=view,
            network_id=self.network_id,
            height=HEIGHT,
            block_time_ms=self.now_ms,
            parameters=self.parameters,
            sender=AccountId(sender),
            signer=b"",
            transaction_id=identifier,
            facts=self._facts,
        )

    def do(self, who: str | bytes, *operations: Any) -> bytes:
        """Execute a transaction of an account, named or by its id; return the transaction's id.

        Raises:
            BenchError: `operation_costs.refused`.
        """
        sender = self.accounts[who] if isinstance(who, str) else who
        identifier = self.fresh_id()
        context = self.context(self.view, sender, identifier)
        for operation in operations:
            try:
                self.registry.handlers[type(operation)](context, operation)
            except OperationError as error:
                tag = type(operation).__struct_config__.tag
                raise BenchError("operation_costs.refused", f"{tag}: {error.message} [{error.code}]") from error
        return identifier

    def advance(self, ms: int) -> None:
        """Let time pass, and sweep what falls due."""
        self.now_ms += ms
        for deadline in deadlines.due(self.view, self.now_ms, DEADLINES_MAX):
            if deadlines.take(self.view, deadline):
                self.registry.deadlines[deadline.kind](self.context(self.view, b"", deadline.id), deadline.subject)

    def settled_view(self) -> StateView:
        """Return a block's view over what was prepared, all of it written and in the caches."""
        changes = self.view.changes()
        store = MemoryStore()
        store.write_batch({STATE_PREFIX + name: value for name, value in changes.items() if value is not None})
        kept = {name: value for name, value in changes.items() if value is not None}
        # `committed` takes deletions too; there are none left.
        records = StateRecords(store, StateTree.build(sorted(committed(kept).items())))  # type: ignore[arg-type]
        records.written(changes)
        return StateView(records)

    # --- what most preparations need

    def open_account(self, opener: str, name: str) -> bytes:
        """Open an account in the organization of `opener`, with the key `name`; return its id."""
        self.do(opener, organizations.OpenAccount(key(name).public_key, SALT, name))
        return account_id(self.network_id, f"org-{opener}", key(name).public_key, SALT)

    def artifact(self, label: str) -> assets.Artifact:
        return assets.Artifact(raw_cid(label.encode()), 1_024)

    def commit(self, who: str, label: str) -> None:
        """Commit to an artifact, which can be revealed at once here."""
        self.do(who, assets.Commit(assets.commitment(self.artifact(label).cid, self.accounts[who], SALT)))

    def registration(self, label: str, **fields: Any) -> assets.Register:
        base: dict[str, Any] = {"artifact": self.artifact(label), "salt": SALT, "kind": "dataset", "name": label}
        return assets.Register(**(base | fields))

    def register(self, who: str, label: str, **fields: Any) -> bytes:
        """Register an asset, and let a quorum of the validators hold it."""
        self.commit(who, label)
        self.do(who, self.registration(label, **fields))
        asset = assets.asset_id(self.network_id, self.accounts[who], self.artifact(label).cid)
        for name in NAMES[:3]:
            self.do(self.validators[name], assets.ReportHeld(asset, 1))
        return asset

    def offer(self, who: str, asset: bytes, terms: licenses.Terms) -> bytes:
        identifier = self.do(who, licenses.Offer(asset, terms, self.now_ms + DAY_MS))
        return licenses.offer_id(identifier, asset, licenses.terms_digest(terms))

    def purchase(self, offer: bytes, terms: licenses.Terms) -> licenses.Purchase:
        return licenses.Purchase(offer, licenses.terms_digest(terms), terms.price)

    def license(self, seller: str, asset: bytes, buyer: str, terms: licenses.Terms) -> bytes:
        """Offer and buy; return the grant."""
        offer = self.offer(seller, asset, terms)
        return licenses.grant_id(self.do(buyer, self.purchase(offer, terms)), offer)
