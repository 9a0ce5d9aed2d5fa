"""What a node tells and gives to peers that fetch: its holdings, and blocks.

Nothing is refused for want of trust, as every link is to a registered node; everything is bounded, and a peer that asks
for more than its share is told to wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from artifacts.errors import ArtifactError
from artifacts.holdings import Holding
from ledger.errors import LedgerError
from node.artifact_shelf import ArtifactShelf
from node.chunk_links import ChunkLinks, Spawn
from node.http.services import UnknownArtifact
from node.replication_counters import ReplicationCounters
from node.replication_messages import Busy, Complete, Found, Holds, Interest, Missing, Want, encode_chunk_message
from node.swarm_news import NEWS_BLOCKS_MAX, SwarmNews
from node.token_buckets import TokenBuckets

SERVING_MAX: Final = 32
"""Blocks being read for peers at once; beyond it they are told to wait."""
SERVING_PER_PEER_MAX: Final = 8
"""The same of one peer: as many as a correct one asks for."""
INTERESTS_PER_SECOND: Final = 200
"""Interests that one peer may state; further ones are not heard. A correct one probes 32 artifacts a second and names
64 inner blocks a message."""
PEERS_MAX: Final = 1_024


class ArtifactServing:
    """Serves peers from the shelf. Belongs to the event loop."""

    def __init__(
        self,
        shelf: ArtifactShelf,
        links: ChunkLinks,
        spawn: Spawn,
        counters: ReplicationCounters,
        now_ms: Callable[[], int],
    ) -> None:
        self._shelf = shelf
        self._links = links
        self._spawn = spawn
        self._counters = counters
        self._now_ms = now_ms
        self._serving: dict[str, int] = {}
        """Peer -> blocks being read for it."""
        self._interests = TokenBuckets(INTERESTS_PER_SECOND, PEERS_MAX)
        self.news = SwarmNews()

    def on_want(self, node_id: str, want: Want) -> None:
        """Answer with the block, that it is not held, or that the peer shall wait."""
        serving = self._serving.get(node_id, 0)
        if serving >= SERVING_PER_PEER_MAX or sum(self._serving.values()) >= SERVING_MAX:
            self._links.send(node_id, encode_chunk_message(Busy(want.root, want.cid)))
            return
        self._serving[node_id] = serving + 1
        self._spawn(self._answer(node_id, want))

    async def _answer(self, node_id: str, want: Want) -> None:
        answer: Found | Missing = Missing(want.root, want.cid)
        try:
            answer = Found(want.root, want.cid, await self._shelf.read(want.root, want.cid))
        except (ArtifactError, UnknownArtifact, LedgerError):
            pass  # then it is missing here
        finally:
            self._serving[node_id] -= 1
            if not self._serving[node_id]:
                del self._serving[node_id]
        if not self._links.send(node_id, encode_chunk_message(answer)):
            self._links.send(node_id, encode_chunk_message(Busy(want.root, want.cid)))
        elif isinstance(answer, Found):
            self._counters.blocks_served += 1
            self._counters.bytes_served += len(answer.data)

    def on_interest(self, node_id: str, interest: Interest) -> bool:
        """Note who fetches what, and tell what is held of it; False when the peer states too many."""
        if not self._interests.take(node_id, self._now_ms() / 1000):
            self._counters.interests_unheard += 1
            return False
        self.news.interested(node_id, interest.root)
        self._spawn(self._tell(node_id, interest))
        return True

    async def _tell(self, node_id: str, interest: Interest) -> None:
        try:
            holding = (await self._shelf.open(interest.root)).holding
        except (ArtifactError, UnknownArtifact, LedgerError):
            return  # it is told when something comes
        if holding.complete:
            self.news.satisfied(node_id, interest.root)
            self._links.send(node_id, encode_chunk_message(Complete(interest.root)))
            return
        for inner in dict.fromkeys((interest.root, *interest.inner)):
            self._send_links(node_id, holding, inner)

    def tell_news(self) -> None:
        """Tell those who fetch what came here; called a few times a second."""
        for root, peers, told in self.news.due(self._now_ms()):
            opened = self._shelf.opened(root)
            if opened is None:
                continue  # told anew when they ask again
            assert len(told) <= NEWS_BLOCKS_MAX
            for inner in told:
                for node_id in peers:
                    self._send_links(node_id, opened.holding, inner)

    def _send_links(self, node_id: str, holding: Holding, inner: str) -> None:
        field = link_field(holding, inner)
        if field is not None:
            self._links.send(node_id, encode_chunk_message(Holds(holding.root, inner, field)))


def link_field(holding: Holding, inner: str) -> bytes | None:
    """The bit field of the links of a held inner block whose blocks are held; None when `inner` is not held."""
    children = holding.children(inner)
    if children is None:
        return None
    field = bytearray((len(children) + 7) // 8)
    for position, child in enumerate(children):
        if holding.holds(child):
            field[position >> 3] |= 1 << (position & 7)
    return bytes(field)
