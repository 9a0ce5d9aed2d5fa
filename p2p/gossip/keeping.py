"""What was seen, so that nothing is taken twice, and the payloads kept to answer pulls."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

import msgspec

from p2p.gossip.messages import HOPS_MAX, LIMITS, Announced, Kind, Payload
from primitives.digest import Digest


class _Seen(msgspec.Struct):
    since_ms: int
    pulled_from: str | None = None


class Keeping:
    """Bounded by count and age for ids, by count, age and bytes for payloads."""

    def __init__(self, seen_max: int, seen_age_ms: int) -> None:
        self._seen_max = seen_max
        self._seen_age_ms = seen_age_ms
        self._seen: OrderedDict[Digest, _Seen] = OrderedDict()
        self._payloads: dict[Kind, OrderedDict[Digest, tuple[Payload, int]]] = {kind: OrderedDict() for kind in Kind}
        self._bytes: dict[Kind, int] = dict.fromkeys(Kind, 0)

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def kept_bytes(self) -> int:
        return sum(self._bytes.values())

    def saw(self, kind: Kind, identifier: Digest) -> bool:
        return identifier in self._seen or identifier in self._payloads[kind]

    def holds(self, kind: Kind, identifier: Digest) -> bool:
        return identifier in self._payloads[kind]

    def get(self, kind: Kind, identifier: Digest) -> Payload | None:
        kept = self._payloads[kind].get(identifier)
        return None if kept is None else kept[0]

    def hops(self, kind: Kind, identifier: Digest) -> int | None:
        """Over how many links a kept payload came; None when it is not kept."""
        kept = self._payloads[kind].get(identifier)
        return None if kept is None else kept[0].hops

    def pulled_from(self, identifier: Digest) -> str | None:
        """Who sent a payload when it was asked to; None where it was pushed or published."""
        seen = self._seen.get(identifier)
        return None if seen is None else seen.pulled_from

    def note(self, identifier: Digest, now_ms: int, pulled_from: str | None = None) -> None:
        """Remember an id without its payload."""
        self._seen.pop(identifier, None)
        self._seen[identifier] = _Seen(now_ms, pulled_from)
        if len(self._seen) > self._seen_max:
            self._seen.popitem(last=False)

    def keep(self, payload: Payload, now_ms: int, sender: str | None, *, pulled: bool) -> None:
        """Remember a payload; what exceeds the bounds of its kind is forgotten, the oldest first."""
        kind, identifier = payload.kind, Digest(payload.id)
        self.note(identifier, now_ms, sender if pulled else None)
        kept = self._payloads[kind]
        kept[identifier] = (payload, now_ms)
        self._bytes[kind] += _size(payload)
        while len(kept) > LIMITS[kind].kept_max or self._bytes[kind] > LIMITS[kind].kept_bytes_max:
            self._forget_oldest(kind)

    def expire(self, now_ms: int) -> None:
        """Forget what is too old."""
        oldest_ms = now_ms - self._seen_age_ms
        while self._seen and next(iter(self._seen.values())).since_ms < oldest_ms:
            self._seen.popitem(last=False)
        for kind, kept in self._payloads.items():
            while kept and next(iter(kept.values()))[1] < oldest_ms:
                self._forget_oldest(kind)

    def latest(self, kind: Kind, count: int) -> list[Announced]:
        """Return the payloads kept last, the newest first, as they are announced."""
        newest = islice(reversed(self._payloads[kind].values()), count)
        return [Announced(kind, payload.id, min(payload.hops + 1, HOPS_MAX)) for payload, _ in newest]

    def _forget_oldest(self, kind: Kind) -> None:
        _, (payload, _) = self._payloads[kind].popitem(last=False)
        self._bytes[kind] -= _size(payload)


def _size(payload: Payload) -> int:
    return len(payload.body) + len(payload.seal)
