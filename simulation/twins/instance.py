"""One instance of a replica: its engine, its running timers, its log, and a ledger that is a chain of hashes."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from consensus import engine
from consensus.messages import Batch, Message, Proposal, proposal_digest
from consensus.pbft.configuration import Configuration
from consensus.pbft.replica import Replica
from primitives.finality import FinalityCertificate
from simulation.twins.crypto import FastSigner, FastVerifier, public_key, validator_set

NOW_MS: Final = 1_800_000_000_000
"""The wall clock stands still: nothing that a schedule examines depends on it."""
CONFIGURATION: Final = Configuration(window=16, turn_ms=1_000, pipeline_depth=1, proposal_spacing_ms=0)
_VERIFIER: Final = FastVerifier()


class Block(msgspec.Struct, frozen=True):
    block_hash: bytes
    digest: bytes
    """Of the proposal."""
    batches: tuple[tuple[int, int], ...]
    """(author, number)."""
    items: tuple[bytes, ...]


GENESIS: Final = Block(bytes(32), b"", (), ())


def next_block(parent: Block, proposal: Proposal, batches: tuple[Batch, ...]) -> Block:
    digest = proposal_digest(proposal)
    return Block(
        blake2b(parent.block_hash + digest, digest_size=32).digest(),
        digest,
        tuple((batch.author, batch.number) for batch in batches),
        tuple(item for batch in batches for item in batch.items),
    )


class Saved(msgspec.Struct, frozen=True):
    """What a disk held at some time, by how much of it there was."""

    records: int
    height: int
    certificate: FinalityCertificate | None


class View(msgspec.Struct, frozen=True):
    """What the laws watch of a replica after every step."""

    view: int
    stable: int
    executed: int


class Instance:
    """The driver of one replica. Events come in through `step`; what it wants sent comes back as effects."""

    def __init__(self, number: int, validator: int, replicas: int, *, copied: bool) -> None:
        self.number = number
        self.validator = validator
        self.copied = copied
        """Whether it shares its key, or forgets: a twinned validator's."""
        self.replicas = replicas
        self.records: list[bytes] = []
        self.blocks = [GENESIS]
        self.certificate: FinalityCertificate | None = None
        self.timers: set[engine.TimerKind] = set()
        self.authored: list[bytes] = []
        self.replica = self._build()

    def _build(self) -> Replica:
        executed = len(self.blocks) - 1
        return Replica(
            CONFIGURATION,
            validator_set(self.replicas),
            self.validator,
            FastSigner(public_key(self.validator)),
            _VERIFIER,
            records=self.records,
            last_executed=executed,
            last_block=(self.blocks[-1].block_hash, 0) if executed else None,
            stable=self.certificate,
            gated=False,
        )

    def saved(self) -> Saved:
        return Saved(len(self.records), len(self.blocks) - 1, self.certificate)

    def restart(self, saved: Saved) -> list[engine.Effect]:
        """Start again from what the disk held then; whoever was not honest could do so without being asked to wait."""
        del self.records[saved.records :]
        del self.blocks[saved.height + 1 :]
        self.certificate = saved.certificate
        self.timers.clear()
        self.replica = self._build()
        return self.start()

    def start(self) -> list[engine.Effect]:
        return self.replica.start(NOW_MS)

    def step(self, event: engine.Event) -> list[engine.Effect]:
        return self.replica.step(event, NOW_MS)

    def close_batch(self) -> engine.BatchClosed:
        """Return work that no other instance has: copies of one validator differ in it, so they equivocate."""
        self.authored.append(b"%d/%d" % (self.number, len(self.authored)))
        return engine.BatchClosed((self.authored[-1],))

    def heed(self, message: Message) -> bool:
        """Tell whether to take a message in. A copy is not honest: nothing tells it that it has a twin.

        A correct replica falls silent when it is shown a message of its own from above its log. A twin must not, or
        it would be no adversary: it ignores what its other copy says, and takes over its batches by counting on from
        there, so that it can vote for proposals that name them.
        """
        if not self.copied or getattr(message, "replica", None) != self.validator:
            return True
        if not isinstance(message, Batch):
            return False
        state = self.replica._state
        state.position = max(state.position, message.position)
        return True

    def watch(self) -> View:
        """Read what `status` would tell, without its sentences: it is asked after every step."""
        state = self.replica._state
        return View(state.view, state.low, state.last_executed)

    @property
    def changing_view(self) -> bool:
        return self.replica._state.changing_view
