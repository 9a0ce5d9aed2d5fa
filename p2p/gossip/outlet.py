"""What the parts of the core share in one step: the time, and the effects so far."""

from __future__ import annotations

from collections import Counter

from p2p.gossip.engine import Effect, Send
from p2p.gossip.messages import Message


class Outlet:
    def __init__(self) -> None:
        self.now_ms = 0
        self.effects: list[Effect] = []
        self.refusals: Counter[str] = Counter()
        """Messages refused or dropped, by reason."""

    def send(self, message: Message, *to: str) -> None:
        """Send to each of `to`; to nobody is nothing."""
        if to:
            self.effects.append(Send(message, to))
