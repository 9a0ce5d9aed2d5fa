"""Whatever peers, links, hosts and time do to a gossip core: it takes it, stays within its bounds, and passes on only
what was found valid."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.engine import (
    Deliver,
    Event,
    LinkDown,
    LinkUp,
    MembersChanged,
    Publish,
    Received,
    Send,
    TimePassed,
    Verdict,
    Verified,
    Verify,
)
from p2p.gossip.messages import (
    Announce,
    Announced,
    Disconnect,
    ForwardJoin,
    Graft,
    Join,
    Kind,
    Message,
    Neighbor,
    NeighborAnswer,
    Payload,
    Prune,
    Shuffle,
    ShuffleAnswer,
    encode_message,
)
from tests.unit.gossip_kit import OWN, Solo, block, block_id, peers

NAMES = peers(9)
CONFIGURATION = GossipConfiguration(
    active_max=4,
    own_choices=1,
    passive_max=6,
    missing_per_peer_max=8,
    verifying_per_peer_max=2,
    seen_max=64,
    shuffle_period_ms=500,
    rotation_period_ms=2_000,
    silence_ms=5_000,
    ban_ms=1_000,
)
names = st.sampled_from(NAMES)
bodies = st.integers(0, 20).map(block)
kinds = st.sampled_from([Kind.BLOCK, Kind.TRANSACTION])
hops = st.integers(0, 9)
some_names = st.lists(st.sampled_from((*NAMES, OWN, "stranger")), max_size=4).map(tuple)
ids = st.builds(block_id, bodies, kinds)
announced = st.builds(Announced, kinds, ids, hops)
messages: st.SearchStrategy[Message] = st.one_of(
    st.just(Join()),
    st.builds(ForwardJoin, names, st.integers(0, 6)),
    st.builds(Neighbor, st.booleans()),
    st.builds(Neighbor, st.booleans()),
    st.builds(NeighborAnswer, st.booleans()),
    st.just(Disconnect()),
    st.builds(Shuffle, st.lists(names, min_size=1, max_size=3).map(tuple), st.integers(0, 3), some_names),
    st.builds(ShuffleAnswer, st.lists(names, min_size=1, max_size=3).map(lambda way: (*way, OWN)), some_names),
    st.builds(lambda kind, body, h: Payload(kind, block_id(body, kind), h, body, b""), kinds, bodies, hops),
    st.builds(lambda entries: Announce(tuple(entries)), st.lists(announced, max_size=12)),
    st.builds(Graft, kinds, ids, st.booleans()),
    st.builds(Prune, kinds),
)
events: st.SearchStrategy[Event | int] = st.one_of(
    st.builds(lambda peer, message: Received(peer, encode_message(message)), names, messages),
    st.builds(lambda peer, message: Received(peer, encode_message(message)), names, messages),
    st.builds(lambda peer, message: Received(peer, encode_message(message)), names, messages),
    st.builds(Received, names, st.binary(max_size=6)),
    st.builds(LinkUp, names),
    st.builds(LinkDown, names),
    st.builds(Verified, ids, st.sampled_from(Verdict)),
    st.builds(Publish, kinds, bodies),
    st.builds(lambda chosen: MembersChanged(tuple(chosen)), st.sets(names, min_size=2).map(sorted)),
    st.just(TimePassed()),
    st.integers(1, 3_000),
)


@settings(max_examples=150)
@given(st.lists(events, max_size=80), st.integers(0, 3))
def test_views_and_tables_stay_within_their_bounds_and_only_what_is_valid_goes_on(
    story: list[Event | int], seed: int
) -> None:
    solo = Solo(NAMES, CONFIGURATION, NAMES[:2], seed)
    vouched: set[bytes] = set()
    waiting: set[bytes] = set()
    for event in story:
        before = len(solo.effects)
        if isinstance(event, int):
            solo.run(event)
        else:
            if isinstance(event, Verified) and event.verdict is Verdict.VALID and event.id in waiting:
                vouched.add(event.id)
            if isinstance(event, Verified):
                waiting.discard(event.id)
            if isinstance(event, Publish):
                vouched.add(block_id(event.body, event.kind))
            solo.step(event)
        for effect in solo.effects[before:]:
            if isinstance(effect, Verify):
                waiting.add(effect.id)
            elif isinstance(effect, Deliver):
                assert effect.id in vouched
            elif isinstance(effect, Send) and isinstance(effect.message, Payload):
                assert effect.message.id in vouched
            if isinstance(effect, Send):
                assert OWN not in effect.to
        check_bounds(solo)
        assert solo.core.next_deadline_ms() > solo.now_ms - CONFIGURATION.recap_period_ms


def check_bounds(solo: Solo) -> None:
    status = solo.core.status()
    views, trees = solo.core._views, solo.core._trees
    assert len(status.active) <= CONFIGURATION.active_max
    assert OWN not in status.active
    assert set(status.active) <= views.known.allowed
    assert sum(not n.chosen for n in views.active.values()) <= CONFIGURATION.active_max - CONFIGURATION.own_choices
    assert status.passive <= CONFIGURATION.passive_max
    assert not set(views.known.passive) & set(status.active)
    assert len(views.requests.pending) <= CONFIGURATION.active_max + 1
    assert status.missing <= len(NAMES) * CONFIGURATION.missing_per_peer_max
    assert status.verifying <= len(NAMES) * CONFIGURATION.verifying_per_peer_max
    assert status.seen <= CONFIGURATION.seen_max
    for kind, tree in trees.trees.items():
        assert set(tree.eager) | set(tree.lazy) == set(status.active), kind
        assert not set(tree.eager) & set(tree.lazy)
    counted = dict.fromkeys(status.active, 0)
    for missing in trees.missing.values():
        for peer in missing.announcers:
            counted[peer] += 1
    assert counted == {peer: trees._waited_for[peer] for peer in status.active}, (
        "what one peer may have open is counted"
    )
