"""What a module of the ledger is, and what its handlers get.

A module owns record types under its own key prefixes, operations (Structs tagged `module.verb`), one handler an
operation, and the meaning of its deadlines. Modules call each other only through named functions that take a `Context`
or a view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ledger.parameters import Parameters
from ledger.ports import EvidenceJudge
from ledger.state.indexes import Index
from ledger.state.view import StateView
from primitives.identifiers import AccountId


class ArtifactRecord(msgspec.Struct, frozen=True):
    """An artifact that validators should hold from now on, or not any more: of an asset's version, or proposed to be
    one."""

    asset: bytes
    version: int
    cid: str
    """The artifact's root, CIDv1 in text."""
    size_bytes: int
    taken_down: bool = False
    """Nobody serves, fetches or keeps its bytes any more: the consortium has taken the artifact down, or the
    contribution has come to nothing."""
    contribution: bytes | None = None
    """The contribution that proposes it, where it is no version's; `version` is then 0."""


class ChainFacts(NamedTuple):
    """What a handler may ask beside the state: the same for everybody who executes the same blocks."""

    block_hash: Callable[[int], bytes | None]
    """(height) -> the hash of an earlier block of this chain."""
    judge: EvidenceJudge | None


def _no_block(_height: int) -> None:
    return None


NO_FACTS: Final = ChainFacts(_no_block, None)


class Context:
    """One operation's surroundings: the state as it sees it, who asks, and the block it is in.

    `sender` is the account, `signer` the key of that account that signed. During a deadline sweep both are empty and
    `transaction_id` is the tagged hash of the deadline.
    """

    __slots__ = (
        "artifacts",
        "block_time_ms",
        "events",
        "facts",
        "height",
        "network_id",
        "parameters",
        "sender",
        "signer",
        "transaction_id",
        "view",
    )

    def __init__(
        self,
        *,
        view: StateView,
        network_id: bytes,
        height: int,
        block_time_ms: int,
        parameters: Parameters,
        sender: AccountId,
        signer: bytes,
        transaction_id: bytes,
        facts: ChainFacts = NO_FACTS,
    ) -> None:
        self.view = view
        self.network_id = network_id
        self.height = height
        self.block_time_ms = block_time_ms
        self.parameters = parameters
        self.sender = sender
        self.signer = signer
        self.transaction_id = transaction_id
        self.facts = facts
        self.events: list[msgspec.Struct] = []
        self.artifacts: list[ArtifactRecord] = []

    def over(self, view: StateView) -> Context:
        """Return the same surroundings over another view, without events."""
        return Context(
            view=view,
            network_id=self.network_id,
            height=self.height,
            block_time_ms=self.block_time_ms,
            parameters=self.parameters,
            sender=self.sender,
            signer=self.signer,
            transaction_id=self.transaction_id,
            facts=self.facts,
        )

    def emit(self, event: msgspec.Struct) -> None:
        """Record `event` in the receipt: a Struct with named fields, tagged `module.event`."""
        self.events.append(event)

    def announce_artifact(self, record: ArtifactRecord) -> None:
        """Tell the node that a version was registered, so that it fetches the bytes. Not part of the chain."""
        self.artifacts.append(record)


Handler = Callable[[Context, Any], None]
"""Applies one operation to `context.view`, or raises `OperationError`."""

DeadlineHandler = Callable[[Context, bytes], None]
"""Applies what a deadline means to the subject it names. Must not raise: where its precondition is gone, escrow
returns."""

GenesisHandler = Callable[[Context, Any], None]
"""Writes a module's first records from the genesis (`ledger.genesis.Genesis`)."""


Role = Literal["owner", "operator", "release", "validator"]
Membership = Literal["active", "suspended", "removed"]
"""How an organization stands in the consortium."""

OWNERS: Final[frozenset[Role]] = frozenset({"owner"})
OPERATORS: Final[frozenset[Role]] = frozenset({"owner", "operator"})
"""Versions, offers and reports: daily work that moves neither credits nor ownership."""
VALIDATORS: Final[frozenset[Role]] = frozenset({"validator"})
"""What the key of a validator signs, and nobody else."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs an operation, and what it goes on in spite of. Nothing has a default: every operation is decided on."""

    signers: frozenset[Role]
    while_suspended: bool
    """Whether accounts of a suspended organization go on with it: true of what ends, answers or settles what runs, of
    keys, and of the consortium's own business; false of what begins something."""
    after_removal: bool
    """Whether accounts of a removed organization go on with it: true of what ends or settles, of keys, and of what
    hands on what they have."""
    while_frozen: bool
    """Whether it goes on while the account's recovery has frozen its outgoing value: false of what pays, hands on,
    gives up or grants to others what the account has."""


class Standing(NamedTuple):
    """What a signer is, as execution asks once a transaction."""

    role: Role
    """Of the key in the sender's account."""
    membership: Membership = "active"
    """Of the account's organization."""
    frozen_until_ms: int = 0
    """Until when the account's outgoing value is frozen (block time)."""


class Module(msgspec.Struct, frozen=True):
    """A domain's operations and deadlines, as the registry in `ledger/operations.py` collects them."""

    name: str
    operations: Mapping[type[msgspec.Struct], Handler]
    rules: Mapping[type[msgspec.Struct], Rule]
    """One for each operation, and none for anything else."""
    deadlines: Mapping[str, DeadlineHandler] = {}
    genesis: GenesisHandler | None = None
    indexes: tuple[Index[Any], ...] = ()
    """Its tables of entries that the tree does not commit to."""
    names_nodes: tuple[bytes, ...] = ()
    """Prefixes of those of its records that say which nodes belong to the network: who connects to whom changes when
    one of them does."""
