"""What the deciding parts of a node need of the world. The process implements these over a loop, disks and sockets; the
simulator over virtual time. Everything that passes is a value."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from ledger.errors import LedgerError
from p2p.channels import Channel

PeerRole = Literal["validator", "candidate", "observer"]
"""What the ledger says that a node is; a candidate was let in and is not in the set yet."""


class RegisteredPeer(msgspec.Struct, frozen=True):
    """A node that the ledger names."""

    node_id: str
    tls_certificate: bytes
    """DER."""
    address: str
    """host:port; empty for a node that is never dialed, which only an observer may be."""
    role: PeerRole = "validator"


class Cancelable(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Time and turns. Callbacks run on the deciding thread, one at a time."""

    def now_ms(self) -> int:
        """Return the wall clock, Unix milliseconds."""
        ...

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Cancelable: ...


class Links(Protocol):
    """Sending to registered nodes. Losing a message is allowed, and False says that it was lost here."""

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool: ...

    def connected(self) -> Sequence[str]: ...

    def register(self, peers: Sequence[RegisteredPeer]) -> None:
        """These nodes, and no others, belong to the network now. Links to others end."""
        ...

    def misbehaved(self, node_id: str, reason: str) -> None:
        """The peer sent what no correct peer sends: note it, and cut the link."""
        ...


class AppendFile(Protocol):
    """One open, append-only file."""

    def append(self, data: bytes) -> None: ...

    def sync(self) -> None:
        """Make everything appended durable (fdatasync). Raises OSError, after which nothing about the file is known."""
        ...

    def size(self) -> int: ...

    def close(self) -> None: ...


class Files(Protocol):
    """A directory of the node's own."""

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None when there is none."""
        ...

    def open_append(self, name: str) -> AppendFile: ...

    def replace(self, name: str, data: bytes) -> None:
        """Write a file anew, durably and at once: temporary file, fsync, rename, fsync of the directory."""
        ...

    def truncate(self, name: str, size: int) -> None:
        """Cut a file, durably."""
        ...


class Jobs(Protocol):
    """Runs blocking jobs one after the other, off the deciding thread."""

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Run `job`, then `done` on the deciding thread with what it raised."""
        ...


Answer = Callable[[Any, BaseException | None], None]
"""(result, error); exactly one of them is meaningful."""


class ExecutorPort(Protocol):
    """The ledger's owner. Requests are answered in order, on the deciding thread."""

    def call(self, method: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        """Ask for `method` of `node.chain_service.ChainService`. Arguments and results are values."""
        ...


class VerifierPort(Protocol):
    """Checks signatures of transactions off the deciding thread."""

    def verify(self, transactions: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
        """Tell of each whether its signature holds; None when too many wait to be checked."""
        ...


class Workers(Protocol):
    """Computes what touches nothing of the node's, off the deciding thread, several at once."""

    def run(self, job: Callable[[], Any], answer: Answer, size_bytes: int) -> None:
        """Run `job`, a `functools.partial` of a module's function over values, which are so large; `answer` hears its
        result, or the LedgerError that it raised, on the deciding thread."""
        ...


class InlineWorkers:
    """Compute in the caller's turn. For the simulator."""

    def run(self, job: Callable[[], Any], answer: Answer, size_bytes: int) -> None:  # noqa: ARG002 - protocol
        try:
            result = job()
        except LedgerError as error:
            answer(None, error)
        else:
            answer(result, None)


def draw_entropy() -> bytes:
    return secrets.token_bytes(32)


class Ports(NamedTuple):
    """All of them, as one node gets them."""

    clock: Clock
    files: Files
    """Where the vote log lies."""
    jobs: Jobs
    links: Links
    executor: ExecutorPort
    verifier: VerifierPort
    workers: Workers = InlineWorkers()
    entropy: Callable[[], bytes] = draw_entropy
    """32 bytes that nobody has seen before."""
