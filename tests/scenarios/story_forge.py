"""Messages that no correct replica would send: built field by field from a script's words, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from consensus_harness import KEYS, NETWORK_ID, START_MS

from consensus.messages import (
    NULL_PROPOSAL,
    Batch,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Status,
    ViewChange,
    encode_message,
    proposal_digest,
    sign,
    signing_bytes,
)
from primitives.digest import domain
from primitives.finality import FinalityCertificate, finality_statement
from primitives.list_root import list_root

OTHER_NETWORK = bytes(32)
WRONG_BLOCK = b"\xff" * 32
UNSIGNED = bytes(64)
CLASSES: dict[str, Any] = {"prepare": Prepare, "commit": Commit}


def ids(words: str) -> list[int]:
    """Read `0,2,3`."""
    return [int(word) for word in words.split(",") if word]


def names(words: str) -> list[str]:
    return [word for word in words.split(",") if word]


class Forge:
    """What a script made or caught, by name. `block_hash` tells the agreed hash of a height."""

    def __init__(self, block_hash: Callable[[int], bytes]) -> None:
        self.known: dict[str, Any] = {"null": NULL_PROPOSAL}
        self.block_hash = block_hash
        self.signers: dict[int, int] = {}
        """Replica -> the index of the key it signs with, where that is another."""

    # --- parts ---

    def proposal(self, name: str) -> Proposal:
        found = self.known[name]
        assert isinstance(found, Proposal | PrePrepare)
        return found if isinstance(found, Proposal) else found.proposal

    def block(self, height: int, which: str) -> bytes:
        return WRONG_BLOCK if which == "wrong" else self.block_hash(height)

    def make_proposal(self, name: str, by: str, batches: str = "", clock: str = "0") -> Proposal:
        digests = tuple(self.known[batch].digest for batch in names(batches))
        made = self.known[name] = Proposal(int(by), START_MS + int(clock), digests)
        return made

    def make_prepared(
        self, name: str, view: str, sequence: str, proposal: str, backups: str, n: int, bad: str = ""
    ) -> PreparedCertificate:
        """`bad` names backups whose signatures are spoiled, or `primary`."""
        fields = {"view": view, "sequence": sequence, "proposal": proposal}
        pre_prepare = self.sign(self.pre_prepare(int(view) % n, fields), {})
        if bad == "primary":
            pre_prepare = spoil(pre_prepare)
        votes = [self.sign(self.vote(Prepare, replica, fields), {}) for replica in ids(backups)]
        spoiled = [] if bad == "primary" else ids(bad)
        made = PreparedCertificate(pre_prepare, tuple(spoil(v) if v.replica in spoiled else v for v in votes))
        self.known[name] = made
        return made

    def make_certificate(
        self,
        name: str,
        height: str,
        signers: str,
        block: str = "agreed",
        bad: str = "",
        epoch: str = "0",
        end: str = "0",
    ) -> FinalityCertificate:
        """`bad` names signers whose signatures are spoiled; `end` is the epoch's end that the statement tells."""
        block_hash = self.block(int(height), block)
        statement = finality_statement(NETWORK_ID, int(epoch), int(height), block_hash, int(end))
        signatures = tuple(
            (signer, bytes(64) if signer in ids(bad) else KEYS[signer].sign(statement)) for signer in ids(signers)
        )
        made = self.known[name] = FinalityCertificate(int(epoch), int(height), block_hash, int(end), signatures)
        return made

    # --- messages ---

    def message(self, type: str, signer: str, **words: str) -> Any:
        """Build and sign a message.

        `epoch`, `signed_epoch`, `network=other`, `key=K` (somebody else's), `signed_as=KIND` and `bad=yes` bend the
        signature or what it covers.
        """
        build = getattr(self, type.replace("-", "_"), None)
        replica = int(signer)
        made = self.vote(CLASSES[type], replica, words) if build is None else build(replica, words)
        made = msgspec.structs.replace(made, epoch=int(words.get("epoch", "0")))
        if "position" in words:
            made = msgspec.structs.replace(made, position=int(words["position"]))
        return self.sign(made, words)

    def sign(self, made: Any, words: dict[str, str]) -> Any:
        key = KEYS[int(words.get("key", self.signers.get(made.replica, made.replica)))]
        network_id = OTHER_NETWORK if words.get("network") == "other" else NETWORK_ID
        if "signed_as" in words:
            return msgspec.structs.replace(made, signature=key.sign(foreign_bytes(made, words["signed_as"])))
        if "signed_epoch" in words:
            elsewhere = sign(network_id, key, msgspec.structs.replace(made, epoch=int(words["signed_epoch"])))
            return msgspec.structs.replace(made, signature=elsewhere.signature)
        signed = sign(network_id, key, made)
        return spoil(signed) if words.get("bad") else signed

    def batch(self, replica: int, words: dict[str, str]) -> Batch:
        items = tuple(item.encode() for item in names(words["items"]))
        claimed = tuple(item.encode() for item in names(words.get("root_of", words["items"])))
        return Batch(0, replica, 1, int(words.get("number", "1")), list_root(claimed), items, UNSIGNED)

    def pre_prepare(self, replica: int, words: dict[str, str]) -> PrePrepare:
        view, sequence = int(words["view"]), int(words["sequence"])
        return PrePrepare(0, replica, 1, view, sequence, self.proposal(words["proposal"]), UNSIGNED)

    def vote(self, kind: Any, replica: int, words: dict[str, str]) -> Any:
        digest = proposal_digest(self.proposal(words["proposal"]))
        return kind(0, replica, 1, int(words["view"]), int(words["sequence"]), digest, UNSIGNED)

    def checkpoint(self, replica: int, words: dict[str, str]) -> Checkpoint:
        sequence = int(words["sequence"])
        block_hash = self.block(sequence, words.get("block", "agreed"))
        return Checkpoint(0, replica, sequence, block_hash, int(words.get("end", "0")), UNSIGNED)

    def view_change(self, replica: int, words: dict[str, str]) -> ViewChange:
        stable = self.known[words["stable"]] if "stable" in words else None
        prepared = tuple(self.known[name] for name in names(words.get("prepared", "")))
        return ViewChange(0, replica, 1, int(words["new_view"]), stable, prepared, UNSIGNED)

    def new_view(self, replica: int, words: dict[str, str]) -> NewView:
        changes = [self.known[name] for name in names(words["changes"])]
        view = int(words["view"])
        again = [entry.split(":") for entry in names(words.get("again", ""))]
        pre_prepares = tuple(
            self.sign(PrePrepare(0, replica, 1, view, int(sequence), self.proposal(name), UNSIGNED), {})
            for sequence, name in again
        )
        named = tuple((change.replica, change.digest) for change in changes)
        return NewView(0, replica, 1, view, named, pre_prepares, UNSIGNED)

    def status(self, replica: int, words: dict[str, str]) -> Status:
        stable = self.known[words["stable"]] if "stable" in words else None
        view, seen = int(words.get("view", "0")), int(words.get("seen", "0"))
        receiver = int(words.get("receiver", "0"))
        return Status(0, replica, view, view, int(words["executed"]), stable, (), 1, seen, receiver, UNSIGNED)


def spoil(message: Any) -> Any:
    """Flip a bit of the signature."""
    return msgspec.structs.replace(message, signature=message.signature[:-1] + bytes([message.signature[-1] ^ 1]))


def foreign_bytes(made: Any, kind: str) -> bytes:
    """Return what a signature of another kind would cover: a vote's other phase, or a transaction's body."""
    if kind in CLASSES:
        fields = msgspec.structs.asdict(made)
        return signing_bytes(NETWORK_ID, CLASSES[kind](**fields))
    return domain(kind) + NETWORK_ID + encode_message(msgspec.structs.replace(made, signature=UNSIGNED))
