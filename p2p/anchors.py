"""The contexts of TLS: whose certificates are trust anchors now.

Adding an anchor is cheap. Taking one out means building both contexts anew, a third of a millisecond for each anchor,
during which the loop does nothing else; members could make a node do that with every block. So it is done at once, and
then not again for a while. Meanwhile a node that was removed may still finish a handshake, and learns after it that it
is unknown: membership is compared with the registry then, whatever TLS said (`PeerNetwork.link_admitted`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

from p2p.identity import Identity, add_anchor, client_context, server_context
from primitives.identifiers import NodeId

REBUILD_PERIOD_S: Final = 5.0
"""Least time between two buildings of the contexts."""


class Anchors:
    """Both contexts of one node. Belongs to the loop's thread."""

    def __init__(self, identity: Identity, certificates: Mapping[NodeId, bytes]) -> None:
        """`certificates` are those of the other nodes (DER)."""
        self._identity = identity
        self._wanted = dict(certificates)
        self._loaded: dict[NodeId, bytes] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.builds = 0
        """How often the contexts were built."""
        self.client: ssl.SSLContext
        self.server: ssl.SSLContext
        self._build()

    def replace(self, certificates: Mapping[NodeId, bytes]) -> None:
        """Take these in place of those before."""
        self._wanted = dict(certificates)
        for node, certificate in self._wanted.items():
            if node not in self._loaded:
                add_anchor(self.client, certificate)
                add_anchor(self.server, certificate)
                self._loaded[node] = certificate
        if self._loaded != self._wanted and self._timer is None:
            self._build()
            self._timer = self._later()

    def stop(self) -> None:
        """Let the timer go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _build(self) -> None:
        self.builds += 1
        self._loaded = dict(self._wanted)
        self.client = client_context(self._identity, self._loaded.values())
        self.server = server_context(self._identity, self._loaded.values())

    def _later(self) -> asyncio.TimerHandle | None:
        try:
            return asyncio.get_running_loop().call_later(REBUILD_PERIOD_S, self._period_over)
        except RuntimeError:
            return None  # nothing runs yet

    def _period_over(self) -> None:
        self._timer = None
        if self._loaded != self._wanted:
            self._build()
            self._timer = self._later()
