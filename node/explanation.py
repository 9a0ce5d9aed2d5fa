"""Why a node is committing, or is not: in values for programs and in sentences for people.

Pure: the values of the moment go in, an `Explanation` comes out. `guildmark status --why` and `/v1/consensus` show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from consensus.engine import EngineStatus
from p2p.peers import PeerInfo
from primitives.quorum import quorum

SILENT_MS: Final = 5_000
"""A connected peer unheard of for so long counts as absent: links carry a ping every two seconds."""
STALL_MS: Final = 2_000
"""Work that waits longer without a commit is worth a word. Shorter waits are the ordinary course."""
_NOISE: Final = re.compile(r"\Aunreachable: |\w+Error: |\[Errno -?\d+\] ")
"""What the links' reasons hold for developers: this node's own word for the state, types and numbers of errors."""

Verdict = Literal["committing", "idle", "waiting", "not-committing", "following", "not-following"]
"""The last two of a node that is no validator."""
MemberState = Literal["this node", "connected", "silent", "unreachable", "not linked"]
"""The last where this node wants no link."""


class Validator(msgspec.Struct, frozen=True):
    """A member of the epoch's validator set; its place in the list is its replica id."""

    node_id: str
    organization: str
    address: str


class MemberView(msgspec.Struct, frozen=True):
    """A validator as this node sees it."""

    replica: int
    organization: str
    node_id: str
    address: str
    state: MemberState
    detail: str
    """Why there is no link to it, or for how long it has been silent."""
    primary: bool
    asks_for_view: int | None
    """The view that it asks for, where that is above ours."""


class Following(msgspec.Struct, frozen=True):
    """What a node that is no validator depends on."""

    role: Literal["observer", "unregistered"]
    neighbors: int
    """Nodes of any kind with a link."""
    turned_out: bool = False
    """Whether nodes ended their links because their ledger names this one no more, and no other has a link to it."""


class Progress(msgspec.Struct, frozen=True):
    """What waits here, and since when nothing moves. Times are milliseconds of this process's life."""

    certified_height: int
    pool_transactions: int
    committed_ms_ago: int | None
    """Since this process saw a block committed; None before the first."""
    waiting_ms: int
    """How long work has waited since the last commit; 0 when none waits."""
    sync_target: int | None
    height: int
    diverged: bool
    sync: tuple[str, ...] = ()
    """What synchronization says of itself."""


class Explanation(msgspec.Struct, frozen=True):
    """The answer to "why?"."""

    verdict: Verdict
    summary: str
    why: tuple[str, ...]
    """Sentences, the most telling first; empty when all is well."""
    members: tuple[MemberView, ...]
    needed: int
    """Validators that must take part."""
    answering: int
    """Validators that answer, this node included."""
    progress: Progress


def work_waits(engine: EngineStatus, pool_transactions: int) -> bool:
    """Tell whether anything is there to be committed."""
    return bool(
        pool_transactions
        or engine.sequences_in_flight
        or engine.batches_waiting
        or engine.last_executed > engine.stable_checkpoint
        or engine.epoch_end > engine.stable_checkpoint
    )


def members_of(
    engine: EngineStatus, validators: Sequence[Validator], peers: Mapping[str, PeerInfo], own_node: str
) -> tuple[MemberView, ...]:
    """Return every validator as this node sees it, in order of replica id."""
    found = []
    for replica, validator in enumerate(validators):
        state, detail = _link(peers.get(validator.node_id), validator.node_id == own_node)
        found.append(
            MemberView(
                replica=replica,
                organization=validator.organization,
                node_id=validator.node_id,
                address=validator.address,
                state=state,
                detail=detail,
                primary=engine.replica_id is not None and replica == engine.primary,  # others follow no views
                asks_for_view=engine.view_changes_seen.get(replica),
            )
        )
    return tuple(found)


def explain(
    engine: EngineStatus,
    members: Sequence[MemberView],
    progress: Progress,
    standing: Sequence[str] = (),
    following: Following | None = None,
) -> Explanation:
    """Judge whether the node takes part in commits, and say what stands in the way.

    `standing` says what the node's part in the epoch adds: not in the set, or waiting to rejoin it. With `following`
    the node has links to a few others only, and what it does not hear of says nothing about the validators.
    """
    absent = [member for member in members if member.state in ("silent", "unreachable")]
    looked_at = members if following is None or not following.neighbors else ()
    why = tuple(_reasons(engine, looked_at, progress, standing))
    if following is None:
        verdict, summary = _judge(engine, members, absent, progress)
    else:
        verdict, summary = _judge_following(following, progress)
    answering = sum(1 for member in members if member.state in ("this node", "connected"))
    return Explanation(verdict, summary, why, tuple(members), quorum(len(members)), answering, progress)


def _judge(
    engine: EngineStatus, members: Sequence[MemberView], absent: Sequence[MemberView], progress: Progress
) -> tuple[Verdict, str]:
    answering, needed = len(members) - len(absent), quorum(len(members))
    last = _last_commit(progress)
    if answering < needed:
        lack = f"{answering} of {len(members)} validators answer, and {needed} are needed"
        return "not-committing", f"Not committing: {lack}. Missing: {_and([_name(member) for member in absent])}."
    if progress.diverged:
        return "not-committing", "Not committing: this node's state differs from the one that a quorum certified."
    if progress.sync_target is not None:
        behind = f"at height {progress.height}, {progress.sync_target} is certified"
        return "not-committing", f"Catching up: this node is fetching blocks ({behind})."
    if engine.replica_id is not None and not engine.voting and not engine.changing_view:
        return "not-committing", f"Not voting: {engine.silent_because or 'still starting'}. {last}"
    if progress.waiting_ms > STALL_MS:
        return "waiting", f"Waiting: work has been pending for {_span(progress.waiting_ms)} without a commit. {last}"
    if progress.waiting_ms or work_waits(engine, progress.pool_transactions):
        return "committing", f"Committing. {last}"
    return "idle", f"Nothing waits to be committed. {last}"


def _judge_following(following: Following, progress: Progress) -> tuple[Verdict, str]:
    last = _last_commit(progress)
    if progress.diverged:
        return "not-following", "Not following: this node's state differs from the one that a quorum certified."
    if following.turned_out:
        why = "it was withdrawn, or its organization suspended"
        return "not-following", f"Not following: the others' ledger does not name this node any more: {why}. {last}"
    if not following.neighbors:
        wait = "its registration, and until then no node lets it in" if following.role == "unregistered" else "a link"
        return "not-following", f"Not following: this node waits for {wait}. {last}"
    if progress.sync_target is not None:
        behind = f"at height {progress.height}, {progress.sync_target} is certified"
        return "not-following", f"Catching up: this node is fetching blocks ({behind})."
    if progress.waiting_ms > STALL_MS:
        return "waiting", f"Waiting: work has been pending for {_span(progress.waiting_ms)} without a commit. {last}"
    what = "an observer" if following.role == "observer" else "a node that the ledger does not name"
    nodes = "1 node" if following.neighbors == 1 else f"{following.neighbors} nodes"
    return "following", f"Following as {what}, through {nodes}. {last}"


def _reasons(
    engine: EngineStatus, members: Sequence[MemberView], progress: Progress, standing: Sequence[str]
) -> Iterator[str]:
    for member in members:
        if member.state in ("silent", "unreachable"):
            leads = f", the primary of view {engine.view}," if member.primary else ""
            detail = f": {member.detail}" if member.detail else ""
            yield f"{_name(member)}{leads} is {member.state}{detail}"
    if progress.sync_target is not None:
        yield f"this node synchronizes: it is at height {progress.height} of {progress.sync_target}"
    yield from progress.sync
    if engine.silent_because and engine.replica_id is not None:
        yield f"this node does not vote: {engine.silent_because}"
    yield from standing
    yield from engine.missing
    if not engine.changing_view:  # else the engine has said it
        for member in members:
            if member.asks_for_view:
                yield f"{_name(member)} asks for view {member.asks_for_view}"
    if progress.waiting_ms > STALL_MS:
        if progress.pool_transactions:
            one = progress.pool_transactions == 1
            yield f"{progress.pool_transactions} transaction{' of a client waits' if one else 's of clients wait'} here"
        yield from _timers(engine)


def _timers(engine: EngineStatus) -> Iterator[str]:
    limit = f"within {_span(engine.timeout_ms)}" if engine.timeout_ms else "in time"
    if "suspicion" in engine.running_timers:
        yield f"the suspicion timer runs: if nothing is decided {limit}, view {engine.view + 1} is asked for"
    elif "new-view" in engine.running_timers:
        yield f"the new-view timer runs: if the view does not begin {limit}, the next one is asked for"
    if engine.failed_views > 1:
        yield f"{engine.failed_views} views in a row have decided nothing, and timers are longer for it"


def _link(peer: PeerInfo | None, own: bool) -> tuple[MemberState, str]:
    if own:
        return "this node", ""
    if peer is None:
        return "unreachable", "it is not registered with this node"
    if not peer.connected:
        return ("unreachable", _NOISE.sub("", peer.last_reason)) if peer.wanted else ("not linked", "")
    if peer.silent_ms > SILENT_MS:
        return "silent", f"nothing heard for {_span(peer.silent_ms)}"
    return "connected", ""


def _name(member: MemberView) -> str:
    return f"replica {member.replica} ({member.organization})"


def _last_commit(progress: Progress) -> str:
    if progress.certified_height == 0:
        return "No block has been committed yet."
    if progress.committed_ms_ago is None:
        return f"The last committed block is {progress.certified_height}, from before this process started."
    return f"Block {progress.certified_height} was committed {_span(progress.committed_ms_ago)} ago."


def _span(ms: int) -> str:
    if 0 < ms < 1_000:
        return f"{ms} ms"
    seconds = ms // 1_000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7_200 else f"{seconds // 3_600} h"


def _and(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
