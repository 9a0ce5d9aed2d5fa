"""Lies about views and heights: false ViewChanges, NewViews made up, views out of reach, Status about oneself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from consensus.messages import (
    NULL_PROPOSAL,
    Checkpoint,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Signed,
    Status,
    ViewChange,
)
from primitives.finality import FinalityCertificate
from simulation.byzantine.liar import Behavior, Liar, Saying
from simulation.byzantine.voting import NO_SIGNATURE

replace: Any = msgspec.structs.replace
HUGE_VIEWS = (10**9, 2**32 - 1, 2**63 - 1)


class FalseViewChanges(Behavior):
    """ViewChanges that hide what was prepared, or show what was not: too few votes, bad signatures, later views."""

    name = "false view changes"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if not isinstance(message, ViewChange) or message.replica != liar.index:
            return [(receiver, message, 0)]
        return [(receiver, liar.sign(self.falsify(liar, message)), 0)]

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        """Whoever asks for a view is joined at once, with a lie."""
        if not isinstance(message, ViewChange) or message.replica in liar.conspiracy.members:
            return []
        own = replace(message, replica=liar.index, position=liar.position)
        return liar.to_all(liar.sign(self.falsify(liar, own)))

    def speak(self, liar: Liar) -> list[Saying]:
        """To those who are behind: a ViewChange for a view that they have yet to hear of, with what it prepared."""
        if not liar.conspiracy.certificates:
            return []
        view = liar.chance.choice(liar.conspiracy.certificates).pre_prepare.view
        bare = ViewChange(liar.epoch, liar.index, liar.position, max(1, view), None, (), NO_SIGNATURE)
        return liar.to_all(liar.sign(replace(bare, prepared=self._of_later_views(liar, bare, 0))))

    def falsify(self, liar: Liar, message: ViewChange) -> ViewChange:
        result: ViewChange
        match liar.chance.randrange(8):
            case 0:
                result = replace(message, prepared=())
            case 1:
                result = replace(message, prepared=self._made_up(liar, message))
            case 2:
                result = replace(message, prepared=self._of_later_views(liar, message))
            case 3:
                height = 1 + max((c.pre_prepare.sequence for c in message.prepared), default=0)
                height = max(height, 1 if message.stable is None else message.stable.height + 1)
                result = replace(message, stable=false_certificate(liar, message.epoch, height))
            case 4:
                result = replace(message, stable=None, prepared=())
            case 6:
                result = replace(message, stable=None, prepared=self._of_later_views(liar, message, 0))
            case 5:
                known = (c for c in self._of_later_views(liar, message) if c.pre_prepare.view < message.new_view)
                result = replace(message, prepared=tuple(replace(c, prepares=c.prepares[:1] * liar.n) for c in known))
            case _:
                known = (c for c in self._of_later_views(liar, message) if c.pre_prepare.view < message.new_view)
                result = replace(message, prepared=tuple(replace(c, prepares=c.prepares[:-1]) for c in known))
        return result

    def _made_up(self, liar: Liar, message: ViewChange) -> tuple[PreparedCertificate, ...]:
        """Proposals that the liar could have made as primary, prepared by whoever it likes."""
        past = range(max(0, message.new_view - 2 * liar.n), message.new_view)
        led = [view for view in past if view % liar.n == liar.index] or [message.new_view - 1]
        low = 0 if message.stable is None else message.stable.height
        view, sequence = led[-1], low + liar.chance.randint(1, 2)
        place = (message.epoch, liar.index, liar.position, view, sequence)
        proposal = replace(NULL_PROPOSAL, proposer=liar.index, timestamp_ms=1)
        pre_prepare = liar.sign(PrePrepare(*place, proposal, NO_SIGNATURE))
        names = liar.others if liar.chance.random() < 0.7 else liar.others[:1]
        prepares = tuple(
            liar.sign(Prepare(message.epoch, name, liar.position, view, sequence, pre_prepare.digest, NO_SIGNATURE))
            for name in names
        )
        return (PreparedCertificate(pre_prepare, prepares),)

    def _of_later_views(
        self, liar: Liar, message: ViewChange, low: int | None = None
    ) -> tuple[PreparedCertificate, ...]:
        """True certificates, of whatever view: the oldest known for each sequence, or one of a view not yet left."""
        if low is None:
            low = 0 if message.stable is None else message.stable.height
        found: dict[int, PreparedCertificate] = {}
        for certificate in liar.conspiracy.certificates:
            sequence = certificate.pre_prepare.sequence
            if sequence > low and certificate.pre_prepare.epoch == message.epoch:
                found.setdefault(sequence, certificate)
        return tuple(found[sequence] for sequence in sorted(found))


def false_certificate(liar: Liar, epoch: int, height: int, like: Checkpoint | None = None) -> FinalityCertificate:
    """Return a certificate that one signature makes: alone, repeated, or under all names.

    `like` is another's checkpoint: then the block is the true one, and its signer the second.
    """
    block_hash = liar.conspiracy.wrong_hash(height) if like is None else like.block_hash
    own = liar.sign(Checkpoint(epoch, liar.index, height, block_hash, 0, NO_SIGNATURE))
    names = liar.chance.choice([list(range(liar.n)), [liar.index] * liar.n, [liar.index]])
    signatures = [(name, own.signature) for name in names]
    if like is not None and len(names) == 1:
        signatures = sorted([*signatures, (like.replica, like.signature)])
    return FinalityCertificate(epoch, height, block_hash, own.epoch_end, tuple(signatures))


class FalseNewViews(Behavior):
    """As primary of a view: NewViews before anyone asked, by too few, with ViewChanges of other views, with re-issues
    left out or emptied; and the same NewView again when its view is over."""

    name = "false new views"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if not isinstance(message, NewView) or message.replica != liar.index:
            return [(receiver, message, 0)]
        reissued, named = message.pre_prepares, message.view_changes
        match liar.chance.randrange(5):
            case 4 if reissued:
                unsigned = replace(reissued[-1], signature=NO_SIGNATURE)
                changed = replace(message, pre_prepares=(*reissued[:-1], unsigned))
            case 0 if reissued:
                changed = replace(message, pre_prepares=reissued[:-1])
            case 1 if reissued:
                emptied = liar.sign(replace(reissued[0], proposal=NULL_PROPOSAL))
                changed = replace(message, pre_prepares=(emptied, *reissued[1:]))
            case 2:
                changed = replace(message, view_changes=named[:-1])
            case _:
                top = reissued[-1].sequence if reissued else 0
                own = replace(NULL_PROPOSAL, proposer=liar.index)
                extra = liar.sign(
                    PrePrepare(message.epoch, liar.index, liar.position, message.view, top + 1, own, NO_SIGNATURE)
                )
                changed = replace(message, pre_prepares=(*reissued, extra))
        return [(receiver, liar.sign(changed), 0)]

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        if not isinstance(message, ViewChange):
            return []
        early = self._of(liar, message.new_view, liar.conspiracy.view_changes.get(message.new_view, {}))
        # In the name of the view, with whatever anyone asked for: other views count for nothing in this one.
        mixed: dict[int, ViewChange] = {}
        for view in sorted(liar.conspiracy.view_changes):
            mixed |= liar.conspiracy.view_changes[view]
        led = message.new_view + (liar.index - message.new_view) % liar.n
        return liar.to_all(early, self._of(liar, message.new_view, mixed), self._of(liar, led, mixed))

    def speak(self, liar: Liar) -> list[Saying]:
        """A view in which the liar leads begins for nobody because it says so; and old ones do not begin again."""
        old = [message for message in liar.conspiracy.said if isinstance(message, NewView)]
        again = liar.to_all(liar.chance.choice(old)) if old else []
        view = liar.view + (liar.index - liar.view) % liar.n
        return [*again, *liar.to_all(self._of(liar, max(view, 1), {}))]

    def _of(self, liar: Liar, view: int, asking: dict[int, ViewChange]) -> NewView:
        named = tuple((replica, asking[replica].digest) for replica in sorted(asking))
        reissued = tuple(
            liar.sign(PrePrepare(liar.epoch, liar.index, liar.position, view, sequence, proposal, NO_SIGNATURE))
            for sequence, proposal in implied(asking.values())
        )
        return liar.sign(NewView(liar.epoch, liar.index, liar.position, view, named, reissued, NO_SIGNATURE))


def implied(asking: Iterable[ViewChange]) -> list[tuple[int, Proposal]]:
    """Return what a NewView with these ViewChanges would have to re-issue."""
    best: dict[int, PrePrepare] = {}
    low = 0
    for view_change in asking:
        low = max(low, 0 if view_change.stable is None else view_change.stable.height)
        for certificate in view_change.prepared:
            pre_prepare = certificate.pre_prepare
            known = best.get(pre_prepare.sequence)
            if known is None or known.view < pre_prepare.view:
                best[pre_prepare.sequence] = pre_prepare
    top = min(max([low, *best]), low + 64)
    return [(s, best[s].proposal if s in best else NULL_PROPOSAL) for s in range(low + 1, top + 1)]


class HugeViews(Behavior):
    """Messages of views that nobody will reach."""

    name = "huge views"

    def speak(self, liar: Liar) -> list[Saying]:
        view = liar.chance.choice([liar.view + 1, liar.view + 2, *(liar.view + huge for huge in HUGE_VIEWS)])
        view = min(view, 2**63 - 1)
        change = ViewChange(liar.epoch, liar.index, liar.position, view, None, (), NO_SIGNATURE)
        led = view - view % liar.n + liar.index
        if led > 2**63 - 1:
            led -= liar.n
        begun = NewView(liar.epoch, liar.index, liar.position, led, (), (), NO_SIGNATURE)
        votes = [
            liar.sign(Prepare(liar.epoch, liar.index, liar.position, view, sequence, bytes(32), NO_SIGNATURE))
            for sequence in liar.chance.sample(range(1, 40), 12)
        ]
        return liar.to_all(liar.sign(change), liar.sign(begun), *votes)


class LyingStatus(Behavior):
    """Heights too high and too low, votes held or lacked at will, claims of positions nobody signed."""

    name = "lying status"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if not isinstance(message, Status) or message.replica != liar.index:
            return [(receiver, message, 0)]
        chance = liar.chance
        lies = {
            "view": chance.choice([0, message.view, message.view + 1, 10**9]),
            "asked_view": chance.choice([message.asked_view, message.view, 2**62]),
            "last_executed": chance.choice([0, message.last_executed, message.last_executed + 1_000, 2**62]),
            "stable": chance.choice([None, message.stable, self._false_certificate(liar, message)]),
            "slots": chance.choice([(), message.slots]),
            "highest_position_seen": message.highest_position_seen + chance.choice([0, 1, 1_000, 2**40]),
        }
        return [(receiver, liar.sign(replace(message, **lies)), 0)]

    def _false_certificate(self, liar: Liar, message: Status) -> FinalityCertificate:
        seals = [heard for heard in liar.conspiracy.heard if isinstance(heard, Checkpoint)]
        if seals and liar.chance.random() < 0.7:
            return false_certificate(liar, seals[-1].epoch, seals[-1].sequence, seals[-1])
        return false_certificate(liar, message.epoch, message.last_executed + liar.chance.choice([0, 1, 100]))
