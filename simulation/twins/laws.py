"""What must hold after every event of a schedule, judged from outside.

I1 agreement, I2 order, I4 certificates, I5 no double sign by honest validators, I7 monotone, I8 what was prepared by a
quorum survives, I15 evidence names twinned validators only. The judge computes its own quorum and reads votes where
they are sent: it does not believe what a replica counts.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from consensus import engine
from consensus.evidence import Evidence, verify_evidence
from consensus.messages import (
    Batch,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
    ViewChangeRequest,
)
from primitives.finality import FinalityCertificate, verify_certificate
from simulation.twins.crypto import NETWORK_ID, FastVerifier, validator_set
from simulation.twins.instance import Block, Instance, View

_VERIFIER: Final = FastVerifier()
_START: Final = View(0, 0, 0)


class TwinsViolation(AssertionError):
    """A schedule broke a law. The message names it; the schedule repeats it."""


def least_quorum(n: int) -> int:
    """Return the smallest quorum of which any two share more validators than may be faulty."""
    faulty = max(f for f in range(n) if 3 * f < n)
    return next(size for size in range(1, n + 1) if 2 * size - n > faulty)


class Laws:
    """Watches one schedule."""

    def __init__(self, replicas: int, twinned: tuple[int, ...]) -> None:
        self.replicas = replicas
        self.twinned = frozenset(twinned)
        self.quorum = least_quorum(replicas)
        self.blocks: dict[int, bytes] = {}
        """Sequence -> digest, as the first honest instance executed it."""
        self.certified: dict[int, bytes] = {}
        self.evidence: set[Evidence] = set()
        self.view_max = 0
        self.decided_views: set[int] = set()
        self._signed: dict[tuple[object, ...], object] = {}
        self._commits: dict[tuple[int, int, bytes], set[int]] = defaultdict(set)
        self._promised: dict[int, tuple[int, bytes]] = {}
        """Sequence -> lowest view and digest for which a quorum signed commits."""
        self._new_views: list[tuple[int, int, dict[int, bytes]]] = []
        """(view, base, sequence -> digest) of each NewView that an honest replica accepted."""
        self._accepted: set[bytes] = set()
        self._watched: dict[int, View] = {}

    # --- what is sent ---

    def on_sent(self, instance: Instance, message: Message) -> None:
        """A message leaves its signer. What is passed on for others was seen before."""
        if getattr(message, "replica", None) != instance.validator:
            return
        if isinstance(message, Commit):
            self._on_commit(message)
        if instance.validator in self.twinned or (promise := _promise(message)) is None:
            return
        key, content = promise
        if self._signed.setdefault(key, content) != content:
            raise TwinsViolation(f"I5: instance {instance.number} signed two contents for {key}")

    def _on_commit(self, commit: Commit) -> None:
        key = (commit.view, commit.sequence, commit.digest)
        signers = self._commits[key]
        signers.add(commit.replica)
        if len(signers) != self.quorum:
            return
        view, sequence, digest = key
        self.decided_views.add(view)
        known = self._promised.get(sequence)
        if known is not None and known[1] != digest:
            raise TwinsViolation(f"I1: quorums committed two proposals at {sequence}, in views {known[0]} and {view}")
        if known is None or view < known[0]:
            self._promised[sequence] = (view, digest)
            for begun in self._new_views:
                self._check_survival(sequence, begun)

    def _check_survival(self, sequence: int, new_view: tuple[int, int, dict[int, bytes]]) -> None:
        promised_view, digest = self._promised[sequence]
        view, base, proposals = new_view
        if view > promised_view and sequence > base and proposals.get(sequence) != digest:
            raise TwinsViolation(f"I8: view {view} does not carry what view {promised_view} committed at {sequence}")

    # --- what honest instances do ---

    def on_execute(self, instance: Instance, effect: engine.Execute, block: Block) -> None:
        """An honest instance executes: in order, what all others do, and what a quorum committed in one view."""
        where = f"instance {instance.number} at {effect.sequence}"
        if effect.sequence != len(instance.blocks):
            raise TwinsViolation(f"I2: {where} after {len(instance.blocks) - 1}")
        if tuple(batch.digest for batch in effect.batches) != effect.proposal.batches:
            raise TwinsViolation(f"I3: {where} is handed other batches than were proposed")
        if self.blocks.setdefault(effect.sequence, block.digest) != block.digest:
            raise TwinsViolation(f"I1: {where} decided another proposal than others")
        promised = self._promised.get(effect.sequence)
        if promised is None or promised[1] != block.digest:
            raise TwinsViolation(f"I4: {where} decided without commits of {self.quorum} validators in one view")

    def on_certificate(self, where: str, certificate: FinalityCertificate) -> None:
        """A certificate that an honest instance took or acts on."""
        validators = validator_set(self.replicas)
        signers = {signer for signer, _ in certificate.signatures}
        wrong = verify_certificate(NETWORK_ID, validators.public_keys, certificate, _VERIFIER.verify)
        if wrong is not None or len(signers) < self.quorum:
            raise TwinsViolation(f"I4: {where} takes a certificate of {len(signers)} for {certificate.height}: {wrong}")
        if self.certified.setdefault(certificate.height, certificate.block_hash) != certificate.block_hash:
            raise TwinsViolation(f"I4: two blocks {certificate.height} are certified")

    def on_diverged(self, instance: Instance, effect: engine.Diverged) -> None:
        height = effect.certificate.height
        raise TwinsViolation(f"I9: the block {height} of instance {instance.number} is not the certified one")

    def on_evidence(self, instance: Instance, evidence: Evidence) -> None:
        """I15: evidence found by honest instances convinces everyone, and of twinned validators only."""
        if evidence in self.evidence:
            return
        if evidence.culprit not in self.twinned:
            raise TwinsViolation(f"I15: instance {instance.number} accuses {evidence.culprit}, who is honest")
        if not verify_evidence(validator_set(self.replicas), _VERIFIER, evidence):
            raise TwinsViolation(f"I15: the evidence of instance {instance.number} convinces nobody")
        self.evidence.add(evidence)

    def after_step(self, instance: Instance) -> None:
        """I7, and I8 when a view began."""
        before = self._watched.get(instance.number, _START)
        now = instance.watch()
        if now == before:
            return
        if now.view < before.view or now.stable < before.stable or now.executed < before.executed:
            raise TwinsViolation(f"I7: instance {instance.number} fell from {before} to {now}")
        self._watched[instance.number] = now
        if now.view > before.view:
            self.view_max = max(self.view_max, now.view)
            self._on_new_view(instance)

    def _on_new_view(self, instance: Instance) -> None:
        state = instance.replica._state
        message = state.new_view
        assert message is not None
        if message.signature in self._accepted:
            return
        self._accepted.add(message.signature)
        base = max((vc.stable.height for vc in state.new_view_changes.values() if vc.stable is not None), default=0)
        carried: dict[int, bytes] = {reissue.sequence: reissue.digest for reissue in message.pre_prepares}
        begun = (message.view, base, carried)
        self._new_views.append(begun)
        for sequence in self._promised:
            self._check_survival(sequence, begun)


def _promise(message: Any) -> tuple[tuple[object, ...], object] | None:
    """Return what a message commits its signer to: what about, and the content."""
    match message:
        case PrePrepare() | Prepare() | Commit():
            return (message.kind, message.replica, message.view, message.sequence), message.digest
        case Checkpoint():
            return (message.kind, message.replica, message.sequence), message.block_hash
        case ViewChange():
            return (message.kind, message.replica, message.new_view), message
        case NewView():
            return (message.kind, message.replica, message.view), message
        case Batch():
            return (message.kind, message.replica, message.number), message.digest
        case ViewChangeRequest():
            return None
    return None
