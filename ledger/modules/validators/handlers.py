"""Readiness, rejoining, and evidence."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger import epochs
from ledger.errors import OperationError
from ledger.membership import PendingChange
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import validators
from ledger.modules.validators import events
from ledger.modules.validators.operations import Ready, Rejoin, ReportEvidence
from ledger.modules.validators.records import (
    EVIDENCE,
    EVIDENCE_PER_CULPRIT_MAX,
    LAST_REJOINS,
    Evidence,
    LastRejoin,
    culprit_part,
    evidence_digest,
)
from ledger.validators import ValidatorRecord, ValidatorSet, validator_set

RECENT_BLOCKS: Final = 256
"""How old the block may be that a candidate names: who names it has followed the chain that far."""


def ready(context: Context, operation: Ready) -> None:
    """Let an admitted candidate, or the new key of a validator, take its place at the end of this epoch."""
    order, change = _candidacy(context)
    if change.ready:
        raise OperationError("validators.already_ready", "the sender has said so before")
    if not context.height - RECENT_BLOCKS <= operation.height < context.height:
        raise OperationError(
            "validators.block_not_recent", f"block {operation.height} is not one of the last {RECENT_BLOCKS}"
        )
    if context.facts.block_hash(operation.height) != operation.block_hash:
        raise OperationError("validators.another_block", f"block {operation.height} of this chain has another hash")
    assert change.record is not None
    epochs.put_pending(context.view, order, msgspec.structs.replace(change, ready=True))
    end = epochs.schedule_end(context.view, context.height, context.parameters.window)
    context.emit(events.CandidateReady(change.record.node_id, end))


def _candidacy(context: Context) -> tuple[int, PendingChange]:
    for order, change in epochs.pending_changes(context.view).items():
        if change.record is not None and change.record.account == context.sender:
            return order, change
    raise OperationError("validators.not_a_candidate", "no approved change brings the sender into the set")


def rejoin(context: Context, operation: Rejoin) -> None:
    """End the epoch, and give the sender a new incarnation with the next one."""
    member = _member(context)
    if operation.incarnation == member.incarnation:
        raise OperationError("validators.incarnation_unchanged", "this is the sender's present incarnation")
    if epochs.current_epoch(context.view).rejoin is not None:
        raise OperationError("validators.rejoin_pending", "another rejoin waits for the end of this epoch; try later")
    last = LAST_REJOINS.get(context.view, context.sender)
    interval_ms = context.parameters.rejoin_interval_ms
    if last is not None and context.block_time_ms < last.at_ms + interval_ms:
        raise OperationError(
            "validators.rejoin_too_soon", f"a validator rejoins at most once in {interval_ms} ms; wait and try again"
        )
    LAST_REJOINS.put(context.view, LastRejoin(context.block_time_ms), context.sender)
    epochs.note_rejoin(context.view, epochs.Rejoin(context.sender, operation.incarnation))
    end = epochs.schedule_end(context.view, context.height, context.parameters.window)
    context.emit(events.RejoinAccepted(member.node_id, operation.incarnation, end))


def report_evidence(context: Context, operation: ReportEvidence) -> None:
    """Record that a validator has contradicted itself, once for each piece of evidence."""
    _member(context)
    epoch, members, index = _judged(context, operation.evidence)
    digest = evidence_digest(operation.evidence)
    part = culprit_part(epoch, index)
    if EVIDENCE.get(context.view, part, digest) is not None:
        raise OperationError("validators.evidence_known", "this evidence is recorded")
    if sum(1 for _ in EVIDENCE.items(context.view, part)) >= EVIDENCE_PER_CULPRIT_MAX:
        raise OperationError(
            "validators.evidence_full", f"{EVIDENCE_PER_CULPRIT_MAX} records against the validator are kept an epoch"
        )
    culprit = members.validators[index]
    record = Evidence(
        node_id=culprit.node_id,
        account=culprit.account,
        reporter=context.sender,
        transaction=context.transaction_id,
        height=context.height,
        at_ms=context.block_time_ms,
    )
    EVIDENCE.put(context.view, record, part, digest)
    context.emit(events.EvidenceRecorded(epoch, index, culprit.node_id, digest))


def _judged(context: Context, evidence: bytes) -> tuple[int, ValidatorSet, int]:
    """Return (epoch, its set, the culprit's index)."""
    judge = context.facts.judge
    if judge is None:
        raise OperationError("validators.no_judge", "this network keeps no evidence")
    epoch = judge.epoch_of(evidence)
    members = None if epoch is None or not 0 <= epoch < 2**63 else validator_set(context.view, epoch)
    if epoch is None or members is None:
        raise OperationError("validators.evidence_epoch", "the evidence names no epoch of this chain")
    index = judge.judge(context.network_id, epoch, members.signing_keys(), evidence)
    if index is None or not 0 <= index < len(members.validators):
        raise OperationError("validators.evidence_invalid", "the messages do not prove a contradiction")
    return epoch, members, index


def _member(context: Context) -> ValidatorRecord:
    member = validators(context.view).get(context.sender)
    if member is None:
        raise OperationError("validators.not_a_validator", "the sender is not in the current validator set")
    return member
