"""What travels between a node and the process that owns its ledger: pickled values, one answer for each request.

Both ends are this program, run by one user, over a socket pair without a name: nobody else can write into it.
"""

from __future__ import annotations

import io
import pickle
from multiprocessing.connection import Connection
from typing import Any, Final

from ledger.errors import Damage, LedgerError

MESSAGE_BYTES_MAX: Final = 512 * 1024 * 1024
"""One request or answer; the largest are 64 blocks and their receipts. A larger one ends both processes."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        # By itself an exception is made anew from `args`, which are fewer than what these are made of.
        if isinstance(value, Damage):
            return _rebuild_damage, (value.first, value.behind, value.message, value.physical)
        if isinstance(value, LedgerError):
            return _rebuild, (type(value), value.code, value.message)
        return NotImplemented


def _rebuild(kind: type[LedgerError], code: str, message: str) -> LedgerError:
    error = kind.__new__(kind)
    LedgerError.__init__(error, code, message)
    return error


def _rebuild_damage(first: bytes, behind: bytes, message: str, physical: bool) -> Damage:
    return Damage(first, behind, message, physical=physical)


def send(connection: Connection, message: tuple[Any, ...]) -> None:
    """Raises OSError when the other end is gone, ValueError when the message is too large."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(message)
    if buffer.tell() > MESSAGE_BYTES_MAX:
        raise ValueError(f"a message of {buffer.tell()} bytes is too large")
    connection.send_bytes(buffer.getbuffer())


def receive(connection: Connection) -> tuple[Any, ...]:
    """Raises EOFError or OSError when the other end is gone."""
    message = pickle.loads(connection.recv_bytes(MESSAGE_BYTES_MAX))  # of our own process: see above
    assert isinstance(message, tuple)
    return message
