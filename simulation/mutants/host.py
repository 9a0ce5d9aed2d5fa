"""One replica's process: the engine, a log that is synced now and then, a ledger that is a chain of hashes."""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from consensus import engine
from consensus.messages import Batch, Message, Proposal
from consensus.pbft.replica import Replica
from primitives.codec import encode
from primitives.finality import FinalityCertificate
from simulation.twins.crypto import FastSigner, FastVerifier, public_key

if TYPE_CHECKING:
    from simulation.mutants.arena import Arena

_VERIFIER = FastVerifier()


class Block(msgspec.Struct, frozen=True):
    block_hash: bytes
    proposal: Proposal | None
    batches: tuple[Batch, ...]


GENESIS = Block(bytes(32), None, ())


def next_block(parent: Block, proposal: Proposal, batches: tuple[Batch, ...]) -> Block:
    content = encode((proposal, [batch.items for batch in batches]))
    return Block(blake2b(parent.block_hash + content, digest_size=32).digest(), proposal, batches)


class Host:
    """What survives a crash is `records`, `blocks` and `certificates`."""

    def __init__(self, arena: Arena, index: int) -> None:
        self.arena = arena
        self.index = index
        self.records: list[bytes] = []
        self.blocks: list[Block] = [GENESIS]
        self.certificates: dict[int, FinalityCertificate] = {}
        self.lost = False
        """Whether the log was replaced by an older one: nothing is promised any more in this epoch."""
        self.spoiled = False
        """Whether its ledger computes another block than everyone's: it may sign nothing once it knows."""
        self.lives = 0
        self.alive = False
        self.offered: dict[bytes, None] = {}
        """Items that its node holds until they are executed; a crash loses them."""
        self.unsynced: list[bytes] = []
        self.outward: deque[engine.Effect] = deque()
        self.syncing = False
        self.rewrite_wanted = False
        """Whether the log is to be replaced by what the engine retains, at the next sync."""
        self.timers: dict[str, int] = {}
        self.executing: deque[engine.Execute] = deque()
        self.busy = False
        self.fetching = False
        self.replica: Replica

    @property
    def height(self) -> int:
        return len(self.blocks) - 1

    def items(self) -> set[bytes]:
        return {item for block in self.blocks for batch in block.batches for item in batch.items}

    # --- lives

    def start(self) -> None:
        assert not self.alive
        self.alive = True
        self.lives += 1
        self.offered, self.unsynced, self.outward, self.timers = {}, [], deque(), {}
        self.syncing = self.busy = self.fetching = self.rewrite_wanted = False
        self.executing = deque()
        arena = self.arena
        certified = max(self.certificates, default=0)
        self.replica = Replica(
            arena.configuration,
            arena.validators,
            self.index,
            FastSigner(public_key(self.index)),
            _VERIFIER,
            records=list(self.records),
            last_executed=self.height,
            last_block=(self.blocks[-1].block_hash, 0) if self.height else None,
            stable=self.certificates.get(certified),
        )
        self.take(self.replica.start(arena.clock(self.index)))

    def crash(self) -> None:
        """Stop. Of what was written and not synced, a beginning survives."""
        kept = self.arena.chance.randint(0, len(self.unsynced)) if self.unsynced else 0
        survivors = self.unsynced[:kept]
        self.records += survivors
        self.arena.judge.on_durable(self.index, survivors)
        self.alive = False

    def step(self, event: engine.Event) -> None:
        if self.alive:
            self.take(self.replica.step(event, self.arena.clock(self.index)))

    def offer(self, *items: bytes) -> None:
        """The node has something to order; it keeps it until it is executed here."""
        self.offered.update(dict.fromkeys(items))
        self.step(engine.BatchClosed(items))

    # --- effects: what others can see waits until the records before it are durable

    def take(self, effects: list[engine.Effect]) -> None:
        for effect in effects:
            match effect:
                case engine.Persist(record=record):
                    self.unsynced.append(record)
                    self.arena.judge.on_persist(self.index, record)
                case engine.StartTimer(timer=timer, delay_ms=delay_ms):
                    self._start_timer(timer, delay_ms)
                case engine.StopTimer(timer=timer):
                    self.timers.pop(timer, None)
                case engine.Diverged() | engine.Outdated() | engine.EvidenceFound():
                    self.arena.judge.on_verdict(self, effect)
                case _:
                    if isinstance(effect, engine.Execute):
                        self.arena.judge.on_execute_asked(self, effect)
                    elif isinstance(effect, engine.Send | engine.Broadcast):
                        self.arena.judge.on_send_asked(self, effect.message)
                    self.outward.append(effect)
        self.arena.judge.after_step(self)
        self._sync_or_perform()

    def _sync_or_perform(self) -> None:
        rewrite = self.rewrite_wanted and self.replica.status().low_watermark <= max(self.certificates, default=0)
        if self.syncing or not (self.outward or self.unsynced or rewrite):
            return
        if not self.unsynced and not rewrite:
            self._perform(self.outward)
            return
        self.syncing = True
        covered, outward = len(self.unsynced), self.outward
        retained = self.replica.retained_records() if rewrite else None
        if retained is not None:
            self.arena.judge.on_rewritten(self, retained)
        self.outward = deque()
        life = self.lives

        def synced() -> None:
            if not self.alive or self.lives != life:
                return
            self.syncing = False
            done, self.unsynced = self.unsynced[:covered], self.unsynced[covered:]
            self.records = self.records + done if retained is None else retained
            self.rewrite_wanted = self.rewrite_wanted and retained is None
            self.arena.judge.on_durable(self.index, done)
            self._perform(outward)
            self._sync_or_perform()

        self.arena.after(self.arena.sync_ms(), synced)

    def _perform(self, effects: deque[engine.Effect]) -> None:
        while effects and self.alive:
            match effect := effects.popleft():
                case engine.Send(message=message, to=to):
                    self._send(message, list(to))
                case engine.Broadcast(message=message):
                    self._send(message, [r for r in range(self.arena.n) if r != self.index])
                case engine.Execute():
                    self.arena.judge.on_execute(self, effect)
                    self.executing.append(effect)
                    self._execute_next()
                case engine.Certified(certificate=certificate):
                    self._certify(certificate)
                case engine.SyncNeeded(certificate=certificate):
                    self.arena.judge.on_certificate(self.index, certificate)
                    self._fetch(certificate)
                case engine.BatchesReleased(items=items):
                    self._offer_later(items)
                case engine.BatchHeld():
                    pass
                case _:
                    raise AssertionError(f"nobody performs {effect}")

    def _send(self, message: Message, receivers: list[int]) -> None:
        self.arena.judge.on_sent(self, message)
        for receiver in receivers:
            self.arena.transmit(self.index, receiver, message)

    def _offer_later(self, items: tuple[bytes, ...]) -> None:
        life = self.lives

        def again() -> None:
            if self.alive and self.lives == life:
                self.step(engine.BatchClosed(items))

        self.arena.after(200, again)

    def _start_timer(self, timer: engine.TimerKind, delay_ms: int) -> None:
        mark = self.timers[timer] = self.arena.next_mark()
        life = self.lives

        def fire() -> None:
            if self.alive and self.lives == life and self.timers.get(timer) == mark:
                del self.timers[timer]
                self.step(engine.TimerExpired(timer))

        self.arena.after(delay_ms, fire)

    # --- the ledger

    def _execute_next(self) -> None:
        if self.busy or not self.executing:
            return
        self.busy = True
        life = self.lives

        def finish() -> None:
            if not self.alive or self.lives != life:
                return
            self.busy = False
            effect = self.executing.popleft()
            if effect.sequence > self.height:  # fetched blocks may have been faster
                self._append(next_block(self.blocks[-1], effect.proposal, effect.batches))
                self.step(engine.BlockExecuted(effect.sequence, self.blocks[-1].block_hash))
            self._execute_next()

        self.arena.after(self.arena.execution_ms(), finish)

    def _append(self, block: Block) -> None:
        if self.spoiled:
            block = msgspec.structs.replace(block, block_hash=blake2b(block.block_hash, digest_size=32).digest())
        self.blocks.append(block)
        for batch in block.batches:
            for item in batch.items:
                self.offered.pop(item, None)
        self.arena.judge.on_block(self)

    def _certify(self, certificate: FinalityCertificate) -> None:
        self.arena.judge.on_certificate(self.index, certificate, certified=True)
        self.certificates[certificate.height] = certificate
        self.rewrite_wanted = self.rewrite_wanted or self.arena.truncates()

    def _fetch(self, target: FinalityCertificate) -> None:
        """Fetch certified blocks from whoever has them."""
        if self.fetching:
            return
        self.fetching = True
        life = self.lives

        def fetch() -> None:
            if not self.alive or self.lives != life:
                return
            self.fetching = False
            for holder in self.arena.hosts:
                usable = holder.alive and self.arena.connected(holder.index, self.index)
                if not usable or holder.height < target.height:
                    continue
                if holder.blocks[target.height].block_hash == target.block_hash:
                    self._take_blocks(holder.blocks[: target.height + 1], target)
                    return

        self.arena.after(20, fetch)

    def _take_blocks(self, blocks: list[Block], target: FinalityCertificate) -> None:
        if self.spoiled:
            self.spoiled = False  # resynchronized from a certificate: its ledger is everyone's again
            self.blocks = self.blocks[:1]
        new = blocks[self.height + 1 :]
        for block in new:
            self._append(block)
        if self.height == target.height:
            self.certificates[target.height] = target
        pairs = tuple((batch.author, batch.number) for block in new for batch in block.batches)
        self.arena.judge.on_synchronized(self)
        self.step(engine.Synchronized(target, pairs))
