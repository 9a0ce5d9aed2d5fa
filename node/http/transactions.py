"""/v1/transactions: submit, submit many, ask and wait."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Final

import msgspec
from aiohttp import web

from ledger.transaction import TRANSACTION_BYTES_MAX
from node.http.application import Api, json_response
from node.http.parameters import Natural
from node.http.problems import malformed, of_code
from node.http.routing import Request, Route
from node.http.services import Submitted, TransactionState
from primitives.codec import CodecError, decode

BULK_TRANSACTIONS_MAX: Final = 1_000
BULK_BYTES_MAX: Final = 8 * 1024 * 1024
WAIT_MS_MAX: Final = 30_000
UNKNOWN_WAIT_S: Final = 1.0
"""How long an id is waited for that this node does not know: who has the bytes does better to send them again."""
WAIT: Final = Natural("wait_ms", WAIT_MS_MAX, "How long to wait for news, in milliseconds")
_FINAL: Final = ("committed", "rejected", "expired")

_Bulk = Annotated[
    list[Annotated[bytes, msgspec.Meta(max_length=TRANSACTION_BYTES_MAX)]],
    msgspec.Meta(min_length=1, max_length=BULK_TRANSACTIONS_MAX),
]


class BulkResult(msgspec.Struct, frozen=True):
    id: str
    code: str
    """Empty when it was taken or is known already."""


class BulkResults(msgspec.Struct, frozen=True):
    results: tuple[BulkResult, ...]


class BatchResult(msgspec.Struct, frozen=True):
    """What became of the transactions of a batch, without a word for each that was taken."""

    taken: int
    """Taken now, or known already."""
    refused: dict[str, list[int]]
    """Code -> positions in the list, from 0."""


class Accepted(msgspec.Struct, frozen=True):
    id: str
    state: str


async def submit(api: Api, request: Request) -> web.StreamResponse:
    """Take one signed transaction."""
    if not request.body:
        raise of_code("transaction.malformed", "the body is empty; send the signed transaction's bytes")
    submitted = await api.services.submit(request.body)
    if submitted.known:
        return json_response(await api.services.transaction(bytes.fromhex(submitted.id)))
    if submitted.code:
        raise _refusal(submitted)
    return json_response(Accepted(submitted.id, "pending"), status=202)


async def submit_bulk(api: Api, request: Request) -> web.StreamResponse:
    """Take up to 1000 signed transactions, each judged for itself."""
    submitted = await api.services.submit_many(_list_of(request.body))
    return json_response(BulkResults(tuple(BulkResult(each.id, "" if each.known else each.code) for each in submitted)))


async def submit_batch(api: Api, request: Request) -> web.StreamResponse:
    """Take up to 1000 signed transactions with one short answer; the client knows their ids."""
    codes = await api.services.submit_codes(_list_of(request.body))
    refused: dict[str, list[int]] = {}
    for position, code in enumerate(codes):
        if code:
            refused.setdefault(code, []).append(position)
    taken = len(codes) - sum(map(len, refused.values()))
    if not taken and all(code.startswith("pool.") for code in refused):
        raise of_code(next(iter(refused)), "too many transactions wait; try again later", refused=refused)
    return json_response(BatchResult(taken, refused))


def _list_of(body: bytes) -> list[bytes]:
    try:
        return decode(body, _Bulk)
    except CodecError as error:
        raise malformed(
            f"the body is a MessagePack list of 1 to {BULK_TRANSACTIONS_MAX} byte strings: {error}"
        ) from error


async def show(api: Api, request: Request) -> web.StreamResponse:
    """Tell what became of a transaction, waiting for its end when asked to."""
    identifier = request.parameters["id"]
    wait_ms = WAIT.read(request.query)
    if wait_ms == 0:
        return json_response(await api.services.transaction(bytes.fromhex(identifier)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    deadline = began + wait_ms / 1000
    with api.waiters.transaction(identifier) as news:
        while True:
            news.clear()
            state = await api.services.transaction(bytes.fromhex(identifier))
            if state.state == "unknown":
                deadline = min(deadline, began + UNKNOWN_WAIT_S)
            left_s = deadline - loop.time()
            if state.state in _FINAL or left_s <= 0 or api.waiters.closed:
                return json_response(state)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await news.wait()


def _refusal(submitted: Submitted) -> Exception:
    members = {"id": submitted.id} if submitted.id else {}
    return of_code(submitted.code, submitted.message, **members)


ROUTES: Final = (
    Route(
        "POST",
        "/v1/transactions",
        submit,
        "Submit a signed transaction",
        body_bytes_max=TRANSACTION_BYTES_MAX,
        answer=Accepted,
    ),
    Route(
        "POST",
        "/v1/transactions/bulk",
        submit_bulk,
        "Submit many signed transactions",
        body_bytes_max=BULK_BYTES_MAX,
        answer=BulkResults,
    ),
    Route(
        "POST",
        "/v1/transactions:batch",
        submit_batch,
        "Submit many signed transactions, with one answer for all",
        body_bytes_max=BULK_BYTES_MAX,
        answer=BatchResult,
    ),
    Route(
        "GET",
        "/v1/transactions/{id:hash}",
        show,
        "Ask for a transaction's outcome, and wait for it",
        query=(WAIT,),
        answer=TransactionState,
    ),
)
