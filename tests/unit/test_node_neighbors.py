"""Whom a node dials, by what the ledger says that it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
from node_core_kit import Clock

from node.neighbors import PATIENCE_MS, PERIOD_MS, Neighbors
from node.ports import PeerRole, RegisteredPeer

VALIDATORS = [f"v{index}" for index in range(4)]
OBSERVERS = [f"o{index}" for index in range(6)]


class Links:
    """node.neighbors.Dialing: who is wanted, and who has a link because somebody has room."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.up: set[str] = set()

    def want(self, node_ids: Collection[str]) -> None:
        self.wanted = list(node_ids)

    def connected(self) -> Sequence[str]:
        return sorted(self.up)

    def connect(self, *refusing: str) -> None:
        """Everybody who is wanted answers, but for these."""
        self.up |= set(self.wanted) - set(refusing)


def registered(own: str = "", role: PeerRole = "observer", **others: PeerRole) -> list[RegisteredPeer]:
    roles: dict[str, PeerRole] = dict.fromkeys(VALIDATORS, "validator")
    roles |= dict.fromkeys(OBSERVERS, "observer")
    roles |= others
    roles |= {own: role} if own else {}
    return [RegisteredPeer(node, b"", f"{node}:7100", of) for node, of in sorted(roles.items())]


def neighbors(node: str, seed: int = 0, count: int = 3) -> tuple[Neighbors, Links, Clock]:
    links, clock = Links(), Clock()
    return Neighbors(clock, links, node, count, lambda: seed.to_bytes(32, "big")), links, clock


@pytest.mark.parametrize("role", ["validator", "candidate"])
def test_validators_and_candidates_dial_each_other_and_no_observer(role: PeerRole) -> None:
    made, links, clock = neighbors("v0")
    made.start()
    made.on_registered(registered("v0", role, n0="candidate"))
    assert sorted(links.wanted) == ["n0", "v1", "v2", "v3"]
    clock.advance(10 * PATIENCE_MS)
    assert sorted(links.wanted) == ["n0", "v1", "v2", "v3"], "whoever is down is still dialed"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("own", ["o0", "unregistered"])
def test_anybody_else_dials_a_few_of_whom_one_is_a_validator(seed: int, own: str) -> None:
    made, links, clock = neighbors(own, seed)
    made.start()
    made.on_registered(registered())
    assert len(set(links.wanted)) == 3
    assert own not in links.wanted
    assert set(links.wanted) & set(VALIDATORS)
    links.connect()
    before = list(links.wanted)
    clock.advance(100 * PATIENCE_MS)
    assert links.wanted == before, "who has its neighbors keeps them"


def test_different_nodes_choose_differently() -> None:
    chosen = set()
    for seed in range(40):
        made, links, _ = neighbors("o0", seed)
        made.on_registered(registered())
        chosen |= set(links.wanted)
    assert chosen == {*VALIDATORS, *OBSERVERS} - {"o0"}


@pytest.mark.parametrize("seed", range(20))
def test_who_has_no_room_is_replaced_until_a_validator_has(seed: int) -> None:
    """Three of four validators are full, and one observer is down."""
    made, links, clock = neighbors("o0", seed)
    made.start()
    made.on_registered(registered())
    for _ in range(200):
        links.connect("v0", "v1", "v2", "o1")
        clock.advance(PERIOD_MS)
        if {"v3"} & links.up and set(links.wanted) <= links.up:
            break
    assert "v3" in links.wanted
    assert set(links.wanted) <= links.up
    assert len(links.wanted) == 3


@pytest.mark.parametrize("seed", range(10))
def test_without_room_at_any_validator_observers_stay_and_one_place_goes_on_asking(seed: int) -> None:
    made, links, clock = neighbors("o0", seed)
    made.start()
    made.on_registered(registered())
    asked = set()
    for _ in range(100):
        links.connect(*VALIDATORS)
        clock.advance(PERIOD_MS)
        asked |= set(links.wanted) & set(VALIDATORS)
        assert len(links.wanted) <= 3
    assert asked == set(VALIDATORS)
    assert len(links.up & set(links.wanted)) == 2


def test_a_neighbor_that_leaves_the_network_is_replaced_at_once() -> None:
    made, links, _ = neighbors("o0")
    made.on_registered(registered())
    gone = next(node for node in links.wanted if node in VALIDATORS)
    made.on_registered([peer for peer in registered() if peer.node_id != gone])
    assert gone not in links.wanted
    assert len(links.wanted) == 3
    assert set(links.wanted) & set(VALIDATORS)


def test_a_neighbor_that_was_lost_gets_a_moment_to_come_back() -> None:
    made, links, clock = neighbors("o0")
    made.start()
    made.on_registered(registered())
    links.connect()
    clock.advance(PERIOD_MS)
    lost = links.wanted[0]
    links.up.discard(lost)
    clock.advance(PATIENCE_MS - PERIOD_MS)
    assert lost in links.wanted
    clock.advance(2 * PERIOD_MS)
    assert lost not in links.wanted


def test_nodes_without_an_address_are_not_dialed() -> None:
    made, links, _ = neighbors("o0")
    hidden = [RegisteredPeer(node, b"", "", "observer") for node in OBSERVERS]
    made.on_registered([*hidden, *(peer for peer in registered() if peer.role == "validator")])
    assert set(links.wanted) <= set(VALIDATORS)


def test_an_observer_that_becomes_a_validator_dials_all_of_them() -> None:
    made, links, _ = neighbors("o0")
    made.on_registered(registered())
    assert len(links.wanted) == 3
    made.on_registered(registered("o0", "candidate"))
    assert sorted(links.wanted) == VALIDATORS
    made.on_registered(registered("o0", "observer"))
    assert len(links.wanted) == 3


def test_it_stops() -> None:
    made, _, clock = neighbors("o0")
    made.start()
    made.stop()
    assert clock.timers == 0
