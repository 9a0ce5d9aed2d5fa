"""The laws, judged from outside over what correct replicas sign, write and do.

The judge believes no count of a replica: it has its own arithmetic, its own list of what each correct replica signed,
and its own reading of every certificate. So it needs no disaster to see a mistake: a vote counted wrongly is enough.

I1 agreement. I2 order. I3 validity. I4 certificates. I5 no double sign, in content and position, and no vote in a view
that was left. I6 persist before send, batches before votes, blocks before seals. I7 monotone. I8 what was prepared
survives. I9 no correct replica diverges. I13 bounds. I15 evidence and accusations hit liars only.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from consensus import engine
from consensus.messages import (
    NULL_PROPOSAL,
    Batch,
    BatchRequest,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Signed,
    Status,
    ViewChange,
    ViewChangeRequest,
    proposal_digest,
)
from consensus.pbft.early import EARLY_MESSAGES_MAX
from consensus.pbft.records import (
    Accepted,
    AskedForView,
    EnteredView,
    HeldBatch,
    LastPosition,
    Prepared,
    Record,
    SignedCheckpoint,
    decode_record,
)
from consensus.pbft.state import State
from primitives.finality import FinalityCertificate
from simulation.mutants.proofs import Proofs

if TYPE_CHECKING:
    from simulation.mutants.arena import Arena
    from simulation.mutants.host import Host

TIMESTAMP_SLACK_MS: Final = 60_000
"""A proposal may wait so long for its batches after its timestamp was looked at."""


class Violation(AssertionError):
    """A law is broken. The message names it; the seed repeats it."""


class Promises:
    """What is durable of one replica's promises, in the order of its log."""

    def __init__(self) -> None:
        self.messages: set[Signed] = set()
        """Its own, which may leave."""
        self.held: set[bytes] = set()
        """Digests of batches."""
        self.left_below = 0
        """It promised to vote in no view below."""
        self.entered = 0
        self.asked: tuple[int, ViewChange | None] = (0, None)
        self.prepared: dict[int, PreparedCertificate] = {}


class Judge:
    """Sees one run."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        n = arena.n
        self._faulty = max(f for f in range(n) if 3 * f < n)
        self._quorum = next(size for size in range(1, n + 1) if 2 * size - n > self._faulty)
        self._window = arena.configuration.window
        self._proofs = Proofs(n, self._quorum, self._window, self._correct)
        self._promises = [Promises() for _ in range(n)]
        self._contents: dict[tuple[object, ...], object] = {}
        self._positions: dict[tuple[int, int], Signed] = {}
        self._commits: dict[tuple[int, int, bytes], set[int]] = defaultdict(set)
        self._committed: dict[int, tuple[int, bytes]] = {}
        """Sequence -> the lowest view in which a quorum committed, and the digest."""
        self._begun: dict[bytes, tuple[int, int, dict[int, bytes]]] = {}
        """NewViews that correct replicas accepted: view, base, sequence -> digest."""
        self._blocks: dict[int, bytes] = {}
        self._reached: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._kept: dict[tuple[int, int], ViewChange] = {}
        """(replica, whose) -> the ViewChange that it keeps, looked at once."""
        self._diverged: set[tuple[int, int]] = set()

    def _fail(self, law: str, index: int, what: str) -> None:
        raise Violation(f"{law}: replica {index} {what} (at {self._arena.now_ms} ms)")

    def _correct(self, index: int) -> bool:
        """Tell whether everything is asked of a replica.

        Of one that lost its log it is as long as the others can remember for it, having lived all the time.
        """
        hosts = self._arena.hosts
        if index in self._arena.liars:
            return False
        return not hosts[index].lost or all(host.lives == 1 for host in hosts if host.index != index)

    # --- the log

    def on_persist(self, index: int, data: bytes) -> None:
        """A record is written, not yet durable: what the replica itself signed in it exists from now on."""
        record = decode_record(data)
        own = [message for message in promised(record) if message.replica == index]
        self._proofs.issued[index].update(own)
        if own and self._correct(index) and (index, self._arena.hosts[index].lives) in self._diverged:
            self._fail("S13", index, f"signs a {own[0].kind} although its ledger differs from the certified one")
        if self._correct(index) and isinstance(record, Accepted):
            self._check_accepted(index, record)

    def _check_accepted(self, index: int, record: Accepted) -> None:
        """What a replica may know when it accepts a proposal."""
        pre_prepare, arena = record.pre_prepare, self._arena
        state = arena.hosts[index].replica._state
        if not self._proofs.genuine(pre_prepare) or pre_prepare.replica != pre_prepare.view % arena.n:
            self._fail("I5", index, f"accepts a proposal that replica {pre_prepare.view % arena.n} did not sign")
        sequence, proposal = pre_prepare.sequence, pre_prepare.proposal
        if not state.low < sequence <= state.low + self._window:
            self._fail("I13", index, f"accepts {sequence} outside its window from {state.low}")
        if sequence <= state.view_top or pre_prepare.view != state.view:
            return  # a re-issue; or the view ended in the same step
        if proposal.proposer != pre_prepare.replica:
            self._fail("I3", index, f"accepts a proposal in the name of {proposal.proposer}")
        late_ms = abs(proposal.timestamp_ms - arena.clock(index)) - arena.configuration.clock_tolerance_ms
        if late_ms > TIMESTAMP_SLACK_MS:
            self._fail("I3", index, f"accepts a timestamp {late_ms} ms out of tolerance")
        repeated = len(set(proposal.batches)) != len(proposal.batches)
        if repeated or len(proposal.batches) > arena.configuration.batches_per_proposal_max:
            self._fail("I3", index, "accepts a proposal with too many or repeated batches")
        size = sum(state.batch_bytes.get(digest, 0) for digest in proposal.batches)
        if size > arena.configuration.proposal_bytes_max:
            self._fail("I3", index, f"accepts a proposal of {size} bytes")
        before = state.slots.get(sequence - 1)
        if (
            record.prepare is not None
            and sequence - 1 > max(state.view_base, state.low)
            and (before is None or before.pre_prepare is None)
        ):
            self._fail("I2", index, f"accepts {sequence} before {sequence - 1}")

    def on_durable(self, index: int, records: list[bytes]) -> None:
        """Records became durable, in this order."""
        mine = self._promises[index]
        for data in records:
            record = decode_record(data)
            if self._correct(index):
                self._check_record(index, mine, record)
            mine.messages.update(message for message in promised(record) if message.replica == index)
            self._note(index, mine, record)

    def on_rewritten(self, host: Host, records: list[bytes]) -> None:
        """R1: what replaces the log keeps the votes of this view, what they rest on, the wish for a later one, the last
        position, and the seals above the stable checkpoint."""
        index, state = host.index, host.replica._state
        if not self._correct(index):
            return
        kept = [decode_record(data) for data in records]
        messages = {message for record in kept for message in promised(record)}
        certified = {r.certificate.pre_prepare.sequence for r in kept if isinstance(r, Prepared)}
        mine = self._promises[index]
        for message in mine.messages - messages:
            above = getattr(message, "sequence", 0) > state.low
            if above and (isinstance(message, Checkpoint) or getattr(message, "view", -1) == state.view):
                self._fail("R1", index, f"truncates away its {message.kind} of {content_key(message)}")
        if lacking := {sequence for sequence in mine.prepared if sequence > state.low} - certified:
            self._fail("R1", index, f"truncates away the prepared certificates of {sorted(lacking)}")
        views = [record.view_change.new_view for record in kept if isinstance(record, AskedForView)]
        views += [record.new_view.view for record in kept if isinstance(record, EnteredView)]
        if mine.left_below > max(views, default=0):
            self._fail("R1", index, f"truncates away that it left the views below {mine.left_below}")
        last = max((record.position for record in kept if isinstance(record, LastPosition)), default=0)
        if last < (used := max((getattr(message, "position", 0) for message in mine.messages), default=0)):
            self._fail("R1", index, f"truncates away that it used the position {used}")
        held = {record.batch.digest for record in kept if isinstance(record, HeldBatch)}
        for record in kept:
            if isinstance(record, Accepted) and not held >= set(record.pre_prepare.proposal.batches):
                self._fail("R1", index, f"truncates away batches of its proposal {record.pre_prepare.sequence}")

    def _check_record(self, index: int, mine: Promises, record: Record) -> None:
        match record:
            case HeldBatch(batch=batch):
                if not self._proofs.genuine(batch):
                    self._fail("I3", index, f"holds a batch that {batch.author} did not make")
            case Accepted(pre_prepare=pre_prepare):
                if pre_prepare.view < mine.left_below:
                    self._fail("I5", index, f"votes in view {pre_prepare.view}, but promised {mine.left_below}")
                if lacking := set(pre_prepare.proposal.batches) - mine.held:
                    self._fail("I6", index, f"accepts a proposal without holding {len(lacking)} of its batches")
            case Prepared(certificate=certificate, commit=commit):
                self._check_prepared(index, mine, certificate, commit)
            case AskedForView(view_change=view_change):
                self._check_own_view_change(index, mine, view_change)
            case EnteredView():
                self._check_new_view(index, mine, record)
            case SignedCheckpoint(checkpoint=checkpoint):
                host = self._arena.hosts[index]
                if checkpoint.replica == index and checkpoint.sequence > host.height:
                    self._fail("I6", index, f"seals block {checkpoint.sequence} before it has executed it")

    def _note(self, index: int, mine: Promises, record: Record) -> None:
        match record:
            case HeldBatch(batch=batch):
                mine.held.add(batch.digest)
            case Prepared(certificate=certificate, commit=commit):
                mine.prepared[certificate.pre_prepare.sequence] = certificate
                if commit is not None and index not in self._arena.liars:
                    self._on_commit(commit)
            case AskedForView(view_change=view_change):
                mine.asked = (view_change.new_view, view_change)
                mine.left_below = max(mine.left_below, view_change.new_view)
            case EnteredView(new_view=new_view):
                mine.entered = new_view.view
                mine.left_below = max(mine.left_below, new_view.view)

    def _check_prepared(
        self, index: int, mine: Promises, certificate: PreparedCertificate, commit: Commit | None
    ) -> None:
        if commit is not None and commit.view < mine.left_below:
            self._fail("I5", index, f"commits in view {commit.view}, but promised {mine.left_below}")
        if commit is not None and commit.digest != proposal_digest(certificate.pre_prepare.proposal):
            self._fail("I5", index, "commits to something else than it saw prepared")
        if reason := self._proofs.why_not_prepared(certificate):
            self._fail("I4", index, f"takes as prepared what is not: {reason}")

    def _check_own_view_change(self, index: int, mine: Promises, message: ViewChange) -> None:
        """I8: a ViewChange shows all that its signer saw prepared above its stable checkpoint, in the highest view."""
        others = [self._promises[i] for i in range(self._arena.n) if i != index and self._correct(i)]
        reached = max([mine.entered, mine.asked[0], *(p.entered for p in others), *(p.asked[0] for p in others)])
        if message.new_view > reached + 1:
            self._fail("L10", index, f"asks for view {message.new_view}, correct ones for no more than {reached}")
        if message.new_view <= max(mine.asked[0], mine.entered):
            self._fail("I7", index, f"asks for view {message.new_view} after {mine.asked[0]}, {mine.entered}")
        low = 0 if message.stable is None else message.stable.height
        shown = {c.pre_prepare.sequence: c.pre_prepare.view for c in message.prepared}
        known = {s: c.pre_prepare.view for s, c in mine.prepared.items() if s > low}
        if shown != known:
            self._fail("I8", index, f"shows {shown} in its ViewChange, but saw {known} prepared")

    def _check_new_view(self, index: int, mine: Promises, record: EnteredView) -> None:
        """I8: a view begins as a quorum's ViewChanges imply, by the judge's own computation."""
        new_view, named = record.new_view, record.view_changes
        view, n = new_view.view, self._arena.n
        if view < mine.left_below or view <= mine.entered:
            self._fail("I7", index, f"enters view {view}, but promised {mine.left_below}")
        if new_view.replica != view % n or not self._proofs.genuine(new_view):
            self._fail("I5", index, f"enters view {view} without its primary's word")
        if tuple((vc.replica, vc.digest) for vc in named) != new_view.view_changes:
            self._fail("I8", index, f"enters view {view} with other ViewChanges than were named")
        if len({vc.replica for vc in named}) < self._quorum or any(vc.new_view != view for vc in named):
            self._fail("I4", index, f"enters view {view} that no quorum asked for")
        stable = 0
        best: dict[int, PrePrepare] = {}
        for view_change in named:
            if reason := self._proofs.why_bad_view_change(view_change):
                self._fail("I4", index, f"enters view {view} by a bad ViewChange of {view_change.replica}: {reason}")
            stable = max(stable, 0 if view_change.stable is None else view_change.stable.height)
            for certificate in view_change.prepared:
                sequence = certificate.pre_prepare.sequence
                if sequence not in best or best[sequence].view < certificate.pre_prepare.view:
                    best[sequence] = certificate.pre_prepare
        top = max([stable, *best])
        implied: dict[int, bytes] = {
            sequence: proposal_digest(best[sequence].proposal if sequence in best else NULL_PROPOSAL)
            for sequence in range(stable + 1, top + 1)
        }
        carried: dict[int, bytes] = {p.sequence: proposal_digest(p.proposal) for p in new_view.pre_prepares}
        if carried != implied:
            self._fail("I8", index, f"enters view {view}, which begins otherwise than its ViewChanges imply")
        if any(p.view != view or p.replica != view % n or not self._proofs.genuine(p) for p in new_view.pre_prepares):
            self._fail("I5", index, f"enters view {view} with re-issues that its primary did not sign")
        begun = self._begun[new_view.signature] = (view, stable, carried)
        for sequence in self._committed:
            self._check_survival(index, sequence, begun)

    def _check_survival(self, index: int, sequence: int, begun: tuple[int, int, dict[int, bytes]]) -> None:
        committed_in, digest = self._committed[sequence]
        view, base, carried = begun
        if view > committed_in and sequence > base and carried.get(sequence) != digest:
            self._fail("I8", index, f"is in view {view} without what view {committed_in} committed at {sequence}")

    # --- what is said

    def on_send_asked(self, host: Host, message: Message) -> None:
        """I6, by the contract of effects: what a message promises is written in an earlier effect, or list."""
        index = host.index
        if isinstance(message, BatchRequest | ViewChangeRequest | Status) or message.replica != index:
            return
        if self._correct(index) and message not in self._proofs.issued[index]:
            self._fail("I6", index, f"asks to send a {message.kind} before it asks to write it")

    def on_sent(self, host: Host, message: Message) -> None:
        """A replica sends, its own words or others'."""
        index = host.index
        if isinstance(message, BatchRequest | ViewChangeRequest | Status) or not self._correct(index):
            return
        if message.replica != index:
            if not self._proofs.genuine(message):
                self._fail("N11", index, f"passes on a {message.kind} that {message.replica} never signed")
            return
        if message not in self._promises[index].messages:
            self._fail("I6", index, f"sends a {message.kind} that is not durable in its log")
        if self._contents.setdefault(content_key(message), message) != message:
            self._fail("I5", index, f"signs two contents for {content_key(message)}")
        position = getattr(message, "position", None)
        if position is not None and self._positions.setdefault((index, position), message) != message:
            self._fail("I5", index, f"uses position {position} twice")

    def on_lie(self, liar: int, message: Message) -> None:
        """A liar's commits count, if it is one and they are truly signed."""
        if isinstance(message, Commit) and message.replica == liar and self._proofs.genuine(message):
            self._on_commit(message)

    def _on_commit(self, commit: Commit) -> None:
        key = (commit.view, commit.sequence, commit.digest)
        signers = self._commits[key]
        signers.add(commit.replica)
        if len(signers) != self._quorum:
            return
        view, sequence, digest = key
        known = self._committed.get(sequence)
        if known is not None and known[1] != digest:
            self._fail("I1", commit.replica, f"completes a second commit quorum at {sequence}")
        if known is None or view < known[0]:
            self._committed[sequence] = (view, digest)
            for begun in self._begun.values():
                self._check_survival(commit.replica, sequence, begun)

    # --- what is done

    def on_execute(self, host: Host, effect: engine.Execute) -> None:
        """I1-I4, before the ledger hears of it."""
        if not self._correct(host.index):
            return
        sequence, digest = effect.sequence, proposal_digest(effect.proposal)
        if tuple(batch.digest for batch in effect.batches) != effect.proposal.batches:
            self._fail("I3", host.index, f"executes other batches than {sequence} orders")
        for batch in effect.batches:
            if not self._proofs.genuine(batch):
                self._fail("I3", host.index, f"executes a batch that {batch.author} never made")
        if not any(
            len(signers) >= self._quorum
            for (_, place, content), signers in self._commits.items()
            if (place, content) == (sequence, digest)
        ):
            self._fail("I4", host.index, f"decides {sequence} without a quorum's commits")
        expected = host.executing[-1].sequence + 1 if host.executing else None
        if expected is not None and sequence != expected:
            self._fail("I2", host.index, f"executes {sequence}, not {expected}")

    def on_execute_asked(self, host: Host, effect: engine.Execute) -> None:
        """I2, when the replica decides to hand a sequence over: never one that its ledger has reached otherwise."""
        last = host.replica._state.last_executed
        if self._correct(host.index) and effect.sequence <= last:
            self._fail("I2", host.index, f"executes {effect.sequence} again after {last}")

    def on_block(self, host: Host) -> None:
        if not self._correct(host.index) or host.spoiled:
            return
        if self._blocks.setdefault(host.height, host.blocks[-1].block_hash) != host.blocks[-1].block_hash:
            self._fail("I1", host.index, f"has another block {host.height}")
        if host.executing and host.executing[0].sequence > host.height + 1:
            self._fail("I2", host.index, f"is to execute {host.executing[0].sequence} after {host.height}")

    def on_certificate(self, index: int, certificate: FinalityCertificate, *, certified: bool = False) -> None:
        """A replica relies on a certificate; `certified`: as one of a block that it executed."""
        if not self._correct(index):
            return
        if reason := self._proofs.why_not_final(certificate):
            self._fail("I4", index, f"takes a bad certificate of {certificate.height}: {reason}")
        host = self._arena.hosts[index]
        if certified and host.blocks[certificate.height].block_hash != certificate.block_hash:
            self._fail("S13", index, f"takes the certificate of {certificate.height} for its own, other block")

    def on_verdict(self, host: Host, effect: engine.Effect) -> None:
        """A replica accuses another, or finds fault with itself."""
        if not self._correct(host.index):
            return
        match effect:
            case engine.EvidenceFound(evidence=evidence) if self._correct(evidence.culprit):
                self._fail("I15", host.index, f"accuses {evidence.culprit}, who did nothing")
            case engine.Diverged():
                if not host.spoiled:
                    self._fail("I9", host.index, "believes that its ledger diverged")
                self._diverged.add((host.index, host.lives))
            case engine.Outdated() if not host.lost:
                self._fail("R6", host.index, "believes that its log forgot something")

    def on_synchronized(self, host: Host) -> None:
        self._diverged.discard((host.index, host.lives))

    def after_step(self, host: Host) -> None:
        """I7 and I13."""
        index, state = host.index, host.replica._state
        if not self._correct(index):
            return
        now = (state.view, state.low, state.last_executed)
        life = (index, host.lives)
        before = self._reached.get(life)
        if before is None and not host.lost and state.view < self._promises[index].entered:
            self._fail("I7", index, f"returns to view {state.view} after {self._promises[index].entered}")
        if before is not None and now != before and any(new < old for new, old in zip(now, before, strict=True)):
            self._fail("I7", index, f"falls from {before} to {now} (view, stable, executed)")
        self._reached[life] = now
        self._check_bounds(index, state)
        for replica, view_change in state.view_changes.items():
            if self._kept.get((index, replica)) is not view_change:
                self._kept[index, replica] = view_change
                if replica != index and (reason := self._proofs.why_bad_view_change(view_change)):
                    self._fail("I4", index, f"keeps a bad ViewChange of {replica}: {reason}")

    def _check_bounds(self, index: int, state: State) -> None:
        n, window = self._arena.n, self._window
        slots = state.slots
        if slots and (min(slots) <= state.low or max(slots) > state.low + window):
            self._fail("I13", index, f"keeps sequences {min(slots)}..{max(slots)}, its window is {state.low}+{window}")
        if len(state.view_changes) > n or len(state.pending_new_views) > n or len(state.prepared) > window:
            self._fail("I13", index, "keeps more ViewChanges, NewViews or certificates than there may be")
        if any(len(kept) > EARLY_MESSAGES_MAX for kept in state.early.values()) or len(state.early) > n:
            self._fail("I13", index, "keeps too many early messages")
        if len(state.decided) > 2 * window or any(s > state.low + window for s in state.checkpoints):
            self._fail("I13", index, "keeps too many decided proposals, or checkpoints beyond its window")


def promised(record: Record) -> list[Signed]:
    """Return the messages whose sending a record covers."""
    match record:
        case HeldBatch(batch=batch):
            return [batch]
        case Accepted(pre_prepare=pre_prepare, prepare=prepare):
            return [pre_prepare] if prepare is None else [pre_prepare, prepare]
        case Prepared(commit=commit):
            return [] if commit is None else [commit]
        case AskedForView(view_change=view_change):
            return [view_change]
        case EnteredView(new_view=new_view):
            return [new_view, *new_view.pre_prepares]
        case SignedCheckpoint(checkpoint=checkpoint):
            return [checkpoint]
    return []


def content_key(message: Signed) -> tuple[object, ...]:
    """Return what a correct replica signs at most once."""
    match message:
        case PrePrepare() | Prepare() | Commit():
            place: tuple[object, ...] = (message.view, message.sequence)
        case Checkpoint():
            place = (message.sequence,)
        case Batch():
            place = (message.number,)
        case ViewChange():
            place = (message.new_view,)
        case NewView():
            place = (message.view,)
        case _:
            place = (message,)
    return (message.kind, message.epoch, message.replica, *place)
