"""One link without a network: what its transport may do at an awkward moment."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from p2p_kit import NETWORK_ID

from p2p.channels import Channel
from p2p.errors import LinkRefused, Reason
from p2p.hello import PROTOCOL_VERSION, Hello, encode_control
from p2p.identity import make_identity
from p2p.link import Link, LinkOwner
from p2p.options import LinkOptions
from p2p.statistics import Statistics
from primitives.identifiers import NodeId

IDENTITY = make_identity()


class StoppingOwner:
    """A network that refuses every link, because it is stopping."""

    def __init__(self) -> None:
        self.options = LinkOptions()
        self.counters = Statistics()
        self.closed: list[Reason] = []

    def link_admitted(self, link: Link, node_id: NodeId, certificate_der: bytes) -> Hello:
        raise LinkRefused(Reason.STOPPING)

    def link_hello(self, link: Link, hello: Hello) -> None:
        raise AssertionError("a refused link took a hello")

    def link_up(self, link: Link) -> None:
        raise AssertionError("a refused link came up")

    def link_payload(self, link: Link, channel: Channel, payload: bytes) -> None:
        raise AssertionError("a refused link took a payload")

    def link_closed(self, link: Link, reason: Reason, detail: str) -> None:
        self.closed.append(reason)


class DeliveringTransport:
    """A transport that, like asyncio's over TLS, hands over what it has read before its `close` returns."""

    def __init__(self, link: Link, unread: bytes) -> None:
        self.link = link
        self.unread = unread
        self.written = b""
        self.closing = False

    def get_extra_info(self, name: str) -> Any:
        return self if name == "ssl_object" else None

    def getpeercert(self, binary_form: bool) -> bytes:
        return IDENTITY.certificate_der

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closing = True
        self.link.data_received(self.unread)

    def abort(self) -> None:
        self.closing = True


def test_what_arrives_while_a_refused_link_closes_is_not_heard() -> None:
    """N5: the peer's hello is already there when the network refuses it."""

    async def story() -> None:
        owner = StoppingOwner()
        link = Link(cast(LinkOwner, owner), asyncio.get_running_loop(), dialed=None)
        hello = Hello(PROTOCOL_VERSION, NETWORK_ID, IDENTITY.node_id, IDENTITY.node_id, b"instance", "raw", b"")
        transport = DeliveringTransport(link, encode_control(hello))
        link.connection_made(cast(asyncio.Transport, transport))
        assert owner.closed == [Reason.STOPPING]
        assert transport.closing
        assert Reason.STOPPING.value.encode() in transport.written
        link.connection_lost(None)
        assert owner.closed == [Reason.STOPPING]

    asyncio.run(story())
