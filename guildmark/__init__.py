"""Guildmark from outside: a client for a network's nodes, a wallet, local clusters, a pytest plugin.

    with guildmark.Client("http://127.0.0.1:8080", account) as client:
        asset = client.assets.register("model.keras", kind="model", name="digits")

Names are loaded when first used, so that `import guildmark` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guildmark.certificates import verify_certificate, verify_ownership
    from guildmark.client import AsyncClient
    from guildmark.cluster.local import LocalCluster
    from guildmark.errors import (
        ClusterError,
        Denied,
        GuildmarkError,
        Interrupted,
        InvalidArgument,
        NotFound,
        OdrlRefused,
        OutcomeUnknown,
        Refused,
        Unreachable,
        VerificationFailed,
        WalletError,
    )
    from guildmark.identity import Account
    from guildmark.light import AsyncLightClient
    from guildmark.odrl import from_odrl, to_odrl
    from guildmark.sync import Client, LightClient
    from guildmark.transactions import Outcome, PreparedTransaction
    from guildmark.wallet import Wallet

__version__ = "0.1.0"

_HOMES = {
    "Account": "guildmark.identity",
    "AsyncClient": "guildmark.client",
    "AsyncLightClient": "guildmark.light",
    "Client": "guildmark.sync",
    "ClusterError": "guildmark.errors",
    "Denied": "guildmark.errors",
    "GuildmarkError": "guildmark.errors",
    "Interrupted": "guildmark.errors",
    "InvalidArgument": "guildmark.errors",
    "LightClient": "guildmark.sync",
    "LocalCluster": "guildmark.cluster.local",
    "NotFound": "guildmark.errors",
    "OdrlRefused": "guildmark.errors",
    "Outcome": "guildmark.transactions",
    "OutcomeUnknown": "guildmark.errors",
    "PreparedTransaction": "guildmark.transactions",
    "Refused": "guildmark.errors",
    "Unreachable": "guildmark.errors",
    "VerificationFailed": "guildmark.errors",
    "Wallet": "guildmark.wallet",
    "WalletError": "guildmark.errors",
    "from_odrl": "guildmark.odrl",
    "to_odrl": "guildmark.odrl",
    "verify_certificate": "guildmark.certificates",
    "verify_ownership": "guildmark.certificates",
}

__all__ = [
    "Account",
    "AsyncClient",
    "AsyncLightClient",
    "Client",
    "ClusterError",
    "Denied",
    "GuildmarkError",
    "Interrupted",
    "InvalidArgument",
    "LightClient",
    "LocalCluster",
    "NotFound",
    "OdrlRefused",
    "Outcome",
    "OutcomeUnknown",
    "PreparedTransaction",
    "Refused",
    "Unreachable",
    "VerificationFailed",
    "Wallet",
    "WalletError",
    "__version__",
    "from_odrl",
    "to_odrl",
    "verify_certificate",
    "verify_ownership",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'guildmark' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
