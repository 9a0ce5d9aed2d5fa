"""Who holds what of one artifact, and who fetches it, as far as they say. Nothing said here is believed: it only
decides whom to ask."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final

PEERS_MAX: Final = 256
"""Peers remembered as holders, and as takers, of one artifact; further ones are ignored while there are so many."""
HINT_BYTES_MAX: Final = 1 << 20
"""Bytes remembered of what one peer says to hold; what it says beyond them is not heard."""


class Holders:
    """What peers said about one artifact."""

    def __init__(self) -> None:
        self.complete: set[str] = set()
        """Those that say to hold all of it."""
        self.takers: set[str] = set()
        """Those that say to fetch it."""
        self.news = True
        """Whether something was said since this was last set to False."""
        self._hints: dict[str, dict[str, bytes]] = {}
        """Peer -> inner block that it holds -> bit field of the links whose blocks it holds."""
        self._hint_bytes: dict[str, int] = {}
        self._liars: set[str] = set()
        self._places: dict[str, tuple[str, int]] = {}
        """Block -> (inner block that links to it, position of the link)."""
        self._denied: dict[str, set[str]] = {}
        """Block -> peers that do not hold it, after all."""

    # --- what peers say

    def says_all(self, peer: str) -> None:
        """`peer` says that it holds the whole artifact."""
        if peer not in self._liars and _room(self.complete, peer):
            self.complete.add(peer)
            self._drop_hints(peer)
            self.takers.discard(peer)
            self._forgive(peer, None)

    def says_some(self, peer: str, inner: str, links: bytes) -> None:
        """`peer` says that it holds the block `inner`, and those of its links whose bits are set (lowest bit first)."""
        if peer in self._liars or peer in self.complete or not _room(self._hints, peer):
            return
        said = self._hints.setdefault(peer, {})
        used = self._hint_bytes.get(peer, 0) - len(said.get(inner, b"")) + len(links)
        if used <= HINT_BYTES_MAX:
            said[inner] = links
            self._hint_bytes[peer] = used
            self._forgive(peer, inner)

    def takes_part(self, peer: str) -> None:
        """`peer` fetches the same artifact."""
        if peer not in self.complete and peer not in self._liars and _room(self.takers, peer):
            self.takers.add(peer)
            self.news = True

    def denies(self, peer: str, name: str) -> None:
        """`peer` does not hold the block, whatever it said before."""
        self._denied.setdefault(name, set()).add(peer)

    def gone(self, peer: str) -> None:
        self.complete.discard(peer)
        self.takers.discard(peer)
        self._drop_hints(peer)
        self.news = True

    def lied(self, peer: str) -> None:
        """Believe nothing that `peer` says about this artifact any more."""
        self.gone(peer)
        if _room(self._liars, peer):
            self._liars.add(peer)

    def forget(self) -> None:
        """Forget who holds what, until it is said again. Liars stay known."""
        self.complete.clear()
        self._hints.clear()
        self._hint_bytes.clear()
        self.news = True

    # --- where blocks are

    def place(self, name: str, place: tuple[str, int]) -> None:
        """The block is where `place` (inner block, position) links to."""
        self._places[name] = place

    def done_with(self, name: str) -> None:
        """The block is not wanted any more."""
        self._places.pop(name, None)
        self._denied.pop(name, None)

    def of(self, name: str) -> set[str]:
        """The peers that say to hold a block."""
        found = set(self.complete)
        place = self._places.get(name)
        for peer, said in self._hints.items():
            if name in said or (place is not None and _bit(said.get(place[0], b""), place[1])):
                found.add(peer)
        return found - self._denied.get(name, set())

    def partial(self) -> Iterable[str]:
        """The peers that hold a part."""
        return self._hints

    def everyone(self) -> set[str]:
        """The peers that hold anything."""
        return {*self.complete, *self._hints}

    # --- inside

    def _forgive(self, peer: str, inner: str | None) -> None:
        """What a peer says anew counts anew."""
        self.news = True
        for name, denied in self._denied.items():
            if inner is None or self._places.get(name, ("",))[0] == inner:
                denied.discard(peer)

    def _drop_hints(self, peer: str) -> None:
        self._hints.pop(peer, None)
        self._hint_bytes.pop(peer, None)


def weight(peer: str, name: str) -> int:
    """A number that is even over peers and blocks and equal on every node. It decides who goes first, nothing else."""
    mixed = zlib.crc32(peer.encode()) ^ zlib.crc32(name.encode())
    return ((mixed * 0x9E3779B1) & 0xFFFFFFFF) ^ (mixed >> 15)


def _bit(field: bytes, position: int) -> bool:
    return position < 8 * len(field) and bool(field[position >> 3] >> (position & 7) & 1)


def _room(kept: set[str] | dict[str, Any], peer: str) -> bool:
    return peer in kept or len(kept) < PEERS_MAX
