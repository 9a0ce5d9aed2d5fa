"""One member lies: small changes to its own valid messages, signed again, in random schedules; and totality of `step`.

After Winter et al., "Randomized Testing of Byzantine Fault Tolerant Algorithms" (ByzzFuzz, OOPSLA 2023): small changes
of well-formed messages reach deeper than random bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from consensus_harness import KEYS, NETWORK_ID, VERIFIER, World
from consensus_kit import Solo
from test_consensus_messages import examples
from test_consensus_schedules import heal, troubled_world

from consensus import engine
from consensus.errors import ConsensusError
from consensus.messages import (
    BatchRequest,
    Message,
    PrePrepare,
    ViewChangeRequest,
    decode_message,
    encode_message,
    sign,
)
from tests.thoroughness import tries

SEEDS_PER_CASE = 15


def mutate(chance: random.Random, message: Any) -> Any:
    """Change one field a little, as a member who keeps to the format could."""
    field = chance.choice([name for name in message.__struct_fields__ if name not in ("replica", "signature", "epoch")])
    value = getattr(message, field)
    if isinstance(value, bool) or value is None:
        return message
    if isinstance(value, int):
        value = max(0, value + chance.choice([-2, -1, 1, 2, 1_000, 2**40]))
    elif isinstance(value, bytes):
        value = chance.randbytes(len(value))
    elif isinstance(value, tuple):
        value = value[:-1] if chance.random() < 0.5 else value[1:]
    elif isinstance(message, PrePrepare):
        batches = message.proposal.batches[:-1] if chance.random() < 0.5 else message.proposal.batches
        value = msgspec.structs.replace(value, batches=batches, timestamp_ms=value.timestamp_ms + chance.randint(-5, 5))
    return msgspec.structs.replace(message, **{field: value})


def liar(faulty: int, seed: int, world: World) -> Callable[[int, Message], Message]:
    """Return a corruption of what `faulty` sends: each receiver may be told something else."""
    chance = random.Random(seed)
    past: list[Message] = []

    def corrupt(sender: int, message: Message) -> Message:
        if sender != faulty or isinstance(message, BatchRequest | ViewChangeRequest) or message.replica != faulty:
            return message
        past.append(message)
        if chance.random() > 0.3:
            return message
        if chance.random() < 0.2:
            return chance.choice(past)
        changed: Any = sign(NETWORK_ID, KEYS[faulty], mutate(chance, message))
        try:
            return decode_message(encode_message(changed))
        except ConsensusError:
            return message

    return corrupt


@pytest.mark.parametrize("case", range(tries(4)))
def test_one_lying_member_breaks_neither_agreement_nor_later_progress(case: int) -> None:
    """S1-S12, L10, L13, N11, sampled: equivocation, wrong numbers, false certificates, old messages."""
    for seed in range(case * SEEDS_PER_CASE, (case + 1) * SEEDS_PER_CASE):
        faulty = seed % 4
        world = troubled_world(seed, faulty=faulty, corrupt=partial(liar, faulty, seed))
        heal(world)
        correct = [replica for replica in range(world.n) if replica != faulty]
        world.submit(correct[seed % len(correct)], b"final")
        decided = world.run(40_000, world.all_have(b"final", among=correct))
        assert decided, f"seed {seed}: {world.n} replicas, views {world.views()}"
        accused = {found.culprit for host in world.hosts for found in host.evidence if host.id != faulty}
        assert accused <= {faulty}, f"seed {seed}: {accused}"
    VERIFIER.verdicts.clear()


def test_step_is_total_whatever_well_formed_message_comes() -> None:
    """N11: numbers out of range, strange signers, empty lists, in every state that a short life reaches."""
    chance = random.Random(5)
    for seed in range(40):
        solo = Solo(1, n=chance.choice([1, 2, 4, 7]) if seed % 2 else 4)
        for _ in range(60):
            message: Any = chance.choice(sorted(examples().items()))[1]
            for _ in range(chance.randint(0, 3)):
                message = mutate(chance, message) if not isinstance(message, BatchRequest) else message
            if "replica" in message.__struct_fields__:
                message = msgspec.structs.replace(message, replica=chance.choice([0, 1, 2, 3, 127]))
                if chance.random() < 0.9:
                    message = sign(NETWORK_ID, KEYS[message.replica], message)
            sender = chance.choice([None, 0, 2, 3])
            solo.step(engine.MessageReceived(message, None if sender is None else engine.ReplicaId(sender)))
            if chance.random() < 0.2:
                solo.expire(chance.choice(["suspicion", "forward", "turn", "new-view", "resend", "status"]))
            solo.replica.status()
        assert solo.replica.retained_records()


def test_a_set_of_128_orders_and_certifies() -> None:
    """N11: masks and certificates of the largest set, with f replicas down."""
    world = World(128, start=False)
    for host in world.hosts[:86]:
        host.start()
    world.submit(1, b"a")
    assert world.run(40, world.all_have(b"a", among=range(86)))
    status = world.hosts[85].replica.step(engine.PeerConnected(engine.ReplicaId(0)), world.clock(85))
    assert status
    VERIFIER.verdicts.clear()
