"""A consortium on a chain of the real modules: organizations that vote, validators that come, go and rejoin."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from ledger.block import block_hash
from ledger.chain import Chain, ExecutedBlock
from ledger.epochs import pending_changes
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import (
    Genesis,
    GenesisAccount,
    GenesisOrganization,
    GenesisValidator,
    network_id,
    organization_account,
    validator_account_id,
)
from ledger.modules.governance.operations import AddValidator, Propose, RekeyValidator, RemoveValidator, Vote
from ledger.modules.governance.records import Change, proposal_id
from ledger.modules.validators.operations import Ready, Rejoin
from ledger.node_names import KEY_PREFIX
from ledger.parameters import Parameters
from ledger.ports import EvidenceJudge
from ledger.state.store import MemoryStore, Store
from ledger.transaction import build, transaction_id
from primitives.finality import FinalityCertificate, finality_statement
from primitives.identifiers import key_to_text, node_id
from primitives.keys import SigningKey
from primitives.quorum import quorum

START_MS = 1_700_000_000_000
WINDOW = 8


def key(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


def certificate(name: str) -> bytes:
    """Bytes that hold the TLS key of the node `name` as a certificate does."""
    return b"\x30\x82" + KEY_PREFIX + key(f"tls {name}").public_key + b" rest of the certificate"


def node(name: str) -> str:
    return str(node_id(key(f"tls {name}").public_key))


def address(name: str) -> str:
    return f"{name}.example:7000"


def make_genesis(
    validators: int = 4,
    organizations: int | None = None,
    *,
    development: bool = False,
    created_at_ms: int = START_MS,
    **parameters: Any,
) -> Genesis:
    """Validators v0, v1, ... of the organizations org-0, org-1, ..., each with an account of its own."""
    count = organizations or validators
    genesis = Genesis(
        version=1,
        name="consortium",
        salt="ef" * 32,
        created_at_ms=created_at_ms,
        development=development,
        parameters=Parameters(**({"window": WINDOW} | parameters)),
        organizations=tuple(GenesisOrganization(f"org-{index}", f"Member {index}") for index in range(count)),
        accounts=tuple(
            GenesisAccount(f"org-{index}", key_to_text(key(f"org-{index}").public_key), "00" * 16, 1_000)
            for index in range(count)
        ),
        validators=tuple(
            GenesisValidator(
                f"org-{index % count}",
                node(f"v{index}"),
                key_to_text(key(f"v{index}").public_key),
                base64.b64encode(certificate(f"v{index}")).decode(),
                address(f"v{index}"),
            )
            for index in range(validators)
        ),
    )
    genesis.validate()
    return genesis


class Consortium:
    """A chain, a clock, and short ways to say who does what. Each step is one block."""

    def __init__(
        self, genesis: Genesis | None = None, store: Store | None = None, judge: EvidenceJudge | None = None
    ) -> None:
        self.genesis = genesis or make_genesis()
        self.network_id = network_id(self.genesis)
        self.store: Store = store or MemoryStore()
        self.judge = judge
        self.chain = Chain.open(self.store, self.genesis, judge=judge)
        self.now_ms = self.genesis.created_at_ms
        self._salts = 0
        """Counted, so that the same steps make the same chain."""
        self.accounts = {
            account.organization: organization_account(self.network_id, account) for account in self.genesis.accounts
        }
        self.organizations = sorted(self.accounts)

    # --- blocks

    def execute(self, *transactions: bytes, step_ms: int = 100) -> ExecutedBlock:
        self.now_ms += step_ms
        batches = [DecidedBatch(0, self.chain.height, transactions)] if transactions else []
        return self.chain.execute(self.chain.height + 1, DecidedProposal(0, self.now_ms), batches)

    def code(self, *transactions: bytes) -> str:
        """Execute one block; return the code of its last receipt."""
        return self.execute(*transactions).receipts[-1].code

    def run_to(self, height: int) -> list[ExecutedBlock]:
        return [self.execute() for _ in range(height - self.chain.height)]

    def turn(self) -> tuple[str, ...]:
        """Go on to the first block of the next epoch; return the names of its nodes."""
        assert self.chain.epoch.end
        self.run_to(self.chain.epoch.end + 1)
        return self.members()

    def certify(self, height: int, signers: Sequence[str] | None = None) -> FinalityCertificate:
        """Let a quorum of a block's epoch, or the named validators, certify it."""
        header = self.chain.header(height)
        assert header is not None
        members = self.chain.validators(header.epoch)
        hashed = block_hash(header)
        statement = finality_statement(self.network_id, header.epoch, height, hashed, header.epoch_end)
        keys: dict[bytes, SigningKey] = {key(name).public_key: key(name) for name in signers or KNOWN}
        votes = [
            (index, keys[member.signing_key].sign(statement))
            for index, member in enumerate(members)
            if member.signing_key in keys
        ]
        signatures = tuple(votes[: quorum(len(members))])
        return FinalityCertificate(header.epoch, height, hashed, header.epoch_end, signatures)

    # --- who does what

    def by(self, organization: str, *operations: Any) -> bytes:
        return self._build(self.accounts[organization], key(organization), operations)

    def by_validator(self, name: str, *operations: Any, organization: str | None = None) -> bytes:
        """A transaction of the account that belongs to the signing key `name`."""
        signer = key(name)
        owner = organization or self.organization_of(name)
        return self._build(validator_account_id(self.network_id, owner, signer.public_key), signer, operations)

    def _build(self, sender: bytes, signer: SigningKey, operations: Sequence[Any]) -> bytes:
        self._salts += 1
        return build(
            network_id=self.network_id,
            sender=sender,
            key=signer,
            operations=operations,
            salt=self._salts.to_bytes(16, "big"),
            expires_at_ms=self.now_ms + self.genesis.parameters.lifetime_ms // 2,
        )

    def propose(self, change: Change, by: str = "org-0") -> tuple[bytes, str]:
        """Propose in one block; return the proposal's id and the receipt's code."""
        data = self.by(by, Propose(change, "a change"))
        return proposal_id(transaction_id(data), change), self.code(data)

    def vote(self, proposal: bytes, *organizations: str, approve: bool = True) -> list[str]:
        """Vote in one block; return the codes."""
        votes = [self.by(organization, Vote(proposal, approve)) for organization in organizations]
        return [receipt.code for receipt in self.execute(*votes).receipts]

    def approve(self, change: Change) -> bytes:
        """Propose, and let as many organizations approve as it needs."""
        proposal, code = self.propose(change)
        assert code == "", code
        needed = 2 * len(self.organizations) // 3 + 1
        codes = self.vote(proposal, *self.organizations[:needed])
        assert set(codes) == {""}, codes
        return proposal

    def ready(self, name: str, height: int | None = None, hashed: bytes | None = None) -> bytes:
        """State that the candidate `name` has followed, by default up to the head."""
        height = self.chain.height if height is None else height
        header = self.chain.header(height)
        named = hashed or (bytes(32) if header is None else block_hash(header))
        return self.by_validator(name, Ready(height, named))

    def rejoin(self, name: str, incarnation: int) -> bytes:
        return self.by_validator(name, Rejoin(incarnation))

    # --- what is

    def organization_of(self, name: str) -> str:
        """The organization of a validator or candidate by its signing key."""
        public = key(name).public_key
        candidates = [change.record for change in pending_changes(self.chain.view()).values()]
        for epoch in range(self.chain.epoch.number, -1, -1):
            candidates += self.chain.validators(epoch)
        for record in candidates:
            if record is not None and record.signing_key == public:
                return record.organization
        return "org-0"

    def members(self) -> tuple[str, ...]:
        """Names of the current set's nodes, in order."""
        names = {node(name): name for name in KNOWN}
        return tuple(names[member.node_id] for member in self.chain.validators(self.chain.epoch.number))

    def replayed(self) -> Chain:
        """Another chain that executes the same blocks from the genesis on; each must have the same hash."""
        other = Chain.open(MemoryStore(), self.genesis, judge=self.judge)
        for height in range(1, self.chain.height + 1):
            data, header = self.chain.encoded_block(height), self.chain.header(height)
            assert data is not None
            assert header is not None
            other.replay(data, expected_hash=block_hash(header))
        return other


KNOWN = [*(f"v{index}" for index in range(16)), *(f"n{index}" for index in range(40))]
"""Names of validators of a genesis, and of those that come later."""


def add(name: str, organization: str, signing_key: str | None = None) -> AddValidator:
    public = key(signing_key or name).public_key
    return AddValidator(organization, node(name), public, certificate(name), address(name))


def remove(name: str) -> RemoveValidator:
    return RemoveValidator(node(name))


def rekey(name: str, new: str) -> RekeyValidator:
    return RekeyValidator(node(name), key(new).public_key, certificate(new), address(new))
