"""What each peer may cost: two token buckets, of messages and of bytes, from which everything it causes is paid.

A purse outlives the link, so that coming back does not fill it. Integer arithmetic: a thousandth of a token a
millisecond for each token a second.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.messages import (
    Disconnect,
    ForwardJoin,
    Join,
    Message,
    Neighbor,
    Shuffle,
    ShuffleAnswer,
)

PURSES_MAX: Final = 4_096
"""Peers whose purse is remembered; beyond it, the one that was silent longest starts anew with a full purse."""

MEMBERSHIP_COST: Final = 20
"""Messages' worth of what moves views or starts walks."""
DUPLICATE_COST: Final = 4
"""Of a payload that was here: more than the message, for the tree exists to avoid it."""
INVALID_COST: Final = 200
"""Of a payload that the host refused: a signature was checked for nothing."""
UNANSWERED_COST: Final = 20
"""Of an announcement that led nowhere."""
EXCESS_COST: Final = 1
"""Of each announced id beyond the bound."""

_THOUSANDTHS: Final = 1_000


class _Purse(msgspec.Struct):
    messages: int
    size: int
    """Thousandths of messages and of bytes; both may fall below zero by what one message costs."""
    since_ms: int
    drops: int = 0


class Purses:
    """The purses of all peers."""

    def __init__(self, configuration: GossipConfiguration) -> None:
        self._configuration = configuration
        self._messages_full = configuration.messages_per_second * configuration.purse_seconds * _THOUSANDTHS
        self._size_full = configuration.bytes_per_second * configuration.purse_seconds * _THOUSANDTHS
        self._purses: OrderedDict[str, _Purse] = OrderedDict()

    def __len__(self) -> int:
        return len(self._purses)

    def admit(self, peer: str, size_bytes: int, now_ms: int) -> bool:
        """Take the price of a message; False when there is nothing left, and the message is to be dropped unread."""
        purse = self._filled(peer, now_ms)
        if purse.messages <= 0 or purse.size <= 0:
            purse.drops += 1
            return False
        purse.messages -= _THOUSANDTHS
        purse.size -= size_bytes * _THOUSANDTHS
        return True

    def charge(self, peer: str, messages: int, size_bytes: int, now_ms: int) -> None:
        """Take what a message turned out to cost. Debts are bounded by a full purse, so that they are paid some day."""
        purse = self._filled(peer, now_ms)
        purse.messages = max(-self._messages_full, purse.messages - messages * _THOUSANDTHS)
        purse.size = max(-self._size_full, purse.size - size_bytes * _THOUSANDTHS)

    def exhausted(self, peer: str) -> bool:
        """Whether the peer went on sending beyond all patience; it is told once for each time that this happens."""
        purse = self._purses.get(peer)
        if purse is None or purse.drops < self._configuration.drops_max:
            return False
        purse.drops = 0
        return True

    def _filled(self, peer: str, now_ms: int) -> _Purse:
        purse = self._purses.pop(peer, None)
        if purse is None:
            purse = _Purse(self._messages_full, self._size_full, now_ms)
        elapsed_ms = max(0, now_ms - purse.since_ms)
        purse.messages = min(self._messages_full, purse.messages + elapsed_ms * self._configuration.messages_per_second)
        purse.size = min(self._size_full, purse.size + elapsed_ms * self._configuration.bytes_per_second)
        if purse.messages == self._messages_full:
            purse.drops = 0  # it has paid
        purse.since_ms = now_ms
        self._purses[peer] = purse
        if len(self._purses) > PURSES_MAX:
            self._purses.popitem(last=False)
        return purse


def price(message: Message) -> int:
    """Return what a message costs beyond being one."""
    moving = Join | ForwardJoin | Neighbor | Disconnect | Shuffle | ShuffleAnswer
    return MEMBERSHIP_COST if isinstance(message, moving) else 0
