"""What bounties with a condition wait for, so that a random life comes to their end: whose word counts, who lacks an
accreditation or a bond for it, and which condition is met. The situations of several operations steer by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.reference.attestations import holds
from tests.reference.contributions import LESS_IS_BETTER
from tests.reference.state import organization_of


class Waiting(NamedTuple):
    """A contribution that was accepted for a bounty, and what the bounty is still not paid for."""

    bounty: bytes
    contribution: bytes
    about: tuple[bytes, int, Any, bytes, int]
    """(asset, version, metric, data set, its version)"""
    bound: int
    missing: int
    """How many organizations have to say more than have said it; 0 or less where it can be claimed."""
    silent: frozenset[str]
    """The organizations whose word would count, and that have said nothing that does."""


def apart(state: Any, asset_id: bytes, accounts: Iterable[bytes]) -> frozenset[str]:
    """Return the organizations that have no part in an asset, and none of these accounts."""
    asset = state.assets[asset_id]
    involved = {organization_of(state, one) for one in (*asset["shares"], *asset["creators"], *accounts)}
    return frozenset(set(state.organizations) - involved - {asset["organization"]})


def waiting(state: Any) -> list[Waiting]:
    """Return what was accepted for a bounty by which it is not paid yet."""
    found = []
    for key, row in state.contributions.items():
        bounty = state.bounties.get(row["bounty"])
        if bounty is None or bounty["condition"] is None or row["version"] is None:
            continue
        metric, bound, dataset, dataset_version, evaluators = bounty["condition"]
        about = (row["asset"], row["version"], metric, dataset, dataset_version)
        others = apart(state, row["asset"], (row["manager"], row["maker"], bounty["opener"]))
        heard = {
            one["organization"]: one["said"]
            for statement, one in state.statements.items()
            if (one["kind"], one["about"]) == ("evaluation", about) and holds(state, statement)
        }
        agreed = {name for name in others & set(heard) if meets(metric, heard[name], bound)}
        found.append(Waiting(row["bounty"], key, about, bound, evaluators - len(agreed), others - agreed))
    return found


def meets(metric: str, said: int, bound: int) -> bool:
    return said <= bound if metric in LESS_IS_BETTER else said >= bound


def fulfillable(state: Any) -> list[Waiting]:
    """Return what enough organizations could still confirm."""
    return [one for one in waiting(state) if 0 < one.missing <= len(one.silent) and measurable(state, one)]


def measurable(state: Any, one: Waiting) -> bool:
    """Whether neither the version nor the data set was taken down."""
    asset, version, _, dataset, dataset_version = one.about
    measured = ((asset, version), (dataset, dataset_version))
    return all(state.assets[key]["versions"][number - 1]["cid"] not in state.down for key, number in measured)


def needed(state: Any) -> set[str]:
    """Return the organizations whose word some bounty waits for."""
    return {name for one in fulfillable(state) for name in one.silent}


def wanted_work(state: Any) -> dict[bytes, bytes]:
    """Return asset -> bounty that nobody works for yet: one that the opener awards, or one with a condition that enough
    organizations could confirm."""
    named = {row["bounty"] for row in state.contributions.values()}
    found = {}
    for key, bounty in state.bounties.items():
        asset = state.assets[bounty["asset"]]
        if key in named or state.now >= bounty["closes"] or asset["retired"] or asset["recall"] is not None:
            continue
        others = apart(state, bounty["asset"], (bounty["opener"], asset["manager"]))
        if bounty["condition"] is None or len(others) >= bounty["condition"][4]:
            found[bounty["asset"]] = key
    return found
