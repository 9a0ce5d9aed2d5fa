"""Who has a validator's key can speak in its name, and must not lead it away from the others."""

from __future__ import annotations

from consensus.messages import Batch, encode_message, sign
from ledger.modules.credits.operations import Transfer
from ledger.transaction import build
from p2p.channels import Channel
from primitives.list_root import list_root
from simulation.cluster import SimulatedCluster
from simulation.network import NetworkFaults

VICTIM = 1
THIEF = 3


def test_a_batch_in_our_name_that_we_did_not_make_is_checked_like_any_other() -> None:
    """R8: with a stolen key somebody makes a batch of a transaction that its sender never signed."""
    cluster = SimulatedCluster(7, 4, NetworkFaults())
    cluster.start()
    cluster.submit_transfer(VICTIM)
    assert cluster.world.run_until(lambda: min(cluster.heights()) == 1, 2_000)
    unsigned = build(
        network_id=cluster.network_id,
        sender=cluster.accounts[0],
        key=cluster.account_key(0),
        operations=[Transfer(cluster.accounts[1], 50)],
        expires_at_ms=cluster.world.now_ms + 60_000,
    )
    unsigned = unsigned[:-1] + bytes([unsigned[-1] ^ 1])
    items = (unsigned,)
    forged = Batch(0, VICTIM, 0, 40, list_root(items), items, bytes(64))
    payload = encode_message(sign(cluster.network_id, cluster.signing_key(VICTIM), forged))
    for receiver in range(4):
        if receiver != THIEF:
            cluster.network.transmit(THIEF, receiver, Channel.BATCHES, payload)
    cluster.world.run(1_000)
    identifier = cluster.submit_transfer(0)
    assert cluster.world.run_until(lambda: all(identifier in node.executed_ids for node in cluster.nodes), 20_000)
    assert max(cluster.heights()) >= 3
    assert cluster.agreed()
