"""Setting up the workloads that trade in licenses, in a simulated network: assets that a quorum holds, and offers.

A simulated validator has no chunk store: it states that it holds what nobody ever uploads. Nothing under load asks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from artifacts.cid import raw_cid
from benchmarks.workloads.accounts import Identity
from benchmarks.workloads.trade import ARTIFACT_BYTES, State, Trade
from benchmarks.workloads.workload import Facts
from ledger.modules.assets.operations import Artifact, Commit, Register, ReportHeld, asset_id, commitment
from ledger.modules.licenses.operations import Offer, offer_id, terms_digest
from ledger.operations import Operation
from ledger.parameters import Parameters
from ledger.transaction import SALT_BYTES, transaction_id
from primitives.quorum import quorum

AGED_MS = 1_000
"""How much longer than it must a commitment ages."""


class Network(Protocol):
    """What setting up needs of the simulated network."""

    @property
    def now_ms(self) -> int: ...

    def make(self, sender: Identity, operations: Sequence[Operation]) -> bytes:
        """Sign a transaction."""
        ...

    def commit(self, transactions: Sequence[bytes]) -> None:
        """Submit, and let time pass until all are final. Raises BenchError `setup.refused`."""
        ...

    def wait(self, duration_ms: int) -> None: ...


def set_up(
    workload: Trade, facts: Facts, parameters: Parameters, validators: Sequence[Identity], network: Network
) -> dict[str, Any]:
    """Do what `workload.set_up` does in a real network, and return the same.

    Raises:
        BenchError: `setup.refused`, `workload.accounts`.
    """
    owners = [facts.accounts[at] for at in range(workload.assets(len(facts.accounts)))]
    contents = [random.Random(f"artifact {at} {owner.account.hex()}") for at, owner in enumerate(owners)]
    cids = [raw_cid(content.randbytes(ARTIFACT_BYTES)) for content in contents]
    salts = [content.randbytes(SALT_BYTES) for content in contents]

    def each(operation: Callable[[int], Operation]) -> list[bytes]:
        return [network.make(owner, (operation(at),)) for at, owner in enumerate(owners)]

    network.commit(each(lambda at: Commit(commitment(cids[at], owners[at].account, salts[at]))))
    network.wait(parameters.commitment_age_ms + AGED_MS)
    network.commit(
        each(lambda at: Register(Artifact(cids[at], ARTIFACT_BYTES), salts[at], "dataset", f"data set {at}"))
    )
    assets: list[bytes] = [
        asset_id(facts.network_id, owner.account, cid) for owner, cid in zip(owners, cids, strict=True)
    ]
    holders = validators[: quorum(len(validators))]
    network.commit([network.make(holder, (ReportHeld(asset, 1),)) for holder in holders for asset in assets])
    expires_at_ms = network.now_ms + parameters.offer_lifetime_ms_max // 2
    offers = each(lambda at: Offer(assets[at], workload.terms, expires_at_ms))
    network.commit(offers)
    digest = terms_digest(workload.terms)
    ids: list[bytes] = [
        offer_id(transaction_id(data), asset, digest) for data, asset in zip(offers, assets, strict=True)
    ]
    state: dict[str, Any] = msgspec.to_builtins(State(assets, ids, expires_at_ms), builtin_types=(bytes,))
    return state
