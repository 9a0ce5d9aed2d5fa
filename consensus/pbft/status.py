"""A replica's condition in values and words, for `status --why`."""

from __future__ import annotations

from collections.abc import Collection

from consensus.engine import EngineStatus
from consensus.pbft import batches, leaving
from consensus.pbft.state import State


def describe(state: State) -> EngineStatus:
    silent_because = ""
    if state.replica_id is None:
        silent_because = "not a member of this epoch's validator set"
    elif state.outdated:
        silent_because = why_outdated(state)
    elif state.ended:
        silent_because = f"its epoch has ended with block {state.epoch_end}"
    elif state.gated:
        lacking = state.validators.quorum - 1 - len(state.agreeing)
        silent_because = f"it was started and waits for the Status of {max(lacking, 0)} more replicas before it votes"
        if state.claiming:
            silent_because += f"; replicas {sorted(state.claiming)} say that it has signed more than its log holds"
    elif state.diverged_at is not None:
        silent_because = f"its block {state.diverged_at} differs from the one that a quorum certified"
    elif state.changing_view:
        silent_because = f"it asked for view {state.may_vote_from_view}, which has not begun"
    return EngineStatus(
        engine="pbft",
        epoch=state.validators.epoch,
        view=state.view,
        primary=state.primary,
        replica_id=state.replica_id,
        changing_view=state.changing_view,
        voting=state.may_vote,
        silent_because=silent_because,
        low_watermark=state.low,
        high_watermark=state.high,
        last_proposed=max(state.last_proposed, state.low),
        last_decided=state.last_delivered,
        last_executed=state.last_executed,
        stable_checkpoint=state.low,
        batches_waiting=sum(map(len, state.waiting.values())),
        sequences_in_flight=sum(1 for slot in state.slots.values() if slot.pre_prepare and not slot.decided),
        running_timers=tuple(sorted(state.timers)),
        view_changes_seen={r: vc.new_view for r, vc in sorted(state.view_changes.items()) if vc.new_view > state.view},
        missing=tuple(missing(state)),
        timeout_ms=leaving.timeout_ms(state),
        failed_views=state.views_without_progress,
        epoch_end=state.epoch_end,
        outdated=state.outdated,
        highest_certified=max(state.low, 0 if state.highest_certificate is None else state.highest_certificate.height),
        own_batches_waiting=len(state.waiting.get(-1 if state.replica_id is None else state.replica_id, ())),
    )


def why_outdated(state: State) -> str:
    if not state.outdated_by:
        return "its vote log is missing, or of another life than its ledger"
    return f"its vote log ends at position {state.position}, but it has signed {state.outdated_by}"


def missing(state: State) -> list[str]:
    """Return, in words, what the oldest unfinished step waits for."""
    sentences: list[str] = []
    everyone = set(range(state.validators.n))
    if state.changing_view and state.own_view_change is not None:
        wish = state.own_view_change.new_view
        asking = {replica for replica, vc in state.view_changes.items() if vc.new_view >= wish}
        if len(asking) < state.validators.quorum:
            sentences.append(f"view {wish} is asked for by {names(asking)}; {state.validators.quorum} must ask")
        else:
            primary = names([state.validators.primary(wish)])
            sentences.append(f"view {wish} is asked for by {names(asking)}; its primary, {primary}, has to begin it")
    if state.epoch_end and not state.ended:
        sentences.append(f"the epoch ends with block {state.epoch_end}")
    if (known := state.certified_at_status[-1]) > state.last_executed:
        sentences.append(f"block {known} is certified, and block {state.last_executed} the last that executed here")
    for sequence, slot in sorted(state.slots.items()):
        if slot.decided:
            continue
        if slot.candidate is not None:
            lacking = batches.missing(state, slot.candidate.proposal)
            if lacking:
                sentences.append(f"sequence {sequence}: {len(lacking)} batches of its proposal are not here yet")
        elif slot.pre_prepare is not None:
            # Votes for another proposal, which a liar can cause, do not count.
            phase, voters = ("commit", slot.committers()) if slot.own_commit else ("prepare", slot.preparers())
            absent = everyone - voters
            sentences.append(f"sequence {sequence} has {_share(state, absent)} {phase}s, none from {names(absent)}")
        break
    if state.last_executed > state.low:
        votes, own = state.checkpoints.get(state.low + 1, {}), state.blocks.get(state.low + 1)
        absent = everyone - {r for r, vote in votes.items() if own in (None, (vote.block_hash, vote.epoch_end))}
        share = _share(state, absent)
        sentences.append(f"the certificate of block {state.low + 1} has {share} signatures, none from {names(absent)}")
    return sentences


def _share(state: State, absent: Collection[int]) -> str:
    return f"{state.validators.n - len(absent)} of {state.validators.quorum}"


def names(replicas: Collection[int]) -> str:
    """Write "replica 2" or "replicas 0, 2 and 3"."""
    texts = [str(replica) for replica in sorted(replicas)]
    if len(texts) < 2:
        return f"replica {''.join(texts) or 'none'}"
    return f"replicas {', '.join(texts[:-1])} and {texts[-1]}"
