"""Epochs: which validator set is in force, when it ends, and what follows it.

A change of the set that is executed at height h ends the epoch at h + `window`, unless an end is known already. With
the block of that height the next set is made from the current one and from all changes that are approved and ready;
its header carries the set's hash, and the next block belongs to the next epoch. Nothing here is remembered outside the
state.

    epoch                                    Epoch
    epoch-end/         + epoch (8)           EpochEnd          of every epoch that has ended
    network                                  Network
    membership-change/ + order (8)           PendingChange     (ledger/membership.py)
    validators/        + epoch (8)           ValidatorSet      (ledger/validators.py)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from ledger import deadlines
from ledger.genesis import Genesis
from ledger.membership import NextSet, PendingChange, next_set
from ledger.parameters import begin_epoch, read_parameters
from ledger.state.view import Readable, StateView, Table
from ledger.validators import SETS_PREFIX, ValidatorSet, genesis_set, validator_set, write_set
from primitives.finality import Bytes32, Natural

CHANGE_EXPIRY: Final = "governance.change_expiry"
"""The deadline at which an approved change lapses; its subject is the proposal's id."""

_NUMBER_BYTES: Final = 8


class Rejoin(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A validator that takes part again, under another incarnation, from the next epoch on."""

    account: Bytes32
    incarnation: Natural


class Epoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The epoch of the next block."""

    number: Natural
    base: Natural
    """Height of the last block before the epoch: 0 for the first, to which the genesis block also belongs."""
    end: Natural
    """Height of the epoch's last block; 0 until it is known."""
    rejoin: Rejoin | None
    """At most one an epoch."""


class EpochEnd(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where an epoch ended: its last header names the next set."""

    height: Natural


class Network(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the genesis says of the network and the rules need to know."""

    development: bool


class ClosedBlock(NamedTuple):
    """What a block's header says of its epoch."""

    epoch: int
    epoch_end: int
    next_set: ValidatorSet | None
    """Only with an epoch's last block: the set of the next one."""


_EPOCH: Final = Table[Epoch](b"epoch", Epoch)
_ENDS: Final = Table[EpochEnd](b"epoch-end/", EpochEnd)
_NETWORK: Final = Table[Network](b"network", Network)
_PENDING: Final = Table[PendingChange](b"membership-change/", PendingChange)


def write_genesis_epoch(view: StateView, network_id: bytes, genesis: Genesis) -> ValidatorSet:
    """Begin epoch 0 with the genesis set; return the set."""
    members = genesis_set(network_id, genesis.validators)
    write_set(view, 0, members)
    _EPOCH.put(view, Epoch(0, 0, 0, None))
    _NETWORK.put(view, Network(genesis.development))
    return members


def current_epoch(view: Readable) -> Epoch:
    epoch = _EPOCH.get(view)
    assert epoch is not None, "the genesis block begins epoch 0"
    return epoch


def current_set(view: Readable) -> ValidatorSet:
    """Return the set of the current epoch."""
    members = validator_set(view, current_epoch(view).number)
    assert members is not None, "every epoch begins with its set"
    return members


def last_height(view: Readable, epoch: int) -> int | None:
    """Return the height of the last block of an epoch that has ended, else None."""
    end = _ENDS.get(view, _number(epoch))
    return None if end is None else end.height


def is_development(view: Readable) -> bool:
    network = _NETWORK.get(view)
    assert network is not None
    return network.development


def schedule_end(view: StateView, height: int, window: int) -> int:
    """End the epoch `window` blocks after `height`, unless its end is known; return the end.

    No replica accepts a sequence beyond that before it has executed `height`: its watermarks forbid it.
    """
    epoch = current_epoch(view)
    if epoch.end:
        return epoch.end
    _EPOCH.put(view, msgspec.structs.replace(epoch, end=height + window))
    return height + window


def note_rejoin(view: StateView, rejoin: Rejoin) -> None:
    """Give a validator its new incarnation at the end of this epoch."""
    epoch = current_epoch(view)
    assert epoch.rejoin is None
    _EPOCH.put(view, msgspec.structs.replace(epoch, rejoin=rejoin))


def pending_changes(view: Readable) -> dict[int, PendingChange]:
    """Return the approved changes that have not taken effect, by order of approval."""
    return {int.from_bytes(key, "big"): change for key, change in _PENDING.items(view)}


def add_pending(view: StateView, change: PendingChange) -> None:
    """Enter an approved change behind all others."""
    order = max(pending_changes(view), default=-1) + 1
    put_pending(view, order, change)
    deadlines.schedule(view, change.expires_at_ms, CHANGE_EXPIRY, change.proposal)


def put_pending(view: StateView, order: int, change: PendingChange) -> None:
    _PENDING.put(view, change, _number(order))


def remove_pending(view: StateView, order: int) -> None:
    _PENDING.delete(view, _number(order))


def touched(changes: Iterable[bytes], further: tuple[bytes, ...] = ()) -> bool:
    """Tell whether one of a block's changed keys is that of a set, of what waits to change it, or under one of
    `further` prefixes, which modules name."""
    prefixes = (_PENDING.prefix, SETS_PREFIX, *further)
    return any(key.startswith(prefixes) for key in changes)


def close_block(view: StateView, height: int) -> ClosedBlock:
    """Finish the block `height`: make the next set and begin the next epoch, with the limits of consensus that waited
    for it, if it is the epoch's last."""
    epoch = current_epoch(view)
    if epoch.end != height:
        assert epoch.end == 0 or epoch.end > height
        return ClosedBlock(epoch.number, epoch.end, None)
    chosen = _make_set(view, current_set(view), epoch)
    write_set(view, epoch.number + 1, chosen)
    _ENDS.put(view, EpochEnd(height), _number(epoch.number))
    # What had to wait counts as decided now, if it can take effect: else the next change ends the next epoch.
    waits = next_set(chosen.validators, pending_changes(view), development=is_development(view)).applied
    begin_epoch(view, epoch.number + 1)
    window = read_parameters(view).window
    _EPOCH.put(view, Epoch(epoch.number + 1, height, height + window if waits else 0, None))
    return ClosedBlock(epoch.number, epoch.end, chosen)


def _make_set(view: StateView, members: ValidatorSet, epoch: Epoch) -> ValidatorSet:
    pending = pending_changes(view)
    chosen: NextSet = next_set(members.validators, pending, development=is_development(view))
    for order in chosen.applied:
        change = pending[order]
        remove_pending(view, order)
        deadlines.cancel(view, change.expires_at_ms, CHANGE_EXPIRY, change.proposal)
    validators = chosen.members
    if epoch.rejoin is not None:
        back = epoch.rejoin
        validators = tuple(
            msgspec.structs.replace(member, incarnation=back.incarnation) if member.account == back.account else member
            for member in validators
        )
    return ValidatorSet(validators)


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER_BYTES, "big")
