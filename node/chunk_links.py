"""What replication needs of the links and of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class ChunkLinks(Protocol):
    """The links to other nodes, for payloads of the channel CHUNKS."""

    def peers(self) -> Sequence[str]:
        """Node ids of those connected."""
        ...

    def send(self, node_id: str, payload: bytes) -> bool: ...

    def broadcast(self, payload: bytes) -> None: ...

    def misbehaved(self, node_id: str, reason: str) -> None:
        """The peer sent what no correct peer sends."""
        ...
