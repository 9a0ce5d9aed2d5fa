"""The views of gossip: who becomes a neighbor, who cannot, and that both sides agree on it."""

from __future__ import annotations

import random

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.engine import Connect, LinkDown, LinkUp, MembersChanged, Release, Send
from p2p.gossip.messages import (
    Announce,
    Disconnect,
    ForwardJoin,
    Join,
    Neighbor,
    NeighborAnswer,
    Prune,
    Shuffle,
    ShuffleAnswer,
)
from p2p.gossip.messages import Kind as PayloadKind
from simulation.gossip_network import GossipNetwork, observer_name
from tests.unit.gossip_kit import OWN, Solo, only, peers, receivers, sent_to

DEFAULTS = GossipConfiguration()
OTHERS_MAX = DEFAULTS.active_max - DEFAULTS.own_choices
NAMES = peers(60)


def unasked(solo: Solo) -> list[str]:
    """Return the nodes that this one did not ask itself."""
    asked = {effect.peer for effect in only(solo.effects, Connect)}
    return [name for name in NAMES if name not in asked]


def test_who_asks_is_taken_until_only_the_places_of_own_choice_are_left() -> None:
    solo = Solo(NAMES)
    names = unasked(solo)
    solo.befriend(*names[:OTHERS_MAX])
    late = names[OTHERS_MAX]
    solo.step(LinkUp(late))
    assert sent_to(solo.receive(late, Neighbor(urgent=False)), late, NeighborAnswer) == [NeighborAnswer(False)]
    assert len(solo.active) == OTHERS_MAX


def test_an_urgent_request_displaces_one_that_asked_and_never_one_that_was_drawn() -> None:
    solo = Solo(NAMES)
    solo.accept_all()
    chosen = {effect.peer for effect in only(solo.effects, Connect)} & set(solo.active)
    rest = [name for name in NAMES if name not in solo.active]
    for name in rest:
        solo.step(LinkUp(name))
        answer = sent_to(solo.receive(name, Neighbor(urgent=True)), name, NeighborAnswer)
        assert answer == [NeighborAnswer(True)]
        assert len(solo.active) <= DEFAULTS.active_max
        # Of what it drew itself, at least the reserved places stay.
        assert len(chosen & set(solo.active)) >= DEFAULTS.own_choices


def test_a_contact_with_room_takes_who_joins_and_a_full_one_only_starts_the_walks() -> None:
    solo = Solo(NAMES)
    names = unasked(solo)
    for position, name in enumerate(names[: OTHERS_MAX + 2]):
        former = set(solo.active)
        solo.step(LinkUp(name))
        effects = solo.receive(name, Join())
        accepted = position < OTHERS_MAX
        assert sent_to(effects, name, NeighborAnswer) == [NeighborAnswer(accepted)]
        assert receivers(effects, ForwardJoin) == former
    assert solo.active == tuple(names[:OTHERS_MAX])


def test_a_walk_goes_on_with_one_step_less_and_ends_in_an_invitation() -> None:
    solo = Solo(NAMES)
    a, b, new = unasked(solo)[:3]
    solo.befriend(a, b)
    onward = sent_to(solo.receive(a, ForwardJoin(new, 4)), b, ForwardJoin)
    assert onward == [ForwardJoin(new, 3)]
    solo.effects.clear()
    solo.receive(a, ForwardJoin(new, 0))
    assert [connect.peer for connect in only(solo.effects, Connect)] == [new]
    asked = sent_to(solo.step(LinkUp(new)), new, Neighbor)
    assert asked == [Neighbor(urgent=True)]
    solo.receive(new, NeighborAnswer(True))
    assert new in solo.active


def test_a_stranger_is_no_neighbor_however_it_comes() -> None:
    solo = Solo(NAMES)
    solo.befriend(NAMES[0], NAMES[1])
    solo.step(LinkUp("stranger"))
    assert solo.receive("stranger", Neighbor(urgent=True)) == []
    assert solo.core.status().refusals["not-a-member"] == 1
    solo.receive(NAMES[0], ForwardJoin("stranger", 0))
    solo.receive(NAMES[0], Shuffle((NAMES[0],), 0, ("stranger",)))
    solo.run(20_000)
    assert "stranger" not in {effect.peer for effect in only(solo.effects, Connect)}


def test_who_is_removed_from_the_registry_is_dropped() -> None:
    solo = Solo(NAMES)
    solo.befriend(*NAMES[:3])
    effects = solo.step(MembersChanged(NAMES[1:]))
    assert NAMES[0] not in solo.active
    assert sent_to(effects, NAMES[0], Disconnect) == [Disconnect()]


def test_one_that_wrongly_believes_to_be_a_neighbor_is_told_once_a_period() -> None:
    solo = Solo(NAMES)
    solo.befriend(NAMES[0])
    assert sent_to(solo.receive(NAMES[5], Prune(PayloadKind.BLOCK)), NAMES[5], Disconnect) == [Disconnect()]
    assert solo.receive(NAMES[5], Announce(())) == []
    solo.run(DEFAULTS.recap_period_ms + 1)
    assert sent_to(solo.receive(NAMES[5], Announce(())), NAMES[5], Disconnect) == [Disconnect()]


def test_a_neighbor_that_leaves_is_replaced_and_its_link_given_back() -> None:
    solo = Solo(NAMES)
    solo.accept_all()
    gone = solo.active[0]
    solo.effects.clear()
    effects = solo.receive(gone, Disconnect())
    assert gone not in solo.active
    assert [release.peer for release in only(effects, Release)] == [gone]
    solo.run(100)
    assert only(solo.effects, Connect), "another is asked"
    assert gone not in {connect.peer for connect in only(solo.effects, Connect)}


def test_a_neighbor_that_falls_silent_or_loses_its_link_is_none_any_more() -> None:
    solo = Solo(NAMES)
    solo.befriend(NAMES[0], NAMES[1])
    solo.step(LinkDown(NAMES[0]))
    assert solo.active == (NAMES[1],)
    solo.run(DEFAULTS.silence_ms + DEFAULTS.recap_period_ms)
    assert NAMES[1] not in solo.active


def test_a_request_without_an_answer_is_given_up_and_another_node_asked() -> None:
    solo = Solo(NAMES)
    first = {effect.peer for effect in only(solo.effects, Connect)}
    for name in first:
        solo.step(LinkUp(name))
    effects = solo.run(DEFAULTS.request_timeout_ms + 100)
    assert receivers(effects, Disconnect) == first, "one may have accepted, and the answer was lost"
    assert {effect.peer for effect in only(effects, Connect)} - first
    assert solo.active == ()


def test_a_shuffle_answers_along_its_walk() -> None:
    solo = Solo(NAMES)
    a, b = NAMES[0], NAMES[1]
    solo.befriend(a, b)
    names = NAMES[40:44]
    onward = sent_to(solo.receive(a, Shuffle((a,), 3, names)), b, Shuffle)
    assert onward == [Shuffle((a, OWN), 2, names)]
    back = sent_to(solo.receive(b, ShuffleAnswer((a, OWN), NAMES[30:33])), a, ShuffleAnswer)
    assert back == [ShuffleAnswer((a,), NAMES[30:33])]
    ended = sent_to(solo.receive(a, Shuffle((a,), 0, names)), a, ShuffleAnswer)
    assert len(ended) == 1
    assert set(ended[0].nodes) <= set(NAMES)
    solo.receive(b, Shuffle((a,), 3, names))
    assert solo.core.status().refusals["malformed"] == 1, "a path does not end with another than the sender"


def test_hearsay_has_half_of_the_passive_view() -> None:
    """A minority that shuffles nothing but its own names does not fill a view with them."""
    honest, liars = peers(200)[:150], peers(200)[150:]
    configuration = GossipConfiguration(messages_per_second=1_000_000)
    solo = Solo(peers(200), configuration)
    solo.befriend(liars[0])
    for start in range(10_000):
        solo.receive(liars[0], Shuffle((liars[0],), 0, tuple(liars[(start + i) % 50] for i in range(16))))
    passive = solo.core._views.known.passive
    assert len(passive) <= DEFAULTS.passive_max
    assert sum(name in liars for name, drawn in passive.items() if not drawn) <= DEFAULTS.passive_max // 2
    assert sum(name in honest for name in passive) >= DEFAULTS.passive_max // 4


def test_a_minority_that_asks_all_the_time_surrounds_nobody() -> None:
    """Twenty percent of the nodes are liars that ask everyone, urgently and without end; each honest node keeps honest
    neighbors, and the honest nodes stay one network."""
    count, liars = 100, 20
    network = GossipNetwork(5, DEFAULTS)
    network.registered = tuple(observer_name(index) for index in range(count))
    bad, good = network.registered[:liars], network.registered[liars:]
    for name in network.registered:
        network.start(name)
    chance = random.Random(6)
    for _ in range(60):
        for name in bad:
            liar = network.hosts[name]
            for victim in chance.sample(good, 8):
                network.connect(liar, victim)
                liar.perform([Send(Neighbor(urgent=True), (victim,)), Send(Shuffle((name,), 0, bad[:16]), (victim,))])
        network.world.run(1_000)
    views = {name: set(network.hosts[name].core.status().active) for name in good}
    honest = {name: view.intersection(good) for name, view in views.items()}
    assert min(len(view) for view in honest.values()) >= 1
    places = sum(map(len, views.values()))
    assert sum(map(len, honest.values())) >= places * 2 / DEFAULTS.active_max * 0.6
    reached, frontier = {good[0]}, [good[0]]
    while frontier:
        fresh = honest[frontier.pop()] - reached
        reached |= fresh
        frontier += sorted(fresh)
    assert reached == set(good)
