"""Metrics of gossip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from node.gossip_host import GossipHost
from node.metrics import Reading


def gossip_readings(gossip: GossipHost) -> Iterator[Reading]:
    status = gossip.status()
    views = {"active": float(len(status.active)), "passive": float(status.passive)}
    yield Reading("guildmark_gossip_view", "Nodes in the views of gossip", views, "view")
    for name, links in (("eager", status.eager), ("lazy", status.lazy)):
        counts = {kind: float(len(peers)) for kind, peers in links.items()}
        yield Reading(f"guildmark_gossip_{name}", f"Neighbors with {name} links, by kind", counts, "kind")
    for name, text, values in (
        ("delivered", "Payloads that came, each counted once", status.delivered),
        ("copies", "Payloads that came, repeated ones too", status.copies),
        ("sent", "Payloads pushed, or sent because they were asked for", status.pushed),
    ):
        yield Reading(f"guildmark_gossip_payloads_{name}", text, _floats(values), "kind", "counter")
    yield Reading("guildmark_gossip_pulls", "Payloads asked for that did not come", status.pulls, kind="counter")
    refusals = _floats(status.refusals)
    yield Reading("guildmark_gossip_refusals", "Messages refused or dropped, by reason", refusals, "reason", "counter")
    sent = _floats(gossip.bytes_sent)
    yield Reading("guildmark_gossip_bytes_sent", "Bytes sent, by the receiver's role", sent, "role", "counter")
    payloads = _floats(gossip.payload_bytes_sent)
    yield Reading("guildmark_gossip_payload_bytes_sent", "Bytes of payloads sent, by kind", payloads, "kind", "counter")
    yield Reading("guildmark_gossip_kept_bytes", "Bytes of payloads kept to answer pulls", status.kept_bytes)
    yield Reading("guildmark_gossip_missing", "Payloads announced and not here", status.missing)


def _floats(values: Mapping[str, int]) -> dict[str, float]:
    return {label: float(value) for label, value in values.items()}
