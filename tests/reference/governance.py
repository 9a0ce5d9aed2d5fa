"""Decisions of all organizations: proposals, one vote and one objection each, delays, parameters, supply, takedowns.

Who validates and who is a member does not change here. A proposal, a `motion` beside those of charters, is a
dictionary; votes and objections are lists in order. Parameters are a dictionary by name, and what the other domains
read of them is set anew with each block.
"""

from __future__ import annotations

from typing import Any

from ledger.modules.governance import operations as ops
from primitives.codec import encode
from primitives.digest import tagged_hash
from tests.reference.credits import move
from tests.reference.state import TREASURY, Call, Refused, drop_deadline, is_cid, is_party, need, set_deadline

OPEN_MAX = 8
AMOUNT_MAX = 2**63 - 1
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
RANGES = {
    # On development networks; what others may have is in docs/spec/governance.md.
    "window": (8, 4_096),
    "proposal_bytes_max": (65_536, 8_388_608),
    "batches_per_proposal_max": (1, 1_024),
    "lifetime_ms": (5 * SECOND, 10 * MINUTE),
    "replay_ids_max": (10_000, 10_000_000),
    "deadlines_per_block_max": (1, 1_000),
    "commitment_age_ms": (0, HOUR),
    "commitment_lifetime_ms": (MINUTE, 7 * DAY),
    "fee_bps": (0, 500),
    "escrow_timeout_ms": (SECOND, 90 * DAY),
    "offer_lifetime_ms_max": (MINUTE, 365 * DAY),
    "quota_records_per_organization": (100, 10**9),
    "quota_bytes_per_organization": (10**5, 10**12),
    "quota_deadlines_per_organization": (10, 10**7),
    "recovery_delay_ms": (0, 10 * DAY),
    "voting_period_ms": (MINUTE, 90 * DAY),
    "dispute_answer_ms": (MINUTE, 30 * DAY),
    "dispute_voting_ms": (MINUTE, 90 * DAY),
    "dispute_appeal_ms": (MINUTE, 30 * DAY),
    "dispute_bond_min": (1, 10**15),
    "admission_lifetime_ms": (MINUTE, 90 * DAY),
    "rejoin_interval_ms": (0, DAY),
    "artifact_bytes_max": (1_024, 2**46),
    "attestation_bond_min": (1, 10**15),
    "attestation_bond_max": (1, 10**15),
    "decision_delay_ms": (SECOND, 30 * DAY),
    "payment_delay_ms": (SECOND, 30 * DAY),
}
OF_CONSENSUS = ("window", "proposal_bytes_max", "batches_per_proposal_max")
READ_AS = {
    "lifetime_ms": "lifetime",
    "deadlines_per_block_max": "deadlines_per_block",
    "commitment_age_ms": "commitment_age",
    "commitment_lifetime_ms": "commitment_lifetime",
    "fee_bps": "fee_bps",
    "escrow_timeout_ms": "escrow_timeout",
    "offer_lifetime_ms_max": "offer_lifetime",
    "artifact_bytes_max": "artifact_bytes",
    "recovery_delay_ms": "recovery_delay",
    "dispute_answer_ms": "answer_time",
    "dispute_voting_ms": "voting_time",
    "dispute_appeal_ms": "appeal_time",
    "dispute_bond_min": "bond_min",
    "voting_period_ms": "voting_period",
    "decision_delay_ms": "decision_delay",
    "payment_delay_ms": "payment_delay",
    "window": "window",
}
"""Parameter -> how the domains call it."""


def begin(parameters: Any) -> dict[str, int]:
    """The parameters of a genesis; the two that it may leave out are three days and one."""
    given = {name: getattr(parameters, name) for name in RANGES}
    left_out = {"decision_delay_ms": 3 * DAY, "payment_delay_ms": DAY}
    return {name: left_out[name] if type(value) is not int else value for name, value in given.items()}


def put_in_force(state: Any) -> None:
    """What was decided up to the last block holds from this one on."""
    for name, attribute in READ_AS.items():
        setattr(state, attribute, state.parameters[name])
    state.attestation_bonds = (state.parameters["attestation_bond_min"], state.parameters["attestation_bond_max"])


def end_block(state: Any) -> None:
    """With an epoch's last block its limits give way to those that were decided."""
    if state.height == state.epoch_end:
        state.parameters.update(state.next_limits)
        state.next_limits.clear()
        state.epoch_end = 0


def known_room(state: Any) -> int:
    """How much can still be minted."""
    return int(AMOUNT_MAX - state.supply)


# --- what may be proposed


def plain(change: Any) -> tuple[Any, ...]:
    """The change as a tuple of plain values, its kind first."""
    if isinstance(change, ops.SetParameters):
        return ("set_parameters", tuple((entry.name, entry.value) for entry in change.values))
    if isinstance(change, ops.Mint | ops.Burn | ops.Pay):
        return (type(change).__name__.lower(), change.account, change.amount)
    if isinstance(change, ops.TakeDown):
        return ("take_down", change.artifact, change.reason, change.report)
    assert isinstance(change, ops.RestoreArtifact), "no other change is proposed in the random ledgers"
    return ("restore_artifact", change.artifact)


def check(state: Any, change: tuple[Any, ...]) -> None:
    """Refuse a change that could not be brought about as things stand."""
    kind, *rest = change
    if kind == "set_parameters":
        changed_parameters(state, rest[0])
    elif kind == "mint":
        account, amount = rest
        need(state.supply + amount <= AMOUNT_MAX, "governance.supply")
        need(account is None or is_party(state, account), "governance.unknown_account")
    elif kind == "burn":
        account, amount = rest
        need(account is None or state.accounts[account]["frozen"] <= state.now, "organizations.frozen")
        need(state.balances.get(account or TREASURY, 0) >= amount, "credits.insufficient")
    elif kind == "pay":
        account, amount = rest
        need(is_party(state, account), "governance.unknown_account")
        need(state.balances.get(TREASURY, 0) >= amount, "credits.insufficient")
    elif kind == "take_down":
        artifact, _, report = rest
        need(report is None or is_cid(report), "governance.text")
        need(artifact in state.claims, "assets.unknown_artifact")
        need(artifact not in state.down, "assets.taken_down")
    else:
        need(rest[0] in state.down, "assets.not_taken_down")


def changed_parameters(state: Any, values: tuple[tuple[str, int], ...]) -> dict[str, int]:
    """The parameters as they would be, with what waits for the epoch's end."""
    names = set()
    changed = {**state.parameters, **state.next_limits}
    for name, value in values:
        need(name != "opaque_bundles", "governance.parameter_fixed")
        need(name in RANGES, "governance.unknown_parameter")
        need(name not in names, "governance.parameter_repeated")
        low, high = RANGES[name]
        need(low <= value <= high, "governance.parameter_range")
        names.add(name)
        changed[name] = value
    need(changed["attestation_bond_min"] <= changed["attestation_bond_max"], "governance.parameter_rules")
    need(changed["commitment_age_ms"] < changed["commitment_lifetime_ms"], "governance.parameter_rules")
    return changed


def bring_about(state: Any, proposal: bytes, change: tuple[Any, ...]) -> None:
    check(state, change)
    kind, *rest = change
    if kind == "set_parameters":
        changed = changed_parameters(state, rest[0])
        limits = {name: changed[name] for name in OF_CONSENSUS}
        present = {name: state.parameters[name] for name in OF_CONSENSUS}
        state.parameters = changed | present
        state.next_limits = {} if limits == present else limits
        if state.next_limits and not state.epoch_end:
            state.epoch_end = state.height + state.window
    elif kind in ("mint", "burn"):
        account, amount = rest
        amount = amount if kind == "mint" else -amount
        state.supply += amount
        holder = account or TREASURY
        state.balances[holder] = state.balances.get(holder, 0) + amount
    elif kind == "pay":
        move(state, TREASURY, rest[0], rest[1])
    elif kind == "take_down":
        state.down[rest[0]] = (rest[1], rest[2], proposal, state.now)
    else:
        del state.down[rest[0]]


# --- deciding


def representative(call: Call) -> str:
    need(call.state.accounts[call.sender]["vouches"], "governance.not_a_representative")
    return call.organization


def known(call: Call, proposal: bytes) -> dict[str, Any]:
    need(proposal in call.state.motions, "governance.unknown_proposal")
    found: dict[str, Any] = call.state.motions[proposal]
    return found


def propose(call: Call, operation: ops.Propose) -> None:
    state, organization = call.state, representative(call)
    need(operation.text is None or is_cid(operation.text), "governance.text")
    identifier = tagged_hash("governance-proposal", call.id + encode(operation.change))
    need(identifier not in state.motions, "governance.proposal_exists")
    change = plain(operation.change)
    need(change[0] != "burn" or change[1] in (None, call.sender), "governance.not_your_account")
    check(state, change)
    pending = [
        row
        for row in state.motions.values()
        if row["organization"] == organization and row["state"] in ("open", "waiting")
    ]
    need(len(pending) < OPEN_MAX, "governance.too_many_proposals")
    closes = call.now + state.voting_period
    state.motions[identifier] = {
        "organization": organization,
        "proposer": call.sender,
        "change": change,
        "proposed": call.now,
        "closes": closes,
        "state": "open",
        "approvals": [],
        "refusals": [],
        "executes": 0,
        "objections": [],
        "failure": "",
    }
    set_deadline(state, closes, "governance.voting_end", identifier, organization)


def vote(call: Call, operation: ops.Vote) -> None:
    """More than two thirds of all decide at once, whatever is proposed; so does a third against it."""
    state, organization = call.state, representative(call)
    row = known(call, operation.proposal)
    need(row["state"] == "open" and call.now < row["closes"], "governance.voting_closed")
    need(organization not in row["approvals"] + row["refusals"], "governance.already_voted")
    row["approvals" if operation.approve else "refusals"].append(organization)
    everybody = len(state.organizations)
    passed = len(row["approvals"]) * 3 > everybody * 2
    if passed or len(row["refusals"]) * 3 >= everybody:
        drop_deadline(state, row["closes"], "governance.voting_end", operation.proposal)
        if passed:
            approved(state, operation.proposal)
        else:
            row["state"] = "rejected"


def approved(state: Any, proposal: bytes) -> None:
    """Parameters, supply and payments wait; artifacts go down at once."""
    row = state.motions[proposal]
    kind = row["change"][0]
    if kind in ("take_down", "restore_artifact"):
        bring_about(state, proposal, row["change"])
        row["state"] = "approved"
        return
    row["state"] = "waiting"
    row["executes"] = state.now + (state.payment_delay if row["change"][0] == "pay" else state.decision_delay)
    set_deadline(state, row["executes"], "governance.delay_end", proposal, row["organization"])


def object_to(call: Call, operation: ops.Object) -> None:
    state, organization = call.state, representative(call)
    row = known(call, operation.proposal)
    need(row["state"] == "waiting" and call.now < row["executes"], "governance.not_waiting")
    need(organization not in row["objections"], "governance.already_objected")
    row["objections"].append(organization)
    if len(row["objections"]) * 3 >= len(state.organizations):
        drop_deadline(state, row["executes"], "governance.delay_end", operation.proposal)
        row["state"] = "stopped"


def voting_ends(call: Call, proposal: bytes) -> None:
    """Payments are carried by half of all and two thirds of those that voted; nothing else is approved by silence."""
    row = call.state.motions[proposal]
    approve, refuse = len(row["approvals"]), len(row["refusals"])
    half = approve * 2 > len(call.state.organizations)
    if row["change"][0] == "pay" and half:
        if approve * 3 > (approve + refuse) * 2:
            approved(call.state, proposal)
        else:
            row["state"] = "rejected"
    else:
        row["state"] = "expired"


def delay_ends(call: Call, proposal: bytes) -> None:
    row = call.state.motions[proposal]
    try:
        bring_about(call.state, proposal, row["change"])
    except Refused as refused:
        row.update(state="failed", failure=refused.code)
    else:
        row["state"] = "executed"


OPERATIONS = {ops.Propose: propose, ops.Vote: vote, ops.Object: object_to}
DEADLINES = {"governance.voting_end": voting_ends, "governance.delay_end": delay_ends}
