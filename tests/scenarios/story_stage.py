"""The stage of a story: replicas whose messages, timers and executions a script moves one by one.

With `clock=running` virtual time moves them instead, every link taking 2 ms. Either way the referee of
`consensus_harness` watches: a story in which a correct replica contradicts itself or two blocks differ fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from consensus_harness import FAST, KEYS, NETWORK_ID, START_MS, VERIFIER, Host, Ledger, World
from story_forge import WRONG_BLOCK
from story_words import Words, numbers

from consensus import engine
from consensus.errors import ConsensusError
from consensus.messages import Message, decode_message, encode_message
from consensus.pbft.configuration import Configuration
from consensus.pbft.replica import Replica
from consensus.validators import ValidatorSet

ROUNDS_MAX = 200
NEVER = -1
SHOWN_TIMERS = ("suspicion", "new-view")


class Recorder:
    """What happened since the last time it was asked, equal things of several replicas in one line."""

    def __init__(self) -> None:
        self.counts: dict[tuple[int, str], Counter[int]] = {}

    def note(self, at_ms: int, replica: int, text: str) -> None:
        self.counts.setdefault((at_ms, text), Counter())[replica] += 1

    def drop(self, unwanted: Callable[[str], bool]) -> None:
        self.counts = {key: counter for key, counter in self.counts.items() if not unwanted(key[1])}

    def take(self, *, timed: bool) -> list[str]:
        lines = []
        for (at_ms, text), counter in self.counts.items():
            by_count: dict[int, list[int]] = {}
            for replica, count in counter.items():
                by_count.setdefault(count, []).append(replica)
            for count, replicas in sorted(by_count.items()):
                who = ",".join(map(str, sorted(replicas)))
                times = f" ({count} times)" if count > 1 else ""
                lines.append((f"{at_ms:6d} " if timed else "") + f"{who}: {text}{times}")
        self.counts = {}
        return lines


class Actor(Host):
    """A replica on the stage; `held` names what waits for the script's release."""

    stage: Stage

    def __init__(self, stage: Stage, replica_id: int) -> None:
        super().__init__(stage, replica_id)
        self.stage = stage
        self.held: set[str] = set()
        self.waiting_syncs: list[engine.SyncNeeded] = []
        self.spoiled = False
        self.breaks_before_sending = ""
        self.copied: list[bytes] = []
        self.forgetful = False
        self.sends_at = -1
        self.told_view = 0
        self.told_silence = ""

    def start(self) -> None:
        super().start()
        self.tell_status()

    def step(self, event: engine.Event) -> None:
        if not self.alive:
            return
        if self.spoiled and isinstance(event, engine.BlockExecuted):
            self.spoiled = False
            event = engine.BlockExecuted(event.sequence, WRONG_BLOCK)
        if isinstance(event, engine.BlockExecuted) and 0 < self.stage.changed_at <= event.sequence:
            event = engine.BlockExecuted(event.sequence, event.block_hash, self.stage.epoch_end)
        before = self.replica.refusals.copy()
        effects = self.replica.step(event, self.world.clock(self.id))
        for reason, count in (self.replica.refusals - before).items():
            for _ in range(count):
                self.stage.note(self.id, f"refused: {reason}")
        if isinstance(event, engine.Synchronized):
            self.stage.note(self.id, f"synchronized to {event.certificate.height}")
        self.tell_status()
        self.perform(effects)

    def tell_status(self) -> None:
        """Say when the view changed, or the replica fell silent or found its voice."""
        status = self.replica.status()
        if status.view != self.told_view:
            self.told_view = status.view
            self.stage.note(self.id, f"enters view {status.view}")
        silence = "" if status.changing_view else status.silent_because
        if status.silent_because.startswith("it was started"):
            silence = "it was started, and waits for the Status of a quorum"
        if silence != self.told_silence:
            self.told_silence = silence
            self.stage.note(self.id, f"silent: {silence}" if silence else "votes again")

    def votes_held(self) -> list[str]:
        """Say whose votes are here for what is not finished."""
        state = self.replica._state
        sentences = []
        if state.changing_view and state.own_view_change is not None:
            wish = state.own_view_change.new_view
            asking = [replica for replica, change in state.view_changes.items() if change.new_view >= wish]
            sentences.append(f"wants view {wish}, as do {numbers(asking)}")
        for sequence, slot in sorted(state.slots.items()):
            if slot.pre_prepare is not None and not slot.decided:
                name = self.stage.words.proposal(slot.digest)
                committed = f", committed by {numbers(slot.committers())}" if slot.commits else ""
                sentences.append(f"{sequence} {name} is prepared by {numbers(slot.preparers())}{committed}")
        for sequence, votes in sorted(state.checkpoints.items()):
            if sequence <= state.last_executed:
                sentences.append(f"block {sequence} is signed by {numbers(votes)}")
        return sentences

    def perform(self, effects: list[engine.Effect]) -> None:
        leaving = [i for i, effect in enumerate(effects) if isinstance(effect, engine.Send | engine.Broadcast)]
        self.sends_at = leaving[0] if leaving else -1
        super().perform(effects)

    def on_StartTimer(self, effect: engine.StartTimer) -> None:
        if self.stage.running:
            super().on_StartTimer(effect)
        else:
            self.timers[effect.timer] = effect.delay_ms
        if self.stage.timers_shown and effect.timer in SHOWN_TIMERS:
            self.stage.note(self.id, f"{effect.timer} timer {effect.delay_ms} ms")

    def forget(self, log: str, ledger: str) -> None:
        """What the disk holds at the next start: nothing, or what it held when it was copied."""
        self.forgetful = True
        self.records = list(self.copied) if log == "copy" else []
        if ledger == "lost":
            self.ledger = Ledger()

    def crash(self, *, keep_unsynced: int | None = None) -> None:
        if self.breaks_before_sending:
            keep_unsynced = None if self.breaks_before_sending == "kept" else 0
            self.breaks_before_sending = ""
        super().crash(keep_unsynced=keep_unsynced)

    def begin_epoch(self, validators: ValidatorSet, own_key: int) -> None:
        """The epoch's last block is certified and here: a new replica, in the new set or beside it."""
        own_items = self.replica.undecided_items(frozenset({self.id}))
        self.records, self.unsynced, self.timers, self.forgetful = [], [], {}, False
        self.replica = Replica(
            self.stage.configuration,
            validators,
            self.id if self.id < validators.n else None,
            KEYS[own_key],
            VERIFIER,
            last_executed=validators.base,
            gated=False,
        )
        self.told_view = 0
        self.perform(self.replica.start(self.world.clock(self.id)))
        self.stage.note(self.id, f"begins epoch {validators.epoch} above {validators.base}")
        self.tell_status()
        if own_items and self.id < validators.n:
            self.step(engine.BatchClosed(own_items))

    def on_Outdated(self, effect: engine.Outdated) -> None:
        if not self.forgetful:
            super().on_Outdated(effect)
        self.outdated.append(effect)

    def execute_next(self) -> None:
        if "execution" not in self.held:
            super().execute_next()

    def on_SyncNeeded(self, effect: engine.SyncNeeded) -> None:
        if "synchronization" in self.held:
            self.waiting_syncs.append(effect)
        else:
            self.fetch(effect)

    def on_BatchesReleased(self, effect: engine.BatchesReleased) -> None:
        if self.stage.running:
            super().on_BatchesReleased(effect)  # else the script offers them again, or does not

    def fetch(self, effect: engine.SyncNeeded) -> None:
        """Bring certified blocks from somebody who has them, then tell the replica."""
        super().on_SyncNeeded(effect)

    def release(self, what: str) -> None:
        self.held.discard(what)
        waiting, self.waiting_syncs = self.waiting_syncs, []
        for effect in waiting:
            self.fetch(effect)
        self.execute_next()


class Stage(World):
    """A world whose wire holds letters until the script delivers them."""

    def __init__(self, n: int, configuration: Configuration = FAST, *, running: bool, timers_shown: bool) -> None:
        super().__init__(n, configuration=configuration, start=False)
        self.running = running
        self.timers_shown = timers_shown
        self.delay_ms = (2, 2)
        self.words = Words()
        self.recorder = Recorder()
        self.faulty: set[int] = set()
        self.wire: list[tuple[int, int, Message]] = []
        self.told: set[tuple[int, str]] = set()
        self.changed_at = 0
        """The height whose block changes the validators; its header and all later ones tell `epoch_end`."""
        self.epoch_end = 0
        self.actors = [Actor(self, replica) for replica in range(n)]
        self.hosts = list(self.actors)

    def note(self, replica: int, text: str) -> None:
        self.recorder.note(self.now_ms, replica, text)

    # --- what the world does differently ---

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        super().after(delay_ms if self.running else 0, action)

    def trace(self, replica: int, effect: engine.Effect) -> None:
        text = self.words.effect(effect, replica)
        if text is None:
            return
        if self.running and ("view-change" in text or "batch" in text):
            if (replica, text) in self.told:
                return  # sent again and again: once is enough to read
            self.told.add((replica, text))
        self.note(replica, text)

    def transmit(self, sender: int, receiver: int, message: Message) -> None:
        if self.running:
            super().transmit(sender, receiver, message)
            return
        self.sent.append((sender, message))
        if receiver not in self.faulty and self.connected(sender, receiver):
            self.wire.append((sender, receiver, message))

    def crash_point(self, host: Host, effects: int) -> int:
        assert isinstance(host, Actor)
        if host.breaks_before_sending and host.sends_at >= 0:
            self.note(host.id, "crashes before its first message leaves")
            return host.sends_at
        return NEVER

    def clock(self, replica: int) -> int:
        return START_MS + (self.now_ms if self.running else 0) + self.skew_ms.get(replica, 0)

    # --- what scripts do ---

    def drain(self) -> None:
        """Let executions and synchronizations that wait for nobody happen."""
        if not self.running:
            self.run(0)

    def offer(self, receiver: int, data: bytes, sender: int | None) -> None:
        """Hand bytes to a replica, as a link would."""
        try:
            message = decode_message(data)
        except ConsensusError as error:
            reason, _, _ = str(error).partition(" of consensus.")
            self.note(receiver, f"not decoded: {reason}")
            return
        self.words.learn(message)
        origin = None if sender is None else engine.ReplicaId(sender)
        self.hosts[receiver].step(engine.MessageReceived(message, origin))
        self.drain()

    def deliver_round(self, wanted: Callable[[int, int, Message], bool]) -> bool:
        """Deliver what is on the wire now and wanted; tell whether anything was."""
        letters, self.wire = self.wire, []
        chosen = [letter for letter in letters if wanted(*letter)]
        self.wire = [letter for letter in letters if not wanted(*letter)]
        for sender, receiver, message in chosen:
            self.offer(receiver, encode_message(message), sender)
        return bool(chosen)

    def settle(self, wanted: Callable[[int, int, Message], bool]) -> None:
        """Deliver until nothing wanted is left."""
        for _ in range(ROUNDS_MAX):
            if not self.deliver_round(wanted):
                return
        raise AssertionError("the replicas never come to rest")

    def next_validators(self, members: int, rekeyed: list[int]) -> ValidatorSet:
        """The first `members` replicas, those rekeyed with a key that no replica had before."""
        keys = tuple(KEYS[self.key_of(replica, rekeyed)].public_key for replica in range(members))
        return ValidatorSet(NETWORK_ID, self.validators.epoch + 1, keys, base=self.epoch_end)

    def key_of(self, replica: int, rekeyed: list[int]) -> int:
        return replica + (64 if replica in rekeyed else 0)

    def evidence_of(self, replica: int) -> list[Any]:
        return self.hosts[replica].evidence
