"""What kinds of change there are: what they ask for, how many must approve, and whether they wait for objections.

What waits loses nothing by waiting, and a decision that nobody noticed in time could not be taken back. What takes
effect at once would do harm by waiting: a stolen key goes on signing, an unlawful artifact goes on being served, a
validator that lies goes on voting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from ledger.modules.governance import accreditations, admission, artifacts, members, operations, parameters, treasury
from ledger.modules.module import Context

Threshold = Literal["all", "voters"]
"""`all`: more than two thirds of all organizations. `voters`: more than half of all, and more than two thirds of those
that voted, when the voting period is over."""
Delay = Literal["decision_delay_ms", "payment_delay_ms"]
"""Names the parameter."""


class Kind(NamedTuple):
    """How one kind of change is decided."""

    require_possible: Callable[[Context, bytes, Any], None]
    """(context, proposal, change): raises OperationError where an approval could not bring it about as things stand."""
    bring_about: Callable[[Context, bytes, Any], int]
    """The same, and does it. Returns the epoch's end where the change waits for that, else 0."""
    threshold: Threshold = "all"
    delay: Delay | None = None
    """None: it takes effect with the vote that decides, or with the epoch's end."""


def _plain(
    require_possible: Callable[[Context, Any], None],
    bring_about: Callable[[Context, Any], None],
    threshold: Threshold = "all",
    delay: Delay | None = None,
) -> Kind:
    """Make a kind of functions that do not ask which proposal it is."""

    def check(context: Context, _proposal: bytes, change: Any) -> None:
        require_possible(context, change)

    def act(context: Context, _proposal: bytes, change: Any) -> int:
        bring_about(context, change)
        return 0

    return Kind(check, act, threshold, delay)


def _take_artifact(context: Context, proposal: bytes, change: Any) -> int:
    artifacts.bring_about(context, proposal, change)
    return 0


def _accredit(context: Context, proposal: bytes, change: Any) -> int:
    accreditations.bring_about(context, proposal, change)
    return 0


_VALIDATORS: Final = Kind(admission.require_admissible, admission.admit)
_MEMBERS: Final = _plain(members.require_possible, members.bring_about)
_ARTIFACTS: Final = Kind(lambda context, _proposal, change: artifacts.require_possible(context, change), _take_artifact)
_ACCREDITATIONS: Final = Kind(
    lambda context, _proposal, change: accreditations.require_possible(context, change), _accredit
)
_SUPPLY: Final = _plain(treasury.require_possible, treasury.bring_about, "all", "decision_delay_ms")

KINDS: Final[Mapping[type, Kind]] = {
    operations.AddValidator: _VALIDATORS,
    operations.RemoveValidator: _VALIDATORS,
    operations.RekeyValidator: _VALIDATORS,
    operations.AdmitOrganization: _MEMBERS,
    operations.SuspendOrganization: _MEMBERS,
    operations.ReinstateOrganization: _MEMBERS,
    operations.RemoveOrganization: _MEMBERS,
    operations.SetQuota: _MEMBERS,
    operations.RecoverAccount: _MEMBERS,
    operations.TakeDown: _ARTIFACTS,
    operations.RestoreArtifact: _ARTIFACTS,
    operations.Accredit: _ACCREDITATIONS,
    operations.SuspendAccreditation: _ACCREDITATIONS,
    operations.ReinstateAccreditation: _ACCREDITATIONS,
    operations.EndAccreditation: _ACCREDITATIONS,
    operations.SetParameters: _plain(parameters.require_possible, parameters.bring_about, "all", "decision_delay_ms"),
    operations.Mint: _SUPPLY,
    operations.Burn: _SUPPLY,
    operations.Pay: _plain(treasury.require_possible, treasury.bring_about, "voters", "payment_delay_ms"),
}
"""Every kind of change that `Propose` may hold."""


def kind_of(change: Any) -> Kind:
    return KINDS[type(change)]
