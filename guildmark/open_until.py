"""Until when an offer, a sale or a consent stays open: what the caller says, within what the network allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guildmark.errors import InvalidArgument

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

SLACK_MS: Final = 60_000
"""By how much block time may lie behind the network's clock when the operation executes."""
HOUR_MS: Final = 3_600_000


async def open_until(client: AsyncClient, lifetime_ms: int, default_ms: int) -> int:
    """Return the end (Unix ms) of what is to stay open for `lifetime_ms`.

    `default_ms`, what stands where nobody said anything, is shortened where the network allows less.

    Raises:
        InvalidArgument: `argument.lifetime`, another lifetime that is longer than the network allows.
    """
    longest_ms = (await client.parameters()).offer_lifetime_ms_max
    if lifetime_ms > longest_ms and lifetime_ms != default_ms:
        limit = f"{longest_ms // HOUR_MS} hours" if longest_ms >= HOUR_MS else f"{longest_ms} ms"
        raise InvalidArgument("argument.lifetime", f"this network lets nothing stay open longer than {limit}")
    within_ms = min(lifetime_ms, max(longest_ms - SLACK_MS, longest_ms // 2))
    return await client.network_time_ms() + within_ms
