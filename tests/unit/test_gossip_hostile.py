"""N8: floods of gossip. The sender pays, state stays within its bounds, and honest payloads go on."""

from __future__ import annotations

import pytest

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.engine import Deliver, Misbehaved, Verdict, Verified, Verify
from p2p.gossip.messages import (
    ANNOUNCED_MAX,
    Announce,
    Announced,
    Graft,
    Kind,
    Neighbor,
    NeighborAnswer,
    Payload,
    encode_message,
)
from p2p.gossip.purses import INVALID_COST
from tests.unit.gossip_kit import Solo, announced, block, only, peers, pushed, receivers, sent_to

CONFIGURATION = GossipConfiguration()
FLOODER, HONEST, OTHER = peers(3)
PER_SECOND = 10_000


def second(solo: Solo, payloads: list[Payload], verdict: Verdict) -> tuple[int, int]:
    """Let one peer send payloads over a second, and an honest one a block in the middle; the host judges at once.

    Returns how many payloads of the flooder the host had to verify, and whether the honest block got through.
    """
    verified = honest = 0
    for position, payload in enumerate(payloads):
        if position % (len(payloads) // 100) == 0:
            solo.run(10)
        for verify in only(solo.receive(FLOODER, payload), Verify):
            verified += 1
            solo.step(Verified(verify.id, verdict))
        if position == len(payloads) // 2:
            effects = solo.deliver(HONEST, pushed(block(position, 77)))
            honest = len(only(effects, Deliver))
            assert OTHER in receivers(effects, Payload)
    return verified, honest


@pytest.fixture
def solo() -> Solo:
    made = Solo()
    made.befriend(FLOODER, HONEST, OTHER)
    return made


def test_ten_thousand_invalid_payloads_a_second(solo: Solo) -> None:
    """N8: 10,000 a second with invalid signatures: the host verifies what the purse pays for, then the link ends."""
    transactions = [pushed(block(n, 200), kind=Kind.TRANSACTION) for n in range(PER_SECOND)]
    verified, honest = second(solo, transactions, Verdict.INVALID)
    full = CONFIGURATION.messages_per_second * CONFIGURATION.purse_seconds
    assert verified <= (full + CONFIGURATION.messages_per_second) // INVALID_COST + 1
    assert honest == 1
    assert [named.peer for named in only(solo.effects, Misbehaved)] == [FLOODER]
    assert FLOODER not in solo.active
    assert solo.core.status().kept_bytes < 1_000


def test_ten_thousand_duplicates_a_second(solo: Solo) -> None:
    """N8: 10,000 a second of what is known: never verified, and named in the end."""
    solo.deliver(HONEST, pushed(block(1)))
    verified, honest = second(solo, [pushed(block(1))] * PER_SECOND, Verdict.VALID)
    assert (verified, honest) == (0, 1)
    assert [named.peer for named in only(solo.effects, Misbehaved)] == [FLOODER]


def test_a_million_unique_ids_announced(solo: Solo) -> None:
    """N8: a million ids that nobody has: bounded by peer, answered by few pulls, paid by the announcer."""
    solo.effects.clear()
    most = 0
    for start in range(0, 1_000_000, ANNOUNCED_MAX):
        entries = (Announced(Kind.BLOCK, (start + i).to_bytes(32, "big"), 1) for i in range(ANNOUNCED_MAX))
        solo.receive(FLOODER, Announce(tuple(entries)))
        most = max(most, solo.core.status().missing)
        solo.run(1)
    assert most <= CONFIGURATION.missing_per_peer_max
    assert solo.core.status().seen == 0
    assert solo.core.status().missing <= CONFIGURATION.missing_per_peer_max
    assert len([e for e in solo.effects if FLOODER in receivers([e], Graft)]) <= 20 * CONFIGURATION.missing_per_peer_max
    assert only(solo.effects, Misbehaved)
    assert only(solo.deliver(HONEST, pushed(block(1))), Deliver)


def test_unique_valid_payloads_stay_within_the_bounds() -> None:
    """N8: also what is valid is forgotten in time: ids and payloads are bounded."""
    configuration = GossipConfiguration(seen_max=1_000, messages_per_second=1_000_000, bytes_per_second=1 << 30)
    solo = Solo(configuration=configuration)
    solo.befriend(FLOODER)
    for number in range(20_000):
        solo.deliver(FLOODER, pushed(block(number, 500), kind=Kind.TRANSACTION))
        solo.effects.clear()
    status = solo.core.status()
    assert status.delivered["transaction"] == 20_000
    assert status.seen == 1_000
    assert status.kept_bytes <= 4 * 1024 * 1024


def test_asking_for_the_same_payload_again_and_again_costs_its_bytes(solo: Solo) -> None:
    """N8: a few bytes that ask for many are paid at the price of the many."""
    body = block(1, 900_000)
    solo.publish(body)
    solo.effects.clear()
    request = encode_message(Graft(Kind.BLOCK, pushed(body).id, to_tree=False))
    for _ in range(1_000):
        solo.receive(FLOODER, request)
    served = sum(len(sent_to([e], FLOODER, Payload)) for e in solo.effects)
    assert served <= CONFIGURATION.bytes_per_second * CONFIGURATION.purse_seconds // len(body) + 1


def test_coming_back_does_not_fill_the_purse() -> None:
    """N8: the purse is the node's and not the link's."""
    solo = Solo(configuration=GossipConfiguration(ban_ms=0))
    solo.befriend(FLOODER)
    for number in range(4_100):
        solo.receive(FLOODER, pushed(block(number)))
        solo.effects.clear()
    assert FLOODER not in solo.active
    assert sent_to(solo.receive(FLOODER, Neighbor(urgent=True)), FLOODER, NeighborAnswer) == []
    assert solo.core.status().refusals["empty-purse"] > 0


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x91\xa5prune", b"\x00" * 1_000, b"\x93\xa5graft\x00\xc0\xc2"])
def test_what_is_no_message_ends_the_link(solo: Solo, data: bytes) -> None:
    effects = solo.receive(FLOODER, data)
    assert [named.peer for named in only(effects, Misbehaved)] == [FLOODER]
    assert FLOODER not in solo.active
    assert solo.core.status().refusals["malformed"] == 1


def test_what_others_send_too_much_of_does_not_cost_who_passes_it_on_its_neighbors() -> None:
    """N8: two peers within their purses send more transactions than a third takes of this node; blocks go on."""
    *sources, target = peers(3)
    relay, receiver = Solo(), Solo()
    relay.befriend(*sources, target)
    receiver.befriend(sources[0])
    refused = number = 0
    for _ in range(500):  # five seconds
        relay.run(10)
        receiver.run(10)
        for source in sources:
            for _ in range(9):
                number += 1
                effects = relay.deliver(source, pushed(block(number), kind=Kind.TRANSACTION))
                for message in sent_to(effects, target, Payload):
                    for verify in only(receiver.receive(sources[0], message), Verify):
                        receiver.step(Verified(verify.id, Verdict.VALID))
        relay.receive(target, announced())
        receiver.receive(sources[0], announced())
        refused = sum(receiver.core.status().refusals.values())
    assert refused == 0
    assert only(receiver.effects, Misbehaved) == []
    assert target in receivers(relay.deliver(sources[0], pushed(block(0, 77))), Payload)
