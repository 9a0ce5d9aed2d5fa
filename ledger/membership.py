"""How the validator set may change from one epoch to the next. Pure functions over records.

The limits are asked when a change is proposed, when it is approved, and when the next set is made. A change that would
break one then waits, in its place, for the end of the next epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final, Literal, NamedTuple

import msgspec

from ledger.validators import ValidatorRecord
from primitives.finality import VALIDATORS_MAX, Bytes32, Natural
from primitives.quorum import fault_bound

VALIDATORS_MIN: Final = 4
"""No change may leave fewer: with 3 validators not a single fault is survived. A development network may begin with 1
to 3 and grow."""
PENDING_MAX: Final = 64
"""Approved changes that wait to take effect; a further one cannot be approved."""

Members = tuple[ValidatorRecord, ...]


class PendingChange(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An approved change. State record, key: `membership-change/` + order of approval (8 bytes, big endian)."""

    kind: Literal["add", "remove", "rekey"]
    node_id: str
    """Whom it is about: the validator's present node id, or the new validator's."""
    record: ValidatorRecord | None
    """What the validator becomes; None when it is removed."""
    proposal: Bytes32
    expires_at_ms: Natural
    """When it lapses if it has not taken effect."""
    ready: bool
    """Whether it may take effect: a removal at once, else when the new key has shown that its node follows."""


class Limit(Enum):
    """Why a change cannot be."""

    TOO_FEW = "the set would have fewer than four validators"
    TOO_MANY = "the set would be larger than a set may be"
    POWER = "an organization would have more validators than may be faulty"
    NODE_TAKEN = "the node id is that of a validator or of a candidate"
    KEY_TAKEN = "the signing key is that of a validator or of a candidate"
    UNKNOWN_NODE = "no validator of the current set has this node id"
    NODE_PENDING = "another approved change of this validator waits to take effect"
    PENDING_FULL = "too many approved changes wait to take effect"


class NextSet(NamedTuple):
    members: Members
    applied: tuple[int, ...]
    """Orders of the changes that the set contains."""


def turnover_max(n: int) -> int:
    """Return how many of `n` validators may be replaced, or enter, at the end of one epoch."""
    return max(1, fault_bound(n))


def refusal(
    members: Members, pending: Sequence[PendingChange], change: PendingChange, *, development: bool
) -> Limit | None:
    """Say why `change` cannot join the `pending` ones; None when it can.

    Sizes and powers are judged as if everything pending had taken effect: two changes that are harmless alone may not
    be together.
    """
    if len(pending) >= PENDING_MAX:
        return Limit.PENDING_FULL
    if change.kind != "add":
        if all(member.node_id != change.node_id for member in members):
            return Limit.UNKNOWN_NODE
        if any(other.node_id == change.node_id for other in pending):
            return Limit.NODE_PENDING
    taken = _taken(change, [*members, *(other.record for other in pending if other.record is not None)])
    if taken is not None:
        return taken
    projected = members
    for other in pending:
        projected = _applied(projected, other) or projected
    after = _applied(projected, change)
    return Limit.UNKNOWN_NODE if after is None else _broken(projected, after, development=development)


def next_set(members: Members, pending: Mapping[int, PendingChange], *, development: bool) -> NextSet:
    """Apply the `pending` changes, by order of approval, that are ready and break no limit.

    What one change makes possible for an earlier one, it does in the same epoch: a network of four can replace a
    validator.
    """
    working, waiting, applied = members, sorted(order for order in pending if pending[order].ready), []
    progress = True
    while progress:
        progress = False
        for order in tuple(waiting):
            after = _applied(working, pending[order])
            if after is None or _broken(working, after, development=development) is not None:
                continue
            if _turnover(members, after) > turnover_max(len(members)):
                continue
            working, progress = after, True
            waiting.remove(order)
            applied.append(order)
    return NextSet(working, tuple(applied))


def _taken(change: PendingChange, others: Iterable[ValidatorRecord]) -> Limit | None:
    """Say whether somebody else has the node id or the key that `change` brings."""
    if change.record is None:
        return None
    for other in others:
        if change.kind == "rekey" and other.node_id == change.node_id:
            continue
        if other.node_id == change.record.node_id:
            return Limit.NODE_TAKEN
        if other.signing_key == change.record.signing_key:
            return Limit.KEY_TAKEN
    return None


def _applied(members: Members, change: PendingChange) -> Members | None:
    """Return the set with `change`, or None where it has nothing to act on. New validators come last."""
    if _taken(change, members) is not None:
        return None
    if change.kind == "add":
        assert change.record is not None
        return (*members, change.record)
    if all(member.node_id != change.node_id for member in members):
        return None
    if change.record is None:
        return tuple(member for member in members if member.node_id != change.node_id)
    return tuple(_rekeyed(member, change.record) if member.node_id == change.node_id else member for member in members)


def _rekeyed(member: ValidatorRecord, record: ValidatorRecord) -> ValidatorRecord:
    """Return the new record; who keeps the signing key keeps the incarnation with it."""
    if record.account != member.account:
        return record
    return msgspec.structs.replace(record, incarnation=member.incarnation)


def _broken(before: Members, after: Members, *, development: bool) -> Limit | None:
    """Say which limit the step from `before` to `after` breaks."""
    if len(after) < VALIDATORS_MIN and len(after) < len(before):
        return Limit.TOO_FEW
    if len(after) > VALIDATORS_MAX:
        return Limit.TOO_MANY
    if not development:
        bound = fault_bound(len(after))
        if any(count > bound for count in Counter(member.organization for member in after).values()):
            return Limit.POWER
    return None


def _turnover(before: Members, after: Members) -> int:
    """Return how many keys enter or leave, whichever are more: a validator with a new key counts as another one."""
    old, new = ({member.signing_key for member in members} for members in (before, after))
    return max(len(old - new), len(new - old))
