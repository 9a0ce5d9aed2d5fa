"""Metrics of the parts that assembly joins and that state none themselves."""

from __future__ import annotations

from collections.abc import Iterator

from node.artifact_scrubber import ArtifactScrubber
from node.mender import Mender
from node.metrics import Reading
from node.scrubber import Scrubber


def damage_readings(mender: Mender, scrubber: Scrubber | None, artifacts: ArtifactScrubber | None) -> Iterator[Reading]:
    """What was damaged, what was put back, and how far the scrubs are."""
    yield Reading("guildmark_damage_found", "Reads of the ledger that met damage", mender.found, kind="counter")
    yield Reading("guildmark_damage_mended", "Records of the ledger put back", mender.mended, kind="counter")
    if artifacts is not None:
        yield Reading(
            "guildmark_artifact_scrub_blocks", "Artifact blocks read by the scrub", artifacts.blocks, kind="counter"
        )
        yield Reading("guildmark_artifact_blocks_rotten", "Blocks that had rotted", artifacts.damaged, kind="counter")
    if scrubber is not None:
        position = min(1.0, scrubber.pass_bytes / max(1, scrubber.total_bytes))
        yield Reading("guildmark_scrub_position", "How far the scrub is, of 1", position)
        yield Reading("guildmark_scrub_bytes", "Bytes read by the scrub", scrubber.read_bytes, kind="counter")
        yield Reading("guildmark_scrub_passes", "Times everything was read", scrubber.passes, kind="counter")
