"""The options that name what can be handed over: an asset, a share of one, a grant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from ledger.modules.transfers.operations import Thing


def thing_options(function: Any) -> Any:
    """Add `--asset`, `--share` and `--grant`, of which exactly one is given; read them with `read_thing`."""
    for option in reversed(
        [
            click.option("--asset", "whole_asset", metavar="ASSET", help="The whole asset."),
            click.option("--share", metavar="ASSET:BPS", help="Ten-thousandths of an asset."),
            click.option("--grant", metavar="GRANT", help="A license that the account holds."),
        ]
    ):
        function = option(function)
    return function


def read_thing(whole_asset: str | None, share: str | None, grant: str | None) -> Thing:
    """Turn the options into a thing. Raises a usage error."""
    from guildmark import transfers

    if [whole_asset, share, grant].count(None) != 2:
        raise click.UsageError("name exactly one of --asset, --share and --grant")
    if whole_asset is not None:
        return transfers.whole(whole_asset)
    if grant is not None:
        return transfers.grant(grant)
    assert share is not None
    asset, _, bps = share.partition(":")
    if not (bps.isascii() and bps.isdigit() and 1 <= int(bps[:6]) <= 9_999):
        raise click.UsageError(f"--share: write ASSET:BPS with 1 to 9999 bps, not {share!r}")
    return transfers.share(asset, int(bps))
