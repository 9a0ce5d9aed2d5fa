"""Signatures in batches, checked off the deciding thread as soon as a batch is held, while it is being ordered.

What a batch's transactions are worth is known by the digest of the batch, so nothing is hashed to ask for it, and no
signature is checked twice. A batch that was made here was checked transaction by transaction when it was admitted; one
that came in our name was not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from consensus.messages import Batch
from ledger.opaque import is_bundle
from node.ports import VerifierPort

BATCHES_MAX: Final = 4_096
"""Batches remembered, a byte a transaction; the oldest is forgotten, and the executor then checks it itself."""


class BatchVerdicts:
    """Of each held batch one byte a transaction: 1 where the signature is good."""

    def __init__(self, verifier: VerifierPort) -> None:
        self._verifier = verifier
        self._found: OrderedDict[bytes, bytes | None] = OrderedDict()
        """None while it is being checked."""
        self._waiting: dict[bytes, list[Callable[[], None]]] = {}

    def on_held(self, batch: Batch, *, checked: bool) -> None:
        """Have a batch checked, unless its transactions were when they were admitted here."""
        digest = batch.digest
        if digest in self._found:
            return
        while len(self._found) >= BATCHES_MAX:
            self._forget(next(iter(self._found)))
        if checked or all(map(is_bundle, batch.items)):
            # Nothing to check, or checked already. What a byte says of a bundle is asked by nobody.
            self._found[digest] = b"\x01" * len(batch.items)
            return
        self._found[digest] = None

        def answered(found: list[bool] | None) -> None:
            if digest in self._found:
                self._found[digest] = b"" if found is None else bytes(found)
            self._wake(digest)

        self._verifier.verify(batch.items, answered)

    def take(self, batches: Sequence[Batch], changed: Callable[[], None]) -> list[bytes] | None:
        """Return the verdicts of `batches` and forget them; None while one is being checked: `changed` is called then.

        Empty where nothing is known: too much waited to be checked, or the batch was held in an earlier life.
        """
        for batch in batches:
            if self._found.get(batch.digest, b"") is None:
                self._waiting.setdefault(batch.digest, []).append(changed)
                return None
        return [self._found.pop(batch.digest, None) or b"" for batch in batches]

    def _forget(self, digest: bytes) -> None:
        del self._found[digest]
        self._wake(digest)

    def _wake(self, digest: bytes) -> None:
        for changed in self._waiting.pop(digest, ()):
            changed()
