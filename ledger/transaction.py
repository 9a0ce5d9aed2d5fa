"""Transactions: build, sign, decode.

    body   = [version, network id, sender, signer, expires_at_ms, salt, operations, memo]
    signed = [body bytes, signature]

The id is the tagged hash of the body bytes, so the client knows it before sending, and no re-signing makes a second
one. There is no nonce: replay is prevented by the lifetime (`ledger/replay.py`), so that clients may send in parallel.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec

from ledger.errors import InvalidTransaction
from ledger.opaque import decode_bundle, is_bundle
from ledger.operations import Operation, Registry, default_registry
from primitives.codec import CodecError, decode, encode, reader
from primitives.digest import Digest, domain, tagged_hash
from primitives.finality import Bytes32, Bytes64, Natural
from primitives.keys import SigningKey, verify

TRANSACTION_BYTES_MAX: Final = 64 * 1024
OPERATIONS_MAX: Final = 100
MEMO_BYTES_MAX: Final = 256
SALT_BYTES: Final = 16
VERSION: Final = 1

_SIGNATURE: Final = domain("transaction-signature")

OperationT = TypeVar("OperationT")


class TransactionBody(
    msgspec.Struct, Generic[OperationT], frozen=True, array_like=True, forbid_unknown_fields=True, gc=False
):
    """What is signed. Generic in the operations, whose union the registry knows."""

    version: Literal[1]
    network_id: Bytes32
    sender: Bytes32
    """Account id."""
    signer: Bytes32
    """Public key, one of the sender's."""
    expires_at_ms: Natural
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    operations: Annotated[tuple[OperationT, ...], msgspec.Meta(min_length=1, max_length=OPERATIONS_MAX)]
    memo: Annotated[str, msgspec.Meta(max_length=MEMO_BYTES_MAX)]
    """At most 256 bytes of UTF-8."""


class SignedTransaction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    body: Annotated[bytes, msgspec.Meta(max_length=TRANSACTION_BYTES_MAX)]
    signature: Bytes64


class DecodedTransaction(msgspec.Struct, frozen=True):
    """A well-formed transaction; its signature may still be wrong."""

    id: Digest
    body: TransactionBody[Any]
    body_bytes: bytes
    signature: bytes
    data: bytes
    """The signed transaction as it travels."""

    def verify(self) -> bool:
        """Tell whether `signer` signed the body."""
        return verify(self.body.signer, _SIGNATURE + self.body_bytes, self.signature)


def build(
    *,
    network_id: bytes,
    sender: bytes,
    key: SigningKey,
    operations: Sequence[Operation],
    expires_at_ms: int,
    salt: bytes | None = None,
    memo: str = "",
) -> bytes:
    """Return the signed transaction's bytes. `salt` is random when not given: equal operations are then distinct.

    Raises:
        InvalidTransaction: `transaction.too_large` or `transaction.malformed` (an empty list, a memo or an operation
        out of
            bounds).
    """
    if len(memo.encode()) > MEMO_BYTES_MAX:
        raise InvalidTransaction("transaction.malformed", f"a memo has at most {MEMO_BYTES_MAX} bytes of UTF-8")
    body = encode(
        TransactionBody[Any](
            version=VERSION,
            network_id=network_id,
            sender=sender,
            signer=key.public_key,
            expires_at_ms=expires_at_ms,
            salt=secrets.token_bytes(SALT_BYTES) if salt is None else salt,
            operations=tuple(operations),
            memo=memo,
        )
    )
    data = encode(SignedTransaction(body, key.sign(_SIGNATURE + body)))
    _check_operations(body, operations)
    if len(data) > TRANSACTION_BYTES_MAX:
        raise InvalidTransaction("transaction.too_large", f"{len(data)} bytes; at most {TRANSACTION_BYTES_MAX}")
    return data


def _check_operations(body: bytes, operations: Sequence[Operation]) -> None:
    """Decode what was built by the operations' own types: a Struct does not check its fields when it is made."""
    if not 1 <= len(operations) <= OPERATIONS_MAX:
        raise InvalidTransaction("transaction.malformed", f"1 to {OPERATIONS_MAX} operations, not {len(operations)}")
    for operation in operations:
        try:
            decode(encode(operation), type(operation))
        except CodecError as error:
            raise InvalidTransaction("transaction.malformed", str(error)) from error
    try:
        decode(body, TransactionBody[Any])
    except CodecError as error:
        raise InvalidTransaction("transaction.malformed", str(error)) from error


@lru_cache(maxsize=16)
def _read_body(registry: Registry) -> Callable[[bytes], TransactionBody[Any]]:
    return reader(TransactionBody[registry.union])  # type: ignore[name-defined]  # the union is known at run time only


_read_signed: Final[Callable[[bytes], SignedTransaction]] = reader(SignedTransaction)


def decode_transaction(data: bytes, registry: Registry | None = None) -> DecodedTransaction:
    """Decode a signed transaction. The signature is not checked.

    Raises:
        InvalidTransaction: `transaction.too_large`, or `transaction.malformed` (unknown operation, bound, or encoding).
    """
    if len(data) > TRANSACTION_BYTES_MAX:
        raise InvalidTransaction("transaction.too_large", f"{len(data)} bytes; at most {TRANSACTION_BYTES_MAX}")
    registry = registry or default_registry()
    try:
        signed = _read_signed(data)
        body = _read_body(registry)(signed.body)
    except CodecError as error:
        raise InvalidTransaction("transaction.malformed", str(error)) from error
    if body.memo and len(body.memo.encode()) > MEMO_BYTES_MAX:
        raise InvalidTransaction("transaction.malformed", f"a memo has at most {MEMO_BYTES_MAX} bytes of UTF-8")
    return DecodedTransaction(tagged_hash("transaction", signed.body), body, signed.body, signed.signature, data)


class _Signer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The first fields of a body, whatever follows."""

    version: int
    network_id: bytes
    sender: bytes
    signer: bytes


_read_signer: Final[Callable[[bytes], _Signer]] = msgspec.msgpack.Decoder(_Signer).decode


def signature_holds(data: bytes) -> bool:
    """Tell whether the signer named in a transaction signed it, without knowing its operations.

    Of what is no well-formed transaction the answer means nothing; `decode_transaction` refuses it.
    """
    try:
        signed = _read_signed(data)
        signer = _read_signer(signed.body).signer
    except (CodecError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return verify(signer, _SIGNATURE + signed.body, signed.signature)


def transaction_id(data: bytes) -> Digest:
    """Return the id of a signed transaction without knowing its operations, or that of an opaque bundle.

    Raises:
        InvalidTransaction: `transaction.malformed`.
    """
    if is_bundle(data):
        return decode_bundle(data).id
    try:
        return tagged_hash("transaction", _read_signed(data).body)
    except CodecError as error:
        raise InvalidTransaction("transaction.malformed", str(error)) from error
