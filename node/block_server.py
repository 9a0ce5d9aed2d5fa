"""Serving blocks to peers that catch up, without being exhausted by them."""

from __future__ import annotations

from typing import Any, Final

from node.ports import ExecutorPort, Links
from node.wire import BlocksAnswer, BlocksRequest, encode_sync
from p2p.channels import Channel

SERVED_AT_ONCE_MAX: Final = 4
"""Requests of one peer that wait for the ledger; more are dropped, and the peer asks again."""


class BlockServer:
    """Answers from the ledger. Peers are registered nodes, so there are as many entries here at most."""

    def __init__(self, links: Links, executor: ExecutorPort) -> None:
        self._links = links
        self._executor = executor
        self._serving: dict[str, int] = {}
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def serve(self, peer: str, request: BlocksRequest) -> None:
        """Answer a peer's request."""
        if self._stopped or self._serving.get(peer, 0) >= SERVED_AT_ONCE_MAX or request.last < request.first:
            return
        self._serving[peer] = self._serving.get(peer, 0) + 1

        def found(result: Any, error: BaseException | None) -> None:
            self._serving[peer] -= 1
            if not self._serving[peer]:
                del self._serving[peer]
            if self._stopped:
                return
            answer = BlocksAnswer(request.request, (), (), None, 0, 0)
            if error is None:
                answer = BlocksAnswer(
                    request.request, result.blocks, result.headers, result.certificate, result.oldest, result.newest
                )
            self._links.send(peer, Channel.SYNC, encode_sync(answer))

        self._executor.call("serve", (request.first, request.last), found)
