"""The chain's parameters: values that every validator must share, because a difference would fork the chain.

The ranges below are hard: neither a genesis file nor a later vote can leave them. What may differ between nodes
(timeouts, pipeline depth, batch sizes) is local configuration and not here.

    parameters                        Parameters
    parameters-next                   ConsensusLimits   while a change of them waits for the epoch's end
    consensus-limits/ + epoch (8)     ConsensusLimits   from that epoch on, where they were changed
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Final, NamedTuple

import msgspec

from ledger.errors import InvalidGenesis
from ledger.state.view import Readable, StateView, Table

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

LIFETIME_MS_MAX: Final = 10 * MINUTE_MS
"""The longest lifetime that `lifetime_ms` may give a transaction; no executed id is needed for longer."""
FEE_BPS_MAX: Final = 500
DEADLINES_PER_BLOCK_MAX: Final = 1_000


def _range(low: int, high: int) -> msgspec.Meta:
    return msgspec.Meta(ge=low, le=high)


QuotaRecords = Annotated[int, _range(100, 10**9)]
QuotaBytes = Annotated[int, _range(10**5, 10**12)]
QuotaDeadlines = Annotated[int, _range(10, 10**7)]
DelayMs = Annotated[int, _range(SECOND_MS, 30 * DAY_MS)]
RECOVERY_DELAY_MS_MIN: Final = 7 * DAY_MS
DECISION_DELAY_MS_MIN: Final = DAY_MS
PAYMENT_DELAY_MS_MIN: Final = 6 * HOUR_MS
"""These three on anything but development networks."""


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Chain parameters with their defaults. Decoding refuses what leaves a range; `validate` does it for built
    values."""

    window: Annotated[int, _range(8, 4_096)] = 256
    """Sequences between the low and the high watermark of consensus."""
    proposal_bytes_max: Annotated[int, _range(64 * 1024, 8 * 1024 * 1024)] = 4 * 1024 * 1024
    """Bytes of transactions that one proposal may order."""
    batches_per_proposal_max: Annotated[int, _range(1, 1_024)] = 64
    lifetime_ms: Annotated[int, _range(5 * SECOND_MS, LIFETIME_MS_MAX)] = 2 * MINUTE_MS
    """A transaction executes only while its expiry is at most so far ahead of block time."""
    replay_ids_max: Annotated[int, _range(10_000, 10_000_000)] = 1_000_000
    """Executed ids held against replays (about 93 B each); beyond it admission refuses, execution never does."""
    deadlines_per_block_max: Annotated[int, _range(1, DEADLINES_PER_BLOCK_MAX)] = DEADLINES_PER_BLOCK_MAX
    """Deadlines swept at the start of one block; the rest waits for the next block."""
    commitment_age_ms: Annotated[int, _range(0, HOUR_MS)] = 10 * SECOND_MS
    """Least age of a commitment at its reveal; 0 only on development networks. Less than f + 1 turns of consensus, and
    validators that lead can hold a reveal back until a commitment of their own is old enough."""
    commitment_lifetime_ms: Annotated[int, _range(MINUTE_MS, 7 * DAY_MS)] = DAY_MS
    fee_bps: Annotated[int, _range(0, FEE_BPS_MAX)] = 250
    """The network's share of every payment, to the treasury."""
    escrow_timeout_ms: Annotated[int, _range(SECOND_MS, 90 * DAY_MS)] = DAY_MS
    """How long a payment waits for the availability of what it bought before it returns to the payer."""
    offer_lifetime_ms_max: Annotated[int, _range(MINUTE_MS, 365 * DAY_MS)] = 30 * DAY_MS
    """The longest time that a transfer or license offer may stay open."""
    quota_records_per_organization: QuotaRecords = 1_000_000
    quota_bytes_per_organization: QuotaBytes = 10**9
    """Bytes of keys and values of the records that an organization's accounts created."""
    quota_deadlines_per_organization: QuotaDeadlines = 100_000
    """These three unless the consortium has voted for others for an organization."""
    recovery_delay_ms: Annotated[int, _range(0, 10 * DAY_MS)] = RECOVERY_DELAY_MS_MIN
    """How long an account's owners may veto its recovery before it can be completed; below 7 days only on development
    networks."""
    voting_period_ms: Annotated[int, _range(MINUTE_MS, 90 * DAY_MS)] = 7 * DAY_MS
    """How long organizations may vote on a proposal."""
    dispute_answer_ms: Annotated[int, _range(MINUTE_MS, 30 * DAY_MS)] = 7 * DAY_MS
    """How long the respondents of a dispute may answer before the vote."""
    dispute_voting_ms: Annotated[int, _range(MINUTE_MS, 90 * DAY_MS)] = 7 * DAY_MS
    """How long arbiters may vote on a dispute, and again on its appeal."""
    dispute_appeal_ms: Annotated[int, _range(MINUTE_MS, 30 * DAY_MS)] = 7 * DAY_MS
    """How long the loser of a dispute may appeal; nothing is carried out before."""
    dispute_bond_min: Annotated[int, _range(1, 10**15)] = 1_000_000
    """The least bond of a dispute, in minor units."""
    attestation_bond_min: Annotated[int, _range(1, 10**15)] = 1_000_000
    """The least bond for which an account can be accredited to state something about versions, in minor units."""
    attestation_bond_max: Annotated[int, _range(1, 10**15)] = 10**12
    """The greatest such bond, in minor units; not below the least."""
    admission_lifetime_ms: Annotated[int, _range(MINUTE_MS, 90 * DAY_MS)] = 7 * DAY_MS
    """How long an approved change of the validator set waits until it can take effect; then it lapses."""
    rejoin_interval_ms: Annotated[int, _range(0, DAY_MS)] = 10 * MINUTE_MS
    """Least time between two rejoins of one validator; below `LIFETIME_MS_MAX` only on development networks. A rejoin
    that waits in some pool while its validator loses the number and rejoins with another would, if it could still be
    executed, take the vote back from it: whatever lifetime it was signed under, it has expired by then."""
    artifact_bytes_max: Annotated[int, _range(1024, 2**46)] = 2**36
    """The largest artifact that a version may register."""
    opaque_bundles: bool | msgspec.UnsetType = msgspec.UNSET
    """Whether `ledger.opaque` bundles are ordered; true only on development networks. It is left out of a genesis that
    does not speak of it, so networks without it are what they were."""
    decision_delay_ms: DelayMs | msgspec.UnsetType = msgspec.UNSET
    """How long an approved change of parameters or of the supply waits for objections before it takes effect; below a
    day only on development networks. Left out as `opaque_bundles` is; `value` knows the default."""
    payment_delay_ms: DelayMs | msgspec.UnsetType = msgspec.UNSET
    """The same for payments from the treasury and what is decided as they are; below 6 hours only on development
    networks."""

    def value(self, name: str) -> int:
        """Return the value of the parameter `name` that is in force: what was left out has its default."""
        given = getattr(self, name)
        return DEFAULTS[name] if given is msgspec.UNSET else int(given)

    def validate(self, *, development: bool) -> None:
        """Check the ranges and what they may be together.

        Raises:
            InvalidGenesis: `genesis.parameter`, naming the parameter and its range.
        """
        try:
            msgspec.convert(msgspec.to_builtins(self), Parameters)
        except msgspec.ValidationError as error:
            raise InvalidGenesis("genesis.parameter", f"parameters: {error}") from error
        self.check_together(development=development)

    def check_together(self, *, development: bool) -> None:
        """Check what values that are each in their range may be together.

        Raises:
            InvalidGenesis: as `validate`.
        """
        if not development:
            for name, least in LEAST_OUTSIDE_DEVELOPMENT.items():
                if self.value(name) < least:
                    raise InvalidGenesis(
                        "genesis.parameter", f"parameters.{name}: below {least} is for development networks only"
                    )
        if self.opaque_bundles is True and not development:
            raise InvalidGenesis(
                "genesis.parameter", "parameters.opaque_bundles: true is for development networks only"
            )
        if self.attestation_bond_min > self.attestation_bond_max:
            raise InvalidGenesis(
                "genesis.parameter", "parameters.attestation_bond_min must not be above parameters.attestation_bond_max"
            )
        if self.commitment_age_ms >= self.commitment_lifetime_ms:
            raise InvalidGenesis(
                "genesis.parameter", "parameters.commitment_age_ms must be below parameters.commitment_lifetime_ms"
            )


DEFAULTS: Final[Mapping[str, int]] = {
    "opaque_bundles": 0,
    "decision_delay_ms": 3 * DAY_MS,
    "payment_delay_ms": DAY_MS,
} | {name: value for name, value in msgspec.structs.asdict(Parameters()).items() if value is not msgspec.UNSET}
"""Parameter -> what it is where nobody has said anything."""
LEAST_OUTSIDE_DEVELOPMENT: Final[Mapping[str, int]] = {
    "commitment_age_ms": 1,
    "recovery_delay_ms": RECOVERY_DELAY_MS_MIN,
    "rejoin_interval_ms": LIFETIME_MS_MAX,
    "decision_delay_ms": DECISION_DELAY_MS_MIN,
    "payment_delay_ms": PAYMENT_DELAY_MS_MIN,
}
"""Parameter -> its least value on anything but development networks, where that is above the range's end."""


class Bounds(NamedTuple):
    """The range of one parameter, ends included."""

    low: int
    high: int


@lru_cache(maxsize=2)
def bounds(*, development: bool) -> Mapping[str, Bounds]:
    """Return the range of every parameter that is a number, in order of declaration."""
    found: dict[str, Bounds] = {}
    for field in msgspec.inspect.type_info(Parameters).fields:  # type: ignore[attr-defined]  # of a Struct
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        for kind in kinds:
            if isinstance(kind, msgspec.inspect.IntType):
                assert kind.ge is not None
                assert kind.le is not None
                least = 0 if development else LEAST_OUTSIDE_DEVELOPMENT.get(field.name, 0)
                found[field.name] = Bounds(max(kind.ge, least), kind.le)
    return found


class ConsensusLimits(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The parameters that replicas are built with. All validators of an epoch share them, so they change with epochs
    only."""

    window: int
    proposal_bytes_max: int
    batches_per_proposal_max: int


_PARAMETERS: Final = Table[Parameters](b"parameters", Parameters)
_NEXT: Final = Table[ConsensusLimits](b"parameters-next", ConsensusLimits)
_LIMITS: Final = Table[ConsensusLimits](b"consensus-limits/", ConsensusLimits)
_EPOCH_BYTES: Final = 8


def write_parameters(view: StateView, parameters: Parameters) -> None:
    """Make `parameters` the chain's from the next block on."""
    _PARAMETERS.put(view, parameters)


def read_parameters(view: Readable) -> Parameters:
    """Return the chain's parameters."""
    parameters = _PARAMETERS.get(view)
    assert parameters is not None, "the genesis block writes the parameters"
    return parameters


def coming_parameters(view: Readable) -> Parameters:
    """Return the parameters as they will be when what is decided has taken effect: with those of consensus that wait
    for the epoch's end."""
    waiting = _NEXT.get(view)
    present = read_parameters(view)
    return present if waiting is None else msgspec.structs.replace(present, **msgspec.structs.asdict(waiting))


def change_parameters(view: StateView, changed: Parameters) -> bool:
    """Make `changed`, which is valid, the chain's from the next block on, but for the limits of consensus: those wait
    for the next epoch. Return whether any do."""
    now, wanted = limits_of(read_parameters(view)), limits_of(changed)
    if wanted != now:
        _NEXT.put(view, wanted)
    elif _NEXT.get(view) is not None:
        _NEXT.delete(view)
    write_parameters(view, msgspec.structs.replace(changed, **msgspec.structs.asdict(now)))
    return wanted != now


def begin_epoch(view: StateView, epoch: int) -> None:
    """Give the epoch that begins the limits that have waited for it."""
    waiting = _NEXT.get(view)
    if waiting is None:
        return
    _NEXT.delete(view)
    write_parameters(view, msgspec.structs.replace(read_parameters(view), **msgspec.structs.asdict(waiting)))
    _LIMITS.put(view, waiting, epoch.to_bytes(_EPOCH_BYTES, "big"))


def limits_of(parameters: Parameters) -> ConsensusLimits:
    """Return what replicas need of `parameters`."""
    return ConsensusLimits(parameters.window, parameters.proposal_bytes_max, parameters.batches_per_proposal_max)


def consensus_limits(view: Readable, epoch: int, genesis: Parameters) -> ConsensusLimits:
    """Return the limits of an epoch that has begun: those of its last change, or of the genesis."""
    found = limits_of(genesis)
    for key, limits in _LIMITS.items(view):
        if int.from_bytes(key, "big") <= epoch:
            found = limits
    return found
