"""The consortium of a simulated network decides about its validators: proposals and votes of its organizations."""

from __future__ import annotations

from ledger.modules.fields import Operation
from ledger.modules.governance.operations import AddValidator, Propose, RemoveValidator, Vote
from ledger.modules.governance.records import proposal_id
from ledger.node_names import KEY_PREFIX
from ledger.transaction import build, transaction_id
from simulation.cluster import SimulatedCluster, seeded_key, validator_name


class Consortium:
    """Speaks for the organizations, each through its first account. Whoever submits is a node that is up."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self._said = 0

    def propose_to_add(self, index: int) -> bytes:
        """Propose to let in the node `index`, of the first organization; return the proposal's id."""
        cluster = self._cluster
        tls = seeded_key("tls", index, cluster.signatures)
        change = AddValidator(
            organization="member-0",
            node_id=validator_name(index, cluster.signatures),
            signing_key=cluster.signing_key(index).public_key,
            tls_certificate=b"certificate " + KEY_PREFIX + tls.public_key,
            address=f"127.0.0.1:{10_000 + index}",
        )
        return self._propose(change)

    def propose_to_remove(self, index: int) -> bytes:
        return self._propose(RemoveValidator(validator_name(index, self._cluster.signatures)))

    def _propose(self, change: AddValidator | RemoveValidator) -> bytes:
        data = self._say(0, Propose(change, "a change of the validators"))
        return proposal_id(transaction_id(data), change)

    def approve(self, proposal: bytes) -> None:
        """Let all organizations that have an account vote for it."""
        for account in range(min(len(self._cluster.accounts), len(self._cluster.genesis.organizations))):
            self._say(account, Vote(proposal, True))

    def _say(self, account: int, operation: Operation) -> bytes:
        cluster = self._cluster
        self._said += 1
        data = build(
            network_id=cluster.network_id,
            sender=cluster.accounts[account],
            key=cluster.account_key(account),
            operations=[operation],
            expires_at_ms=cluster.world.now_ms + 60_000,
            salt=b"governance" + self._said.to_bytes(6, "big"),
        )
        for node in cluster.nodes:
            if node.up:
                cluster.submit(node.index, data)
        return data
