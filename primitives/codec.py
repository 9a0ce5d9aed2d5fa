"""Canonical MessagePack: one value has exactly one encoding.

`msgspec` accepts surplus array items and over-long length forms, as `msgpack` does. Whatever is signed, hashed or comes
from outside is therefore decoded to its type, encoded again and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import msgspec

T = TypeVar("T")

_encoder: Final = msgspec.msgpack.Encoder()


class CodecError(ValueError):
    """The bytes are not the canonical encoding of a value of the expected type."""


@lru_cache(maxsize=256)
def _reader(expected: Any) -> Callable[[bytes], Any]:
    return reader(expected)


def encode(value: Any) -> bytes:
    """Encode a msgspec Struct or a plain value as canonical MessagePack."""
    return _encoder.encode(value)


def decode(data: bytes, expected: type[T]) -> T:
    """Decode `data` as `expected`.

    Raises:
        CodecError: `data` is malformed, of another type, out of a stated bound, or not canonical.
    """
    value: T = _reader(cast(Hashable, expected))(data)
    return value


def reader(expected: Any) -> Callable[[bytes], Any]:
    """Return `decode` for one type: where much is read, looking the type up would cost more than reading."""
    read, encode_again = msgspec.msgpack.Decoder(expected).decode, _encoder.encode

    def strict(data: bytes) -> Any:
        try:
            value = read(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise CodecError(f"not a valid {_name(expected)}: {error}") from error
        if encode_again(value) != data:
            raise CodecError(f"not the canonical encoding of a {_name(expected)}")
        return value

    return strict


def own_reader(expected: Any) -> Callable[[bytes], Any]:
    """Return what reads bytes that `encode` wrote and a hash has vouched for since: canonical, so not compared again.

    It raises msgspec's errors, which are a defect here.
    """
    return msgspec.msgpack.Decoder(expected).decode


def decode_union(data: bytes, expected: Any) -> Any:
    """As `decode`, for a union of tagged Structs, which the type system does not take for a type."""
    return decode(data, expected)


def _name(expected: Any) -> str:
    return getattr(expected, "__name__", str(expected))
