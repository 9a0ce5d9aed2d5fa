"""A transaction's life as its sender sees it: prepared (the id is known), sent, and ended in one of three ways.

It ends as committed, as rejected with a code, or the outcome stays unknown: then the same bytes may be sent again, and
execute at most once. Time limits come from the network's time: the own clock plus the offset that a node states.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, Literal, get_type_hints

import msgspec

from guildmark.errors import OutcomeUnknown, Refused, Unreachable
from guildmark.identity import Account
from guildmark.transport import Transport, path, pause
from ledger.errors import InvalidTransaction
from ledger.operations import Operation
from ledger.transaction import build, transaction_id

LONG_POLL_MS_MAX: Final = 10_000
"""One question to one node; then the next node may be asked."""
POLL_PAUSE_S: Final = 0.1
"""Between questions to nodes that do not know the transaction."""
EXPIRY_GRACE_S: Final = 10.0
"""How long after a transaction's expiry its outcome is still waited for: blocks in flight may hold it."""
State = Literal["unknown", "pending", "executed", "committed", "rejected", "expired"]


class PreparedTransaction(msgspec.Struct, frozen=True):
    """Signed bytes and the id under which their outcome will be found, before anything was sent."""

    id: str
    """64 hex digits."""
    data: bytes
    expires_at_ms: int
    """Network time."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a transaction, as a certified block says; `state` is `committed` or `rejected`.

    A status that is not final (`unknown`, `pending`, `executed`) comes from `transaction` only.
    """

    id: str
    state: State
    height: int | None = None
    block_hash: str | None = None
    code: str = ""
    """Why it was rejected: the stable code of the rule, or `transaction.expired`."""
    message: str = ""
    events: list[Any] = []

    @property
    def committed(self) -> bool:
        return self.state == "committed"

    def event(self, kind: str) -> dict[str, Any]:
        """Return the first event whose `type` is `kind`. Raises LookupError when there is none."""
        for event in self.events:
            if event.get("type") == kind:
                return dict(event)
        raise LookupError(f"transaction {self.id} has no event {kind!r}")

    def raise_for_rejection(self) -> Outcome:
        """Return itself when committed.

        Raises:
            Refused: with the receipt's code.
        """
        if self.state in ("rejected", "expired"):
            raise Refused(self.code or "transaction.expired", self.message or f"transaction {self.state}", self.id)
        return self


class NetworkClock:
    """The network's time in milliseconds, as the last status said."""

    __slots__ = ("_offset_ms",)

    def __init__(self) -> None:
        self._offset_ms = 0

    def learn(self, offset_ms: int) -> None:
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._offset_ms


def prepare(
    account: Account,
    network_id: bytes,
    operations: Sequence[Operation],
    expires_at_ms: int,
    *,
    memo: str = "",
    salt: bytes | None = None,
) -> PreparedTransaction:
    """Sign `operations` (1 to 100) as one transaction.

    Raises:
        Refused: `transaction.malformed` or `transaction.too_large`.
    """
    try:
        data = build(
            network_id=network_id,
            sender=account.id,
            key=account.key,
            operations=operations,
            expires_at_ms=expires_at_ms,
            salt=salt,
            memo=memo,
        )
        return PreparedTransaction(transaction_id(data).hex(), data, expires_at_ms)
    except InvalidTransaction as error:
        raise Refused(error.code, malformed(operations) or error.message) from error
    except OverflowError as error:  # beyond what MessagePack can write at all
        raise Refused("transaction.malformed", malformed(operations) or "a number is out of all bounds") from error


def malformed(operations: Sequence[Operation]) -> str:
    """Say which field of the first operation that is not valid is out of its bounds, or return an empty text."""
    for operation in operations:
        tag = operation.__struct_config__.tag
        hints = get_type_hints(type(operation), include_extras=True)
        for name in operation.__struct_fields__:
            try:
                msgspec.convert(msgspec.to_builtins(getattr(operation, name), builtin_types=(bytes,)), hints[name])
            except (msgspec.ValidationError, OverflowError) as error:
                return f"{tag}: {name.replace('_', ' ')}: {error}"
    return ""


async def submit(transport: Transport, data: bytes, *, everywhere: bool = False) -> str:
    """Send a signed transaction to any node, or to all at once, and return its id. Sending it again is harmless.

    Raises:
        Refused, Denied: with the node's code. Unreachable: it may or may not have arrived.
    """
    try:
        identifier = transaction_id(data).hex()
    except InvalidTransaction as error:
        raise Refused(error.code, error.message) from error
    if not everywhere or not await transport.offer_everywhere(path("transactions"), data):
        await transport.request("POST", path("transactions"), body=data)
    return identifier


async def status(transport: Transport, identifier: str, wait_ms: int = 0) -> Outcome:
    """Ask one node what it knows of a transaction, waiting there for at most `wait_ms`."""
    where = path("transactions", identifier)
    answer = await transport.request("GET", where, query={"wait_ms": wait_ms}, wait_s=wait_ms / 1000)
    try:
        outcome = msgspec.convert(answer.json(), Outcome)
    except msgspec.ValidationError as error:
        raise Unreachable(f"{answer.url} did not answer with a transaction: {error}", "node.bad_answer") from error
    if outcome.id != identifier:
        raise Unreachable(f"{answer.url} answered for another transaction", "node.bad_answer")
    return outcome


async def wait(
    transport: Transport, clock: NetworkClock, transaction: PreparedTransaction | str, timeout_s: float | None = None
) -> Outcome:
    """Wait for the certified outcome of a transaction. `timeout_s` defaults to the time until it has expired.

    A node that does not know it is sent the bytes again when they are at hand. After one that says that it is still
    pending the next one is asked.

    Raises:
        OutcomeUnknown: no node has said by then.
        Refused: a node refuses the bytes that it had not seen.
    """
    prepared = transaction if isinstance(transaction, PreparedTransaction) else None
    identifier = prepared.id if prepared else str(transaction)
    if timeout_s is None:
        left_s = (prepared.expires_at_ms - clock.now_ms()) / 1000 if prepared else 0.0
        timeout_s = max(left_s, 0.0) + EXPIRY_GRACE_S
    deadline = time.monotonic() + timeout_s
    while True:
        left_ms = int((deadline - time.monotonic()) * 1000)
        try:
            outcome = await status(transport, identifier, max(0, min(left_ms, LONG_POLL_MS_MAX)))
        except Unreachable as error:
            if time.monotonic() >= deadline:
                raise OutcomeUnknown(identifier, f"transaction {identifier}: {error.message}") from error
            continue
        if outcome.state in ("committed", "rejected"):
            return outcome
        if outcome.state == "expired":
            return msgspec.structs.replace(outcome, state="rejected", code=outcome.code or "transaction.expired")
        if time.monotonic() >= deadline:
            raise OutcomeUnknown(
                identifier, f"transaction {identifier} is {outcome.state} after {timeout_s:.1f} s; ask again by its id"
            )
        if outcome.state == "unknown":
            if prepared and (expired := await _send_again(transport, prepared)):
                return expired
            await pause(POLL_PAUSE_S)
        else:
            transport.prefer_next()  # it has had its time, and may have kept the bytes to itself


async def _send_again(transport: Transport, transaction: PreparedTransaction) -> Outcome | None:
    """Send it to a node that does not know it; return its end when that node finds it expired by block time."""
    try:
        await submit(transport, transaction.data)
    except Refused as error:
        if error.code != "transaction.expired":
            raise
        return Outcome(transaction.id, "rejected", code=error.code, message=error.message)
    except Unreachable:
        pass  # the question that follows finds another node, or the deadline passes
    return None
