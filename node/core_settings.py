"""From `node.toml` to what the deciding parts are told."""

from __future__ import annotations

from consensus.pbft.configuration import Configuration as EngineConfiguration
from node.batcher import BatchLimits
from node.configuration import Configuration
from node.core_values import CoreConfiguration
from node.pool import PoolLimits
from p2p.gossip.configuration import GossipConfiguration


def core_configuration(settings: Configuration) -> CoreConfiguration:
    consensus, batching = settings.consensus, settings.batching
    return CoreConfiguration(
        engine=EngineConfiguration(
            pipeline_depth=consensus.pipeline_depth,
            suspicion_timeout_ms=consensus.suspicion_timeout_ms,
            suspicion_timeout_cap_ms=consensus.suspicion_timeout_cap_ms,
            turn_ms=consensus.turn_ms,
            status_period_ms=consensus.status_period_ms,
            clock_tolerance_ms=consensus.clock_tolerance_ms,
            heartbeat_ms=consensus.heartbeat_ms,
        ),
        batches=BatchLimits(batching.batch_transactions_max, batching.batch_bytes_max),
        pool=PoolLimits(
            batching.pool_transactions_max, batching.pool_bytes_max, batching.organization_transactions_per_second
        ),
        sync_signatures=settings.sync.signatures,
    )


def gossip_configuration(settings: Configuration, *, votes: bool) -> GossipConfiguration:
    """What a node that votes is a source of: the places next to it are all filled, for they make the trees flat."""
    wanted, defaults = settings.gossip, GossipConfiguration()
    return GossipConfiguration(
        active_max=wanted.active_view,
        own_choices=min(defaults.own_choices, wanted.active_view // 2),
        places_left=0 if votes else defaults.places_left,
        passive_max=wanted.passive_view,
        messages_per_second=wanted.messages_per_second,
        bytes_per_second=wanted.bytes_per_second,
    )
