"""A dishonest validator for tests: the real node, run by somebody who wants what others register.

    python -P thieving_node.py start --data-dir DIR

DIR/thief.json names the account that steals, DIR/loot.jsonl tells what it tried. Whatever passes by, at its API or in
a batch of another validator, is looked at before it is ordered:

- a commitment is copied under its own name, and the salt that reveals the copied one is used as soon as it is known
- an artifact that a registration shows is committed to at once, and that commitment revealed again and again
- a registration that is submitted to it is answered as taken, said to be pending for ever, and goes no further
- where it is the primary its own batches come first, and a batch with somebody else's registration is left out for as
  long as it leads; its blocks are stamped as early, then as late, as the others' clocks let pass
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from consensus.engine import BatchHeld
from consensus.messages import Batch, Proposal
from consensus.pbft import batches, ordering
from consensus.pbft.state import State
from ledger.errors import InvalidTransaction
from ledger.genesis import Genesis, network_id
from ledger.modules.assets.operations import Commit, Provenance, Register, commitment
from ledger.operations import Operation
from ledger.transaction import DecodedTransaction, build, decode_transaction, transaction_id
from node import assembly, commands
from node.core import NodeCore
from node.intake import Admission, Done
from primitives.keys import SigningKey

REVEAL_AGAIN_MS: Final = 100
REVEALS_MAX: Final = 600
"""Of one artifact: a minute of trying."""
STAMP_MS: Final = 1_500
"""How far a block's time is bent; the others let 2,000 ms pass."""


class ThiefFile(msgspec.Struct, frozen=True):
    account: bytes
    seed: bytes


class Attempt(msgspec.Struct, frozen=True):
    """One transaction of the thief."""

    trick: str
    """`copied commitment`, `copied salt`, `own commitment` or `own reveal`."""
    about: str
    """The commitment in hex, or the artifact's CID."""
    id: str
    leading: bool
    """Whether it was the primary then."""


class ThievingCore(NodeCore):
    """The deciding parts of a node, and what the thief does with them."""

    def __init__(self, configuration: Any, genesis: Genesis, *arguments: Any, **options: Any) -> None:
        super().__init__(configuration, genesis, *arguments, **options)
        directory = Path(sys.argv[sys.argv.index("--data-dir") + 1])
        told = msgspec.json.decode((directory / "thief.json").read_bytes(), type=ThiefFile)
        self._thief, self._key = told.account, SigningKey(told.seed)
        self._loot = (directory / "loot.jsonl").open("ab", buffering=0)
        self._network_id, self._lifetime_ms = network_id(genesis), genesis.parameters.lifetime_ms // 2
        self._copied: set[bytes] = set()
        self._wanted: set[str] = set()
        self._commitments: set[bytes] = set()
        """Ids of the transactions that commit to what is to be stolen."""
        self._prey: dict[bytes, bool] = {}
        """Batch -> whether it holds somebody else's registration."""
        self._swallowed: set[bytes] = set()
        """Registrations that were submitted here, and that nobody else has from us."""
        self._stamp_ms = 0
        self._honest_submit, self._honest_held = self._intake.submit, self._ledger.on_batch_held
        self._intake.submit = self._submit  # type: ignore[method-assign]
        self._ledger.on_batch_held = self._held  # type: ignore[method-assign]
        self._honest_fill = batches.fill_proposal
        batches.fill_proposal = self._fill
        ordering.Proposal = self._stamped  # type: ignore[misc, assignment]

    # --- listening

    def _submit(self, transactions: Sequence[bytes], done: Done, *, own: bool = False) -> None:
        self._look(transactions)
        wanted = [transaction_id(each) if self._is_prey(each) else None for each in transactions]
        self._swallowed.update(filter(None, wanted))

        def answered(admissions: list[Admission]) -> None:
            honest = iter(admissions)
            done([next(honest) if identifier is None else Admission(identifier) for identifier in wanted])

        passed_on = [each for each, identifier in zip(transactions, wanted, strict=True) if identifier is None]
        self._honest_submit(passed_on, answered, own=own)

    def is_pending(self, identifier: bytes) -> bool:
        return identifier in self._swallowed or super().is_pending(identifier)

    def _held(self, effect: BatchHeld) -> None:
        if not effect.made_here:
            self._look(effect.batch.items)
        self._honest_held(effect)

    def _look(self, items: Sequence[bytes]) -> None:
        for transaction in filter(None, map(_decoded, items)):
            if transaction.body.sender != self._thief:
                for operation in transaction.body.operations:
                    if isinstance(operation, Commit):
                        self._copy(operation)
                    elif isinstance(operation, Register):
                        self._steal(operation)

    # --- stealing

    def _copy(self, seen: Commit) -> None:
        if seen.commitment not in self._copied:
            self._copied.add(seen.commitment)
            self._say("copied commitment", seen.commitment.hex(), seen)

    def _steal(self, seen: Register) -> None:
        cid = seen.artifact.cid
        if cid in self._wanted:
            return
        self._wanted.add(cid)
        mine = msgspec.structs.replace(seen, provenance=Provenance(), creators=(), manager=None)
        salt = secrets.token_bytes(16)
        self._say("copied salt", cid, mine)
        self._commitments.add(
            self._say("own commitment", cid, Commit(commitment(cid, self._thief, salt, seen.artifact.tensors_digest)))
        )
        self._reveal(msgspec.structs.replace(mine, salt=salt), REVEALS_MAX)

    def _reveal(self, mine: Register, left: int) -> None:
        if left and not self._stopped:
            self._say("own reveal", mine.artifact.cid, mine)
            self._ports.clock.call_later(REVEAL_AGAIN_MS, lambda: self._reveal(mine, left - 1))

    def _say(self, trick: str, about: str, operation: Operation) -> bytes:
        now_ms = max(self._ports.clock.now_ms() + self.head.clock_offset_ms, self.head.header.timestamp_ms)
        made = build(
            network_id=self._network_id,
            sender=self._thief,
            key=self._key,
            operations=[operation],
            expires_at_ms=now_ms + self._lifetime_ms,
        )
        identifier = transaction_id(made)
        status = self.engine_status()
        attempt = Attempt(trick, about, identifier.hex(), status.primary == status.replica_id)
        self._loot.write(msgspec.json.encode(attempt) + b"\n")
        self._honest_submit([made], _ignore)
        return identifier

    # --- leading

    def _fill(self, state: State, sequence: int, size_bytes_max: int) -> tuple[bytes, ...]:
        """Its own batches first, then the others', but for those that hold a registration."""
        kept = state.waiting
        own = kept.get(state.own_id, [])
        others = {author: queue for author, queue in kept.items() if author != state.own_id}
        harmless = {
            author: [digest for digest in queue if not self._holds_prey(state.batches[digest])]
            for author, queue in others.items()
        }
        try:
            state.waiting = {state.own_id: own}
            first = self._honest_fill(state, sequence, size_bytes_max)
            state.waiting = harmless
            left = size_bytes_max - sum(state.batch_bytes[digest] for digest in first)
            then = self._honest_fill(state, sequence, left)
        finally:
            state.waiting = kept
        identifiers = {transaction_id(item) for digest in first for item in state.batches[digest].items}
        self._stamp_ms = -STAMP_MS if not self._wanted or identifiers & self._commitments else STAMP_MS
        return (first + then)[: state.configuration.batches_per_proposal_max]

    def _holds_prey(self, batch: Batch) -> bool:
        if batch.digest not in self._prey:
            self._prey[batch.digest] = any(map(self._is_prey, batch.items))
        return self._prey[batch.digest]

    def _is_prey(self, item: bytes) -> bool:
        transaction = _decoded(item)
        return (
            transaction is not None
            and transaction.body.sender != self._thief
            and any(isinstance(operation, Register) for operation in transaction.body.operations)
        )

    def _stamped(self, proposer: int | None, timestamp_ms: int, digests: tuple[bytes, ...]) -> Proposal:
        return Proposal(proposer, timestamp_ms + self._stamp_ms, digests)


def _decoded(item: bytes) -> DecodedTransaction | None:
    try:
        return decode_transaction(item)
    except InvalidTransaction:
        return None


def _ignore(_admissions: list[Admission]) -> None:
    pass


if __name__ == "__main__":
    assembly.NodeCore = ThievingCore  # type: ignore[misc]
    sys.exit(commands.main(sys.argv[1:]))
