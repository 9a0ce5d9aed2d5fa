"""A chain over a tiny module of its own, for tests of the core that must not depend on the real modules."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from ledger import deadlines
from ledger.chain import Chain, ExecutedBlock
from ledger.errors import LedgerError, OperationError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import (
    Genesis,
    GenesisAccount,
    GenesisOrganization,
    GenesisValidator,
    network_id,
    organization_account,
    validator_account,
)
from ledger.modules.module import ArtifactRecord, Context, Module, Rule, Standing
from ledger.operations import Registry
from ledger.parameters import Parameters
from ledger.state.store import MemoryStore, Store
from ledger.state.view import Readable, StateView
from ledger.transaction import build
from primitives.finality import FinalityCertificate, finality_statement
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

START_MS = 1_700_000_000_000
OWNERS = tuple(SigningKey(bytes([index + 1]) * 32) for index in range(3))
VALIDATORS = tuple(SigningKey(bytes([index + 101]) * 32) for index in range(4))


class Put(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="toy.put"):
    key: bytes
    value: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class PutIfAbove(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="toy.raise"):
    """Writes first and refuses afterwards, as a careless handler would."""

    key: bytes
    value: int


class Schedule(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="toy.schedule"):
    at_ms: int
    subject: bytes


class AdvanceClock(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="toy.advance"):
    offset_ms: int


class Written(msgspec.Struct, frozen=True, tag="toy.written"):
    key: bytes
    value: int


def _put(context: Context, operation: Put) -> None:
    context.view.put(b"toy/" + operation.key, operation.value.to_bytes(8, "big"))
    context.emit(Written(operation.key, operation.value))
    context.announce_artifact(ArtifactRecord(operation.key, 1, "bafy", operation.value))


def _raise(context: Context, operation: PutIfAbove) -> None:
    before = context.view.get(b"toy/" + operation.key)
    _put(context, Put(operation.key, operation.value))
    if before is not None and int.from_bytes(before, "big") >= operation.value:
        raise OperationError("toy.not_above", f"{operation.value} is not above what is there")


def _schedule(context: Context, operation: Schedule) -> None:
    deadlines.schedule(context.view, operation.at_ms, "toy.ring", operation.subject)


def _advance(context: Context, operation: AdvanceClock) -> None:
    context.view.put(b"toy-offset", operation.offset_ms.to_bytes(8, "big"))


def _ring(context: Context, subject: bytes) -> None:
    context.view.put(b"toy-rung/" + subject, context.block_time_ms.to_bytes(8, "big"))
    context.emit(Written(subject, context.block_time_ms))


def _write_genesis(context: Context, genesis: Genesis) -> None:
    for account in genesis.accounts:
        identifier = organization_account(context.network_id, account)
        context.view.put(b"toy-key/" + identifier, b"owner")
    for validator in genesis.validators:
        context.view.put(b"toy-key/" + validator_account(context.network_id, validator), b"validator")


def _standing(view: Readable, account: bytes, key: bytes) -> Standing | None:
    role = view.get(b"toy-key/" + account)
    known = {owner.public_key for owner in (*OWNERS, *VALIDATORS)}
    return None if role is None or key not in known else Standing("owner" if role == b"owner" else "validator")


def _offset(view: Readable) -> int:
    return int.from_bytes(view.get(b"toy-offset") or b"", "big")


def _get(view: StateView, _network_id: bytes, _time_ms: int, *, key: str, default: int | str = 0) -> Any:
    value = view.get(b"toy/" + key.encode())
    if value is None and default == 0:
        raise LedgerError("query.not_found", "no such key")
    return int(default) if value is None else int.from_bytes(value, "big")


ANYTHING = Rule(signers=frozenset({"owner"}), while_suspended=True, after_removal=True, while_frozen=True)
TOY = Module(
    name="toy",
    operations={Put: _put, PutIfAbove: _raise, Schedule: _schedule, AdvanceClock: _advance},
    rules=dict.fromkeys((Put, PutIfAbove, Schedule, AdvanceClock), ANYTHING),
    deadlines={"toy.ring": _ring},
    genesis=_write_genesis,
)
REGISTRY = Registry(
    [TOY],
    standing=_standing,
    clock_offset_ms=_offset,
    queries={"toy.get": _get},
)


def make_genesis(**changes: Any) -> Genesis:
    fields: dict[str, Any] = {
        "version": 1,
        "name": "test network",
        "salt": "ab" * 32,
        "created_at_ms": START_MS,
        "development": True,
        "parameters": Parameters(),
        "organizations": tuple(GenesisOrganization(f"org-{index}", f"Organization {index}") for index in range(4)),
        "accounts": tuple(
            GenesisAccount(f"org-{index}", key_to_text(key.public_key), f"{index:032x}", 1_000_000)
            for index, key in enumerate(OWNERS)
        ),
        "validators": tuple(
            GenesisValidator(
                f"org-{index}",
                f"gmnode1{index}",
                key_to_text(key.public_key),
                base64.b64encode(b"certificate %d" % index).decode(),
                f"127.0.0.1:{7000 + index}",
            )
            for index, key in enumerate(VALIDATORS)
        ),
    }
    genesis = Genesis(**(fields | changes))
    genesis.validate()
    return genesis


class Kit:
    """A chain, a clock, and short ways to say things."""

    def __init__(
        self, store: Store | None = None, genesis: Genesis | None = None, registry: Registry = REGISTRY
    ) -> None:
        self.genesis = genesis or make_genesis()
        self.registry = registry
        self.store: Store = store or MemoryStore()
        self.chain = Chain.open(self.store, self.genesis, registry)
        self.network_id = network_id(self.genesis)
        self.accounts = [organization_account(self.network_id, account) for account in self.genesis.accounts]
        self.now_ms = self.chain.head.timestamp_ms

    def transaction(self, *operations: Any, owner: int = 0, **changes: Any) -> bytes:
        fields: dict[str, Any] = {
            "network_id": self.network_id,
            "sender": self.accounts[owner],
            "key": OWNERS[owner],
            "operations": operations,
            "expires_at_ms": self.now_ms + 60_000,
        }
        return build(**(fields | changes))

    def execute(self, *transactions: bytes, step_ms: int = 100, **options: Any) -> ExecutedBlock:
        """Execute one block of one batch, `step_ms` later."""
        self.now_ms += step_ms
        batches = [DecidedBatch(0, self.chain.height, transactions)] if transactions else []
        return self.execute_batches(batches, **options)

    def execute_batches(self, batches: Sequence[DecidedBatch], **options: Any) -> ExecutedBlock:
        proposal = DecidedProposal(self.chain.height % 4, self.now_ms)
        return self.chain.execute(self.chain.height + 1, proposal, batches, **options)

    def certificate(self, height: int, signers: Sequence[int] = (0, 1, 2)) -> FinalityCertificate:
        return certify(self.chain, height, signers)


def certify(chain: Chain, height: int, signers: Sequence[int] = (0, 1, 2)) -> FinalityCertificate:
    """Sign a block as its validators would."""
    from ledger.block import block_hash

    header = chain.header(height)
    assert header is not None
    hashed = block_hash(header)
    statement = finality_statement(chain.network_id, header.epoch, height, hashed, header.epoch_end)
    signatures = tuple((index, VALIDATORS[index].sign(statement)) for index in signers)
    return FinalityCertificate(header.epoch, height, hashed, header.epoch_end, signatures)
