"""Plays one schedule: rounds under their splits, then a healed network that must decide.

A round is: the restarts that belong to it; work for whoever has none, and for every copy; every timer that would end a
view expires once (not in the first round: view 0 has begun); messages are delivered until nothing moves; instances
whose view did not begin although a quorum wants one ask for the next, as often as there are primaries to try;
optionally Status. A message meets the split of its round and kind: what does not reach the other side is lost, or late.

Any expiry of a running timer and any loss is possible in an asynchronous network, so every schedule is one that could
happen. No time passes: only the order matters.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from consensus import engine
from consensus.messages import (
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    Status,
    ViewChange,
    ViewChangeRequest,
)
from simulation.twins.instance import Instance, Saved, next_block
from simulation.twins.laws import Laws, TwinsViolation
from simulation.twins.scenario import EMPTY_LOG, PHASES, Round, Scenario, members, plain_round

EVENTS_MAX: Final = 200_000
"""Events of one schedule at n = 4, scaled by n^2: more of them is a storm that never ends."""
HEALING_CYCLES: Final = 12
"""Periods of a healed network, and twice n more, in which everybody must catch up and decide what waits."""

_PHASES: Final[dict[type, str]] = {
    ViewChange: "enter",
    NewView: "enter",
    ViewChangeRequest: "enter",
    Prepare: "prepare",
    Commit: "commit",
    Checkpoint: "seal",
    Status: "seal",
}
"""Which split of a round a message meets; `order` for all others."""

_BUSY: Final[set[engine.TimerKind]] = {"suspicion", "resend"}
"""Timers that run while a replica has something to wait for."""

Trace = Callable[[str], None]


class Outcome(msgspec.Struct, frozen=True):
    """What a schedule that broke no law went through."""

    decided: int
    """Sequences that honest instances executed."""
    views: int
    """The highest view that began."""
    views_deciding: int
    """Views in which a quorum committed something."""
    evidence: int
    """Contradictions of twinned validators that honest instances found."""
    events: int


class Stage:
    """Instances, and the network between them."""

    def __init__(self, scenario: Scenario, trace: Trace | None = None) -> None:
        self.scenario = scenario
        self.trace = trace
        self.laws = Laws(scenario.replicas, scenario.twinned)
        self.instances = [
            Instance(
                number,
                scenario.validator(number),
                scenario.replicas,
                copied=scenario.validator(number) in scenario.twinned,
            )
            for number in range(scenario.instances)
        ]
        self.by_validator: list[list[Instance]] = [
            [instance for instance in self.instances if instance.validator == validator]
            for validator in range(scenario.replicas)
        ]
        self.honest = [instance for instance in self.instances if not instance.copied]
        self.held: list[tuple[Instance, engine.MessageReceived]] = []
        """What a split of this round stopped."""
        self.late: list[tuple[Instance, engine.MessageReceived]] = []
        """What a split of the round before stopped, until it arrives."""
        self.reach: dict[str, list[int]] = {}
        """Phase -> sender -> the set of instances that hear it now."""
        self.divide(plain_round((1 << scenario.instances) - 1))
        self.queue: deque[tuple[Instance, engine.Event]] = deque()
        self.events = 0
        self.events_max = EVENTS_MAX * scenario.replicas**2 // 16
        self.chance = random.Random(scenario.shuffle) if scenario.shuffle else None
        self.disks: list[list[Saved]] = []
        """What each instance's disk held at the end of each round."""

    # --- the schedule ---

    def play(self) -> Outcome:
        """Run rounds, then heal. Raises TwinsViolation."""
        for instance in self.instances:
            self.perform(instance, instance.start())
        for number, round_ in enumerate(self.scenario.rounds):
            self.play_round(number, round_)
        self.heal()
        laws = self.laws
        decided, views = len(laws.blocks), len(laws.decided_views)
        return Outcome(decided, laws.view_max, views, len(laws.evidence), self.events)

    def play_round(self, number: int, round_: Round) -> None:
        splits = ", ".join(f"{phase} {split_text(round_, phase)}" for phase in PHASES)
        self.note(f"round {number}: {splits}, patient {members(round_.patient)}")
        self.divide(round_)
        for restart in self.scenario.restarts:
            if restart.round == number:
                self.restart(self.instances[restart.instance], restart.as_of)
        for instance in self.instances:
            if instance.copied or not instance.timers & _BUSY:
                self.queue.append((instance, instance.close_batch()))
        self.drain()
        if number:
            self.expire(("suspicion", "turn", "new-view", "resend"), patient=round_.patient)
        for _ in range(self.scenario.replicas):
            if not self.expire(("new-view",)):
                break
        if self.scenario.repair:
            self.expire(("status",))
        self.disks.append([instance.saved() for instance in self.instances])

    def restart(self, instance: Instance, as_of: int) -> None:
        saved = Saved(0, 0, None) if as_of == EMPTY_LOG else self.disks[as_of][instance.number]
        self.note(f"instance {instance.number} starts again as of round {as_of}")
        self.perform(instance, instance.restart(saved))

    def divide(self, round_: Round) -> None:
        """Other splits hold from now on; what the ones before stopped is under way."""
        self.late, self.held = self.held, []
        everyone = range(self.scenario.instances)
        for phase in PHASES:
            split = getattr(round_, phase)
            self.reach[phase] = [split.reach(sender, len(everyone)) for sender in everyone]

    def expire(self, kinds: tuple[engine.TimerKind, ...], *, patient: int = 0) -> bool:
        """Let one running timer of `kinds`, the first that runs, expire in each instance. Tell whether any did.

        What is late arrives only now: a replica that gave its view up meets messages of that view.
        """
        expired = False
        for instance in self.instances:
            for kind in kinds if not patient >> instance.number & 1 else ():
                if kind in instance.timers:
                    instance.timers.discard(kind)
                    self.queue.append((instance, engine.TimerExpired(kind)))
                    expired = True
                    break
        late, self.late = self.late, []
        self.queue.extend((receiver, event) for receiver, event in late if receiver.heed(event.message))
        self.drain()
        return expired

    def heal(self) -> None:
        """No more splits or restarts: what honest validators have waiting is decided, and all reach one height.

        The twins go on as they are. A period has a Status; when one has passed without an end, what else runs expires,
        the short timers before the long ones.
        """
        self.note("healed")
        self.divide(plain_round((1 << self.scenario.instances) - 1))
        self.chance = None
        self.queue.append((self.honest[0], self.honest[0].close_batch()))
        self.drain()
        for cycle in range(HEALING_CYCLES + 2 * self.scenario.replicas):
            self.expire(("status",))
            if self.settled():
                return
            self.expire(("resend",))
            if cycle % 2:
                self.expire(("forward",))
                if not self.expire(("new-view", "suspicion")):
                    self.expire(("turn",))  # what a twin's losing proposal named waits for the next view
        states = [instance.watch() for instance in self.honest]
        raise TwinsViolation(f"I14: the healed network does not settle: {states}")

    def settled(self) -> bool:
        """Tell whether honest instances are at one certified height, with all that they ever authored in its chain."""
        heights = {(len(instance.blocks) - 1, instance.watch().stable) for instance in self.honest}
        if len(heights) != 1 or len(set(next(iter(heights)))) != 1:
            return False
        executed = {item for block in self.honest[0].blocks for item in block.items}
        return all(executed.issuperset(instance.authored) for instance in self.honest)

    # --- the network ---

    def drain(self) -> None:
        """Deliver until nothing moves."""
        queue, chance = self.queue, self.chance
        while queue:
            if chance is not None and len(queue) > 1:
                index = chance.randrange(len(queue))
                queue[0], queue[index] = queue[index], queue[0]
            instance, event = queue.popleft()
            self.events += 1
            if self.events > self.events_max:
                raise TwinsViolation(f"I14: {self.events} events and no end")
            if self.trace is not None:
                self.note(f"{instance.number} <- {event}")
            self.perform(instance, instance.step(event))

    def perform(self, instance: Instance, effects: list[engine.Effect]) -> None:
        for effect in effects:
            match effect:
                case engine.Broadcast(message=message):
                    others = (v for v in range(self.scenario.replicas) if v != instance.validator)
                    self.transmit(instance, message, others)
                case engine.Send(message=message, to=to):
                    self.transmit(instance, message, to)
                case engine.Persist(record=record):
                    instance.records.append(record)
                case engine.StartTimer(timer=timer):
                    instance.timers.add(timer)
                case engine.StopTimer(timer=timer):
                    instance.timers.discard(timer)
                case _:
                    self.perform_rarely(instance, effect)
        if not instance.copied:
            self.laws.after_step(instance)

    def perform_rarely(self, instance: Instance, effect: engine.Effect) -> None:
        match effect:
            case engine.Execute():
                self.execute(instance, effect)
            case engine.Certified(certificate=certificate):
                instance.certificate = certificate
                if not instance.copied:
                    self.laws.on_certificate(f"instance {instance.number}", certificate)
            case engine.SyncNeeded():
                self.fetch(instance, effect)
            case engine.Diverged() if not instance.copied:
                self.laws.on_diverged(instance, effect)
            case engine.EvidenceFound(evidence=evidence) if not instance.copied:
                self.laws.on_evidence(instance, evidence)
            case _:
                pass

    def transmit(self, sender: Instance, message: Message, to: Iterable[int]) -> None:
        self.laws.on_sent(sender, message)
        reach = self.reach[_PHASES.get(type(message), "order")][sender.number]
        event = engine.MessageReceived(message, engine.ReplicaId(sender.validator))
        for validator in to:
            for receiver in self.by_validator[validator]:
                if not reach >> receiver.number & 1:
                    if self.scenario.late:
                        self.held.append((receiver, event))
                elif receiver.heed(message):
                    self.queue.append((receiver, event))

    def execute(self, instance: Instance, effect: engine.Execute) -> None:
        if effect.sequence < len(instance.blocks):
            return  # fetched blocks were faster
        block = next_block(instance.blocks[-1], effect.proposal, effect.batches)
        if not instance.copied:
            self.laws.on_execute(instance, effect, block)
        instance.blocks.append(block)
        self.queue.append((instance, engine.BlockExecuted(effect.sequence, block.block_hash)))

    def fetch(self, instance: Instance, effect: engine.SyncNeeded) -> None:
        """Fetch certified blocks from whoever has them on this side."""
        target = effect.certificate
        if not instance.copied:
            self.laws.on_certificate(f"instance {instance.number}", target)
        for holder in self.instances:
            reachable = self.reach["seal"][holder.number] >> instance.number & 1
            if not reachable or len(holder.blocks) <= target.height:
                continue
            if holder.blocks[target.height].block_hash != target.block_hash:
                continue
            height = len(instance.blocks) - 1
            if height >= target.height:
                return
            new = holder.blocks[height + 1 : target.height + 1]
            instance.blocks += new
            instance.certificate = target
            pairs = tuple(pair for block in new for pair in block.batches)
            self.queue.append((instance, engine.Synchronized(target, pairs)))
            return

    def note(self, line: str) -> None:
        if self.trace is not None:
            self.trace(line)


def split_text(round_: Round, phase: str) -> str:
    split = getattr(round_, phase)
    return f"{'deaf ' if split.one_way else ''}{members(split.side)}"


def play(scenario: Scenario, trace: Trace | None = None) -> Outcome:
    """Play one schedule. Raises TwinsViolation when a law is broken; `trace` gets a line for all that happens."""
    return Stage(scenario, trace).play()
