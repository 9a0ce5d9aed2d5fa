"""What an artifact costs the node that has it when others fetch it, and how long they take, over links of limited rate.

    python -m benchmarks.micro.swarm

In virtual time (`simulation/swarm.py`), with the node's own decisions, beside what they replaced: rounds of 64 blocks,
each asked of the peers in a fixed rotation, one after the other, by nodes that know of no holdings. Deterministic.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import TypeAlias

from simulation.swarm import Graph, SwarmMember, SwarmNetwork

UPLOAD_MB_S = 10.0
LIMIT_MS = 3_600_000
ROUND_BLOCKS = 64
IN_FLIGHT_MAX = 16
RETRY_MS = 200
RETRY_MAX_MS = 3_000


class RotatingMember:
    """A node that asks for blocks in rounds, parents first, of one peer after the other."""

    def __init__(self, name: str, network: SwarmNetwork, held: Iterable[str] = ()) -> None:
        self.name = name
        self.held = set(held)
        self.served: Counter[str] = Counter()
        self._network = network
        self._graph = network.graph
        self._queue: deque[str] = deque()
        self._round: set[str] = set()
        self._turns: dict[str, list[str]] = {}
        self._in_flight = 0
        self._got_any = False
        self._delay_ms = RETRY_MS
        self._begin_at_ms = 0

    @property
    def complete(self) -> bool:
        return len(self.held) == len(self._graph.blocks)

    def receive(self, sender: str, message: tuple[str, ...]) -> None:
        kind, name = message[0], message[1]
        if kind == "want":
            answer = ("found", name, name) if name in self.held else ("missing", name)
            self.served[name] += name in self.held
            self._network.send(self.name, sender, answer)
        elif kind == "complete":
            self._begin_at_ms = self._network.now_ms
        elif name in self._round:
            self._in_flight -= 1
            if kind == "found":
                self._got_any = True
                self.held.add(name)
                self._round.discard(name)
                self._network.note_progress(self.name)
                if self.complete:
                    for peer in self._peers():
                        self._network.send(self.name, peer, ("complete", self._graph.root))
            elif self._turns[name]:
                self._queue.append(name)
            else:
                self._round.discard(name)
        self._go_on()

    def tick(self) -> None:
        self._go_on()

    def left(self, peer: str) -> None:
        """Members stay, in this comparison."""

    def _peers(self) -> list[str]:
        return sorted(peer for peer in self._network.members if peer != self.name)

    def _go_on(self) -> None:
        if not self._round and not self.complete and self._network.now_ms >= self._begin_at_ms:
            self._delay_ms = RETRY_MS if self._got_any else min(RETRY_MAX_MS, 2 * self._delay_ms)
            self._begin_at_ms = self._network.now_ms + (0 if self._got_any else self._delay_ms)
            self._got_any = False
            linked = [self._graph.root, *(c for i, cs in self._graph.links.items() if i in self.held for c in cs)]
            wanted = [name for name in linked if name not in self.held][:ROUND_BLOCKS]
            peers = self._peers()
            for name in wanted:
                turn = sum(name.encode()) % len(peers)
                self._turns[name] = peers[turn:] + peers[:turn]
            self._queue.extend(wanted)
            self._round.update(wanted)
        while self._queue and self._in_flight < IN_FLIGHT_MAX:
            name = self._queue.popleft()
            self._in_flight += 1
            self._network.send(self.name, self._turns[name].pop(0), ("want", name))


Kind: TypeAlias = type[SwarmMember] | type[RotatingMember]


def fetch(kind: Kind, blocks: int, origins: int, takers: int) -> tuple[float, float]:
    """(copies of the artifact that an origin sent on average, seconds until the last has it)."""
    graph = Graph(blocks)
    network = SwarmNetwork(graph)
    members = [kind(f"n{n}", network, graph.blocks if n < origins else ()) for n in range(origins + takers)]
    for member in members:
        network.add(member.name, member, upload_mb_s=UPLOAD_MB_S)
    if not network.run(LIMIT_MS, done=lambda: all(member.complete for member in members)):
        raise AssertionError("a fetch does not end")
    sent = sum(sum(member.served.values()) for member in members[:origins])
    return sent / len(graph.blocks) / origins, network.now_ms / 1000


def main() -> None:
    print(f"blocks of 1 MiB, {UPLOAD_MB_S:.0f} MB/s upload a node, 20 ms a message")
    print("blocks  holders  fetching | copies a holder sends: rotation  swarm | last has all, s: rotation  swarm ratio")
    for blocks, origins, takers in ((64, 1, 3), (256, 1, 3), (256, 1, 7), (64, 1, 15), (256, 1, 1), (256, 3, 1)):
        old_copies, old_s = fetch(RotatingMember, blocks, origins, takers)
        copies, seconds = fetch(SwarmMember, blocks, origins, takers)
        print(
            f"{blocks:6}  {origins:7}  {takers:8} | {old_copies:31.2f}  {copies:5.2f} | {old_s:25.1f}  {seconds:5.1f}"
            f"  {old_s / seconds:5.2f}"
        )
    one, three = (fetch(SwarmMember, 256, holders, 1)[1] for holders in (1, 3))
    print(f"from one holder against from three: {one / three:.2f} times as long")


if __name__ == "__main__":
    main()
