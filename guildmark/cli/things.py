"""How commands name a version, and what can be handed over: an asset, a share of one, a grant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from guildmark.cli.numbers import VERSION, bps

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
    asset, colon, part = share.partition(":")
    if not colon:
        raise click.UsageError(f"--share: write ASSET:BPS, not {share[:80]!r}")
    return transfers.share(asset, bps(1, 9_999).read("--share ASSET:BPS", part))


def split_version(text: str) -> tuple[str, int | str | None]:
    """Read `ASSET[:VERSION]`; VERSION is a number or an alias, None where there is none."""
    asset, _, version = text.partition(":")
    return asset, int(version[:10]) if version.isascii() and version.isdigit() else version or None


def read_version(option: str, text: str, default: int | None = None) -> tuple[str, int]:
    """Read `ASSET:VERSION`; only where there is a `default`, the asset alone will do. Raises a usage error."""
    asset, colon, number = text.partition(":")
    if colon:
        return asset, VERSION.read(f"{option} ASSET:VERSION", number)
    if default is None:
        raise click.UsageError(f"{option}: write ASSET:VERSION, not {text[:80]!r}")
    return asset, default
