"""What to ask of whom next: the blocks of one artifact, from all who hold some of them at once.

Rarest first: a block that few hold is asked for before one that many hold, so that the holders leave as few blocks
behind as they can when one goes. Among equally rare ones, the nodes that fetch the same artifact share the work without
a word: each block has a first taker, which all of them compute alike from the names of those that fetch. The others
leave that block to it for a while, and then take it from there, so that an artifact leaves the node to which it was
uploaded about once and not once a node. The waiting is bounded (`PATIENCE_MAX_MS`).

A pure object: no message is sent, no clock read, no byte seen here. What arrives is judged elsewhere and reported.
Sources: B. Cohen, "Incentives Build Robustness in BitTorrent" (2003), sections 2.4.1-2.4.3, on rarest first and the end
of a transfer; D. Thaler and C. Ravishankar, "Using name-based mappings to increase hit rates" (1998), on the first
taker (highest random weight).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.swarm_holders import Holders, weight
from node.swarm_sources import Sources

WANTED_MAX: Final = 1_024
"""Blocks chosen among at a time; `want` takes no more, and the rest follow when some have come."""
ORDER_MS: Final = 200
"""How long a computed order of the wanted blocks is used, unless it has nothing left to ask for."""
PATIENCE_MAX_MS: Final = 2_000
"""How long, altogether, a fetch sits idle because others are to take blocks first. Each block that such another then
hands on buys `PATIENCE_PER_BLOCK_MS` more, up to this."""
PATIENCE_PER_BLOCK_MS: Final = 250
ENDGAME_BLOCKS: Final = 4
"""When no more blocks than these are left, all under way, late ones are asked of a second holder as well."""
ENDGAME_AFTER_MS: Final = 1_000
ENDGAME_COPIES: Final = 2
"""Holders asked for one block at once, at most."""

Request = tuple[str, str]
"""(peer, block)"""


class _Block:
    __slots__ = ("arrived", "asked", "leaf")

    def __init__(self, leaf: bool) -> None:
        self.leaf = leaf
        self.asked: dict[str, int] = {}
        """Peer -> when it was asked, ms."""
        self.arrived = False


class Swarm:
    """The wanted blocks of one artifact and whom they are asked of."""

    def __init__(self, me: str, sources: Sources) -> None:
        self.holders = Holders()
        """What peers say to hold."""
        self._me = me
        self._sources = sources
        self._blocks: dict[str, _Block] = {}
        self._order: list[str] = []
        self._ordered_at_ms: int | None = None
        self._patience_ms = PATIENCE_MAX_MS
        self._idle_since_ms: int | None = None
        self._under_way = 0

    # --- what is wanted

    def __len__(self) -> int:
        """Blocks wanted now."""
        return len(self._blocks)

    @property
    def under_way(self) -> int:
        """Blocks that somebody was asked for."""
        return self._under_way

    def want(self, block: str, *, leaf: bool, place: tuple[str, int] | None) -> bool:
        """Want a block that `place` (inner block, position) links to; None for the root. False at `WANTED_MAX`."""
        if block in self._blocks:
            return True
        if len(self._blocks) >= WANTED_MAX:
            return False
        self._blocks[block] = _Block(leaf)
        if place is not None:
            self.holders.place(block, place)
        self.holders.news = True
        return True

    def keep(self, wanted: Callable[[str], bool]) -> None:
        """Forget the blocks that are not `wanted` any more."""
        for name in [name for name in self._blocks if not wanted(name)]:
            self.held(name)

    def stop(self) -> None:
        """Want nothing any more; what is under way is not awaited. What peers said stays known."""
        self.keep(lambda _: False)

    # --- what peers say

    def holds_all(self, peer: str) -> None:
        """`peer` says that it holds the whole artifact."""
        self.holders.says_all(peer)

    def holds_some(self, peer: str, inner: str, links: bytes) -> None:
        """`peer` says that it holds the block `inner`, and those of its links whose bits are set (lowest bit first)."""
        self.holders.says_some(peer, inner, links)

    def gone(self, peer: str) -> None:
        """The link to `peer` ended: what it was asked for is asked elsewhere, and it holds nothing until told again."""
        self.holders.gone(peer)
        for block in self._blocks.values():
            self._release(block, peer)

    def lied(self, peer: str) -> None:
        """`peer` sent wrong bytes: it is asked for nothing of this artifact any more."""
        self.gone(peer)
        self.holders.lied(peer)

    def has_source(self, now_ms: int) -> bool:
        """Whether somebody who is not choked says to hold any wanted block."""
        known = self.holders.everyone()
        able = known - self._sources.choked_of(known, now_ms)
        if not self._blocks:
            return bool(able)
        return bool(able) and any(self.holders.of(name) & able for name in self._blocks)

    # --- asking

    def next_requests(self, now_ms: int) -> list[Request]:
        """Choose whom to ask for what now, and count it as asked. `arrived`, `failed` or `expired` follows."""
        if self._idle_since_ms is not None:
            self._patience_ms -= max(0, now_ms - self._idle_since_ms)
        if self._ordered_at_ms is None or not 0 <= now_ms - self._ordered_at_ms < ORDER_MS:
            self._rank(now_ms)
        chosen, deferred = self._choose_ranked(now_ms)
        if not chosen and self.holders.news and not self._sources.full:
            self._rank(now_ms)
            chosen, deferred = self._choose_ranked(now_ms)
        self._idle_since_ms = now_ms if deferred and not chosen and not self._under_way else None
        return chosen + self._endgame(now_ms)

    def expired(self, now_ms: int) -> list[Request]:
        """Give up on answers that are late, choke who owes them, and return them; they will be asked elsewhere."""
        late = [
            (peer, name)
            for name, block in self._blocks.items()
            if not block.arrived
            for peer, asked_at_ms in block.asked.items()
            if self._sources.is_late(peer, asked_at_ms, now_ms)
        ]
        for peer, name in late:
            self._sources.late(peer, now_ms)
            self._release(self._blocks[name], peer)
        return late

    # --- what became of it

    def awaits(self, peer: str, name: str) -> bool:
        """Whether `peer` was asked for the block, and nobody has sent it yet."""
        block = self._blocks.get(name)
        return block is not None and peer in block.asked and not block.arrived

    def arrived(self, peer: str, name: str, now_ms: int) -> None:
        """Bytes came that `awaits`; they are being judged, and nobody else is asked. `received` or `lied` follows."""
        self._blocks[name].arrived = True
        self._sources.served(peer, now_ms)

    def received(self, peer: str, name: str) -> None:
        """The block is held now, from `peer`."""
        if peer not in self.holders.complete:
            self._patience_ms = min(PATIENCE_MAX_MS, self._patience_ms + PATIENCE_PER_BLOCK_MS)
        self.held(name)

    def held(self, name: str) -> None:
        """The block is held now, wherever it came from."""
        block = self._blocks.pop(name, None)
        self.holders.done_with(name)
        if block is not None:
            for peer in list(block.asked):
                self._release(block, peer)

    def failed(self, peer: str, name: str) -> None:
        """`peer` does not hold the block, after all."""
        if (block := self._blocks.get(name)) is not None:
            self.holders.denies(peer, name)
            self._release(block, peer)

    def busy(self, peer: str, name: str, now_ms: int) -> None:
        """`peer` holds it but serves others now, or could not be sent to."""
        self._sources.busy(peer, now_ms)
        if (block := self._blocks.get(name)) is not None:
            self._release(block, peer)

    # --- inside

    def _rank(self, now_ms: int) -> None:
        self._ordered_at_ms, self.holders.news = now_ms, False
        keyed = []
        for name, block in self._blocks.items():
            if holders := len(self.holders.of(name)):
                keyed.append((block.leaf, holders, not self._is_first(name, now_ms), weight(self._me, name), name))
        self._order = [key[-1] for key in sorted(keyed)]

    def _choose_ranked(self, now_ms: int) -> tuple[list[Request], bool]:
        """(requests, whether any block was left to others)."""
        chosen: list[Request] = []
        deferred = False
        for name in self._order:
            if self._sources.full:
                break
            block = self._blocks.get(name)
            if block is None or block.asked:
                continue
            peer, left = self._choose(name, block, now_ms)
            deferred = deferred or left
            if peer is not None:
                self._ask(block, peer, now_ms)
                chosen.append((peer, name))
        return chosen, deferred

    def _choose(self, name: str, block: _Block, now_ms: int) -> tuple[str | None, bool]:
        """(whom to ask, whether nobody only because another shall take the block first)."""
        holders = self.holders.of(name)
        able = [peer for peer in holders if self._sources.free(peer, now_ms)]
        partial = [peer for peer in able if peer not in self.holders.complete]
        rare = block.leaf and len(holders) == 1 and not partial
        if rare and able and self._patience_ms > 0 and not self._is_first(name, now_ms):
            return None, True
        # Who fetches the same has room to give what the one who has all is needed for elsewhere.
        best = min(partial or able, key=lambda peer: (self._sources.load(peer), weight(peer, name)), default=None)
        return best, False

    def _is_first(self, name: str, now_ms: int) -> bool:
        """Whether of all who fetch the artifact this node is to take the block first."""
        mine = weight(self._me, name)
        takers = self.holders.takers
        return not any(weight(p, name) < mine and not self._sources.choked(p, now_ms) for p in takers)

    def _endgame(self, now_ms: int) -> list[Request]:
        if not 0 < len(self._blocks) <= ENDGAME_BLOCKS:
            return []
        chosen = []
        for name, block in self._blocks.items():
            if block.arrived or not 0 < len(block.asked) < ENDGAME_COPIES or self._sources.full:
                continue
            if now_ms - max(block.asked.values()) < ENDGAME_AFTER_MS:
                continue
            others = [p for p in self.holders.of(name) - set(block.asked) if self._sources.free(p, now_ms)]
            if others:
                peer = min(others, key=lambda peer: (self._sources.load(peer), weight(peer, name)))
                self._ask(block, peer, now_ms)
                chosen.append((peer, name))
        return chosen

    def _ask(self, block: _Block, peer: str, now_ms: int) -> None:
        self._under_way += not block.asked
        block.asked[peer] = now_ms
        self._sources.asked(peer)

    def _release(self, block: _Block, peer: str) -> None:
        if block.asked.pop(peer, None) is None:
            return
        self._under_way -= not block.asked
        self._sources.ended(peer)
        block.arrived = False
