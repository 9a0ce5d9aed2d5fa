"""By what right a contribution is made from its asset, asked before anything is sent: it begins with a commitment, and
who learns only from its end that a license does not do has paid for one and waited.

The chain decides. What only time is missing for is left to it, and so is what it alone knows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from guildmark.errors import NotFound, Refused
from guildmark.transport import pause
from ledger.modules.assets.operations import DerivingRight

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

GRANT_WAIT_S: Final = 3.0
"""How long a node may be behind another that has seen the grant."""
ENDED: Final = ("expired", "exhausted", "revoked", "superseded", "refunded")
"""States that a grant does not leave by itself. Others may be over when the commitment is revealed."""


async def require_right(
    client: AsyncClient, asset: Mapping[str, Any], right: DerivingRight, grant: bytes | None
) -> None:
    """Check that the client's account may derive from an asset (as `assets.get` tells it), by a grant or as an owner.

    Raises:
        NotFound, Refused: `licenses.unknown_grant`, `assets.derivation_*`, as the chain would refuse it.
    """
    account = client.signer().text
    if asset["kind"] == "dataset" and right != "train-on":
        raise Refused("assets.derivation_right", f"a data set is used by the right train-on, not by {right}")
    if grant is None:
        if not any(owner["account"] == account for owner in asset["owners"]):
            raise Refused(
                "assets.derivation_without_grant",
                f"{account} owns no share of the asset, and names no grant that gives the right {right}",
            )
        return
    _require_grant(await _grant(client, grant), asset["asset"], account, right)


async def _grant(client: AsyncClient, grant: bytes) -> Mapping[str, Any]:
    """Return a grant that may have been bought a moment ago, where the node that answers has not seen it yet."""
    given_up = time.monotonic() + GRANT_WAIT_S
    while True:
        try:
            held: Mapping[str, Any] = await client.licenses.get_grant(grant)
            return held
        except NotFound as error:
            if time.monotonic() >= given_up:
                raise NotFound("licenses.unknown_grant", f"there is no grant {grant.hex()}") from error
        await pause(0.2)


def _require_grant(held: Mapping[str, Any], asset: str, account: str, right: DerivingRight) -> None:
    name, terms = f"grant {held['grant']}", held["terms"]
    if held["asset"] != asset:
        raise Refused("assets.derivation_grant", f"{name} is for asset {held['asset']}")
    if held["licensee"] != account:
        raise Refused("assets.derivation_grant", f"{name} is a license of {held['licensee']}, not of {account}")
    if held["state"] in ENDED:
        raise Refused("assets.derivation_grant_not_live", f"{name} is {held['state']}")
    if right not in terms["rights"]:
        given = ", ".join(terms["rights"])
        raise Refused("assets.derivation_right", f"{name} does not give the right {right}, but {given}")
    if terms["derivatives"] == "no":
        raise Refused("assets.derivation_forbidden", f"the terms of {name} allow no derivatives")
    if terms["derivatives"] == "on-approval" and not held["approved"]:
        raise Refused("assets.derivation_unapproved", f"the licensor of {name} has not approved derivatives")
