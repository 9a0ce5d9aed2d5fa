"""Bundles for the opaque workload, made where they are sent: their payload is the same random bytes each time, only the
salt and the expiry differ, so that making one costs little more than computing its id."""

from __future__ import annotations

import random
import time

import numpy
from numpy.typing import NDArray

from benchmarks.generator.plan import Plan
from benchmarks.generator.signing import Chunk, request_body
from ledger.opaque import SALT_BYTES, build_bundle
from primitives.digest import DIGEST_BYTES, tagged_hash

_SALT_MARK = b"\xaa" * SALT_BYTES
_EXPIRY_MARK = 0x0001_2345_6789_ABCD
_EXPIRY_BYTES = 8


class Bundles:
    """Stands in for signed chunks: one that holds all requests."""

    def __init__(self, plan: Plan, requests: int) -> None:
        asked = plan.configuration
        self.chunk = Chunk(0, 0, requests)
        self._lifetime_ms = plan.lifetime_ms
        self._rng = random.Random(f"salts {asked.seed}")
        self._payload = random.Random(f"payload {asked.seed}").randbytes(asked.payload_bytes * asked.batch_submit)
        self._network_id = plan.network_id
        pattern = build_bundle(
            network_id=plan.network_id, expires_at_ms=_EXPIRY_MARK, salt=_SALT_MARK, payload=self._payload
        )
        body = request_body([pattern])
        self._envelope = len(body) - len(pattern)
        self._pattern = body
        self._salt_at = body.index(_SALT_MARK)
        self._expiry_at = body.index(_EXPIRY_MARK.to_bytes(_EXPIRY_BYTES, "big"))
        self.ids = bytearray()
        """Of what was sent, in order."""

    @property
    def identities(self) -> NDArray[numpy.uint8]:
        """One row each."""
        return numpy.frombuffer(bytes(self.ids), dtype=numpy.uint8).reshape(-1, DIGEST_BYTES)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to sign."""
        return True

    def sign_ahead(self) -> None:
        """Nothing is signed."""

    def keep_ahead(self, next_request: int, elapsed_ns: int) -> None:
        """Nothing is signed."""

    def close(self) -> None:
        """Nothing was begun."""

    @property
    def expires_at_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._lifetime_ms // 2

    def chunk_of(self, request: int) -> Bundles | None:  # noqa: ARG002 - all are here
        return self

    def body(self, request: int) -> memoryview:
        """Make the next bundle. Requests are asked for in order, each once."""
        assert request == len(self.ids) // DIGEST_BYTES
        body = bytearray(self._pattern)
        body[self._salt_at : self._salt_at + SALT_BYTES] = self._rng.randbytes(SALT_BYTES)
        expires = self.expires_at_ms.to_bytes(_EXPIRY_BYTES, "big")
        body[self._expiry_at : self._expiry_at + _EXPIRY_BYTES] = expires
        self.ids += tagged_hash("opaque-bundle", bytes(body[self._envelope :]))
        return memoryview(body)
