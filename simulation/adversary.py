"""The hook for Byzantine members: whatever such a member's node sends passes through its adversary.

The node behind it is a correct one and does not know. The adversary may drop, change, delay, repeat and redirect what
the node says, sign other things with the member's key, and speak on its own. It cannot speak over another member's
links, and has no key but its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias, runtime_checkable

from p2p.channels import Channel

TICK_MS: Final = 100
"""Virtual time between two chances to speak unasked."""

Outgoing: TypeAlias = tuple[int, Channel, bytes, int]
"""(receiver, channel, payload, delay in ms on top of the link's)"""


class Adversary(Protocol):
    """Speaks for one Byzantine member. All its chance must come from the run's seed."""

    def outgoing(self, receiver: int, channel: Channel, payload: bytes) -> Iterable[Outgoing]:
        """Return what leaves instead of a payload that the member's node wants to send to `receiver`."""
        ...

    def tick(self) -> Iterable[Outgoing]:
        """Return what the member says unasked; called every `TICK_MS`, also while its node is down."""
        ...


@runtime_checkable
class Listening(Protocol):
    """An adversary that also wants to see what its member's node receives."""

    def incoming(self, sender: int, channel: Channel, payload: bytes) -> None: ...
