"""A peer whose every byte a test decides: the wire's other side for hostile input."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from p2p_kit import NETWORK_ID, WAIT_S, Members

from p2p.channels import CONTROL
from p2p.frames import FrameDecoder, encode_frames
from p2p.hello import PROTOCOL_VERSION, Accept, Control, Hello, decode_control, encode_control
from p2p.identity import client_context
from primitives.codec import encode


class RawPeer:
    """A TLS connection to a network, with frames but without manners."""

    def __init__(self, members: Members, index: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.members = members
        self.index = index
        self.reader = reader
        self.writer = writer
        self.messages: list[tuple[int, bytes]] = []
        self.bytes_read = 0
        self._decoder = FrameDecoder()

    @classmethod
    async def connect(cls, members: Members, index: int, target: int = 0, **options: Any) -> RawPeer:
        """Connect as member `index` to the running network `target`."""
        anchors = [members.entries[target].certificate_der]
        context = client_context(members.identities[index], anchors)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", members.port(target), ssl=context, server_hostname="", **options
        )
        return cls(members, index, reader, writer)

    @classmethod
    async def over(cls, members: Members, index: int, connection: socket.socket) -> RawPeer:
        """Shake hands as member `index` over a socket that is connected to network 0."""
        context = client_context(members.identities[index], [members.entries[0].certificate_der])
        reader, writer = await asyncio.open_connection(sock=connection, ssl=context, server_hostname="")
        return cls(members, index, reader, writer)

    def hello(self, **changes: Any) -> Hello:
        fields: dict[str, Any] = {
            "protocol_version": PROTOCOL_VERSION,
            "network_id": NETWORK_ID,
            "sender": self.members.entries[self.index].node_id,
            "recipient": self.members.entries[0].node_id,
            "instance": b"instance",
            "software_version": "raw",
            "head": b"",
        }
        return Hello(**(fields | changes))

    def say(self, *messages: Control) -> None:
        self.writer.write(b"".join(encode_control(message) for message in messages))

    def control(self, value: Any) -> None:
        """Send any value as a control message."""
        self.writer.write(b"".join(encode_frames(CONTROL, encode(value))))

    async def agree(self) -> None:
        """Shake hands as an honest peer does, until the network counts the link as up."""
        self.say(self.hello(), Accept())
        await self.until(lambda: any(c == CONTROL and isinstance(decode_control(m), Accept) for c, m in self.messages))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Read until `holds`; ends with an error if the network closes first."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                data = await self.reader.read(64 * 1024)
                if not data:
                    raise EOFError("the network closed the connection")
                self.take(data)

    def take(self, data: bytes) -> None:
        self.bytes_read += len(data)
        self.messages += self._decoder.feed(data)

    async def until_closed(self) -> None:
        """Read until the network closes the connection."""
        async with asyncio.timeout(WAIT_S):
            try:
                while data := await self.reader.read(64 * 1024):
                    self.take(data)
            except (ConnectionError, ssl.SSLError):
                return

    def controls(self) -> list[Control]:
        return [decode_control(message) for channel, message in self.messages if channel == CONTROL]

    async def close(self) -> None:
        self.writer.transport.abort()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            return
