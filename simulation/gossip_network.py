"""Gossip cores joined by a simulated network: links that are made and lost, latencies, losses, verification that takes
time, and hosts that publish. One seed decides everything."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import msgspec

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.core import Gossip
from p2p.gossip.engine import (
    Connect,
    Deliver,
    Effect,
    Event,
    LinkDown,
    LinkUp,
    MembersChanged,
    Misbehaved,
    Publish,
    Received,
    Release,
    Send,
    TimePassed,
    Verdict,
    Verified,
    Verify,
)
from p2p.gossip.messages import Kind, Payload, encode_message
from primitives.digest import Digest
from simulation.world import Handle, World

Judge = Callable[[Verify], Verdict]
"""What hosts say of a payload."""


class GossipFaults(msgspec.Struct):
    """May change during a run."""

    loss: float = 0.0
    """Probability that a message is lost, of whatever kind."""
    latency_ms_min: int = 5
    latency_ms_max: int = 50
    """Each link has a latency of its own between the two."""
    jitter_ms: int = 10
    """A message takes up to so much longer, so that messages overtake each other."""
    verification_ms: int = 2
    crash_noticed_ms: int = 1_000
    """How long after a crash the neighbors' links end."""


class Host:
    """One node: its gossip core, and what its host would do."""

    def __init__(self, network: GossipNetwork, name: str, configuration: GossipConfiguration, seed: int) -> None:
        self.name = name
        self.core = Gossip(name, configuration, random.Random(seed))
        self.up = True
        self.joined_ms = network.world.now_ms
        self.delivered: dict[Digest, tuple[Deliver, int]] = {}
        """Payload -> what was delivered, and when."""
        self.named: dict[str, str] = {}
        """Peers that it found misbehaving, and why."""
        self.links: dict[str, None] = {}
        self._network = network
        self._timer: Handle | None = None

    def step(self, event: Event) -> None:
        if self.up:
            self.perform(self.core.step(event, self._network.world.now_ms))

    def perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._perform(effect)
        if self._timer is not None:
            self._timer.cancel()
        world = self._network.world
        self._timer = world.at(self.core.next_deadline_ms() - world.now_ms, lambda: self.step(TimePassed()))

    def stop(self) -> None:
        self.up = False
        if self._timer is not None:
            self._timer.cancel()

    def _perform(self, effect: Effect) -> None:
        network = self._network
        match effect:
            case Send(message=message, to=to):
                data = encode_message(message)
                for peer in to:
                    network.send(self, peer, data, is_payload=isinstance(message, Payload))
            case Verify(id=identifier):
                verdict = network.judge(effect)
                network.world.at(network.faults.verification_ms, lambda: self.step(Verified(identifier, verdict)))
            case Deliver(id=identifier):
                self.delivered[identifier] = (effect, network.world.now_ms)
            case Connect(peer=peer):
                network.connect(self, peer)
            case Release(peer=peer):
                network.unlink(self.name, peer)
            case Misbehaved(peer=peer, reason=reason):
                self.named[peer] = reason
                network.unlink(self.name, peer)


class GossipNetwork:
    """All hosts of a run, by name."""

    def __init__(self, seed: int, configuration: GossipConfiguration, faults: GossipFaults | None = None) -> None:
        self.world = World(seed)
        self.faults = faults or GossipFaults()
        self.hosts: dict[str, Host] = {}
        self.judge: Judge = lambda _: Verdict.VALID
        self.registered: tuple[str, ...] = ()
        self.contacts: tuple[str, ...] = ()
        self.withholding: frozenset[str] = frozenset()
        """Nodes that do all that others do, but send no payloads on."""
        self.messages = 0
        self.payloads_sent: dict[str, int] = {}
        """By sender."""
        self.payloads_arrived: dict[str, int] = {}
        """By receiver."""
        self._configuration = configuration
        self._latencies: dict[tuple[str, str], int] = {}

    def start(
        self, name: str, members: MembersChanged | None = None, configuration: GossipConfiguration | None = None
    ) -> Host:
        """Bring a node up, anew if it was up before."""
        host = self.hosts[name] = Host(
            self, name, configuration or self._configuration, self.world.random.getrandbits(32)
        )
        members = members or MembersChanged(self.registered, self.contacts)
        host.perform(host.core.start(members, self.world.now_ms))
        return host

    def stop(self, name: str, *, crash: bool) -> None:
        """Take a node down. After a crash its neighbors notice late."""
        host = self.hosts[name]
        host.stop()
        delay_ms = self.faults.crash_noticed_ms if crash else 0
        for peer in list(host.links):
            self.world.at(delay_ms, lambda peer=peer: self._lose(peer, host))  # type: ignore[misc]  # a bound default
        host.links.clear()

    def publish(self, name: str, kind: Kind, body: bytes, seal: bytes = b"") -> None:
        self.hosts[name].step(Publish(kind, body, seal))

    # --- links ---

    def connect(self, host: Host, peer: str) -> None:
        """Make a link, or let the host hear that there is none, after a round trip."""

        def made() -> None:
            other = self.hosts.get(peer)
            if not host.up:
                return
            if other is None or not other.up:
                host.step(LinkDown(peer))
                return
            host.links[peer] = None
            other.links[host.name] = None
            host.step(LinkUp(peer))
            other.step(LinkUp(host.name))

        self.world.at(2 * self._latency_ms(host.name, peer), made)

    def unlink(self, name: str, peer: str) -> None:
        """End a link, at once on both sides: what is under way on it is lost."""
        for here, there in ((name, peer), (peer, name)):
            host = self.hosts.get(here)
            if host is not None and host.links.pop(there, 0) is None:
                self.world.at(0, partial(host.step, LinkDown(there)))

    def _lose(self, name: str, dead: Host) -> None:
        host = self.hosts[name]
        if dead.name in host.links and self.hosts[dead.name] is dead:
            del host.links[dead.name]
            host.step(LinkDown(dead.name))

    # --- messages ---

    def send(self, host: Host, peer: str, data: bytes, *, is_payload: bool = False) -> None:
        """Lose a message, or let it arrive after the link's latency."""
        if peer not in host.links or (is_payload and host.name in self.withholding):
            return
        self.messages += 1
        if is_payload:
            self.payloads_sent[host.name] = self.payloads_sent.get(host.name, 0) + 1
        chance, faults = self.world.random, self.faults
        if faults.loss and chance.random() < faults.loss:
            return
        delay_ms = self._latency_ms(host.name, peer) + int(chance.random() * (faults.jitter_ms + 1))

        def arrive() -> None:
            other = self.hosts.get(peer)
            if other is not None and other.up and host.name in other.links:
                if is_payload:
                    self.payloads_arrived[peer] = self.payloads_arrived.get(peer, 0) + 1
                other.step(Received(host.name, data))

        self.world.at(delay_ms, arrive)

    def _latency_ms(self, name: str, peer: str) -> int:
        link = (min(name, peer), max(name, peer))
        if link not in self._latencies:
            faults = self.faults
            self._latencies[link] = self.world.random.randint(faults.latency_ms_min, faults.latency_ms_max)
        return self._latencies[link]


VALIDATOR_PREFIX: Final = "validator-"
OBSERVER_PREFIX: Final = "observer-"


def validator_name(index: int) -> str:
    return f"{VALIDATOR_PREFIX}{index:02}"


def observer_name(index: int) -> str:
    return f"{OBSERVER_PREFIX}{index:04}"
