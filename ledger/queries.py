"""What may be asked of a chain: the queries of every module, and the chain's own. Answers are values made for JSON.

Ids and hashes are lower-case hex, accounts `gm1...`, keys `did:key:...`, amounts integers, times Unix milliseconds. A
module's query is a plain function (view, network id, block time, *, arguments) over the state at the head.
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ledger.block import Block, Header, Mark, block_hash
from ledger.errors import InvalidTransaction, LedgerError
from ledger.parameters import Parameters, read_parameters
from ledger.pruning import block_pruned
from ledger.transaction import transaction_id
from primitives.identifiers import account_to_text, key_to_text

if TYPE_CHECKING:
    from ledger.chain import Chain

NUMBER_DIGITS_MAX: Final = 18


class HeadResult(msgspec.Struct, frozen=True):
    network_id: str
    network_name: str
    development: bool
    height: int
    certified_height: int
    block_hash: str
    state_root: str
    block_time_ms: int
    clock_offset_ms: int
    epoch: int
    epoch_end: int | None
    """Height of the epoch's last block, once it is known."""


class TransactionMark(msgspec.Struct, frozen=True):
    id: str
    """Empty when the bytes were no transaction at all."""
    code: str
    """Why it did not execute; empty when it did."""


class CertificateResult(msgspec.Struct, frozen=True):
    epoch: int
    height: int
    block_hash: str
    signers: tuple[int, ...]
    """Indices in the epoch's validator set."""


class BlockResult(msgspec.Struct, frozen=True):
    height: int
    block_hash: str
    parent_hash: str
    epoch: int
    proposer: int | None
    timestamp_ms: int
    transactions_root: str
    receipts_root: str
    state_root: str
    validator_set_hash: str
    next_validator_set_hash: str
    epoch_end: int | None
    """Height of the epoch's last block, once it is known."""
    transactions: tuple[TransactionMark, ...]
    deadlines: tuple[str, ...]
    """Ids of the deadlines that fell due in this block, in order."""
    certificate: CertificateResult | None


class TransactionResult(msgspec.Struct, frozen=True):
    id: str
    height: int
    block_hash: str
    block_time_ms: int
    code: str
    message: str
    events: tuple[Any, ...]


class ValidatorResult(msgspec.Struct, frozen=True):
    index: int
    organization: str
    account: str
    node_id: str
    signing_key: str
    address: str
    tls_certificate: str
    """Base64 of the DER certificate."""
    incarnation: int
    """0 until the validator has rejoined."""


def _head(chain: Chain) -> HeadResult:
    """The chain's head."""
    return HeadResult(
        network_id=chain.network_id.hex(),
        network_name=chain.genesis.name,
        development=chain.genesis.development,
        height=chain.height,
        certified_height=chain.certified_height,
        block_hash=chain.head_hash.hex(),
        state_root=chain.head.state_root.hex(),
        block_time_ms=chain.head.timestamp_ms,
        clock_offset_ms=chain.registry.clock_offset_ms(chain.view()),
        epoch=chain.head.epoch,
        epoch_end=chain.head.epoch_end or None,
    )


def _block(chain: Chain, *, height: int | str = "latest") -> BlockResult:
    """A block by height; `latest` without one."""
    number = chain.height if height == "latest" else _natural("height", height)
    if number < chain.oldest_block:
        raise block_pruned(chain.oldest_block)
    block = chain.block(number)
    results = chain.archive.results(number)
    if block is None or results is None:
        raise LedgerError("query.not_found", f"there is no block {number}; the head is {chain.height}")
    header = block.header
    certificate = chain.certificate(number)
    return BlockResult(
        height=number,
        block_hash=block_hash(header).hex(),
        parent_hash=header.parent_hash.hex(),
        epoch=header.epoch,
        proposer=header.proposer,
        timestamp_ms=header.timestamp_ms,
        transactions_root=header.transactions_root.hex(),
        receipts_root=header.receipts_root.hex(),
        state_root=header.state_root.hex(),
        validator_set_hash=header.validator_set_hash.hex(),
        next_validator_set_hash=header.next_validator_set_hash.hex(),
        epoch_end=header.epoch_end or None,
        transactions=tuple(_marks(block)),
        deadlines=tuple(receipt.id.hex() for receipt in results.receipts[: results.swept]),
        certificate=None
        if certificate is None
        else CertificateResult(
            certificate.epoch,
            certificate.height,
            certificate.block_hash.hex(),
            tuple(index for index, _ in certificate.signatures),
        ),
    )


def _marks(block: Block) -> list[TransactionMark]:
    marks = []
    for batch in block.batches:
        for data, mark in zip(batch.transactions, batch.marks, strict=True):
            try:
                identifier = transaction_id(data).hex()
            except InvalidTransaction:
                identifier = ""
            marks.append(TransactionMark(identifier, Mark(mark).code))
    return marks


def _transaction(chain: Chain, *, id: str) -> TransactionResult:
    """An executed transaction's receipt."""
    status = chain.transaction_status(_digest("id", id))
    if status.receipt is None or status.height is None:
        raise LedgerError("query.not_found", "no transaction of this id has executed")
    header: Header | None = chain.header(status.height)
    assert header is not None
    return TransactionResult(
        id=id,
        height=status.height,
        block_hash=block_hash(header).hex(),
        block_time_ms=header.timestamp_ms,
        code=status.receipt.code,
        message=status.message,
        events=event_values(status.receipt.events),
    )


def _validators(chain: Chain, *, epoch: int | str = "current") -> tuple[ValidatorResult, ...]:
    """The validator set of an epoch, in order of index; of the next block's without one."""
    number = chain.epoch.number if epoch == "current" else _natural("epoch", epoch)
    return tuple(
        ValidatorResult(
            index=index,
            organization=validator.organization,
            account=account_to_text(validator.account),
            node_id=validator.node_id,
            signing_key=key_to_text(validator.signing_key),
            address=validator.address,
            tls_certificate=base64.b64encode(validator.tls_certificate).decode("ascii"),
            incarnation=validator.incarnation,
        )
        for index, validator in enumerate(chain.validators(number))
    )


def _parameters(chain: Chain) -> Parameters:
    """The chain's parameters."""
    return read_parameters(chain.view())


CHAIN_QUERIES: Final[Mapping[str, Callable[..., Any]]] = {
    "blocks.get": _block,
    "chain.head": _head,
    "parameters.get": _parameters,
    "transactions.get": _transaction,
    "validators.list": _validators,
}
"""Functions (chain, *, arguments). They take precedence over a module's query of the same name."""


def answer(chain: Chain, name: str, arguments: Mapping[str, Any]) -> Any:
    """Answer the query `name`.

    Raises:
        LedgerError: `query.unknown`, `query.argument`, `query.not_found`.
    """
    own = CHAIN_QUERIES.get(name)
    if own is not None:
        return own(chain, **_bind(own, 1, arguments))
    function = chain.registry.queries.get(name)
    if function is None:
        raise LedgerError("query.unknown", f"there is no query {name[:80]!r}")
    bound = _bind(function, 3, arguments)
    return function(chain.view(), chain.network_id, chain.head.timestamp_ms, **bound)


def names(chain: Chain) -> list[str]:
    """Return the names of all queries, sorted."""
    return sorted({*CHAIN_QUERIES, *chain.registry.queries})


@lru_cache(maxsize=256)
def _parameters_of(function: Callable[..., Any], given: int) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of a query's arguments, and of those that it needs, behind its `given` first parameters."""
    parameters = list(inspect.signature(function).parameters.values())[given:]
    needed = frozenset(parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty)
    return frozenset(parameter.name for parameter in parameters), needed


def _bind(function: Callable[..., Any], given: int, arguments: Mapping[str, Any]) -> dict[str, str | int]:
    allowed, needed = _parameters_of(function, given)
    for name, value in arguments.items():
        if name not in allowed:
            raise LedgerError("query.argument", f"unknown argument {name[:80]!r}; there are {sorted(allowed)}")
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise LedgerError("query.argument", f"{name} is neither a text nor a whole number")
    missing = needed - arguments.keys()
    if missing:
        raise LedgerError("query.argument", f"missing: {', '.join(sorted(missing))}")
    return dict(arguments)


def _natural(name: str, value: int | str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX):
        raise LedgerError("query.argument", f"{name} is not a whole number: {text[:80]!r}")
    return int(text)


def _digest(name: str, text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except (ValueError, TypeError):
        value = b""
    if len(value) != 32 or value.hex() != text:
        raise LedgerError("query.argument", f"{name} is not 64 lower-case hex digits")
    return value


def event_values(events: tuple[bytes, ...]) -> tuple[Any, ...]:
    """Return a receipt's events as plain values for JSON: byte strings in hex."""
    return tuple(_plain(msgspec.msgpack.decode(event)) for event in events)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
